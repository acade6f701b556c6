// 'Test' beside the URL: posts a sample now and says what came back.

import { call } from "../layout/api.js";
import { copy } from "../layout/copy.js";
import { busy, element } from "../layout/dom.js";
import { certificateShown } from "./certificate.js";
import { headers, showFaults } from "./fields.js";

const PHASES = { resolve: "Name", connect: "Connection", send: "Sending", wait: "Waiting", receive: "Answer" };

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
  result.replaceChildren(element("p", { class: "notice" }, "Testing…"));
  const stored = headers(form);
  const kept = Object.keys(stored).filter((name) => stored[name] === null);
  const shown = certificateShown(form);
  const asked = {
    url: form.elements.url.value.trim(),
    format: form.elements.format.value,
    layout: form.elements.layout.value,
    headers: Object.fromEntries(Object.entries(stored).filter(([, value]) => value !== null)),
    event: document.getElementById("preview-event").value,
    ...shown,
  };
  const id = form.dataset.id;
  const same = id && asked.url === form.elements.url.defaultValue;
  try {
    // What is stored is tested as it is stored, with its secret, its headers' values and its client certificate.
    const asStored = same && (kept.length > 0 || shown === null);
    const found = asStored
      ? await call("POST", `/v1/subscriptions/${id}/test`, { event: asked.event })
      : await call("POST", "/v1/test", asked);
    result.replaceChildren(outcome(found));
  } catch (refusal) {
    result.replaceChildren();
    if (refusal.errors.length > 0) showFaults(form, refusal);
    else result.replaceChildren(element("p", { class: "notice bad" }, refusal.message));
  }
}

/** What came back, in words and colour; the rest on demand. */
export function outcome(found) {
  const title = found.response === null ? "No response" : `Response ${found.response}`;
  const kind = found.working ? "good" : found.response === null ? "bad" : found.response < 400 || found.response === 429 || found.response === 503 ? "warn" : "bad";
  const curl = element("pre", { tabindex: "0", "aria-label": "The same as a curl line" }, found.curl);
  const copyCurl = element("button", { type: "button" }, "Copy the curl line");
  copyCurl.addEventListener("click", () => copy(copyCurl, found.curl));
  return element(
    "div",
    { class: `notice outcome ${kind}`, "data-outcome": found.working ? "working" : (found.error ?? String(found.response)) },
    element("strong", {}, element("span", { "aria-hidden": "true" }, found.working ? "✓" : "✕"), title),
    element("p", {}, found.message),
    element(
      "details",
      {},
      element("summary", {}, `Details (${found.duration_ms} ms)`),
      phases(found),
      found.address ? element("p", { class: "small" }, `Connected to ${found.address}`) : null,
      ...reply(found),
      element("h3", {}, "Sent"),
      element("pre", { tabindex: "0", "aria-label": "What was sent" }, sent(found.request)),
      curl,
      copyCurl,
    ),
  );
}

function phases(found) {
  const entries = Object.entries(found.phases);
  if (entries.length === 0) return null;
  const most = Math.max(1, ...entries.map(([, length]) => length));
  return element(
    "ol",
    { class: "phases", "aria-label": "How long each part took" },
    ...entries.map(([name, length]) =>
      element(
        "li",
        {},
        element("span", {}, PHASES[name] ?? name),
        element("meter", { min: 0, max: most, value: length, "aria-hidden": "true" }),
        element("span", { class: "number" }, `${length} ms${found.phase === name ? " ✕" : ""}`),
      ),
    ),
  );
}

function reply(found) {
  if (found.response_body === null) return [];
  return [
    element("h3", {}, "Reply"),
    element("pre", { tabindex: "0", "aria-label": "The reply" }, found.response_body === "" ? "(empty)" : found.response_body),
  ];
}

function sent(request) {
  const lines = Object.entries(request.headers).map(([name, value]) => `${name}: ${value ?? "(not shown)"}`);
  return `${lines.join("\n")}\n\n${request.body}`;
}
