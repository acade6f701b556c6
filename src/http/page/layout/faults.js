// Shows the API's errors, which are English, beside their fields: `errors: [{pointer, detail}]` (RFC 6901 pointers). Those that
// the page has found itself, in its language, are marked as `own`.

import { element } from "./dom.js";
import { t } from "./texts.js";

/**
 * Shows a refusal in `form`: each error at the field whose `data-pointer` begins its pointer, or where `spot` finds
 * a closer one; the rest in `problem`. Null clears all.
 */
export function showFaults(form, problem, refusal, spot = () => null) {
  for (const fault of form.querySelectorAll(".fault[id]")) fault.remove();
  for (const control of form.querySelectorAll("[aria-invalid]")) {
    control.removeAttribute("aria-invalid");
    const help = control.getAttribute("aria-describedby").split(" ").filter((id) => !id.startsWith("fault-"));
    if (help.length > 0) control.setAttribute("aria-describedby", help.join(" "));
    else control.removeAttribute("aria-describedby");
  }
  problem.hidden = true;
  if (!refusal) return;
  const left = refusal.errors.filter((error, index) => !beside(form, error, index, spot));
  if (left.length > 0 || refusal.errors.length === 0) {
    problem.replaceChildren(
      element("p", {}, refusal.errors.length === 0 ? refusal.message : t("not-saved")),
      ...left.map((error) => element("p", { lang: "en" }, `${error.pointer} ${error.detail}`)),
    );
    problem.hidden = false;
  }
  const first = form.querySelector("[aria-invalid]");
  (first ?? problem).scrollIntoView({ block: "center" });
  first?.focus();
}

function beside(form, error, index, spot) {
  const parts = error.pointer.split("/").slice(1).map((part) => part.replaceAll("~1", "/").replaceAll("~0", "~"));
  const field = form.querySelector(`[data-pointer="/${CSS.escape(parts[0] ?? "")}"]`);
  if (!field) return false;
  field.closest("details")?.setAttribute("open", "");
  const place = spot(parts) ?? field;
  const fault = element("p", { class: "fault", id: `fault-${index}`, lang: error.own ? null : "en" }, sentence(error.detail));
  place.append(fault);
  const control = place.querySelector("input, select, textarea");
  control?.setAttribute("aria-invalid", "true");
  control?.setAttribute("aria-describedby", `${control.getAttribute("aria-describedby") ?? ""} ${fault.id}`.trim());
  return true;
}

function sentence(detail) {
  return detail.charAt(0).toUpperCase() + detail.slice(1) + (/[.!?]$/.test(detail) ? "" : ".");
}
