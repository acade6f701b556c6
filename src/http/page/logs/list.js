// The log.

import { startFilters } from "../layout/filters.js";
import { startAgain } from "./again.js";
import { startLive } from "./live.js";
import { startRows } from "./rows.js";

startFilters(document.querySelector(".filters form"));
startRows();
startAgain(document);
startLive();
