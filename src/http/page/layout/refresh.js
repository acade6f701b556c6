// Parts of a view that are read again when the log has grown, at most every few seconds.

import { follow, lost } from "./live.js";
import { localTimes } from "./time.js";

const EVERY = 4_000;

/**
 * Keeps the elements with these ids up to date, except while the viewer works within one. With `always`, in ms, also when
 * nothing was logged for so long.
 */
export function startRefresh(newest, ids, always = 0) {
  let last = performance.now();
  let due = false;
  const step = async () => {
    const now = performance.now();
    const isTime = due ? now - last >= EVERY : always > 0 && now - last >= always;
    const busy = ids.some((id) => document.getElementById(id)?.contains(document.activeElement));
    if (!isTime || busy || document.hidden) return;
    last = now;
    due = false;
    try {
      await refresh(ids);
      lost(false);
    } catch {
      due = true;
    }
  };
  follow(newest, () => {
    due = true;
    step();
  });
  setInterval(step, 1_000);
}

async function refresh(ids) {
  const reply = await fetch(location.href);
  if (reply.redirected) return location.reload();
  if (!reply.ok) return;
  // The server's own page, already escaped; a document parsed this way runs no scripts.
  const fresh = new DOMParser().parseFromString(await reply.text(), "text/html");
  for (const id of ids) {
    const found = fresh.getElementById(id);
    if (!found) continue;
    const part = document.importNode(found, true);
    localTimes(part);
    document.getElementById(id)?.replaceWith(part);
  }
}
