// Sends a form with a file and shows how much has gone: <form data-behaviour="upload">.
// Without this module the form is sent by the browser itself and ends on the same page.
import { $, announce, behaviour } from "./behaviour.js";

const words = (bytes) => `${(bytes / 1e6).toLocaleString("en", { maximumFractionDigits: 1 })} MB`;

behaviour("upload", (form) => {
  const progress = $("[data-upload-progress]", form);
  const problem = $("[data-upload-problem]", form);
  const stop = $("[data-upload-stop]", form);
  const send = $("button[type=submit]", form);
  let request = null;

  const busy = (on) => {
    progress.hidden = stop.hidden = !on;
    send.disabled = on;
    form.setAttribute("aria-busy", String(on));
  };
  const fail = (text) => {
    busy(false);
    $("div", problem).textContent = text;
    problem.hidden = false;
  };
  const show = (sent, total) => {
    const share = total ? sent / total : 0;
    $("progress", progress).value = share;
    $("[data-upload-share]", progress).textContent = `${words(sent)} of ${words(total)}, ${Math.floor(share * 100)}%`;
    if (share === 1) $("[data-upload-words]", progress).textContent = "Storing";
  };
  const replace = (html) => {
    const page = new DOMParser().parseFromString(html, "text/html");
    const fresh = $('form[data-behaviour~="upload"]', page);
    if (!fresh) return fail("The upload was refused. Try again.");
    form.replaceWith(document.adoptNode(fresh));
    window.htmx?.process(fresh);
    fresh.dispatchEvent(new CustomEvent("htmx:load", { bubbles: true, detail: { elt: fresh } }));
    $("[data-error-summary]", fresh)?.focus();
  };

  form.addEventListener("submit", (event) => {
    const file = $("input[type=file]", form).files[0];
    if (!file) return; // the server says what is missing
    event.preventDefault();
    problem.hidden = true;
    const body = new FormData(form);
    request = new XMLHttpRequest();
    request.open("POST", form.action || location.href);
    request.setRequestHeader("Accept", "application/json");
    request.upload.addEventListener("progress", (sent) => show(sent.loaded, sent.total));
    request.addEventListener("error", () => fail("The connection broke; nothing was kept. Try again."));
    request.addEventListener("abort", () => { busy(false); announce("Upload stopped"); });
    request.addEventListener("load", () => {
      if (request.status === 201) location.assign(JSON.parse(request.responseText).location);
      else if (request.status === 422) replace(request.responseText);
      else fail(`The portal answered ${request.status}; nothing was kept.`);
    });
    busy(true);
    show(0, file.size);
    announce("Upload started");
    request.send(body);
  });
  stop.addEventListener("click", () => request?.abort());
});
