// Settings > Webhooks: the seed's four steps, the test button, wrong input, secret, pausing, keyboard, hostile data.

import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";

const toast = (page) => page.locator("#saved");

async function save(page) {
  await page.getByRole("button", { name: "Save" }).click();
}

/** A certificate and its key, as PEM and as files. */
function identity(stage, name) {
  const files = { cert: join(stage.home, `${name}.crt`), key: join(stage.home, `${name}.key`) };
  const asked = ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-subj", `/CN=${name}`];
  execFileSync("openssl", [...asked, "-out", files.cert, "-keyout", files.key], { stdio: "ignore" });
  return { files, cert: readFileSync(files.cert, "utf8"), key: readFileSync(files.key, "utf8") };
}

/** The PHP receiver shown on `page`, run by PHP's built-in server with this secret. */
async function phpReceiver(stage, page, secret) {
  const file = join(stage.home, "receiver.php");
  writeFileSync(file, await page.locator("#snippet-php").textContent());
  const probe = createServer();
  await new Promise((resolve) => probe.listen(0, "127.0.0.1", resolve));
  const { port } = probe.address();
  await new Promise((resolve) => probe.close(resolve));
  const php = spawn("php", ["-S", `127.0.0.1:${port}`, file], { env: { ...process.env, WEBHOOK_SECRET: secret }, stdio: "ignore" });
  const url = `http://127.0.0.1:${port}/hook`;
  await stage.until("PHP", () => fetch(url, { method: "POST" }).then((reply) => reply.status === 401, () => false));
  return { url, stop: () => php.kill("SIGKILL") };
}

export const tests = {
  async "the seed's four steps, from an empty daemon to a delivered event"(stage) {
    const receiver = await stage.receiver(({ path }) => [path === "/hook" ? 200 : 404, {}, ""]);
    const page = await stage.page();
    await page.getByRole("heading", { name: "No webhooks yet" }).waitFor();
    await page.getByRole("link", { name: "Add the first webhook" }).click();
    // 2: the URL, and Test
    await page.getByLabel("Webhook URL").fill(`${receiver.url}/wrong`);
    await page.getByRole("button", { name: "Test" }).click();
    await page.locator('[data-outcome="404"]').getByText("not working").waitFor();
    await page.getByLabel("Webhook URL").fill(`${receiver.url}/hook`);
    await page.getByRole("button", { name: "Test" }).click();
    await page.locator('[data-outcome="working"]').getByText("URL working").waitFor();
    // 3: format and events, and Save
    await page.getByLabel("Form URL Encoded").check();
    await page.getByText("data[call_id]=").waitFor();
    for (const name of ["New call", "Finished call"]) await page.getByRole("checkbox", { name }).check();
    await page.getByLabel("Company", { exact: true }).last().fill("acme");
    await save(page);
    await page.waitForURL(/\/webhooks\/sub_.*\/code/);
    await toast(page).getByText("Saved.").waitFor();
    await page.getByText("Sample code").waitFor();
    // 4: the sample of an event
    await page.getByRole("link", { name: "Settings" }).click();
    const event = page.getByRole("listitem").filter({ has: page.getByRole("checkbox", { name: "Missed call" }) });
    await event.getByText("Read more").click();
    await event.getByText('"callstatus"').waitFor();
    // and it works
    receiver.requests.length = 0;
    await stage.event("call.new", "c-1");
    await stage.event("call.missed", "c-1");
    await stage.until("the delivery", () => receiver.requests.length === 1);
    assert.match(receiver.requests[0].body, /data%5Bcall_id%5D=c-1/);
    await stage.until("the log", async () => (await stage.api("GET", "/v1/log?test=false")).entries.length === 1);
    await page.goto(`${stage.url}/webhooks`);
    const row = page.getByRole("row").filter({ hasText: `${receiver.url.slice(7)}/hook` });
    assert.match(await row.innerText(), /200[\s\S]*100 %/);
  },

  async "a webhook is copied to other domains, chosen from those that post"(stage) {
    await stage.event("call.new", "c-1", {}, "www.acme.example");
    await stage.event("call.new", "c-2", {}, "shop.acme.example");
    const made = await stage.subscribe("http://127.0.0.1:1/hook", { domain: "www.acme.example" });
    const page = await stage.page({ at: `/webhooks/${made.id}/settings` });
    await page.getByRole("checkbox", { name: "shop.acme.example" }).check();
    await page.getByLabel("Or another one").fill("shpo.acme.example");
    await page.locator("#copy-other-unseen").waitFor();
    await page.getByRole("button", { name: "Copy to these domains" }).click();
    await page.locator("#copied").getByText("No event has been posted for shpo.acme.example yet").waitFor();
    await stage.checkAccessible(page, "a copied webhook");
    const all = (await stage.api("GET", "/v1/subscriptions")).items.map((one) => one.domain);
    assert.deepEqual(all.sort(), ["shop.acme.example", "shpo.acme.example", "www.acme.example"]);
    await page.getByLabel("Domain leave empty for all").fill("elsewhere.example");
    await page.locator("#domain-unseen").waitFor();
    await page.getByLabel("Domain leave empty for all").fill("www.acme.example");
    await page.locator("#domain-unseen").waitFor({ state: "hidden" });
  },

  async "Test names every outcome"(stage) {
    const slow = await stage.receiver(({ path }) => (path === "/never" ? null : [Number(path.slice(1)), path === "/302" ? { location: "/elsewhere" } : {}, "<b>the reply</b>"]));
    const page = await stage.page({ at: "/webhooks/new" });
    const tried = async (url, outcome, words, kind) => {
      await page.getByLabel("Webhook URL").fill(url);
      await page.getByRole("button", { name: "Test" }).click();
      const found = page.locator(`[data-outcome="${outcome}"]`);
      await found.getByText(words).first().waitFor();
      assert.match(await found.getAttribute("class"), new RegExp(kind), url);
      return found;
    };
    for (const [status, kind] of [[200, "good"], [404, "bad"], [302, "warn"], [401, "bad"], [500, "bad"], [503, "warn"]]) {
      await tried(`${slow.url}/${status}`, status === 200 ? "working" : status, String(status), kind);
    }
    const found = await tried(`${slow.url}/204`, "working", "204", "good");
    await found.getByText("Details").click();
    await found.getByText("Connection", { exact: true }).waitFor();
    await found.getByText(/^curl --globoff/).waitFor();
    await tried(`${slow.url}/500`, "500", "500", "bad");
    await page.getByText("Details").click();
    await page.getByLabel("The reply").getByText("<b>the reply</b>").waitFor();
    await tried(`${slow.url}/never`, "response_timeout", "phase", "bad");
    await tried("http://127.0.0.1:1/", "connection_refused", "running", "bad");
    await tried("http://no-such-name.invalid/", "name_not_found", "spelling", "bad");
    await tried("http://10.1.2.3/", "address_denied", "allow", "bad");
    await page.getByLabel("Webhook URL").fill("no url");
    await page.getByRole("button", { name: "Test" }).click();
    await page.locator('[data-pointer="/url"] .fault').waitFor();
    stage.expectNoise(/status of 422/);
  },

  async "wrong input is reported beside its field"(stage) {
    const page = await stage.page({ at: "/webhooks/new" });
    await save(page);
    for (const pointer of ["/url", "/events", "/company"]) await page.locator(`[data-pointer="${pointer}"] .fault`).waitFor();
    assert.equal(await page.evaluate(() => document.activeElement.id), "url");
    for (const words of ["Enter the URL.", "Select at least one event.", "Enter the company."]) await page.getByText(words).waitFor();
    await page.getByLabel("Webhook URL").fill(`http://127.0.0.1:1/${"x".repeat(10_000)}`);
    await page.getByLabel("Company", { exact: true }).last().fill("acme");
    await page.getByLabel("All events").check();
    await page.getByRole("button", { name: "Add a header" }).click();
    await page.getByLabel("Name of header 1").fill("Content-Length");
    await page.getByLabel("Value of header 1").fill("5");
    await page.getByText("Advanced settings").click();
    await page.getByLabel("Response timeout").fill("soon");
    await page.locator("#expire-call\\.new").fill("whenever");
    await save(page);
    await page.locator('[data-pointer="/url"] .fault').getByText("2048 bytes").waitFor();
    await page.locator("#headers li .fault").waitFor();
    await page.locator('[data-pointer="/timeout_ms"] .fault').waitFor();
    await page.locator(".expiry li .fault").waitFor();
    assert.equal(await page.locator('[data-pointer="/events"] .fault').count(), 0);
    await stage.checkAccessible(page, "a form with faults");
    assert.equal((await stage.api("GET", "/v1/subscriptions")).items.length, 0);
    stage.expectNoise(/status of 422/);
  },

  async "a URL is offered with https, samples fit, and going back shows no other webhook's preview"(stage) {
    const json = await stage.subscribe("http://127.0.0.1:1/a", { company: "acme", events: ["call.smsfollowup"] });
    const form = await stage.subscribe("http://127.0.0.1:1/b", { company: "globex", format: "form", events: ["call.missed"] });
    const page = await stage.page({ at: "/webhooks/new", width: 360, height: 740 });
    const offer = page.locator("#url-offer");
    for (const [typed, wanted] of [["www.acme.example/hook?a=b", "https://www.acme.example/hook?a=b"], ["http://acme.example", "https://acme.example"], ["localhost:8080/x", "http://localhost:8080/x"]]) {
      await page.getByLabel("Webhook URL").fill(typed);
      await page.getByLabel("Webhook URL").blur();
      await offer.getByRole("button").click();
      assert.equal(await page.getByLabel("Webhook URL").inputValue(), wanted);
      assert.equal(await offer.isVisible(), false);
    }
    for (const fine of ["https://acme.example", "http://127.0.0.1:1/", "ftp://acme.example", "no url"]) {
      await page.getByLabel("Webhook URL").fill(fine);
      await page.getByLabel("Webhook URL").blur();
      assert.equal(await offer.isVisible(), false, fine);
    }
    for (const width of [360, 768, 1440]) {
      await page.setViewportSize({ width, height: 800 });
      const over = await page.evaluate(() => {
        for (const one of document.querySelectorAll(".events details")) one.open = true;
        const samples = [...document.querySelectorAll(".events pre")];
        return samples.filter((one) => one.scrollWidth > one.clientWidth || one.getBoundingClientRect().right > innerWidth).length;
      });
      assert.equal(over, 0, `samples at ${width} px`);
    }
    page.on("dialog", (dialog) => dialog.accept());
    await page.goto(`${stage.url}/webhooks/${json.id}/settings`);
    await page.locator("#preview-body").getByText('"call.smsfollowup"').waitFor();
    await page.goto(`${stage.url}/webhooks/${form.id}/settings`);
    await page.locator("#preview-body").getByText("type=call.missed").waitFor();
    await page.goBack();
    await page.locator("#preview-body").getByText('"call.smsfollowup"').waitFor();
    assert.equal(await page.locator("#preview-event").inputValue(), "call.smsfollowup");
    await page.goForward();
    await page.locator("#preview-body").getByText("company=globex").waitFor();
  },

  async "all settings are saved, shown and changed; a header's value never comes back"(stage) {
    const receiver = await stage.receiver();
    const made = await stage.subscribe(`${receiver.url}/hook`, {
      headers: { "X-Key": "geheim" }, events: ["call.new"], expire_after: { "call.new": "10m" }, timeout_ms: 5000, sources: ["api"], layout: "flat",
    });
    const page = await stage.page({ at: `/webhooks/${made.id}/settings` });
    assert.ok(!(await page.content()).includes("geheim"));
    assert.equal(await page.getByLabel("Company", { exact: true }).last().getAttribute("readonly"), "");
    await page.locator("#domain").fill("www.acme.example");
    await page.getByText("Advanced settings").click();
    await page.getByLabel("Name for you").fill("the CRM");
    await page.getByLabel("Requests per second").fill("7");
    await save(page);
    await toast(page).getByText("Saved.").waitFor();
    const after = await stage.api("GET", `/v1/subscriptions/${made.id}`);
    assert.deepEqual([after.domain, after.description, after.rate_per_second, after.timeout_ms, after.layout], ["www.acme.example", "the CRM", 7, 5000, "flat"]);
    assert.deepEqual([after.sources, after.events, after.expire_after, after.headers], [["api"], ["call.new"], { "call.new": "10m" }, { "X-Key": null }]);
    // Testing sends the stored header.
    await page.getByRole("button", { name: "Test" }).click();
    await page.locator('[data-outcome="working"]').waitFor();
    assert.equal(receiver.requests.at(-1).headers["x-key"], "geheim");
    await page.getByRole("button", { name: "Remove header 1" }).click();
    await save(page);
    await stage.until("the header to be gone", async () => Object.keys((await stage.api("GET", `/v1/subscriptions/${made.id}`)).headers).length === 0);
  },

  async "a client certificate is entered, kept, replaced and removed; its key never comes back"(stage) {
    const [first, second] = [identity(stage, "first"), identity(stage, "second")];
    const page = await stage.page({ at: "/webhooks/new" });
    const [cert, key] = [page.locator("#client_cert"), page.locator("#client_key")];
    const fault = (name) => page.locator(`[data-pointer="/${name}"] .fault`);
    const stored = async () => (await stage.api("GET", "/v1/subscriptions")).items[0];
    const tested = async () => {
      const [request] = await Promise.all([page.waitForRequest(/\/test$/), page.getByRole("button", { name: "Test" }).click()]);
      await page.locator("[data-outcome]").waitFor();
      return [new URL(request.url()).pathname, request.postDataJSON()];
    };
    const advanced = () => page.getByText("Advanced settings").click();
    await page.getByLabel("Webhook URL").fill("https://127.0.0.1:1/hook");
    await page.getByLabel("Company", { exact: true }).last().fill("acme");
    await page.getByLabel("All events").check();
    await advanced();
    await cert.fill("not PEM");
    await save(page);
    await fault("client_cert").getByText("PEM").waitFor();
    await page.getByLabel("Certificate from a file").setInputFiles(first.files.cert);
    await stage.until("the file", async () => (await cert.inputValue()) === first.cert);
    await save(page);
    await fault("client_key").getByText("private key").waitFor();
    assert.deepEqual([await fault("client_cert").count(), await key.getAttribute("aria-invalid")], [0, "true"]);
    await stage.checkAccessible(page, "a certificate without its key");
    await page.getByLabel("Private key from a file").setInputFiles({ name: "big", mimeType: "text/plain", buffer: Buffer.alloc(100_000) });
    await page.getByText("big is too large").waitFor();
    await page.getByLabel("Private key from a file").setInputFiles(first.files.key);
    await stage.until("the file", async () => (await key.inputValue()) === first.key);
    const [path, asked] = await tested();
    assert.deepEqual([path, asked.client_cert, asked.client_key], ["/v1/test", first.cert, first.key]);
    await save(page);
    await page.waitForURL(/\/webhooks\/sub_/);
    await toast(page).getByText("Saved.").waitFor();
    await page.getByRole("link", { name: "Settings" }).click();
    const made = await stored();
    assert.equal(made.client_cert, first.cert);

    const hidden = async () => {
      assert.ok(!(await page.content()).includes("PRIVATE KEY"));
      assert.equal(await key.inputValue(), "");
    };
    await hidden();
    assert.equal((await tested())[0], `/v1/subscriptions/${made.id}/test`, "what is stored is shown");
    await page.getByLabel("Name for you").fill("the bank");
    await save(page);
    await stage.until("the name", async () => (await stored()).description === "the bank");
    assert.equal((await stored()).client_cert, first.cert, "it stays");
    await toast(page).getByText("Saved.").waitFor();
    await advanced();
    await cert.fill(second.cert);
    await save(page);
    await fault("client_key").getByText("not the key").waitFor();
    await key.fill(second.key);
    await save(page);
    await stage.until("the other certificate", async () => (await stored()).client_cert === second.cert);
    await toast(page).getByText("Saved.").waitFor();
    await hidden();
    await advanced();
    await page.getByRole("button", { name: "Remove the client certificate" }).click();
    await page.getByText("removed once you save").waitFor();
    await save(page);
    await stage.until("its removal", async () => (await stored()).client_cert === null);
    await toast(page).getByText("Saved.").waitFor();
    assert.equal(await page.getByRole("button", { name: "Remove the client certificate" }).count(), 0);
    stage.expectNoise(/status of 422/);
  },

  async "a receiver that checks the signature answers 200 to Test before saving and after"(stage) {
    const page = await stage.page({ at: "/webhooks/new?company=acme" });
    const field = page.getByLabel("Signing secret");
    const secret = await field.inputValue();
    assert.match(secret, /^whsec_[A-Za-z0-9+/]{43}=$/);
    await page.getByLabel("Form URL Encoded").check();
    await page.getByText("data[call_id]=").waitFor();
    await page.locator("#snippet-php").getByText("parse_str").waitFor({ state: "attached" });
    await stage.checkAccessible(page, "a new webhook with its secret");
    const receiver = await phpReceiver(stage, page, secret);
    const tested = async () => {
      const [request] = await Promise.all([page.waitForRequest(/\/test$/), page.getByRole("button", { name: "Test" }).click()]);
      await page.getByText("Testing…").waitFor({ state: "detached" });
      const outcome = page.locator("[data-outcome]");
      await outcome.waitFor();
      return [request.postDataJSON(), await outcome.getAttribute("data-outcome"), await outcome.innerText()];
    };
    try {
      await page.getByLabel("Webhook URL").fill(receiver.url);
      await page.getByRole("checkbox", { name: "Missed call" }).check();
      assert.equal((await tested())[1], "working");
      await page.reload();
      assert.equal(await field.inputValue(), secret, "the same for this browser, until it is saved");
      await page.getByLabel("Webhook URL").fill(receiver.url);
      await page.getByLabel("Form URL Encoded").check();
      await page.getByRole("checkbox", { name: "Missed call" }).check();
      await page.getByLabel("Company", { exact: true }).last().fill("acme");
      await field.fill("whsec_c2hvcnQ=");
      await save(page);
      await page.locator('[data-pointer="/secret"] .fault').getByText("24 to 64 bytes").waitFor();
      await field.fill(secret);
      await save(page);
      await page.waitForURL(/\/webhooks\/sub_/);
      await toast(page).getByText("Saved.").waitFor();
      await page.getByRole("link", { name: "Settings" }).click();
      const made = (await stage.api("GET", "/v1/subscriptions")).items[0];
      assert.equal((await stage.api("GET", `/v1/subscriptions/${made.id}/secret`)).secret, secret);
      const [asked, outcome] = await tested();
      assert.deepEqual([asked.event, outcome], ["call.missed", "working"]);
      // Unsaved edits are tested, too, and signed with the stored secret.
      await page.getByLabel("Webhook URL").fill(`${receiver.url}/edited`);
      const [edited, again] = await tested();
      assert.deepEqual([edited.settings.url, again], [`${receiver.url}/edited`, "working"]);
      const entries = await stage.until("the log", async () => {
        const { entries } = await stage.api("GET", "/v1/log?test=true");
        return entries.length === 2 && entries;
      });
      assert.deepEqual(entries.map((entry) => [entry.url, entry.event, entry.response]), [[`${receiver.url}/edited`, "call.missed", 204], [receiver.url, "call.missed", 204]]);
      assert.equal((await stage.api("GET", `/v1/subscriptions/${made.id}`)).url, receiver.url, "nothing was saved");
      // A receiver with another secret: the likely cause is named.
      await stage.api("POST", `/v1/subscriptions/${made.id}/rotate-secret`, { overlap: "0s" });
      const [, refused, words] = await tested();
      assert.equal(refused, "401");
      assert.match(words, /signature with another secret/);
      // The next new webhook has another.
      const next = await page.context().newPage();
      await next.goto(`${stage.url}/webhooks/new`);
      assert.notEqual(await next.getByLabel("Signing secret").inputValue(), secret);
      page.once("dialog", (dialog) => dialog.accept());
      await page.getByLabel("Webhook URL").fill(receiver.url);
    } finally {
      receiver.stop();
    }
    stage.expectNoise(/status of 422/);
  },

  async "the secret is shown on request and rotated, also to a given one"(stage) {
    const made = await stage.subscribe("http://127.0.0.1:1/");
    const page = await stage.page({ at: `/webhooks/${made.id}/code` });
    const secret = page.locator("#secret-text");
    const stored = async () => (await stage.api("GET", `/v1/subscriptions/${made.id}/secret`)).secret;
    const before = await stored();
    assert.ok(!(await page.content()).includes(before));
    await page.getByRole("button", { name: "Show" }).click();
    await secret.getByText(before).waitFor();
    await page.getByRole("button", { name: "Hide" }).click();
    await secret.getByText("•••").waitFor();
    await page.getByRole("button", { name: "Rotate" }).click();
    const dialog = page.getByRole("dialog");
    await stage.checkAccessible(page, "the dialog of the rotation");
    await dialog.getByRole("button", { name: "Cancel" }).click();
    assert.equal(await stored(), before);
    await page.getByRole("button", { name: "Rotate" }).click();
    await dialog.getByLabel("The old secret also").selectOption("1h");
    await dialog.getByRole("button", { name: "Rotate" }).click();
    await page.getByText("This is the new secret").waitFor();
    assert.notEqual(await stored(), before);
    assert.equal(await secret.textContent(), await stored());
    const given = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    await page.getByRole("button", { name: "Rotate" }).click();
    await dialog.getByLabel("The new secret").fill(given);
    await dialog.getByRole("button", { name: "Rotate" }).click();
    await secret.getByText(given).waitFor();
    assert.equal(await stored(), given);
  },

  async "pausing keeps new deliveries, resuming sends them, discarding and deleting name what is lost"(stage) {
    const receiver = await stage.receiver();
    const made = await stage.subscribe(receiver.url);
    const page = await stage.page({ at: `/webhooks/${made.id}` });
    const dialog = page.getByRole("dialog");
    const press = async (name, words) => {
      await page.getByRole("button", { name, exact: true }).click();
      await dialog.getByText(words).waitFor();
      await dialog.getByRole("button", { name: name.split(" ")[0], exact: true }).click();
    };
    await press("Pause", "Nothing is waiting at the moment.");
    await page.getByText("Paused", { exact: true }).waitFor();
    await stage.event("call.new", "c-1");
    await stage.event("call.finished", "c-1");
    await page.reload();
    await page.getByRole("button", { name: "Resume" }).click();
    await page.getByText("Active", { exact: true }).waitFor();
    await stage.until("both in order", () => receiver.requests.length === 2);
    assert.deepEqual(receiver.requests.map((request) => JSON.parse(request.body).type), ["call.new", "call.finished"]);
    await press("Pause", "sent, in order");
    await page.getByText("Paused", { exact: true }).waitFor();
    await stage.event("call.new", "c-2");
    await page.reload();
    await press("Discard waiting deliveries", "1 delivery is waiting.");
    await stage.until("nothing to wait", async () => (await stage.api("GET", `/v1/subscriptions/${made.id}`)).waiting === 0);
    await page.getByRole("button", { name: "Delete", exact: true }).click();
    await dialog.getByText("Waiting deliveries are cancelled").waitFor();
    await page.keyboard.press("Escape");
    assert.equal((await stage.api("GET", "/v1/subscriptions")).items.length, 1);
    await press("Delete", "Waiting deliveries are cancelled");
    await page.getByRole("heading", { name: "No webhooks yet" }).waitFor();
    assert.equal(receiver.requests.length, 2);
  },

  async "a webhook's page shows its attempts, filters them, and sends what failed again after counting it"(stage) {
    let broken = true;
    const receiver = await stage.receiver(({ path, body }) => [path === "/other" || !broken || /call\.finished/.test(body) ? 200 : 410, {}, ""]);
    const made = await stage.subscribe(`${receiver.url}/hook`, { description: "the CRM", ordering: "none" });
    await stage.subscribe(`${receiver.url}/other`);
    await stage.event("call.finished", "c-1");
    await stage.until("a success", async () => (await stage.api("GET", `/v1/log?subscription=${made.id}&response=200`)).entries.length === 1);
    await stage.event("call.new", "c-2");
    await stage.until("a failure", async () => (await stage.api("GET", `/v1/log?subscription=${made.id}&response=410`)).entries.length === 1);
    const page = await stage.page({ at: `/webhooks/${made.id}` });
    const rows = page.locator(".log > tbody > tr:not(.opened)");
    assert.equal(await rows.count(), 2, "its own attempts only");
    await page.getByText("410 Gone").waitFor();
    assert.match(await page.locator("#state").innerText(), /Last 24 hours[\s\S]*50 %[\s\S]*Last 7 days[\s\S]*50 %/);
    await page.getByRole("combobox", { name: "Event" }).selectOption({ label: "New call" });
    await page.waitForURL(/event=call.new/);
    assert.equal(await rows.count(), 1);
    await rows.first().locator("a.opens").click();
    await page.locator("article.entry").waitFor();
    broken = false;
    await page.getByRole("button", { name: "Resume" }).click();
    await page.getByRole("button", { name: "Pause" }).waitFor();
    await page.getByRole("button", { name: "Recover failed…" }).click();
    const dialog = page.getByRole("dialog");
    await dialog.getByText("1 event would be sent.").waitFor();
    await dialog.getByText("Europe/Berlin").waitFor();
    await stage.checkAccessible(page, "the dialog of a replay");
    await dialog.getByLabel("Which").selectOption({ label: "All events" });
    await dialog.getByText("2 events would be sent.").waitFor();
    await dialog.getByLabel("From").fill("2037-01-01T00:00");
    await dialog.getByText("Nothing would be sent.").waitFor();
    await dialog.getByRole("button", { name: "Cancel" }).click();
    const before = receiver.requests.length;
    await page.getByRole("button", { name: "Recover failed…" }).click();
    await dialog.getByText("1 event would be sent.").waitFor();
    await dialog.getByRole("button", { name: "Send again" }).click();
    await page.getByText("1 event is on the way again.").waitFor();
    await stage.until("the event", () => receiver.requests.length === before + 1);
    await stage.until("its row", async () => (await rows.count()) === 2);
    await page.goto(`${stage.url}/webhooks/${made.id}`);
    await page.getByText("Active", { exact: true }).waitFor();
  },

  async "a webhook is created by keyboard alone"(stage) {
    const receiver = await stage.receiver();
    const page = await stage.page({ token: null, at: "/webhooks/new" });
    const press = (...keys) => keys.reduce((before, key) => before.then(() => page.keyboard.press(key)), Promise.resolve());
    const tabTo = async (test) => {
      for (let presses = 0; presses < 80; presses++) {
        if (await page.evaluate(test)) return;
        await press("Tab");
      }
      throw new Error(`no way by keyboard to ${test}`);
    };
    await tabTo('document.activeElement.id === "token"');
    await page.keyboard.type(stage.token);
    await press("Enter");
    await page.waitForURL("**/webhooks/new");
    await press("Tab");
    assert.equal(await page.evaluate("document.activeElement.textContent"), "Skip to content");
    await press("Enter");
    await tabTo('document.activeElement.id === "url"');
    await page.keyboard.type(`${receiver.url}/hook`);
    await press("Tab", "Enter");
    await page.locator('[data-outcome="working"]').waitFor();
    await tabTo('document.activeElement.value === "call.new"');
    await press("Space");
    await tabTo('document.activeElement.id === "company"');
    await page.keyboard.type("acme");
    await tabTo('document.activeElement.id === "save"');
    await press("Enter");
    await page.waitForURL(/\/webhooks\/sub_/);
    const made = (await stage.api("GET", "/v1/subscriptions")).items[0];
    assert.deepEqual([made.events, made.company], [["call.new"], "acme"]);
  },

  async "hostile data is shown as text"(stage) {
    const hostile = `"'><script>window.hit = 1</script><img src=x onerror="window.hit = 1">`;
    const receiver = await stage.receiver(() => [200, { "x-hostile": hostile }, hostile]);
    const made = await stage.subscribe(`${receiver.url}/?${encodeURIComponent("‮" + hostile)}${"x".repeat(1_500)}`, {
      company: hostile, domain: hostile, description: `‮مرحبا ${hostile}`, headers: { "X-Key": "v" },
    });
    for (const at of ["/webhooks", `/webhooks/${made.id}`, `/webhooks/${made.id}/settings`, `/webhooks/${made.id}/code`, "/status", `/webhooks?company=${encodeURIComponent(hostile)}`]) {
      for (const width of [1440, 360]) {
        const page = await stage.page({ at, width });
        await page.waitForLoadState("networkidle");
        if (at.endsWith("/settings")) {
          await page.getByRole("button", { name: "Test" }).click();
          await page.locator('[data-outcome="working"]').getByText("Details").click();
        }
        if (at.endsWith(made.id)) {
          await page.getByRole("button", { name: "Delete" }).click();
          await page.getByRole("dialog").waitFor();
        }
        assert.equal(await page.evaluate("window.hit"), undefined);
        await stage.checkAccessible(page, `${at} with hostile data`);
        assert.equal(await page.locator("main img").count(), 0);
        await page.context().close();
      }
    }
  },

  async "a webhook is known by its name and its path in every view, and ids are copied whole"(stage) {
    const receiver = await stage.receiver(({ path }) => [path === "/gone" ? 410 : path === "/missing" ? 404 : 200, {}, ""]);
    const made = await stage.subscribe(`${receiver.url}/missing`, { description: "the CRM" });
    await stage.subscribe(`${receiver.url}/plain?key=1`);
    await stage.subscribe(`${receiver.url}/gone`, { description: "the old one", events: ["call.new"] });
    await stage.event("call.new", "c-1", { lead_name: "Dana Whitfield" });
    await stage.until("the log", async () => (await stage.api("GET", "/v1/log?response=404")).entries.length > 0);
    await stage.until("a dead letter", async () => (await stage.api("GET", "/v1/deliveries?state=failed")).items.length === 1);
    await stage.api("POST", `/v1/subscriptions/${made.id}/rotate-secret`, {});
    const host = receiver.url.slice(7);
    const page = await stage.page();
    const shows = async (place, ...words) => {
      const text = await place.innerText();
      for (const one of words) assert.ok(text.includes(one), `${one} in ${text}`);
    };
    const row = (name) => page.getByRole("row").filter({ hasText: name }).first();
    await shows(row("the CRM"), `${host}/missing`, "Failing", "404");
    await shows(row(`${host}/plain`), "Active");
    await page.goto(`${stage.url}/logs?subscription=${made.id}`);
    await shows(row("the CRM"), `${host}/missing`, "Dana Whitfield", "+1 202 555 0143", "c-1");
    assert.match(await page.getByRole("combobox", { name: "Webhook" }).locator("option:checked").innerText(), /^the CRM \(127.*\/missing\)/);
    await page.goto(`${stage.url}/logs/dead-letters`);
    await shows(row("the old one"), `${host}/gone`, "Dana Whitfield", "Disabled");
    await page.goto(`${stage.url}/status`);
    await shows(row("the CRM"), `${host}/missing`, "Failing");
    await page.goto(`${stage.url}/activity`);
    await shows(row("Secret rotated"), "the CRM", made.id);
    await page.goto(`${stage.url}/calls/c-1?company=acme`);
    await shows(page.locator(".timeline"), "New call to the CRM", `New call to ${host}/plain`);
    const [entry] = (await stage.api("GET", `/v1/log?subscription=${made.id}`)).entries;
    await page.goto(`${stage.url}/logs/${entry.id}`);
    assert.equal(await page.title(), "New call to the CRM · Hookswitch");
    await page.context().grantPermissions(["clipboard-read", "clipboard-write"]);
    await page.setViewportSize({ width: 360, height: 740 });
    for (const id of [entry.id, entry.event_id, entry.delivery]) {
      await page.getByRole("button", { name: `Copy ${id}` }).click();
      await stage.until("the copy", async () => (await page.evaluate("navigator.clipboard.readText()")) === id);
      const lines = await page.locator(".id code", { hasText: id }).evaluate((code) => code.getBoundingClientRect().height / parseFloat(getComputedStyle(code).lineHeight));
      assert.ok(lines < 1.5, `${id} takes ${lines} lines`);
    }
    await page.goto(`${stage.url}/webhooks/${made.id}`);
    assert.equal(await page.title(), "the CRM · Hookswitch");
    await page.getByText("Failing", { exact: true }).waitFor();
  },

  async "the list is read without scripts; a reader cannot change"(stage) {
    const made = await stage.subscribe("http://127.0.0.1:1/hook", { description: "the CRM" });
    const plain = await stage.page({ scripts: false });
    await plain.getByText("the CRM").waitFor();
    await plain.getByText("127.0.0.1:1/hook").waitFor();
    await plain.getByRole("link", { name: "the CRM" }).click();
    await plain.getByRole("link", { name: "Settings" }).click();
    await plain.locator("noscript p").waitFor();
    assert.equal(await plain.getByRole("button", { name: "Save" }).isVisible(), false);
    const { token } = await stage.api("POST", "/v1/tokens", { role: "read", company: "acme" });
    const reader = await stage.page({ token, at: `/webhooks/${made.id}/settings` });
    assert.equal(await reader.getByRole("button", { name: "Save" }).count(), 0);
    await reader.getByRole("link", { name: "Code" }).click();
    await reader.getByText("Sample code").waitFor();
    assert.equal(await reader.locator("#secret").count(), 0);
    await reader.locator(".tabs").getByRole("link", { name: "Activity" }).click();
    await reader.getByText("Nothing sent yet").waitFor();
    assert.equal(await reader.getByRole("button", { name: "Delete" }).count(), 0);
    await reader.goto(`${stage.url}/webhooks/new`);
    await reader.getByRole("heading", { name: "Not allowed" }).waitFor();
    stage.expectNoise(/status of 40[34]/);
    assert.equal(await reader.locator("#company-switch").count(), 0);
  },

  async "the views are accessible in both themes at both widths"(stage) {
    const receiver = await stage.receiver(({ path }) => [path === "/crm" ? 200 : 500, {}, ""]);
    await stage.look("empty", "/webhooks");
    const crm = await stage.subscribe(`${receiver.url}/crm`, { description: "CRM of the sales team", domain: "www.acme.example", events: ["call.new", "call.missed", "call.finished", "call.claimed"], headers: { Authorization: "x" } });
    await stage.subscribe(`${receiver.url}/reports`, { format: "form", company: "globex" });
    const paused = await stage.subscribe(`${receiver.url}/old`);
    await stage.api("PATCH", `/v1/subscriptions/${paused.id}`, { enabled: false });
    for (let call = 0; call < 12; call++) await stage.event("call.new", `c-${call}`, {}, "www.acme.example");
    await stage.api("POST", "/v1/events", { type: "call.new", company: "globex", source: "api", data: { call_id: "g" } });
    await stage.until("the deliveries", () => receiver.requests.length > 12);
    await stage.look("webhooks", "/webhooks");
    await stage.look("new", "/webhooks/new");
    await stage.look("webhook-activity", `/webhooks/${crm.id}`);
    await stage.look("webhook-code", `/webhooks/${crm.id}/code`);
    await stage.look("webhook", `/webhooks/${crm.id}/settings`, async (page) => {
      await page.getByRole("button", { name: "Test" }).click();
      await page.locator("[data-outcome]").waitFor();
    });
    await stage.look("problem", "/webhooks/sub_01K40000000000000000000000");
    stage.expectNoise(/status of 404/);
  },
};
