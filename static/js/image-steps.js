// Images of one key over the steps of a run: <figure data-behaviour="image-steps" data-src="#json">.
// It holds an image inside [data-full], a hidden range input, [data-step] and [data-time].
// With data-together="name" the figures of that name move to the nearest step of the one that is moved.
import { $, $$, behaviour } from "./behaviour.js";

const shown = new Map();

function show(figure, at) {
  const { frames, key } = shown.get(figure);
  const frame = frames[at];
  const image = $("img", figure);
  image.src = frame.src;
  image.alt = `${key} at step ${frame.step}`;
  $("[data-full]", figure).href = frame.url;
  $("[data-step]", figure).textContent = frame.step;
  $("[data-time]", figure).textContent = frame.time;
  const slider = $("input[type=range]", figure);
  if (!slider) return;
  slider.value = at;
  slider.setAttribute("aria-valuetext", `step ${frame.step}`);
}

function nearest(frames, step) {
  let best = 0;
  frames.forEach((frame, at) => {
    if (Math.abs(frame.step - step) < Math.abs(frames[best].step - step)) best = at;
  });
  return best;
}

behaviour("image-steps", (figure) => {
  const frames = JSON.parse($(figure.dataset.src).textContent);
  shown.set(figure, { frames, key: $("img", figure).alt.replace(/ at step -?\d+$/, "") });
  const slider = $("input[type=range]", figure);
  if (!slider) return;
  slider.hidden = false;
  slider.addEventListener("input", () => {
    const at = Number(slider.value);
    show(figure, at);
    if (!figure.dataset.together) return;
    for (const other of $$(`[data-together="${figure.dataset.together}"]`)) {
      if (other !== figure && shown.has(other)) show(other, nearest(shown.get(other).frames, frames[at].step));
    }
  });
});
