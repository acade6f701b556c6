// The handbook: reached from the page, readable by everybody, at every width and in both themes.

import assert from "node:assert/strict";

export const tests = {
  async "help leads to the handbook, which needs no session"(stage) {
    const page = await stage.page();
    await page.getByRole("link", { name: "Help" }).click();
    await page.getByRole("heading", { name: "The Hookswitch handbook" }).waitFor();
    const paths = await page.locator(".handbook-head nav a").evaluateAll((links) => links.map((link) => link.getAttribute("href")));
    assert.ok(paths.includes("/docs/operate"), paths.join(" "));
    for (const [width, scheme] of [[1440, "dark"], [360, "light"]]) {
      const stranger = await stage.page({ width, scheme, token: null, at: "/docs" });
      for (const path of paths) {
        await stranger.goto(stage.url + path);
        await stage.checkAccessible(stranger, `${path} (${width} px, ${scheme})`);
      }
    }
  },

  async "a link into a chapter shows its section"(stage) {
    const page = await stage.page({ token: null, at: "/docs/troubleshoot" });
    await page.getByRole("link", { name: "restore a backup" }).click();
    await page.waitForURL("**/docs/operate#backup-restore-verify");
    const top = await page.locator("#backup-restore-verify").evaluate((heading) => heading.getBoundingClientRect().top);
    assert.ok(top >= 0 && top < 900, `the heading is at ${top}`);
  },
};
