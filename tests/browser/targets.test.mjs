// A webhook for a service, with a template, a filter, and a sign-in: from the page to the message at the service.

import assert from "node:assert/strict";

/** A stand-in of Slack's incoming webhooks (docs.slack.dev): `no_text`, `invalid_payload`. */
const slack = ({ body }) => {
  try {
    const { text } = JSON.parse(body);
    return typeof text === "string" && text.trim() !== "" ? [200, {}, "ok"] : [400, {}, "no_text"];
  } catch {
    return [400, {}, "invalid_payload"];
  }
};
/** Google's answer to a POST that an Apps Script has run for. */
const sheets = () => [302, { location: "https://script.googleusercontent.com/macros/echo?x=y" }, ""];

/** What a team reads of a body at each service. */
const READ = {
  slack: (body) => JSON.parse(body).blocks[0].text.text,
  teams: (body) => JSON.parse(body).attachments[0].content.body.map(({ text }) => text).join("\n"),
  google_chat: (body) => JSON.parse(body).text,
  discord: (body) => JSON.parse(body).content,
  ntfy: (body) => body,
  hubspot_form: (body) => JSON.parse(body).fields.find(({ name }) => name === "message").value,
  salesforce_web_to_lead: (body) => new URLSearchParams(body).get("description"),
};

async function filled(stage, receiver, at = "/webhooks/new") {
  const page = await stage.page({ at });
  await page.getByLabel("Webhook URL").fill(`${receiver.url}/services/T0/B0`);
  await page.getByLabel("Company", { exact: true }).last().fill("acme");
  return page;
}

async function save(page) {
  await page.getByRole("button", { name: "Save" }).click();
  await page.locator("#saved").getByText("Saved.").waitFor();
  if (new URL(page.url()).pathname.endsWith("/code")) await page.getByRole("link", { name: "Settings" }).click();
  await page.waitForURL(/\/settings/);
}

const missed = (stage, call = "c-1") => stage.event("call.missed", call, { lead_name: "Dana <Whitfield>", retry_attempts: 2, visitor_url: "https://acme.example/roof" });

export const tests = {
  async "choose Slack, Test, Save, post a missed call, read the message"(stage) {
    const receiver = await stage.receiver(slack);
    const page = await filled(stage, receiver);
    await page.getByLabel("Body", { exact: true }).selectOption({ label: "Slack" });
    await page.getByText("Incoming WebHooks").waitFor();
    assert.equal(await page.getByLabel("Requests per second").inputValue(), "1");
    assert.ok(await page.getByLabel("Form URL Encoded").isHidden());
    await page.getByLabel("Sample event").selectOption({ label: "Missed call" });
    await page.locator("#preview-body").getByText("Missed call from").waitFor();
    await page.locator('#preview-all [data-mark="sent"]').nth(6).waitFor();
    await page.getByRole("button", { name: "Test" }).click();
    await page.locator('[data-outcome="working"]').waitFor();
    assert.match(JSON.parse(receiver.requests[0].body).text, /^Missed call from/);
    await page.getByLabel("All events").check();
    await save(page);
    assert.equal(await page.getByLabel("Body", { exact: true }).inputValue(), "slack");
    receiver.requests.length = 0;
    await missed(stage);
    await stage.until("the message", () => receiver.requests.length === 1);
    const message = JSON.parse(receiver.requests[0].body);
    assert.equal(message.text, "Missed call from Dana &lt;Whitfield&gt;, (202) 555-0143");
    assert.match(message.blocks[0].text.text, /Page: https:\/\/acme\.example\/roof\nTried: 3 times/);
  },

  async "every service can be chosen, and its message is delivered"(stage) {
    for (const preset of (await stage.api("GET", "/v1/presets")).items) {
      const receiver = await stage.receiver(preset.name === "slack" ? slack : preset.name === "google_sheets" ? sheets : undefined);
      const page = await filled(stage, receiver);
      await page.getByLabel("Webhook URL").fill(`${receiver.url}/x?oid=00D1`);
      await page.getByLabel("Body", { exact: true }).selectOption({ label: preset.title });
      await page.locator('#preview-all [data-mark="sent"]').nth(6).waitFor();
      await page.getByRole("button", { name: "Test" }).click();
      await page.locator('[data-outcome="working"]').waitFor();
      assert.equal(await page.getByLabel("Signing secret").isVisible(), preset.name === "flat_strings", "a service checks no signature");
      assert.equal(await page.getByRole("button", { name: "Copy the script" }).isVisible(), preset.name === "google_sheets");
      await page.getByLabel("All events").check();
      await stage.draw(page, `service-${preset.name}`);
      await save(page);
      const [id] = /sub_\w+/.exec(page.url());
      await missed(stage, `c-${preset.name}`);
      await stage.until(preset.name, async () => (await stage.api("GET", `/v1/deliveries?state=delivered&subscription=${id}`)).items.length === 1);
      const { body } = receiver.requests.at(-1);
      if (preset.name in READ) {
        const message = READ[preset.name](body);
        for (const part of [/Missed call from Dana .*Whitfield.*, \(202\) 555-0143/, /When: \d{4}-/, /Page: https:\/\/acme\.example\/roof/, /Tried: 3 times/]) assert.match(message, part);
      } else {
        const { event, lead_phone: phone, retry_attempts: tried } = JSON.parse(body);
        assert.deepEqual([event, phone, tried], ["call.missed", "+12025550143", "2"]);
      }
      await stage.api("DELETE", `/v1/subscriptions/${id}`);
      await page.context().close();
    }
  },

  async "a template is shown as it is typed, and its faults with their line"(stage) {
    const receiver = await stage.receiver();
    const page = await filled(stage, receiver);
    await page.getByLabel("Body", { exact: true }).selectOption({ label: "Slack" });
    await page.getByLabel("Body", { exact: true }).selectOption({ label: "Your own template" });
    await page.waitForFunction(() => document.getElementById("template").value.includes("headline"));
    await page.getByLabel("Template", { exact: true }).fill('{"who": {{ data.lead_name|upper }},\n "phone": "{{ data.lead_phone|phone }}"}');
    await page.locator("#preview-body").getByText('"DANA WHITFIELD"').waitFor();
    await page.locator("#preview-body").getByText("(202) 555-0143").waitFor();
    await page.getByLabel("Template", { exact: true }).fill('{"who":\n{{ data.lead_name }');
    await page.locator("#preview-body").getByText("Line 2: syntax error").waitFor();
    await page.getByLabel("All events").check();
    await page.getByRole("button", { name: "Save" }).click();
    await page.locator('[data-pointer="/template"] .fault').getByText("line 2: syntax error").waitFor();
    stage.expectNoise(/status of 422/);
    await page.getByLabel("Template", { exact: true }).fill('{{ data.nothing|default("<b>x</b>") }}');
    await page.locator("#preview-body").getByText('"<b>x</b>"').waitFor();
    await save(page);
    await stage.event("call.new", "c-1");
    await stage.until("the delivery", () => receiver.requests.length === 1);
    assert.equal(receiver.requests[0].body, '"<b>x</b>"');
    // Back to the platform's own.
    await page.getByLabel("Body", { exact: true }).selectOption({ index: 0 });
    await save(page);
    assert.equal((await stage.api("GET", "/v1/subscriptions")).items[0].template, null);
  },

  async "a filter is made of rows, or written"(stage) {
    const receiver = await stage.receiver();
    const page = await filled(stage, receiver);
    await page.getByLabel("All events").check();
    await page.locator("#filter-part > summary").click();
    await page.getByRole("button", { name: "Add a condition" }).click();
    await page.getByLabel("Member of condition 1").fill("data.department");
    await page.getByLabel("Value of condition 1").fill('Sa"les');
    await page.getByRole("button", { name: "Add a condition" }).click();
    await page.getByLabel("Member of condition 2").fill("data.duration");
    await page.getByLabel("Comparison of condition 2").selectOption({ label: "is greater than" });
    await page.getByLabel("Value of condition 2").fill("60");
    const text = page.getByLabel("As an expression");
    assert.equal(await text.inputValue(), 'data.department == "Sa\\"les" and data.duration|float > 60');
    await page.locator('#preview-all [data-mark="left-out"]').nth(6).waitFor();
    await save(page);
    assert.equal(await page.getByLabel("Value of condition 1").inputValue(), 'Sa"les', "they are read from what is stored");
    await text.fill("data.department == ");
    await page.locator("#preview-all").getByText("no expression").waitFor();
    await page.getByText("too complex to be shown as rows").waitFor();
    stage.expectNoise(/status of 422/);
    await text.fill('data.department in ["Sales"] or data.x > 1');
    await page.getByText("too complex to be shown as rows").waitFor();
    await save(page);
    await stage.event("call.new", "c-1", { department: "Support", x: 0 });
    await stage.event("call.new", "c-2", { x: "wild" });
    await stage.until("the delivery", () => receiver.requests.length === 1);
    await page.reload();
    await page.getByText("compares text with a number").waitFor();
  },

  async "signing in is kept, and never shown"(stage) {
    const receiver = await stage.receiver(({ headers }) => [headers.authorization === "Basic bWU6aHVudGVyMg==" ? 200 : 401, {}, ""]);
    const page = await filled(stage, receiver);
    await page.getByLabel("All events").check();
    await page.getByLabel("Authentication", { exact: true }).selectOption({ label: "User name and password" });
    await page.getByLabel("User name", { exact: true }).fill("me");
    await page.getByRole("button", { name: "Save" }).click();
    await page.locator('[data-auth="basic"] .fault').getByText("missing").waitFor();
    stage.expectNoise(/status of 422/);
    await page.getByLabel("Password", { exact: true }).fill("hunter2");
    await page.getByRole("button", { name: "Test" }).click();
    await page.locator('[data-outcome="working"]').waitFor();
    await save(page);
    assert.ok(!(await page.content()).includes("hunter2"));
    await page.getByRole("button", { name: "Test" }).click();
    await page.locator('[data-outcome="working"]').waitFor();
    await page.locator("#advanced > summary").click();
    await page.getByLabel("And the body contains").fill("created");
    await page.getByRole("button", { name: "Test" }).click();
    await page.locator('[data-outcome="unexpected_body"]').getByText("does not contain").waitFor();
    await page.getByLabel("And the body contains").fill("");
    await save(page);
    assert.deepEqual((await stage.api("GET", "/v1/subscriptions")).items[0].auth, { type: "basic", username: "me", password: null });
  },

  async "it can be used by everybody, in both themes"(stage) {
    const receiver = await stage.receiver(slack);
    const made = await stage.subscribe(receiver.url, {
      template: '{"text": "Missed call from {{ data.lead_name }}",\n "phone": {{ data.lead_phone|phone }}}',
      filter: 'data.department == "Sales"',
      auth: { type: "oauth2_client_credentials", token_url: `${receiver.url}/token`, client_id: "me", client_secret: "x" },
      success_body: { json_pointer: "/ok", equals: true },
    });
    await stage.look("webhook-template", `/webhooks/${made.id}/settings`, async (page) => {
      await page.locator("#preview-all [data-mark]").nth(6).waitFor();
      await page.locator("#advanced > summary").click();
      await page.locator("#s-format").evaluate((heading) => heading.scrollIntoView());
    });
    await stage.look("webhook-slack", "/webhooks/new", async (page) => {
      await page.getByLabel("Body", { exact: true }).selectOption({ label: "Slack" });
      await page.locator("#preview-all [data-mark]").nth(6).waitFor();
      await page.locator("#s-format").evaluate((heading) => heading.scrollIntoView());
    });
  },
};
