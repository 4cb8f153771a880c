// Heads whose right edge is dragged. A column keeps its width in the address; a double click takes it away.
import { $, $$ } from "./behaviour.js";

const NARROWEST = 48; // pixels, as the server reads them
const WIDEST = 800;

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

/** Calls `done` with a head and its new width, 0 for as wide as its values. */
export function dragged(table, done) {
  table.addEventListener("pointerdown", (event) => {
    const grip = event.target.closest(".colgrip");
    if (!grip || event.button) return;
    event.preventDefault();
    const head = grip.closest("th");
    const column = $$("col", table)[head.cellIndex];
    const before = head.offsetWidth;
    const stop = new AbortController();
    let width = before;
    const show = () => {
      for (const cell of [head, ...$$(`tbody tr > :nth-child(${head.cellIndex + 1})`, table)]) cell.classList.add("set");
      column.width = width;
      spaceOf(head).setAttribute("width", width);
    };
    const end = () => {
      stop.abort();
      grip.classList.remove("on");
      if (width !== before) done(head, width);
    };
    grip.classList.add("on");
    grip.setPointerCapture(event.pointerId);
    grip.addEventListener("pointermove", (moved) => {
      width = within(before + moved.clientX - event.clientX);
      if (width !== before) show();
    }, { signal: stop.signal });
    for (const name of ["pointerup", "pointercancel"]) grip.addEventListener(name, end, { signal: stop.signal });
  });
  table.addEventListener("dblclick", (event) => {
    if (event.target.closest(".colgrip")) done(event.target.closest("th"), 0);
  });
}
