// Parallel coordinates in SVG: <div class="pc" data-behaviour="parallel" data-src="#json" data-count="#output">.
// A path a run; drag along an axis to keep a range, click it to clear. Arrow keys move a focused range.
import { $, announce, behaviour } from "../behaviour.js";
import { dataOf } from "./data.js";
import { colour, fade, ofRun } from "./theme.js";

const SPACE = "http://www.w3.org/2000/svg";
const TOP = 34;
const BOTTOM = 18;
const SIDE = 62;
const DASHES = ["", "6 3", "2 3", "8 3 2 3"];

function make(tag, attributes, parent, text) {
  const node = document.createElementNS(SPACE, tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  if (text != null) node.textContent = text;
  parent?.append(node);
  return node;
}

/** Where a value lies on its axis, in pixels from the top. */
function scaleOf(dim, height) {
  const length = height - TOP - BOTTOM;
  if (dim.cats) {
    const last = dim.cats.length - 1;
    return (value) => TOP + length * (last ? dim.cats.indexOf(value) / last : 0.5);
  }
  const f = dim.log ? Math.log10 : (value) => value;
  const low = f(dim.min);
  const span = f(dim.max) - low;
  return (value) => TOP + length * (span ? 1 - (f(value) - low) / span : 0.5);
}

behaviour("parallel", (box) => {
  const data = dataOf(box.dataset.src);
  const brushes = new Map();

  function draw() {
    const width = Math.max(box.clientWidth, 110 * data.dims.length);
    const height = box.clientHeight;
    if (data.dims.length < 2) return;
    const place = (i) => SIDE + (i * (width - 2 * SIDE)) / (data.dims.length - 1);
    const scales = data.dims.map((dim) => scaleOf(dim, height));
    const svg = make("svg", { width, height, viewBox: `0 0 ${width} ${height}`, role: "group", "aria-label": data.label });
    const back = make("g", { fill: "none", "stroke-width": 1 }, svg);
    const front = make("g", { fill: "none", "stroke-width": 2 }, svg);
    const paths = data.rows.map((row) => [make("path", {
      d: row.v.map((v, i) => `${i ? "L" : "M"}${place(i).toFixed(1)} ${scales[i](v).toFixed(1)}`).join(""),
      stroke: ofRun(row.k), "stroke-opacity": row.k ? 1 : 0.45, "stroke-dasharray": row.k ? DASHES[row.dash] : "",
      "data-tip": row.name,
    }, row.k ? front : back), row]);

    const keeps = (row) => [...brushes].every(([i, [from, to]]) => {
      const y = scales[i](row.v[i]);
      return y >= from && y <= to;
    });
    function paint() {
      let kept = 0;
      for (const [path, row] of paths) {
        const on = keeps(row) && !row.hidden;
        kept += on;
        path.setAttribute("display", on ? "" : "none");
      }
      const count = $(box.dataset.count);
      if (count) count.textContent = `${kept} of ${data.rows.length} runs`;
    }
    data.dims.forEach((dim, i) => axis(svg, dim, i, { height, x: place(i), scale: scales[i], brushes, paint, last: i === data.dims.length - 1 }));
    svg.addEventListener("pointerover", (event) => event.target.closest("path")?.setAttribute("stroke-width", 3));
    svg.addEventListener("pointerout", (event) => event.target.closest("path")?.removeAttribute("stroke-width"));
    box.replaceChildren(svg);
    paint();
  }

  draw();
  document.addEventListener("themechange", draw);
  document.addEventListener("chartcolours", draw);
  document.addEventListener("runshidden", draw);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
  $(box.dataset.clear)?.addEventListener("click", () => { brushes.clear(); draw(); announce("All ranges cleared"); });
  let width = box.clientWidth;
  new ResizeObserver(() => { if (Math.abs(box.clientWidth - width) > 4) { width = box.clientWidth; draw(); } }).observe(box);
});

function axis(svg, dim, i, { height, x, scale, brushes, paint, last }) {
  const group = make("g", { transform: `translate(${x} 0)` }, svg);
  const end = height - BOTTOM;
  make("text", { y: 14, "text-anchor": "middle", "font-size": 11, "font-weight": 600, fill: colour("ink") }, group, dim.label.slice(0, 18));
  make("line", { y1: TOP, y2: end, stroke: colour("line-2") }, group);
  for (const tick of dim.cats || dim.ticks) {
    const y = scale(tick);
    make("line", { x1: -3, x2: 3, y1: y, y2: y, stroke: colour("ink-3") }, group);
    make("text", {
      x: last ? 8 : -7, y: y + 3.5, "text-anchor": last ? "start" : "end", "font-size": 10.5, fill: colour("ink-2"),
      stroke: colour("surface"), "stroke-width": 3, "paint-order": "stroke", "pointer-events": "none",
    }, group, String(tick).slice(0, 16));
  }
  const range = make("rect", { x: -7, width: 14, rx: 3, fill: fade(colour("accent"), 0.18), stroke: colour("accent") }, group);
  const show = () => {
    const kept = brushes.get(i);
    range.setAttribute("display", kept ? "" : "none");
    if (kept) { range.setAttribute("y", kept[0]); range.setAttribute("height", Math.max(1, kept[1] - kept[0])); }
    paint();
  };
  const hit = make("rect", { x: -14, width: 28, y: TOP - 6, height: end - TOP + 12, fill: "transparent", cursor: "ns-resize" }, group);
  const at = (event) => Math.max(TOP - 4, Math.min(end + 4, event.clientY - svg.getBoundingClientRect().top));
  let from = null;
  hit.addEventListener("pointerdown", (event) => { from = at(event); hit.setPointerCapture(event.pointerId); });
  hit.addEventListener("pointermove", (event) => {
    if (from == null) return;
    brushes.set(i, [Math.min(from, at(event)), Math.max(from, at(event))]);
    show();
  });
  hit.addEventListener("pointerup", (event) => {
    if (Math.abs(at(event) - from) < 4) { brushes.delete(i); show(); }
    from = null;
  });
  show();
}
