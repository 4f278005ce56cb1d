// The focus stays where the user put it while parts of the page are replaced. It needs no data attribute.

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

document.addEventListener("htmx:beforeSwap", (event) => {
  const active = document.activeElement;
  const requester = event.detail.requestConfig?.elt;
  focused = active === document.body ? null : { ...rememberElement(active), isRequester: active === requester };
});
document.addEventListener("htmx:afterSettle", (event) => keepFocus(event.target));
