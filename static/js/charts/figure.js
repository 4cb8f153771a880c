// Buttons of a figure: the same numbers as a table, and as a file.
// <figure data-figure> holds the plot and buttons [data-figure-act="table|csv|png|svg"].
import { $, announce } from "../behaviour.js";
import { figureOf, plotly } from "./data.js";

const ROWS = 500;

/** Columns and rows of what a chart shows. */
function rowsOf(traces) {
  const rows = [];
  for (const trace of traces) {
    if (trace.hoverinfo === "skip") continue;
    const flat = trace.orientation === "h";
    const y = (flat ? trace.x : trace.y) || [];
    const x = flat ? trace.y : trace.x;
    y.forEach((value, i) => rows.push([trace.text?.[i] ?? trace.name ?? "", x ? x[i] : i, value]));
  }
  return rows;
}

const shown = (value) => {
  if (value == null) return "–";
  if (value instanceof Date) return value.toISOString();
  return typeof value === "number" ? String(Number(value.toPrecision(6))) : String(value);
};

function tableOf(rows, layout, caption) {
  const table = document.createElement("table");
  table.className = "tbl plain";
  const head = table.createTHead().insertRow();
  for (const text of ["Series", layout.xaxis.title?.text || "X", layout.yaxis.title?.text || "Value"]) {
    const cell = document.createElement("th");
    cell.scope = "col";
    cell.textContent = text;
    head.append(cell);
  }
  const label = table.createCaption();
  label.className = "vh";
  label.textContent = caption;
  const body = table.createTBody();
  for (const row of rows.slice(0, ROWS)) {
    const line = body.insertRow();
    for (const value of row) line.insertCell().textContent = shown(value);
  }
  return table;
}

function toggleTable(figure, plot, button, [traces, layout]) {
  const old = $(".figuretable", figure);
  button.setAttribute("aria-pressed", String(!old));
  plot.hidden = !old;
  if (old) { old.remove(); return; }
  const box = document.createElement("div");
  box.className = "figuretable";
  box.tabIndex = 0;
  box.setAttribute("role", "group");
  box.setAttribute("aria-label", plot.getAttribute("aria-label"));
  const rows = rowsOf(traces);
  box.append(tableOf(rows, layout, plot.getAttribute("aria-label")));
  plot.after(box);
  announce(`Table of ${Math.min(rows.length, ROWS)} of ${rows.length} points`);
}

const quoted = (value) => {
  const text = /^[=+\-@\t\r]/.test(String(value)) && Number.isNaN(Number(value)) ? `'${value}` : shown(value);
  return /[",\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
};

function saveCsv(name, [traces, layout]) {
  const head = ["series", layout.xaxis.title?.text || "x", layout.yaxis.title?.text || "value"];
  const text = [head, ...rowsOf(traces)].map((row) => row.map(quoted).join(",")).join("\n");
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], { type: "text/csv" }));
  link.download = `${name}.csv`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

document.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-figure-act]");
  if (!button) return;
  const figure = button.closest("[data-figure]");
  const plot = $(".plot[data-chart]", figure);
  const drawn = figureOf(plot);
  const name = (figure.dataset.figure || "chart").replace(/[^\w.-]+/g, "-");
  const act = button.dataset.figureAct;
  button.closest("[popover]")?.hidePopover();
  if (act === "table") toggleTable(figure, plot, button, drawn);
  else if (act === "csv") saveCsv(name, drawn);
  else (await plotly()).downloadImage(plot, { format: act, filename: name, scale: act === "png" ? 2 : 1 });
});
