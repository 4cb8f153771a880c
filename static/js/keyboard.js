// Shortcuts of every page. Single keys never fire inside inputs, and not at all
// when the person switched them off (data-shortcuts="off" on <html>).
import { $, $$ } from "./behaviour.js";

const SECTIONS = {
  o: "", d: "datasets/", e: "experiments/", j: "jobs/", r: "models/",
  p: "deployments/", m: "monitoring/", a: "alerts/",
};
const FIELDS = "input:not([type=checkbox]):not([type=radio]),textarea,select,[contenteditable],dialog[open]";
let chordAt = -Infinity; // not 0: a page is younger than a chord when its first key comes

async function openPalette() {
  const { open } = await import("./palette.js");
  open();
}

document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-palette]");
  if (!button) return;
  event.preventDefault();
  openPalette();
});

function goSection(key) {
  const home = $("nav.side")?.dataset.project;
  if (!home || !(key in SECTIONS)) return false;
  location.href = home + SECTIONS[key];
  return true;
}

/** j and k move between the rows of the page's main table, x selects, Enter opens. */
function moveInTable(event) {
  const table = $("table[data-rows]");
  if (!table) return;
  const rows = $$("tbody tr:not([hidden])", table);
  const at = rows.findIndex((row) => row.contains(document.activeElement));
  const down = event.key === "j" || (at >= 0 && event.key === "ArrowDown");
  const up = at >= 0 && (event.key === "k" || event.key === "ArrowUp");
  if (down || up) {
    event.preventDefault();
    const next = rows[Math.max(0, Math.min(rows.length - 1, at + (down ? 1 : -1)))];
    if (!next) return;
    $("input[type=checkbox],a", next)?.focus();
    next.scrollIntoView({ block: "nearest" });
  } else if (event.key === "x" && at >= 0) {
    event.preventDefault();
    $("input[type=checkbox]", rows[at])?.click();
  } else if (event.key === "Enter" && at >= 0 && event.target.matches("[type=checkbox]")) {
    event.preventDefault();
    $("th a[href], td a[href]", rows[at])?.click();
  } else if (event.key === "c") {
    $("[data-compare]:not([aria-disabled=true])")?.click();
  }
}

document.addEventListener("keydown", (event) => {
  if ((event.metaKey || event.ctrlKey) && event.key.toLowerCase() === "k") {
    event.preventDefault();
    openPalette();
    return;
  }
  if (event.defaultPrevented || event.metaKey || event.ctrlKey || event.altKey) return;
  if (event.target.closest(FIELDS) || document.documentElement.dataset.shortcuts === "off") return;
  const now = performance.now();
  if (now - chordAt < 900 && goSection(event.key)) { chordAt = -Infinity; return; }
  if (event.key === "g") { chordAt = now; return; }
  if (event.key === "/" && $("[data-filter]")) {
    event.preventDefault();
    $("[data-filter]").focus();
  } else if (event.key === "?") {
    $("#keys")?.showModal();
  } else {
    moveInTable(event);
  }
});
