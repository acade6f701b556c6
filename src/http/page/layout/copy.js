// Copying to the clipboard: `<button data-copy="ID">` copies the text of the element with that id.

import { say } from "./dom.js";
import { t } from "./texts.js";

/** Makes the copy buttons below `root` work. */
export function copying(root) {
  for (const button of root.querySelectorAll("button[data-copy]")) {
    button.addEventListener("click", () => copy(button, document.getElementById(button.dataset.copy)?.textContent ?? ""));
  }
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
