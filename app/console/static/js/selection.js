// A form with `data-selection` counts its ticked rows in `data-count`, and shows `data-some` or `data-none`. The box
// `data-all` ticks all.

const TICKS = "td.tick input";
const plural = new Intl.PluralRules(document.documentElement.lang);

/** Show the number of ticked rows and the actions on them. */
function updateSelection(form) {
  const ticks = [...form.querySelectorAll(TICKS)];
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

document.addEventListener("htmx:afterSettle", () => {
  for (const form of document.querySelectorAll("[data-selection]")) updateSelection(form);
});

document.addEventListener("change", (event) => {
  const form = event.target.closest("[data-selection]");
  if (!form) return;
  if (event.target.matches("[data-all]")) {
    for (const tick of form.querySelectorAll(TICKS)) tick.checked = event.target.checked;
  }
  updateSelection(form);
});
