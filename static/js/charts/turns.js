// When charts are drawn: one a task, so that a page answers between them, and those on the screen before the others.
import { $$ } from "../behaviour.js";

let last = Promise.resolve();

/** Wait for a task of one's own, behind those who asked before. */
export function turn() {
  last = last.then(() => new Promise((begin) => { setTimeout(begin); }));
  return last;
}

const LONGEST_MS = 3000;
const isOnScreen = (element) => element.getBoundingClientRect().top < innerHeight;
const isDrawing = () => $$(".plot[data-chart][aria-busy=true]").some(isOnScreen);

/** Wait for nothing where an element is on the screen, else for the charts that are. */
export async function whenShown(element) {
  const end = performance.now() + LONGEST_MS;
  while (!isOnScreen(element) && isDrawing() && performance.now() < end) {
    await new Promise((again) => { setTimeout(again, 50); });
  }
}
