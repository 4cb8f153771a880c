// The chooser of columns: shows, hides, pins, moves (buttons or drag) and renews the page below it,
// so that several changes need no page load. Without the table on the page its forms work as they are.
import { $, $$, announce, behaviour } from "./behaviour.js";
import { go } from "./renew.js";

behaviour("column-picker", (box) => {
  if (!$("#runs")) return;
  const list = $("[data-shown]", box);
  const rows = () => $$("li", list);
  const written = (row) => (row.hasAttribute("data-pinned") ? "!" : "") + (row.dataset.width || "") + row.dataset.token;
  let dragged = null;
  let waiting = 0;

  function address(cols) {
    const url = new URL(location.href);
    for (const name of ["cols", "col", "change", "agg", "step", "cursor", "before"]) url.searchParams.delete(name);
    if (cols !== null) url.searchParams.set("cols", cols);
    const agg = $("[data-agg]", box).value;
    if (agg !== "last") url.searchParams.set("agg", agg);
    if (agg === "step") url.searchParams.set("step", $("[data-step]", box).value || "0");
    return url;
  }

  function apply(words) {
    const shown = rows();
    const cols = shown.map(written).join(",");
    $("[data-cols]", box).value = cols;
    $("[data-count]", box).textContent = shown.length;
    const pins = shown.filter((row) => row.hasAttribute("data-pinned")).length;
    $("[data-pins]", box).textContent = pins ? `, ${pins} pinned` : "";
    const count = $("#colbtn .count");
    if (count) count.textContent = shown.length;
    announce(words);
    clearTimeout(waiting);
    waiting = setTimeout(() => go(address(cols)), 150);
  }

  /** A new row is a copy of none: the server's row needs nothing but its token and its label. */
  function add(choice) {
    if (rows().length >= Number(box.dataset.most)) {
      choice.checked = false;
      announce(`At most ${box.dataset.most} columns are shown`);
      return;
    }
    const row = $("[data-pattern]", box).content.firstElementChild.cloneNode(true);
    row.dataset.token = choice.value;
    $("[data-label]", row).textContent = choice.dataset.label;
    for (const button of $$("button", row)) {
      button.setAttribute("aria-label", `${button.dataset.word} ${choice.dataset.label}`);
    }
    list.append(row);
    apply(`${choice.dataset.label} shown`);
  }

  function remove(row) {
    const choice = $$("#collist input", box).find((input) => input.value === row.dataset.token);
    if (choice) { choice.checked = false; choice.disabled = false; }
    const next = row.nextElementSibling || row.previousElementSibling;
    row.remove();
    $("[data-do=hide]", next || document.createElement("i"))?.focus();
    apply("Column hidden");
  }

  const act = {
    hide: remove,
    pin: (row, button) => {
      row.toggleAttribute("data-pinned");
      button.setAttribute("aria-pressed", String(row.hasAttribute("data-pinned")));
      apply(row.hasAttribute("data-pinned") ? "Pinned" : "No longer pinned");
    },
    left: (row, button) => { row.previousElementSibling?.before(row); button.focus(); apply("Moved left"); },
    right: (row, button) => { row.nextElementSibling?.after(row); button.focus(); apply("Moved right"); },
  };

  box.addEventListener("click", (event) => {
    const button = event.target.closest("[data-do]");
    if (!button) return;
    event.preventDefault();
    act[button.dataset.do](button.closest("li"), button);
  });
  box.addEventListener("change", (event) => {
    const field = event.target;
    if (field.matches("#collist input")) {
      const row = rows().find((known) => known.dataset.token === field.value);
      if (field.checked && !row) add(field);
      else if (!field.checked && row) remove(row);
    } else if (field.matches("[data-agg],[data-step]")) {
      $("[data-step]", box).hidden = $("[data-agg]", box).value !== "step";
      apply("Values changed");
    }
  });
  list.addEventListener("dragstart", (event) => { dragged = event.target.closest("li"); });
  list.addEventListener("dragover", (event) => {
    const over = event.target.closest("li");
    if (!dragged || !over || over === dragged) return;
    event.preventDefault();
    const half = over.getBoundingClientRect();
    if (event.clientY > half.top + half.height / 2) over.after(dragged); else over.before(dragged);
  });
  list.addEventListener("drop", (event) => event.preventDefault());
  list.addEventListener("dragend", () => { dragged = null; apply("Moved"); });

  for (const row of rows()) row.draggable = true;
  for (const choice of $$("#collist input:disabled", box)) choice.disabled = false;
  document.addEventListener("htmx:afterSettle", () => {
    for (const choice of $$("#collist input:disabled", box)) choice.disabled = false;
  });
});
