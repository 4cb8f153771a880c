// Shared chart controls: <form data-behaviour="chart-controls">. Their state lives in the address.
import { $$, behaviour } from "../behaviour.js";
import { redraw } from "./charts.js";
import { readdress } from "./data.js";

function remember(form) {
  const address = new URL(location.href);
  for (const field of ["x", "y", "smooth", "clip"]) {
    const value = new FormData(form).get(field);
    const initial = { x: "step", y: "lin", smooth: "0" }[field];
    if (value == null || value === initial) address.searchParams.delete(field);
    else address.searchParams.set(field, value);
  }
  history.replaceState(null, "", address);
}

behaviour("chart-controls", (form) => {
  const say = () => {
    for (const output of $$("[data-out]", form)) {
      output.textContent = (Number(form.elements[output.dataset.out].value) / 100).toFixed(2);
    }
  };
  const sync = () => {
    say();
    remember(form);
    const ours = $$(`.plot[data-controls="#${form.id}"]`);
    // Sources that are asked for hold one x axis; a zoom belongs to the axis it was made on.
    const asked = new Set(ours.filter((plot) => "zoom" in plot.dataset).map((plot) => plot.dataset.src));
    const axis = new FormData(form).get("x");
    if (axis && axis !== form.dataset.axis) {
      form.dataset.axis = axis;
      for (const source of asked) readdress(source, { x: axis });
      for (const plot of ours) plot.zoomed = null;
    }
    redraw((plot) => plot.dataset.controls === `#${form.id}`);
  };
  form.dataset.axis = new FormData(form).get("x") || "step";
  say();
  form.addEventListener("input", sync);
  form.addEventListener("submit", (event) => { event.preventDefault(); sync(); });
});
