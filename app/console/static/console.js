// What htmx does not do by itself: the stream of the sign-in, notices that go, and no more.

const streams = new WeakMap();

/** Follow a stream: at each state that is not the one shown, the element is swapped for how things stand now. */
function follow(element) {
  if (streams.has(element)) return;
  const source = new EventSource(element.dataset.stream);
  streams.set(element, source);
  for (const state of element.dataset.states.split(" ")) {
    source.addEventListener(state, () => {
      if (!element.isConnected) return source.close();
      if (state === element.dataset.state) return;
      source.close();
      htmx.ajax("GET", element.dataset.now, { target: element, swap: "outerHTML" });
    });
  }
}

function prepare(root) {
  if (root.matches?.("[data-stream]")) follow(root);
  for (const element of root.querySelectorAll("[data-stream]")) follow(element);
}

document.addEventListener("htmx:load", (event) => prepare(event.detail.elt));
document.addEventListener("htmx:beforeCleanupElement", (event) => streams.get(event.detail.elt)?.close());
addEventListener("pagehide", () => {
  for (const element of document.querySelectorAll("[data-stream]")) streams.get(element)?.close();
});

document.addEventListener("click", (event) => {
  const dismiss = event.target.closest("[data-dismiss]");
  if (dismiss) dismiss.closest(dismiss.dataset.dismiss).remove();
  const opens = event.target.closest("[data-opens]");
  if (opens) {
    const open = document.getElementById(opens.dataset.opens).classList.toggle("open");
    opens.setAttribute("aria-expanded", String(open));
  }
});
