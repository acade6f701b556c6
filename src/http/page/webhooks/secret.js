// The secret of a webhook: shown on request, copied, rotated.

import { call } from "../layout/api.js";
import { copy } from "../layout/copy.js";
import { ask } from "../layout/dialog.js";
import { busy, element } from "../layout/dom.js";

const HIDDEN = "whsec_••••••••••••••••";

/** Makes the button beside the secret of a new webhook work, if there is one. */
export function startNewSecret(form) {
  const button = document.getElementById("new-secret-copy");
  button?.addEventListener("click", () => copy(button, form.elements.secret.value.trim()));
}

/** Makes the buttons work, if there is a secret. */
export function startSecret() {
  const place = document.getElementById("secret");
  if (!place) return;
  const path = `/v1/subscriptions/${place.dataset.id}`;
  const text = document.getElementById("secret-text");
  const said = document.getElementById("secret-said");
  const show = document.getElementById("secret-show");
  const copyButton = document.getElementById("secret-copy");
  const rotate = document.getElementById("secret-rotate");

  const fetched = async () => (await call("GET", `${path}/secret`)).secret;
  const reveal = (secret) => {
    text.textContent = secret ?? HIDDEN;
    show.textContent = secret ? "Hide" : "Show";
    show.setAttribute("aria-expanded", String(Boolean(secret)));
  };
  const attempt = (button, work) =>
    button.addEventListener("click", () =>
      busy(button, async () => {
        said.textContent = "";
        try {
          await work();
        } catch (refusal) {
          said.textContent = refusal.message;
        }
      }),
    );

  attempt(show, async () => reveal(show.getAttribute("aria-expanded") === "true" ? null : await fetched()));
  attempt(copyButton, async () => copy(copyButton, await fetched()));
  attempt(rotate, async () => {
    const overlap = element(
      "select",
      { id: "overlap" },
      ...[["24h", "24 hours"], ["1h", "1 hour"], ["7d", "7 days"], ["0s", "not at all: the old one is in wrong hands"]].map(([value, words]) =>
        element("option", { value }, words),
      ),
    );
    const given = element("input", { id: "given-secret", class: "secret", autocomplete: "off", spellcheck: "false", placeholder: "whsec_…" });
    const fields = [
      element("div", { class: "field" }, element("label", { for: "overlap" }, "The old secret signs too for"), overlap),
      element("div", { class: "field" }, element("label", { for: "given-secret" }, "The new secret ", element("span", { class: "optional" }, "or one is made, if empty")), given),
    ];
    const agreed = await ask({
      title: "Rotate the secret?",
      text: ["The webhook gets a new secret. Until the time below is over every delivery carries both signatures, so that you can change your application in peace."],
      action: "Rotate",
      more: fields,
    });
    if (!agreed) return;
    const secret = given.value.trim() || null;
    reveal((await call("POST", `${path}/rotate-secret`, { overlap: overlap.value, secret })).secret);
    said.textContent = "This is the new secret. Enter it in your application.";
  });
}
