// The list of webhooks: searched, sorted, and kept up to date.

import { startFilters } from "../layout/filters.js";
import { startRefresh } from "../layout/refresh.js";

startFilters(document.querySelector("form.finder"));
startRefresh(document.getElementById("webhooks").dataset.newest, ["problems", "webhooks"]);
