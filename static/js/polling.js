// A card that updates itself says so when it cannot: <div data-behaviour="polling"> holds
// an element with hx-trigger="every ..."; a hidden [data-live-paused] note inside is
// shown while requests fail and hidden again after the next good answer.
import { $, announce, behaviour } from "./behaviour.js";

behaviour("polling", (box) => {
  const note = $("[data-live-paused]", box);
  const pause = (paused) => {
    if (!note || note.hidden === !paused) return;
    note.hidden = !paused;
    announce(paused ? "Live updates paused" : "Live updates are back");
  };
  box.addEventListener("htmx:sendError", () => pause(true));
  box.addEventListener("htmx:responseError", () => pause(true));
  box.addEventListener("htmx:sseError", () => pause(true));
  box.addEventListener("htmx:afterRequest", (event) => { if (event.detail.successful) pause(false); });
  box.addEventListener("htmx:sseOpen", () => pause(false));
});
