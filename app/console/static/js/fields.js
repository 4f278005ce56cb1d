// `data-fills` (a selector) fills a field with `data-value`; `data-drop` takes a file and shows its name in
// `data-file-name`.

document.addEventListener("click", (event) => {
  const fills = event.target.closest("[data-fills]");
  if (fills) {
    const field = document.querySelector(fills.dataset.fills);
    field.value = fills.dataset.value;
    field.dispatchEvent(new Event("input", { bubbles: true }));
    field.focus();
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
