// The command palette: a dialog over the server's search. What is shown at first are
// the pages of this project; typing asks /search/ for what this person may see.
import { $, $$, announce } from "./behaviour.js";

const dialog = $("#palette");
const input = $("input", dialog);
const list = $("#palette-list");
const firstItems = list.innerHTML;
let waiting = 0;
let asked = 0;

function mark(index) {
  const items = $$("[role=option]", list);
  items.forEach((item, i) => item.setAttribute("aria-selected", String(i === index)));
  const chosen = items[index];
  if (!chosen) { input.removeAttribute("aria-activedescendant"); return; }
  input.setAttribute("aria-activedescendant", chosen.id);
  chosen.scrollIntoView({ block: "nearest" });
}

async function ask(words) {
  const mine = ++asked;
  const query = new URLSearchParams({ q: words, project: dialog.dataset.project || "" });
  const answer = await fetch(`${dialog.dataset.source}?${query}`, { headers: { "HX-Request": "true" } });
  if (mine !== asked || !answer.ok) return;
  list.innerHTML = await answer.text();
  mark(0);
  announce(`${$$("[role=option]", list).length} results`);
}

input.addEventListener("input", () => {
  clearTimeout(waiting);
  const words = input.value.trim();
  if (!words) { asked++; list.innerHTML = firstItems; mark(0); return; }
  waiting = setTimeout(() => ask(words), 150);
});

dialog.addEventListener("keydown", (event) => {
  const items = $$("[role=option]", list);
  const at = items.findIndex((item) => item.getAttribute("aria-selected") === "true");
  const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
  if (step && items.length) {
    event.preventDefault();
    mark((at + step + items.length) % items.length);
  } else if (event.key === "Enter") {
    event.preventDefault();
    if (items[at]) location.href = items[at].href;
    else location.href = `${dialog.dataset.source}?${new URLSearchParams({ q: input.value })}`;
  }
});

export function open() {
  if (dialog.open) return;
  dialog.showModal();
  input.value = "";
  list.innerHTML = firstItems;
  mark(0);
  input.focus();
}
