// Pausing, resuming, replaying, discarding and deleting a webhook. Each dialog says what happens to waiting deliveries.

import { call } from "../layout/api.js";
import { ask } from "../layout/dialog.js";
import { busy } from "../layout/dom.js";
import { t } from "../layout/texts.js";
import { replay } from "./replay.js";

/** Makes the buttons work, if there is a stored webhook. */
export function startState() {
  const place = document.getElementById("state");
  if (!place) return;
  const { id, name: called, failing } = place.dataset;
  const path = `/v1/subscriptions/${id}`;
  const problem = document.getElementById("state-problem");

  // Nothing else changes at once: the log below shows what is sent.
  async function again(only, since) {
    const said = document.getElementById("state-said");
    said.textContent = "";
    const queued = await replay(path, only, since);
    if (queued !== null) said.textContent = t("replay-queued", { count: queued });
    return false;
  }

  const actions = {
    async pause() {
      const agreed = await ask({
        title: t("stored-pause-title"),
        text: [t("stored-pause-text", { webhook: called }), `${waits(await waiting(path))} ${t("stored-pause-kept")}`],
        action: t("stored-pause"),
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
        title: t("stored-discard-title"),
        text: [waits(await waiting(path)), t("stored-discard-text")],
        action: t("discard"),
        danger: true,
      });
      if (agreed) await call("POST", `${path}/discard`);
      return agreed;
    },
    recover: () => again("failed", failing),
    replay: () => again("all", ""),
    async delete() {
      const agreed = await ask({
        title: t("stored-delete-title"),
        text: [t("stored-delete-text", { webhook: called }), `${waits(await waiting(path))} ${t("stored-delete-waiting")}`],
        action: t("stored-delete"),
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
  return count === 0 ? t("stored-nothing-waits") : t("stored-waits", { count });
}
