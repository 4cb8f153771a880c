// Choosing rows over all pages of a table: <table data-behaviour="table-select" data-select="#bar">.
// The bar knows what is chosen: data-ids (numbers parted by commas), or data-all with data-total.
// Up to 100 numbers live in the address (?sel=), more in the selection of the person at data-store.
import { $, $$, announce, behaviour, csrfToken } from "./behaviour.js";

const IN_ADDRESS = 100;
const bound = new WeakSet();

behaviour("table-select", (table) => {
  const bar = $(table.dataset.select);
  if (!bar || bound.has(bar)) return; // a part that htmx swapped in is found by the first one
  bound.add(bar);
  const live = () => (table.isConnected ? table : (table = $("#runs table") || table));
  const boxes = () => $$("tbody input[type=checkbox]", live());
  const chosen = new Set((bar.dataset.ids || "").split(",").filter(Boolean));
  let every = bar.dataset.all === "1";
  let last = null;
  let saving = 0;

  const words = () => (every ? "all" : chosen.size > IN_ADDRESS ? "stored" : [...chosen].join(","));
  const ids = () => [...chosen].join(",");
  const count = () => (every ? bar.dataset.total : chosen.size.toLocaleString());

  function withSelection(address) {
    const url = new URL(address, location.href);
    if (words()) url.searchParams.set("sel", words());
    else url.searchParams.delete("sel");
    return url;
  }

  function remember() {
    history.replaceState(history.state, "", withSelection(location.href));
    clearTimeout(saving);
    if (!every && chosen.size > IN_ADDRESS) saving = setTimeout(store, 300);
  }
  const store = () => fetch(bar.dataset.store, {
    method: "POST", body: new URLSearchParams({ runs: ids() }), headers: { "X-CSRFToken": csrfToken() },
  });

  function show() {
    const any = every || chosen.size > 0;
    bar.classList.toggle("open", any);
    $("[data-n]", bar).textContent = count();
    const form = $("#bulk");
    if (form) form.elements.sel.value = every ? "all" : ids();
    const all = $("[data-select-all]", bar);
    const whole = chosen.size.toLocaleString("en") === bar.dataset.total;
    if (all) all.hidden = every || whole || !boxes().length || boxes().some((box) => !box.checked);
    const compare = $("[data-compare]", bar);
    if (compare) {
      const few = !every && chosen.size < 2;
      compare.setAttribute("aria-disabled", String(few));
      const some = `${compare.dataset.href}${new URLSearchParams({ runs: ids() })}`;
      compare.href = every ? compare.dataset.every : some;
    }
    const register = $("[data-register]", bar);
    if (register) {
      register.hidden = every || chosen.size !== 1;
      register.href = `${register.dataset.href}?run=${ids()}`;
    }
    const exported = $("[data-export]", bar);
    if (exported) exported.href = withSelection(exported.href);
  }

  function sync() {
    const list = boxes();
    for (const box of list) {
      box.checked = every || chosen.has(box.value);
      box.closest("tr").classList.toggle("sel", box.checked);
    }
    const head = $("thead input[type=checkbox]", live());
    const ticked = list.filter((box) => box.checked).length;
    if (head) {
      head.checked = ticked > 0 && ticked === list.length;
      head.indeterminate = ticked > 0 && !head.checked;
    }
    show();
  }

  function choose(list, on) {
    if (every && !on) { every = false; for (const box of boxes()) chosen.add(box.value); }
    for (const box of list) { if (on) chosen.add(box.value); else chosen.delete(box.value); }
    sync();
    remember();
    announce(every || chosen.size ? `${count()} selected` : "Nothing selected");
  }

  document.addEventListener("click", (event) => {
    const box = event.target.closest("tbody input[type=checkbox]");
    if (box && live().contains(box)) {
      const list = boxes();
      let range = [box];
      if (event.shiftKey && list.includes(last)) {
        const [from, to] = [list.indexOf(last), list.indexOf(box)].sort((a, b) => a - b);
        range = list.slice(from, to + 1);
      }
      last = box;
      choose(range, box.checked);
      return;
    }
    const link = event.target.closest("a[href]");
    if (!link || bar.contains(link) || link.origin !== location.origin || link.pathname !== location.pathname) return;
    link.href = withSelection(link.href); // the selection survives paging and sorting
  });
  document.addEventListener("change", (event) => {
    const head = $("thead input[type=checkbox]", live());
    if (event.target === head) choose(boxes(), head.checked);
  });
  $("[data-clear]", bar)?.addEventListener("click", (event) => {
    event.preventDefault();
    every = false;
    chosen.clear();
    choose([], false);
  });
  document.addEventListener("keydown", (event) => {
    const busy = event.target.closest("input:not([type=checkbox]), textarea, select") || $("dialog[open], [popover]:popover-open");
    if (event.key === "Escape" && !busy && (every || chosen.size)) $("[data-clear]", bar)?.click();
  });
  document.addEventListener("htmx:configRequest", (event) => {
    if (event.detail.target?.id === "runs" && words()) event.detail.parameters.sel = words();
  });
  document.addEventListener("htmx:afterSettle", sync);
  document.addEventListener("htmx:sseMessage", sync);
  document.addEventListener("renewed", sync);
  sync();
});
