// The form's fields as a document of the API, and the API's errors beside the fields.

import { element } from "../layout/dom.js";
import { showFaults as show } from "../layout/faults.js";
import { t } from "../layout/texts.js";
import { certificateChange } from "./certificate.js";
import { authSpot, targetSettings } from "./target.js";

const NUMBERS = ["timeout_ms", "max_in_flight", "rate_per_second"];

/** Makes the fields work together. */
export function startFields(form) {
  const all = () => form.elements.events_all.value === "all";
  const boxes = [...form.querySelectorAll("input[name=events]")];
  form.addEventListener("change", ({ target }) => {
    if (target.name === "events_all" && all()) for (const box of boxes) box.checked = true;
    if (target.name === "events" && !target.checked) form.elements.events_all.value = "some";
  });
  form.querySelector("#headers").addEventListener("click", ({ target }) => {
    const button = target.closest("[data-remove]");
    if (!button) return;
    const row = button.closest("li");
    const next = row.nextElementSibling ?? row.previousElementSibling;
    row.remove();
    (next?.querySelector("[data-remove]") ?? document.getElementById("add-header")).focus();
    form.dispatchEvent(new Event("input", { bubbles: true }));
  });
}

/** Adds an empty row for a header. */
export function addHeader(form) {
  const list = form.querySelector("#headers");
  const number = list.children.length + 1;
  const part = (name, label, placeholder) =>
    element("input", { "data-part": name, "aria-label": label, spellcheck: "false", autocomplete: "off", placeholder });
  const which = element("span", { class: "hidden" }, ` ${t("form-header-remove", { number })}`);
  const remove = element("button", { type: "button", class: "quiet", "data-remove": true }, t("remove"), which);
  const row = element("li", {}, part("name", t("form-header-name", { number }), t("form-name")), part("value", t("form-header-value", { number }), t("form-value")), remove);
  list.append(row);
  row.querySelector("input").focus();
}

/** All settings, for `POST /v1/subscriptions`. */
export function settings(form) {
  const { elements } = form;
  const ticked = (name) => [...form.querySelectorAll(`input[name=${name}]:checked`)].map((box) => box.value);
  const document = {
    url: elements.url.value.trim(),
    company: elements.company.value.trim(),
    domain: elements.domain.value.trim() || null,
    sources: ticked("sources"),
    format: elements.format.value,
    layout: elements.layout.value,
    nested: elements.nested.value,
    events: elements.events_all.value === "all" ? ["*"] : ticked("events"),
    headers: headers(form),
    description: elements.description.value.trim(),
    ordering: elements.ordering.value,
    expire_after: {},
    notify: elements.notify.value.split(/[\s,;]+/).filter((address) => address !== ""),
    ...certificateChange(form),
    ...targetSettings(form),
  };
  // A new webhook has the secret that it was tested with; a stored one has its own.
  if (elements.secret) document.secret = elements.secret.value.trim();
  for (const name of NUMBERS) {
    const text = elements[name].value.trim();
    // Invalid numbers are sent verbatim: the API's error says what is accepted.
    document[name] = text === "" ? null : /^\d{1,15}$/.test(text) ? Number(text) : text;
  }
  for (const input of form.querySelectorAll("[data-expire]")) {
    const text = input.value.trim();
    if (text) document.expire_after[input.dataset.expire] = text;
  }
  return document;
}

/** What must be entered and is not, as errors of the form `{pointer, detail, own}`. */
export function missingSettings(form) {
  const document = settings(form);
  const all = [["url", document.url === "", "missing-url"], ["events", document.events.length === 0, "missing-events"], ["company", document.company === "", "missing-company"]];
  const words = { "missing-url": t("missing-url"), "missing-events": t("missing-events"), "missing-company": t("missing-company") };
  return all.filter(([, isMissing]) => isMissing).map(([name, , key]) => ({ pointer: `/${name}`, detail: words[key], own: true }));
}

/** The settings for `PATCH`, which cannot change the company. */
export function changes(form) {
  const { company, ...rest } = settings(form);
  return rest;
}

/** The headers; null keeps the stored value. */
export function headers(form) {
  const document = {};
  for (const row of form.querySelectorAll("#headers li")) {
    const name = row.querySelector("[data-part=name]").value.trim();
    const value = row.querySelector("[data-part=value]").value;
    if (name === "" && value === "") continue;
    document[name] = value === "" && "stored" in row.dataset ? null : value;
  }
  return document;
}

/** Shows the API's errors beside the fields, the rest above; null clears them. */
export function showFaults(form, refusal) {
  show(form, form.querySelector("#form-problem"), refusal, (parts) => spot(form, parts));
}

// The row of one header, or the field of one event type's expiry.
function spot(form, [member, name]) {
  if (name === undefined) return null;
  if (member === "auth") return authSpot(form, name);
  if (member === "headers") {
    const rows = [...form.querySelectorAll("#headers li")];
    return rows.find((row) => row.querySelector("[data-part=name]").value.trim() === name);
  }
  if (member === "expire_after") {
    return [...form.querySelectorAll("[data-expire]")].find((input) => input.dataset.expire === name)?.closest("li");
  }
  return null;
}
