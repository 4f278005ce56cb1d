// An element with `data-stream` (an address) follows an event stream. When the state differs from its `data-state`, its
// current version is loaded from `data-now`. `data-states` lists the states.

const streams = new WeakMap();

/** Follow an event stream. When the state differs from the one shown, replace the element with its current version. */
function followStream(element) {
  if (streams.has(element)) return;
  const source = new EventSource(element.dataset.stream);
  streams.set(element, source);
  source.addEventListener("error", () => {
    // The server refused the stream, so the browser does not retry: reload the page.
    if (source.readyState === EventSource.CLOSED && element.isConnected) setTimeout(() => location.reload(), 3000);
  });
  for (const state of element.dataset.states.split(" ")) {
    source.addEventListener(state, () => {
      if (!element.isConnected) return source.close();
      if (state === element.dataset.state) return;
      source.close();
      // If the request fails, the element is still there: a new stream starts with its present state.
      const again = () => setTimeout(() => streams.delete(element) && element.isConnected && followStream(element), 1000);
      htmx.ajax("GET", element.dataset.now, { target: element, swap: "outerHTML" }).then(again, again);
    });
  }
}

function followStreams(root) {
  if (root.matches?.("[data-stream]")) followStream(root);
  for (const element of root.querySelectorAll("[data-stream]")) followStream(element);
}

document.addEventListener("htmx:load", (event) => followStreams(event.detail.elt));
document.addEventListener("htmx:beforeCleanupElement", (event) => streams.get(event.detail.elt)?.close());

addEventListener("pagehide", () => {
  for (const element of document.querySelectorAll("[data-stream]")) streams.get(element)?.close();
});
