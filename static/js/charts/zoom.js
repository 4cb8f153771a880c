// Zoom of curves: the server is asked for finer points of the range that is looked at; a double click
// or "Reset zoom" goes back. <div class="plot" data-zoom data-src data-metric>; data-zoom may name the address to ask,
// else it is that of the source.
import { $, announce } from "../behaviour.js";
import { ask } from "./data.js";

const WAIT_MS = 150;
const followed = new WeakSet();

const toNumber = (value) => (typeof value === "string" ? Date.parse(value.includes("T") ? value : `${value.replace(" ", "T")}Z`) : Number(value));

/** Ask for finer points whenever the reader changes the x range of a drawn chart. */
export function follow(element, draw) {
  if (followed.has(element)) return;
  followed.add(element);
  let waiting = 0;
  element.on("plotly_relayout", (change) => {
    const [low, high] = change["xaxis.range"] || [change["xaxis.range[0]"], change["xaxis.range[1]"]];
    if (low === undefined || high === undefined) return;
    clearTimeout(waiting);
    waiting = setTimeout(() => zoomTo(element, [toNumber(low), toNumber(high)], draw), WAIT_MS);
  });
  element.on("plotly_doubleclick", () => { clearTimeout(waiting); setTimeout(() => reset(element, draw), 0); return false; });
  element.addEventListener("zoomby", (event) => step(element, event.detail, draw));
}

/** Back to the whole curves. */
function reset(element, draw) {
  if (!element.zoomed) return;
  element.zoomed = null;
  draw(element);
  announce("The whole curves");
}

/** What the x axis shows: fixed for the chart, or chosen by the shared controls. */
function axisOf(element) {
  const form = element.dataset.controls ? $(element.dataset.controls) : null;
  return element.dataset.axis || (form && new FormData(form).get("x")) || "step";
}

/** Forget a zoom into another axis. */
export function settle(element) {
  if (element.zoomed && element.zoomed.axis !== axisOf(element)) element.zoomed = null;
}

async function zoomTo(element, range, draw) {
  const axis = axisOf(element);
  const address = new URL(element.dataset.zoom || $(element.dataset.src).dataset.url, location.href);
  if (element.dataset.zoom) address.searchParams.set("x", axis);
  for (const name of ["m", "metric"]) address.searchParams.delete(name);
  address.searchParams.set("metric", element.dataset.metric);
  address.searchParams.set("from", Math.min(...range));
  address.searchParams.set("to", Math.max(...range));
  const mark = {};
  element.asked = mark;
  try {
    const data = await ask(address);
    if (element.asked !== mark) return; // a newer range was chosen meanwhile
    const values = data.runs.map((run) => run.metrics[element.dataset.metric]).filter(Boolean);
    const points = values.reduce((sum, found) => sum + (found.y || found.values).length, 0);
    element.zoomed = { range, data, axis, y: element.layout.yaxis.autorange ? null : [...element.layout.yaxis.range] };
    await draw(element);
    announce(`${points} points of this range`);
  } catch (error) {
    announce(error.message);
  }
}

/** By keyboard: a step in or out around the middle, or back. */
function step(element, how, draw) {
  if (how === "reset") { reset(element, draw); return; }
  const [low, high] = element.layout.xaxis.range.map(toNumber);
  const middle = (low + high) / 2;
  const half = ((high - low) / 2) * (how === "in" ? 0.5 : 2);
  zoomTo(element, [middle - half, middle + half], draw);
}
