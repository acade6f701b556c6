// The client certificate: entered, read from local files, or removed. A stored key is never sent to the page.

import { t } from "../layout/texts.js";

// Larger than any that the API accepts, so that no unrelated large file is read.
const FILE_MOST = 64 * 1024;

const text = (field) => (field.value.trim() === "" ? null : `${field.value.trim()}\n`);

/** Makes the file pickers and the removal work. */
export function startCertificate(form) {
  const { client_cert: cert, client_key: key } = form.elements;
  const said = document.getElementById("certificate-said");
  const changed = () => form.dispatchEvent(new Event("input", { bubbles: true }));
  for (const field of [cert, key]) field.addEventListener("input", () => (said.textContent = ""));
  for (const picker of form.querySelectorAll("[data-into]")) {
    picker.addEventListener("change", async () => {
      const [file] = picker.files;
      if (!file) return;
      said.textContent = "";
      if (file.size > FILE_MOST) {
        said.textContent = t("certificate-too-large", { file: file.name });
      } else {
        form.elements[picker.dataset.into].value = await file.text();
        changed();
      }
      picker.value = "";
    });
  }
  document.getElementById("certificate-remove")?.addEventListener("click", () => {
    cert.value = "";
    key.value = "";
    said.textContent = t("certificate-removed");
    cert.focus();
    changed();
  });
}

/** The members to save; none if unchanged. */
export function certificateChange(form) {
  const { client_cert: cert, client_key: key } = form.elements;
  const change = {};
  if (cert.value !== cert.defaultValue) change.client_cert = text(cert);
  if (text(key)) change.client_key = text(key);
  return change;
}

/** The certificate for a test, as entered; null for the stored one, whose key only the server has. */
export function certificateShown(form) {
  const { client_cert: cert, client_key: key } = form.elements;
  const given = { client_cert: text(cert), client_key: text(key) };
  if (given.client_cert && !given.client_key && cert.value === cert.defaultValue) return null;
  return Object.fromEntries(Object.entries(given).filter(([, value]) => value !== null));
}
