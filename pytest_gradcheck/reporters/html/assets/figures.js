// Figures: bars of norms, histograms, strips of points, lines with healthy ranges.

const WIDTH = 680;
const BARS = 60;

// Norms in backward order, the baseline as a wide pale bar, now as a narrow dark one on it.
function normFigure(rows, compared) {
  const shown = rows.filter((r) => r.norm !== null);
  const holder = el("div", {});
  const draw = (most) => {
    const part = shown.slice(0, most);
    const [step, left, top] = [18, 232, 8];
    const height = top + part.length * step + 26;
    const norms = part.flatMap((r) => [r.norm, r.was]);
    const axis = scale(norms, left, WIDTH - 12, { log: true, bars: true });
    const bottom = top + part.length * step;
    const bars = part.map((r, i) => {
      const y = top + i * step;
      const text = compared ? `${r.name}: ${number(r.was)} \u2192 ${number(r.norm)}` : `${r.name}: ${number(r.norm)}`;
      const bar = (value, kind, inset) =>
        value > 0 && svg("rect", { class: kind, x: left, y: y + inset, width: Math.max(2, axis.at(value) - left), height: step - 2 * inset });
      return svg(
        "g",
        {},
        tip(text),
        svg("text", { class: "name", x: left - 8, y: y + 13, "text-anchor": "end" }, shortened(r.name, 30)),
        bar(r.was, "was", 2),
        bar(r.norm, "now", 6),
        !(r.norm > 0) && svg("text", { class: "tick", x: left + 4, y: y + 13 }, "0"),
      );
    });
    const title = `Gradient norm of each parameter, backward order${compared ? ", baseline against now" : ""}`;
    const told = "The table of parameters has the same numbers.";
    const drawn = figure(title, told, WIDTH, height, below(axis, top, bottom), bars);
    const key = compared ? legend(["was", "baseline"], ["now", "now"]) : null;
    const more =
      shown.length > most &&
      el("button", { type: "button", class: "quiet", click: () => draw(shown.length) }, `Show all ${shown.length}`);
    holder.replaceChildren(...[drawn, key, more].filter(Boolean));
  };
  draw(BARS);
  return holder;
}

// The levels of a packed histogram: [log10 of the lower edge of the first bin, heights 0 to 15].
function unpacked(text) {
  const [first, levels] = text.split(":");
  return [Number(first) / 2, Array.from(levels, (c) => parseInt(c, 16))];
}

// A small histogram of log10 |g| on an axis that all parameters share.
function spark(text, [low, high]) {
  const [width, height] = [92, 18];
  if (!text) return el("span", { class: "muted" }, NONE);
  const [first, levels] = unpacked(text);
  const unit = width / (high - low);
  const bars = levels.map((level, i) => {
    const tall = (level / 15) * height;
    return level && svg("rect", { class: "now", x: (first + i / 2 - low) * unit, y: height - tall, width: Math.max(1, unit / 2 - 0.5), height: tall });
  });
  const told = `log10 of |g| from ${first} to ${first + levels.length / 2}, most at ${first + levels.indexOf(15) / 2}`;
  return svg("svg", { width, height, viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": told }, tip(told.replaceAll("-", MINUS)), bars);
}

// The same, large, with its axis.
function histogramFigure(name, text) {
  const [first, levels] = unpacked(text);
  const [left, top, bottom] = [16, 8, 120];
  const last = first + levels.length / 2;
  const unit = Math.min(48, (WIDTH - 2 * left) / levels.length);
  const bars = levels.map((level, i) => {
    const tall = (level / 15) * (bottom - top);
    return level && svg("rect", { class: "now", x: left + i * unit, y: bottom - tall, width: unit - 1, height: tall }, tip(`${first + i / 2} to ${first + (i + 1) / 2}: ${Math.round((100 * level) / 15)} % of the fullest bin`));
  });
  const marks = levels.concat([0]).map((_, i) => Number.isInteger(first + i / 2) && svg("text", { class: "tick", x: left + i * unit, y: bottom + 16, "text-anchor": "middle" }, String(first + i / 2).replace("-", MINUS)));
  const told = `From ${first} to ${last}, most at ${first + levels.indexOf(15) / 2}.`;
  return figure(`log10 |g| of ${name}`, told, left * 2 + unit * levels.length, bottom + 24, svg("line", { class: "axis", x1: left, x2: left + unit * levels.length, y1: bottom, y2: bottom }), bars, marks);
}

// Values of each group as points on one line each, with a box over the middle half of many.
function stripFigure(data) {
  const [left, step, top] = [150, 40, 10];
  const groups = data.groups;
  const bottom = top + step * groups.length;
  const every = groups.flatMap((g) => g.values).concat(data.marks.map((m) => m[1]));
  const axis = scale(every, left, WIDTH - 20, { log: data.log });
  const fits = (v) => Number.isFinite(real(v)) && (!data.log || v > 0);
  const drawn = groups.map((g, i) => {
    const y = top + step * (i + 0.5);
    const inside = g.values.filter(fits).sort((a, b) => a - b);
    const odd = g.values.length - inside.length;
    return svg(
      "g",
      {},
      svg("text", { class: "name", x: left - 10, y: y + 4, "text-anchor": "end" }, shortened(g.name, 20)),
      inside.length > 7 && box(inside, axis, y),
      inside.map((v, k) => svg("circle", { class: i ? "dot was" : "dot now", cx: axis.at(v), cy: y + (inside.length > 7 ? 11 + (k % 3) : 0), r: 4 }, tip(`${g.name}: ${number(v, 6)}`))),
      odd > 0 && svg("text", { class: "tick bad", x: left, y: y - 10 }, `${odd} not finite`),
    );
  });
  const marks = data.marks.filter((m) => fits(m[1])).map(([name, v], i) => svg("line", { class: i ? "mark was" : "mark", x1: axis.at(v), x2: axis.at(v), y1: top, y2: bottom }, tip(`${name}: ${number(v, 6)}`)));
  const told = groups.map((g) => `${g.name}: ${g.values.map((v) => number(v, 5)).join(", ")}`).join(". ");
  const key = legend(...data.marks.map(([name, v], i) => [i ? "line mark was" : "line mark", `${name}: ${number(v, 6)}`]));
  return el("div", {}, figure(data.title, told, WIDTH, bottom + 34, below(axis, top, bottom), marks, drawn, svg("text", { class: "tick", x: WIDTH - 20, y: bottom + 30, "text-anchor": "end" }, data.x)), key);
}

function box(sorted, axis, y) {
  const at = (q) => {
    const i = q * (sorted.length - 1);
    const low = Math.floor(i);
    return sorted[low] + (i - low) * (sorted[Math.min(low + 1, sorted.length - 1)] - sorted[low]);
  };
  const [low, middle, high] = [at(0.25), at(0.5), at(0.75)].map((v) => axis.at(v));
  return svg(
    "g",
    { class: "box" },
    tip(`median ${number(at(0.5), 5)}, quartiles ${number(at(0.25), 5)} and ${number(at(0.75), 5)}`),
    svg("line", { x1: axis.at(sorted[0]), x2: axis.at(sorted[sorted.length - 1]), y1: y - 4, y2: y - 4 }),
    svg("rect", { x: low, y: y - 11, width: Math.max(1, high - low), height: 14 }),
    svg("line", { x1: middle, x2: middle, y1: y - 11, y2: y + 3 }),
  );
}

// Series over steps; healthy ranges as bands behind them; values that are not finite marked.
function lineFigure(data) {
  const [left, right, top, bottom] = [64, WIDTH - 12, 10, 190];
  const bounds = data.bands.flatMap((b) => [b[1], b[2]]);
  const y = scale(data.lines.flatMap((l) => l.values).concat(bounds), bottom, top, { log: data.log });
  const x = scale(data.lines.flatMap((l) => l.at), left, right);
  const level = (v, open) => (v === null ? open : Math.min(bottom, Math.max(top, y.at(v))));
  const bands = data.bands.map(([name, low, high]) => {
    const [a, b] = [level(high, top), level(low, bottom)];
    return svg("g", {}, tip(`${name}: ${number(low)} to ${number(high)}`), svg("rect", { class: "band", x: left, y: a, width: right - left, height: Math.max(1, b - a) }));
  });
  const lines = data.lines.map((l, i) => {
    let path = "";
    let pen = "M";
    const odd = [];
    l.values.forEach((raw, k) => {
      const v = real(raw);
      if (!Number.isFinite(v) || (data.log && v <= 0)) {
        odd.push(svg("text", { class: "tick bad", x: x.at(l.at[k]), y: top + 8, "text-anchor": "middle" }, "\u2715", tip(`${l.name}, ${data.x} ${l.at[k]}: ${number(raw)}`)));
        pen = "M";
        return;
      }
      path += `${pen}${x.at(l.at[k]).toFixed(1)} ${y.at(v).toFixed(1)}`;
      pen = "L";
    });
    return svg("g", {}, tip(l.name), svg("path", { class: `line l${i % 4}`, d: path || "M0 0" }), odd);
  });
  const told = data.lines.map((l) => `${l.name}: ${number(l.values[0])} at first, ${number(l.values[l.values.length - 1])} at last`).join(". ");
  const key = legend(...data.lines.map((l, i) => [`line l${i % 4}`, l.name]), ...data.bands.map(([name, low, high]) => ["band", `${name}: ${low === null ? "at most" : number(low)}${low !== null && high !== null ? " to " : low === null ? " " : " and more"}${high === null ? "" : number(high)}`]));
  return el("div", {}, figure(data.title, told, WIDTH, bottom + 36, bands, below(x, top, bottom), beside(y, left, right), lines, svg("text", { class: "tick", x: right, y: bottom + 30, "text-anchor": "end" }, data.x)), key);
}
