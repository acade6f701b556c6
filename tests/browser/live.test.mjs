// Live views: new rows at once, nothing moves while somebody reads, a lost connection is said, and no stream outlives its
// session or holds up a stop.

import assert from "node:assert/strict";

const rows = (page) => page.locator(".log > tbody > tr:not(.opened)");

async function logged(stage, count) {
  await stage.until(`${count} entries`, async () => (await stage.api("GET", "/v1/log?limit=500")).entries.length >= count);
}

/** Opens a view and waits until it is told of the log by a stream. */
async function streaming(stage, options) {
  const page = await stage.page({ ...options, at: "/keys" });
  const answered = page.waitForResponse((response) => new URL(response.url()).pathname === "/live");
  await page.goto(stage.url + (options.at ?? "/logs"));
  const response = await answered;
  assert.match(response.headers()["content-type"], /^text\/event-stream/);
  return page;
}

export const tests = {
  async "new rows are counted while the viewer reads below, and shown above when asked for"(stage) {
    const receiver = await stage.receiver();
    await stage.subscribe(receiver.url);
    for (let call = 0; call < 40; call++) await stage.event("call.new", `c-${call}`);
    await logged(stage, 40);
    const page = await streaming(stage, { height: 700 });
    await page.evaluate(() => scrollTo(0, 1_500));
    const first = await rows(page).first().getAttribute("id");
    await stage.event("call.missed", "c-0");
    await page.getByRole("button", { name: "1 new" }).waitFor();
    await stage.event("call.missed", "c-1");
    await page.getByRole("button", { name: "2 new" }).waitFor();
    assert.equal(await rows(page).first().getAttribute("id"), first, "nothing moves");
    await stage.checkAccessible(page, "the log with new entries above");
    await page.getByRole("button", { name: "2 new" }).click();
    await stage.until("the new rows", async () => (await rows(page).count()) === 42);
    assert.match(await rows(page).first().innerText(), /Missed call/);
    assert.equal(await page.locator("#new-rows").count(), 0);
  },

  async "the line above the views says what fails, and the list begins with it"(stage) {
    const receiver = await stage.receiver(({ path }) => [path === "/bad" ? 404 : 200, {}, ""]);
    await stage.subscribe(`${receiver.url}/good`, { description: "the good one" });
    const page = await streaming(stage, { at: "/webhooks" });
    assert.equal(await page.locator("#problems .notice").count(), 0);
    await stage.subscribe(`${receiver.url}/bad`, { description: "the bad one", ordering: "none" });
    for (const call of ["c-1", "c-2", "c-3"]) await stage.event("call.new", call);
    await page.locator("#problems").getByText(/^1 webhook is failing\./).waitFor();
    await page.locator("#problems").getByText("3 deliveries wait for them.").waitFor();
    assert.match(await page.locator("table.webhooks tbody tr").first().innerText(), /the bad one[\s\S]*Failing/);
    await page.locator("#problems").getByRole("link", { name: "Show" }).click();
    await page.waitForURL(/show=problems/);
    assert.equal(await page.locator("table.webhooks tbody tr").count(), 1);
    await page.getByLabel("Name, URL or ID").fill("GOOD one");
    await page.getByRole("combobox", { name: "Show" }).selectOption("");
    await page.waitForURL((url) => url.searchParams.get("find") === "GOOD one" && !url.searchParams.has("show"));
    assert.match(await page.locator("table.webhooks tbody").innerText(), /the good one/);
    await page.getByLabel("Name, URL or ID").fill("nothing of the kind");
    await page.keyboard.press("Enter");
    await page.getByText("No webhook matches").waitFor();
    for (const view of ["/logs", "/status"]) {
      await page.goto(stage.url + view);
      await page.locator("#problems").getByText("1 webhook is failing.").waitFor();
    }
  },

  async "a connection that says nothing any more is lost, and comes back"(stage) {
    const receiver = await stage.receiver();
    await stage.subscribe(receiver.url);
    const page = await streaming(stage, {});
    await page.getByText("Nothing sent yet").waitFor();
    const begun = Date.now();
    stage.daemon.kill("SIGSTOP");
    await page.getByText("Connection lost, trying again").waitFor();
    console.log(`        a lost connection is said after ${Date.now() - begun} ms`);
    await stage.checkAccessible(page, "a lost connection");
    stage.daemon.kill("SIGCONT");
    await page.locator("#lost").waitFor({ state: "detached" });
    await stage.event("call.new", "c-1");
    await rows(page).first().waitFor();
    stage.expectNoise(/Failed to load resource|ERR_/);
  },

  async "a stream ends with its session, and holds up no stop"(stage) {
    const page = await streaming(stage, {});
    const other = await page.context().newPage();
    await other.goto(`${stage.url}/keys`);
    await other.getByRole("button", { name: "Sign out" }).click();
    await page.waitForURL(/\/sign-in/);
    await streaming(stage, {});
    const begun = Date.now();
    const ended = new Promise((resolve) => stage.daemon.once("exit", (code) => resolve(code)));
    stage.daemon.kill("SIGTERM");
    assert.equal(await ended, 0);
    console.log(`        stopped with an open stream after ${Date.now() - begun} ms`);
    stage.end = async () => {};
    stage.expectNoise(/Failed to load resource|ERR_|status of 401/);
  },

  async "where streams do not come through, the log is asked for"(stage) {
    const receiver = await stage.receiver();
    await stage.subscribe(receiver.url);
    const page = await stage.page({ at: "/keys" });
    await page.route("**/live", (route) => route.fulfill({ status: 502, body: "" }));
    await page.goto(`${stage.url}/logs`);
    await page.getByText("Nothing sent yet").waitFor();
    await stage.event("call.new", "c-1");
    await rows(page).first().waitFor();
    assert.equal(await page.locator("#lost").count(), 0);
    stage.expectNoise(/status of 502/);
  },
};
