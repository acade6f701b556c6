// Keeps the figures fresh while somebody looks at them: the view is asked for again, and its part put in place.

import { localTimes } from "../layout/time.js";

const EVERY = 5_000;

async function refresh() {
  if (document.hidden || document.getElementById("status").contains(document.activeElement)) return;
  try {
    const reply = await fetch(location.href);
    if (!reply.ok || reply.redirected) return;
    // Our own page, escaped by the server; a document that is parsed so runs no scripts.
    const fresh = new DOMParser().parseFromString(await reply.text(), "text/html").getElementById("status");
    if (!fresh) return;
    const place = document.importNode(fresh, true);
    localTimes(place);
    document.getElementById("status").replaceWith(place);
  } catch {
    // The next turn tries again.
  }
}

setInterval(refresh, EVERY);
