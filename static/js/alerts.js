// Keys of the alerts page: j k move, a acknowledge, s silence, m assign to me. data-behaviour="alerts" on the page.
import { $, $$, announce, behaviour } from "./behaviour.js";

const FIELDS = "input,textarea,select,[contenteditable],dialog[open],[popover]";

behaviour("alerts", (page) => {
  const links = $$(".list li > a", page);
  const move = (by) => {
    const current = links.findIndex((link) => link === document.activeElement || link.parentElement.ariaCurrent === "true");
    const next = links[Math.max(0, Math.min(links.length - 1, current + by))];
    if (!next) return;
    next.focus();
    next.scrollIntoView({ block: "nearest" });
  };
  const press = (selector, word) => {
    const button = $(selector, page);
    if (!button) return;
    announce(word);
    button.click();
  };
  const keys = {
    j: () => move(1), k: () => move(-1),
    a: () => press("[data-key=a]", "Acknowledging"),
    s: () => press("[data-key=s]", "Silence for how long"),
    m: () => press("[data-key=m]", "Assigning to you"),
  };
  document.addEventListener("keydown", (event) => {
    if (event.defaultPrevented || event.metaKey || event.ctrlKey || event.altKey || !(event.key in keys)) return;
    if (event.target.closest(FIELDS) || document.documentElement.dataset.shortcuts === "off") return;
    event.preventDefault();
    keys[event.key]();
  });
});
