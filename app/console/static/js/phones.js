// `data-phone-search` (an address) is on a search field. A text that can be a phone goes there in a body: addresses are logged,
// and stay in the history. No other request has it in its address.

/** Return whether a text has the characters of a phone only, and more digits than the four that a search by name accepts. */
function isPhoneLike(typed) {
  const bare = typed.normalize("NFKC").replace(/[\s()'\u00ad\u200b-\u200f\u202a-\u202e\u2060-\u2064\ufeff\p{Pd}]/gu, "");
  return /^\+?\d{5,}$/u.test(bare);
}

document.addEventListener("htmx:configRequest", (event) => {
  const request = event.detail;
  const field = document.querySelector("[data-phone-search]");
  if (request.verb !== "get" || !field || !isPhoneLike(request.formData.get(field.name) ?? "")) return;
  if (field.form !== request.elt) {
    request.formData.delete(field.name);
    return;
  }
  request.verb = "post";
  request.path = field.dataset.phoneSearch;
  request.useUrlParams = false;
  request.headers["Content-Type"] = "application/x-www-form-urlencoded";
});
