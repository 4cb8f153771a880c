// Draws every <div class="plot" data-chart="kind" data-src="#source"> when it comes near the screen.
// data-controls="#form" names shared controls; data-part is the part of the source that is drawn.
import { $, $$ } from "../behaviour.js";
import { failed, figureOf, load, partOf, plotly } from "./data.js";
import { CONFIG } from "./theme.js";
import { turn, whenShown } from "./turns.js";
import { follow, settle } from "./zoom.js";
import "./figure.js";

const NOTHING = "These runs do not have the values for it.";

/** Say which metric is drawn where the server chose it. */
function nameMetric(element, metric) {
  element.dataset.metric = metric;
  const words = document.createElement("span");
  words.className = "sub";
  words.textContent = metric;
  $("h2", element.closest("figure"))?.append(" ", words);
}

async function draw(element) {
  try {
    const [library, source] = await Promise.all([plotly(), load(element.dataset.src)]);
    await turn();
    settle(element);
    const data = partOf(element);
    if (data == null) { failed(element, new Error(source.problem || NOTHING)); return; }
    if (data.metric && !element.dataset.metric) nameMetric(element, data.metric);
    const [traces, layout] = figureOf(element);
    await library.react(element, traces, { ...layout, height: element.clientHeight }, CONFIG);
    const label = data.label || data.labels?.[element.dataset.metric];
    if (label) element.setAttribute("aria-label", label);
    element.removeAttribute("aria-busy");
    $(".sk", element)?.remove();
    if ("zoom" in element.dataset) follow(element, draw);
    element.dispatchEvent(new CustomEvent("chartdrawn", { bubbles: true, detail: source }));
  } catch (error) {
    failed(element, error);
  }
}

const seen = new WeakSet();
const watcher = new IntersectionObserver((entries) => {
  for (const entry of entries) {
    if (!entry.isIntersecting || seen.has(entry.target)) continue;
    seen.add(entry.target);
    whenShown(entry.target).then(() => draw(entry.target));
  }
}, { rootMargin: "300px" });

const attach = (root) => { for (const plot of $$(".plot[data-chart]", root)) watcher.observe(plot); };
attach(document);
document.addEventListener("htmx:load", (event) => attach(event.detail.elt));

/** Draw again what has been drawn and matches. */
export function redraw(matches = () => true) {
  for (const plot of $$(".plot[data-chart]")) if (seen.has(plot) && matches(plot)) draw(plot);
}

/** Draw, one after another, what nobody has scrolled to. */
export async function drawRest() {
  for (const plot of $$(".plot[data-chart]")) {
    if (seen.has(plot)) continue;
    seen.add(plot);
    await draw(plot);
  }
}

document.addEventListener("themechange", () => redraw());
document.addEventListener("fullscreenchange", () => redraw((plot) => plot.closest("[data-figure]")));
for (const name of ["runschanged", "runsranged"]) document.addEventListener(name, () => redraw());
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => redraw());
new MutationObserver(() => { redraw(); document.dispatchEvent(new CustomEvent("chartcolours")); })
  .observe(document.documentElement, { attributeFilter: ["data-theme"] });
