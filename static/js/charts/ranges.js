// Ranges of axes as text of the filter language, and back: params.depth>=4 params.depth<=8 params.kind:a|b.

const PLAIN = /^[\w./-]+$/;
const PIECE = /(params|metrics)\.(?:"([^"]*)"|`([^`]*)`|([^\s<>=:"`]+))\s*(>=|<=|:)\s*((?:"[^"]*"|[^\s|]+)(?:\|(?:"[^"]*"|[^\s|]+))*)/g;

const quoted = (text) => (PLAIN.test(text) ? text : `"${text.replaceAll('"', "'")}"`);
const fieldOf = (dim) => `${dim.field.split(".", 1)[0]}.${quoted(dim.field.slice(dim.field.indexOf(".") + 1))}`;

/** Text of the ranges that are kept. */
export function textOf(dims, ranges) {
  const parts = [];
  for (const [at, range] of ranges) {
    const field = fieldOf(dims[at]);
    if (range.cats) parts.push(`${field}:${range.cats.map(quoted).join("|")}`);
    else parts.push(`${field}>=${Number(range.low.toPrecision(4))}`, `${field}<=${Number(range.high.toPrecision(4))}`);
  }
  return parts.join(" ");
}

/** The ranges a text means; what names no axis is left out. */
export function rangesOf(dims, text) {
  const ranges = new Map();
  for (const [, kind, a, b, c, sign, value] of text.matchAll(PIECE)) {
    const at = dims.findIndex((dim) => dim.field === `${kind}.${a ?? b ?? c}`);
    if (at < 0) continue;
    const dim = dims[at];
    if (dim.cats) {
      const words = value.split("|").map((word) => word.replace(/^"|"$/g, ""));
      ranges.set(at, { cats: dim.cats.filter((cat) => words.includes(cat)) });
      continue;
    }
    const range = ranges.get(at) || { low: dim.min, high: dim.max };
    const numbers = value.split("|").map(Number).filter(Number.isFinite);
    if (!numbers.length) continue;
    if (sign !== "<=") range.low = Math.min(...numbers);
    if (sign !== ">=") range.high = Math.max(...numbers);
    ranges.set(at, range);
  }
  return ranges;
}

/** Whether a value on an axis lies in its range. */
export function keeps(range, value) {
  return range.cats ? range.cats.includes(value) : value >= range.low && value <= range.high;
}
