// An entry of the log on a page of its own.

import { startAgain } from "./again.js";

startAgain(document);
