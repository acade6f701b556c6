// The filter as rows of conditions (member, is, value) and as an expression; each follows the other, as far as rows can
// say it.

import { element } from "../layout/dom.js";
import { t } from "../layout/texts.js";

const number = /^-?\d{1,15}(\.\d{1,9})?$/;
const member = "((?:data(?:\\.[A-Za-z_][A-Za-z0-9_]*)+)|type|domain|source|company)";
const literal = '("(?:[^"\\\\]|\\\\["\\\\nt/])*"|-?\\d+(?:\\.\\d+)?)';

// Each: the words, how it is written, and how it is read.
const KINDS = {
  is: { title: () => t("filter-is"), write: (name, value) => `${name} == ${quoted(value)}`, read: new RegExp(`^${member} == ${literal}$`) },
  not: { title: () => t("filter-not"), write: (name, value) => `${name} != ${quoted(value)}`, read: new RegExp(`^${member} != ${literal}$`) },
  more: { title: () => t("filter-more-than"), write: (name, value) => `${name}|float > ${value}`, read: new RegExp(`^${member}\\|float > ${literal}$`) },
  less: { title: () => t("filter-less-than"), write: (name, value) => `${name}|float < ${value}`, read: new RegExp(`^${member}\\|float < ${literal}$`) },
  holds: { title: () => t("filter-holds"), write: (name, value) => `${JSON.stringify(value)} in ${name}|string`, read: new RegExp(`^${literal} in ${member}\\|string$`), turned: true },
  there: { title: () => t("filter-there"), write: (name) => name, read: new RegExp(`^${member}$`) },
};

function quoted(value) {
  return number.test(value) ? value : JSON.stringify(value);
}

/** The expression. */
export function conditions(form) {
  return form.elements.filter.value.trim();
}

/** What rows say of an expression; null if it is more. */
export function read(text) {
  if (text === "") return [];
  const rows = [];
  for (const part of split(text)) {
    const found = Object.entries(KINDS).find(([, kind]) => kind.read.test(part));
    if (!found) return null;
    const [kind, { read, turned }] = found;
    const [, first, second] = read.exec(part);
    const [name, value] = turned ? [second, first] : [first, second];
    rows.push({ name, kind, value: value === undefined ? "" : value.startsWith('"') ? JSON.parse(value) : value });
  }
  return rows;
}

/** The parts between ` and `, which may stand in a text, too. */
function split(text) {
  const parts = [];
  let begin = 0;
  let inside = false;
  for (let at = 0; at < text.length; at++) {
    if (text[at] === "\\" && inside) at++;
    else if (text[at] === '"') inside = !inside;
    else if (!inside && text.startsWith(" and ", at)) {
      parts.push(text.slice(begin, at));
      begin = at + 5;
    }
  }
  parts.push(text.slice(begin));
  return parts.map((part) => part.trim());
}

/** Makes rows and text follow each other. */
export function startFilter(form) {
  const { filter } = form.elements;
  const list = document.getElementById("filter-rows");
  const more = document.getElementById("filter-more");
  const add = document.getElementById("filter-add");

  const write = () => {
    const said = [...list.children].map((row) => {
      const [name, kind, value] = ["name", "kind", "value"].map((one) => row.querySelector(`[data-part=${one}]`));
      value.hidden = kind.value === "there";
      return name.value.trim() === "" ? null : KINDS[kind.value].write(name.value.trim(), value.value.trim());
    });
    filter.value = said.filter((one) => one !== null).join(" and ");
    form.dispatchEvent(new Event("input", { bubbles: true }));
  };

  const row = ({ name, kind, value }, index) => {
    const number = index + 1;
    const choice = element("select", { "data-part": "kind", "aria-label": t("filter-comparison-of", { number }) }, ...Object.entries(KINDS).map(([word, { title }]) => element("option", { value: word, selected: word === kind }, title())));
    const remove = element("button", { type: "button", class: "quiet" }, t("remove"), element("span", { class: "hidden" }, ` ${t("filter-condition", { number })}`));
    const made = element(
      "li",
      {},
      element("input", { "data-part": "name", "aria-label": t("filter-member-of", { number }), list: "filter-members", value: name, placeholder: "data.department", spellcheck: "false", autocomplete: "off" }),
      choice,
      element("input", { "data-part": "value", "aria-label": t("filter-value-of", { number }), value, hidden: kind === "there", autocomplete: "off" }),
      remove,
    );
    remove.addEventListener("click", () => {
      made.remove();
      write();
      add.focus();
    });
    for (const input of made.querySelectorAll("[data-part]")) {
      input.addEventListener(input.localName === "select" ? "change" : "input", (event) => {
        event.stopPropagation();
        write();
      });
    }
    return made;
  };

  const show = () => {
    const rows = read(filter.value.trim());
    more.hidden = rows !== null;
    add.hidden = rows === null;
    list.replaceChildren(...(rows ?? []).map(row));
  };
  filter.addEventListener("input", show);
  add.addEventListener("click", () => {
    list.append(row({ name: "", kind: "is", value: "" }, list.children.length));
    list.lastElementChild.querySelector("input").focus();
  });
  show();
}
