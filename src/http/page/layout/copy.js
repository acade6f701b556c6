// Copying to the clipboard: `<button data-copy="ID">` copies the text of the element with that id,
// `<button data-copy-text="TEXT">`, which shows a drawing, the text itself.

import { say } from "./dom.js";
import { t } from "./texts.js";

/** Makes the copy buttons below `root` work, later ones included. */
export function copying(root) {
  root.addEventListener("click", ({ target }) => {
    const button = target.closest("button[data-copy], button[data-copy-text]");
    if (!button) return;
    if (button.dataset.copyText === undefined) copy(button, document.getElementById(button.dataset.copy)?.textContent ?? "");
    else copyId(button);
  });
}

async function copyId(button) {
  const text = button.dataset.copyText;
  const copied = (await throughClipboard(text)) || throughSelection(text);
  say(copied ? t("copied") : t("copy-failed"));
  button.dataset.copied = copied ? "yes" : "no";
  setTimeout(() => delete button.dataset.copied, 1800);
}

/** Copies `text`, and says so on `button` for a moment. */
export async function copy(button, text) {
  const copied = (await throughClipboard(text)) || throughSelection(text);
  const words = copied ? t("copied") : t("copy-failed");
  const before = button.dataset.words ?? button.textContent;
  button.dataset.words = before;
  button.textContent = words;
  say(words);
  setTimeout(() => (button.textContent = before), 1800);
}

async function throughClipboard(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return false;
  }
}

// Browsers restrict the clipboard API to secure contexts; this older way works elsewhere too.
function throughSelection(text) {
  const area = document.createElement("textarea");
  area.value = text;
  area.className = "hidden";
  const place = document.querySelector("dialog[open]") ?? document.body;
  place.append(area);
  area.select();
  const copied = document.execCommand("copy");
  area.remove();
  return copied;
}
