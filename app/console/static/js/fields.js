// `data-fills` (a selector) fills a field with `data-value`; `data-filters` filters rows by their `data-text`; `data-drop`
// takes a file and shows its name in `data-file-name`.

document.addEventListener("click", (event) => {
  const fills = event.target.closest("[data-fills]");
  if (fills) {
    const field = document.querySelector(fills.dataset.fills);
    field.value = fills.dataset.value;
    field.dispatchEvent(new Event("input", { bubbles: true }));
    field.focus();
  }
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
