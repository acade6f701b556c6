// The secret and the sample code of a stored webhook. A new one comes here first.

import { say } from "../layout/dom.js";
import { t } from "../layout/texts.js";
import { startSecret } from "./secret.js";

startSecret();
if (location.hash === "#was-saved") {
  history.replaceState(null, "", location.pathname + location.search);
  const saved = document.getElementById("saved");
  saved.textContent = t("code-saved");
  saved.hidden = false;
  say(t("code-saved"));
}
