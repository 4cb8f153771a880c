// Kinds of charts of a comparison: bundles of curves and contour lines.
import { colour, DASH, fade, layout, numbers, ofRun, plain, SYMBOL } from "./theme.js";
import { isShown } from "./shown.js";
import { innerRange, smooth } from "./smooth.js";

const X_TITLE = { step: "Step", rel: "Minutes since start", time: "" };
const times = (data, xs) => (data.axis === "time" ? xs.map((x) => new Date(x)) : xs);

/** The grey runs: their places with gaps between them. */
function crowd(data, metric, weight) {
  const x = [];
  const y = [];
  for (const run of data.runs) {
    const points = run.metrics[metric];
    if (run.k || !points || !isShown(run.id)) continue;
    x.push(...times(data, points.x), null);
    y.push(...smooth(points.y, weight), null);
  }
  return { x, y };
}

/** They are one path behind the others: Plotly makes an element of each piece of a line, and takes seconds for them. */
function behind({ x, y }, isLog) {
  const words = [];
  let begins = true;
  for (const [at, value] of y.entries()) {
    const gap = value == null || x[at] == null || (isLog && value <= 0);
    if (!gap) words.push(`${begins ? "M" : "L"}${x[at]},${value}`);
    begins = gap;
  }
  if (!words.length) return [];
  return [{ type: "path", path: words.join(""), layer: "below", line: { color: fade(ofRun(0), 0.4), width: 1 } }];
}

function ends(values) {
  let [low, high] = [Infinity, -Infinity];
  for (const value of values) {
    if (value < low) low = value;
    if (value > high) high = value;
  }
  return [low, high];
}

/** What makes the axes reach as far as the grey runs. */
function reach({ x, y }, isLog) {
  const shown = (value) => value != null && !(isLog && value <= 0);
  return {
    x: ends(x.filter((at) => at != null)), y: ends(y.filter(shown)), mode: "lines", line: { width: 0 }, opacity: 0, hoverinfo: "skip",
  };
}

/** Runs that logged a metric once: a dot each on its own line, in the order of the strip. */
function dots(data, metric) {
  const rows = data.runs.filter((run) => run.k && run.metrics[metric]?.y.length && isShown(run.id))
    .map((run) => ({ name: plain(run.name).slice(0, 24), k: run.k, value: run.metrics[metric].y.at(-1) }));
  const trace = {
    x: rows.map((row) => row.value), y: rows.map((row) => row.name), mode: "markers+text", name: "", orientation: "h",
    text: rows.map((row) => row.name), texttemplate: "%{x:.4~g}", textposition: "middle right", textfont: { size: 11, color: colour("ink-2") },
    marker: { size: 9, symbol: rows.map((row) => SYMBOL[(row.k - 1) % 8]), color: rows.map((row) => ofRun(row.k)) },
    cliponaxis: false, hovertemplate: "%{y}<br>%{x:.6~g}<extra></extra>",
  };
  const values = trace.x.filter((value) => value != null);
  const [low, high] = [Math.min(...values), Math.max(...values)];
  const room = (high - low || Math.abs(high) || 1) * 0.12;
  return [[trace], layout({
    hovermode: "closest", margin: { l: 44, r: 26, t: 8, b: 30 },
    xaxis: { range: [low - room, high + 2 * room], ...numbers(), showgrid: true, nticks: 5 },
    yaxis: { type: "category", autorange: "reversed", nticks: 16, showgrid: true },
  })];
}

/** Whether a metric is no curve: few runs, and none logged it twice. */
const once = (data, metric) => data.runs.length < 17
  && data.runs.every((run) => !run.metrics[metric] || run.metrics[metric].total < 2) && data.runs.some((run) => run.metrics[metric]);

/** One metric of many runs; the chosen ones coloured over the grey others. */
function bundle(data, element, options) {
  const weight = Number(options.smooth || 0) / 100;
  const metric = element.dataset.metric;
  if (!element.zoomed && once(data, metric)) return dots(data, metric);
  const log = options.y === "log";
  const grey = crowd(data, metric, weight);
  const line = { color: fade(ofRun(0), 0.4), width: 1 };
  const isDated = data.axis === "time"; // a path knows no dates
  const traces = !grey.x.length ? [] : [isDated ? { ...grey, mode: "lines", name: "other runs", line, hoverinfo: "skip" } : reach(grey, log)];
  for (const run of data.runs) {
    const points = run.metrics[metric];
    if (!run.k || !points || !isShown(run.id)) continue;
    const x = times(data, points.x);
    const ink = ofRun(run.k);
    if (weight) traces.push({ x, y: points.y, mode: "lines", line: { color: fade(ink, 0.22), width: 1 }, hoverinfo: "skip" });
    const few = points.y.length < 3;
    traces.push({
      x, y: smooth(points.y, weight), name: plain(run.name), mode: few ? "lines+markers" : "lines", connectgaps: false,
      line: { color: ink, width: 1.75, dash: DASH[run.dash] }, marker: { symbol: SYMBOL[(run.k - 1) % 8], size: 7 },
      hovertemplate: "%{y:.6~g}",
    });
  }
  const y = element.zoomed?.y || (options.clip && !log ? innerRange([...traces, grey]) : undefined);
  const range = element.zoomed ? places(data, element.zoomed.range) : undefined;
  return [traces, layout({
    shapes: isDated ? [] : behind(grey, log),
    xaxis: { title: X_TITLE[data.axis], type: data.axis === "time" ? "date" : "linear", range, autorange: range === undefined },
    yaxis: { ...numbers(log), range: y, autorange: y === undefined },
  })];
}

const places = (data, range) => (data.axis === "time" ? range.map((at) => new Date(at).toISOString()) : range);

/** Lines of equal metric over two parameters, with the runs they were drawn from. */
function contour(data) {
  const shades = [0, 1, 2, 3, 4, 5].map((at) => [at / 5, colour(`h${at}`)]);
  const surface = {
    type: "contour", x: data.x, y: data.y, z: data.z, showscale: false, colorscale: shades, connectgaps: false,
    contours: { start: data.low, end: data.high, size: data.step, showlabels: true, labelfont: { size: 10, color: colour("ink") } },
    line: { color: colour("line-2"), width: 1 }, hovertemplate: `${plain(data.zt)} about %{z:.4~g}<extra></extra>`,
  };
  const rows = data.rows.filter((row) => isShown(row.id));
  const dots = {
    x: rows.map((row) => row.x), y: rows.map((row) => row.y), mode: "markers", name: "runs",
    text: rows.map((row) => plain(row.name)), customdata: rows.map((row) => row.z),
    hovertemplate: `%{text}<br>${plain(data.zt)} %{customdata:.4~g}<extra></extra>`,
    marker: {
      size: rows.map((row) => (row.k ? 10 : 5)), symbol: rows.map((row) => (row.k ? SYMBOL[(row.k - 1) % 8] : "circle")),
      color: rows.map((row) => (row.k ? ofRun(row.k) : colour("ink-2"))), line: { width: 1, color: colour("surface") },
    },
  };
  return [[surface, dots], layout({
    hovermode: "closest", xaxis: { title: data.xt, ...scale(data.x, data.xlog) }, yaxis: { title: data.yt, ...scale(data.y, data.ylog) },
  })];
}

function scale(cells, log) {
  if (!log) return { ...numbers(), nticks: 6 };
  const ticks = [0, 6, 12, 17, 23].map((at) => Number(cells[at].toPrecision(2)));
  return { type: "log", tickvals: ticks, ticktext: ticks.map(String) };
}

export const COMPARED_KINDS = { bundle, contour };
