// Heads whose right edge is dragged. A column keeps its width in the address; a double click takes it away.
import { $, $$ } from "./behaviour.js";

const NARROWEST = 48; // pixels, as the server reads them
const WIDEST = 800;
const EDGE = 7; // as the style sheet draws it

/** The nearest width that a column may have. */
export const within = (width) => Math.round(Math.min(WIDEST, Math.max(NARROWEST, width)));

/** The empty drawing that holds a head as wide as it is. */
function spaceOf(head) {
  const space = $(".colspace", head) || document.createElementNS("http://www.w3.org/2000/svg", "svg");
  space.setAttribute("class", "colspace");
  space.setAttribute("height", "0");
  space.setAttribute("aria-hidden", "true");
  if (!space.isConnected) head.append(space);
  return space;
}

/** The head whose right edge a pointer is on: what is drawn over the edge is a part of the head itself. */
function gripped(event) {
  const head = event.target;
  const isHead = head.matches("th[data-c]:not(.stuck)");
  return isHead && head.getBoundingClientRect().right - event.clientX <= EDGE ? head : null;
}

/** Calls `done` with a head and its new width, 0 for as wide as its values. */
export function dragged(table, done) {
  table.addEventListener("pointerdown", (event) => {
    const head = gripped(event);
    if (!head || event.button) return;
    event.preventDefault();
    const before = head.offsetWidth;
    const stop = new AbortController();
    let width = before;
    const show = () => {
      for (const cell of [head, ...$$(`tbody tr > :nth-child(${head.cellIndex + 1})`, table)]) cell.classList.add("set");
      head.width = width;
      spaceOf(head).setAttribute("width", width);
    };
    const end = () => {
      stop.abort();
      head.classList.remove("gripped");
      if (width !== before) done(head, width);
    };
    head.classList.add("gripped");
    head.setPointerCapture(event.pointerId);
    head.addEventListener("pointermove", (moved) => {
      width = within(before + moved.clientX - event.clientX);
      if (width !== before) show();
    }, { signal: stop.signal });
    for (const name of ["pointerup", "pointercancel"]) head.addEventListener(name, end, { signal: stop.signal });
  });
  table.addEventListener("dblclick", (event) => {
    const head = gripped(event);
    if (head) done(head, 0);
  });
}
