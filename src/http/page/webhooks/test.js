// 'Test' beside the URL: posts a sample and shows the outcome. A stored webhook signs with its own secret, also
// if the form has been changed since; a new one with the secret that it will be saved with.

import { call } from "../layout/api.js";
import { copy } from "../layout/copy.js";
import { busy, element } from "../layout/dom.js";
import { isEnglish, t, word } from "../layout/texts.js";
import { certificateShown } from "./certificate.js";
import { changes, headers, showFaults } from "./fields.js";
import { testedSettings } from "./target.js";

/** Makes the button work. */
export function startTest(form) {
  const button = document.getElementById("test");
  const result = document.getElementById("test-result");
  button.addEventListener("click", () => busy(button, () => test(form, result)));
  form.elements.url.addEventListener("keydown", (event) => {
    if (event.key !== "Enter") return;
    event.preventDefault();
    button.click();
  });
}

async function test(form, result) {
  showFaults(form, null);
  result.replaceChildren(element("p", { class: "notice" }, t("test-running")));
  try {
    const id = form.dataset.id;
    const found = id ? await call("POST", `/v1/subscriptions/${id}/test`, ofStored(form)) : await call("POST", "/v1/test", ofNew(form));
    result.replaceChildren(outcome(found));
  } catch (refusal) {
    result.replaceChildren();
    for (const one of refusal.errors) one.pointer = one.pointer.replace(/^\/settings(?=\/)/, "");
    if (refusal.errors.length > 0) showFaults(form, refusal);
    else result.replaceChildren(element("p", { class: "notice bad" }, refusal.message));
  }
}

/** The event type of the sample: the one in the preview, if it is selected. */
function sampled(form) {
  const shown = document.getElementById("preview-event").value;
  if (form.elements.events_all.value === "all") return shown;
  const ticked = [...form.querySelectorAll("input[name=events]:checked")].map((box) => box.value);
  return ticked.length === 0 || ticked.includes(shown) ? shown : ticked[0];
}

/** The body for testing a stored webhook: the form as saving would send it. */
function ofStored(form) {
  const { events, ...rest } = changes(form);
  return { event: sampled(form), settings: { ...rest, ...(events.length > 0 ? { events } : {}) } };
}

/** The body for testing a webhook that is not saved yet. */
function ofNew(form) {
  return {
    url: form.elements.url.value.trim(),
    format: form.elements.format.value,
    layout: form.elements.layout.value,
    nested: form.elements.nested.value,
    headers: headers(form),
    event: sampled(form),
    secret: form.elements.secret.value.trim(),
    ...certificateShown(form),
    ...testedSettings(form),
  };
}

/** Shows the outcome; details on demand. */
export function outcome(found) {
  const title = found.response === null ? t("no-response") : t("test-response", { status: String(found.response) });
  const kind = found.working ? "good" : found.response === null ? "bad" : found.response < 400 || found.response === 429 || found.response === 503 ? "warn" : "bad";
  const curl = element("pre", { tabindex: "0", "aria-label": t("test-curl") }, found.curl);
  const copyCurl = element("button", { type: "button" }, t("test-copy-curl"));
  copyCurl.addEventListener("click", () => copy(copyCurl, found.curl));
  return element(
    "div",
    { class: `notice outcome ${kind}`, "data-outcome": found.working ? "working" : (found.error ?? String(found.response)) },
    element("strong", {}, element("span", { "aria-hidden": "true" }, found.working ? "✓" : "✕"), title),
    element("p", {}, isEnglish ? found.message : summary(found)),
    element(
      "details",
      {},
      element("summary", {}, t("test-details", { millis: found.duration_ms })),
      phases(found),
      isEnglish ? null : element("p", { class: "small", lang: "en" }, found.message),
      found.address ? element("p", { class: "small" }, t("test-connected", { address: found.address })) : null,
      ...reply(found),
      element("h3", {}, t("test-sent")),
      element("pre", { tabindex: "0", "aria-label": t("test-what-was-sent") }, sent(found.request)),
      curl,
      copyCurl,
    ),
  );
}

// The API's message is English and says more.
function summary({ working, error, response }) {
  if (working) return t("outcome-working");
  if (error) return word("outcome", error);
  return word("outcome", String(response), word("outcome", `${Math.floor(response / 100)}xx`, ""));
}

function phases(found) {
  const entries = Object.entries(found.phases);
  if (entries.length === 0) return null;
  const most = Math.max(1, ...entries.map(([, length]) => length));
  return element(
    "ol",
    { class: "phases", "aria-label": t("phase-times") },
    ...entries.map(([name, length]) =>
      element(
        "li",
        {},
        element("span", {}, word("phase", name)),
        element("meter", { min: 0, max: most, value: length, "aria-hidden": "true" }),
        element("span", { class: "number" }, `${length} ms${found.phase === name ? " ✕" : ""}`),
      ),
    ),
  );
}

function reply(found) {
  if (found.response_body === null) return [];
  return [
    element("h3", {}, t("test-reply")),
    element("pre", { tabindex: "0", "aria-label": t("test-the-reply") }, found.response_body === "" ? t("test-empty") : found.response_body),
  ];
}

function sent(request) {
  const lines = Object.entries(request.headers).map(([name, value]) => `${name}: ${value ?? t("test-not-shown")}`);
  return `${lines.join("\n")}\n\n${request.body}`;
}
