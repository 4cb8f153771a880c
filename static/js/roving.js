// A grid of buttons with one tab stop and arrow keys: <table data-behaviour="roving">.
import { $$, behaviour } from "./behaviour.js";

behaviour("roving", (grid) => {
  const rows = $$("tbody tr", grid).map((row) => $$("button,a", row));
  const flat = rows.flat();
  const stop = (button) => {
    for (const other of flat) other.tabIndex = -1;
    if (button) button.tabIndex = 0;
  };
  stop(flat[0]);
  grid.addEventListener("keydown", (event) => {
    const y = rows.findIndex((row) => row.includes(document.activeElement));
    if (y < 0) return;
    const x = rows[y].indexOf(document.activeElement);
    const target = {
      ArrowRight: [y, x + 1], ArrowLeft: [y, x - 1], ArrowDown: [y + 1, x], ArrowUp: [y - 1, x],
      Home: [y, 0], End: [y, rows[y].length - 1],
    }[event.key];
    const button = target && rows[target[0]]?.[target[1]];
    if (!button) return;
    event.preventDefault();
    stop(button);
    button.focus();
  });
});
