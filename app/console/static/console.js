// Behaviour that htmx does not provide: event streams, dialogs, notices, row selection, small buttons.

// The server formats times in the reader's zone, which it reads from this cookie.
document.cookie = `xuezu-zone=${Intl.DateTimeFormat().resolvedOptions().timeZone}; path=/; max-age=31536000; samesite=lax`;

document.querySelector("[data-stuck]")?.remove();

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

const plural = new Intl.PluralRules(document.documentElement.lang);

/** Show the number of ticked rows and the actions on them. */
function updateSelection(form) {
  const ticks = [...form.querySelectorAll("[name=member_id]")];
  const ticked = ticks.filter((tick) => tick.checked).length;
  const chosen = form.querySelector("[data-count]");
  const forms = JSON.parse(chosen.dataset.count);
  chosen.textContent = (forms[plural.select(ticked)] ?? forms.other).replace("{count}", ticked);
  form.querySelector("[data-some]").hidden = ticked === 0;
  form.querySelector("[data-none]").hidden = ticked > 0;
  const all = form.querySelector("[data-all]");
  all.checked = ticked > 0 && ticked === ticks.length;
  all.indeterminate = ticked > 0 && ticked < ticks.length;
}

/** Return a selector that also finds the element which replaces this one when its part of the page loads again. */
function buildSelector(element) {
  if (element.id) return `#${CSS.escape(element.id)}`;
  const names = ["hx-get", "hx-post", "action", "href", "name", "value"].filter((name) => element.hasAttribute(name));
  const own = names.map((name) => `[${name}="${CSS.escape(element.getAttribute(name))}"]`).join("");
  const form = element.parentElement?.closest("form");
  return `${form ? `${buildSelector(form)} ` : ""}${element.localName}${own}`;
}

/** Return the element with its selector and its position among the elements that the selector finds. */
function rememberElement(element) {
  const selector = buildSelector(element);
  return { element, selector, position: [...document.querySelectorAll(selector)].indexOf(element) };
}

/** Return the remembered element or the element that has replaced it; undefined if there is none. */
function findSuccessor({ element, selector, position }) {
  return element.isConnected ? element : document.querySelectorAll(selector)[Math.max(position, 0)];
}

/** Focus the first of these elements that is visible and enabled, else the main content. */
function focusFirst(...elements) {
  for (const element of [...elements, document.getElementById("main")]) {
    element?.focus({ preventScroll: true });
    if (document.activeElement !== document.body) return;
  }
}

const FOCUSABLE = "a[href], button, input:not([type=hidden]), select, textarea, summary, [tabindex]";
let focused = null;

/** If the swap has removed the focused element, focus its successor, else the first added element, else the content. */
function keepFocus(added) {
  if (focused === null || document.activeElement !== document.body || focused.element.isConnected) return;
  const first = focused.isRequester ? [added, ...added.querySelectorAll("*")].find((one) => one.matches(FOCUSABLE)) : null;
  focusFirst(findSuccessor(focused), first);
  focused = null;
}

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
    opener = rememberElement(document.activeElement);
    dialog.showModal();
  }
  (body.querySelector("[aria-invalid=true]") ?? body.querySelector("[autofocus]") ?? title)?.focus();
}

function closeDialogs() {
  for (const dialog of document.querySelectorAll("dialog[open]")) dialog.close();
}

document.addEventListener("htmx:load", (event) => followStreams(event.detail.elt));
document.addEventListener("htmx:beforeCleanupElement", (event) => streams.get(event.detail.elt)?.close());
document.addEventListener("htmx:afterSettle", (event) => {
  if (event.detail.target.id === "dialog-body" || event.detail.target.id === "drawer-body") openDialog(event.detail.target);
  for (const form of document.querySelectorAll("[data-selection]")) updateSelection(form);
  restoreFocus();
  keepFocus(event.target);
});
document.addEventListener("htmx:afterRequest", (event) => {
  // After an undo the notice of the undone action is obsolete.
  const undoes = event.target.closest?.("[data-undoes]");
  if (undoes && event.detail.successful) undoes.closest(undoes.dataset.undoes)?.remove();
});
document.addEventListener("close-dialogs", closeDialogs);

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
  const active = document.activeElement;
  focused = active === document.body ? null : { ...rememberElement(active), isRequester: active === poller };
});
document.addEventListener("close", (event) => {
  if (!event.target.matches("dialog")) return;
  event.target.firstElementChild.replaceChildren();
  restoreFocus();
}, true);
addEventListener("pagehide", () => {
  for (const element of document.querySelectorAll("[data-stream]")) streams.get(element)?.close();
});

document.addEventListener("click", (event) => {
  const at = (selector) => event.target.closest(selector);
  const dismissed = at("[data-dismiss]");
  if (dismissed) dismissed.closest(dismissed.dataset.dismiss).remove();
  const opens = at("[data-opens]");
  if (opens) {
    const open = document.getElementById(opens.dataset.opens).classList.toggle("open");
    opens.setAttribute("aria-expanded", String(open));
  }
  const expands = at("[data-expands]");
  if (expands) {
    const open = expands.getAttribute("aria-expanded") !== "true";
    expands.setAttribute("aria-expanded", String(open));
    expands.parentElement.querySelector(":scope > ul").hidden = !open;
  }
  if (at("[data-close]") || event.target.matches("dialog")) event.target.closest("dialog").close();
  const fills = at("[data-fills]");
  if (fills) {
    const field = document.querySelector(fills.dataset.fills);
    field.value = fills.dataset.value;
    field.dispatchEvent(new Event("input", { bubbles: true }));
    field.focus();
  }
  const copies = at("[data-copies]");
  if (copies) copyLink(copies);
  if (at("[data-prints]")) print();
  const choice = at("[data-choice] a");
  if (choice) {
    for (const other of document.querySelectorAll("[data-choice] a[aria-current]")) other.removeAttribute("aria-current");
    choice.setAttribute("aria-current", "true");
  }
});

document.addEventListener("change", (event) => {
  const form = event.target.closest("[data-selection]");
  if (!form) return;
  if (event.target.matches("[data-all]")) {
    for (const tick of form.querySelectorAll("[name=member_id]")) tick.checked = event.target.checked;
  }
  updateSelection(form);
});

document.addEventListener("input", (event) => {
  const wanted = event.target.dataset?.filters;
  if (!wanted) return;
  const text = event.target.value.trim().toLowerCase();
  for (const row of document.querySelectorAll(`${wanted} > [data-text]`)) {
    row.hidden = !row.dataset.text.toLowerCase().includes(text);
  }
});

for (const kind of ["dragenter", "dragover", "dragleave", "drop"]) {
  document.addEventListener(kind, (event) => {
    const drop = event.target.closest?.("[data-drop]");
    drop?.classList.toggle("over", kind === "dragenter" || kind === "dragover");
  });
}

document.addEventListener("change", (event) => {
  const drop = event.target.closest("[data-drop]");
  if (drop && event.target.files.length) drop.querySelector("[data-file-name]").textContent = event.target.files[0].name;
});

for (const tab of document.querySelectorAll(".tabs [aria-current]")) {
  // Scroll the current tab into view where the tabs are wider than the screen.
  tab.parentElement.scrollLeft = tab.offsetLeft - tab.parentElement.offsetLeft - 40;
}

/** Copy a link to the clipboard; without a secure context, with execCommand. */
async function copyLink(button) {
  const field = document.querySelector(button.dataset.copies);
  field.select();
  try {
    await navigator.clipboard.writeText(field.value);
  } catch {
    document.execCommand("copy");
  }
  button.nextElementSibling.textContent = button.dataset.copied;
}
