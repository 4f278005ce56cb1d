// `data-copies` (a selector) copies a link and shows `data-copied`; `data-prints` prints the page.

document.addEventListener("click", (event) => {
  const copies = event.target.closest("[data-copies]");
  if (copies) copyLink(copies);
  if (event.target.closest("[data-prints]")) print();
});

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
