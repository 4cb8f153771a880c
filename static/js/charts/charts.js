// Draws every <div class="plot" data-chart="kind" data-src="#json"> when it comes near the screen.
// data-controls="#form" names shared controls; window event "chartdata" redraws after data changed.
import { $, $$ } from "../behaviour.js";
import { figureOf, plotly } from "./data.js";
import { CONFIG } from "./theme.js";
import "./figure.js";

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
