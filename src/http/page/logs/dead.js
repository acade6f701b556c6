// Dead letters: delivering one again, discarding one, and delivering all again.

import { call } from "../layout/api.js";
import { ask } from "../layout/dialog.js";
import { busy, element } from "../layout/dom.js";
import { startFilters } from "../layout/filters.js";
import { t } from "../layout/texts.js";

const COUNTED = 10_000;
const problem = document.getElementById("dead-problem");
const said = document.getElementById("dead-said");

startFilters(document.querySelector(".filters form"));

document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-dead-again], [data-dead-cancel], #again-all");
  if (!button) return;
  busy(button, async () => {
    problem.hidden = true;
    try {
      if (button.id === "again-all") await all(button);
      else if (button.dataset.deadAgain) await one(button, button.dataset.deadAgain);
      else await discard(button, button.dataset.deadCancel);
    } catch (refusal) {
      problem.textContent = refusal.message;
      problem.hidden = false;
    }
  });
});

async function one(button, id) {
  await call("POST", `/v1/deliveries/${id}/retry`);
  gone(button, t("dead-again-queued"));
}

async function discard(button, id) {
  const agreed = await ask({
    title: t("dead-discard-title"),
    text: [t("dead-discard-text")],
    action: t("discard"),
    danger: true,
  });
  if (!agreed) return;
  await call("POST", `/v1/deliveries/${id}/cancel`);
  gone(button, t("dead-discarded"));
}

// Removes the row and moves the focus to the next button of the same kind.
function gone(button, words) {
  const row = button.closest("tr");
  const next = row.nextElementSibling ?? row.previousElementSibling;
  row.remove();
  tell(words);
  if (!next) return location.reload();
  next.querySelector("button")?.focus();
}

function tell(words) {
  said.textContent = words;
  said.hidden = false;
}

async function all(button) {
  const query = new URLSearchParams(button.dataset.query);
  const found = await count(query);
  const agreed = await ask({
    title: found.more ? t("dead-all-title-more", { count: found.total }) : t("dead-all-title", { count: found.total }),
    text: [t("dead-all-text")],
    action: t("dead-all-again"),
    more: [element("ul", { class: "counts" }, ...[...found.by].map(([id, number]) => element("li", {}, counted(name(id), number, found.more))))],
  });
  if (!agreed) return;
  let queued = 0;
  for (const id of found.by.keys()) queued += (await call("POST", `/v1/subscriptions/${id}/replay`, range(query, found))).queued;
  tell(t("dead-all-queued", { count: queued }));
  button.hidden = true;
  for (const row of document.querySelectorAll("table.dead tbody tr")) row.remove();
}

// Counts the dead letters that match the filters, by webhook.
async function count(query) {
  const search = new URLSearchParams(query);
  search.set("state", "failed");
  search.set("limit", "500");
  const found = { total: 0, by: new Map(), oldest: null, more: false };
  for (;;) {
    const page = await call("GET", `/v1/deliveries?${search}`);
    for (const delivery of page.items) {
      found.by.set(delivery.subscription, (found.by.get(delivery.subscription) ?? 0) + 1);
      found.oldest = delivery.created;
    }
    found.total += page.items.length;
    found.more = page.next !== null && found.total >= COUNTED;
    if (page.next === null || found.more) return found;
    search.set("cursor", page.next);
  }
}

// The body of a replay that covers what was counted.
function range(query, found) {
  const wanted = { only: "failed", since: query.get("since") ?? (found.more ? "1970-01-01T00:00:00Z" : found.oldest) };
  if (query.has("until")) wanted.until = query.get("until");
  if (query.has("event")) wanted.events = [query.get("event")];
  return wanted;
}

function name(id) {
  const option = [...document.getElementById("f-subscription").options].find((one) => one.value === id);
  return option?.textContent ?? id;
}

function counted(webhook, count, more) {
  return more ? t("dead-count-more", { webhook, count }) : t("dead-count", { webhook, count });
}
