// What every plot is made of: scales, axes, and a frame that says what it shows.

// A scale from values to pixels; logarithmic ones leave out what is not positive.
function scale(values, low, high, { log = false, bars = false } = {}) {
  const seen = values.map(real).filter((v) => Number.isFinite(v) && (!log || v > 0));
  let least = seen.length ? Math.min(...seen) : log ? 1 : 0;
  let most = seen.length ? Math.max(...seen) : 1;
  const change = log ? Math.log10 : (v) => v;
  let [a, b] = [change(least), change(most)];
  const room = b - a > 1e-12 * Math.max(1, Math.abs(a), Math.abs(b)) ? 0.04 * (b - a) : log ? 0.02 : 0.05 * Math.abs(a) || 0.5;
  [a, b] = [a - (bars ? 0.35 : room), b + room];
  const at = (v) => low + ((change(v) - a) / (b - a)) * (high - low);
  return { at, ticks: log ? logTicks(a, b) : ticks(a, b), log };
}

function ticks(a, b, count = 5) {
  const raw = (b - a) / count;
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = power * [1, 2, 5, 10].find((m) => m * power >= raw);
  const found = [];
  for (let i = Math.ceil(a / step); i * step <= b + 1e-9 * step; i += 1) found.push(i * step);
  return found;
}

function logTicks(a, b) {
  if (b - a < 1.2) return ticks(10 ** a, 10 ** b, 4).filter((v) => v > 0);
  if (b - a < 3.5) {
    const steps = b - a < 2 ? [1, 2, 5] : [1, 3];
    const every = [];
    for (let e = Math.floor(a); e <= b; e += 1) every.push(...steps.map((m) => Number(`${m}e${e}`)));
    return every.filter((v) => Math.log10(v) >= a && Math.log10(v) <= b);
  }
  const every = Math.max(1, Math.ceil((b - a) / 8));
  const found = [];
  for (let e = Math.ceil(a); e <= Math.floor(b); e += 1) if (e % every === 0) found.push(10 ** e);
  return found;
}

function tickText(value) {
  const text = number(value, 3);
  return Math.abs(value) < 1e-12 ? "0" : text;
}

function below(axis, top, bottom) {
  return axis.ticks.map((v) => [
    svg("line", { class: "grid", x1: axis.at(v), x2: axis.at(v), y1: top, y2: bottom }),
    svg("text", { class: "tick", x: axis.at(v), y: bottom + 14, "text-anchor": "middle" }, tickText(v)),
  ]);
}

function beside(axis, left, right) {
  return axis.ticks.map((v) => [
    svg("line", { class: "grid", x1: left, x2: right, y1: axis.at(v), y2: axis.at(v) }),
    svg("text", { class: "tick", x: left - 6, y: axis.at(v) + 4, "text-anchor": "end" }, tickText(v)),
  ]);
}

// A figure with its title; `told` is what a reader who cannot see it is told.
function figure(title, told, width, height, ...parts) {
  const drawing = svg("svg", { viewBox: `0 0 ${width} ${height}`, width, height, role: "img", "aria-label": `${title}. ${told}` }, ...parts);
  return el("figure", {}, el("figcaption", {}, title), el("div", { class: "scroll" }, drawing));
}

function tip(text) {
  return svg("title", {}, text);
}

function legend(...items) {
  return el(
    "ul",
    { class: "legend" },
    items.map(([kind, text]) => el("li", {}, svg("svg", { width: 18, height: 12, "aria-hidden": "true" }, mark(kind)), text)),
  );
}

function mark(kind) {
  if (kind.startsWith("line")) return svg("line", { class: kind, x1: 0, x2: 18, y1: 6, y2: 6 });
  if (kind.startsWith("dot")) return svg("circle", { class: kind, cx: 9, cy: 6, r: 4 });
  return svg("rect", { class: kind, x: 1, y: kind === "now" ? 4 : 1, width: 16, height: kind === "now" ? 4 : 10 });
}
