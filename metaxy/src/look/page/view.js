// Where one looks: zoom and pan, and the small map of everything.

const world = byId("world");
const graphElement = byId("graph");
const view = { x: 0, y: 0, scale: 1 };
const SMALLEST = 0.03;
const LARGEST = 3;
const isCalm = matchMedia("(prefers-reduced-motion: reduce)");

const extent = features.reduce(
  (all, { box: [x, y, width, height] }) => ({ width: Math.max(all.width, x + width + 32), height: Math.max(all.height, y + height + 32) }),
  { width: 64, height: 64 },
);
// The page zooms by itself; the fixed view is for those without a script.
canvas.removeAttribute("viewBox");

function show() {
  world.setAttribute("transform", `translate(${view.x} ${view.y}) scale(${view.scale})`);
  canvas.classList.toggle("far", view.scale < 0.42);
  byId("zoom").textContent = `${Math.round(view.scale * 100)}%`;
  const { clientWidth: width, clientHeight: height } = graphElement;
  const seen = byId("map-view");
  seen.setAttribute("x", -view.x / view.scale);
  seen.setAttribute("y", -view.y / view.scale);
  seen.setAttribute("width", width / view.scale);
  seen.setAttribute("height", height / view.scale);
  byId("map").style.visibility = isWhole() ? "hidden" : "visible";
}

function isWhole() {
  const { clientWidth: width, clientHeight: height } = graphElement;
  return view.x >= -1 && view.y >= -1 && view.x + extent.width * view.scale <= width + 1 && view.y + extent.height * view.scale <= height + 1;
}

// The side panel takes a part of the width: what was seen as a whole stays so, a node stays in sight.
function panelChanges(change, id) {
  const [width, wasWhole] = [graphElement.clientWidth, isWhole()];
  change();
  if (graphElement.clientWidth === width) return;
  if (wasWhole) moveTo(everything());
  else if (id) reveal(id);
}

let moving = 0;
function moveTo(target) {
  cancelAnimationFrame(moving);
  const from = { ...view };
  const begin = performance.now();
  const step = (now) => {
    const part = isCalm.matches ? 1 : Math.min(1, Math.max(0, now - begin) / 220);
    const eased = 1 - (1 - part) ** 3;
    for (const key of ["x", "y", "scale"]) view[key] = from[key] + (target[key] - from[key]) * eased;
    show();
    if (part < 1) moving = requestAnimationFrame(step);
  };
  if (isCalm.matches) step(begin);
  else moving = requestAnimationFrame(step);
}

function zoomed(factor, x = graphElement.clientWidth / 2, y = graphElement.clientHeight / 2) {
  const scale = Math.min(LARGEST, Math.max(SMALLEST, view.scale * factor));
  const by = scale / view.scale;
  return { scale, x: x - (x - view.x) * by, y: y - (y - view.y) * by };
}

function everything() {
  const { clientWidth: width, clientHeight: height } = graphElement;
  const legend = byId("legend");
  const below = legend.hidden ? 0 : legend.offsetHeight + 14;
  const scale = Math.max(SMALLEST, Math.min(1.3, width / extent.width, (height - below) / extent.height));
  return { scale, x: (width - extent.width * scale) / 2, y: Math.max(0, (height - below - extent.height * scale) / 2) };
}

// A graph that cannot be read as a whole is first seen where it begins.
function begin() {
  const whole = everything();
  if (whole.scale >= 0.5) return Object.assign(view, whole), show();
  const roots = features.filter((feature) => feature.upstreams.length === 0);
  const first = (roots.length ? roots : features)[0].box;
  const { clientHeight: height } = graphElement;
  Object.assign(view, { scale: 0.75, x: 24 - first[0] * 0.75, y: height / 2 - (first[1] + first[3] / 2) * 0.75 });
  show();
}

// A node that is out of sight, or near it, comes to the middle.
function reveal(id) {
  const [feature, field] = parts(id);
  const [x, y, width, height] = features[feature].box;
  const scale = Math.max(view.scale, 0.55);
  const target = scale === view.scale ? { ...view } : zoomed(scale / view.scale);
  const top = field < 0 ? y : y + 46 + field * 24 - 24;
  const bottom = field < 0 ? Math.min(y + height, y + 46) : top + 72;
  const fit = (low, high, size, offset) => {
    const [begin, end] = [low * scale + offset, high * scale + offset];
    return begin < 40 || end > size - 40 ? offset + (size - begin - end) / 2 : offset;
  };
  target.x = fit(x, x + width, graphElement.clientWidth, target.x);
  target.y = fit(top, bottom, graphElement.clientHeight, target.y);
  moveTo(target);
}

// Dragging moves, two fingers zoom, the wheel zooms at the pointer, with Shift it moves.
const pointers = new Map();
let wasDragged = false;
canvas.addEventListener("pointerdown", (event) => {
  if (event.button !== 0) return;
  cancelAnimationFrame(moving);
  if (pointers.size === 0) wasDragged = false;
  pointers.set(event.pointerId, { x: event.clientX, y: event.clientY, far: 0 });
});
canvas.addEventListener("pointermove", (event) => {
  const last = pointers.get(event.pointerId);
  if (!last) return;
  const now = { x: event.clientX, y: event.clientY };
  const far = last.far + Math.hypot(now.x - last.x, now.y - last.y);
  if (far > 4 && !wasDragged) {
    wasDragged = true;
    canvas.setPointerCapture(event.pointerId);
    canvas.classList.add("moving");
  }
  const others = [...pointers].filter(([id]) => id !== event.pointerId).map(([, pointer]) => pointer);
  pointers.set(event.pointerId, { ...now, far });
  if (!wasDragged) return;
  if (others.length === 0) {
    view.x += now.x - last.x;
    view.y += now.y - last.y;
  } else {
    const bounds = canvas.getBoundingClientRect();
    const apart = (a) => Math.hypot(a.x - others[0].x, a.y - others[0].y);
    const [x, y] = [(now.x + others[0].x) / 2 - bounds.left, (now.y + others[0].y) / 2 - bounds.top];
    Object.assign(view, zoomed(apart(now) / Math.max(1, apart(last)), x, y));
  }
  show();
});
for (const end of ["pointerup", "pointercancel"]) {
  canvas.addEventListener(end, (event) => {
    pointers.delete(event.pointerId);
    canvas.classList.remove("moving");
  });
}
canvas.addEventListener("wheel", (event) => {
  event.preventDefault();
  cancelAnimationFrame(moving);
  const unit = event.deltaMode === 1 ? 16 : 1;
  if (event.shiftKey) {
    view.x -= (event.deltaX || event.deltaY) * unit;
  } else {
    const bounds = canvas.getBoundingClientRect();
    const factor = Math.exp(-event.deltaY * unit * (event.ctrlKey ? 0.01 : 0.0016));
    Object.assign(view, zoomed(factor, event.clientX - bounds.left, event.clientY - bounds.top));
  }
  show();
}, { passive: false });

byId("zoom-in").addEventListener("click", () => moveTo(zoomed(1.3)));
byId("zoom-out").addEventListener("click", () => moveTo(zoomed(1 / 1.3)));
byId("fit").addEventListener("click", () => moveTo(everything()));
addEventListener("resize", show);

const map = byId("map");
map.setAttribute("viewBox", `0 0 ${extent.width} ${extent.height}`);
byId("map-cards").setAttribute("d", features.map(({ box: [x, y, w, h] }) => `M${x} ${y}h${w}v${h}h${-w}z`).join(""));
const look = (event) => {
  const at = new DOMPoint(event.clientX, event.clientY).matrixTransform(map.getScreenCTM().inverse());
  view.x = graphElement.clientWidth / 2 - at.x * view.scale;
  view.y = graphElement.clientHeight / 2 - at.y * view.scale;
  show();
};
map.addEventListener("pointerdown", (event) => { map.setPointerCapture(event.pointerId); look(event); });
map.addEventListener("pointermove", (event) => { if (event.buttons) look(event); });

