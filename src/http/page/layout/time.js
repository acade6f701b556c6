// Converts the server's UTC times to the viewer's zone; UTC stays on hover.

import { locale } from "./texts.js";

const clock = { hour: "numeric", minute: "2-digit", second: "2-digit" };
const format = new Intl.DateTimeFormat(locale, { dateStyle: "medium", timeStyle: "medium" });
// Lists are read sooner without what goes without saying.
const inThisYear = new Intl.DateTimeFormat(locale, { day: "numeric", month: "short", ...clock });
const thisYear = new Date().getFullYear();

function shown(at) {
  return (at.getFullYear() === thisYear ? inThisYear : format).format(at);
}

/** Converts every <time> below `root` to the viewer's zone. */
export function localTimes(root) {
  for (const time of root.querySelectorAll("time[datetime]:not([title])")) {
    const at = new Date(time.dateTime);
    if (Number.isNaN(at.getTime())) continue;
    time.title = time.textContent;
    time.textContent = shown(at);
  }
}

/** A <time> element for a time of the API. */
export function timeElement(text) {
  const time = document.createElement("time");
  const at = new Date(text);
  time.dateTime = text;
  time.textContent = Number.isNaN(at.getTime()) ? text : shown(at);
  time.title = `${text.slice(0, 10)} ${text.slice(11, 19)} UTC`;
  return time;
}
