// One axis of parallel coordinates in SVG: where values lie, ticks, and the range a reader drags.
import { colour, fade } from "./theme.js";

const SPACE = "http://www.w3.org/2000/svg";
export const TOP = 34;
export const BOTTOM = 18;

/** An SVG element with attributes and text. */
export function make(tag, attributes, parent, text) {
  const node = document.createElementNS(SPACE, tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  if (text != null) node.textContent = text;
  parent?.append(node);
  return node;
}

const CHARS = 16;
const LEAST_APART = 12;

/** What stands at a tick: a number short enough to be read. */
export const wordsOf = (tick) => (typeof tick === "number" ? String(Number(tick.toPrecision(4))) : String(tick)).slice(0, CHARS);

/** Ticks that do not write over one another: the ends first, then those between with room. */
function apart(ticks, at) {
  const kept = [];
  for (const tick of [ticks.at(-1), ticks[0], ...ticks.slice(1, -1)]) {
    if (tick !== undefined && kept.every((other) => Math.abs(at(other) - at(tick)) >= LEAST_APART)) kept.push(tick);
  }
  return kept;
}

/** Where a value lies on its axis, in pixels from the top, and which value lies at a pixel. */
export function scaleOf(dim, height) {
  const length = height - TOP - BOTTOM;
  if (dim.cats) {
    const last = dim.cats.length - 1;
    return { at: (value) => TOP + length * (last ? dim.cats.indexOf(value) / last : 0.5) };
  }
  const f = dim.log ? Math.log10 : (value) => value;
  const low = f(dim.min);
  const span = f(dim.max) - low;
  const back = dim.log ? (value) => 10 ** value : (value) => value;
  return {
    at: (value) => TOP + length * (span ? 1 - (f(value) - low) / span : 0.5),
    value: (y) => back(low + span * (1 - (y - TOP) / length)),
  };
}

/** The range between two pixels of an axis. */
function rangeAt(dim, scale, from, to) {
  if (dim.cats) return { cats: dim.cats.filter((cat) => scale.at(cat) >= from && scale.at(cat) <= to) };
  return { low: scale.value(to), high: scale.value(from) };
}

/** Pixels of a range. */
function pixelsOf(dim, scale, range) {
  if (!dim.cats) return [scale.at(range.high), scale.at(range.low)];
  const places = range.cats.map(scale.at);
  return places.length ? [Math.min(...places) - 6, Math.max(...places) + 6] : [TOP, TOP];
}

/** Draw an axis; `changed(range or null)` is called while the reader drags or clicks it. */
export function drawAxis(svg, dim, { height, x, scale, last, range, changed }) {
  const group = make("g", { transform: `translate(${x} 0)` }, svg);
  const end = height - BOTTOM;
  make("text", { y: 14, "text-anchor": "middle", "font-size": 11, "font-weight": 600, fill: colour("ink") }, group, dim.label.slice(0, 18));
  make("line", { y1: TOP, y2: end, stroke: colour("line-2") }, group);
  const marks = apart(dim.cats || dim.ticks, scale.at);
  for (const tick of marks) {
    const y = scale.at(tick);
    make("line", { x1: -3, x2: 3, y1: y, y2: y, stroke: colour("ink-3") }, group);
    make("text", {
      x: last ? 8 : -7, y: y + 3.5, "text-anchor": last ? "start" : "end", "font-size": 10.5, fill: colour("ink-2"),
      stroke: colour("surface"), "stroke-width": 3, "paint-order": "stroke", "pointer-events": "none",
    }, group, wordsOf(tick));
  }
  const box = make("rect", { x: -7, width: 14, rx: 3, fill: fade(colour("accent"), 0.18), stroke: colour("accent") }, group);
  const show = (kept) => {
    box.setAttribute("display", kept ? "" : "none");
    if (!kept) return;
    const [from, to] = pixelsOf(dim, scale, kept);
    box.setAttribute("y", from);
    box.setAttribute("height", Math.max(1, to - from));
  };
  const hit = make("rect", { x: -14, width: 28, y: TOP - 6, height: end - TOP + 12, fill: "transparent", cursor: "ns-resize" }, group);
  const at = (event) => Math.max(TOP, Math.min(end, event.clientY - svg.getBoundingClientRect().top));
  let from = null;
  hit.addEventListener("pointerdown", (event) => { from = at(event); hit.setPointerCapture(event.pointerId); });
  hit.addEventListener("pointermove", (event) => {
    if (from === null) return;
    const kept = rangeAt(dim, scale, Math.min(from, at(event)), Math.max(from, at(event)));
    show(kept);
    changed(kept, false);
  });
  hit.addEventListener("pointerup", (event) => {
    if (from === null) return;
    const kept = Math.abs(at(event) - from) < 4 ? null : rangeAt(dim, scale, Math.min(from, at(event)), Math.max(from, at(event)));
    from = null;
    show(kept);
    changed(kept, true);
  });
  show(range);
}
