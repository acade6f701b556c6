// The portal: a platform shows Settings > Webhooks in a frame of its own page, which is of another site, in a browser that
// blocks cookies of third parties.

import assert from "node:assert/strict";
import { createServer } from "node:http";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { DOCS } from "./stage.mjs";

/** A stand-in for the platform: its settings page makes a link by the API and shows it in a frame. Its name is another
    site than the daemon's address. */
async function platform(stage) {
  const seen = { settings: { company: "acme" }, heights: [], referrers: [] };
  const server = createServer(async (request, response) => {
    seen.referrers.push(request.headers.referer ?? "");
    const shown = request.url === "/settings" ? (await stage.api("POST", "/v1/portal-links", seen.settings)).url : seen.again;
    seen.again = shown;
    response.setHeader("content-type", "text/html; charset=utf-8");
    response.end(`<!doctype html><html lang="en"><title>Acme Phone · Settings</title>
<style>body{margin:0;font:16px system-ui;background:#fff7e6}header{padding:12px 24px;background:#3b2a6b;color:#fff}main{padding:24px}
iframe{width:100%;height:200px;border:1px solid #ccb;background:#fff;border-radius:8px}#other{height:1px;border:0}</style>
<header>Acme Phone &nbsp;·&nbsp; Settings &nbsp;›&nbsp; <b>Webhooks</b></header>
<main><iframe id="hooks" title="Webhooks" src="${shown}"></iframe><iframe id="other" title="Third party" src="${seen.third}"></iframe></main>
<script>addEventListener("message", (event) => {
  (window.said ??= []).push([event.origin, event.data]);
  if (event.data?.type === "hookswitch:height") document.getElementById("hooks").style.height = event.data.height + "px";
});</script>`);
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  stage.receivers.push(server);
  seen.origin = `http://localhost:${server.address().port}`;
  return seen;
}

/** A third party that tries an ordinary cookie: the control that the browser blocks those. */
async function thirdParty(stage) {
  const came = [];
  const server = createServer((request, response) => {
    came.push(request.headers.cookie ?? "");
    response.setHeader("set-cookie", "third=1; SameSite=None; Secure; Path=/");
    response.setHeader("content-type", "text/html");
    response.end(request.url === "/" ? '<meta http-equiv="refresh" content="0;url=/again">' : "again");
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  stage.receivers.push(server);
  return { came, url: `http://127.0.0.1:${server.address().port}/` };
}

const LOGO = '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 40 40"><circle cx="20" cy="20" r="20" fill="#3b2a6b"/></svg>';

async function embedding(stage, more = {}) {
  const acme = await platform(stage);
  const third = await thirdParty(stage);
  acme.third = third.url;
  const logo = join(stage.home, "logo.svg");
  writeFileSync(logo, LOGO);
  await stage.restart({
    HOOKSWITCH_PAGE__FRAME_ANCESTORS: JSON.stringify([acme.origin]),
    HOOKSWITCH_PAGE__NAME: "Acme Phone",
    HOOKSWITCH_PAGE__LOGO: logo,
    HOOKSWITCH_PAGE__ACCENT: "#ff9900",
    HOOKSWITCH_PAGE__SUPPORT_URL: "https://help.acme-phone.example/webhooks",
    ...more,
  });
  return { acme, third };
}

const frameOf = (page) => page.frameLocator("#hooks");

export const tests = {
  async "a customer sets up a webhook in the platform's own settings, to the first delivery in the log"(stage) {
    const { acme, third } = await embedding(stage);
    const receiver = await stage.receiver();
    const context = await stage.strictBrowser();
    const page = await context.newPage();
    acme.settings = { company: "acme", user: "Dana Whitfield" };
    await page.goto(`${acme.origin}/settings`);
    const hooks = frameOf(page);
    await hooks.getByRole("heading", { name: "No webhooks yet" }).waitFor();
    // The browser does block cookies of third parties.
    await stage.until("the third party", () => third.came.length >= 2);
    // The page's own cookie may come with them: cookies know no ports.
    assert.ok(third.came.every((cookie) => !cookie.includes("third=")), `a third party's cookie came back: ${third.came}`);
    // Nothing of the link is left where the frame is.
    const inner = page.frames().find((frame) => frame.url().startsWith(stage.url));
    assert.ok(!inner.url().includes("hsl_"), inner.url());
    assert.equal(await inner.evaluate(() => document.referrer.includes("hsl_")), false);
    const cookies = (await context.cookies(stage.url)).concat(await context.cookies());
    for (const cookie of cookies) assert.ok(cookie.httpOnly && cookie.secure, JSON.stringify(cookie));
    await page.screenshot({ path: join(DOCS, "portal-empty.png") });
    await hooks.getByRole("link", { name: "Add the first webhook" }).click();
    await hooks.getByLabel("Webhook URL").fill(`${receiver.url}/hook`);
    await hooks.getByRole("button", { name: "Test" }).click();
    await hooks.locator('[data-outcome="working"]').getByText("URL working").waitFor();
    for (const name of ["New call", "Finished call"]) await hooks.getByRole("checkbox", { name }).check();
    // The frame is as high as the page in it.
    await stage.until("the height", () =>
      page.evaluate(() => Math.abs(document.getElementById("hooks").clientHeight - (window.said?.at(-1)?.[1]?.height ?? 0)) <= 2),
    );
    const inside = await inner.evaluate(() => [document.documentElement.scrollHeight, window.innerHeight]);
    assert.ok(Math.abs(inside[0] - inside[1]) <= 2, `a scroll bar of its own: ${inside}`);
    // Chromium draws of a frame what is in the window: make that high enough.
    await page.setViewportSize({ width: 1280, height: 3_000 });
    await page.screenshot({ path: join(DOCS, "portal-new.png") });
    await page.setViewportSize({ width: 1280, height: 900 });
    await hooks.getByRole("button", { name: "Save" }).click();
    await hooks.locator("#saved").getByText("Saved.").waitFor();
    receiver.requests.length = 0;
    await stage.event("call.new", "c-1");
    await stage.until("the delivery", () => receiver.requests.length === 1);
    await hooks.getByRole("link", { name: "Logs" }).click();
    await hooks.getByRole("row").filter({ hasText: "New call" }).getByText("200").first().waitFor();
    await page.screenshot({ path: join(DOCS, "portal-logs.png") });
    for (const name of ["Calls", "Report", "Webhooks"]) {
      await hooks.getByRole("link", { name, exact: true }).click();
      await hooks.getByRole("heading", { level: 1 }).first().waitFor();
    }
    assert.equal(await hooks.getByRole("link", { name: "Keys" }).count(), 0);
    assert.equal(await hooks.getByRole("link", { name: "Status" }).count(), 0);
    const said = await page.evaluate(() => window.said);
    assert.ok(said.every(([origin, data]) => origin === stage.url && data.type === "hookswitch:height"), JSON.stringify(said));
    // Opened again, the same link is refused in plain words; the session that it opened is another matter.
    await context.clearCookies();
    await page.goto(`${acme.origin}/again`);
    await hooks.getByText("already been used").waitFor();
    await page.screenshot({ path: join(DOCS, "portal-used.png") });
    assert.ok(!stage.output.includes("hsl_"), "a link stands in the daemon's messages");
    stage.expectNoise(/status of 403/);
  },

  async "a session that ends is told in the frame, and to the platform"(stage) {
    const { acme } = await embedding(stage);
    const context = await stage.strictBrowser();
    const page = await context.newPage();
    await page.goto(`${acme.origin}/settings`);
    const hooks = frameOf(page);
    await hooks.getByRole("heading", { name: "No webhooks yet" }).waitFor();
    const [session] = (await stage.api("GET", "/v1/sessions")).items;
    await stage.api("DELETE", `/v1/sessions/${session.id}`);
    await hooks.getByRole("link", { name: "Logs" }).click();
    await hooks.getByText("Nobody is signed in here").waitFor();
    await stage.until("the message", () => page.evaluate(() => window.said.some(([, data]) => data.type === "hookswitch:signed-out")));
  },

  async "no other page may show it, nor a page of an operator"(stage) {
    const { acme } = await embedding(stage);
    const context = await stage.strictBrowser();
    const page = await context.newPage();
    const evil = await stage.receiver(() => [200, { "content-type": "text/html" }, `<iframe id="hooks" src="${acme.again}"></iframe>`]);
    acme.again = (await stage.api("POST", "/v1/portal-links", { company: "acme" })).url;
    await page.goto(evil.url.replace("127.0.0.1", "localhost"));
    await stage.until("the refusal", () => stage.noise.some((line) => /frame-ancestors/.test(line)));
    stage.expectNoise(/frame-ancestors|404/);
    // The link is not used up: the frame was never loaded.
    await page.goto(acme.again);
    await page.getByRole("heading", { name: "No webhooks yet" }).waitFor();
    // Back leads to where the link was found, and not to the link.
    const entries = await page.evaluate(() => history.length);
    assert.ok(entries <= 3, `${entries} entries`);
    assert.ok(!page.url().includes("hsl_"));
    await page.goBack();
    assert.ok(!page.url().includes("hsl_") && page.url().startsWith("http://localhost"), page.url());
    stage.expectNoise(/frame-ancestors|404/);
  },

  async "in a window of its own it is as accessible as the page, in the platform's colours"(stage) {
    await embedding(stage);
    await stage.subscribe("http://127.0.0.1:1/hook");
    for (const [width, height] of [[1440, 900], [360, 740]]) {
      for (const scheme of ["light", "dark"]) {
        const { url } = await stage.api("POST", "/v1/portal-links", { company: "acme", user: "Dana Whitfield", domain: null });
        const page = await stage.page({ width, height, scheme, token: null, at: new URL(url).pathname + new URL(url).hash });
        await page.getByRole("heading", { name: "Webhooks" }).waitFor();
        await page.waitForLoadState("networkidle");
        for (const view of ["/webhooks", "/webhooks/new", "/logs", "/calls", "/report"]) {
          await page.goto(stage.url + view);
          await page.waitForLoadState("networkidle");
          await stage.checkAccessible(page, `${view} in a portal (${width} px, ${scheme})`);
          if (view === "/webhooks" && (width === 1440) === (scheme === "light")) {
            await page.screenshot({ path: join(DOCS, `portal-window-${width}.png`) });
          }
        }
        await page.context().close();
      }
    }
  },
};
