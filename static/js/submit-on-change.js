// A form that is sent when a choice changes; without script its button does it: data-behaviour="submit-on-change".
import { behaviour } from "./behaviour.js";

behaviour("submit-on-change", (form) => {
  form.addEventListener("change", () => form.requestSubmit());
});
