// Takes the link out of the address, posts it, and goes on to the view that it leads to.

import { isFramed, tell } from "../layout/embed.js";
import { t } from "../layout/texts.js";

const link = location.hash.slice(1);
// First of all: neither the history nor anything that runs later sees it.
history.replaceState(null, "", location.pathname);

const box = document.getElementById("portal");
const title = document.getElementById("portal-title");
const text = document.getElementById("portal-text");

function refuse(heading, detail) {
  title.textContent = heading;
  text.textContent = detail;
  text.setAttribute("role", "alert");
  text.classList.add("notice", "bad");
}

async function enter() {
  const reply = await fetch("/portal", {
    method: "POST",
    headers: {
      "content-type": "application/json",
      "x-hookswitch-page": "1",
      "x-hookswitch-framed": isFramed ? "1" : "0",
    },
    body: JSON.stringify({ link }),
  });
  const answer = await reply.json();
  if (reply.ok) {
    location.replace(answer.then);
  } else {
    refuse(t("portal-refused"), answer.detail ?? t("portal-refused-now"));
  }
}

if (link !== "") {
  enter().catch(() => refuse(t("portal-unreachable"), t("portal-unreachable-advice")));
} else if ("signedIn" in box.dataset) {
  location.replace("/webhooks");
} else {
  title.textContent = t("portal-signed-out");
  text.hidden = true;
  document.getElementById("portal-none").hidden = false;
  // The platform can make another link.
  tell({ type: "hookswitch:signed-out" });
}
