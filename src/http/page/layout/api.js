// Calls to the API with the session of the signed-in user.

import { t } from "./texts.js";

/** An error of the API: `status` (0: no answer), `message`, `errors: [{pointer, detail}]`. */
export class Refusal extends Error {
  constructor(status, message, errors = []) {
    super(message);
    this.status = status;
    this.errors = errors;
  }
}

/** Calls the API; returns the answer's document, null if it has none. Throws a Refusal. */
export async function call(method, path, body) {
  const headers = { Accept: "application/json", "X-Hookswitch-Page": "1" };
  if (body !== undefined) headers["Content-Type"] = "application/json";
  let reply;
  try {
    reply = await fetch(path, { method, headers, body: body === undefined ? undefined : JSON.stringify(body) });
  } catch {
    throw new Refusal(0, t("unreachable"));
  }
  if (reply.status === 401 || (reply.redirected && ["/sign-in", "/portal"].includes(new URL(reply.url).pathname))) {
    // Who came by a portal link has no token to sign in with.
    if ("portal" in window.document.body.dataset) location.assign("/portal");
    else location.assign(`/sign-in?then=${encodeURIComponent(location.pathname + location.search)}`);
    throw new Refusal(401, t("session-ended"));
  }
  const document = reply.status === 204 ? null : await reply.json().catch(() => null);
  if (!reply.ok) {
    throw new Refusal(reply.status, document?.detail ?? t("answered", { status: String(reply.status) }), document?.errors ?? []);
  }
  return document;
}
