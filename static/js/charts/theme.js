// Design tokens as chart colours, and the layout that all charts share.

/* light-dark() only resolves on a real element */
const probe = document.createElement("i");
probe.hidden = true;
document.body.append(probe);

const known = new Map(); // of this task alone: a chart asks a thousand times, and each answer makes all styles anew

/** The colour of a token, such as "c1" or "ink-2", in the theme of now. */
export function colour(name) {
  if (!known.size) setTimeout(() => known.clear());
  if (!known.has(name)) {
    probe.style.color = `var(--${name})`;
    known.set(name, getComputedStyle(probe).color);
  }
  return known.get(name);
}

/** The same colour, partly transparent. */
export const fade = (rgb, alpha) => rgb.replace(/^rgb\((.*)\)$/, `rgba($1, ${alpha})`);

/** The colour of a run: 1 to 8, or grey for a run that was not chosen. */
export const ofRun = (k) => colour(k ? `c${k}` : "c-muted");

export const DASH = ["solid", "dash", "dot", "dashdot"];
export const SYMBOL = ["circle", "square", "diamond", "triangle-up", "cross", "triangle-down", "star", "hexagon"];

/** Plotly takes a small set of HTML in labels; names that users chose must stay text. */
export const plain = (text) => String(text).replace(/[<>&]/g, (c) => ({ "<": "‹", ">": "›", "&": "+" })[c]);

// As many digits as tell the ticks apart; powers of ten only beyond 100,000 and 0.00001.
const NUMBERS = { exponentformat: "e", minexponent: 5, separatethousands: true };

/** What an axis of numbers of any size needs, straight or logarithmic. */
export const numbers = (log) => (log ? { type: "log", tickformat: ".6~g" } : { type: "linear", ...NUMBERS });

function axis(options = {}) {
  const font = { size: 11, color: colour("ink-2") };
  return {
    gridcolor: colour("line"), linecolor: colour("line-2"), zeroline: false, showline: false, ticks: "",
    automargin: true, fixedrange: false, tickfont: font, ...options,
    title: options.title ? { text: plain(options.title), font, standoff: 6 } : undefined,
  };
}

/** A layout without frame: horizontal grid, small labels, our fonts and colours. */
export function layout(options = {}) {
  return {
    paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)",
    font: { family: getComputedStyle(document.body).fontFamily, size: 11, color: colour("ink-2") },
    margin: { l: 44, r: 10, t: 8, b: 30 }, showlegend: false, hovermode: "x unified", dragmode: "zoom",
    hoverlabel: {
      bgcolor: colour("surface"), bordercolor: colour("line-2"), namelength: 40,
      font: { size: 11, color: colour("ink") },
    },
    ...options,
    xaxis: axis({ showgrid: false, showline: true, ...options.xaxis }),
    yaxis: axis({ nticks: 6, ...options.yaxis }),
  };
}

export const CONFIG = {
  displayModeBar: false, displaylogo: false, responsive: true, plotlyServerURL: "", doubleClick: "reset",
};
