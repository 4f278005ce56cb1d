// Security keys (WebAuthn): `data-key` is the purpose of a form. The browser gets the answer of the key, and the form is
// then sent with it. `data-message` shows the step, in the words of `data-wait`, `data-failed`, `data-none` and
// `data-unsupported`.

const toBytes = (text) => Uint8Array.from(atob(text.replaceAll("-", "+").replaceAll("_", "/")), (letter) => letter.charCodeAt(0));
const toText = (buffer) => btoa(String.fromCharCode(...new Uint8Array(buffer))).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");

/** Return the server's options with the byte arrays that the browser requires; JSON has base64url text. */
function decodeOptions(options) {
  const known = (list) => list?.map((one) => ({ ...one, id: toBytes(one.id) }));
  return {
    ...options,
    challenge: toBytes(options.challenge),
    ...(options.user && { user: { ...options.user, id: toBytes(options.user.id) } }),
    ...(options.excludeCredentials && { excludeCredentials: known(options.excludeCredentials) }),
    ...(options.allowCredentials && { allowCredentials: known(options.allowCredentials) }),
  };
}

/** Return the key's answer as JSON. */
function encodeCredential(credential) {
  const response = { clientDataJSON: toText(credential.response.clientDataJSON) };
  for (const name of ["attestationObject", "authenticatorData", "signature", "userHandle"]) {
    if (credential.response[name]) response[name] = toText(credential.response[name]);
  }
  const transports = credential.response.getTransports?.();
  if (transports) response.transports = transports;
  return JSON.stringify({ id: credential.id, rawId: toText(credential.rawId), type: credential.type, response });
}

async function runCeremony(form) {
  const purpose = form.dataset.key;
  const response = await fetch("/console/security/challenges", { method: "POST", body: new URLSearchParams({ purpose }) });
  if (!response.headers.get("content-type")?.startsWith("application/json")) return form.dataset.none;
  const { id, options } = await response.json();
  const publicKey = decodeOptions(options);
  const credential = await (purpose === "check" ? navigator.credentials.get({ publicKey }) : navigator.credentials.create({ publicKey }));
  form.elements.challenge_id.value = id;
  form.elements.credential.value = encodeCredential(credential);
  if (form.hasAttribute("hx-post")) htmx.trigger(form, "key-answered");
  else form.submit();
  return "";
}

document.addEventListener("submit", async (event) => {
  const form = event.target.closest("form[data-key]");
  if (!form) return;
  event.preventDefault();
  const message = form.querySelector("[data-message]");
  const button = form.querySelector("button[type=submit]");
  message.textContent = form.dataset.wait;
  button.disabled = true;
  try {
    message.textContent = window.PublicKeyCredential ? await runCeremony(form) : form.dataset.unsupported;
  } catch {
    message.textContent = form.dataset.failed;
  }
  button.disabled = false;
});
