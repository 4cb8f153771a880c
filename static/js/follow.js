// A console that scrolls with its newest lines while "Follow" is on: <div data-behaviour="follow">.
// Scrolling up switches it off, scrolling to the end or the switch turns it on again.
import { $, behaviour } from "./behaviour.js";

const NEAR = 24;

behaviour("follow", (box) => {
  const knob = $(`[data-follow="#${box.id}"]`);
  const atEnd = () => box.scrollHeight - box.scrollTop - box.clientHeight < NEAR;
  const toEnd = () => { box.scrollTop = box.scrollHeight; };
  const named = location.hash && box.querySelector(`[id="${CSS.escape(location.hash.slice(1))}"]`);
  if (named) box.scrollTop = named.offsetTop - box.offsetTop - box.clientHeight / 3;
  else toEnd();
  if (!knob) return;
  let last = box.scrollTop;
  box.addEventListener("scroll", () => {
    // only a person scrolls up: lines are added at the end
    if (box.scrollTop < last) knob.checked = false;
    else if (atEnd()) knob.checked = true;
    last = box.scrollTop;
  });
  knob.addEventListener("change", () => { if (knob.checked) toEnd(); });
  new MutationObserver(() => { if (knob.checked) toEnd(); }).observe(box, { childList: true });
});
