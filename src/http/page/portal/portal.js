// Takes the link out of the address, posts it, and goes on to the view that it leads to.

import { isFramed, tell } from "../layout/embed.js";

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
    const detail = answer.detail ?? "This link cannot be used at present.";
    refuse("This link cannot be used", detail.charAt(0).toUpperCase() + detail.slice(1) + ".");
  }
}

if (link !== "") {
  enter().catch(() => refuse("The server cannot be reached", "Check the connection, then open the link again."));
} else if ("signedIn" in box.dataset) {
  location.replace("/webhooks");
} else {
  title.textContent = "Signed out";
  text.hidden = true;
  document.getElementById("portal-none").hidden = false;
  // The platform can make another link.
  tell({ type: "hookswitch:signed-out" });
}
