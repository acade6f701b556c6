// 'Deliver again' on an entry of the log.

import { call } from "../layout/api.js";
import { ask } from "../layout/dialog.js";
import { busy } from "../layout/dom.js";
import { t } from "../layout/texts.js";

/** Makes the buttons below `root` work, later ones included. */
export function startAgain(root) {
  root.addEventListener("click", (event) => {
    const button = event.target.closest("button[data-again]");
    if (button) busy(button, () => again(button));
  });
}

async function again(button) {
  const said = button.parentElement.querySelector(".again-said");
  said.textContent = "";
  if (button.dataset.status === "delivered") {
    const agreed = await ask({
      title: t("again-title"),
      text: [t("again-delivered")],
      action: t("deliver-again"),
    });
    if (!agreed) return;
  }
  try {
    await call("POST", `/v1/deliveries/${button.dataset.again}/retry`);
    said.classList.remove("fault");
    said.textContent = t("again-queued");
  } catch (refusal) {
    said.classList.add("fault");
    said.textContent = refusal.message;
  }
}
