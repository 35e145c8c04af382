// Make elements; text becomes text nodes and nothing else.

const SVG = "http://www.w3.org/2000/svg";

function fill(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes || {})) {
    if (value === undefined || value === null || value === false) continue;
    if (typeof value === "function") node.addEventListener(name, value);
    else node.setAttribute(name, value === true ? "" : value);
  }
  for (const child of children.flat(2)) {
    if (child !== null && child !== undefined && child !== false) node.append(child);
  }
  return node;
}

function el(tag, attributes, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

function svg(tag, attributes, ...children) {
  return fill(document.createElementNS(SVG, tag), attributes, children);
}

// A number in the page, with what sorts it.
function numeric(value, digits) {
  return el("td", { class: "n" }, number(value, digits));
}

// A table that may be wider than the page, in a region that the keyboard can scroll.
function scrolled(label, table) {
  return el("div", { class: "scroll", role: "region", "aria-label": label, tabindex: "0" }, table);
}

function section(title, ...children) {
  const heading = el("h3", {}, title);
  return el("section", {}, heading, ...children);
}

function plainTable(label, heads, rows) {
  const head = heads.map(([title, kind]) => el("th", { scope: "col", class: kind }, title));
  return scrolled(
    label,
    el("table", { class: heads.length < 6 && label !== "Checks" ? "narrow" : null }, el("caption", { class: "unseen" }, label), el("thead", {}, el("tr", {}, head)), el("tbody", {}, rows)),
  );
}

function copyButton(text) {
  const button = el("button", { type: "button", class: "quiet" }, "Copy");
  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(text);
      button.textContent = "Copied";
    } catch {
      button.textContent = "Select and copy it";
    }
  });
  return button;
}
