// One search for everything, the page of an event, and the keys.

import assert from "node:assert/strict";

export const tests = {
  async "names, numbers and ids lead to what they name"(stage) {
    const receiver = await stage.receiver();
    const made = await stage.subscribe(receiver.url, { description: "CRM of the sales team" });
    const { id } = await stage.event("call.new", "call-17", { lead_phone: "+12025550119", lead_name: "Dana Whitfield" });
    await stage.event("call.new", "call-18", { lead_phone: "+34915550123", lead_name: "José" });
    const [entry] = await stage.until("the log", async () => {
      const { entries } = await stage.api("GET", `/v1/log?event_id=${id}`);
      return entries.length === 1 && entries;
    });
    const page = await stage.page();
    const search = async (text) => {
      await page.keyboard.press("/");
      await page.keyboard.type(text);
      await page.keyboard.press("Enter");
    };
    for (const [text, path] of [[made.id, `/webhooks/${made.id}`], [id, `/events/${id}`], [entry.delivery, `/events/${id}`], [entry.id, `/logs/${entry.id}`], ["call-17", "/calls/call-17"]]) {
      await page.goto(`${stage.url}/keys`);
      await search(text);
      await page.waitForURL((url) => url.pathname === path);
    }
    for (const text of ["(202) 555-0119", "2025550119", "5550119", "whitf", "Call-1"]) {
      await search(text);
      await page.waitForURL((url) => url.pathname === "/search" && url.searchParams.get("q") === text);
      await page.getByRole("link", { name: "Dana Whitfield" }).waitFor();
      assert.equal(await page.getByRole("link", { name: "José" }).count(), text === "Call-1" ? 1 : 0, text);
    }
    await search("SALES crm");
    await page.getByRole("link", { name: "CRM of the sales team" }).waitFor();
    await search("nobody of this name");
    await page.getByText("Nothing found for “nobody of this name”").waitFor();
    const { token } = await stage.api("POST", "/v1/tokens", { role: "read", company: "globex" });
    const other = await stage.page({ token, at: `/search?q=${id}` });
    await other.getByText("Nothing found").waitFor();
  },

  async "an event's page has its payload, deliveries and attempts, and sends it again to one or to all"(stage) {
    const one = await stage.receiver();
    const other = await stage.receiver(() => [500, {}, ""]);
    await stage.subscribe(one.url, { description: "the good one" });
    await stage.subscribe(other.url, { description: "the bad one" });
    const { id } = await stage.event("call.missed", "c-1", { lead_name: "Dana Whitfield", amount: 1.5 });
    await stage.until("both", () => one.requests.length === 1 && other.requests.length > 0);
    await stage.until("the log", async () => (await stage.api("GET", `/v1/log?event_id=${id}&response=200`)).entries.length === 1);
    const page = await stage.page({ at: `/events/${id}` });
    await page.getByRole("heading", { name: "Missed call" }).waitFor();
    await page.getByRole("link", { name: "Dana Whitfield" }).first().waitFor();
    await page.locator("pre").getByText('"amount": 1.5').waitFor();
    const row = (name) => page.locator("table.deliveries tbody tr").filter({ hasText: name });
    assert.match(await row("the good one").innerText(), /Delivered[\s\S]*200/);
    await row("the good one").getByRole("button", { name: "Send again" }).click();
    await page.getByRole("dialog").getByText("already arrived").waitFor();
    await page.getByRole("dialog").getByRole("button", { name: "Deliver again" }).click();
    await stage.until("the second", () => one.requests.length === 2);
    const before = other.requests.length;
    await page.getByRole("button", { name: "Send to all again" }).click();
    await page.getByRole("dialog").getByText("Send again to 2 webhooks?").waitFor();
    await page.getByRole("dialog").getByRole("button", { name: "Send to all again" }).click();
    await page.getByText("2 deliveries are on the way again.").waitFor();
    await stage.until("both again", () => one.requests.length === 3 && other.requests.length > before);
    await page.locator("#log").getByText("the bad one").first().waitFor();
    await stage.look("event", `/events/${id}`);
    await stage.look("search", "/search?q=dana");
  },

  async "keys lead to the sections, and can be turned off"(stage) {
    const page = await stage.page({ at: "/keys" });
    await page.keyboard.press("g");
    await page.keyboard.press("l");
    await page.waitForURL("**/logs");
    await page.keyboard.press("?");
    await page.getByRole("dialog").getByText("Keyboard shortcuts").first().waitFor();
    await stage.checkAccessible(page, "the sheet of shortcuts");
    await page.getByRole("dialog").getByLabel("Single keys work").uncheck();
    await page.keyboard.press("Escape");
    await page.locator("dialog").waitFor({ state: "detached" });
    await page.keyboard.press("/");
    assert.equal(await page.evaluate("document.activeElement.id"), "");
    await page.keyboard.press("?");
    await page.getByLabel("Single keys work").check();
    await page.keyboard.press("Escape");
    await page.locator("dialog").waitFor({ state: "detached" });
    await page.keyboard.press("/");
    assert.equal(await page.evaluate("document.activeElement.id"), "search");
    await page.keyboard.type("g w?");
    assert.equal(await page.locator("#search").inputValue(), "g w?");
  },

  async "the event types are shown in each format and layout, with their schema"(stage) {
    const made = await stage.subscribe("http://127.0.0.1:1/");
    const page = await stage.page({ at: `/webhooks/${made.id}/code` });
    await page.getByRole("link", { name: "All event types" }).click();
    await page.waitForURL("**/event-types");
    assert.equal(await page.locator("main section").count(), 7);
    const sms = page.locator("section").filter({ hasText: "call.smsfollowup" }).last();
    for (const [way, words] of [["JSON, envelope", '"type": "call.smsfollowup"'], ["JSON, flat", '"event": "call.smsfollowup"'], ["Form, envelope", "data[conversation][0][body]="], ["Form, flat", "conversation[0][body]="], ["CloudEvent", '"specversion": "1.0"'], ["JSON Schema", '"required"']]) {
      await sms.locator("summary").filter({ hasText: way }).click();
      await sms.locator("details[open] pre").getByText(words).waitFor();
    }
    await stage.look("event-types", "/event-types");
  },

  async "an unknown address is a page"(stage) {
    const page = await stage.page({ at: "/webhooks" });
    await page.goto(`${stage.url}/no/such/address`);
    await page.getByRole("heading", { name: "Not found" }).waitFor();
    await page.getByRole("link", { name: "Back to the webhooks" }).click();
    await page.waitForURL("**/webhooks");
    stage.expectNoise(/status of 404/);
  },
};
