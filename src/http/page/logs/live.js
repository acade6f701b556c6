// Live updates of a list of attempts. New rows are added above the existing ones, so that open rows stay open and in place;
// while the viewer reads further below, they are only counted.

import { element, say } from "../layout/dom.js";
import { follow } from "../layout/live.js";
import { t } from "../layout/texts.js";
import { localTimes } from "../layout/time.js";

const MOST_ROWS = 300;

const place = () => document.getElementById("log");
const live = document.getElementById("live");
let reading = false;
let again = false;
let waiting = false;

/** Keeps the list of the page up to date, unless it is an older part of the log. */
export function startLive() {
  if (!live) return;
  follow(place().dataset.newest, changed);
  live.addEventListener("change", () => waiting && changed());
  addEventListener("scroll", () => waiting && !isBelow() && changed(), { passive: true });
}

async function changed() {
  waiting = true;
  if (!live.checked) return;
  if (reading) return void (again = true);
  reading = true;
  try {
    do {
      again = false;
      await refresh();
    } while (again);
  } catch {
    // Read again with the next entry, or when the connection is back.
  } finally {
    reading = false;
  }
}

/** Whether the newest rows are out of sight. */
function isBelow() {
  return place().getBoundingClientRect().top < 0;
}

async function refresh() {
  const reply = await fetch(location.href);
  if (!reply.ok || reply.redirected) return;
  // The server's own page, already escaped; a document parsed this way runs no scripts.
  const fresh = new DOMParser().parseFromString(await reply.text(), "text/html").getElementById("log");
  if (!fresh) return;
  const body = place().querySelector("tbody");
  const rows = [...fresh.querySelectorAll(".log > tbody > tr")].map((row) => document.importNode(row, true));
  const added = rows.filter((row) => !document.getElementById(row.id));
  if (body && added.length > 0 && isBelow()) return announce(added.length, added.length === rows.length);
  waiting = false;
  document.getElementById("new-rows")?.remove();
  if (!body) {
    const whole = document.importNode(fresh, true);
    localTimes(whole);
    place().replaceWith(whole);
  } else {
    // If none of them is known, there is a gap in between: replace all rows.
    if (added.length === rows.length && rows.length > 0) body.replaceChildren();
    for (const row of added.toReversed()) {
      localTimes(row);
      row.classList.add("fresh");
      body.prepend(row);
    }
    while (body.children.length > MOST_ROWS) body.lastElementChild.remove();
  }
  if (added.length > 0) say(t("logs-new-entries", { count: added.length }));
}

// 'n new' above the rows that are read: nothing moves under the viewer's eyes.
function announce(count, andMore) {
  const words = andMore ? t("logs-new-or-more", { count }) : t("logs-new", { count });
  const shown = document.getElementById("new-rows");
  if (shown) return void (shown.textContent = words);
  const top = () => place().scrollIntoView({ block: "start" });
  document.body.append(element("button", { id: "new-rows", type: "button", class: "primary new-rows", on: { click: top } }, words));
}
