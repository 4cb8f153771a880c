// This page as another address of it answers, put in place of what is shown: scroll, focus, typed text and open details
// stay, and the address, its links and its forms all tell the same.
import { $, $$ } from "./behaviour.js";
import { morph } from "./live-morph.js";

const WAITING = "[popover][hx-get]"; // boxes that fetch what they hold when they are opened
const here = () => location.pathname + location.search;
let asked = 0;
let shown = here();

/** The page of an address as a document; throws where it is not shown. */
export async function fetchPage(address, headers = {}) {
  const answer = await fetch(address, { headers: { Accept: "text/html", ...headers } });
  if (answer.redirected && /\/sign-in\//.test(answer.url)) throw new Error("signed out");
  if (!answer.ok) throw new Error(String(answer.status));
  return new DOMParser().parseFromString(await answer.text(), "text/html");
}

/** Put a fetched page in place of this one. */
export function show(found) {
  const content = $("#content");
  for (const box of $$(WAITING, content)) {
    // An open one knows best what it shows; a closed one fetches anew, since what it held was of the old address.
    if (box.matches(":popover-open")) box.setAttribute("data-live-keep", "");
    else box.replaceWith(document.importNode($(`#${CSS.escape(box.id)}`, found) || box, true));
  }
  morph(content, $("#content", found));
  for (const box of $$(WAITING, content)) box.removeAttribute("data-live-keep");
  document.title = found.title;
  window.htmx?.process(content);
  document.dispatchEvent(new CustomEvent("htmx:load", { detail: { elt: content } }));
  document.dispatchEvent(new CustomEvent("renewed"));
}

/** Go to another address of this page; only the last of several is shown. */
export async function go(address) {
  const mine = ++asked;
  history.pushState(null, "", address);
  shown = here();
  try {
    const found = await fetchPage(address);
    if (mine === asked) show(found);
  } catch {
    location.assign(address); // the server says what is wrong
  }
}

window.addEventListener("popstate", (event) => {
  if (asked && here() !== shown && !event.state?.htmx) location.reload(); // back over an address that was gone to here
});
