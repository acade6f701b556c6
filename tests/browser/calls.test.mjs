// Calls with their time line and SMS, and the report.

import assert from "node:assert/strict";

const DAY = 86_400_000;

// A week of calls: some connected, some missed, one with a thread.
async function week(stage) {
  const receiver = await stage.receiver();
  await stage.subscribe(`${receiver.url}/crm`);
  let number = 0;
  for (const [day, count] of [[3, 4], [1, 6], [0, 3]]) {
    for (let index = 0; index < count; index++) {
      const call = `c-${++number}`;
      const began = Date.now() - day * DAY - 60_000;
      const event = (type, after, data = {}) =>
        stage.api("POST", "/v1/events", { type, company: "acme", domain: "www.acme.example", source: index % 2 ? "widget" : "api", occurred_at: new Date(began + after * 1_000).toISOString(), data: { call_id: call, lead_phone: `+120255501${String(number).padStart(2, "0")}`, ...data } });
      await event("call.new", 0, { lead_name: "Dana Whitfield" });
      if (index % 3 === 2) await event("call.missed", 45, { callstatus: "no_agent" });
      else {
        await event("call.claimed", 10, { agent_id: "a-7", agent_name: "Sam Ortiz" });
        await event("call.connected", 20, { agent_id: "a-7" });
        await event("call.finished", 50, { agent_id: "a-7", duration: 30, callstatus: "answered", exact: 1.5 });
      }
    }
  }
  await stage.until("the deliveries", () => receiver.requests.length > 40);
  await stage.until("the report", async () => (await stage.api("GET", "/v1/report/calls")).totals.calls === number);
  return receiver;
}

const sms = (stage, direction, body, more = {}) =>
  stage.api("POST", "/v1/messages", { company: "acme", domain: "www.acme.example", source: "widget", call_id: "c-1", direction, from: direction === "outbound" ? "+12025550199" : "+12025550101", to: direction === "outbound" ? "+12025550101" : "+12025550199", body, lead: { name: "Dana Whitfield", phone: "+12025550101" }, ...more });

export const tests = {
  async "a call is found by phone and by id, and shown with its deliveries and its conversation"(stage) {
    await week(stage);
    await sms(stage, "outbound", "Shall I call again at 3 pm?");
    await sms(stage, "inbound", "Yes, 3 pm is perfect");
    const page = await stage.page({ at: "/calls" });
    const rows = page.locator("table.calls tbody tr");
    assert.equal(await rows.count(), 13);
    await page.getByLabel("Phone number or call ID").fill("+1 (202) 555-0102");
    await page.getByRole("button", { name: "Search" }).click();
    await page.waitForURL(/find=/);
    assert.equal(await rows.count(), 1);
    await page.getByLabel("Phone number or call ID").fill("c-1");
    await page.keyboard.press("Enter");
    await page.waitForURL(/\/calls\/c-1/);
    const chat = page.getByRole("region", { name: "Messages" });
    assert.deepEqual(await chat.locator(".bubble").allTextContents(), ["Shall I call again at 3 pm?", "Yes, 3 pm is perfect"]);
    assert.deepEqual(await chat.locator("li").evaluateAll((all) => all.map((one) => one.className)), ["outbound", "inbound"]);
    const headings = await page.locator(".timeline h3").allTextContents();
    assert.deepEqual(headings, ["New call", "Claimed call", "Connected call", "Finished call", "SMS follow-up"]);
    await page.locator(".timeline details").nth(3).locator("summary").click();
    await page.getByLabel("Data of call.finished").getByText('"exact": 1.5').waitFor();
    await stage.until("all to be delivered", async () => {
      await page.reload();
      return (await page.locator(".timeline .delivered").count()) === 5;
    });
    await page.locator(".timeline .delivered a").first().click();
    await page.locator("article.entry").waitFor();
    await page.getByRole("link", { name: "c-1", exact: true }).click();
    await page.waitForURL(/\/calls\/c-1/);
    await page.getByRole("link", { name: "Show in the log" }).click();
    await page.waitForURL(/\/logs\?call=c-1/);
    await page.goto(`${stage.url}/calls?find=nobody`);
    await page.getByText("No call found").waitFor();
    await page.goto(`${stage.url}/calls/nobody`);
    await page.getByRole("heading", { name: "Not found" }).waitFor();
    stage.expectNoise(/status of 404/);
    const plain = await stage.page({ scripts: false, at: "/calls?find=c-1" });
    await plain.getByText("Yes, 3 pm is perfect", { exact: true }).waitFor();
  },

  async "a thread without events is shown, and an ambiguous call id needs the company"(stage) {
    await sms(stage, "outbound", "Hello?", { call_id: "early" });
    const page = await stage.page({ at: "/calls/early?company=acme" });
    await page.getByText("Hello?").waitFor();
    await page.getByText("No event of this call has been posted yet").waitFor();
    for (const company of ["acme", "globex"]) await stage.api("POST", "/v1/events", { type: "call.new", company, source: "api", data: { call_id: "same", lead_name: company } });
    await page.goto(`${stage.url}/calls/same`);
    await page.getByText("several companies").waitFor();
    stage.expectNoise(/status of 422/);
    await page.goto(`${stage.url}/calls`);
    await page.getByRole("link", { name: "globex" }).click();
    await page.getByRole("heading", { name: "globex" }).waitFor();
    const { token } = await stage.api("POST", "/v1/tokens", { role: "read", company: "acme" });
    const reader = await stage.page({ token, at: "/calls/same" });
    await reader.getByRole("heading", { name: "acme" }).waitFor();
    await reader.goto(`${stage.url}/calls/same?company=globex`);
    assert.equal(await reader.getByText("globex").count(), 0);
  },

  async "the report has figures, charts and a table, by range, and is saved as CSV"(stage) {
    await week(stage);
    const page = await stage.page({ at: "/report" });
    const figure = (name) => page.locator(".figures > div").filter({ has: page.getByText(name, { exact: true }) }).locator("dd").first();
    assert.equal(await figure("Calls").textContent(), "13");
    assert.equal(await figure("Connected").textContent(), "69\u00a0%");
    assert.equal(await figure("Time to claim").textContent(), "10 s");
    // Seven days, those without calls included; each bar is in its place.
    const chart = page.getByRole("img", { name: /^Calls: connected/ });
    assert.equal(await chart.locator("g").count(), 7);
    assert.deepEqual(await chart.locator(".number-label").allTextContents(), ["4", "6", "3"]);
    assert.equal(await chart.locator("rect.connected").count(), 3);
    assert.equal(await page.locator(".outcomes li").count(), 2);
    assert.equal(await page.locator("tbody tr").count(), 3);
    await page.getByRole("link", { name: "Today" }).click();
    await page.waitForURL(/days=1/);
    await page.getByLabel("Group by").selectOption("hour");
    await page.waitForURL(/by=hour/);
    await page.getByLabel("Source").selectOption("api");
    await page.waitForURL(/source=api/);
    await page.getByLabel("Domain").fill("www.other.example");
    await page.keyboard.press("Enter");
    await page.getByText("No calls in this period").waitFor();
    await page.goto(`${stage.url}/report?days=7`);
    await page.getByLabel("From").fill("2020-01-01T00:00");
    await page.getByRole("button", { name: "Show", exact: true }).last().click();
    await page.waitForURL((url) => url.searchParams.has("since") && !url.searchParams.has("days"));
    assert.equal(await figure("Calls").textContent(), "13");
    const [download] = await Promise.all([page.waitForEvent("download"), page.getByRole("link", { name: "Export CSV" }).click()]);
    assert.equal(download.suggestedFilename(), "hookswitch-calls.csv");
    await page.goto(`${stage.url}/report?since=yesterday`);
    await page.getByRole("alert").getByText("RFC 3339").waitFor();
    const plain = await stage.page({ scripts: false, at: "/report" });
    assert.equal(await plain.locator("tbody tr").count(), 3);
  },

  async "hostile data in calls, messages and outcomes is shown as text"(stage) {
    const hostile = `"'><script>window.hit = 1</script><img src=x onerror="window.hit = 1">`;
    const receiver = await stage.receiver(() => [200, {}, hostile]);
    await stage.subscribe(`${receiver.url}/?${encodeURIComponent(hostile)}`, { company: hostile });
    // No slash: an id with one has no path of its own.
    const call = `\u202e<b>&?#%2F ${hostile.replaceAll("/", "")}`.slice(0, 120);
    const event = (type, data) => stage.api("POST", "/v1/events", { type, company: hostile, domain: hostile, source: "api", data: { call_id: call, lead_phone: hostile.slice(0, 60), lead_name: `\u202eمرحبا ${hostile}`, agent_name: hostile, agent_id: hostile, callstatus: hostile, visitor_url: `http://a.example/${"y".repeat(10_000)}`, [hostile]: hostile, ...data } });
    await event("call.new", {});
    await event("call.finished", { duration: 1 });
    // A number that no browser and no JSON library here can hold.
    await fetch(`${stage.url}/v1/events`, { method: "POST", headers: { Authorization: `Bearer ${stage.token}`, "Content-Type": "application/json" }, body: JSON.stringify({ type: "call.claimed", company: hostile, source: "api", data: { call_id: call, n: 7_777_777 } }).replace("7777777", "1e400") });
    for (const direction of ["outbound", "inbound"]) await sms(stage, direction, `${hostile}\n\u202eمرحبا ${"z".repeat(3_000)}`, { company: hostile, domain: hostile, call_id: call, lead: { name: hostile } });
    await stage.until("the report", async () => (await stage.api("GET", "/v1/report/calls")).totals.calls === 1);
    for (const at of ["/calls", `/calls?find=${encodeURIComponent(hostile)}`, `/calls?find=${encodeURIComponent(call)}`, "/report", `/report?domain=${encodeURIComponent(hostile)}&agent=${encodeURIComponent(hostile)}&company=${encodeURIComponent(hostile)}`]) {
      for (const width of [1440, 360]) {
        const page = await stage.page({ at, width });
        await page.waitForLoadState("networkidle");
        if (at === "/calls") {
          await page.locator("table.calls a").first().click();
          await page.locator(".timeline").waitFor();
          for (const summary of await page.locator(".timeline summary").all()) await summary.click();
        }
        assert.equal(await page.evaluate("window.hit"), undefined);
        assert.equal(await page.getByText("Something went wrong").count(), 0, at);
        await stage.checkAccessible(page, `${at} with hostile data`);
        assert.equal(await page.locator("main img:not(svg), main script").count(), 0);
        await page.context().close();
      }
    }
  },

  async "calls are found and read by keyboard alone"(stage) {
    await week(stage);
    const page = await stage.page({ at: "/calls" });
    const tabTo = async (test) => {
      for (let presses = 0; presses < 60; presses++) {
        if (await page.evaluate(test)) return;
        await page.keyboard.press("Tab");
      }
      throw new Error(`no way by keyboard to ${test}`);
    };
    await tabTo('document.activeElement.id === "f-find"');
    await page.keyboard.type("+12025550101");
    await page.keyboard.press("Enter");
    await page.waitForURL(/find=/);
    await tabTo('document.activeElement.classList.contains("lead")');
    await page.keyboard.press("Enter");
    await page.waitForURL(/\/calls\/c-1/);
    await tabTo('document.activeElement.matches(".timeline summary")');
    await page.keyboard.press("Enter");
    await page.getByLabel("Data of call.new").waitFor();
    await page.goto(`${stage.url}/report`);
    await tabTo('document.activeElement.getAttribute("aria-label") === "The report as a table"');
  },

  async "calls and report are accessible in both themes at both widths"(stage) {
    await stage.look("calls-empty", "/calls");
    await stage.look("report-empty", "/report");
    await week(stage);
    await sms(stage, "outbound", "Hi Dana, this is Sam from Acme. Shall I call you again at 3 pm?");
    await sms(stage, "inbound", "Yes please, 3 pm is perfect");
    await sms(stage, "outbound", "Great, talk to you then.");
    await stage.look("calls", "/calls");
    await stage.look("call", "/calls/c-1?company=acme");
    await stage.look("report", "/report");
  },
};
