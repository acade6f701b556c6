// The secret of a webhook: shown on request, copied, rotated.

import { call } from "../layout/api.js";
import { copy } from "../layout/copy.js";
import { ask } from "../layout/dialog.js";
import { busy, element } from "../layout/dom.js";
import { t } from "../layout/texts.js";

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
    show.textContent = secret ? t("secret-hide") : t("show");
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
      ...[["24h", t("secret-overlap-24h")], ["1h", t("secret-overlap-1h")], ["7d", t("secret-overlap-7d")], ["0s", t("secret-overlap-0s")]].map(([value, words]) =>
        element("option", { value }, words),
      ),
    );
    const given = element("input", { id: "given-secret", class: "secret", autocomplete: "off", spellcheck: "false", placeholder: "whsec_…" });
    const fields = [
      element("div", { class: "field" }, element("label", { for: "overlap" }, t("secret-overlap")), overlap),
      element("div", { class: "field" }, element("label", { for: "given-secret" }, `${t("secret-new")} `, element("span", { class: "optional" }, t("secret-new-help"))), given),
    ];
    const agreed = await ask({
      title: t("secret-rotate-title"),
      text: [t("secret-rotate-text")],
      action: t("secret-rotate"),
      more: fields,
    });
    if (!agreed) return;
    const secret = given.value.trim() || null;
    reveal((await call("POST", `${path}/rotate-secret`, { overlap: overlap.value, secret })).secret);
    said.textContent = t("secret-rotated");
  });
}
