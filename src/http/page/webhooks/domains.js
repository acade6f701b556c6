// Companies and domains: a hint where a name never posted an event, and copying a webhook to other domains.

import { call } from "../layout/api.js";
import { busy, element, say } from "../layout/dom.js";
import { t } from "../layout/texts.js";

/** Says below `input` that no event of the name in it was posted yet, if the page knows of others. */
function hint(input) {
  const note = document.getElementById(`${input.id}-unseen`);
  if (!note) return;
  const look = () => {
    const known = [...(input.list?.options ?? [])].map((option) => option.value);
    const name = input.value.trim();
    note.hidden = name === "" || known.length === 0 || known.includes(name);
  };
  input.addEventListener("input", look);
  look();
}

/** Offers the domains that the chosen company has posted events for. */
async function offer(company) {
  const list = document.getElementById("domains");
  const name = company.value.trim();
  if (!list || name === "" || (company.list && ![...company.list.options].some((option) => option.value === name))) return;
  try {
    const { buckets } = await call("GET", `/v1/report/calls?${new URLSearchParams({ by: "domain", company: name })}`);
    const names = buckets.map((one) => one.bucket).filter((one) => one !== null);
    list.replaceChildren(...names.map((value) => element("option", { value })));
    for (const input of document.querySelectorAll("input[list=domains]")) input.dispatchEvent(new Event("input"));
  } catch {
    // Names can be typed as well.
  }
}

/** Makes the hints and the form for copies work. */
export function startDomains() {
  const company = document.getElementById("company");
  if (company && !company.readOnly) company.addEventListener("change", () => offer(company));
  for (const input of document.querySelectorAll("input[list=domains], input[list=companies]")) hint(input);
  const place = document.getElementById("copies");
  const button = document.getElementById("copy-to-domains");
  const problem = document.getElementById("copy-problem");
  button?.addEventListener("click", () =>
    busy(button, async () => {
      problem.textContent = "";
      const typed = document.getElementById("copy-other").value.split(/[\s,]+/).filter((name) => name !== "");
      const ticked = [...place.querySelectorAll("input[type=checkbox]:checked")].map((box) => box.value);
      const domains = [...new Set([...ticked, ...typed])];
      if (domains.length === 0) {
        problem.textContent = t("copies-none");
        return;
      }
      try {
        const { items, unseen } = await call("POST", `/v1/subscriptions/${place.dataset.id}/copy`, { domains });
        const told = document.getElementById("copied");
        const doubt = unseen.length === 0 ? "" : ` ${t("copies-unseen", { domains: unseen.join(", ") })}`;
        told.textContent = t("copies-done", { domains: items.map((one) => one.domain).join(", ") }) + doubt;
        told.classList.toggle("warn", unseen.length > 0);
        told.hidden = false;
        say(told.textContent);
        for (const box of place.querySelectorAll("input[type=checkbox]:checked")) box.closest("label").remove();
        document.getElementById("copy-other").value = "";
      } catch (refusal) {
        problem.textContent = refusal.message;
      }
    }),
  );
}
