// Sending events of the past again: which, and how many that would be, before anything is sent.

import { call } from "../layout/api.js";
import { ask } from "../layout/dialog.js";
import { element } from "../layout/dom.js";
import { local } from "../layout/filters.js";
import { t } from "../layout/texts.js";

const DAY = 86_400_000;
const PAUSE = 250;

/**
 * Asks since when to send events of the webhook at `path` again, and sends them. `only` is "failed" or "all"; `since` is what
 * the dialog proposes. Resolves to how many are sent, null if it was declined.
 */
export async function replay(path, only, since) {
  const begin = since ? new Date(since) : new Date(Date.now() - DAY);
  const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
  const from = element("input", { type: "datetime-local", id: "replay-from", value: local(begin), required: true });
  const what = element("select", { id: "replay-only" }, element("option", { value: "failed" }, t("replay-failed")), element("option", { value: "all" }, t("replay-all")));
  what.value = only;
  const count = element("p", { role: "status", class: "replay-count" });
  const body = () => ({ since: new Date(from.value).toISOString(), only: what.value });
  let turn = 0;
  async function preview() {
    const mine = ++turn;
    count.textContent = t("replay-counting");
    let words;
    try {
      const { queued } = await call("POST", `${path}/replay`, { ...body(), dry_run: true });
      words = queued === 0 ? t("replay-none") : t("replay-count", { count: queued });
    } catch (refusal) {
      words = from.value === "" ? t("replay-no-time") : refusal.message;
    }
    if (mine === turn) count.textContent = words;
  }
  let wait;
  const later = () => {
    clearTimeout(wait);
    wait = setTimeout(preview, PAUSE);
  };
  from.addEventListener("input", later);
  what.addEventListener("change", preview);
  preview();
  const agreed = await ask({
    title: t("replay-title"),
    text: [t("replay-text")],
    action: t("replay-do"),
    more: [
      element("div", { class: "field" }, element("label", { for: "replay-from" }, `${t("from")} `, element("span", { class: "optional" }, zone)), from),
      element("div", { class: "field" }, element("label", { for: "replay-only" }, t("replay-what")), what),
      count,
    ],
  });
  if (!agreed) return null;
  return (await call("POST", `${path}/replay`, body())).queued;
}
