// A report is read whole and printed: all its charts are drawn, and each names its coloured runs.
// <p data-legend="#source"> is filled from the source; <template id="marks"> holds a mark for each colour.
import { $, $$ } from "../behaviour.js";
import { drawRest } from "./charts.js";

function entry(run) {
  const line = document.createElement("span");
  line.className = "row gap1";
  line.append($("#marks").content.querySelector(`.k${run.k}`).cloneNode(true), run.name);
  return line;
}

document.addEventListener("chartdrawn", (event) => {
  const legend = $(`[data-legend="${event.target.dataset.src}"]`);
  if (!legend || !event.detail.colours?.length) return;
  legend.replaceChildren(...event.detail.colours.map(entry));
});

const begin = () => { if ($$(".plot[data-chart]").length) setTimeout(drawRest, 500); };
if (document.readyState === "complete") begin(); else addEventListener("load", begin);
