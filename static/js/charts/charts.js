// Draws every <div class="plot" data-chart="kind" data-src="#json"> when it comes near the screen.
// data-controls="#form" names shared controls; window event "chartdata" redraws after data changed.
import { $, $$ } from "../behaviour.js";
import { KINDS } from "./kinds.js";
import { MORE_KINDS } from "./series.js";
import { CONFIG } from "./theme.js";
import "./figure.js";

const kinds = { ...KINDS, ...MORE_KINDS };
const parsed = new Map();
let loading = null;

/** The data of a chart, read once; changes made to it stay. */
export function dataOf(selector) {
  if (!parsed.has(selector)) parsed.set(selector, JSON.parse($(selector).textContent));
  return parsed.get(selector);
}

/** Put new data in place of old. */
export function setData(selector, data) {
  parsed.set(selector, data);
}

/** Plotly, loaded with the first chart. */
export function plotly() {
  loading ||= new Promise((resolve, reject) => {
    if (window.Plotly) { resolve(window.Plotly); return; }
    const script = document.createElement("script");
    script.src = $("meta[name=plotly-source]").content;
    script.onload = () => resolve(window.Plotly);
    script.onerror = reject;
    document.head.append(script);
  });
  return loading;
}

/** The traces and layout of a chart as it is now. */
export function figureOf(element) {
  const form = element.dataset.controls ? $(element.dataset.controls) : null;
  const options = form ? Object.fromEntries(new FormData(form)) : {};
  return kinds[element.dataset.chart](dataOf(element.dataset.src), element, options);
}

async function draw(element) {
  const library = await plotly();
  const [traces, layout] = figureOf(element);
  await library.react(element, traces, { ...layout, height: element.clientHeight }, CONFIG);
  element.removeAttribute("aria-busy");
  $(".sk", element)?.remove();
}

const seen = new WeakSet();
const watcher = new IntersectionObserver((entries) => {
  for (const entry of entries) {
    if (!entry.isIntersecting || seen.has(entry.target)) continue;
    seen.add(entry.target);
    draw(entry.target);
  }
}, { rootMargin: "300px" });

const attach = (root) => { for (const plot of $$(".plot[data-chart]", root)) watcher.observe(plot); };
attach(document);
document.addEventListener("htmx:load", (event) => attach(event.detail.elt));

/** Draw again what has been drawn and matches. */
export function redraw(matches = () => true) {
  for (const plot of $$(".plot[data-chart]")) if (seen.has(plot) && matches(plot)) draw(plot);
}

document.addEventListener("themechange", () => redraw());
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => redraw());
new MutationObserver(() => { redraw(); document.dispatchEvent(new CustomEvent("chartcolours")); })
  .observe(document.documentElement, { attributeFilter: ["data-theme"] });
