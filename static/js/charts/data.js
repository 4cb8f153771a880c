// The data of the page's charts, the figures made of it, and Plotly itself.
// A source is a <script type="application/json">, or any element with data-url that is asked once.
import { $, announce } from "../behaviour.js";
import { COMPARED_KINDS } from "./compared.js";
import { EVIDENCE_KINDS } from "./evidence.js";
import { KINDS } from "./kinds.js";
import { MORE_KINDS } from "./series.js";

const kinds = { ...KINDS, ...MORE_KINDS, ...COMPARED_KINDS, ...EVIDENCE_KINDS };
const parsed = new Map();
const coming = new Map();
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

/** Ask the server for JSON; a refusal is an error with its words. */
export async function ask(address) {
  const answer = await fetch(address, { headers: { Accept: "application/json" } });
  const found = await answer.json().catch(() => ({}));
  if (!answer.ok) throw new Error(found.message || `The server answered ${answer.status}.`);
  return found;
}

/** The data of a chart when it has come. */
export async function load(selector) {
  const url = $(selector)?.dataset.url;
  if (parsed.has(selector) || !url) return dataOf(selector);
  if (!coming.has(selector)) coming.set(selector, ask(url));
  try {
    const found = await coming.get(selector);
    if ($(selector).dataset.url === url) parsed.set(selector, found);
    return found;
  } finally {
    coming.delete(selector);
  }
}

/** Ask again with some values of the address changed. */
export function readdress(selector, changes) {
  const node = $(selector);
  const address = new URL(node.dataset.url, location.href);
  for (const [name, value] of Object.entries(changes)) address.searchParams.set(name, value);
  if (address.href === new URL(node.dataset.url, location.href).href) return;
  node.dataset.url = address.pathname + address.search;
  parsed.delete(selector);
  coming.delete(selector);
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

/** The part of its source that a chart draws. */
export function partOf(element) {
  const data = element.zoomed?.data || dataOf(element.dataset.src);
  return element.dataset.part ? data[element.dataset.part] : data;
}

/** The traces and layout of a chart as it is now. */
export function figureOf(element) {
  const form = element.dataset.controls ? $(element.dataset.controls) : null;
  const options = form ? Object.fromEntries(new FormData(form)) : {};
  return kinds[element.dataset.chart](partOf(element), element, options);
}

/** Say in place of a chart why it is not there. */
export function failed(element, error) {
  element.removeAttribute("aria-busy");
  const note = document.createElement("p");
  note.className = "small muted chartfailed";
  note.textContent = `This chart could not be drawn. ${error.message}`;
  element.replaceChildren(note);
  announce(note.textContent);
}
