// Shared chart controls: <form data-behaviour="chart-controls">. Their state lives in the address.
import { $$, behaviour } from "../behaviour.js";
import { redraw } from "./charts.js";

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
    redraw((plot) => plot.dataset.controls === `#${form.id}`);
  };
  say();
  form.addEventListener("input", sync);
  form.addEventListener("submit", (event) => { event.preventDefault(); sync(); });
});
