// Chips of the filter field (<div data-behaviour="filter-chips">): a click on a chip, or Backspace in the empty
// field, takes it back into the field; Esc puts it where it was. Without script the links of a chip do the same.
import { $, $$, announce, behaviour } from "./behaviour.js";

behaviour("filter-chips", (box) => {
  const input = $("[data-filter]", box);
  const rest = $("[data-rest]", box.closest("form"));
  let taken = null;

  /** What the form sends beside the field: the chips that are left. */
  function sync() {
    rest.value = $$(".chip", box).map((chip) => chip.dataset.text).join(" ");
    rest.disabled = !rest.value;
  }

  function take(chip) {
    restore();
    taken = { chip, next: chip.nextElementSibling, typed: input.value };
    chip.remove();
    input.value = chip.dataset.text;
    sync();
    input.focus();
    input.setSelectionRange(input.value.length, input.value.length);
    announce(`Editing ${chip.dataset.text}`);
  }

  function restore() {
    if (!taken) return false;
    box.insertBefore(taken.chip, taken.next);
    input.value = taken.typed;
    taken = null;
    sync();
    return true;
  }

  box.addEventListener("click", (event) => {
    const text = event.target.closest(".chiptext");
    if (text && !event.ctrlKey && !event.metaKey) {
      event.preventDefault();
      take(text.closest(".chip"));
    } else if (event.target === box) input.focus();
  });
  input.addEventListener("keydown", (event) => {
    if (event.defaultPrevented) return;
    const chips = $$(".chip", box);
    if (event.key === "Backspace" && !input.value && chips.length) {
      event.preventDefault();
      take(chips.at(-1));
    } else if (event.key === "Escape") {
      if (!restore()) input.blur();
      event.preventDefault();
    }
  });
  if (input.dataset.start) {
    input.focus();
    input.setSelectionRange(Number(input.dataset.start), Number(input.dataset.stop));
  }
});
