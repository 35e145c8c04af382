// One call: what failed and why first, then the numbers.

const GLYPHS = { passed: "\u2713", failed: "\u2715", skipped: "\u2013" };

function callParts(data, layout) {
  if (data.parameters === undefined) return seriesParts(data);
  const compared = data.parameters.was !== undefined;
  const rows = parameterRows(data.parameters, layout);
  const top = data.elements || [];
  return [
    verdictPart(data),
    data.checks ? section("Checks", checksTable(data)) : null,
    (data.tables || []).map(([title, head, rows]) => section(title, givenTable(title, head, rows))),
    section(
      `Parameters${compared ? " against the baseline" : ""}`,
      gonePart(data.parameters.gone || []),
      parameterTable(rows, compared, top),
    ),
    section("Norms", normFigure(rows, compared)),
    data.components ? section("Components", componentsPart(data.components)) : null,
    data.environment ? section("Environment", environmentTable(data.environment)) : null,
    section("Whole gradient", totalsTable(data.totals)),
    data.samples ? section("Perturbed points", (data.figures || []).filter((f) => f.kind === "strip").slice(0, 1).map(anyFigure), samplesTable(data)) : null,
    otherFigures(data),
    data.directional ? section("Directional derivatives", directionalTable(data.directional)) : null,
    top.length ? section("Largest elements", elementsTable(top, layout)) : null,
    section("Configuration", pairs(data.configuration)),
  ]
    .flat()
    .filter(Boolean);
}

// A training run: its rules and its metrics, in place of a gradient's parameters.
function seriesParts(data) {
  return [
    verdictPart(data),
    data.checks ? section("Checks", checksTable(data)) : null,
    data.figures ? section("Over the steps", data.figures.map(anyFigure)) : null,
    data.metrics ? section("Metrics", metricsTable(data.metrics)) : null,
    data.environment ? section("Environment", environmentTable(data.environment)) : null,
    data.configuration ? section("Configuration", pairs(data.configuration)) : null,
  ].filter(Boolean);
}

// A table that the call made itself, of whatever there is in it.
function givenTable(title, head, rows) {
  const numbers = head.map((_, i) => rows.some((row) => typeof row[i] === "number"));
  const heads = head.map((text, i) => (numbers[i] ? [text, "n"] : [text]));
  const cells = (row) => row.map((value, i) => (numbers[i] ? numeric(value, 5) : el("td", {}, value === null ? NONE : String(value))));
  return plainTable(title, heads, rows.map((row) => el("tr", {}, cells(row))));
}

function metricsTable(metrics) {
  const heads = [["Metric"], ["Group"], ...["Last", "Least", "Largest", "Mean", "Mean of the tail", "Slope of the tail"].map((title) => [title, "n"])];
  const rows = metrics.map(([name, group, ...numbers]) => el("tr", {}, el("th", { scope: "row" }, name), el("td", {}, group), numbers.map((value) => numeric(value, 5))));
  return plainTable("Metrics", heads, rows);
}

// The first ten seconds: the cause, what to do, and the message as the terminal had it.
function verdictPart(data) {
  const causes = data.causes || [];
  const failed = (data.checks || []).filter((c) => c[1] === "failed");
  const hints = failed.flatMap((c) => c[5]);
  const first = failed.flatMap((c) => c[3].slice(0, 3).map(([subject, text]) => `${c[0]}: ${subject}: ${text}`));
  const said = causes.length ? causes : first;
  return el(
    "div",
    { class: "verdict" },
    said.length ? [el("h3", {}, causes.length ? "Probable cause" : failed.length ? "What failed" : "What changed"), el("ul", { class: "causes" }, said.map((text) => el("li", {}, text)))] : null,
    hints.length && !(data.command && hints[0].includes("--grad-baseline-update")) ? el("p", {}, `What to do: ${hints[0]}.`) : null,
    data.command ? [el("p", { class: "label", id: "command" }, failed.length ? "To accept the change as the new baseline:" : "To record this call again:"), el("div", { class: "command" }, el("code", { "aria-labelledby": "command" }, data.command), copyButton(data.command))] : null,
    (data.warnings || []).length ? [el("h3", {}, "Warnings"), el("ul", { class: "causes care" }, data.warnings.map(([subject, text]) => el("li", {}, el("b", {}, subject), ` ${text}`)))] : null,
    (data.notes || []).length ? el("ul", { class: "notes" }, data.notes.map((text) => el("li", {}, text))) : null,
    data.story ? el("details", {}, el("summary", {}, "The message, as the terminal shows it"), el("pre", { tabindex: "0" }, data.story.join("\n"))) : null,
  );
}

function checksTable(data) {
  const rows = data.checks.map(([name, outcome, reason, findings, count]) =>
    el(
      "tr",
      {},
      el("th", { scope: "row" }, name),
      el("td", {}, el("span", { class: "state", "data-state": outcome }, el("span", { "aria-hidden": "true" }, `${GLYPHS[outcome]} `), outcome)),
      el(
        "td",
        {},
        reason && reason !== name ? el("p", {}, reason) : null,
        findings.slice(0, 3).map(([subject, text]) => el("p", {}, el("b", {}, subject), ` ${text}`)),
        count > 3 ? el("details", {}, el("summary", {}, `${count - 3} more`), findings.slice(3).map(([subject, text]) => el("p", {}, el("b", {}, subject), ` ${text}`)), count > findings.length ? el("p", {}, `and ${count - findings.length} more: the table of parameters has them`) : null) : null,
      ),
    ),
  );
  return plainTable("Checks", [["Check"], ["Outcome"], ["What it found"]], rows);
}

function gonePart(gone) {
  if (!gone.length) return null;
  return el("div", { class: "notes" }, el("p", {}, `${plural(gone.length, "parameter")} of the baseline ${gone.length === 1 ? "is" : "are"} no longer there:`), el("ul", {}, gone.map(([name, shape, norm]) => el("li", {}, `${name} [${shape.join(", ")}], norm ${norm}`))));
}

function componentsPart({ rows, cosines }) {
  const compared = rows.some((r) => r[6] !== null);
  const body = rows.map(([name, finite, value, norm, share, value0, norm0, share0]) =>
    el(
      "tr",
      { class: finite ? null : "odd" },
      el("th", { scope: "row" }, name, finite ? null : el("span", { class: "over" }, " not finite")),
      compared && numeric(value0, 5),
      numeric(value, 5),
      compared && numeric(norm0, 5),
      numeric(norm, 5),
      compared && el("td", { class: "n" }, changeText({ was: real(norm0), norm: real(norm) })),
      el("td", { class: "share" }, shareBars(share, compared ? share0 : null)),
    ),
  );
  const heads = [["Component"], compared && ["Value, baseline", "n"], ["Value", "n"], compared && ["Norm, baseline", "n"], ["Norm", "n"], compared && ["Change", "n"], ["Share of the gradient norms"]].filter(Boolean);
  return el("div", {}, plainTable("Components", heads, body), compared ? legend(["was", "baseline"], ["now", "now"]) : null, cosines.length > 1 && cosines[0].length ? cosineTable(rows.map((r) => r[0]), cosines) : null);
}

function shareBars(share, before) {
  const text = before === null ? `${number(100 * share, 3)} %` : `${number(100 * before, 3)} \u2192 ${number(100 * share, 3)} %`;
  const drawing = svg(
    "svg",
    { width: 120, height: 14, viewBox: "0 0 120 14", "aria-hidden": "true" },
    before === null ? null : svg("rect", { class: "was", x: 0, y: 1, width: Math.max(1, 120 * real(before) || 0), height: 12 }),
    svg("rect", { class: "now", x: 0, y: 5, width: Math.max(1, 120 * real(share) || 0), height: 4 }),
  );
  return el("span", {}, drawing, " ", text);
}

// Cosines as numbers; the colour says again what the sign and the size say.
function cosineTable(names, cosines) {
  const rows = cosines.map((line, i) =>
    el(
      "tr",
      {},
      el("th", { scope: "row", title: names[i] }, shortened(names[i], 24)),
      line.map((value) => {
        const cell = numeric(value, 2);
        const size = Math.min(1, Math.abs(real(value) || 0));
        cell.classList.add("cosine", value < 0 ? "against" : "along");
        cell.style.setProperty("--size", `${Math.round(45 * size)}%`);
        return cell;
      }),
    ),
  );
  return el("div", {}, el("h4", {}, "Cosines between the components' gradients"), plainTable("Cosines between the components' gradients", [["Component"], ...names.map((name) => [shortened(name, 16), "n"])], rows));
}

function totalsTable(totals) {
  const has = [1, 2, 3, 4].map((k) => totals.some((row) => row[k] !== null));
  const titles = [["Statistic"], has[2] && ["Baseline", "n"], ["Now", "n"], has[3] && ["Baseline, float64", "n"], has[1] && ["Now, float64", "n"]].filter(Boolean);
  const rows = totals.map(([name, now, wide, was, wideWas]) => el("tr", {}, el("th", { scope: "row" }, name), has[2] && numeric(was, 7), numeric(now, 7), has[3] && numeric(wideWas, 7), has[1] && numeric(wide, 7)));
  return plainTable("Whole gradient", titles, rows);
}

function samplesTable(data) {
  const rows = data.samples.map(([seed, size, value, norm, cosine, bad, nans, infs]) =>
    el("tr", { class: bad.length || !Number.isFinite(real(value)) ? "odd" : null }, el("th", { scope: "row", class: "n" }, seed), numeric(size), numeric(value, 6), numeric(norm, 6), numeric(cosine, 5), el("td", {}, bad.length ? `${nans} NaN, ${infs} Inf in ${bad.join(", ")}` : "all finite")),
  );
  return plainTable("Perturbed points", [["Seed", "n"], ["Scale", "n"], [data.sense, "n"], ["L2 norm", "n"], ["Cosine with the point", "n"], ["Not finite"]], rows);
}

function anyFigure(data) {
  return data.kind === "line" ? lineFigure(data) : stripFigure(data);
}

function otherFigures(data) {
  const rest = (data.figures || []).slice(data.samples ? 1 : 0);
  const rows = (data.replicates || []).map(([name, now, low, high, was]) => el("tr", {}, el("th", { scope: "row" }, name), numeric(was), numeric(now), el("td", { class: "n" }, low === null && high === null ? NONE : `${number(low)} to ${number(high)}`)));
  const table = rows.length ? plainTable("Estimates over the seeds", [["Estimate"], ["Baseline", "n"], ["Now", "n"], ["95 % interval", "n"]], rows) : null;
  return rest.length ? section(rows.length ? "Replicates" : "Series", table, rest.map(anyFigure)) : null;
}

function directionalTable(list) {
  const rows = list.map(([names, analytic, num, difference, allowed, agrees, seed]) =>
    el("tr", { class: agrees ? null : "odd" }, el("th", { scope: "row" }, names.length === 1 ? names[0] : plural(names.length, "parameter")), numeric(analytic, 8), numeric(num, 8), numeric(difference, 3), numeric(allowed, 3), el("td", {}, agrees ? "agree" : el("span", { class: "over" }, "\u2715 disagree")), numeric(seed)),
  );
  return plainTable("Directional derivatives", [["Moved"], ["Analytic", "n"], ["Numeric", "n"], ["Difference", "n"], ["Allowed", "n"], ["Sides"], ["Seed", "n"]], rows);
}

function elementsTable(list, layout) {
  const rows = list.map(([i, index, value], rank) => el("tr", {}, el("td", { class: "n" }, rank + 1), el("th", { scope: "row", title: layout.names[i] }, shortened(layout.names[i], 44)), el("td", { class: "mono" }, `[${index.join(", ")}]`), numeric(value, 5)));
  return plainTable("Largest elements of the gradient", [["Rank", "n"], ["Parameter"], ["Index"], ["Gradient", "n"]], rows);
}

function environmentTable(list) {
  const compared = list.some((row) => row[1] !== null);
  const rows = list.map(([name, was, now]) => {
    const changed = compared && was !== null && now !== null && was !== now;
    return el("tr", { class: changed ? "odd" : null }, el("th", { scope: "row" }, name), compared && el("td", {}, was === null ? NONE : was), el("td", {}, now === null ? NONE : now), compared && el("td", {}, changed ? "changed" : was === null || now === null ? "not known" : "same"));
  });
  return plainTable("Environment", [["What"], compared && ["Baseline"], ["Now"], compared && ["Difference"]].filter(Boolean), rows);
}
