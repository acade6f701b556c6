// Parses form bodies with npm `qs` and Express's body-parser, both with their defaults, and compares the structures.
// Usage: parse-forms.mjs NODE_PREFIX < lines of {"body": ..., "wanted": ...}
//
// A wanted structure is a string or an object of structures; a list is an object by index.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { Readable } from "node:stream";

const require = createRequire(`${process.argv[2]}/`);
const qs = require("qs");
// The one limit that is not a parser's own default: bodies of 100 kB and more must be allowed by whoever takes them.
const express = require("body-parser").urlencoded({ extended: true, limit: "8mb" });

function structure(value) {
  if (typeof value === "string") return value;
  return Object.fromEntries(Object.entries(value).map(([name, member]) => [name, structure(member)]));
}

function posted(body) {
  const request = Readable.from([Buffer.from(body)]);
  request.headers = { "content-type": "application/x-www-form-urlencoded", "content-length": String(body.length) };
  return new Promise((resolve, reject) => {
    express(request, {}, (error) => (error ? reject(error) : resolve(request.body)));
  });
}

const lines = readFileSync(0, "utf8").split("\n").filter(Boolean);
assert.ok(lines.length > 0, "no form bodies to check");
for (const line of lines) {
  const { body, wanted } = JSON.parse(line);
  const shown = body.slice(0, 300);
  assert.deepEqual(structure(qs.parse(body)), wanted, `as qs reads ${shown}`);
  assert.deepEqual(structure(await posted(body)), wanted, `as Express reads ${shown}`);
}
console.log(`${lines.length} form bodies parsed by qs and by Express`);
