// What there is: features, fields and lines, as data and as elements, and who is reached from where.
// A node is "feature.field", and "feature.-1" for the feature itself.

const byId = (id) => document.getElementById(id);
const data = JSON.parse(byId("data").textContent);
const { features, edges } = data;
const node = (feature, field) => `${feature}.${field}`;

const canvas = byId("canvas");
const cards = [...canvas.querySelectorAll(".card")];
const elements = new Map();
for (const head of canvas.querySelectorAll(".head")) elements.set(node(head.dataset.f, -1), head);
for (const row of canvas.querySelectorAll(".field")) elements.set(node(row.dataset.f, row.dataset.p), row);
const lines = [...canvas.querySelectorAll(".edge")];

const upstream = new Map();
const downstream = new Map();
edges.forEach(([from, fromField, to, toField], edge) => {
  const [above, below] = [node(from, fromField), node(to, toField)];
  for (const [map, at, next] of [[upstream, below, above], [downstream, above, below]]) {
    if (!map.has(at)) map.set(at, []);
    map.get(at).push({ next, edge });
  }
});

const parts = (id) => id.split(".").map(Number);
const nameOf = (id) => {
  const [feature, field] = parts(id);
  const key = features[feature].key;
  return field < 0 ? key : `${key}.${features[feature].fields[field].key}`;
};
const idsByName = new Map([...elements.keys()].map((id) => [nameOf(id), id]));

// All nodes of a feature: itself and its fields.
const nodesOf = (feature) =>
  [-1, ...features[feature].fields.keys()].map((field) => node(feature, field)).filter((id) => elements.has(id));

// What is reached from some nodes in one direction, without these.
function reach(starts, next) {
  const nodes = new Set();
  const passed = new Set();
  const seen = new Set(starts);
  const open = [...starts];
  while (open.length) {
    for (const step of next.get(open.pop()) ?? []) {
      passed.add(step.edge);
      if (seen.has(step.next)) continue;
      seen.add(step.next);
      nodes.add(step.next);
      open.push(step.next);
    }
  }
  return { nodes, edges: passed };
}

const number = (n) => n.toLocaleString("en");
const count = (n, word) => `${number(n)} ${word}${n === 1 ? "" : "s"}`;
const say = (text) => { byId("said").textContent = text; };

// An element with attributes and children; texts stay texts.
function make(name, attributes = {}, ...children) {
  const isDrawn = ["svg", "rect", "circle", "path"].includes(name);
  const element = isDrawn ? document.createElementNS("http://www.w3.org/2000/svg", name) : document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key === "click") element.addEventListener("click", value);
    else if (value !== null && value !== undefined) element.setAttribute(key, value);
  }
  element.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined));
  return element;
}

