// Runs the page in a real browser: node tests/browser/run.mjs BINARY [only this file] [only tests with this in their name]
//
// Needs Chromium (Debian's, or $CHROMIUM), and playwright-core and axe-core where NODE_PATH says. Each file beside this
// one that ends in `.test.mjs` exports `tests`: names with functions of a `stage` (see stage.mjs), each run against a
// daemon of its own with an empty data directory. Screenshots go to src/http/page/docs/.

import { readdirSync } from "node:fs";
import { Stage, closeBrowser } from "./stage.mjs";

const [binary, only, part = ""] = process.argv.slice(2);
if (!binary) {
  console.error("usage: node tests/browser/run.mjs BINARY [FILE [PART OF A NAME]]");
  process.exit(2);
}

const files = readdirSync(import.meta.dirname).filter((name) => name.endsWith(".test.mjs") && (!only || name.startsWith(only)));
let [passed, failed] = [0, 0];
for (const file of files.sort()) {
  const { tests } = await import(`./${file}`);
  for (const [name, test] of Object.entries(tests)) {
    if (!name.includes(part)) continue;
    const begun = Date.now();
    const stage = await Stage.open(binary);
    try {
      await test(stage);
      stage.checkQuiet();
      passed += 1;
      console.log(`ok      ${file.replace(".test.mjs", "")}: ${name} (${Date.now() - begun} ms)`);
    } catch (error) {
      failed += 1;
      console.log(`FAILED  ${file.replace(".test.mjs", "")}: ${name}\n${error.stack}\n${await stage.said()}`);
    } finally {
      await stage.close();
    }
  }
}
await closeBrowser();
console.log(`${passed} passed, ${failed} failed`);
process.exit(failed > 0 || passed === 0 ? 1 : 0);
