// What is sent, what of it, what counts as delivered, and how to sign in.

import { call } from "../layout/api.js";
import { conditions, startFilter } from "./filter.js";

const part = (form, name) => form.querySelector(`[data-auth-part=${name}]`);

/** Makes the fields work together. */
export function startTarget(form) {
  const { body, url, auth_type: auth } = form.elements;
  const help = document.getElementById("body-help");
  const usual = url.placeholder;
  const show = () => {
    const { paste, example, script } = body.selectedOptions[0].dataset;
    document.getElementById("body-script").hidden = script === undefined;
    document.getElementById("body-script-text").textContent = script ?? "";
    document.getElementById("body-standard").hidden = body.value !== "";
    document.getElementById("body-template").hidden = body.value !== "template";
    const receivers = document.querySelector(".receivers");
    if (receivers) receivers.hidden = body.value !== "";
    // A service checks no signature: nobody has to copy the secret to it.
    const secret = document.getElementById("s-new-secret")?.closest("section");
    if (secret) secret.hidden = example !== undefined && body.value !== "flat_strings";
    help.textContent = paste;
    url.placeholder = example ?? usual;
  };
  let before = body.value;
  body.addEventListener("change", async () => {
    show();
    const { rate, success } = body.selectedOptions[0].dataset;
    if (rate !== undefined) {
      form.elements.rate_per_second.value = rate;
      form.elements.success.value = success;
    }
    // A template of one's own begins with that of the service that was chosen before.
    const from = before;
    before = body.value;
    if (body.value === "template" && form.elements.template.value === "" && from !== "") await begin(form, from);
    form.dispatchEvent(new Event("input", { bubbles: true }));
  });
  const showAuth = () => {
    for (const place of form.querySelectorAll("[data-auth]")) place.hidden = place.dataset.auth !== auth.value;
  };
  auth.addEventListener("change", showAuth);
  // The server makes the key pair when the webhook is saved.
  const keyLater = document.getElementById("signature-key-later");
  const showKey = () => {
    if (keyLater) keyLater.hidden = form.elements.signature.value === "v1";
  };
  form.addEventListener("change", showKey);
  showKey();
  show();
  showAuth();
  startFilter(form);
}

async function begin(form, name) {
  const { items } = await call("GET", "/v1/presets");
  const preset = items.find((one) => one.name === name);
  if (!preset || form.elements.template.value !== "") return;
  form.elements.template.value = preset.template;
  form.elements.content_type.value = preset.content_type;
}

/** The members of the body alone, for the preview. */
export function bodySettings(form) {
  const { body, template, content_type: type } = form.elements;
  if (body.value === "template") return { preset: null, template: template.value, content_type: type.value.trim() || null };
  return { preset: body.value || null, template: null };
}

/** The members for a test of a webhook that is not saved yet. */
export function testedSettings(form) {
  const { success, signature } = form.elements;
  return { ...bodySettings(form), success: success.value, success_body: rule(), auth: auth(form), signature: signature.value };
}

/** All members. */
export function targetSettings(form) {
  return { ...testedSettings(form), filter: conditions(form) || null };
}

function rule() {
  const text = (id) => document.getElementById(id).value.trim();
  if (text("success_pointer") !== "" || text("success_equals") !== "") {
    return { json_pointer: text("success_pointer"), equals: value(text("success_equals")) };
  }
  return text("success_contains") === "" ? null : { contains: text("success_contains") };
}

/** A value as JSON; what is none is text. */
function value(text) {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

function auth(form) {
  const type = form.elements.auth_type.value;
  if (type === "") return null;
  const document = { type };
  for (const input of form.querySelectorAll(`[data-auth="${type}"] [data-auth-part]`)) {
    const text = "secret" in input.dataset ? input.value : input.value.trim();
    // A stored secret is kept by null.
    document[input.dataset.authPart] = text === "" && ("secret" in input.dataset || "optional" in input.dataset) ? null : text;
  }
  return document;
}

/** The input of a member of `auth`, for its fault. */
export function authSpot(form, name) {
  return part(form, CSS.escape(name))?.closest(".field");
}
