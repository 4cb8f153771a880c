// Parts of a page that renew themselves. A box with data-live-topic="run:12" data-live-stream="<address>" data-live-url
// holds what changes: on news its address is fetched and every element of the answer takes the place of the one with
// the same id, morphed, so that focus, selection, open details and scroll stay. data-live-version is what it shows now;
// data-live-done in an answer says that nothing more will come: the whole page is renewed once.
import { $, $$, announce, behaviour } from "./behaviour.js";
import { connect } from "./live-line.js";
import { morph } from "./live-morph.js";
import { hold } from "./live-rows.js";
import { fetchPage, show } from "./renew.js";

const AT_LEAST_MS = 1000;

behaviour("live-part", (box) => {
  let version = box.dataset.liveVersion;
  let busy = false;
  let wanted = "";
  let last = Date.now(); // the page is as fresh as an answer

  async function renew(news) {
    wanted = news;
    if (busy || box.dataset.livePaused === "on") return;
    busy = true;
    try {
      while (wanted && wanted !== version) {
        const pause = last + AT_LEAST_MS * (box.dataset.liveEvery || 1) - Date.now();
        if (pause > 0) await new Promise((done) => { setTimeout(done, pause); });
        const now = wanted;
        last = Date.now();
        await fetchParts();
        version = now;
      }
    } finally { busy = false; }
  }

  async function fetchParts() {
    const found = await fetchPage(box.dataset.liveUrl || location.href, { "HX-Target": box.dataset.liveTarget || "live" });
    const done = $("[data-live-done]", found);
    if (done?.dataset.liveDone === "reload") { line.close(); location.reload(); return; }
    if (done) { await whole(); return; }
    for (const part of $$("body > [id]", found)) {
      const old = document.getElementById(part.id);
      if (!old) continue;
      if (old.dataset.liveRows !== undefined) hold(old, part);
      morph(old, part);
      for (const total of $$(`[data-total-of="${part.id}"]`)) total.textContent = part.dataset.liveTotal ?? total.textContent;
    }
    document.dispatchEvent(new CustomEvent("livechange", { detail: { topic: box.dataset.liveTopic } }));
  }

  async function whole() {
    const found = await fetchPage(location.href);
    line.close();
    show(found);
    document.dispatchEvent(new CustomEvent("livechange", { detail: { topic: box.dataset.liveTopic, ended: true } }));
    announce(found.title);
  }

  const line = connect(box, renew, () => renew(`asked ${Date.now()}`));
  document.addEventListener("click", (event) => {
    const button = event.target.closest("[data-live-pause]");
    if (!button || !box.isConnected) return;
    const off = button.getAttribute("aria-pressed") !== "true";
    button.setAttribute("aria-pressed", String(off));
    box.dataset.livePaused = off ? "on" : "";
    if (!off) renew(wanted);
  });
});
