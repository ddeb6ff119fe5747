// Search in keys, fields, descriptions, projects and metadata. All words have to occur.

const search = byId("search");
const results = byId("results");
const found = byId("found");
const MOST = 80;
let active = -1;

const entries = features.flatMap((feature, i) => {
  const texts = [
    ["description", feature.description],
    ["project", feature.project],
    ...Object.entries(feature.metadata ?? {}).map(([name, value]) => [name, plain(value)]),
  ].filter(([, text]) => text);
  const fields = feature.fields.map((field, p) => ({ id: node(i, p), name: nameOf(node(i, p)), own: field.key.toLowerCase(), texts: [] }));
  return [{ id: node(i, -1), name: feature.key, own: feature.key.toLowerCase(), texts }, ...(data.fields ? fields : [])];
});
for (const entry of entries) entry.all = [entry.name, ...entry.texts.map(([, text]) => text)].join("\n").toLowerCase();

function matches(words) {
  const rank = (entry) => (words.every((word) => entry.own.includes(word)) ? 0 : words.every((word) => entry.name.toLowerCase().includes(word)) ? 1 : 2);
  return entries
    .filter((entry) => words.every((word) => entry.all.includes(word)))
    .map((entry, order) => ({ entry, rank: rank(entry), order }))
    .sort((a, b) => a.rank - b.rank || a.order - b.order)
    .map(({ entry }) => entry);
}

// The text with the words marked.
function marked(text, words) {
  const low = text.toLowerCase();
  const pieces = [];
  for (let at = 0; at < text.length; ) {
    const next = words.map((word) => ({ word, from: low.indexOf(word, at) })).filter(({ from }) => from >= 0).sort((a, b) => a.from - b.from || b.word.length - a.word.length)[0];
    // Letters that change their length in lower case are not worth a mark in the wrong place.
    if (!next || low.length !== text.length) { pieces.push(text.slice(at)); break; }
    pieces.push(text.slice(at, next.from), make("mark", {}, text.slice(next.from, next.from + next.word.length)));
    at = next.from + next.word.length;
  }
  return pieces;
}

function find() {
  const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
  const hits = words.length ? matches(words) : [];
  canvas.classList.toggle("searching", words.length > 0);
  const hitFeatures = new Set(hits.map(({ id }) => parts(id)[0]));
  cards.forEach((card, i) => card.classList.toggle("hit", hitFeatures.has(i)));
  found.replaceChildren(...hits.slice(0, MOST).map(({ id, name, texts }, i) => {
    const why = texts.find(([, text]) => words.some((word) => text.toLowerCase().includes(word) && !name.toLowerCase().includes(word)));
    const about = why ? [`${why[0]}: `, ...marked(why[1].replace(/\s+/g, " "), words)] : [parts(id)[1] < 0 ? "feature" : "field"];
    return make("li", { role: "option", id: `found-${i}`, "data-id": id, "aria-selected": "false", click: () => take(id) },
      make("span", { class: "what" }, marked(name, words)), make("span", { class: "why" }, about));
  }));
  byId("count").textContent = hits.length ? `${count(hits.length, "match").replace("matchs", "matches")}${hits.length > MOST ? `, the first ${MOST}` : ""}` : "Nothing has all of these words";
  results.hidden = words.length === 0;
  search.setAttribute("aria-expanded", String(words.length > 0));
  if (words.length) say(byId("count").textContent);
  activate(hits.length ? 0 : -1);
}

function activate(i) {
  active = i;
  [...found.children].forEach((item, at) => item.setAttribute("aria-selected", String(at === i)));
  if (i < 0) return search.removeAttribute("aria-activedescendant");
  search.setAttribute("aria-activedescendant", `found-${i}`);
  found.children[i].scrollIntoView({ block: "nearest" });
}

function endSearch() {
  search.value = "";
  find();
}

function take(id) {
  endSearch();
  choose(id);
  focusOn(id);
}

search.addEventListener("input", find);
search.addEventListener("keydown", (event) => {
  const n = found.children.length;
  if (event.key === "ArrowDown" && n) activate((active + 1) % n);
  else if (event.key === "ArrowUp" && n) activate((active + n - 1) % n);
  else if (event.key === "Enter" && active >= 0) take(found.children[active].dataset.id);
  else if (event.key === "Escape" && search.value) endSearch();
  else if (event.key === "Escape") focusOn(current);
  else return;
  event.preventDefault();
  event.stopPropagation();
});
document.addEventListener("pointerdown", (event) => {
  if (!event.target.closest(".search")) results.hidden = true;
});
search.addEventListener("focus", () => { results.hidden = !search.value; });

