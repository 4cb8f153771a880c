// Buttons of a figure: the same numbers as a table, as a file, full screen, zoom by keyboard.
// <figure data-figure> holds the plot and buttons [data-figure-act="table|csv|png|svg|full|in|out|reset"].
import { $, announce } from "../behaviour.js";
import { figureOf, load, plotly } from "./data.js";
import { drawnSvg, rowsOfParallel, saveSvg } from "./figure-svg.js";
import { shown, tableBox } from "./figure-table.js";
import { colour } from "./theme.js";

const title = (axis) => axis?.title?.text;

/** Heads and rows of what a chart shows. */
function gridOf([traces, layout]) {
  const rows = [];
  let deep = false;
  for (const trace of traces) {
    if (trace.hoverinfo === "skip" || trace.type === "contour") continue;
    const flat = trace.orientation === "h";
    const y = (flat ? trace.x : trace.y) || [];
    const x = flat ? trace.y : trace.x;
    deep ||= Array.isArray(trace.customdata);
    y.forEach((value, i) => rows.push([trace.text?.[i] ?? trace.name ?? "", x ? x[i] : i, value, ...(deep ? [trace.customdata[i]] : [])]));
  }
  const names = ["Series", title(layout.xaxis) || "X", title(layout.yaxis) || "Value", ...(deep ? ["Metric"] : [])];
  return [names, rows];
}

function toggleTable(figure, plot, button, grid) {
  const old = $(".figuretable", figure);
  button.setAttribute("aria-pressed", String(!old));
  plot.hidden = !old;
  if (old) { old.remove(); return; }
  plot.after(tableBox(grid, plot.getAttribute("aria-label") || figure.dataset.figure));
}

const quoted = (value) => {
  const text = /^[=+\-@\t\r]/.test(String(value)) && Number.isNaN(Number(value)) ? `'${value}` : shown(value);
  return /[",\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
};

/** Hand the reader a file. */
function save(name, parts, type) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob(parts, { type }));
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

async function saveImage(plot, format, filename) {
  const library = await plotly();
  const [data, layout] = figureOf(plot);
  const size = { width: plot.clientWidth || 700, height: plot.clientHeight || 300 };
  // A file has no page behind it, so it gets the card's colour and a legend of its own.
  const whole = { ...layout, ...size, paper_bgcolor: colour("surface"), showlegend: data.length > 1 && data.length <= 40 };
  await library.downloadImage({ data, layout: whole }, { format, filename, ...size, scale: format === "png" ? 2 : 1 });
}

async function act(button, figure) {
  const name = (figure.dataset.figure || "chart").replace(/[^\w.-]+/g, "-").replace(/^-+|-+$/g, "") || "chart";
  const what = button.dataset.figureAct;
  const plot = $(".plot[data-chart]", figure) || $(".pc", figure);
  const isPlot = plot.matches(".plot");
  if (what === "full") { await (document.fullscreenElement ? document.exitFullscreen() : figure.requestFullscreen()); return; }
  if (["in", "out", "reset"].includes(what)) { plot.dispatchEvent(new CustomEvent("zoomby", { detail: what })); return; }
  const source = await load(plot.dataset.src);
  const grid = () => (isPlot ? gridOf(figureOf(plot)) : rowsOfParallel(plot.dataset.part ? source[plot.dataset.part] : source));
  if (what === "table") toggleTable(figure, plot, button, grid());
  else if (what === "csv") { const [names, rows] = grid(); save(`${name}.csv`, [[names, ...rows].map((row) => row.map(quoted).join(",")).join("\n")], "text/csv"); }
  else if (isPlot) await saveImage(plot, what, name);
  else await saveSvg(drawnSvg(plot), what, name, save);
}

document.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-figure-act]");
  if (!button) return;
  button.closest("[popover]")?.hidePopover();
  try {
    await act(button, button.closest("[data-figure]"));
  } catch (error) {
    announce(`That did not work. ${error.message}`);
  }
});
