// Kinds of charts of a promotion's evidence: dots with intervals by group.
import { colour, layout, ofRun, plain, SYMBOL } from "./theme.js";

/** A row a group, a dot and its interval for each model; data.series [{name, k, x, less, more}]. */
function dots(data) {
  const many = data.series.length;
  const step = 0.24;
  const traces = data.series.map((series, at) => ({
    x: series.x, y: data.labels.map((_, row) => row + (at - (many - 1) / 2) * step), name: plain(series.name), mode: "markers",
    text: data.labels.map((label) => `${plain(label)}, ${plain(series.name)}`),
    marker: { size: 8, symbol: SYMBOL[series.k - 1], color: ofRun(series.k) },
    error_x: { type: "data", symmetric: false, array: series.more, arrayminus: series.less, color: ofRun(series.k), thickness: 1.5, width: 4 },
    hovertemplate: "%{text}: %{x:.1%}<extra></extra>",
  }));
  return [traces, layout({
    hovermode: "closest", showlegend: many > 1, legend: { orientation: "h", y: -0.28, font: { size: 11 }, traceorder: "reversed" },
    margin: { l: 90, r: 10, t: 8, b: 30 },
    xaxis: { title: data.xt, showgrid: true, tickformat: ".0%", zeroline: false },
    yaxis: {
      tickmode: "array", tickvals: data.labels.map((_, row) => row), ticktext: data.labels.map(plain), autorange: "reversed",
      showgrid: false, tickfont: { size: 11, color: colour("ink-2") },
    },
  })];
}

export const EVIDENCE_KINDS = { dots };
