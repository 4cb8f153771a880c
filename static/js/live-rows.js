// A table that is being read does not move: rows that are shown are renewed where they are, new ones wait behind a link.
import { $, $$ } from "./behaviour.js";

/** Give `fresh` the rows of `old` in their order, and say in old's [data-live-new] how many runs wait. */
export function hold(old, fresh) {
  const body = $("tbody", fresh);
  const shown = $$("tbody > tr[id]", old);
  if (!body || !shown.length) return;
  const came = new Map($$("tr[id]", body).map((row) => [row.id, row]));
  const waiting = [...came.keys()].filter((id) => !document.getElementById(id)).length;
  const grown = Number(fresh.dataset.liveRows) - Number(old.dataset.liveFirst ?? old.dataset.liveRows);
  old.dataset.liveFirst ??= old.dataset.liveRows;
  fresh.dataset.liveFirst = old.dataset.liveFirst;
  body.replaceChildren(...shown.map((row) => came.get(row.id) || row.cloneNode(true)));
  const count = grown > 0 ? grown : waiting;
  const link = $("[data-live-new]", fresh);
  if (!link || !(waiting || grown > 0)) return;
  link.hidden = false;
  $("b", link).textContent = `${count} new run${count === 1 ? "" : "s"}`;
}
