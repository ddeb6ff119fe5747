// The side panel: everything that is known of the chosen field and its feature.

const panel = byId("panel");
const wordsOfMarks = { added: "added", removed: "removed", changed: "changed", upstream: "changed by something upstream" };

function pairs(...entries) {
  const given = entries.filter(([, value]) => value !== null && value !== undefined && value !== "");
  if (!given.length) return null;
  return make("dl", {}, given.map(([name, value, isMono]) => [make("dt", {}, name), make("dd", isMono ? { class: "mono" } : {}, value)]));
}

const goTo = (id, way) => make("button", { type: "button", class: `go ${way}`, click: () => { choose(id); focusOn(id); } }, nameOf(id));
const markOf = (mark) => (mark ? make("p", { class: `mark ${mark}` }, wordsOfMarks[mark]) : null);
const plain = (value) => (typeof value === "string" ? value : JSON.stringify(value));

function fieldSection(id) {
  const [feature, field] = parts(id);
  const known = features[feature].fields[field];
  const shown = (upstream.get(id) ?? []).map((step) => step.next);
  const hidden = known.parents.filter((name) => !shown.some((next) => nameOf(next) === name));
  const below = (downstream.get(id) ?? []).map((step) => step.next);
  const far = (next) => {
    const { nodes } = reach([id], next);
    return `${count(nodes.size, "field")} in ${count(new Set([...nodes].map((at) => parts(at)[0])).size, "feature")}`;
  };
  return make("section", {},
    make("p", { class: "kind" }, "Field"),
    make("h2", {}, make("span", { class: "dim" }, `${features[feature].key}.`), known.key),
    markOf(known.mark),
    pairs(["code version", known.code_version ?? "initial", true], ["field version", known.version, true], ["renamed from", known.renamed_from, true]),
    make("h3", {}, "Computed from"),
    shown.length + hidden.length
      ? make("ul", { class: "links" }, shown.map((next) => make("li", {}, goTo(next, "up"))), hidden.map((name) => make("li", { class: "mono" }, `${name} (not shown)`)))
      : make("p", {}, "Nothing: it is brought in from outside."),
    make("h3", {}, "Computed from it"),
    below.length ? make("ul", { class: "links" }, below.map((next) => make("li", {}, goTo(next, "down")))) : make("p", {}, "Nothing yet."),
    make("p", { class: "reach" }, `All the way: ${far(upstream)} up, ${far(downstream)} down.`));
}

function stateSection(state) {
  if (!state) return null;
  const total = Math.max(1, (state.records ?? 0) + state.open.reduce((sum, [name, n]) => sum + (name === "new" || name === "waiting" ? n : 0), 0));
  let x = 0;
  const shares = state.open.map(([name, n]) => {
    const width = (100 * n) / total;
    x += width;
    return make("rect", { class: name, x: x - width, width, height: 7 });
  });
  return make("div", { class: "states" },
    make("p", {}, ...(state.records === null ? ["Records were not counted"] : [make("b", {}, number(state.records)), state.records === 1 ? " record" : " records"]), state.open.length ? "" : ", all up to date"),
    !state.open.length ? null : make("svg", { class: "bar", viewBox: "0 0 100 7", preserveAspectRatio: "none", "aria-hidden": "true" }, shares),
    state.open.length ? make("ul", { class: "counts" }, state.open.map(([name, n]) => make("li", {}, make("svg", { viewBox: "0 0 8 8", "aria-hidden": "true" }, make("circle", { class: name, cx: 4, cy: 4, r: 4 })), make("b", {}, number(n)), name))) : null);
}

function featureSection(feature) {
  const known = features[feature];
  const { owner, ...rest } = known.metadata ?? {};
  const options = (dep) => pairs(...Object.entries(dep.options).map(([name, value]) => [name, value, name !== "optional" && name !== "relation"]));
  const below = features.flatMap((other, i) => (other.upstreams.some((dep) => dep.feature === feature) ? [i] : []));
  const slash = known.key.lastIndexOf("/") + 1;
  return make("section", {},
    make("p", { class: "kind" }, "Feature"),
    make("h2", {}, make("span", { class: "dim" }, known.key.slice(0, slash)), known.key.slice(slash)),
    markOf(known.mark),
    known.description ? make("p", { class: "about" }, known.description) : null,
    stateSection(known.state),
    pairs(["owner", owner === undefined ? null : plain(owner)], ["project", known.project], ["feature version", known.version, true], ["ids", known.ids.join(", "), true]),
    known.upstreams.length + known.hidden.length ? make("h3", {}, "Upstream") : null,
    make("ul", { class: "links" },
      known.upstreams.map((dep) => make("li", {}, goTo(node(dep.feature, -1), "up"), options(dep))),
      known.hidden.map((dep) => make("li", {}, make("span", { class: "go mono" }, `${dep.key} (not shown)`), options(dep)))),
    below.length ? make("h3", {}, "Downstream") : null,
    make("ul", { class: "links" }, below.map((i) => make("li", {}, goTo(node(i, -1), "down")))),
    known.columns ? make("details", {}, make("summary", {}, count(known.columns.length, "column")), pairs(...known.columns.map(([name, type]) => [name, type, true]))) : null,
    Object.keys(rest).length ? [make("h3", {}, "Metadata"), pairs(...Object.entries(rest).map(([name, value]) => [name, plain(value)]))] : null,
    known.type || known.origin ? make("details", {}, make("summary", {}, "Source"), pairs(["type", known.type, true], ["declared", known.origin, true])) : null);
}

function fillPanel(id) {
  const [feature, field] = parts(id);
  const cross = make("svg", { class: "icon", viewBox: "0 0 16 16", "aria-hidden": "true" }, make("path", { d: "M4 4l8 8M12 4l-8 8" }));
  panel.replaceChildren(
    make("button", { type: "button", class: "close", "aria-label": "Close details", title: "Close (Esc)", click: () => { clear(); focusOn(id); } }, cross),
    ...(field < 0 ? [] : [fieldSection(id)]),
    featureSection(feature));
  panelChanges(() => { panel.hidden = false; }, id);
  panel.scrollTop = 0;
}

