// A form or button is sent once: it is busy (`aria-busy`) until its answer arrives, and the key that goes with it makes
// a repeated request one act on the server. It needs no data attribute: it applies to `hx-post` and `method=post`.

const keys = new WeakMap();

/** Return the key of this content of a form or button. It is the same until an answer arrives. */
function findKey(element, content) {
  const known = keys.get(element);
  if (known?.content === content) return known.key;
  const key = Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
  keys.set(element, { content, key });
  return key;
}

/** Show whether a form or button is being sent. Its buttons stay focusable, so that the focus is not lost. */
function setBusy(element, isBusy) {
  const buttons = element.matches("button") ? [element] : element.querySelectorAll("button");
  for (const one of [element, ...buttons]) {
    const name = one === element ? "aria-busy" : "aria-disabled";
    if (isBusy) one.setAttribute(name, "true");
    else one.removeAttribute(name);
  }
}

/** Return whether a click sends this element's request. */
const isSentByClick = (element, verb) => element.matches("form, button, a") && (verb !== "get" || !element.matches("form"));

document.addEventListener("htmx:confirm", (event) => {
  const { elt, verb } = event.detail;
  if (isSentByClick(elt, verb) && elt.classList.contains("htmx-request")) event.preventDefault();
});
document.addEventListener("htmx:configRequest", (event) => {
  const { elt, verb, path, formData, headers } = event.detail;
  if (verb !== "post" || !elt.matches("form, button")) return;
  const describe = (value) => (value instanceof File ? [value.name, value.size, value.lastModified] : value);
  const content = JSON.stringify([path, ...Array.from(formData.entries(), ([name, value]) => [name, describe(value)])]);
  headers["Idempotency-Key"] = findKey(elt, content);
});
document.addEventListener("htmx:beforeRequest", (event) => {
  const { elt, requestConfig } = event.detail;
  if (requestConfig.verb === "post" && elt.matches("form, button")) setBusy(elt, true);
});
document.addEventListener("htmx:afterRequest", (event) => {
  const { elt, xhr } = event.detail;
  // 204: the first request with this key is still running. Without a status no answer has arrived.
  if (xhr.status !== 0 && xhr.status !== 204) keys.delete(elt);
  // Where the page is about to be left, htmx keeps its class.
  if (elt.matches("form, button") && !elt.classList.contains("htmx-request")) setBusy(elt, false);
});

document.addEventListener("submit", (event) => {
  if (!event.target.matches("form[method=post]:not([data-key])")) return;
  if (event.target.matches("[aria-busy]")) event.preventDefault();
  else setBusy(event.target, true);
});
addEventListener("pageshow", () => {
  for (const form of document.querySelectorAll("form[method=post][aria-busy]")) setBusy(form, false);
});

// The second click of a double click belongs to the first one, also where the answer has closed the dialog in between.
let hasSent = false;
document.addEventListener("click", (event) => {
  if (event.detail <= 1) {
    hasSent = false;
  } else if (hasSent) {
    event.preventDefault();
    event.stopImmediatePropagation();
  }
}, true);
document.addEventListener("htmx:beforeRequest", (event) => {
  if (["click", "submit"].includes(event.detail.requestConfig.triggeringEvent?.type)) hasSent = true;
});
document.addEventListener("submit", () => (hasSent = true));
