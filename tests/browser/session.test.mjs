// Signing in and out, the company switcher, keys, status.

import assert from "node:assert/strict";

export const tests = {
  async "signing in leads to the requested view, signing out ends the session in every tab"(stage) {
    const page = await stage.page({ token: null, at: "/status" });
    await page.getByRole("heading", { name: "Sign in" }).waitFor();
    await page.getByLabel("Token").fill("hsk_wrong");
    await page.getByRole("button", { name: "Sign in" }).click();
    await page.getByRole("alert").getByText("not known").waitFor();
    await stage.checkAccessible(page, "a refused sign-in");
    await stage.signIn(page, stage.token);
    await page.getByRole("heading", { name: "Status" }).waitFor();
    assert.equal(new URL(page.url()).pathname, "/status");
    const [cookie] = await page.context().cookies();
    assert.deepEqual([cookie.httpOnly, cookie.sameSite, cookie.value.includes(stage.token)], [true, "Strict", false]);
    const second = await page.context().newPage();
    await second.goto(`${stage.url}/webhooks/new`);
    await page.getByRole("button", { name: "Sign out" }).click();
    await page.waitForURL("**/sign-in");
    // A view left open is redirected to the sign-in by its first request, and back.
    await second.getByRole("button", { name: "Test" }).click();
    await second.waitForURL("**/sign-in?then=%2Fwebhooks%2Fnew");
    assert.ok(!stage.output.split("\n").slice(2).join("\n").includes("hsk_"));
    stage.expectNoise(/status of 40[13]/);
  },

  async "a revoked token ends its sessions"(stage) {
    const { id, token } = await stage.api("POST", "/v1/tokens", { role: "admin", company: "acme" });
    const page = await stage.page({ token, at: "/keys" });
    await page.getByRole("heading", { name: "Keys" }).waitFor();
    await stage.api("DELETE", `/v1/tokens/${id}`);
    await page.reload();
    await page.getByRole("heading", { name: "Sign in" }).waitFor();
  },

  async "tokens are created, shown once and revoked"(stage) {
    const page = await stage.page({ at: "/keys" });
    await page.getByLabel("Description").fill("phone platform");
    await page.getByLabel("Expires after").fill("soon");
    await page.getByRole("button", { name: "Create token" }).click();
    await page.locator('[data-pointer="/expires_in"] .fault').waitFor();
    stage.expectNoise(/status of 422/);
    await page.getByLabel("Expires after").fill("90d");
    await page.getByRole("button", { name: "Create token" }).click();
    const text = await page.locator("#made-token").textContent();
    assert.match(text, /^hsk_/);
    await stage.checkAccessible(page, "a token that was made");
    await page.getByRole("link", { name: "Done, show the list" }).click();
    const row = page.getByRole("row").filter({ hasText: "phone platform" });
    await row.waitFor();
    assert.ok(!(await page.content()).includes(text));
    await row.getByRole("button", { name: "Revoke" }).click();
    await page.getByRole("dialog").getByRole("button", { name: "Revoke" }).click();
    await row.waitFor({ state: "detached" });
    // Another browser, signed in and out from here.
    const other = await stage.page({ at: "/keys" });
    await page.reload();
    await page.getByRole("button", { name: /^End/ }).click();
    await page.getByRole("button", { name: /^End/ }).waitFor({ state: "detached" });
    await other.reload();
    await other.getByRole("heading", { name: "Sign in" }).waitFor();
    assert.equal((await stage.api("GET", "/v1/tokens")).items.length, 1);
  },

  async "the chosen company stays chosen"(stage) {
    await stage.subscribe("http://127.0.0.1:1/acme");
    await stage.subscribe("http://127.0.0.1:1/globex", { company: "globex & co" });
    const page = await stage.page();
    assert.equal(await page.locator("tbody tr").count(), 2);
    await page.getByLabel("Company").selectOption("globex & co");
    await page.waitForURL("**/webhooks?company=globex+%26+co");
    assert.equal(await page.locator("tbody tr").count(), 1);
    await page.getByRole("link", { name: "Status" }).click();
    await page.waitForURL("**/status?company=globex+%26+co");
    assert.equal(await page.locator("tbody tr").count(), 1);
    await page.getByRole("link", { name: "Webhooks", exact: true }).click();
    await page.getByRole("link", { name: "New webhook" }).click();
    assert.equal(await page.locator("#company").inputValue(), "globex & co");
  },

  async "in a narrow window the current section is in view"(stage) {
    const page = await stage.page({ width: 360, height: 740, at: "/status" });
    for (const name of ["Status", "Keys", "Report", "Webhooks"]) {
      await page.getByRole("link", { name, exact: true }).click();
      await page.locator("html[data-ready]").waitFor();
      const [left, right] = await page.getByRole("navigation", { name: "Sections" }).locator("[aria-current]").evaluate((link) => {
        const { left, right } = link.getBoundingClientRect();
        return [left, right];
      });
      assert.ok(left >= 0 && right <= 360, `${name} goes from ${left} to ${right}`);
    }
  },

  async "times are the viewer's, with UTC on hover"(stage) {
    const made = await stage.subscribe("http://127.0.0.1:1/");
    const page = await stage.page({ at: `/webhooks/${made.id}` });
    const time = page.locator("time").last();
    const at = made.created_at;
    assert.equal(await time.getAttribute("title"), `${at.slice(0, 10)} ${at.slice(11, 19)} UTC`);
    const wanted = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short", hour: "numeric", minute: "2-digit", second: "2-digit", timeZone: "Europe/Berlin" }).format(new Date(at));
    assert.equal(await time.textContent(), wanted);
  },

  async "the first load of the list is small, and the second comes from the browser's cache"(stage) {
    for (let number = 0; number < 20; number++) await stage.subscribe(`http://127.0.0.1:1/${number}`);
    const page = await stage.page();
    const weigh = async (load) => {
      let bytes = 0;
      const session = await page.context().newCDPSession(page);
      await session.send("Network.enable");
      session.on("Network.loadingFinished", (event) => (bytes += event.encodedDataLength));
      await load();
      await page.waitForLoadState("networkidle");
      return bytes;
    };
    const session = await page.context().newCDPSession(page);
    await session.send("Network.clearBrowserCache");
    const first = await weigh(() => page.goto(`${stage.url}/webhooks`));
    assert.ok(first > 1_000 && first < 100 * 1024, `${first} bytes`);
    const second = await weigh(() => page.goto(`${stage.url}/webhooks`));
    assert.ok(second < first / 2, `${second} bytes after ${first}`);
    console.log(`        first paint of 20 webhooks: ${first} bytes on the wire, then ${second}`);
  },

  async "keys, status and the sign-in are accessible in both themes at both widths"(stage) {
    await stage.api("POST", "/v1/tokens", { role: "ingest", description: "phone platform", expires_in: "90d" });
    await stage.subscribe("http://127.0.0.1:1/hook");
    await stage.look("keys", "/keys");
    await stage.look("status", "/status");
    for (const scheme of ["light", "dark"]) {
      for (const width of [1440, 360]) {
        const page = await stage.page({ token: null, width, scheme });
        await stage.checkAccessible(page, `the sign-in (${width} px, ${scheme})`);
      }
    }
  },
};
