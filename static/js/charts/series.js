// Kinds of charts of monitoring and data: time series with a threshold, overlaid histograms.
import { colour, DASH, fade, layout, ofRun, plain } from "./theme.js";

function threshold(data) {
  const line = { color: colour("bad"), width: 1.25, dash: "dot" };
  const left = Boolean(data.limitLeft);
  return {
    shape: { type: "line", xref: "paper", x0: 0, x1: 1, y0: data.limit, y1: data.limit, line },
    label: {
      xref: "paper", x: left ? 0 : 1, xshift: left ? 6 : 0, y: data.limit, text: plain(data.limitText), showarrow: false,
      xanchor: left ? "left" : "right", yanchor: "bottom", font: { size: 11, color: colour("bad") },
    },
  };
}

function mark(at) {
  return {
    shape: { type: "line", yref: "paper", y0: 0, y1: 1, x0: at.x, x1: at.x, line: { color: colour("ink-3"), width: 1, dash: "dot" } },
    label: {
      x: at.x, yref: "paper", y: 1, text: plain(at.t), showarrow: false, xanchor: "left", xshift: 4, yanchor: "top",
      font: { size: 11, color: colour("ink-2") },
    },
  };
}

/** Which values have none beside them: a line leaves no trace of these. */
function lonely(values) {
  return values.map((value, at) => value != null && values[at - 1] == null && values[at + 1] == null);
}

/** Half an hour round a single moment, which would else be stretched to a millisecond. */
function surroundings(times) {
  if (times.length !== 1 || Number.isNaN(Date.parse(times[0]))) return undefined;
  const at = Date.parse(times[0]);
  return [-1, 1].map((side) => new Date(at + side * 1_800_000).toISOString());
}

/** Lines over x = data.x; optional data.limit with limitText, data.marks [{x, t}]. */
function series(data) {
  const traces = data.lines.map((line) => {
    const ink = line.k ? ofRun(line.k) : colour(line.c || "accent");
    const alone = lonely(line.y);
    return {
      x: line.x || data.x, y: line.y, name: plain(line.name), connectgaps: false,
      mode: alone.includes(true) ? "lines+markers" : "lines", marker: { size: alone.map((is) => (is ? 6 : 0)), color: ink },
      line: { color: ink, width: line.w || 1.75, dash: DASH[line.dash || 0] },
      fill: line.fill ? "tozeroy" : undefined, fillcolor: line.fill ? fade(ink, 0.1) : undefined,
      hovertemplate: `%{y:${data.fmt || ".3~f"}}${data.unit ? ` ${plain(data.unit)}` : ""}`,
    };
  });
  const extras = [...(data.limit == null ? [] : [threshold(data)]), ...(data.marks || []).map(mark)];
  return [traces, layout({
    shapes: extras.map((extra) => extra.shape), annotations: extras.map((extra) => extra.label),
    xaxis: { title: data.xt, range: surroundings(data.x || []) },
    yaxis: { title: data.yt, rangemode: data.zero ? "tozero" : "normal", range: data.range, ticksuffix: data.suffix || "", tickformat: data.tick },
  })];
}

/** Histograms over one another: the first set is an outline, later ones are filled. */
function overlay(data) {
  const reference = data.sets[0].y;
  const traces = [...data.sets].reverse().map((set) => ({
    type: "bar", x: data.x.map((x) => (data.cat ? plain(x) : x)), y: set.y, name: plain(set.name), hovertemplate: "%{y:.1%}",
    marker: set === data.sets[0]
      ? { color: "rgba(0,0,0,0)", line: { width: 1.5, color: colour("ink-2") } }
      : { color: set.y.map((_, i) => fade(ofRun(reference[i] ? 1 : 2), 0.62)) },
  }));
  return [traces, layout({
    barmode: "overlay", bargap: 0.06, xaxis: { title: data.xt, type: data.cat ? "category" : "linear" },
    yaxis: { tickformat: ".0%", title: data.yt },
  })];
}

export const MORE_KINDS = { overlay, series };
