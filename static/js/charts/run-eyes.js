// Hide or show one run in every chart of the compare page: <button data-behaviour="run-eye" value="2311">.
import { announce, behaviour } from "../behaviour.js";
import { setHidden } from "./shown.js";

behaviour("run-eye", (button) => {
  button.addEventListener("click", () => {
    const hidden = button.getAttribute("aria-pressed") !== "true";
    button.setAttribute("aria-pressed", String(hidden));
    setHidden(Number(button.value), hidden);
    announce(`Run ${button.value} ${hidden ? "hidden" : "shown"}`);
  });
});
