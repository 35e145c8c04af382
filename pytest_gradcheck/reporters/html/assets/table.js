// Headings that sort, told to everybody by aria-sort; numbers begin with the largest.

// `columns`: one for each heading, null where it does not sort; {kind, key} else. `done` gets the
// column's key and 1 (ascending) or -1, and puts the rows in order.
function sortable(table, columns, done) {
  const heads = Array.from(table.tHead.rows[0].cells);
  heads.forEach((head, i) => {
    const column = columns[i];
    if (!column) return;
    const button = el("button", { type: "button" }, ...head.childNodes);
    head.replaceChildren(button);
    button.addEventListener("click", () => {
      const before = head.getAttribute("aria-sort");
      const first = column.kind === "number" ? "descending" : "ascending";
      const other = first === "ascending" ? "descending" : "ascending";
      for (const one of heads) one.removeAttribute("aria-sort");
      const way = before === first ? other : first;
      head.setAttribute("aria-sort", way);
      done(column, way === "ascending" ? 1 : -1);
    });
  });
}

// Compare two values; what has none comes last, whichever way.
function ordered(a, b, kind, way) {
  if (kind === "text") return way * String(a).localeCompare(String(b), "en", { numeric: true });
  const [x, y] = [real(a), real(b)];
  if (Number.isNaN(x) || Number.isNaN(y)) return Number.isNaN(x) - Number.isNaN(y);
  return x === y ? 0 : way * (x < y ? -1 : 1);
}
