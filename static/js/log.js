// A log that grows: <div data-behaviour="log" data-next="12" data-log-url> fetches the lines after those it has
// whenever the page's live line tells of news.
import { $, $$, behaviour } from "./behaviour.js";

const MOST_LINES = 5000;

behaviour("log", (box) => {
  let busy = false;
  async function more() {
    if (busy || !box.isConnected) return;
    busy = true;
    try {
      const answer = await fetch(`${box.dataset.logUrl}&after=${box.dataset.next}`);
      if (!answer.ok || answer.redirected) return;
      const found = new DOMParser().parseFromString(await answer.text(), "text/html");
      const next = $("[data-log-next]", found);
      if (!next) return;
      box.dataset.next = next.dataset.logNext;
      const lines = $$(".ln[id]", found).filter((line) => !document.getElementById(line.id));
      if (!lines.length) return;
      box.append(...lines);
      const old = $$(".ln", box);
      for (const line of old.slice(0, Math.max(0, old.length - MOST_LINES))) line.remove();
    } finally { busy = false; }
  }
  document.addEventListener("livechange", more);
});
