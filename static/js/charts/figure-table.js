// The numbers of a figure as a table: all of them, 500 on the page at a time.
import { announce } from "../behaviour.js";

const ROWS = 500;

/** A value as text. */
export function shown(value) {
  if (value == null) return "–";
  if (value instanceof Date) return value.toISOString();
  return typeof value === "number" ? String(Number(value.toPrecision(6))) : String(value);
}

function emptyTable(names, caption) {
  const table = document.createElement("table");
  table.className = "tbl plain";
  const head = table.createTHead().insertRow();
  for (const text of names) {
    const cell = document.createElement("th");
    cell.scope = "col";
    cell.textContent = text;
    head.append(cell);
  }
  const label = table.createCaption();
  label.className = "vh";
  label.textContent = caption;
  table.createTBody();
  return table;
}

function fill(table, rows) {
  const body = document.createElement("tbody");
  for (const row of rows) {
    const line = body.insertRow();
    for (const value of row) line.insertCell().textContent = shown(value);
  }
  table.tBodies[0].replaceWith(body);
}

function button(text, step, turn) {
  const made = document.createElement("button");
  made.type = "button";
  made.className = "btn sm";
  made.textContent = text;
  made.addEventListener("click", () => turn(step));
  return made;
}

/** A box with the table of heads and rows; more than one page has buttons to turn. */
export function tableBox([names, rows], label) {
  const box = document.createElement("div");
  const scroll = document.createElement("div");
  const table = emptyTable(names, label);
  box.className = "figuretable";
  scroll.className = "figurerows";
  scroll.tabIndex = 0;
  scroll.setAttribute("role", "group");
  scroll.setAttribute("aria-label", label);
  scroll.append(table);
  box.append(scroll);
  let at = 0;
  const words = document.createElement("span");
  words.className = "small muted num";
  const back = button("Previous", -ROWS, turn);
  const on = button("Next", ROWS, turn);
  function turn(by) {
    if (at + by < 0 || (by > 0 && at + by >= rows.length)) return;
    at += by;
    const end = Math.min(rows.length, at + ROWS);
    fill(table, rows.slice(at, end));
    back.setAttribute("aria-disabled", String(at === 0));
    on.setAttribute("aria-disabled", String(end === rows.length));
    words.textContent = rows.length ? `Points ${(at + 1).toLocaleString("en")} to ${end.toLocaleString("en")} of ${rows.length.toLocaleString("en")}` : "No points";
    scroll.scrollTop = 0;
    announce(words.textContent);
  }
  turn(0);
  if (rows.length > ROWS) {
    const foot = document.createElement("div");
    foot.className = "row gap1 figurepages";
    foot.append(words, back, on);
    box.append(foot);
  }
  return box;
}
