// The overview: filters and sorting of the rows that stand in the page.

function overview() {
  const table = document.getElementById("calls");
  if (!table) return;
  const body = table.tBodies[0];
  const rows = Array.from(body.rows);
  const form = document.getElementById("filters");
  const search = document.getElementById("search");
  const selects = Array.from(form.querySelectorAll("select"));
  const texts = rows.map((row) => row.textContent.toLowerCase());
  const value = (row, i) => row.cells[i].dataset.value ?? row.cells[i].textContent.trim();
  const filter = () => {
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    let count = 0;
    rows.forEach((row, i) => {
      const fits =
        words.every((word) => texts[i].includes(word)) &&
        selects.every((s) => !s.value || row.dataset[s.dataset.filter].split("|").includes(s.value) || row.dataset[s.dataset.filter] === s.value);
      row.hidden = !fits;
      count += fits;
    });
    document.getElementById("shown").textContent = `${count} of ${plural(rows.length, "call")}`;
  };
  const heads = Array.from(table.tHead.rows[0].cells);
  sortable(table, heads.map((head, i) => ({ kind: head.dataset.sort, i })), (column, way) => {
    const order = [...rows].sort((a, b) => {
      const [x, y] = [value(a, column.i), value(b, column.i)];
      return column.kind === "number" ? ordered(parseFloat(x), parseFloat(y), "number", way) : ordered(x, y, "text", way);
    });
    body.append(...order);
  });
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("input", filter);
  form.addEventListener("reset", () => setTimeout(filter));
  form.hidden = false;
  filter();
}
