// Content that is loaded into a dialog opens it; `data-title` is its title, `data-close` and a click beside it close it. Then
// the focus returns to the element that opened it.

let opener = null;

/** After a dialog closes, focus its opener, the element that replaced it, or the main content. */
function restoreFocus() {
  if (opener === null || document.activeElement !== document.body || document.querySelector("dialog[open]")) return;
  focusFirst(findSuccessor(opener));
}

for (const kind of ["pointerdown", "keydown"]) {
  // A user who continues elsewhere keeps the focus there.
  document.addEventListener(kind, () => {
    if (!document.querySelector("dialog[open]")) opener = null;
  }, true);
}

/** Open the dialog around the loaded content, labelled by its title. */
function openDialog(body) {
  const dialog = body.closest("dialog");
  const title = body.querySelector("[data-title]");
  if (title) title.id = dialog.getAttribute("aria-labelledby");
  if (!dialog.open) {
    // The key dialog opens over another one, and closes before it.
    if (!document.querySelector("dialog[open]") || dialog.id !== "key-dialog") opener = rememberElement(document.activeElement);
    dialog.showModal();
  }
  (body.querySelector("[aria-invalid=true]") ?? body.querySelector("[autofocus]") ?? title)?.focus();
}

function closeDialogs() {
  for (const dialog of document.querySelectorAll("dialog[open]")) dialog.close();
}

document.addEventListener("htmx:afterSettle", (event) => {
  if (["dialog-body", "drawer-body", "key-body"].includes(event.detail.target.id)) openDialog(event.detail.target);
  restoreFocus();
});
document.addEventListener("close-dialogs", closeDialogs);

document.addEventListener("close", (event) => {
  // The browser sends the event some time after the dialog closed. A dialog that was opened again meanwhile keeps its content.
  if (!event.target.matches("dialog") || event.target.open) return;
  event.target.firstElementChild.replaceChildren();
  restoreFocus();
}, true);

document.addEventListener("click", (event) => {
  if (event.target.closest("[data-close]") || event.target.matches("dialog")) event.target.closest("dialog").close();
});
