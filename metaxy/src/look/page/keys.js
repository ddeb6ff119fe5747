// Mouse and keys, names for those who listen, the legend, and light or dark.

// One node of the graph is in the order of the Tab key; arrows move it.
let current = node(0, -1);

function focusOn(id, isSeen = true) {
  if (!elements.has(id)) return;
  elements.get(current)?.setAttribute("tabindex", "-1");
  current = id;
  const element = elements.get(id);
  element.setAttribute("tabindex", "0");
  element.focus({ preventScroll: true });
  if (isSeen) reveal(id);
}

for (const [id, element] of elements) {
  const [feature, field] = parts(id);
  const known = features[feature];
  const mark = (of) => (of.mark ? [wordsOfMarks[of.mark]] : []);
  const words = field < 0
    ? [known.key, "feature", count(known.fields.length, "field"), ...mark(known), ...(known.state?.records != null ? [count(known.state.records, "record")] : []), ...(known.state?.open ?? []).map(([name, n]) => `${number(n)} ${name}`)]
    : [nameOf(id), `code version ${known.fields[field].code_version ?? "initial"}`, ...mark(known.fields[field]), `computed from ${known.fields[field].parents.length}`, `${(downstream.get(id) ?? []).length} computed from it`];
  element.setAttribute("role", "button");
  element.setAttribute("tabindex", "-1");
  element.setAttribute("aria-pressed", "false");
  element.setAttribute("aria-label", words.join(", "));
}
cards.forEach((card, i) => {
  card.setAttribute("role", "group");
  card.setAttribute("aria-label", features[i].key);
});

canvas.addEventListener("click", (event) => {
  if (wasDragged) return;
  const target = event.target.closest(".field, .head") ?? event.target.closest(".card")?.querySelector(".head");
  if (!target) return clear();
  const id = node(target.dataset.f, target.dataset.p ?? -1);
  focusOn(id, false);
  if (id === chosen) clear();
  else choose(id);
});
canvas.addEventListener("dblclick", (event) => {
  if (event.target.closest(".card")) return;
  const bounds = canvas.getBoundingClientRect();
  moveTo(zoomed(1.6, event.clientX - bounds.left, event.clientY - bounds.top));
});

// The card above or below, in the same column.
function beside(feature, way) {
  const [x, y, width] = features[feature].box;
  const near = features
    .map((other, i) => ({ i, box: other.box }))
    .filter(({ i, box }) => i !== feature && box[0] < x + width && box[0] + box[2] > x && (box[1] - y) * way > 0)
    .sort((a, b) => (a.box[1] - b.box[1]) * way);
  return near[0]?.i;
}

function step(id, way) {
  const [feature] = parts(id);
  const own = nodesOf(feature);
  const next = own[own.indexOf(id) + way];
  if (next) return next;
  const other = beside(feature, way);
  if (other === undefined) return id;
  return way > 0 ? node(other, -1) : nodesOf(other).at(-1);
}

// Along a line; where the field has none, along one of its feature.
function follow(id, next) {
  const [feature] = parts(id);
  const lines = [id, ...nodesOf(feature)].map((at) => next.get(at) ?? []).find((steps) => steps.length);
  if (!lines) return id;
  const place = ({ next: to }) => features[parts(to)[0]].box[1] + parts(to)[1];
  const nearest = lines.map((line) => line.next).sort((a, b) => place({ next: a }) - place({ next: b }))[0];
  return parts(id)[1] < 0 ? node(parts(nearest)[0], -1) : nearest;
}

const [onLeft, onRight] = data.reversed ? [downstream, upstream] : [upstream, downstream];
const moves = {
  ArrowDown: () => step(current, 1),
  ArrowUp: () => step(current, -1),
  ArrowLeft: () => follow(current, onLeft),
  ArrowRight: () => follow(current, onRight),
  Home: () => node(0, -1),
  End: () => node(features.length - 1, -1),
};
const pans = { ArrowDown: [0, -80], ArrowUp: [0, 80], ArrowLeft: [80, 0], ArrowRight: [-80, 0] };

graphElement.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || !event.target.closest?.("#canvas")) return;
  if (event.shiftKey && pans[event.key]) {
    const [x, y] = pans[event.key];
    Object.assign(view, { x: view.x + x, y: view.y + y });
    show();
  } else if (moves[event.key]) focusOn(moves[event.key]());
  else if (event.key === "Enter" || event.key === " ") choose(current);
  else return;
  event.preventDefault();
});

const keys = {
  "/": () => { search.focus(); search.select(); },
  "+": () => moveTo(zoomed(1.3)),
  "=": () => moveTo(zoomed(1.3)),
  "-": () => moveTo(zoomed(1 / 1.3)),
  0: () => moveTo(everything()),
  l: () => byId("legend-switch").click(),
  t: () => byId("theme").click(),
  "?": () => byId("help").showModal(),
  Escape: () => {
    const wasInside = panel.contains(document.activeElement);
    clear();
    if (wasInside) focusOn(current, false);
  },
};
document.addEventListener("keydown", (event) => {
  const isTyping = event.target.closest?.("input, dialog");
  const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
  if (isTyping || event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented || !keys[key]) return;
  event.preventDefault();
  keys[key]();
});
byId("help-switch").addEventListener("click", keys["?"]);

// Light, dark, or as the system: remembered where the browser lets one.
const themes = ["", "light", "dark"];
const remembered = (() => { try { return localStorage.getItem("metaxy-theme"); } catch { return null; } })();
function setTheme(theme) {
  if (theme) document.documentElement.dataset.theme = theme;
  else delete document.documentElement.dataset.theme;
  try { localStorage.setItem("metaxy-theme", theme); } catch { /* A page from a file may have no memory. */ }
}
if (themes.includes(remembered)) setTheme(remembered);
byId("theme").addEventListener("click", () => {
  // The first press changes what one sees.
  const isDark = matchMedia("(prefers-color-scheme: dark)").matches;
  const order = isDark ? ["", "light", "dark"] : ["", "dark", "light"];
  const theme = order[(order.indexOf(document.documentElement.dataset.theme ?? "") + 1) % order.length];
  setTheme(theme);
  say(theme ? `${theme} colours` : "colours as the system");
});

// The legend has what occurs.
const line = (...classes) => make("svg", { "aria-hidden": "true" }, make("path", { class: ["edge", ...classes].join(" "), d: "M0 5H26" }));
const dot = (name) => make("svg", { "aria-hidden": "true", viewBox: "0 0 26 10" }, make("circle", { class: name, cx: 13, cy: 5, r: 4 }));
const has = (selector) => canvas.querySelector(selector) !== null;
const kinds = [
  [".edge.identity", ["identity"], "one to one"],
  [".edge.aggregation", ["aggregation"], "aggregation, N:1"],
  [".edge.expansion", ["expansion"], "expansion, 1:N"],
  [".edge.optional", ["identity", "optional"], "optional"],
  [".edge.whole", ["identity", "whole"], "no field depends on it"],
].filter(([selector]) => has(selector)).map(([, classes, text]) => make("li", {}, line(...classes), text));
const states = ["new", "stale", "blocked", "waiting", "orphaned"].filter((name) => has(`.foot .${name}`)).map((name) => make("li", {}, dot(name), name));
const signs = { added: "+", removed: "-", changed: "~", upstream: "^" };
const marks = Object.keys(signs).filter((name) => has(`.${name}`)).map((name) => make("li", {}, make("span", { class: `sign ${name}` }, signs[name]), wordsOfMarks[name]));
const ways = [make("li", {}, "click a field:"), make("li", { class: "way up" }, "what it is computed from"), make("li", { class: "way down" }, "what is computed from it")];
byId("legend").append(...[kinds, states, marks, ways].filter((items) => items.length).map((items) => make("ul", {}, items)));
byId("legend-switch").addEventListener("click", () => {
  const legend = byId("legend");
  legend.hidden = !legend.hidden;
  byId("legend-switch").setAttribute("aria-expanded", String(!legend.hidden));
});

const nFields = features.reduce((sum, feature) => sum + feature.fields.length, 0);
byId("size").textContent = `${count(features.length, "feature")}, ${count(nFields, "field")}`;
if (features.length) {
  elements.get(current).setAttribute("tabindex", "0");
  begin();
}
