// The column picker: checkboxes data-behaviour="column" value="<key>" show and hide
// the cells data-c="<key>" of the table data-rows; group heads data-gh follow.
import { $, $$, behaviour } from "./behaviour.js";

function resizeGroups(table) {
  const counts = {};
  for (const head of $$("thead tr:last-child th[data-g]", table)) {
    if (!head.hidden) counts[head.dataset.g] = (counts[head.dataset.g] || 0) + 1;
  }
  for (const group of $$("thead tr:first-child th[data-gh]", table)) {
    const count = counts[group.dataset.gh] || 0;
    group.hidden = !count;
    if (count) group.colSpan = count;
  }
}

behaviour("column", (box) => {
  box.addEventListener("change", () => {
    const table = $("table[data-rows]");
    if (!table) return;
    for (const cell of $$(`[data-c="${CSS.escape(box.value)}"]`, table)) cell.hidden = !box.checked;
    resizeGroups(table);
  });
});
