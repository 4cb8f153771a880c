// Names of members while a comment is written: <textarea data-behaviour="mention" data-people="ana tom">.
// After "@" and the first letters a list opens below; arrows choose, Enter or Tab takes, Esc closes.
import { announce, behaviour } from "./behaviour.js";

const SHOWN = 8;

behaviour("mention", (field) => {
  const people = field.dataset.people.split(" ").filter(Boolean);
  const list = document.createElement("ul");
  list.className = "people";
  list.id = `${field.id}-people`;
  list.setAttribute("data-live-keep", "");
  list.hidden = true;
  list.setAttribute("role", "listbox");
  list.setAttribute("aria-label", "Members");
  field.after(list);
  field.setAttribute("aria-controls", list.id);
  let at = 0;

  const typed = () => field.value.slice(0, field.selectionStart).match(/(?:^|[\s(])@([\w.+-]*)$/);

  function close() {
    list.hidden = true;
    field.removeAttribute("aria-activedescendant");
  }

  function choose(step) {
    at = (at + step + list.children.length) % list.children.length;
    [...list.children].forEach((item, n) => item.setAttribute("aria-selected", String(n === at)));
    field.setAttribute("aria-activedescendant", list.children[at].id);
  }

  function show() {
    const word = typed()?.[1].toLowerCase();
    const found = word === undefined ? [] : people.filter((name) => name.toLowerCase().startsWith(word)).slice(0, SHOWN);
    if (!found.length) { close(); return; }
    list.replaceChildren(...found.map((name, n) => {
      const item = document.createElement("li");
      item.id = `${list.id}-${n}`;
      item.textContent = name;
      item.setAttribute("role", "option");
      return item;
    }));
    list.hidden = false;
    at = 0;
    choose(0);
    announce(`${found.length} member${found.length === 1 ? "" : "s"}`);
  }

  function take(name) {
    const from = field.selectionStart - typed()[1].length;
    field.setRangeText(`${name} `, from, field.selectionStart, "end");
    close();
  }

  field.addEventListener("input", show);
  field.addEventListener("blur", close);
  list.addEventListener("mousedown", (event) => {
    event.preventDefault();
    const item = event.target.closest("li");
    if (item) take(item.textContent);
  });
  field.addEventListener("keydown", (event) => {
    if (list.hidden) return;
    if (event.key === "ArrowDown" || event.key === "ArrowUp") choose(event.key === "ArrowDown" ? 1 : -1);
    else if (event.key === "Enter" || event.key === "Tab") take(list.children[at].textContent);
    else if (event.key === "Escape") close();
    else return;
    event.preventDefault();
    event.stopPropagation();
  });
});
