// The request that the form's settings would send, and receivers for it. Rendered by the server, as
// deliveries are.

import { call } from "../layout/api.js";

/** Keeps the preview in step with the form. */
export function startPreview(form) {
  const body = document.getElementById("preview-body");
  const heads = document.getElementById("preview-headers");
  const note = document.getElementById("preview-note");
  const event = document.getElementById("preview-event");
  let shown = "";
  let turn = 0;

  async function show() {
    const { format, layout, nested } = form.elements;
    const query = new URLSearchParams({ format: format.value, layout: layout.value, nested: nested.value, event: event.value });
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
}
