// Suggestions while a filter is written: <input data-behaviour="filter-completion" data-url="…">, a combobox after
// the ARIA pattern. Arrows choose, Enter or Tab takes, Esc closes; what is chosen goes where the cursor stands.
import { announce, behaviour } from "./behaviour.js";

const WAIT = 120;

behaviour("filter-completion", (input) => {
  const list = document.createElement("ul");
  list.id = `${input.id}-list`;
  list.className = "pop options";
  list.popover = "manual";
  list.setAttribute("data-live-keep", "");
  list.setAttribute("role", "listbox");
  list.setAttribute("aria-label", "Suggestions");
  input.closest(".filter").append(list);
  for (const [name, value] of [["role", "combobox"], ["aria-controls", list.id], ["aria-expanded", "false"],
    ["aria-autocomplete", "list"], ["aria-haspopup", "listbox"]]) input.setAttribute(name, value);
  let at = -1;
  let timer = 0;
  let asked = 0;
  const isOpen = () => list.matches(":popover-open");

  function close() {
    asked += 1;
    clearTimeout(timer);
    if (isOpen()) list.hidePopover();
    at = -1;
    input.setAttribute("aria-expanded", "false");
    input.removeAttribute("aria-activedescendant");
  }

  function open() {
    if (!isOpen()) list.showPopover();
    const place = input.getBoundingClientRect();
    list.style.left = `${Math.max(8, Math.min(place.left, innerWidth - list.offsetWidth - 8))}px`;
    list.style.top = `${place.bottom + 6}px`;
    input.setAttribute("aria-expanded", "true");
  }

  function choose(next) {
    at = next;
    [...list.children].forEach((item, n) => item.setAttribute("aria-selected", String(n === at)));
    if (at < 0) { input.removeAttribute("aria-activedescendant"); return; }
    input.setAttribute("aria-activedescendant", list.children[at].id);
    list.children[at].scrollIntoView({ block: "nearest" });
  }

  function take(item) {
    const { insert, start } = item.dataset;
    const isWhole = !/[:<>=~]$/.test(insert) && /[:<>=~|]\s*$/.test(input.value.slice(0, Number(start)));
    input.setRangeText(insert + (isWhole ? " " : ""), Number(start), input.selectionStart, "end");
    close();
    if (!isWhole) ask();
  }

  async function ask() {
    const mine = ++asked;
    const query = new URLSearchParams({ text: input.value, at: input.selectionStart });
    const url = input.dataset.url;
    const answer = await fetch(`${url}${url.includes("?") ? "&" : "?"}${query}`).catch(() => null);
    if (mine !== asked || !answer?.ok) return;
    const html = await answer.text();
    if (mine !== asked || document.activeElement !== input) return;
    const chosen = list.children[at]?.dataset.insert; // an answer may come after a choice: it is kept where it is still offered
    list.innerHTML = html;
    if (!list.children.length) { close(); return; }
    open();
    choose([...list.children].findIndex((item) => item.dataset.insert === chosen));
    announce(`${list.children.length} suggestions`);
  }

  function later() {
    clearTimeout(timer);
    timer = setTimeout(ask, WAIT);
  }

  input.addEventListener("input", later);
  input.addEventListener("blur", close);
  list.addEventListener("mousedown", (event) => {
    event.preventDefault();
    const item = event.target.closest("li");
    if (item) take(item);
  });
  input.addEventListener("keydown", (event) => {
    const last = list.children.length - 1;
    if (event.key === "ArrowDown" && !isOpen()) ask();
    else if (!isOpen()) return;
    else if (event.key === "ArrowDown") choose(at === last ? -1 : at + 1);
    else if (event.key === "ArrowUp") choose(at < 0 ? last : at - 1);
    else if ((event.key === "Enter" || event.key === "Tab") && at >= 0) take(list.children[at]);
    else if (event.key === "Escape") close();
    else return;
    event.preventDefault();
    event.stopImmediatePropagation();
  });
});
