// What every view has: times in the viewer's zone, copying, and the choice of a company.

import { localTimes } from "./time.js";
import { copying } from "./copy.js";

localTimes(document);
copying(document);

const company = document.getElementById("company-switch");
company?.addEventListener("change", () => company.form.requestSubmit());
