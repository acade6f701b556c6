// 'Deliver again' on an entry of the log.

import { call } from "../layout/api.js";
import { ask } from "../layout/dialog.js";
import { busy } from "../layout/dom.js";

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
      title: "Deliver it again?",
      text: ["It has arrived already. The receiver gets it a second time, with the same webhook-id."],
      action: "Deliver again",
    });
    if (!agreed) return;
  }
  try {
    await call("POST", `/v1/deliveries/${button.dataset.again}/retry`);
    said.classList.remove("fault");
    said.textContent = "It is on its way again; the result will be at the top of the log.";
  } catch (refusal) {
    said.classList.add("fault");
    said.textContent = refusal.message;
  }
}
