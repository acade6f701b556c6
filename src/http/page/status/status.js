// Keeps the figures up to date.

import { startRefresh } from "../layout/refresh.js";

startRefresh(undefined, ["status"], 5_000);
