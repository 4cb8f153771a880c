// Curves of a run that still works: <section data-behaviour="run-live" data-url data-src="#json">.
// New points are fetched whenever the page's live line tells of news.
import { $$, behaviour } from "../behaviour.js";
import { redraw } from "./charts.js";
import { setData } from "./data.js";

behaviour("run-live", (box) => {
  let busy = false;
  async function more() {
    if (busy || !box.isConnected) return;
    busy = true;
    try {
      const answer = await fetch(box.dataset.url, { headers: { Accept: "application/json" } });
      if (answer.ok && !answer.redirected) show(await answer.json());
    } finally { busy = false; }
  }

  function show(found) {
    setData(box.dataset.src, found);
    redraw((plot) => plot.dataset.src === box.dataset.src);
    for (const cell of $$("[data-latest]", box)) {
      const value = found.latest[cell.dataset.latest];
      if (value != null) cell.textContent = value.toFixed(4);
    }
  }
  document.addEventListener("livechange", more);
});
