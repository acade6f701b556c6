// The report's form. A range of times replaces a range in days.

import { startFilters } from "../layout/filters.js";

const form = document.querySelector(".filters form");
startFilters(form);
form.addEventListener("formdata", ({ formData }) => {
  if (formData.get("since") || formData.get("until")) formData.delete("days");
});
