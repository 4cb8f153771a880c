// Filter by what stands in a cell: <table data-behaviour="cell-filter">, heads with data-filter-key (the name as the
// filter writes it) and maybe data-filter-number, cells with data-filter-value, or data-filter-text where that is their
// text. One cell is a tab stop, arrows move, Enter opens the small menu (#cellmenu); a click does the same.
import { $, $$, behaviour } from "./behaviour.js";

const PLAIN = /^[^\s|,()"'`]+$/;
const spelled = (value) => (PLAIN.test(value) && !value.includes("..") ? value : `"${value.replaceAll('"', '""')}"`);

/** What can be said of a cell: pairs of a label and a condition. */
export function choices(key, value, isNumber) {
  if (value === null) return [["Only runs without it", `${key} IS NULL`], ["Only runs with it", `${key} IS NOT NULL`]];
  const written = spelled(value);
  const both = [["Only this", `${key}:${written}`], ["Not this", `-${key}:${written}`]];
  if (!isNumber) return both;
  return [...both, ["At least this", `${key}>=${written}`], ["At most this", `${key}<=${written}`]];
}

function address(condition) {
  const url = new URL(location.href);
  for (const name of ["cursor", "before", "edit"]) url.searchParams.delete(name);
  url.searchParams.set("add", condition);
  return url.href;
}

behaviour("cell-filter", (table) => {
  const menu = $("#cellmenu");
  const heads = () => $$("thead tr:last-child th", table);
  const headOf = (cell) => heads()[cell.cellIndex];
  const can = (cell) => Boolean(cell?.matches?.("tbody td:not([data-filter-off])") && headOf(cell)?.dataset.filterKey);
  if (!menu) return;

  function stop(cell) {
    for (const old of $$("td[tabindex]", table)) old.removeAttribute("tabindex");
    if (cell) cell.tabIndex = 0;
  }

  function open(cell) {
    const head = headOf(cell);
    const value = "filterText" in cell.dataset ? cell.textContent : cell.dataset.filterValue ?? null;
    menu.replaceChildren(...choices(head.dataset.filterKey, value, "filterNumber" in head.dataset).map(([label, text]) => {
      const link = document.createElement("a");
      const code = document.createElement("code");
      link.href = address(text);
      code.textContent = text;
      link.append(label, code);
      return link;
    }));
    stop(cell);
    menu.showPopover();
    const at = cell.getBoundingClientRect();
    const { width, height } = menu.getBoundingClientRect();
    menu.style.left = `${Math.max(8, Math.min(at.left, innerWidth - width - 8))}px`;
    menu.style.top = `${at.bottom + height + 8 < innerHeight ? at.bottom + 2 : Math.max(8, at.top - height - 2)}px`;
    $("a", menu).focus();
    menu.addEventListener("toggle", (event) => { if (event.newState === "closed") cell.focus(); }, { once: true });
  }

  function move(cell, key) {
    const row = cell.parentElement;
    const rows = $$("tbody tr", table);
    const inRow = [...row.cells].filter(can);
    const at = inRow.indexOf(cell);
    const target = {
      ArrowLeft: inRow[at - 1], ArrowRight: inRow[at + 1], Home: inRow[0], End: inRow.at(-1),
      ArrowUp: rows[rows.indexOf(row) - 1]?.cells[cell.cellIndex],
      ArrowDown: rows[rows.indexOf(row) + 1]?.cells[cell.cellIndex],
    }[key];
    if (!can(target)) return;
    stop(target);
    target.focus();
  }

  table.addEventListener("click", (event) => {
    const cell = event.target.closest("td");
    if (!can(cell) || event.target.closest("a,button,input,label") || String(getSelection())) return;
    open(cell);
  });
  table.addEventListener("keydown", (event) => {
    const cell = event.target;
    if (!can(cell) || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "Enter" || event.key === " ") open(cell);
    else if (/^(Arrow|Home$|End$)/.test(event.key)) move(cell, event.key);
    else return;
    event.preventDefault();
  });
  menu.addEventListener("keydown", (event) => {
    if (event.key !== "ArrowDown" && event.key !== "ArrowUp") return;
    const links = $$("a", menu);
    const next = links.indexOf(document.activeElement) + (event.key === "ArrowDown" ? 1 : -1);
    links[(next + links.length) % links.length].focus();
    event.preventDefault();
  });

  /** The keyboard comes in at one cell, also where its row went. */
  const enter = () => { if (!$("td[tabindex]", table)) stop($$("tbody td", table).find(can)); };
  for (const name of ["renewed", "livechange"]) document.addEventListener(name, enter);
  enter();
});
