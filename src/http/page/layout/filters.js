// The filter form: times in the viewer's zone, and a URL with only the filters that are set.

/** Makes `form` work. */
export function startFilters(form) {
  if (!form) return;
  // On narrow screens the filters start collapsed.
  const folded = form.closest("details.filters:not([data-chosen])");
  if (folded && matchMedia("(max-width: 55rem)").matches) folded.open = false;
  for (const mark of form.querySelectorAll("[data-zone]")) mark.hidden = true;
  const times = [...form.querySelectorAll("input[data-at]")];
  for (const input of times) {
    const at = new Date(input.dataset.at);
    if (input.dataset.at === "" || Number.isNaN(at.getTime())) continue;
    input.value = local(at);
    input.defaultValue = input.value;
  }
  form.addEventListener("formdata", ({ formData }) => {
    for (const input of times) {
      if (!input.value) continue;
      // An unchanged time keeps its seconds.
      const at = input.value === input.defaultValue && input.dataset.at ? input.dataset.at : new Date(input.value).toISOString();
      formData.set(input.name, at);
    }
    for (const [name, value] of [...formData]) if (value === "") formData.delete(name);
  });
  // A choice from a list applies at once; typed text applies on submit.
  for (const select of form.querySelectorAll("select")) select.addEventListener("change", () => form.requestSubmit());
}

/** A time as the value of an input for local times. */
export function local(at) {
  const two = (number) => String(number).padStart(2, "0");
  return `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())}T${two(at.getHours())}:${two(at.getMinutes())}`;
}
