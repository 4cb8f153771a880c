// Narrows a table by the words in its row heads: a box with data-behaviour="find-rows"
// holds a hidden [data-find] with a search input, and a table. data-noun names what the rows are.
import { $, $$, announce, behaviour } from "./behaviour.js";

behaviour("find-rows", (box) => {
  const place = $("[data-find]", box);
  const input = $("input", place);
  const rows = $$("tbody tr:not(.sec)", box);
  const noun = box.dataset.noun || "columns";
  place.hidden = false;
  input.addEventListener("input", () => {
    const wanted = input.value.trim().toLowerCase();
    let shown = 0;
    for (const row of rows) {
      row.hidden = !$("th", row).textContent.toLowerCase().includes(wanted);
      shown += row.hidden ? 0 : 1;
    }
    announce(`${shown} of ${rows.length} ${noun}`);
  });
});
