// Pausing, resuming, discarding and deleting a webhook. Each dialog says what happens to waiting deliveries.

import { call } from "../layout/api.js";
import { ask } from "../layout/dialog.js";
import { busy } from "../layout/dom.js";

/** Makes the buttons work, if there is a stored webhook. */
export function startState() {
  const place = document.getElementById("state");
  if (!place) return;
  const { id, url } = place.dataset;
  const path = `/v1/subscriptions/${id}`;
  const problem = document.getElementById("state-problem");

  const actions = {
    async pause() {
      const agreed = await ask({
        title: "Pause this webhook?",
        text: [`Nothing more is sent to ${url} until you resume it.`, `${waits(await waiting(path))} New events are kept as well, and all of it is sent, in order, when you resume.`],
        action: "Pause",
      });
      if (agreed) await call("PATCH", path, { enabled: false });
      return agreed;
    },
    async resume() {
      await call("PATCH", path, { enabled: true });
      return true;
    },
    async discard() {
      const agreed = await ask({
        title: "Discard what waits?",
        text: [waits(await waiting(path)), "They are cancelled and will not be sent. This cannot be undone; the log keeps a line of each. The webhook itself stays."],
        action: "Discard",
        danger: true,
      });
      if (agreed) await call("POST", `${path}/discard`);
      return agreed;
    },
    async delete() {
      const agreed = await ask({
        title: "Delete this webhook?",
        text: [`Nothing more is sent to ${url}.`, `${waits(await waiting(path))} What waits is cancelled with it. This cannot be undone; the log stays.`],
        action: "Delete",
        danger: true,
      });
      if (agreed) await call("DELETE", path);
      return agreed;
    },
  };

  for (const button of place.querySelectorAll("[data-do]")) {
    const name = button.dataset.do;
    button.addEventListener("click", () =>
      busy(button, async () => {
        problem.textContent = "";
        try {
          if (!(await actions[name]())) return;
          if (name === "delete") location.assign(document.querySelector(".back a").href);
          else location.reload();
        } catch (refusal) {
          problem.textContent = refusal.message;
        }
      }),
    );
  }
}

async function waiting(path) {
  return (await call("GET", path)).waiting;
}

function waits(count) {
  if (count === 0) return "Nothing waits at present.";
  return count === 1 ? "1 delivery waits." : `${count.toLocaleString()} deliveries wait.`;
}
