// The page of a run that still works: <div data-behaviour="run-live" data-url data-src="#json">.
// New points every few seconds while the page is visible; the page reloads once when the run ends.
import { $, $$, announce, behaviour } from "../behaviour.js";
import { redraw } from "./charts.js";
import { setData } from "./data.js";

const EVERY_MS = 3000;
const SLOWEST_MS = 30_000;

behaviour("run-live", (box) => {
  const button = $("[data-pause]", box);
  const note = $("[data-live-paused]", box);
  let wait = EVERY_MS;
  let stopped = false;
  button?.addEventListener("click", () => {
    stopped = !stopped;
    button.setAttribute("aria-pressed", String(stopped));
  });

  async function tick() {
    if (!stopped && !document.hidden) {
      try {
        const answer = await fetch(box.dataset.url, { headers: { Accept: "application/json" } });
        if (!answer.ok) throw new Error(answer.status);
        const found = await answer.json();
        show(found);
        wait = EVERY_MS;
        if (note) note.hidden = true;
        if (found.settled) { announce(`The run ended: ${found.state}`); location.reload(); return; }
      } catch {
        wait = Math.min(wait * 2, SLOWEST_MS);
        if (note) note.hidden = false;
      }
    }
    setTimeout(tick, wait);
  }

  function show(found) {
    setData(box.dataset.src, found);
    redraw((plot) => plot.dataset.src === box.dataset.src);
    for (const cell of $$("[data-latest]", box)) {
      const value = found.latest[cell.dataset.latest];
      if (value != null) cell.textContent = value.toFixed(4);
    }
  }
  setTimeout(tick, wait);
});
