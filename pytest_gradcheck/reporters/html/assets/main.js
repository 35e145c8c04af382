// Which call is shown, in which theme; data is unpacked when it is asked for.

let layouts = null;
let asked = 0;

async function unpack(id) {
  const text = document.getElementById(id).value;
  const bytes = Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  return JSON.parse(await new Response(stream).text());
}

// The calls in the order in which the overview shows them.
function shownCalls() {
  const links = Array.from(document.querySelectorAll("#calls tbody tr:not([hidden]) a"));
  return links.map((link) => link.getAttribute("href"));
}

function neighbour(hash, step, text) {
  const every = shownCalls();
  const found = every[every.indexOf(hash) + step];
  const inside = every.includes(hash) && found;
  return inside ? el("a", { href: found, rel: step > 0 ? "next" : "prev" }, text) : el("span", { class: "muted" }, text);
}

async function openCall(hash) {
  const link = document.querySelector(`#calls a[href="${hash}"]`);
  const article = document.getElementById("call");
  asked += 1;
  const mine = asked;
  if (!link) return showOverview();
  const row = link.closest("tr");
  const title = el("h2", { id: "call-title", tabindex: "-1" }, ...Array.from(link.childNodes, (n) => n.cloneNode(true)));
  const states = Array.from(row.querySelectorAll(".state"), (n) => n.cloneNode(true));
  const head = [
    el("nav", { "aria-label": "Calls" }, el("a", { href: "#overview" }, "\u2190 All calls"), neighbour(hash, -1, "Previous"), neighbour(hash, 1, "Next")),
    title,
    el("p", { class: "path" }, row.dataset.module, " ", states),
  ];
  const together = Number(document.getElementById("data").dataset.together);
  const call = Number(hash.replace("#call-", ""));
  let parts;
  try {
    layouts = layouts || (await unpack("layouts"));
    const data = (await unpack(`data-${Math.floor(call / together)}`))[call % together];
    const cause = row.querySelector(".cause");
    parts = data.checks || data.parameters ? callParts(data, data.parameters && layouts[data.parameters.layout]) : [el("p", { class: "verdict" }, cause ? cause.textContent : "Nothing more is known of this call.")];
  } catch (error) {
    parts = [el("p", { class: "over", role: "alert" }, `The data of this call cannot be shown (${error}). A browser of 2023 or newer is needed.`)];
  }
  if (mine !== asked) return null;
  article.replaceChildren(...head, ...parts);
  article.hidden = false;
  document.getElementById("overview").hidden = true;
  window.scrollTo(0, 0);
  title.focus({ preventScroll: true });
  return null;
}

function showOverview() {
  const article = document.getElementById("call");
  const from = article.hidden ? null : article.dataset.hash;
  article.hidden = true;
  article.replaceChildren();
  document.getElementById("overview").hidden = false;
  const back = from && document.querySelector(`#calls a[href="${from}"]`);
  if (back) back.focus();
}

function route() {
  const hash = window.location.hash;
  if (/^#call-\d+$/.test(hash)) {
    openCall(hash).then(() => {
      document.getElementById("call").dataset.hash = hash;
    });
  } else {
    asked += 1;
    showOverview();
  }
}

function theme() {
  const button = document.getElementById("theme");
  const root = document.documentElement;
  const system = window.matchMedia("(prefers-color-scheme: dark)");
  const dark = () => (root.dataset.theme ? root.dataset.theme === "dark" : system.matches);
  const told = () => {
    button.textContent = dark() ? "Light theme" : "Dark theme";
  };
  const keep = (value) => {
    try {
      if (value === undefined) return window.localStorage.getItem("gradcheck-theme");
      window.localStorage.setItem("gradcheck-theme", value);
    } catch {
      // A page opened from a file may have no storage; the theme then lasts as long as the page.
    }
    return null;
  };
  const kept = keep();
  if (kept === "dark" || kept === "light") root.dataset.theme = kept;
  button.addEventListener("click", () => {
    root.dataset.theme = dark() ? "light" : "dark";
    keep(root.dataset.theme);
    told();
  });
  system.addEventListener("change", told);
  button.hidden = false;
  told();
}

document.addEventListener("keydown", (event) => {
  if (event.key === "Escape" && !document.getElementById("call").hidden) window.location.hash = "#overview";
});
window.addEventListener("hashchange", route);
theme();
overview();
route();
