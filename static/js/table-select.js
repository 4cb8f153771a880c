// Choosing rows: <table data-behaviour="table-select" data-select="#bar">.
// The bar holds [data-n] (the count), [data-compare] (a link, data-href is its base),
// [data-clear]. Shift selects a range, the box in the head the whole page.
import { $, $$, announce, behaviour } from "./behaviour.js";

behaviour("table-select", (table) => {
  const bar = $(table.dataset.select);
  const all = $("thead input[type=checkbox]", table);
  const boxes = () => $$("tbody input[type=checkbox]", table);
  let last = null;

  function show(chosen) {
    if (!bar) return;
    bar.hidden = !chosen.length;
    $("[data-n]", bar).textContent = chosen.length;
    const compare = $("[data-compare]", bar);
    if (!compare) return;
    compare.setAttribute("aria-disabled", String(chosen.length < 2));
    const ids = chosen.map((box) => box.value).join(",");
    compare.href = `${compare.dataset.href}?runs=${ids}`;
  }

  function sync() {
    const every = boxes();
    const chosen = every.filter((box) => box.checked);
    for (const box of every) box.closest("tr").classList.toggle("sel", box.checked);
    if (all) {
      all.checked = chosen.length > 0 && chosen.length === every.length;
      all.indeterminate = chosen.length > 0 && !all.checked;
    }
    show(chosen);
    return chosen.length;
  }
  const say = () => { const n = sync(); announce(n ? `${n} selected` : "Nothing selected"); };

  table.addEventListener("click", (event) => {
    const box = event.target.closest("tbody input[type=checkbox]");
    if (!box) return;
    const list = boxes();
    if (event.shiftKey && list.includes(last)) {
      const [from, to] = [list.indexOf(last), list.indexOf(box)].sort((a, b) => a - b);
      for (const other of list.slice(from, to + 1)) other.checked = box.checked;
    }
    last = box;
    say();
  });
  all?.addEventListener("change", () => {
    for (const box of boxes()) box.checked = all.checked;
    say();
  });
  if (bar) $("[data-clear]", bar)?.addEventListener("click", () => {
    for (const box of boxes()) box.checked = false;
    say();
  });
  document.addEventListener("htmx:afterSettle", () => { if (table.isConnected) sync(); });
  sync();
});
