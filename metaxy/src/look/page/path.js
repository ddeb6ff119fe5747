// What is chosen: its ways up and down light up, everything else steps back.

let chosen = null;

function unlight() {
  for (const element of [...cards, ...elements.values(), ...lines]) element.classList.remove("lit", "up", "down", "chosen");
  if (chosen) elements.get(chosen).setAttribute("aria-pressed", "false");
}

function light(id, way) {
  const element = elements.get(id);
  element.classList.add("lit", way);
  cards[parts(id)[0]].classList.add("lit");
}

function choose(id) {
  unlight();
  chosen = id;
  const [feature, field] = parts(id);
  const starts = field < 0 ? nodesOf(feature) : [id];
  const above = reach(starts, upstream);
  const below = reach(starts, downstream);
  for (const at of above.nodes) light(at, "up");
  for (const at of below.nodes) light(at, "down");
  for (const edge of above.edges) lines[edge].classList.add("lit", "up");
  for (const edge of below.edges) lines[edge].classList.add("lit", "down");
  for (const at of starts) light(at, at === id ? "chosen" : "lit");
  elements.get(id).setAttribute("aria-pressed", "true");
  canvas.classList.add("following");
  fillPanel(id);
  const words = field < 0 ? "" : `${count(above.nodes.size, "field")} upstream, ${count(below.nodes.size, "field")} downstream`;
  say(`${nameOf(id)}${words && ": "}${words}`);
}

function clear() {
  unlight();
  chosen = null;
  canvas.classList.remove("following");
  panelChanges(() => { panel.hidden = true; });
}

