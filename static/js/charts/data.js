// The data of the page's charts, the figures made of it, and Plotly itself.
import { $ } from "../behaviour.js";
import { KINDS } from "./kinds.js";
import { MORE_KINDS } from "./series.js";

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
