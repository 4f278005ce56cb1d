// Signs the explorer in as the user of a phone and as a service, and renews both tokens before they end.
"use strict";

(() => {
  const PHONE_CODE = "urn:xuezu:params:oauth:grant-type:phone-code";
  const CLIENT_ID = "xuezu-app";
  const STORE = "xuezu-docs-sign-in";
  const EARLY = 120_000; // milliseconds before the end of a token at which it is renewed
  const CHECK_EVERY = 15_000;
  const LONGEST_WAIT = 15_000; // for the message with the code

  const settings = JSON.parse(document.getElementById("settings").textContent);
  const form = document.getElementById("sign-in");
  const note = form.querySelector("output");
  const { phone: field, leave } = form.elements;
  const submit = form.querySelector("[type=submit]");

  // What was signed in: { phone, demo, user: { access_token, refresh_token, ends }, service: { … } } or null.
  let session = null;
  const issued = { user: new Set(), service: new Set() }; // every token that this page has put under Authorize

  const ui = SwaggerUIBundle({
    ...settings.parameters,
    url: settings.document,
    dom_id: "#swagger-ui",
    presets: [SwaggerUIBundle.presets.apis],
    requestInterceptor: sendFreshToken,
    onComplete: () => restore().catch(report),
  });

  form.addEventListener("submit", (event) => {
    event.preventDefault();
    submit.disabled = true;
    note.textContent = "Signing in …";
    exclusively(() => signIn(field.value.trim())).catch(report).finally(() => (submit.disabled = false));
  });
  leave.addEventListener("click", () => exclusively(signOut).catch(report));
  setInterval(() => session && renew().catch(report), CHECK_EVERY);

  async function restore() {
    const stored = load();
    // The examples are those of the newest demo: the administrator of an older one cannot send them.
    if (stored === null || (stored.demo && stored.phone !== settings.phone)) return;
    session = stored;
    await renew();
    show();
  }

  async function signIn(phone) {
    const before = JSON.stringify(await readMessages(phone));
    const { handle } = await send("/v1/phone-codes", { phone });
    const code = await waitForCode(phone, before);
    const grant = { grant_type: PHONE_CODE, client_id: CLIENT_ID, phone, code, handle };
    const user = stamp(await send("/oauth/token", new URLSearchParams(grant)));
    session = { phone, demo: phone === settings.phone, user, service: await getServiceToken(load()?.service) };
    save();
    authorize();
    show();
  }

  async function signOut() {
    const refresh = session?.user.refresh_token;
    forget("");
    if (refresh) await send("/oauth/revoke", new URLSearchParams({ client_id: CLIENT_ID, token: refresh }));
  }

  // Renews what ends soon. Another tab may have renewed it: a refresh token works once, so tabs share theirs.
  async function renew() {
    if (!endsSoon(session.user) && !endsSoon(session.service)) return authorize();
    await exclusively(async () => {
      session = load();
      if (session === null) return forget("Signed out in another tab.");
      if (endsSoon(session.user)) {
        const grant = { grant_type: "refresh_token", client_id: CLIENT_ID, refresh_token: session.user.refresh_token };
        try {
          session.user = stamp(await send("/oauth/token", new URLSearchParams(grant)));
        } catch (error) {
          if (error.status === 400) return forget("The session has ended. Sign in again.");
          throw error;
        }
        save();
      }
      if (endsSoon(session.service)) {
        session.service = await getServiceToken(session.service);
        save();
      }
      authorize();
    });
  }

  async function getServiceToken(former) {
    for (let client = former; ; client = null) {
      client ??= await send("/v1/simulator/clients", { name: "docs explorer", scopes: listScopes() });
      const { client_id, client_secret } = client;
      const grant = { grant_type: "client_credentials", scope: listScopes().join(" "), client_id, client_secret };
      try {
        return { client_id, client_secret, ...stamp(await send("/oauth/token", new URLSearchParams(grant))) };
      } catch (error) {
        if (client !== former) throw error; // a client of an earlier database is replaced
      }
    }
  }

  function listScopes() {
    return Object.keys(ui.specSelectors.specJson().toJS().components.securitySchemes.oauth2.flows.clientCredentials.scopes);
  }

  async function sendFreshToken(request) {
    const token = request.headers?.Authorization?.replace("Bearer ", "");
    const kind = Object.keys(issued).find((each) => issued[each].has(token));
    if (kind !== undefined && session !== null) {
      await renew();
      if (session !== null) request.headers.Authorization = `Bearer ${session[kind].access_token}`;
    }
    return request;
  }

  // Puts the tokens under Authorize, unless the reader has pasted another one there.
  function authorize() {
    const present = ui.authSelectors.authorized().toJS();
    const { user, service } = session;
    if (isOurs("user", present.bearer?.value)) {
      const schema = { type: "http", scheme: "bearer" };
      ui.authActions.authorize({ bearer: { name: "bearer", schema, value: user.access_token } });
    }
    if (isOurs("service", present.oauth2?.token?.access_token)) {
      const token = { access_token: service.access_token, token_type: "Bearer" };
      const auth = { name: "oauth2", schema: { type: "oauth2", flow: "clientCredentials" } };
      ui.authActions.authorizeOauth2({ auth, token });
    }
    issued.user.add(user.access_token);
    issued.service.add(service.access_token);
  }

  function isOurs(kind, token) {
    return issued[kind].size === 0 || issued[kind].has(token);
  }

  function forget(text) {
    session = null;
    localStorage.removeItem(STORE);
    ui.authActions.logout(["bearer", "oauth2"]);
    issued.user.clear();
    issued.service.clear();
    leave.hidden = true;
    note.textContent = text || "Signed out.";
  }

  function show() {
    if (session === null) return;
    field.value = session.phone;
    leave.hidden = false;
    note.textContent = `Signed in as ${session.phone}, and as a service. The tokens are renewed before they end.`;
  }

  function report(error) {
    note.textContent = error.message;
  }

  async function waitForCode(phone, before) {
    for (const end = Date.now() + LONGEST_WAIT; Date.now() < end; ) {
      const messages = await readMessages(phone);
      if (JSON.stringify(messages) !== before && messages[0].code) return messages[0].code;
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
    throw new Error("No code has arrived. Try again.");
  }

  async function readMessages(phone) {
    return (await send(`/v1/simulator/sms?${new URLSearchParams({ phone })}`)).items;
  }

  // Sends a JSON body or a form, or reads. Throws the text of the problem, with its status.
  async function send(path, body) {
    const options = { headers: { "Accept-Language": "en" } };
    if (body !== undefined) {
      options.method = "POST";
      options.body = body instanceof URLSearchParams ? body : JSON.stringify(body);
      if (!(body instanceof URLSearchParams)) options.headers["Content-Type"] = "application/json";
    }
    const response = await fetch(settings.root + path, options);
    const answer = await response.json().catch(() => ({}));
    if (response.ok) return answer;
    const text = answer.error_description ?? [answer.title, answer.detail].filter(Boolean).join(". ");
    throw Object.assign(new Error(text || `The service answered ${response.status}.`), { status: response.status });
  }

  function stamp(tokens) {
    const { access_token, refresh_token, expires_in } = tokens;
    return { access_token, refresh_token, ends: Date.now() + expires_in * 1000 };
  }

  function endsSoon(tokens) {
    return tokens.ends - Date.now() < EARLY;
  }

  function exclusively(act) {
    return navigator.locks ? navigator.locks.request(STORE, act) : act();
  }

  function load() {
    return JSON.parse(localStorage.getItem(STORE));
  }

  function save() {
    localStorage.setItem(STORE, JSON.stringify(session));
  }
})();
