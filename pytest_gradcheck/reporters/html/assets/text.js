// Numbers and names as a reader wants them.

const MINUS = "\u2212";
const NONE = "\u2013";

// A number at a few significant digits; text (nan, inf) as it is; a dash for none.
function number(value, digits = 4) {
  if (value === null || value === undefined) return NONE;
  if (typeof value !== "number") return String(value).replace("-", MINUS);
  if (Number.isInteger(value) && Math.abs(value) < 1e6) return String(value).replace("-", MINUS);
  const [mantissa, exponent] = value.toExponential(digits - 1).split("e");
  const power = Number(exponent);
  if (power < -4 || power >= digits + 2) {
    const short = mantissa.includes(".") ? mantissa.replace(/\.?0+$/, "") : mantissa;
    return `${short}e${power}`.replaceAll("-", MINUS);
  }
  return String(Number(value.toPrecision(digits))).replace("-", MINUS);
}

// A text as a number to sort and draw with.
function real(value) {
  if (value === "inf") return Infinity;
  if (value === "-inf") return -Infinity;
  if (value === null || value === undefined || value === "nan") return NaN;
  return Number(value);
}

// A name that fits, shortened in its middle: both ends tell names apart.
function shortened(name, most) {
  const letters = Array.from(name);
  if (letters.length <= most) return name;
  const head = Math.floor((most - 1) / 2);
  return `${letters.slice(0, head).join("")}\u2026${letters.slice(letters.length - (most - 1 - head)).join("")}`;
}

function plural(count, one, many = `${one}s`) {
  return `${count} ${count === 1 ? one : many}`;
}
