// Domains: a hint where a name never posted an event, and copying a webhook to others.

import { call } from "../layout/api.js";
import { busy, say } from "../layout/dom.js";

/** Says below `input` that no event of the domain in it was posted yet, if the page knows of others. */
function hint(input) {
  const known = [...(input.list?.options ?? [])].map((option) => option.value);
  const note = document.getElementById(`${input.id}-unseen`);
  if (!note || known.length === 0) return;
  const look = () => {
    const name = input.value.trim();
    note.hidden = name === "" || known.includes(name);
  };
  input.addEventListener("input", look);
  look();
}

/** Makes the hints and the form for copies work. */
export function startDomains() {
  for (const input of document.querySelectorAll("input[list=domains]")) hint(input);
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
        problem.textContent = "Choose a domain, or enter one.";
        return;
      }
      try {
        const { items, unseen } = await call("POST", `/v1/subscriptions/${place.dataset.id}/copy`, { domains });
        const told = document.getElementById("copied");
        const doubt = unseen.length === 0 ? "" : ` No event was posted for ${unseen.join(", ")} yet: check the spelling.`;
        told.textContent = `Copied to ${items.map((one) => one.domain).join(", ")}.${doubt}`;
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
