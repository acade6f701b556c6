// The form that finds calls.

import { startFilters } from "../layout/filters.js";

startFilters(document.querySelector("form.finder"));
