// What would be sent with the settings as they stand in the form, and receivers for it. Rendered by the server, as
// deliveries are.

import { call } from "../layout/api.js";

/** Keeps the preview as the form is. */
export function startPreview(form) {
  const body = document.getElementById("preview-body");
  const heads = document.getElementById("preview-headers");
  const note = document.getElementById("preview-note");
  const event = document.getElementById("preview-event");
  let shown = "";
  let turn = 0;

  async function show() {
    const { format, layout, nested } = form.elements;
    const asked = new URLSearchParams({ format: format.value, layout: layout.value, nested: nested.value, event: event.value });
    for (const name of ["company", "domain"]) {
      const value = form.elements[name].value.trim();
      if (value) asked.set(name, value);
    }
    const url = form.elements.url.value.trim();
    if (url && url.length < 2000) asked.set("url", url);
    const source = form.querySelector("input[name=sources]:checked");
    if (source) asked.set("source", source.value);
    if (asked.toString() === shown) return;
    shown = asked.toString();
    const mine = ++turn;
    try {
      const preview = await call("GET", `/webhooks/preview?${shown}`);
      if (mine !== turn) return;
      body.textContent = preview.body;
      for (const one of preview.receivers) {
        const place = document.getElementById(`snippet-${one.name}`);
        if (place && place.textContent !== one.text) place.textContent = one.text;
      }
      note.hidden = asked.get("format") !== "form";
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
}
