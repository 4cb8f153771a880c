// Hide or show one run in every chart of the compare page: <button data-behaviour="run-eye" value="2311">.
import { announce, behaviour } from "../behaviour.js";
import { redraw } from "./charts.js";
import { dataOf } from "./data.js";

const SOURCES = ["#d-curves", "#d-scatter", "#d-parallel"];

behaviour("run-eye", (button) => {
  button.addEventListener("click", () => {
    const hidden = button.getAttribute("aria-pressed") !== "true";
    button.setAttribute("aria-pressed", String(hidden));
    for (const source of SOURCES) {
      if (!document.querySelector(source)) continue;
      const data = dataOf(source);
      for (const row of data.runs || data.rows) if (row.id === Number(button.value)) row.hidden = hidden;
    }
    redraw((plot) => SOURCES.includes(plot.dataset.src));
    document.dispatchEvent(new CustomEvent("runshidden"));
    announce(`Run ${button.value} ${hidden ? "hidden" : "shown"}`);
  });
});
