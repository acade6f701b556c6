// A URL without its scheme, or with http://, is offered as https://.

import { t } from "../layout/texts.js";

// Names and addresses that are reached without encryption for good reasons: this machine, and addresses of private networks.
const NEAR = /^(localhost|127\.|10\.|192\.168\.|172\.(1[6-9]|2\d|3[01])\.|\[)/;

/** The URL to offer instead of `typed`; null if it is fine, or cannot be guessed. */
export function offered(typed) {
  const text = typed.trim();
  const scheme = /^([a-z][a-z0-9+.-]*):\/\//i.exec(text)?.[1].toLowerCase();
  const rest = scheme === undefined ? text : text.slice(scheme.length + 3);
  if (scheme !== undefined && scheme !== "http") return null;
  if (NEAR.test(rest) && scheme === "http") return null;
  const url = `${NEAR.test(rest) ? "http" : "https"}://${rest}`;
  const isHost = /^([^\s/?#@]+\.[^\s/?#@.]{2,}|localhost|[\d.]+|\[[0-9a-f:]+\])(:\d+)?([/?#]|$)/i.test(rest);
  return isHost && URL.canParse(url) ? url : null;
}

/** Makes the offer below the field. */
export function startUrl(form) {
  const input = form.elements.url;
  const offer = document.getElementById("url-offer");
  const use = offer.querySelector("button");
  const show = () => {
    const url = offered(input.value);
    offer.hidden = url === null;
    if (url === null) return;
    const hasScheme = /^http:/i.test(input.value.trim());
    offer.querySelector("span").textContent = hasScheme ? t("url-not-encrypted") : t("url-no-scheme", { url });
    use.dataset.url = url;
  };
  input.addEventListener("change", show);
  input.addEventListener("input", () => offer.hidden || show());
  use.addEventListener("click", () => {
    input.value = use.dataset.url;
    offer.hidden = true;
    input.focus();
    form.dispatchEvent(new Event("input", { bubbles: true }));
  });
}
