// `data-dismiss` (a selector) removes the notice around a button, `data-undoes` the notice of the undone action. Without an
// answer of the server the notice `data-unreached` is shown until the next answer.

document.addEventListener("htmx:afterRequest", (event) => {
  // After an undo the notice of the undone action is obsolete.
  const undoes = event.target.closest?.("[data-undoes]");
  if (undoes && event.detail.successful) undoes.closest(undoes.dataset.undoes)?.remove();
});

const unreached = document.getElementById("unreached");
for (const kind of ["htmx:sendError", "htmx:responseError"]) {
  document.addEventListener(kind, (event) => {
    const notices = document.getElementById("notices");
    const isShown = kind === "htmx:responseError" || notices.querySelector("[data-unreached]");
    if (!isShown) notices.prepend(unreached.content.cloneNode(true));
    // The content does not arrive, so the element must not show that it is loading.
    const waiting = event.detail.elt;
    if (!waiting.matches("[aria-busy][hx-trigger=load]")) return;
    waiting.removeAttribute("aria-busy");
    for (const place of waiting.querySelectorAll(".chart-wait, p")) place.textContent = unreached.dataset.instead;
  });
}
document.addEventListener("htmx:afterOnLoad", () => document.querySelector("#notices [data-unreached]")?.remove());

document.addEventListener("click", (event) => {
  const dismissed = event.target.closest("[data-dismiss]");
  if (dismissed) dismissed.closest(dismissed.dataset.dismiss).remove();
});
