// The shell of every page: theme, popovers, tooltips, dialogs, toasts, copying.
import { $, $$, announce, csrfToken } from "./behaviour.js";

/* theme: switch at once, save in the background; without script the form posts */
const root = document.documentElement;
function isDark() {
  if (root.dataset.theme) return root.dataset.theme === "dark";
  return matchMedia("(prefers-color-scheme: dark)").matches;
}
document.addEventListener("submit", (event) => {
  const form = event.target.closest("form[data-theme-form]");
  if (!form) return;
  event.preventDefault();
  const theme = isDark() ? "light" : "dark";
  root.dataset.theme = theme;
  document.dispatchEvent(new CustomEvent("themechange"));
  announce(`${theme} theme`);
  const body = new URLSearchParams({ theme });
  fetch(form.action, { method: "POST", body, headers: { "X-CSRFToken": csrfToken() }, redirect: "manual" });
});

/* popovers: native open and close, placed next to the button that opened them */
let opener = null;
document.addEventListener("click", (event) => {
  opener = event.target.closest("[popovertarget]") || opener;
}, true);
document.addEventListener("toggle", (event) => {
  const pop = event.target;
  if (!(pop instanceof HTMLElement) || !pop.matches("[popover]")) return;
  const own = opener && opener.getAttribute("popovertarget") === pop.id;
  const by = own ? opener : $(`[popovertarget="${pop.id}"]`);
  if (by) by.setAttribute("aria-expanded", String(event.newState === "open"));
  if (event.newState === "open" && by && pop.matches(".pop")) place(pop, by.getBoundingClientRect());
}, true);
function place(pop, anchor) {
  const width = pop.offsetWidth;
  const height = pop.offsetHeight;
  const left = pop.dataset.align === "end" ? anchor.right - width : anchor.left;
  const below = anchor.bottom + 6 + height < innerHeight - 8 || anchor.top < height;
  pop.style.left = `${Math.max(12, Math.min(left, innerWidth - width - 12))}px`;
  pop.style.top = `${Math.max(8, below ? anchor.bottom + 6 : anchor.top - 6 - height)}px`;
  if (pop.dataset.autofocus !== "off") $("input,button,a,select", pop)?.focus({ preventScroll: true });
}

/* tooltips on hover and on focus; the text comes from data-tip */
let tip = null;
function hideTip() { tip?.remove(); tip = null; }
function showTip(node) {
  hideTip();
  tip = document.createElement("div");
  tip.className = "tip";
  tip.setAttribute("role", "tooltip");
  tip.textContent = node.dataset.tip;
  document.body.append(tip);
  const at = node.getBoundingClientRect();
  const middle = at.left + at.width / 2 - tip.offsetWidth / 2;
  tip.style.left = `${Math.max(8, Math.min(innerWidth - tip.offsetWidth - 8, middle))}px`;
  tip.style.top = `${at.top > tip.offsetHeight + 12 ? at.top - tip.offsetHeight - 6 : at.bottom + 6}px`;
}
for (const name of ["mouseover", "focusin"]) {
  document.addEventListener(name, (event) => {
    const node = event.target.closest?.("[data-tip]");
    if (node) showTip(node);
    else if (name === "mouseover") hideTip();
  });
}
document.addEventListener("focusout", hideTip);
document.addEventListener("keydown", (event) => { if (event.key === "Escape") hideTip(); });
document.addEventListener("scroll", hideTip, true);

/* dialogs, pressed buttons, copying, toasts, lists that filter as you type */
document.addEventListener("click", (event) => {
  const at = (selector) => event.target.closest(selector);
  const toggle = at("[data-toggle]");
  if (toggle) toggle.setAttribute("aria-pressed", String(toggle.getAttribute("aria-pressed") !== "true"));
  const opens = at("[data-dialog]");
  if (opens) { event.preventDefault(); $(opens.dataset.dialog)?.showModal(); }
  at("[data-close]")?.closest("dialog")?.close();
  if (event.target.matches("dialog.dlg")) event.target.close();
  at("[data-dismiss]")?.closest(".toast, .note")?.remove();
  const copies = at("[data-copy]");
  if (copies) copy(copies);
});
async function copy(button) {
  const wanted = button.dataset.copy;
  const text = wanted.startsWith("#") ? $(wanted)?.textContent.trim() ?? "" : wanted;
  try {
    await navigator.clipboard.writeText(text);
    announce("Copied");
  } catch {
    announce("The browser refused to copy. Select the text and copy it by hand");
  }
}
document.addEventListener("input", (event) => {
  const list = event.target.dataset?.listfilter;
  if (!list) return;
  const wanted = event.target.value.toLowerCase();
  for (const item of $$(list)) item.hidden = !item.textContent.toLowerCase().includes(wanted);
});

/* after a refused form the focus goes to the summary of what is wrong */
$("[data-error-summary]")?.focus();
document.addEventListener("htmx:load", (event) => $("[data-error-summary]", event.detail.elt)?.focus());

/* htmx: a refused form comes back as 422 and is swapped in like any answer */
document.addEventListener("htmx:beforeSwap", (event) => {
  if (event.detail.xhr.status !== 422) return;
  event.detail.shouldSwap = true;
  event.detail.isError = false;
});

/* addresses that MLflow clients print: …/#/experiments/2/runs/<id> */
const printed = location.hash.match(/^#\/experiments\/(\d+)(?:\/(?:runs|models)\/([\w-]{32,34}))?/);
if (printed) {
  const [, experiment, id] = printed;
  const project = location.pathname.match(/^\/p\/[^/]+\//)?.[0];
  if (id) location.replace(`/from-client/${id}/`);
  else if (project) location.replace(`${project}experiments/${experiment === "0" ? "" : `${experiment}/`}`);
}

/* tabs that do not fit: the one of this page is in sight */
for (const tab of $$(".tabs [aria-current='page']")) {
  const tabs = tab.closest(".tabs");
  const [box, seen] = [tab.getBoundingClientRect(), tabs.getBoundingClientRect()];
  if (box.right > seen.right) tabs.scrollLeft += box.right - seen.right + seen.width / 4;
}

/* a map of time that does not fit: its newest end is in sight */
for (const map of $$(".tblwrap.newest")) map.scrollLeft = map.scrollWidth;
