// `data-opens` (an id) opens the menu, `data-expands` a branch of a tree; in `data-choice` the clicked link becomes the current
// one. The current tab is scrolled into view.

document.addEventListener("click", (event) => {
  const opens = event.target.closest("[data-opens]");
  if (opens) {
    const open = document.getElementById(opens.dataset.opens).classList.toggle("open");
    opens.setAttribute("aria-expanded", String(open));
  }
  const expands = event.target.closest("[data-expands]");
  if (expands) {
    const open = expands.getAttribute("aria-expanded") !== "true";
    expands.setAttribute("aria-expanded", String(open));
    expands.parentElement.querySelector(":scope > ul").hidden = !open;
  }
  const choice = event.target.closest("[data-choice] a");
  if (choice) {
    for (const other of document.querySelectorAll("[data-choice] a[aria-current]")) other.removeAttribute("aria-current");
    choice.setAttribute("aria-current", "true");
  }
});

for (const tab of document.querySelectorAll(".tabs [aria-current]")) {
  // Scroll the current tab into view where the tabs are wider than the screen.
  tab.parentElement.scrollLeft = tab.offsetLeft - tab.parentElement.offsetLeft - 40;
}
