// A console that scrolls with its newest lines while "Follow" is on: <div data-behaviour="follow">.
// Scrolling up switches it off, scrolling to the end or the switch turns it on again.
import { $, behaviour } from "./behaviour.js";

const NEAR = 24;

behaviour("follow", (box) => {
  const knob = $(`[data-follow="#${box.id}"]`);
  const atEnd = () => box.scrollHeight - box.scrollTop - box.clientHeight < NEAR;
  const toEnd = () => { box.scrollTop = box.scrollHeight; };
  toEnd();
  if (!knob) return;
  let moved = false; // our own scrolling must not switch it off
  const follow = () => { moved = true; toEnd(); };
  box.addEventListener("scroll", () => {
    if (moved) { moved = false; return; }
    knob.checked = atEnd();
  });
  knob.addEventListener("change", () => { if (knob.checked) follow(); });
  new MutationObserver(() => { if (knob.checked) follow(); }).observe(box, { childList: true });
});
