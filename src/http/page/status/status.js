// Refreshes the figures while the page is visible: fetches the view again and replaces its part.

import { localTimes } from "../layout/time.js";

const EVERY = 5_000;

async function refresh() {
  if (document.hidden || document.getElementById("status").contains(document.activeElement)) return;
  try {
    const reply = await fetch(location.href);
    if (!reply.ok || reply.redirected) return;
    // The server's own page, already escaped; a document parsed this way runs no scripts.
    const fresh = new DOMParser().parseFromString(await reply.text(), "text/html").getElementById("status");
    if (!fresh) return;
    const place = document.importNode(fresh, true);
    localTimes(place);
    document.getElementById("status").replaceWith(place);
  } catch {
    // Retried at the next interval.
  }
}

setInterval(refresh, EVERY);
