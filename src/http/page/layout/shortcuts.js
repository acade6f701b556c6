// Keyboard shortcuts, and the sheet that lists them. Single keys can be turned off there (WCAG 2.1.4).

import { element } from "./dom.js";
import { t } from "./texts.js";

const OFF = "hookswitch-no-shortcuts";
const PLACES = { w: "webhooks", l: "logs", c: "calls", r: "report", s: "status" };
// How long after `g` the second key may come.
const SECOND = 1_500;
let went = -SECOND;

/** Listens to the keys. */
export function startShortcuts() {
  if (!document.getElementById("search")) return;
  document.addEventListener("keydown", pressed);
}

function pressed(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing || event.defaultPrevented) return;
  if (event.target.closest?.("input, textarea, select, [contenteditable], dialog")) return;
  if (event.key === "?") return act(event, sheet);
  if (areOff()) return;
  const now = performance.now();
  const place = now - went < SECOND ? PLACES[event.key] : undefined;
  went = event.key === "g" ? now : -SECOND;
  if (event.key === "/") return act(event, () => document.getElementById("search").focus());
  const link = place ? document.querySelector(`.side nav a[href^="/${place}"]`) : event.key === "n" ? document.querySelector('main a[href^="/webhooks/new"]') : null;
  if (link) act(event, () => link.click());
}

function act(event, work) {
  event.preventDefault();
  work();
}

function areOff() {
  try {
    return localStorage.getItem(OFF) !== null;
  } catch {
    return false;
  }
}

function sheet() {
  const keys = [["/", t("keys-search")], ["g w", t("section-webhooks")], ["g l", t("section-logs")], ["g c", t("section-calls")], ["g r", t("section-report")], ["g s", t("section-status")], ["n", t("webhooks-new")], ["?", t("keys-sheet")]];
  const isThere = ([key]) => !/^g .$/.test(key) || document.querySelector(`.side nav a[href^="/${PLACES[key[2]]}"]`);
  const list = keys.filter(isThere).map(([key, words]) => element("div", {}, element("dt", {}, ...key.split(" ").map((one) => element("kbd", {}, one))), element("dd", {}, words)));
  const on = element("input", { type: "checkbox", id: "keys-on" });
  on.checked = !areOff();
  on.addEventListener("change", () => {
    try {
      if (on.checked) localStorage.removeItem(OFF);
      else localStorage.setItem(OFF, "");
    } catch {
      // In a frame of another site there may be no storage.
    }
  });
  const form = element(
    "form",
    { method: "dialog" },
    element("h2", { id: "keys-title" }, t("keys-title")),
    element("dl", { class: "keys" }, ...list),
    element("label", { class: "check" }, on, ` ${t("keys-on")}`),
    element("div", { class: "actions" }, element("button", { type: "submit", class: "primary", autofocus: true }, t("close"))),
  );
  const dialog = element("dialog", { "aria-labelledby": "keys-title" }, form);
  dialog.addEventListener("close", () => dialog.remove());
  document.body.append(dialog);
  dialog.showModal();
}
