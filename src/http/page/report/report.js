// The report's form. A range that is chosen by its times takes the place of one in days.

import { startFilters } from "../layout/filters.js";

const form = document.querySelector(".filters form");
startFilters(form);
form.addEventListener("formdata", ({ formData }) => {
  if (formData.get("since") || formData.get("until")) formData.delete("days");
});
