// A security key asked by the browser (WebAuthn) for a form of ours: the form is sent once the key has answered.

const bytes = (text) => Uint8Array.from(atob(text.replaceAll("-", "+").replaceAll("_", "/")), (letter) => letter.charCodeAt(0));
const text = (buffer) => btoa(String.fromCharCode(...new Uint8Array(buffer))).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");

/** The service's options as the browser wants them: bytes where JSON has text. */
function read(options) {
  const known = (list) => list?.map((one) => ({ ...one, id: bytes(one.id) }));
  return {
    ...options,
    challenge: bytes(options.challenge),
    ...(options.user && { user: { ...options.user, id: bytes(options.user.id) } }),
    ...(options.excludeCredentials && { excludeCredentials: known(options.excludeCredentials) }),
    ...(options.allowCredentials && { allowCredentials: known(options.allowCredentials) }),
  };
}

/** What the key answered, as JSON. */
function written(credential) {
  const response = { clientDataJSON: text(credential.response.clientDataJSON) };
  for (const name of ["attestationObject", "authenticatorData", "signature", "userHandle"]) {
    if (credential.response[name]) response[name] = text(credential.response[name]);
  }
  const transports = credential.response.getTransports?.();
  if (transports) response.transports = transports;
  return JSON.stringify({ id: credential.id, rawId: text(credential.rawId), type: credential.type, response });
}

async function ask(form) {
  const purpose = form.dataset.key;
  const challenged = await fetch("/console/security/challenges", { method: "POST", body: new URLSearchParams({ purpose }) });
  if (!challenged.headers.get("content-type")?.startsWith("application/json")) return form.dataset.none;
  const { id, options } = await challenged.json();
  const publicKey = read(options);
  const credential = await (purpose === "check" ? navigator.credentials.get({ publicKey }) : navigator.credentials.create({ publicKey }));
  form.elements.challenge_id.value = id;
  form.elements.credential.value = written(credential);
  form.submit();
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
    message.textContent = window.PublicKeyCredential ? await ask(form) : form.dataset.unsupported;
  } catch {
    message.textContent = form.dataset.failed;
  }
  button.disabled = false;
});
