// Live updates of the log: while the page is visible, a cheap request asks whether there is anything new, and only then the
// list is read again. New rows are added above the existing ones, so that open rows stay open and in place.

import { element, say } from "../layout/dom.js";
import { startFilters } from "../layout/filters.js";
import { t } from "../layout/texts.js";
import { localTimes } from "../layout/time.js";
import { startAgain } from "./again.js";

const EVERY = 2_500;
const MOST_ROWS = 300;

const place = () => document.getElementById("log");
const live = document.getElementById("live");
let newest = place().dataset.newest;
let asking = false;

async function look() {
  if (asking || document.hidden || !live?.checked) return;
  asking = true;
  try {
    const reply = await fetch("/logs/newest", { headers: { Accept: "application/json" } });
    if (!reply.ok || reply.redirected) return;
    const found = (await reply.json()).newest;
    if (found === newest) return;
    await refresh();
    newest = found;
  } catch {
    // Retried at the next interval.
  } finally {
    asking = false;
  }
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

// A row expands in place; its link leads to the same content on its own page.
async function toggle(link) {
  const row = link.closest("tr");
  const opened = row.nextElementSibling;
  if (opened?.classList.contains("opened")) {
    opened.remove();
    link.setAttribute("aria-expanded", "false");
    return;
  }
  const cell = element("td", { colspan: row.children.length }, element("p", { class: "faint", role: "status" }, t("logs-loading")));
  row.after(element("tr", { class: "opened" }, cell));
  link.setAttribute("aria-expanded", "true");
  try {
    const reply = await fetch(link.href);
    const found = new DOMParser().parseFromString(await reply.text(), "text/html").querySelector("article.entry");
    if (reply.redirected || !found) return location.assign(link.href);
    const article = document.importNode(found, true);
    localTimes(article);
    cell.replaceChildren(article);
  } catch {
    cell.replaceChildren(element("p", { class: "notice bad" }, t("logs-not-loaded")));
  }
}

function startRows() {
  document.addEventListener("click", (event) => {
    if (event.metaKey || event.ctrlKey || event.shiftKey) return;
    const row = event.target.closest(".log > tbody > tr:not(.opened)");
    const link = row?.querySelector("a.opens");
    if (!link || (event.target.closest("a, button") && event.target.closest("a, button") !== link)) return;
    if (String(getSelection()) !== "") return;
    event.preventDefault();
    toggle(link);
  });
}

startFilters(document.querySelector(".filters form"));
startRows();
startAgain(document);
if (live) {
  setInterval(look, EVERY);
  document.addEventListener("visibilitychange", look);
  live.addEventListener("change", look);
}
