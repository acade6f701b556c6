// Tells a view when the log has grown, and the viewer when the connection is lost. Server-sent events while the page is
// visible; where they do not come through, a cheap request every few seconds.

import { element } from "./dom.js";
import { t } from "./texts.js";

// The server says something every second.
const SILENT = 1_500;
const CHECK = 250;
// A request that takes longer is as good as none.
const PATIENCE = 900;
const POLL = 2_500;
// How long to poll before streams are tried again.
const FALLBACK = 30_000;

let source = null;
let heard = 0;
let polled = 0;
let failedAt = -FALLBACK;
let probing = false;
let isLost = false;
let known;
const followers = [];

/** Calls `changed` when the log has grown beyond `newest`, the state that the page shows. */
export function follow(newest, changed) {
  known ??= newest;
  followers.push(changed);
  if (followers.length > 1) return;
  document.addEventListener("visibilitychange", look);
  addEventListener("pagehide", close);
  setInterval(look, CHECK);
  look();
}

/** Whether the connection is lost, as the viewer is told. */
export function lost(is) {
  if (is === isLost) return;
  isLost = is;
  document.getElementById("lost")?.remove();
  if (is) document.body.append(element("p", { id: "lost", class: "lost", role: "alert" }, t("connection-lost")));
}

function look() {
  const now = performance.now();
  if (document.hidden) return close();
  if (source) {
    if (now - heard > SILENT) probe();
  } else if (now - failedAt >= FALLBACK) {
    open();
  } else if (isLost || now - polled > POLL) {
    probe();
  }
}

function open() {
  heard = performance.now();
  source = new EventSource("/live");
  source.addEventListener("beat", alive);
  source.addEventListener("log", (event) => {
    alive();
    grown(event.data);
  });
  source.addEventListener("error", () => {
    failedAt = performance.now();
    close();
    probe();
  });
}

function close() {
  source?.close();
  source = null;
}

function alive() {
  heard = performance.now();
  lost(false);
}

function grown(newest) {
  if (newest === known) return;
  known = newest;
  for (const changed of followers) changed();
}

// Whether the server can be reached at all, and if so what it would have told.
async function probe() {
  if (probing) return;
  probing = true;
  try {
    const reply = await fetch("/logs/newest", { headers: { Accept: "application/json" }, signal: AbortSignal.timeout(PATIENCE) });
    if (reply.redirected) return location.reload();
    polled = performance.now();
    // The connection is back: its stream may be, too.
    if (isLost) failedAt = -FALLBACK;
    lost(false);
    if (reply.ok) grown((await reply.json()).newest);
    if (source && performance.now() - heard > SILENT) {
      failedAt = performance.now();
      close();
    }
  } catch {
    lost(true);
    close();
  } finally {
    probing = false;
  }
}
