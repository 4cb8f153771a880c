// What the filter of a runs table needs, brought when somebody first moves or types; at once after a wrong filter.
let asked = false;

function bring() {
  if (asked) return;
  asked = true;
  import("./filter-completion.js").then(() => import("./filter-chips.js"));
  import("./cell-filter.js");
}

for (const name of ["pointermove", "focusin", "keydown", "touchstart"]) {
  document.addEventListener(name, bring, { once: true, passive: true });
}
if (document.activeElement !== document.body || document.querySelector("[data-filter][data-start]")) bring();
