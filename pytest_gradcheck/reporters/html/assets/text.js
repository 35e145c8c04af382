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

// A name that fits, shortened in its middle: inner parts of a dotted name first, numbers never.
function shortened(name, most) {
  const parts = name.split(".");
  while (parts.join(".").length > most) {
    const inner = parts.map((_, i) => i).filter((i) => i > 0 && i < parts.length - 1 && parts[i].length > 1 && !/^\d+$/.test(parts[i]));
    if (!inner.length) break;
    const longest = inner.reduce((a, b) => (parts[b].length > parts[a].length ? b : a));
    parts[longest] = Array.from(parts[longest]).slice(0, -1).join("");
  }
  const over = parts.join(".").length - most;
  if (over > 0 && parts.length > 1) parts[0] = Array.from(parts[0]).slice(0, Math.max(2, parts[0].length - over)).join("");
  const letters = Array.from(parts.join("."));
  if (letters.length <= most) return letters.join("");
  const head = Math.floor((most - 1) / 2);
  return `${letters.slice(0, head).join("")}\u2026${letters.slice(letters.length - (most - 1 - head)).join("")}`;
}

function plural(count, one, many = `${one}s`) {
  return `${count} ${count === 1 ? one : many}`;
}
