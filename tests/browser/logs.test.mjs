// The log: filters, live rows, request and response, delivering again; the dead letters.

import assert from "node:assert/strict";

const rows = (page) => page.locator(".log > tbody > tr:not(.opened)");
const logged = (stage, count, query = "") => stage.until(`${count} entries`, async () => (await stage.api("GET", `/v1/log?limit=500${query}`)).entries.length >= count);

// Makes dead letters: an answer of 410 gives one up at once, and disables the webhook.
async function dies(stage, receiver, calls, path = "/gone") {
  const made = await stage.subscribe(receiver.url + path, { events: ["call.missed"] });
  for (const [index, call] of calls.entries()) {
    await stage.api("PATCH", `/v1/subscriptions/${made.id}`, { enabled: true });
    await stage.event("call.missed", call);
    await stage.until("a dead letter", async () => (await stage.api("GET", `/v1/deliveries?state=failed&subscription=${made.id}`)).items.length === index + 1);
  }
  return made;
}

export const tests = {
  async "filters are in the URL, work without scripts and report their faults"(stage) {
    const receiver = await stage.receiver(({ path }) => [path === "/ok" ? 200 : 404, {}, ""]);
    const good = await stage.subscribe(`${receiver.url}/ok`);
    const bad = await stage.subscribe(`${receiver.url}/bad`, { events: ["call.new"], company: "globex & co" });
    await stage.event("call.new", "c-1", { lead_phone: "+12025550111" }, "www.acme.example");
    await stage.event("call.finished", "c-1");
    await stage.event("call.new", "c-2");
    await stage.api("POST", "/v1/events", { type: "call.new", company: "globex & co", source: "api", data: { call_id: "g" } });
    await stage.api("POST", `/v1/subscriptions/${good.id}/test`, {});
    await logged(stage, 4, "&status=delivered");
    await logged(stage, 1, "&response=404");
    // No retry between two loads of the same view.
    await stage.api("PATCH", `/v1/subscriptions/${bad.id}`, { enabled: false });
    const page = await stage.page({ at: "/logs" });
    await page.getByRole("combobox", { name: "Event" }).selectOption({ label: "New call" });
    await page.waitForURL("**/logs?event=call.new");
    await page.getByRole("combobox", { name: "Webhook" }).selectOption(good.id);
    await page.waitForURL((url) => url.searchParams.get("subscription") === good.id);
    assert.equal(await rows(page).count(), 3);
    await page.getByText("More filters").click();
    await page.getByLabel("Tests").selectOption({ label: "Without tests" });
    await page.waitForURL(/test=false/);
    assert.equal(await rows(page).count(), 2);
    await page.getByLabel("Lead’s phone number").fill("+12025550111");
    await page.locator(".filters").getByRole("button", { name: "Show" }).click();
    await page.waitForURL(/phone=%2B12025550111/);
    assert.equal(await rows(page).count(), 1);
    assert.ok(![...new URL(page.url()).searchParams.values()].includes(""), page.url());
    await page.getByRole("link", { name: "Clear filters" }).click();
    await page.waitForURL("**/logs");
    await page.getByLabel("Response").fill("404");
    await page.keyboard.press("Enter");
    await page.waitForURL(/response=404/);
    assert.match(await rows(page).first().innerText(), /404[\s\S]*globex & co/);
    const shared = await stage.page({ at: new URL(page.url()).pathname + new URL(page.url()).search });
    assert.equal(await rows(shared).count(), await rows(page).count());
    await page.getByLabel("Response").fill("many");
    await page.keyboard.press("Enter");
    await page.getByRole("alert").getByText("status code").waitFor();
    assert.equal(await page.getByLabel("Response").inputValue(), "many");
    stage.expectNoise(/status of 422/);
    // The viewer's zone is Berlin: the chosen time is the one requested.
    await page.goto(`${stage.url}/logs?since=2026-01-01T10:00:00Z`);
    assert.equal(await page.getByLabel("From").inputValue(), "2026-01-01T11:00");
    await page.getByLabel("From").fill("2026-07-01T12:00");
    await page.locator(".filters").getByRole("button", { name: "Show" }).click();
    await page.waitForURL(/since=2026-07-01T10%3A00%3A00.000Z/);
    const plain = await stage.page({ scripts: false, at: "/logs?status=delivered&since=2026-01-01T10:00" });
    assert.equal(await rows(plain).count(), 4);
    assert.equal(await plain.getByLabel("From UTC").inputValue(), "2026-01-01T10:00");
    await plain.getByRole("link", { name: "Finished call" }).click();
    await plain.getByRole("heading", { name: "Finished call" }).waitFor();
    await plain.getByLabel("Body of the request", { exact: true }).getByText('"call_id": "c-1"').waitFor();
  },

  async "the log is live, pages by cursor, and sends no request while hidden"(stage) {
    const receiver = await stage.receiver();
    await stage.subscribe(receiver.url);
    const page = await stage.page({ at: "/logs" });
    await page.getByText("Nothing sent yet").waitFor();
    await stage.event("call.new", "c-0");
    await rows(page).first().waitFor();
    await page.getByRole("link", { name: "New call" }).click();
    await page.locator("article.entry").waitFor();
    await stage.event("call.finished", "c-0");
    await page.getByRole("link", { name: "Finished call" }).waitFor();
    assert.equal(await page.locator("article.entry").count(), 1, "what is open stays open");
    assert.equal(await rows(page).first().locator("a.opens").textContent(), "Finished call");
    await page.getByLabel("Live").uncheck();
    const asked = [];
    page.on("request", (request) => asked.push(request.url()));
    for (let call = 1; call <= 55; call++) await stage.event("call.new", `c-${call}`);
    await logged(stage, 57);
    await page.waitForTimeout(3_000);
    assert.deepEqual(asked, []);
    // More than a page of new entries: the list starts over.
    await page.getByLabel("Live").check();
    await stage.until("the new rows", async () => (await rows(page).count()) === 50);
    await page.goto(`${stage.url}/logs`);
    await page.getByRole("link", { name: "Older entries" }).click();
    await page.waitForURL(/cursor=/);
    assert.equal(await rows(page).count(), 7);
    assert.equal(await page.getByLabel("Live").count(), 0);
    await page.getByRole("link", { name: "Back to the newest" }).click();
    assert.equal(await rows(page).count(), 50);
  },

  async "a row opens request and response; an error is explained; it is delivered again"(stage) {
    let broken = true;
    const receiver = await stage.receiver(({ path }) => (path === "/form" ? [200, { "content-type": "application/json", "x-trace": "7f3a" }, '{"ok":true,"lead":{"id":42}}'] : [broken ? 503 : 200, {}, ""]));
    await stage.subscribe(`${receiver.url}/form`, { format: "form", events: ["call.new"], headers: { Authorization: "geheim" } });
    await stage.subscribe(`${receiver.url}/crm`, { events: ["call.finished"] });
    await stage.event("call.new", "c-1");
    await stage.event("call.finished", "c-1");
    await logged(stage, 2);
    const page = await stage.page({ at: "/logs?event=call.new" });
    await rows(page).first().locator("td").first().click();
    const entry = page.locator("article.entry");
    await entry.getByLabel("Body of the request", { exact: true }).getByText("data[call_id] = c-1").waitFor();
    assert.match(await entry.getByLabel("Body of the response", { exact: true }).textContent(), /\{\n  "ok": true,/);
    assert.match(await entry.innerText(), /x-trace\s+7f3a/);
    assert.match(await entry.innerText(), /authorization\s+not shown/i);
    assert.ok(!(await page.content()).includes("geheim"));
    await entry.getByText("As sent", { exact: true }).first().click();
    await entry.getByText("data%5Bcall_id%5D=c-1").waitFor();
    await entry.getByRole("button", { name: "Deliver again" }).click();
    await page.getByRole("dialog").getByText("already arrived").waitFor();
    await stage.checkAccessible(page, "the question before a second delivery");
    await page.getByRole("dialog").getByRole("button", { name: "Deliver again" }).click();
    await entry.getByText("on its way again").waitFor();
    await page.evaluate(() => scrollTo(0, 0));
    await stage.until("the second delivery", async () => (await rows(page).count()) === 2);
    assert.equal(receiver.requests.filter((request) => request.path === "/form").length, 2);
    const link = rows(page).last().locator("a.opens");
    assert.equal(await link.getAttribute("aria-expanded"), "true");
    await link.click();
    assert.equal(await entry.count(), 0);
    await page.goto(`${stage.url}/logs?event=call.finished`);
    await rows(page).last().locator("a.opens").click();
    await entry.getByText("The receiver answered 503; the receiver is overloaded or in maintenance").waitFor();
    broken = false;
    await entry.getByRole("button", { name: "Deliver again" }).click();
    await entry.getByText("on its way again").waitFor();
    await page.evaluate(() => scrollTo(0, 0));
    await stage.until("the delivery", async () => /Delivered/.test(await rows(page).first().innerText()));
    await entry.getByRole("link", { name: "All attempts of this delivery" }).click();
    await page.waitForURL(/delivery=dlv_/);
    assert.ok((await rows(page).count()) >= 2);
    const { token } = await stage.api("POST", "/v1/tokens", { role: "read", company: "acme" });
    const reader = await stage.page({ token, at: "/logs" });
    await rows(reader).first().locator("a.opens").click();
    await reader.locator("article.entry").waitFor();
    assert.equal(await reader.getByRole("button", { name: "Deliver again" }).count(), 0);
  },

  async "the filtered log is saved as CSV"(stage) {
    const receiver = await stage.receiver();
    await stage.subscribe(receiver.url);
    await stage.event("call.new", "c-1", {});
    await stage.event("call.finished", "c-2");
    await logged(stage, 2);
    const page = await stage.page({ at: "/logs?call=c-2" });
    const [download] = await Promise.all([page.waitForEvent("download"), page.getByRole("link", { name: "Export CSV" }).click()]);
    assert.equal(download.suggestedFilename(), "hookswitch-log.csv");
    const chunks = [];
    for await (const chunk of await download.createReadStream()) chunks.push(chunk);
    const lines = Buffer.concat(chunks).toString().trim().split("\r\n");
    assert.equal(lines.length, 2);
    assert.match(lines[0], /^Response,Created,Event,Status,/);
    assert.match(lines[1], /^200,.*,call.finished,delivered,/);
  },

  async "dead letters are delivered again, one or all, or discarded"(stage) {
    let gone = true;
    const receiver = await stage.receiver(() => [gone ? 410 : 200, {}, ""]);
    const made = await dies(stage, receiver, ["c-1", "c-2", "c-3", "c-4"]);
    const page = await stage.page({ at: "/logs" });
    await page.getByRole("link", { name: "Dead letters" }).click();
    const dead = page.locator("table.dead tbody tr");
    assert.equal(await dead.count(), 4);
    assert.match(await dead.first().innerText(), /410[\s\S]*Missed call[\s\S]*Disabled/);
    gone = false;
    await stage.api("PATCH", `/v1/subscriptions/${made.id}`, { enabled: true });
    await dead.first().getByRole("button", { name: "Discard" }).click();
    await page.getByRole("dialog").getByRole("button", { name: "Discard" }).click();
    await page.getByText("It was discarded.").waitFor();
    await dead.first().getByRole("button", { name: "Deliver again" }).click();
    await page.getByText("It is on its way again.").waitFor();
    assert.equal(await dead.count(), 2);
    await page.reload();
    const before = receiver.requests.length;
    await page.getByRole("button", { name: "Deliver all again" }).click();
    await page.getByRole("dialog").getByText("Deliver 2 dead letters again?").waitFor();
    await stage.checkAccessible(page, "the question before all");
    await page.keyboard.press("Escape");
    await page.getByRole("button", { name: "Deliver all again" }).click();
    await page.getByRole("dialog").getByRole("button", { name: "Deliver all again" }).click();
    await page.getByText("2 dead letters are on the way again.").waitFor();
    await stage.until("both", () => receiver.requests.length >= before + 2);
    await stage.until("no dead letters", async () => (await stage.api("GET", "/v1/deliveries?state=failed")).items.length === 0);
    await page.reload();
    await page.getByRole("heading", { name: "No dead letters" }).waitFor();
  },

  async "the log is read and opened by keyboard alone"(stage) {
    const receiver = await stage.receiver();
    await stage.subscribe(receiver.url);
    await stage.event("call.new", "c-1");
    await logged(stage, 1);
    const page = await stage.page({ at: "/logs" });
    const tabTo = async (test) => {
      for (let presses = 0; presses < 60; presses++) {
        if (await page.evaluate(test)) return;
        await page.keyboard.press("Tab");
      }
      throw new Error(`no way by keyboard to ${test}`);
    };
    await tabTo('document.activeElement.classList.contains("opens")');
    await page.keyboard.press("Enter");
    await page.locator("article.entry").waitFor();
    await tabTo('document.activeElement.dataset.again !== undefined');
    await page.keyboard.press("Enter");
    await page.getByRole("dialog").waitFor();
    await page.keyboard.press("Tab");
    await page.keyboard.press("Enter");
    await page.getByText("on its way again").waitFor();
    await stage.until("the second", () => receiver.requests.length === 2);
  },

  async "hostile data in the log is shown as text"(stage) {
    const hostile = `"'><script>window.hit = 1</script><img src=x onerror="window.hit = 1">`;
    const receiver = await stage.receiver(() => [200, { "x-hostile": hostile, "content-type": "text/html" }, `${hostile}\u202e${hostile}`]);
    for (const [format, at] of [["json", "/j"], ["form", "/f"]]) {
      await stage.subscribe(`${receiver.url}${at}?${encodeURIComponent(`\u202e${hostile}`)}${"x".repeat(1_500)}`, { company: hostile, format });
    }
    await stage.api("POST", "/v1/events", { type: "call.new", company: hostile, domain: hostile, source: "api", data: { call_id: hostile, lead_name: `\u202eمرحبا ${hostile}`, [hostile]: hostile, url: `http://a.example/${"y".repeat(10_000)}`, lead_phone: hostile.slice(0, 60) } });
    await logged(stage, 2);
    const entries = (await stage.api("GET", "/v1/log")).entries;
    for (const at of ["/logs", `/logs?call=${encodeURIComponent(hostile)}&phone=${encodeURIComponent(hostile)}`, `/logs/${entries[0].id}`, `/logs/${entries[1].id}`, `/logs/dead-letters?company=${encodeURIComponent(hostile)}`]) {
      for (const width of [1440, 360]) {
        const page = await stage.page({ at, width });
        await page.waitForLoadState("networkidle");
        if (at === "/logs") {
          await rows(page).first().locator("a.opens").click();
          await page.locator("article.entry").waitFor();
        }
        assert.equal(await page.evaluate("window.hit"), undefined);
        await stage.checkAccessible(page, `${at} with hostile data`);
        assert.equal(await page.locator("main img, main script").count(), 0);
        await page.context().close();
      }
    }
  },

  async "the views of the log are accessible in both themes at both widths"(stage) {
    const receiver = await stage.receiver(({ path }) => (path === "/crm" ? [200, { "content-type": "application/json" }, '{"ok":true,"lead":{"id":42,"name":"Dana Whitfield"}}'] : path === "/old" ? [410, {}, ""] : [500, {}, "<h1>Internal Server Error</h1>"]));
    await stage.look("logs-empty", "/logs");
    await stage.look("dead-letters-empty", "/logs/dead-letters");
    await stage.subscribe(`${receiver.url}/crm`);
    await stage.subscribe(`${receiver.url}/reports`, { events: ["call.finished"] });
    await stage.subscribe("http://127.0.0.1:1/", { events: ["call.missed"] });
    for (let call = 0; call < 5; call++) {
      for (const type of ["call.new", "call.claimed", "call.connected", "call.finished", "call.missed"]) await stage.event(type, `c-${call}`, {}, "www.acme.example");
    }
    await dies(stage, receiver, ["c-1", "c-2"], "/old");
    await logged(stage, 30);
    await stage.look("logs", "/logs");
    await stage.look("logs-filtered", "/logs?status=retrying&phone=%2B12025550143");
    await stage.look("log-entry", "/logs?status=delivered", async (page) => {
      await rows(page).first().locator("a.opens").click();
      await page.locator("article.entry").waitFor();
    });
    await stage.look("dead-letters", "/logs/dead-letters");
    const [entry] = (await stage.api("GET", "/v1/log?response=none")).entries;
    await stage.look("log-error", `/logs/${entry.id}`);
  },
};
