// The table of parameters: how much of its allowance each one used, and what it looks like.

const PAGE = 150;

// Read one value of a column; a single number stands for a column of equal ones.
function at(column, i) {
  return Array.isArray(column) ? column[i] : column;
}

// Rows in backward order, from the columns in the page.
function parameterRows(data, layout) {
  const off = new Set(data.off);
  const native = new Set(data.native || []);
  const rows = layout.names.map((name, i) => {
    const norm = at(data.norm, i);
    const before = at(data.was, i);
    const row = {
      i,
      name,
      shape: layout.shapes[i],
      dtype: layout.dtypes[i],
      norm,
      was: before === -1 ? norm : before,
      max: at(data.max, i),
      mean: at(data.mean, i),
      zeros: at(data.zeros, i),
      bad: data.bad[i],
      off: off.has(i),
      hist: data.hist ? data.hist[i] : null,
      observed: at(data.observed, i),
      allowed: at(data.allowed, i),
      cosine: at(data.cosine, i),
      native: native.has(i),
    };
    row.size = row.shape.reduce((a, b) => a * b, 1);
    row.used = used(row);
    return row;
  });
  return rows.reverse();
}

function used(row) {
  if (row.observed === null || row.observed === undefined) return null;
  if (row.allowed > 0) return real(row.observed) / row.allowed;
  return real(row.observed) > 0 ? "inf" : 0;
}

// The key column: a number, and a bar on a logarithmic scale with the allowance as its full stop.
function usedCell(row) {
  if (row.used === null) return el("td", { class: "n muted" }, row.off ? "no gradient" : row.bad ? "not finite" : NONE);
  const value = real(row.used);
  const over = value > 1;
  const place = (v) => Math.min(1, Math.max(0, (Math.log10(v || 1e-9) + 4) / 8));
  const bar = svg(
    "svg",
    { class: "used", width: 64, height: 12, viewBox: "0 0 64 12", "aria-hidden": "true" },
    svg("rect", { class: "track", x: 0, y: 4, width: 64, height: 4 }),
    svg("rect", { class: over ? "over" : "within", x: 0, y: 2, width: Math.max(1, 64 * place(value)), height: 8 }),
    svg("line", { class: "limit", x1: 32, x2: 32, y1: 0, y2: 12 }),
  );
  const text = over ? `${number(value, 3)} \u00d7` : value < 0.001 ? "< 0.1 %" : `${number(100 * value, 2)} %`;
  return el("td", { class: over ? "n usage over" : "n usage" }, bar, el("span", {}, text, over && el("span", { class: "unseen" }, " the allowance: drifted")));
}

function changeText(row) {
  if (!(row.was > 0) || !(row.norm > 0)) return NONE;
  const factor = row.norm / row.was;
  if (factor >= 2 || factor <= 0.5) return `\u00d7${number(factor, 3)}`;
  const percent = 100 * (factor - 1);
  return percent === 0 ? "0 %" : `${percent > 0 ? "+" : ""}${number(percent, 3)} %`;
}

function parameterTable(rows, compared, top) {
  const range = sharedRange(rows);
  const columns = [
    { title: "Parameter", kind: "text", get: (r) => r.name },
    compared && { title: "Tolerance used", kind: "number", get: (r) => r.used },
    compared && { title: "Distance", kind: "number", get: (r) => r.observed, help: "from the baseline, relative to the gradient's size" },
    compared && { title: "Allowed", kind: "number", get: (r) => r.allowed, help: "the largest distance that noise explains" },
    compared && { title: "Cosine", kind: "number", get: (r) => r.cosine },
    compared && { title: "Baseline norm", kind: "number", get: (r) => r.was },
    { title: compared ? "Norm now" : "L2 norm", kind: "number", get: (r) => r.norm },
    compared && { title: "Change", kind: "number", get: (r) => (r.was > 0 ? r.norm / r.was : null) },
    range && { title: `log10 |g|, ${range[0]} to ${range[1]}`.replaceAll("-", MINUS) },
    { title: "Order", kind: "number", get: (r) => -r.i, help: "backward: 1 is nearest to the loss" },
  ].filter(Boolean);
  const body = el("tbody");
  const state = el("p", { role: "status" });
  const more = el("button", { type: "button", class: "quiet" }, "Show more");
  const search = el("input", { type: "search", autocomplete: "off", "data-key": "parameter" });
  const only = el("input", { type: "checkbox" });
  let [order, limit] = [rows, PAGE];
  const caption = el("caption", { class: "unseen" }, "Parameters in backward order; the headings sort, the names open more");
  const head = columns.map((c) => el("th", { scope: "col", class: c.kind === "number" ? "n" : null, title: c.help }, c.title));
  const table = el("table", { class: "parameters" }, caption, el("thead", {}, el("tr", {}, head)), body);
  const show = () => {
    const wanted = search.value.toLowerCase();
    const found = order.filter((r) => r.name.toLowerCase().includes(wanted) && (!only.checked || odd(r)));
    body.replaceChildren(...found.slice(0, limit).flatMap((r) => parameterLines(r, columns.length, compared, range, rows.length, top)));
    more.hidden = found.length <= limit;
    state.textContent = `${Math.min(limit, found.length)} of ${plural(rows.length, "parameter")}`;
  };
  sortable(table, columns.map((c) => c.get && c), (column, way) => {
    order = [...rows].sort((a, b) => ordered(column.get(a), column.get(b), column.kind, way));
    show();
  });
  search.addEventListener("input", show);
  only.addEventListener("change", show);
  more.addEventListener("click", () => {
    limit += 4 * PAGE;
    show();
  });
  show();
  const tools = el("div", { class: "tools" }, el("label", {}, "Find a parameter ", search), el("label", {}, only, compared ? " only those that drifted" : " only those without a sound gradient"), state);
  return el("div", {}, tools, scrolled("Parameters", table), more);
}

function odd(row) {
  return row.off || row.bad || real(row.used) > 1;
}

function sharedRange(rows) {
  const found = rows.filter((r) => r.hist).map((r) => unpacked(r.hist));
  if (!found.length) return null;
  return [Math.floor(Math.min(...found.map(([first]) => first))), Math.ceil(Math.max(...found.map(([first, levels]) => first + levels.length / 2)))];
}

// One parameter: its line, and the one below that opens.
function parameterLines(row, width, compared, range, count, top) {
  const id = `parameter-${row.i}`;
  const below = el("tr", { class: "more", id, hidden: true }, el("td", { colspan: width }));
  const button = el("button", { type: "button", class: "name", "aria-expanded": "false", "aria-controls": id, title: row.name }, shortened(row.name, 44));
  button.addEventListener("click", () => {
    const open = below.hidden;
    below.hidden = !open;
    button.setAttribute("aria-expanded", String(open));
    if (open && !below.cells[0].childNodes.length) below.cells[0].append(parameterMore(row, top));
  });
  const line = el(
    "tr",
    { class: odd(row) ? "odd" : null },
    el("th", { scope: "row" }, button, " ", el("span", { class: "path" }, row.shape.join("\u00d7") || "scalar")),
    compared && [usedCell(row), numeric(row.observed, 3), numeric(row.allowed, 2), numeric(row.cosine, 3), numeric(row.was)],
    row.off ? el("td", { class: "n over" }, "no gradient") : row.bad ? el("td", { class: "n over" }, "not finite") : numeric(row.norm),
    compared && el("td", { class: "n" }, changeText(row)),
    range && el("td", {}, spark(row.hist, range)),
    el("td", { class: "n muted" }, count - row.i),
  );
  return [line, below];
}

function parameterMore(row, top) {
  const rms = row.norm === null ? null : real(row.norm) / Math.sqrt(row.size || 1);
  const facts = [
    ["name", row.name],
    ["shape", `[${row.shape.join(", ")}], ${plural(row.size, "element")}`],
    ["type", row.dtype],
    ["L2 norm", number(row.norm)],
    ["RMS", number(rms)],
    ["largest element", number(row.max)],
    ["mean", number(row.mean, 3)],
    ["exactly zero", `${number(row.zeros)} of ${row.size}`],
    row.observed !== null && row.observed !== undefined && ["judged in", row.native ? row.dtype : "float64, or the model's own precision"],
    row.bad && ["not finite", `${row.bad[0]} NaN, ${row.bad[1]} Inf, first at ${row.bad[2].map((x) => `[${x.join(", ")}]`).join(" ")}`],
  ].filter(Boolean);
  const mine = top.filter((e) => e[0] === row.i);
  return el(
    "div",
    { class: "columns" },
    pairs(facts),
    row.hist ? histogramFigure(shortened(row.name, 40), row.hist) : null,
    mine.length ? plainTable(`Largest elements of ${row.name}`, [["index"], ["gradient", "n"]], mine.map((e) => el("tr", {}, el("td", { class: "mono" }, `[${e[1].join(", ")}]`), numeric(e[2], 5)))) : null,
  );
}

function pairs(rows) {
  return el("dl", { class: "pairs" }, rows.map(([name, value]) => el("div", {}, el("dt", {}, name), el("dd", {}, value === null ? NONE : value))));
}
