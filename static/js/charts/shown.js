// Which runs the charts of a page show: those not hidden by their eye, inside the ranges that are kept.

const hidden = new Set();
let kept = null;

/** Whether charts draw this run; what is no run is always drawn. */
export const isShown = (id) => id === undefined || (!hidden.has(id) && (kept === null || kept.has(id)));

/** Hide or show one run. */
export function setHidden(id, off) {
  if (off) hidden.add(id); else hidden.delete(id);
  document.dispatchEvent(new CustomEvent("runschanged"));
}

export const isHidden = (id) => hidden.has(id);

/** Keep only these runs; null keeps all. */
export function keepOnly(ids) {
  kept = ids;
  document.dispatchEvent(new CustomEvent("runsranged"));
}
