// Kinds of charts: each takes its data and returns [traces, layout]. Data is what experiments/charts.py makes.
import { colour, DASH, fade, layout, numbers, ofRun, plain, SYMBOL } from "./theme.js";
import { isShown } from "./shown.js";
import { innerRange, smooth } from "./smooth.js";

const X_TITLE = { step: "Step", rel: "Minutes since start", time: "" };

function places(run, points, axis) {
  if (axis === "time") return points.times.map((time) => new Date(time));
  if (axis === "rel") return points.times.map((time) => (time - run.started) / 60000);
  return points.steps;
}

/** One metric over steps or time, a line a run; options are the shared controls. */
function curves(data, element, options) {
  const weight = Number(options.smooth || 0) / 100;
  const axis = element.dataset.axis || options.x || "step";
  const unit = element.dataset.unit || "";
  const traces = [];
  for (const run of data.runs) {
    const points = run.metrics[element.dataset.metric];
    if (!points || !isShown(run.id)) continue;
    const x = places(run, points, axis);
    const line = ofRun(run.k);
    if (weight) traces.push({ x, y: points.values, mode: "lines", line: { color: fade(line, 0.22), width: 1 }, hoverinfo: "skip" });
    const mode = points.values.length < 3 ? "lines+markers" : "lines";
    traces.push({
      x, y: smooth(points.values, weight), name: plain(run.name), mode, connectgaps: false,
      line: { color: line, width: 1.75, dash: DASH[run.dash] }, hovertemplate: unit ? `%{y:,.1f} ${unit}` : "%{y:.6~g}",
    });
  }
  const log = options.y === "log";
  const range = element.zoomed?.y || (options.clip && !log ? innerRange(traces) : undefined);
  const reach = element.zoomed?.range;
  const scale = unit
    ? { ...numbers(), rangemode: "tozero", ticksuffix: unit === "%" ? "%" : "", nticks: 4 }
    : { ...numbers(log), range };
  return [traces, layout({ xaxis: { title: X_TITLE[axis], range: reach, autorange: reach === undefined }, yaxis: scale })];
}

/** Lines over a shared square, such as ROC. */
function lines(data) {
  const traces = data.lines.map((line) => ({
    x: line.x, y: line.y, name: plain(line.name), mode: line.marks ? "lines+markers" : "lines",
    line: { color: ofRun(line.k), width: 1.75, dash: DASH[line.dash] }, marker: { size: 6 },
    hovertemplate: "%{x:.3f}, %{y:.3f}",
  }));
  const shapes = data.diagonal
    ? [{ type: "line", x0: 0, y0: 0, x1: 1, y1: 1, line: { color: colour("ink-3"), width: 1, dash: "dot" } }] : [];
  const unit = data.unit ? { range: [-0.02, 1.02] } : {};
  return [traces, layout({
    hovermode: "closest", shapes, showlegend: data.lines.length > 1,
    legend: { orientation: "h", y: -0.3, font: { size: 11 } },
    xaxis: { title: data.xt, ...unit, showgrid: true }, yaxis: { title: data.yt, ...unit },
  })];
}

/** Horizontal bars with the spread of each. */
function bars(data) {
  return [[{
    type: "bar", orientation: "h", x: data.values, y: data.labels.map(plain), marker: { color: colour("accent") },
    error_x: { type: "data", array: data.errors, color: colour("ink-3"), thickness: 1, width: 3 },
    hovertemplate: "%{x:.6~g}<extra></extra>",
  }], layout({ hovermode: "closest", margin: { l: 90, r: 10, t: 8, b: 30 }, xaxis: { title: data.xt, ...numbers(), showgrid: true }, yaxis: { type: "category", nticks: 20 } })];
}

/** A histogram that was counted on the server. */
function columns(data) {
  return [[{
    type: "bar", x: data.x, y: data.y, width: data.width * 0.96, marker: { color: colour("accent") },
    hovertemplate: "%{y} rows near %{x:.6~g}<extra></extra>",
  }], layout({ hovermode: "closest", bargap: 0, xaxis: { title: data.xt, ...numbers() }, yaxis: { title: data.yt, ...numbers() } })];
}

/** Points that should lie on the diagonal. */
function agree(data) {
  const all = [...data.x, ...data.y];
  const low = all.reduce((a, b) => Math.min(a, b), Infinity);
  const high = all.reduce((a, b) => Math.max(a, b), -Infinity);
  return [[{
    x: data.x, y: data.y, mode: "markers", marker: { size: 5, color: fade(colour("c1"), 0.45) },
    hovertemplate: "actual %{x:.6~g}, predicted %{y:.6~g}<extra></extra>",
  }], layout({
    hovermode: "closest",
    shapes: [{ type: "line", x0: low, y0: low, x1: high, y1: high, line: { color: colour("ink-3"), width: 1, dash: "dot" } }],
    xaxis: { title: data.xt, ...numbers(), showgrid: true }, yaxis: { title: data.yt, ...numbers() },
  })];
}

/** Runs over two facts; the chosen ones in their colour and shape, on top of the grey others. */
function scatter(data) {
  const groups = new Map([[0, []]]);
  for (const row of data.rows) {
    if (!isShown(row.id)) continue;
    if (!groups.has(row.k)) groups.set(row.k, []);
    groups.get(row.k).push(row);
  }
  const traces = [...groups].map(([k, rows]) => ({
    x: rows.map((row) => (data.words ? plain(row.x) : row.x)), y: rows.map((row) => row.y), mode: "markers",
    text: rows.map((row) => plain(row.name)), name: k ? plain(rows[0].name) : "other runs",
    hovertemplate: `%{text}<br>${plain(data.xt)} %{x}<br>${plain(data.yt)} %{y:.6~g}<extra></extra>`,
    marker: {
      size: k ? 11 : 6, symbol: k ? SYMBOL[(k - 1) % 8] : "circle", color: k ? ofRun(k) : fade(ofRun(0), 0.7),
      line: { width: k ? 1.5 : 0, color: colour("surface") },
    },
  }));
  const type = data.words ? "category" : data.log ? "log" : "linear";
  return [traces, layout({
    hovermode: "closest",
    xaxis: { title: data.xt, ...numbers(data.log), type, showgrid: true, nticks: 6, ...(data.ticks ? { tickvals: data.ticks, ticktext: data.ticks.map(String) } : {}) },
    yaxis: { title: data.yt, ...numbers() },
  })];
}

/** Spread of a metric for each value of a parameter. */
function box(data) {
  const traces = data.groups.map((group) => ({
    type: "box", y: group.y, name: plain(group.name), boxpoints: "outliers",
    marker: { color: colour("accent"), size: 3 }, line: { width: 1.25 }, fillcolor: fade(colour("accent"), 0.12),
  }));
  return [traces, layout({
    hovermode: "closest", yaxis: { title: data.yt, ...numbers() }, xaxis: { title: data.xt, type: "category" },
  })];
}

export const KINDS = { agree, bars, box, columns, curves, lines, scatter };
