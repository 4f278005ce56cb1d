// A request that needs a security key opens the dialog `#key-body`. After the proof (`key-proved`) it is sent again, and
// what the user has typed is still there; a page of its own goes on to `data-continues`.

/** The refused requests by the element that sends them. */
const refusedRequests = new Map();
let isKeyDeclined = false;

const isUserEvent = (event) => ["click", "submit", "change", "input", "key-answered"].includes(event?.type);

document.addEventListener("htmx:beforeSwap", (event) => {
  const { target, requestConfig } = event.detail;
  if (target.id !== "key-body") return;
  refusedRequests.set(requestConfig.elt, requestConfig);
  // What the page loads by itself does not ask again, and it does not replace a dialog in which the key is being used.
  const isUnwanted = isKeyDeclined && !isUserEvent(requestConfig.triggeringEvent);
  if (isUnwanted || target.closest("dialog").open) event.detail.shouldSwap = false;
});

document.addEventListener("key-proved", () => {
  const requests = [...refusedRequests.values()];
  refusedRequests.clear();
  document.getElementById("key-dialog")?.close();
  const next = document.querySelector("[data-continues]");
  if (next?.matches("form")) next.submit();
  else if (next) location.assign(next.href);
  for (const { verb, path, elt, triggeringEvent } of requests) htmx.ajax(verb, path, { source: elt, event: triggeringEvent });
});

document.getElementById("key-dialog")?.addEventListener("close", () => {
  isKeyDeclined = refusedRequests.size > 0;
  refusedRequests.clear();
});
