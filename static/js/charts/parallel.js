// Parallel coordinates in SVG: <div class="pc" data-behaviour="parallel" data-src="#source" data-part data-count="#output"
// data-filter="#input">. A path a run; drag along an axis to keep a range, click it to clear. The ranges are the text
// of the filter field, which may be typed instead; all charts of the page show what is kept.
import { $, announce, behaviour } from "../behaviour.js";
import { failed, load } from "./data.js";
import { drawAxis, make, scaleOf, wordsOf } from "./parallel-axis.js";
import { keeps, rangesOf, textOf } from "./ranges.js";
import { isHidden, keepOnly } from "./shown.js";
import { ofRun } from "./theme.js";
import { turn, whenShown } from "./turns.js";

const SIDE = 62;
const CHAR = 6.6; // pixels of a letter of a tick
const DASHES = ["", "6 3", "2 3", "8 3 2 3"];

behaviour("parallel", async (box) => {
  const field = $(box.dataset.filter);
  let data;
  try {
    if (!field?.value) await whenShown(box); // ranges of the address are those of all charts
    const source = await load(box.dataset.src);
    data = box.dataset.part ? source[box.dataset.part] : source;
    await turn();
    if (!data || !data.rows.length) throw new Error("No run has a value on every axis.");
  } catch (error) {
    failed(box, error);
    return;
  }
  let ranges = rangesOf(data.dims, field?.value || "");
  let paths = [];

  const inRanges = (row) => [...ranges].every(([i, range]) => keeps(range, row.v[i]));
  function paint() {
    let kept = 0;
    for (const [path, row] of paths) {
      const on = inRanges(row) && !isHidden(row.id);
      kept += on;
      path.setAttribute("display", on ? "" : "none");
    }
    const count = $(box.dataset.count);
    if (count) count.textContent = `${kept} of ${data.rows.length} runs`;
    return kept;
  }
  function settle() {
    const kept = paint();
    keepOnly(ranges.size ? new Set(data.rows.filter(inRanges).map((row) => row.id)) : null);
    const address = new URL(location.href);
    const text = textOf(data.dims, ranges);
    if (text) address.searchParams.set("keep", text); else address.searchParams.delete("keep");
    history.replaceState(null, "", address);
    announce(ranges.size ? `${kept} of ${data.rows.length} runs kept` : "All runs kept");
  }
  function draw() {
    if (!box.clientHeight) return; // hidden behind its table: drawn when it is shown again
    const width = Math.max(box.clientWidth, 110 * data.dims.length);
    const height = box.clientHeight;
    const room = (dim) => Math.max(SIDE, 14 + CHAR * Math.max(...(dim.cats || dim.ticks).map((tick) => wordsOf(tick).length)));
    const [left, right] = [room(data.dims[0]), room(data.dims.at(-1))];
    const place = (i) => left + (i * (width - left - right)) / (data.dims.length - 1);
    const scales = data.dims.map((dim) => scaleOf(dim, height));
    const svg = make("svg", { width, height, viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": data.label });
    const back = make("g", { fill: "none", "stroke-width": 1 }, svg);
    const front = make("g", { fill: "none", "stroke-width": 2 }, svg);
    paths = data.rows.map((row) => [make("path", {
      d: row.v.map((v, i) => `${i ? "L" : "M"}${place(i).toFixed(1)} ${scales[i].at(v).toFixed(1)}`).join(""),
      stroke: ofRun(row.k), "stroke-opacity": row.k ? 1 : 0.45, "stroke-dasharray": row.k ? DASHES[row.dash] : "",
      "data-tip": row.name,
    }, row.k ? front : back), row]);
    data.dims.forEach((dim, i) => drawAxis(svg, dim, {
      height, x: place(i), scale: scales[i], last: i === data.dims.length - 1, range: ranges.get(i),
      changed(range, done) {
        if (range) ranges.set(i, range); else ranges.delete(i);
        if (field) field.value = textOf(data.dims, ranges);
        if (done) settle(); else paint();
      },
    }));
    svg.addEventListener("pointerover", (event) => event.target.closest("path")?.setAttribute("stroke-width", 3));
    svg.addEventListener("pointerout", (event) => event.target.closest("path")?.removeAttribute("stroke-width"));
    box.replaceChildren(svg);
    box.removeAttribute("aria-busy");
    paint();
  }

  draw();
  if (ranges.size) settle();
  for (const name of ["themechange", "chartcolours", "runschanged", "fullscreenchange"]) document.addEventListener(name, draw);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
  field?.addEventListener("change", () => { ranges = rangesOf(data.dims, field.value); draw(); settle(); });
  $(box.dataset.clear)?.addEventListener("click", () => {
    ranges.clear();
    if (field) field.value = "";
    draw();
    settle();
  });
  let width = box.clientWidth;
  new ResizeObserver(() => { if (Math.abs(box.clientWidth - width) > 4) { width = box.clientWidth; draw(); } }).observe(box);
});
