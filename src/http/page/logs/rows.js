// Rows of the log that open in place.

import { element } from "../layout/dom.js";
import { t } from "../layout/texts.js";
import { localTimes } from "../layout/time.js";

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

/** Makes the rows of the page open, later ones included. */
export function startRows() {
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
