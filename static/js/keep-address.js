// Charts keep their settings in the address; a form that saves the page's state sends it as it is now, and links
// that carry it on follow: <form data-behaviour="keep-address"> with a field "query", <a data-behaviour="carry-address">.
import { behaviour } from "./behaviour.js";

const query = () => location.search.replace(/^\?/, "");

behaviour("keep-address", (form) => {
  form.addEventListener("submit", () => { form.elements.query.value = query(); });
});

behaviour("carry-address", (link) => {
  link.addEventListener("click", () => { link.search = location.search; });
});
