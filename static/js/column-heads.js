// The menu of a column's head: sort, pin, move, hide, how wide, and which value of a metric it shows.
// The menu is one for all heads (#colmenu); it changes `cols` and `sort` of the address and goes there.
import { $, $$, behaviour } from "./behaviour.js";
import { dragged, within } from "./column-widths.js";
import { go } from "./renew.js";

const AGGREGATES = ["last", "best", "min", "max"];
const STEPS = { wider: 40, narrower: -40 };

behaviour("column-heads", (table) => {
  const menu = $("#colmenu");
  if (!menu) return;
  const heads = () => $$("th[data-c]", table);
  const written = (head) => (head.hasAttribute("data-pinned") ? "!" : "") + (head.dataset.width || "") + head.dataset.c;

  function change(tokens, sort) {
    const url = new URL(location.href);
    for (const name of ["cols", "col", "change", "cursor", "before"]) url.searchParams.delete(name);
    url.searchParams.set("cols", tokens.join(","));
    if (sort) url.searchParams.set("sort", sort);
    go(url);
  }

  function widen(head, width) {
    head.dataset.width = width || "";
    change(heads().map(written));
  }

  function act(name, head) {
    const all = heads();
    const tokens = all.map(written);
    const at = all.indexOf(head);
    const plain = (head.dataset.width || "") + head.dataset.c;
    const moved = { left: -1, right: 1 }[name];
    if (STEPS[name]) { widen(head, within(head.offsetWidth + STEPS[name])); return; }
    if (name === "fit") { widen(head, 0); return; }
    if (name === "hide") tokens.splice(at, 1);
    else if (name === "pin") tokens[at] = head.hasAttribute("data-pinned") ? plain : `!${plain}`;
    else if (moved) tokens.splice(Math.max(0, at + moved), 0, ...tokens.splice(at, 1));
    else if (name === "curve") tokens.splice(at + 1, 0, `${head.dataset.c.split("@")[0]}~`);
    else if (AGGREGATES.includes(name)) tokens[at] = `${written(head).split("@")[0]}@${name}`;
    change([...new Set(tokens)], name === "ASC" || name === "DESC" ? `${head.dataset.sort} ${name}` : "");
  }

  dragged(table, widen);
  table.addEventListener("click", (event) => {
    const button = event.target.closest(".colbtn");
    if (!button) return;
    const head = button.closest("th");
    const at = button.getBoundingClientRect();
    const isMetric = head.dataset.c.startsWith("m~") && !head.dataset.c.endsWith("~");
    for (const part of $$("[data-of=metric]", menu)) part.hidden = !isMetric;
    for (const part of $$("[data-of=sort]", menu)) part.hidden = !head.dataset.sort;
    for (const part of $$("[data-of=width]", menu)) part.hidden = head.classList.contains("stuck");
    $("[data-of=fit]", menu).hidden = !head.classList.contains("set");
    $("[data-act=pin] span", menu).textContent = head.hasAttribute("data-pinned") ? "Unpin" : "Pin";
    menu.onclick = (chosen) => {
      const item = chosen.target.closest("[data-act]");
      if (!item) return;
      if (!STEPS[item.dataset.act]) menu.hidePopover(); // a width is tried several times
      act(item.dataset.act, head);
    };
    menu.showPopover();
    const width = menu.getBoundingClientRect().width;
    menu.style.left = `${Math.max(8, Math.min(at.right - width, innerWidth - width - 8))}px`;
    menu.style.top = `${at.bottom + 4}px`;
    $("button:not([hidden])", menu)?.focus();
    menu.addEventListener("toggle", (toggled) => { if (toggled.newState === "closed") button.focus(); }, { once: true });
  });
});
