// The page's texts in its language: those that the view's scripts use, as the server has put them into the page.
// src/texts/scripts.rs says how a message is written there.

const { lang } = document.documentElement;
const all = JSON.parse(document.getElementById("texts").textContent);

/** For dates and numbers: the viewer's own variant of the page's language, such as Austrian German. */
export const locale = navigator.languages.find((one) => one.split("-")[0] === lang) ?? lang;

const plurals = new Intl.PluralRules(lang);
const numbers = new Intl.NumberFormat(locale);

/** Whether the page speaks the language of the API's messages. */
export const isEnglish = lang === "en";

/** The text of `key`; numbers among `values` choose plurals and are shown as the viewer writes them. */
export function t(key, values = {}) {
  return written(all[key], values);
}

/** What a word of the API is called: the text of `prefix-word`; `other` if it has none. */
export function word(prefix, name, other = name.replaceAll("_", " ")) {
  const key = `${prefix}-${name.toLowerCase().replaceAll(/[^a-z0-9]/g, "-")}`;
  return key in all ? t(key) : other;
}

function written(message, values) {
  if (typeof message === "string") return message;
  const part = (one) => {
    if (typeof one === "string") return one;
    if ("v" in one) return shown(values[one.v]);
    return written(one.in[chosen(values[one.s])] ?? one.in[one.or], values);
  };
  return message.map(part).join("");
}

function chosen(value) {
  return typeof value === "number" ? plurals.select(value) : value;
}

function shown(value) {
  return typeof value === "number" ? numbers.format(value) : value;
}
