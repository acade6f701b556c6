// The request that the form's settings would send, and receivers for it. Rendered by the server, as
// deliveries are.

import { call } from "../layout/api.js";
import { element } from "../layout/dom.js";
import { t } from "../layout/texts.js";
import { conditions } from "./filter.js";
import { bodySettings } from "./target.js";

/** Keeps the preview in step with the form. */
export function startPreview(form) {
  const body = document.getElementById("preview-body");
  const heads = document.getElementById("preview-headers");
  const note = document.getElementById("preview-note");
  const event = document.getElementById("preview-event");
  const all = document.getElementById("preview-all");
  let shown = "";
  let turn = 0;

  // A body of its own, and a filter: what they make of every event.
  async function showAll() {
    const { format, layout, nested, url, company, domain } = form.elements;
    const filter = conditions(form);
    const settings = { ...bodySettings(form), ...(filter ? { filter } : {}) };
    const own = settings.preset !== null || settings.template !== null;
    all.hidden = !own && !filter;
    if (all.hidden) return;
    // A faulty URL, or no name yet, is no reason to show nothing.
    if (URL.canParse(url.value.trim())) settings.url = url.value.trim();
    for (const one of [company, domain]) if (one.value.trim()) settings[one.name] = one.value.trim();
    Object.assign(settings, { format: format.value, layout: layout.value, nested: nested.value });
    if (settings.template === "") settings.template = " ";
    const asked = JSON.stringify([settings, event.value]);
    if (asked === askedLast) return;
    askedLast = asked;
    let items;
    try {
      ({ items } = await call("POST", "/v1/preview", { settings }));
    } catch (refusal) {
      if (asked === askedLast) all.replaceChildren(element("li", { class: "bad-text" }, refusal.errors[0]?.detail ?? refusal.message));
      return;
    }
    if (asked !== askedLast) return;
    all.replaceChildren(...items.map((one) => element("li", { "data-mark": mark(one) }, element("code", {}, one.event), ` ${words(one)}`)));
    const chosen = items.find((one) => one.event === event.value);
    if (!own || !chosen) return;
    body.textContent = chosen.body ?? located(chosen.error);
    body.classList.toggle("bad-text", chosen.body === null);
    heads.textContent = chosen.content_type ? `Content-Type: ${chosen.content_type}` : "";
    note.hidden = true;
  }
  let askedLast = "";

  async function show() {
    showAll();
    if (form.elements.body.value !== "") {
      shown = "";
      return;
    }
    body.classList.remove("bad-text");
    const { format, layout, nested, signature } = form.elements;
    const query = new URLSearchParams({ format: format.value, layout: layout.value, nested: nested.value, event: event.value, signature: signature.value });
    for (const name of ["company", "domain"]) {
      const value = form.elements[name].value.trim();
      if (value) query.set(name, value);
    }
    const url = form.elements.url.value.trim();
    if (url && url.length < 2000) query.set("url", url);
    const source = form.querySelector("input[name=sources]:checked");
    if (source) query.set("source", source.value);
    if (query.toString() === shown) return;
    shown = query.toString();
    const mine = ++turn;
    try {
      const preview = await call("GET", `/webhooks/preview?${shown}`);
      if (mine !== turn) return;
      body.textContent = preview.body;
      for (const one of preview.receivers) {
        const place = document.getElementById(`snippet-${one.name}`);
        if (place && place.textContent !== one.text) place.textContent = one.text;
      }
      note.hidden = query.get("format") !== "form";
      heads.textContent = preview.headers.map(([name, value]) => `${name}: ${value}`).join("\n");
    } catch (refusal) {
      if (mine === turn) body.textContent = refusal.message;
    }
  }

  let wait;
  form.addEventListener("input", () => {
    clearTimeout(wait);
    wait = setTimeout(show, 150);
  });
  form.addEventListener("change", ({ target }) => {
    if (target.name === "events" && target.checked) event.value = target.value;
    show();
  });
  event.addEventListener("change", show);
  const first = form.querySelector("input[name=events]:checked");
  if (first) event.value = first.value;
  show();
  // A browser that goes back may have filled the fields in again.
  addEventListener("pageshow", show);
}

function mark(one) {
  if (one.error) return "fault";
  return one.passes === false ? "left-out" : "sent";
}

function words(one) {
  if (one.error) return `✕ ${located(one.error)}`;
  if (one.filter_error) return `✓ ${t("preview-filter-fails", { fault: one.filter_error })}`;
  return one.passes === false ? t("preview-is-not-sent") : `✓ ${t("preview-is-sent")}`;
}

function located({ line, detail }) {
  return line === null ? detail : t("preview-line", { line, fault: detail });
}
