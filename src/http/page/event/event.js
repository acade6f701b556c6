// One event: sent again to one webhook or to all, with its attempts as they are made.

import { call } from "../layout/api.js";
import { ask } from "../layout/dialog.js";
import { busy } from "../layout/dom.js";
import { startRefresh } from "../layout/refresh.js";
import { t } from "../layout/texts.js";
import { startAgain } from "../logs/again.js";
import { startRows } from "../logs/rows.js";

startRows();
startAgain(document);
startRefresh(document.getElementById("log").dataset.newest, ["deliveries", "log"]);

const button = document.getElementById("to-all");
button?.addEventListener("click", () => busy(button, toAll));

async function toAll() {
  const ids = [...document.querySelectorAll("[data-again]")].map((one) => one.dataset.again);
  const said = document.getElementById("all-said");
  const agreed = await ask({ title: t("event-to-all-title", { count: ids.length }), text: [t("event-to-all-text")], action: t("event-to-all") });
  if (!agreed) return;
  let sent = 0;
  try {
    for (const id of ids) {
      await call("POST", `/v1/deliveries/${id}/retry`);
      sent += 1;
    }
    said.textContent = t("event-all-said", { count: sent });
  } catch (refusal) {
    said.textContent = `${t("event-all-said", { count: sent })} ${refusal.message}`;
  }
  said.hidden = false;
}
