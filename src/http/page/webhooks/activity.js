// A webhook's attempts, and what can be done about it.

import { startFilters } from "../layout/filters.js";
import { startAgain } from "../logs/again.js";
import { startLive } from "../logs/live.js";
import { startRows } from "../logs/rows.js";
import { startState } from "./state.js";

startFilters(document.querySelector("form.filters"));
startRows();
startAgain(document);
startLive();
startState();
