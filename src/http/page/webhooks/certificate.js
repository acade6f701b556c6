// The client certificate: entered, read from files on this computer, or to be removed. A key that is stored never comes here.

// Larger than any that the API takes: no file is read into the page that cannot be meant.
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
        said.textContent = `${file.name} is too large to be one.`;
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
    said.textContent = "It is removed once you save.";
    cert.focus();
    changed();
  });
}

/** What is to be saved of it: nothing of what stands as it was. */
export function certificateChange(form) {
  const { client_cert: cert, client_key: key } = form.elements;
  const change = {};
  if (cert.value !== cert.defaultValue) change.client_cert = text(cert);
  if (text(key)) change.client_key = text(key);
  return change;
}

/** What a test is to show, as far as it was entered; null if that is what is stored, whose key only the server has. */
export function certificateShown(form) {
  const { client_cert: cert, client_key: key } = form.elements;
  const given = { client_cert: text(cert), client_key: text(key) };
  if (given.client_cert && !given.client_key && cert.value === cert.defaultValue) return null;
  return Object.fromEntries(Object.entries(given).filter(([, value]) => value !== null));
}
