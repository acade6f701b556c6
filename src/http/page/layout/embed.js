// In a frame of the platform: tells it the height of the page, so that the frame needs no scroll bars of its own.

/** Whether another page shows this one in a frame. */
export const isFramed = window.parent !== window;

/** The origins that are told: those that may show the page, and of them the one that does, where the browser says. */
function listeners() {
  const listed = (document.body.dataset.frames ?? "").split(" ").filter((origin) => origin !== "");
  const shower = location.ancestorOrigins?.[0];
  return shower === undefined ? listed : listed.filter((origin) => origin === shower);
}

/** Sends a message to the page that shows this one. */
export function tell(message) {
  if (!isFramed) return;
  for (const origin of listeners()) window.parent.postMessage(message, origin);
}

/** Lays the page out for a frame, and reports its height now and whenever it changes. */
export function embedded() {
  if (!isFramed) return;
  document.documentElement.dataset.embedded = "";
  let last = 0;
  const report = () => {
    const height = Math.ceil(document.body.getBoundingClientRect().height);
    if (height === last) return;
    last = height;
    tell({ type: "hookswitch:height", height });
  };
  new ResizeObserver(report).observe(document.body);
  report();
}
