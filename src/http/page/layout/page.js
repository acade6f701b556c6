// Common to all views: times in the viewer's zone, copying, shortcuts, and the choices of a company and a language.

import { localTimes } from "./time.js";
import { copying } from "./copy.js";
import { embedded } from "./embed.js";
import { startShortcuts } from "./shortcuts.js";

localTimes(document);
copying(document);
embedded();
startShortcuts();

const company = document.getElementById("company-switch");
company?.addEventListener("change", () => company.form.requestSubmit());
const language = document.getElementById("language");
language?.addEventListener("change", () => language.form.requestSubmit());

// In a narrow window the navigation overflows: scroll the current section to the middle.
const section = document.querySelector(".side nav [aria-current]");
if (section) {
  const nav = section.closest("nav");
  const [at, around] = [section, nav].map((element) => element.getBoundingClientRect());
  nav.scrollLeft += at.left + at.width / 2 - around.left - around.width / 2;
}
