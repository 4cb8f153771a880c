// Puts new markup in place of old and keeps what a person did to it: focus, typed text, ticks, open details, scroll,
// rows hidden by a search, and charts that are drawn.
/* global Idiomorph */
import { $$ } from "./behaviour.js";

const OURS = new Set(["open", "style", "tabindex", "data-live-state", "data-live-paused", "aria-expanded"]);
// What a module says of a field that it completes; the server's page does not know of it.
const COMPLETES = new Set(["role", "aria-controls", "aria-autocomplete", "aria-haspopup", "aria-activedescendant"]);
const same = (a, b) => b.tagName === a.tagName && b.name === a.name && b.type === a.type;

/** Carry over what was typed and ticked: morphing would set it back. */
function keepFields(old, fresh) {
  for (const field of $$("input, select, textarea", old)) {
    const typed = field.matches("[type=checkbox], [type=radio]")
      ? field.checked !== field.defaultChecked : field.value !== field.defaultValue;
    if (!typed && field.tagName !== "SELECT") continue;
    const own = field.id
      ? fresh.querySelector(`#${CSS.escape(field.id)}`)
      : $$("input, select, textarea", fresh).find((other) => same(field, other) && other.getAttribute("value") === field.getAttribute("value"));
    if (!own || !same(field, own)) continue;
    if (field.matches("[type=checkbox], [type=radio]")) own.checked = field.checked;
    else own.value = field.value;
  }
}

/** Morph `old` into `fresh`. */
export function morph(old, fresh) {
  keepFields(old, fresh);
  const scrolls = $$(".tblwrap, .console, .columns", old).map((node) => [node, node.scrollTop, node.scrollLeft]);
  Idiomorph.morph(old, fresh, {
    morphStyle: "outerHTML",
    ignoreActiveValue: true,
    callbacks: {
      beforeNodeMorphed: (node) => !(node instanceof Element && node.matches(".plot[data-chart], [data-live-keep]") && node !== old),
      beforeNodeRemoved: (node) => !(node instanceof Element && node.matches("[data-live-keep]")),
      beforeAttributeUpdated: (name, node) => !(OURS.has(name) || (COMPLETES.has(name) && node.matches("input, textarea"))
        || (name === "hidden" && node.matches("tr, [data-find]"))
        || (name === "aria-pressed" && node.matches("[data-live-pause], [data-toggle]"))),
    },
  });
  for (const [node, top, left] of scrolls) if (node.isConnected) { node.scrollTop = top; node.scrollLeft = left; }
}
