// Creating and revoking tokens. A token's text is shown once, when it is created.

import { call } from "../layout/api.js";
import { copy } from "../layout/copy.js";
import { ask } from "../layout/dialog.js";
import { busy, element } from "../layout/dom.js";
import { showFaults } from "../layout/faults.js";
import { t } from "../layout/texts.js";

const problem = document.getElementById("revoke-problem");
for (const button of document.querySelectorAll("[data-revoke]")) {
  button.addEventListener("click", () =>
    busy(button, async () => {
      problem.textContent = "";
      const agreed = await ask({
        title: t("keys-revoke-title"),
        text: [t("keys-revoke-text", { name: button.dataset.name })],
        action: t("keys-revoke"),
        danger: true,
      });
      if (!agreed) return;
      try {
        await call("DELETE", `/v1/tokens/${button.dataset.revoke}`);
        location.reload();
      } catch (refusal) {
        problem.textContent = refusal.message;
      }
    }),
  );
}

const endProblem = document.getElementById("end-problem");
for (const button of document.querySelectorAll("[data-end]")) {
  button.addEventListener("click", () =>
    busy(button, async () => {
      endProblem.textContent = "";
      try {
        await call("DELETE", `/v1/sessions/${button.dataset.end}`);
        location.reload();
      } catch (refusal) {
        endProblem.textContent = refusal.message;
      }
    }),
  );
}

const form = document.getElementById("new-key");
form?.addEventListener("submit", (event) => {
  event.preventDefault();
  busy(document.getElementById("make"), make);
});

async function make() {
  const place = document.getElementById("new-problem");
  showFaults(form, place, null);
  const { elements } = form;
  const wanted = { role: elements.role.value };
  for (const name of ["description", "company", "expires_in"]) {
    const value = elements[name].value.trim();
    if (value) wanted[name] = value;
  }
  try {
    const made = await call("POST", "/v1/tokens", wanted);
    const copying = element("button", { type: "button" }, t("copy"));
    copying.addEventListener("click", () => copy(copying, made.token));
    const shown = document.getElementById("made");
    shown.hidden = false;
    shown.replaceChildren(
      element("strong", {}, t("keys-created-once")),
      element("code", { class: "wrap", id: "made-token" }, made.token),
      copying,
      element("a", { href: location.pathname + location.search }, t("keys-created-done")),
    );
    form.reset();
  } catch (refusal) {
    showFaults(form, place, refusal);
  }
}
