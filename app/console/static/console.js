// What htmx does not do by itself: the stream of a wait, dialogs, ticks in a table, and no more.

// Moments are written as this reader's clock says them: the pages are told which zone that is.
document.cookie = `xuezu-zone=${Intl.DateTimeFormat().resolvedOptions().timeZone}; path=/; max-age=31536000; samesite=lax`;

document.querySelector("[data-stuck]")?.remove();

const streams = new WeakMap();

/** Follow a stream: at each state that is not the one shown, the element is swapped for how things stand now. */
function follow(element) {
  if (streams.has(element)) return;
  const source = new EventSource(element.dataset.stream);
  streams.set(element, source);
  source.addEventListener("error", () => {
    // Refused, not merely interrupted: the browser does not try again, so the page begins anew.
    if (source.readyState === EventSource.CLOSED && element.isConnected) setTimeout(() => location.reload(), 3000);
  });
  for (const state of element.dataset.states.split(" ")) {
    source.addEventListener(state, () => {
      if (!element.isConnected) return source.close();
      if (state === element.dataset.state) return;
      source.close();
      // Where that fails the element is still there: a new stream begins with the state that it is in now.
      const again = () => setTimeout(() => streams.delete(element) && element.isConnected && follow(element), 1000);
      htmx.ajax("GET", element.dataset.now, { target: element, swap: "outerHTML" }).then(again, again);
    });
  }
}

function prepare(root) {
  if (root.matches?.("[data-stream]")) follow(root);
  for (const element of root.querySelectorAll("[data-stream]")) follow(element);
}

const plural = new Intl.PluralRules(document.documentElement.lang);

/** Say how many rows are ticked, and offer what can be done with them. */
function count(form) {
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

let opener = null;

/** After a dialog the focus is on what opened it, or on what stands in its place now, and never nowhere. */
function giveBack() {
  if (opener === null || document.activeElement !== document.body || document.querySelector("dialog[open]")) return;
  const asked = opener.getAttribute("hx-get");
  const again = asked && document.querySelector(`[hx-get="${CSS.escape(asked)}"]`);
  (opener.isConnected ? opener : again ?? document.getElementById("main")).focus({ preventScroll: true });
}

for (const kind of ["pointerdown", "keydown"]) {
  // Who goes on elsewhere is not called back.
  document.addEventListener(kind, () => {
    if (!document.querySelector("dialog[open]")) opener = null;
  }, true);
}

/** Show the dialog around what was loaded, named by its title. */
function show(body) {
  const dialog = body.closest("dialog");
  const title = body.querySelector("[data-title]");
  if (title) title.id = dialog.getAttribute("aria-labelledby");
  if (!dialog.open) {
    opener = document.activeElement;
    dialog.showModal();
  }
  (body.querySelector("[aria-invalid=true]") ?? body.querySelector("[autofocus]") ?? title)?.focus();
}

function closeAll() {
  for (const dialog of document.querySelectorAll("dialog[open]")) dialog.close();
}

document.addEventListener("htmx:load", (event) => prepare(event.detail.elt));
document.addEventListener("htmx:beforeCleanupElement", (event) => streams.get(event.detail.elt)?.close());
document.addEventListener("htmx:afterSettle", (event) => {
  if (event.detail.target.id === "dialog-body" || event.detail.target.id === "drawer-body") show(event.detail.target);
  for (const form of document.querySelectorAll("[data-selection]")) count(form);
  giveBack();
});
document.addEventListener("htmx:afterRequest", (event) => {
  // Taken back, what was done is no news any more.
  const undoes = event.target.closest?.("[data-undoes]");
  if (undoes && event.detail.successful) undoes.closest(undoes.dataset.undoes)?.remove();
});
document.addEventListener("close-dialogs", closeAll);

const unreached = document.getElementById("unreached");
for (const kind of ["htmx:sendError", "htmx:responseError"]) {
  document.addEventListener(kind, (event) => {
    const notices = document.getElementById("notices");
    const told = kind === "htmx:responseError" || notices.querySelector("[data-unreached]");
    if (!told) notices.prepend(unreached.content.cloneNode(true));
    // What was to come here does not: nothing says that it is still loading.
    const waits = event.detail.elt;
    if (!waits.matches("[aria-busy]")) return;
    waits.removeAttribute("aria-busy");
    for (const place of waits.querySelectorAll(".chart-wait, p")) place.textContent = unreached.dataset.instead;
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
addEventListener("blur", () => (pressed = null)); // what is let go in another window is not heard of
document.addEventListener("htmx:beforeSwap", (event) => {
  // A poll that comes between press and release would take the button from under the hand: the next one comes soon.
  const asks = event.detail.requestConfig?.elt;
  if (asks?.matches("[hx-trigger*=every]") && asks.contains(pressed)) event.detail.shouldSwap = false;
});
document.addEventListener("close", (event) => {
  if (!event.target.matches("dialog")) return;
  event.target.firstElementChild.replaceChildren();
  giveBack();
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
  if (copies) copy(copies);
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
  count(form);
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

document.addEventListener("submit", (event) => {
  // Sent twice by an impatient hand, a form is sent once.
  if (event.target.matches("form[method=post]")) {
    for (const button of event.target.querySelectorAll("button[type=submit]")) setTimeout(() => (button.disabled = true));
  }
});

for (const tab of document.querySelectorAll(".tabs [aria-current]")) {
  // The tab that is open shows, where they are more than a phone is wide.
  tab.parentElement.scrollLeft = tab.offsetLeft - tab.parentElement.offsetLeft - 40;
}

addEventListener("pageshow", () => {
  for (const button of document.querySelectorAll("form[method=post] button[type=submit]:disabled")) button.disabled = false;
});

/** Put a link where it can be pasted from; without a secure context the old way. */
async function copy(button) {
  const field = document.querySelector(button.dataset.copies);
  field.select();
  try {
    await navigator.clipboard.writeText(field.value);
  } catch {
    document.execCommand("copy");
  }
  button.nextElementSibling.textContent = button.dataset.copied;
}
