// Parses form bodies with npm `qs` and compares the structures with those that are wanted.
// Usage: parse-forms.mjs NODE_PREFIX < lines of {"body": ..., "wanted": ...}
//
// A wanted structure is a text, {"list": {index: …}} or {"object": {name: …}}.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";

const qs = createRequire(`${process.argv[2]}/`)("qs");
// qs guards its callers with limits; receivers raise them for what they expect.
const options = { depth: 64, strictDepth: true, arrayLimit: 1000, parameterLimit: 100000, allowPrototypes: true, allowSparse: true };

function structure(value) {
  if (typeof value === "string") return value;
  const members = Object.fromEntries(Object.entries(value).map(([name, member]) => [name, structure(member)]));
  return Array.isArray(value) ? { list: members } : { object: members };
}

const lines = readFileSync(0, "utf8").split("\n").filter(Boolean);
assert.ok(lines.length > 0, "no form bodies to check");
for (const line of lines) {
  const { body, wanted } = JSON.parse(line);
  assert.deepEqual(structure(qs.parse(body, options)), wanted, `as qs reads ${body}`);
}
console.log(`${lines.length} form bodies parsed by qs`);
