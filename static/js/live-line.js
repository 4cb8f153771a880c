// The line that tells of news: server-sent events while the page is visible, asking now and then where the server has
// no line left, and an amber note with the age of what is shown and the next try when neither works.
import { $, announce } from "./behaviour.js";

const FIRST_MS = 2000;
const SLOWEST_MS = 30_000;
const ASK_MS = 5000;
const ASK_TIMES = 12; // then the line is tried again
const NOTED_AFTER_MS = 3000;

const words = (ms) => (ms < 90_000 ? `${Math.round(ms / 1000)} s` : `${Math.round(ms / 60_000)} min`);

/** Call `news(version)` on each event, and `ask()`, a promise, where there is no line. */
export function connect(box, news, ask) {
  const note = $("[data-live-note]");
  const address = `${box.dataset.liveStream}?topic=${encodeURIComponent(box.dataset.liveTopic)}`;
  let source = null;
  let wait = FIRST_MS;
  let timer = 0;
  let seen = Date.now();
  let brokenAt = 0;
  let nextAt = 0;
  let closed = false;

  function good() {
    seen = Date.now();
    wait = FIRST_MS;
    if (brokenAt && note && !note.hidden) announce("Live updates are back");
    brokenAt = 0;
    say();
  }

  function bad() {
    brokenAt ||= Date.now();
    nextAt = Date.now() + wait;
    plan(open, wait);
    wait = Math.min(wait * 2, SLOWEST_MS);
    say();
  }

  function say() {
    if (!note) return;
    const show = brokenAt && Date.now() - brokenAt > NOTED_AFTER_MS;
    if (show && note.hidden) announce("Live updates are paused");
    note.hidden = !show;
    if (!show) return;
    const left = Math.max(0, nextAt - Date.now());
    $("[data-live-text]", note).textContent =
      `The last news is ${words(Date.now() - seen)} old. ${left ? `Next try in ${words(left)}.` : "Trying now."}`;
  }

  function plan(what, ms) {
    clearTimeout(timer);
    timer = setTimeout(what, ms);
  }

  async function take(work) {
    try { await work(); good(); return true; } catch { bad(); return false; }
  }

  async function poll(times = 0) {
    if (closed || document.hidden) return;
    if (await take(ask)) plan(times < ASK_TIMES ? () => poll(times + 1) : open, ASK_MS);
  }

  function stop() {
    source?.close();
    source = null;
    clearTimeout(timer);
  }

  function open() {
    stop();
    if (closed || document.hidden) return;
    source = new EventSource(address);
    source.addEventListener("changed", (event) => { take(() => news(event.data)); });
    source.addEventListener("again", () => { open(); });
    source.addEventListener("open", () => { box.dataset.liveState = "open"; });
    source.addEventListener("error", () => {
      // a line that was refused is closed by the browser; one that broke would be tried again without a word
      const refused = source?.readyState === EventSource.CLOSED && box.dataset.liveState !== "open";
      box.dataset.liveState = refused ? "asking" : "broken";
      stop();
      if (refused) poll(); else bad();
    });
  }

  document.addEventListener("visibilitychange", () => { if (document.hidden) stop(); else open(); });
  addEventListener("pagehide", stop);
  addEventListener("pageshow", (event) => { if (event.persisted) open(); });
  note?.addEventListener("click", (event) => { if (event.target.closest("button")) open(); });
  setInterval(say, 1000);
  open();
  return { close() { closed = true; stop(); } };
}
