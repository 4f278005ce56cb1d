// A press on a part that polls (`hx-trigger=every`) is not lost. It needs no data attribute.

let pressed = null;
for (const kind of ["pointerdown", "keydown"]) {
  document.addEventListener(kind, (event) => (pressed = event.target), true);
}
for (const kind of ["pointerup", "pointercancel", "keyup"]) {
  document.addEventListener(kind, () => setTimeout(() => (pressed = null)), true);
}
addEventListener("blur", () => (pressed = null)); // a release in another window sends no event
document.addEventListener("htmx:beforeSwap", (event) => {
  // A poll between press and release would replace the button and lose the click. The next poll follows soon.
  const poller = event.detail.requestConfig?.elt;
  if (poller?.matches("[hx-trigger*=every]") && poller.contains(pressed)) event.detail.shouldSwap = false;
});
