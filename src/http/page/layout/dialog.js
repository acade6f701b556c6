// Confirmation dialogs for what cannot be undone.

import { element } from "./dom.js";
import { t } from "./texts.js";

let count = 0;

/** Resolves to the dialog's form if confirmed, to null if not. `more` are nodes below the text. */
export function ask({ title, text, action, danger = false, more = [] }) {
  const id = `dialog-${++count}`;
  const cancel = element("button", { type: "submit", value: "no", formnovalidate: true }, t("cancel"));
  const go = element("button", { type: "submit", value: "yes", class: danger ? "danger" : "primary" }, action);
  const form = element(
    "form",
    { method: "dialog" },
    element("h2", { id }, title),
    ...text.map((line) => element("p", {}, line)),
    ...more,
    element("div", { class: "actions" }, cancel, go),
  );
  const dialog = element("dialog", { "aria-labelledby": id }, form);
  document.body.append(dialog);
  dialog.showModal();
  cancel.focus();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => {
      resolve(dialog.returnValue === "yes" ? form : null);
      dialog.remove();
    });
  });
}
