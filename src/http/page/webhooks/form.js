// The form of a webhook: saving, and the links between its parts.

import { Refusal, call } from "../layout/api.js";
import { busy, say } from "../layout/dom.js";
import { t } from "../layout/texts.js";
import { startCertificate } from "./certificate.js";
import { addHeader, changes, missingSettings, settings, showFaults, startFields } from "./fields.js";
import { startTest } from "./test.js";
import { startPreview } from "./preview.js";
import { startNewSecret } from "./secret.js";
import { startDomains } from "./domains.js";
import { startTarget } from "./target.js";
import { startUrl } from "./url.js";

const form = document.getElementById("webhook");
const id = form.dataset.id;
const saveButton = document.getElementById("save");
const saved = document.getElementById("saved");

startFields(form);
startCertificate(form);
startTarget(form);
startTest(form);
startUrl(form);
startPreview(form);
startNewSecret(form);
startDomains();

if ("readOnly" in form.dataset) {
  for (const control of form.elements) control.disabled = true;
}

document.getElementById("add-header")?.addEventListener("click", () => addHeader(form));

form.addEventListener("submit", (event) => {
  event.preventDefault();
  if (saveButton) busy(saveButton, save);
});

form.addEventListener("input", () => {
  if (saved) saved.textContent = "";
});

let before = settings(form);
let leaving = false;

// Tells the next load of the view that it shows what was just saved. In a frame of another site there may be no storage.
const SAVED = "#was-saved";

addEventListener("beforeunload", (event) => {
  if (!leaving && JSON.stringify(settings(form)) !== JSON.stringify(before)) event.preventDefault();
});

async function save() {
  showFaults(form, null);
  const missing = missingSettings(form);
  if (missing.length > 0) return showFaults(form, new Refusal(422, "", missing));
  saved.textContent = t("form-saving");
  try {
    if (id) {
      await call("PATCH", `/v1/subscriptions/${id}`, changes(form));
      leaving = true;
      // The server renders the stored state; the scroll position stays.
      history.replaceState(null, "", SAVED);
      location.reload();
    } else {
      const made = await call("POST", "/v1/subscriptions", settings(form));
      leaving = true;
      const company = new URLSearchParams(location.search).has("company") ? location.search : "";
      location.assign(`/webhooks/${made.id}/code${company}${SAVED}`);
    }
  } catch (refusal) {
    saved.textContent = "";
    showFaults(form, refusal);
  }
}

if (id && location.hash === SAVED) {
  history.replaceState(null, "", location.pathname + location.search);
  if (saved) {
    saved.textContent = t("form-saved");
    document.getElementById("saved-next").hidden = false;
  }
  say(t("form-saved"));
}
before = settings(form);
