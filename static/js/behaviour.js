// What every module shares: short selectors, the polite live region, and the way
// a module attaches itself to elements, also to those htmx brings later.

export const $ = (selector, root = document) => root.querySelector(selector);
export const $$ = (selector, root = document) => [...root.querySelectorAll(selector)];

/** Say one short sentence to screen readers, at most once a second. */
export function announce(text) {
  const node = $("#live");
  if (!node) return;
  node.textContent = "";
  requestAnimationFrame(() => { node.textContent = text; });
}

/**
 * Attach `attach(element)` once to each element with `data-behaviour="<name>"`.
 * Several names may stand in the attribute, separated by spaces.
 */
export function behaviour(name, attach) {
  const done = new WeakSet();
  const selector = `[data-behaviour~="${name}"]`;
  const scan = (root) => {
    const found = $$(selector, root);
    if (root instanceof Element && root.matches(selector)) found.unshift(root);
    for (const element of found) {
      if (done.has(element)) continue;
      done.add(element);
      attach(element);
    }
  };
  scan(document);
  document.addEventListener("htmx:load", (event) => scan(event.detail.elt));
}

/** The CSRF token of this page, for the few requests that are not made by htmx. */
export function csrfToken() {
  return JSON.parse(document.body.getAttribute("hx-headers") || "{}")["X-CSRFToken"] || "";
}
