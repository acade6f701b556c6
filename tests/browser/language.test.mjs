// The page in the language of its viewer: by the browser, the switch and the portal link; Activity; owners of a webhook.

import assert from "node:assert/strict";

/** A page in a browser of this locale, signed in. */
async function inLocale(stage, locale, at, options = {}) {
  const page = await stage.page({ ...options, locale, token: null, at });
  await page.locator("#token").fill(stage.token);
  await page.locator("form.sign-in button").click();
  await page.waitForURL((url) => url.pathname !== "/sign-in");
  return page;
}

export const tests = {
  async "a German reads times, numbers, plurals and dialogs in German"(stage) {
    const receiver = await stage.receiver(({ path }) => [path === "/gone" ? 410 : 200, {}, ""]);
    const made = await stage.subscribe(`${receiver.url}/hook`, { events: ["call.new"] });
    await stage.subscribe(`${receiver.url}/gone`, { events: ["call.missed"] });
    await stage.event("call.new", "c-1");
    await stage.event("call.missed", "c-1");
    await stage.until("the dead letter", async () => (await stage.api("GET", "/v1/deliveries?state=failed")).items.length === 1);
    const page = await inLocale(stage, "de-AT", `/webhooks/${made.id}`);
    assert.equal(await page.locator("html").getAttribute("lang"), "de");
    const wanted = new Intl.DateTimeFormat("de-AT", { day: "numeric", month: "short", hour: "numeric", minute: "2-digit", second: "2-digit", timeZone: "Europe/Berlin" }).format(new Date(made.created_at));
    assert.equal(await page.locator("#state time").last().textContent(), wanted);
    const [date, time] = [made.created_at.slice(0, 10).split("-").reverse().join("."), made.created_at.slice(11, 19)];
    assert.equal(await page.locator("#state time").last().getAttribute("title"), `${date}, ${time} UTC`);
    await page.getByRole("button", { name: "Anhalten" }).click();
    await page.getByRole("dialog").getByText("Im Moment wartet nichts.").waitFor();
    await page.getByRole("dialog").getByRole("button", { name: "Anhalten" }).click();
    await page.getByText("Angehalten", { exact: true }).waitFor();
    await stage.event("call.new", "c-2");
    await stage.until("what waits", async () => (await stage.api("GET", `/v1/subscriptions/${made.id}`)).waiting === 1);
    await page.reload();
    await page.getByRole("button", { name: "Löschen", exact: true }).click();
    await page.getByRole("dialog").getByText("1 Zustellung wartet.").waitFor();
    await page.getByRole("dialog").getByRole("button", { name: "Abbrechen" }).click();
    await page.getByRole("link", { name: "Einstellungen" }).click();
    await page.getByRole("button", { name: "Testen" }).click();
    await page.locator('[data-outcome="working"]').getByText("Die URL funktioniert und antwortet.").waitFor();
    assert.equal(await page.locator('[data-outcome="working"] summary').innerText().then((text) => /^Details \(\d+ ms\)$/.test(text)), true);
    await page.goto(`${stage.url}/logs/dead-letters`);
    await page.getByRole("button", { name: "Alle erneut zustellen" }).click();
    await page.getByRole("dialog").getByText("1 unzustellbares Ereignis erneut zustellen?").waitFor();
    await page.keyboard.press("Escape");
    await page.goto(`${stage.url}/logs`);
    await page.getByRole("link", { name: "Verpasster Anruf" }).first().click();
    await page.locator("article.entry").getByRole("heading", { name: "Anfrage" }).waitFor();
  },

  async "the switch is kept, and needs no scripts"(stage) {
    const page = await inLocale(stage, "en-GB", "/logs?status=failed");
    await page.getByLabel("Language").selectOption("es");
    await page.getByRole("heading", { name: "Registros" }).waitFor();
    assert.equal(new URL(page.url()).search, "?status=failed");
    await page.getByRole("link", { name: "Llamadas" }).click();
    await page.getByRole("heading", { name: "Llamadas", exact: true }).waitFor();
    await page.getByRole("button", { name: "Cerrar sesión" }).click();
    await page.getByRole("heading", { name: "Iniciar sesión" }).waitFor();
    await stage.checkAccessible(page, "the sign-in in Spanish");
    const plain = await stage.page({ scripts: false, locale: "de-DE", token: null, at: "/sign-in" });
    await plain.locator("#language").selectOption("en");
    await plain.getByRole("button", { name: "Anzeigen" }).click();
    await plain.getByRole("heading", { name: "Sign in" }).waitFor();
  },

  async "every view fits and is accessible in German and Spanish"(stage) {
    const receiver = await stage.receiver();
    const made = await stage.subscribe(`${receiver.url}/hook`, { description: "CRM", domain: "www.acme.example" });
    await stage.event("call.missed", "c-1", {}, "www.acme.example");
    await stage.until("the log", async () => (await stage.api("GET", "/v1/log")).entries.length === 1);
    for (const locale of ["de-DE", "es-ES"]) {
      for (const width of [1440, 360]) {
        const page = await inLocale(stage, locale, "/webhooks", { width, height: width === 360 ? 740 : 900 });
        for (const path of ["/webhooks", `/webhooks/${made.id}`, `/webhooks/${made.id}/settings`, `/webhooks/${made.id}/code`, "/webhooks/new", "/logs", "/logs/dead-letters", "/calls", "/calls/c-1?company=acme", "/report", "/activity", "/keys", "/status"]) {
          await page.goto(stage.url + path);
          await page.waitForLoadState("networkidle");
          await stage.checkAccessible(page, `${path} in ${locale} (${width} px)`);
        }
        await page.context().close();
      }
    }
  },

  async "Activity shows who changed what, is filtered, and says when nothing matches"(stage) {
    const made = await stage.subscribe("http://127.0.0.1:1/hook");
    await stage.api("PATCH", `/v1/subscriptions/${made.id}`, { url: "http://127.0.0.1:1/other" });
    await stage.api("GET", `/v1/subscriptions/${made.id}/secret`);
    const page = await stage.page({ at: "/activity" });
    const rows = page.locator("table.activity tbody tr");
    await rows.filter({ hasText: "Webhook created" }).waitFor();
    const change = rows.filter({ hasText: "Webhook changed" });
    assert.equal(await change.locator("del").first().textContent(), "http://127.0.0.1:1/hook");
    assert.equal(await change.locator("ins").first().textContent(), "http://127.0.0.1:1/other");
    await page.getByLabel("What").selectOption("subscription.show_secret");
    await page.waitForURL(/action=subscription.show_secret/);
    assert.equal(await rows.count(), 1);
    assert.ok(!(await page.content()).includes("whsec_"));
    await page.getByLabel("Who").fill("nobody of this name");
    await page.getByRole("button", { name: "Search" }).click();
    await page.getByText("No entries match").waitFor();
    await page.getByRole("link", { name: "Show all" }).click();
    await rows.filter({ hasText: "Webhook created" }).waitFor();
    await stage.look("activity", "/activity");
  },

  async "owners of a webhook are entered in its form; names that never posted say so"(stage) {
    await stage.restart({ HOOKSWITCH_ALERTS__SMTP_URL: "smtp://127.0.0.1:1?tls=none", HOOKSWITCH_ALERTS__MAIL_FROM: "hooks@platform.example" });
    await stage.event("call.new", "c-1", {}, "www.acme.example");
    await stage.until("the report", async () => (await stage.api("GET", "/v1/report/calls")).totals.calls === 1);
    const receiver = await stage.receiver();
    const page = await stage.page({ at: "/webhooks/new" });
    await page.getByLabel("Webhook URL").fill(receiver.url);
    const company = page.locator("#company");
    await company.fill("acmee");
    await page.locator("#company-unseen").waitFor();
    await company.fill("acme");
    await company.blur();
    await page.locator("#company-unseen").waitFor({ state: "hidden" });
    await stage.until("the domains of the company", () => page.locator("#domains option").count());
    await page.locator("#domain").fill("wwww.acme.example");
    await page.locator("#domain-unseen").waitFor();
    await page.locator("#domain").fill("www.acme.example");
    await page.locator("#domain-unseen").waitFor({ state: "hidden" });
    await page.getByLabel("All events").check();
    await page.getByText("Advanced settings").click();
    await page.getByLabel("With a key pair").check();
    await page.getByText("appears here after saving").waitFor();
    await page.getByLabel("Notify").fill("it@acme.example\nnot an address");
    await page.getByRole("button", { name: "Save" }).click();
    await page.locator('[data-pointer="/notify"] .fault').first().waitFor();
    stage.expectNoise(/status of 422/);
    await page.getByLabel("Notify").fill("it@acme.example, boss@acme.example");
    await page.getByRole("button", { name: "Save" }).click();
    await page.waitForURL(/\/webhooks\/sub_/);
    await page.getByRole("link", { name: "Settings" }).click();
    const [made] = (await stage.api("GET", "/v1/subscriptions")).items;
    assert.deepEqual(made.notify, ["it@acme.example", "boss@acme.example"]);
    await page.getByText("Advanced settings").click();
    assert.equal(await page.getByLabel("Notify").inputValue(), "it@acme.example\nboss@acme.example");
    await page.getByText("whpk_").first().waitFor();
    await page.getByLabel("Notify").fill("");
    await page.getByRole("button", { name: "Save" }).click();
    await stage.until("nobody", async () => (await stage.api("GET", `/v1/subscriptions/${made.id}`)).notify.length === 0);
  },
};
