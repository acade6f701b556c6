// The filters of the activity.

import { startFilters } from "../layout/filters.js";

startFilters(document.querySelector("form.finder"));
