// The fixture of a test: a daemon with an empty directory, receivers, and a browser, signed in or not.

import { spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import assert from "node:assert/strict";

const require = createRequire(join(process.env.NODE_PATH ?? process.cwd(), "x.js"));
const { chromium } = require("playwright-core");
const axeSource = readFileSync(require.resolve("axe-core/axe.min.js"), "utf8");
export const DOCS = join(import.meta.dirname, "../../src/http/page/docs");
// Longer than any successful step takes.
const PATIENCE = 15_000;

const QUIET = ["--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"];

let browser;
async function launched() {
  if (!browser?.isConnected()) {
    const executablePath = process.env.CHROMIUM ?? "/usr/bin/chromium";
    browser = await chromium.launch({ executablePath, args: ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", ...QUIET] });
  }
  return browser;
}

export async function closeBrowser() {
  await browser?.close();
}

export class Stage {
  static async open(binary) {
    const stage = new Stage();
    stage.home = mkdtempSync(join(tmpdir(), "hookswitch-page-"));
    stage.output = "";
    stage.noise = [];
    stage.contexts = [];
    stage.receivers = [];
    stage.binary = binary;
    await stage.start({});
    return stage;
  }

  /** Starts the daemon with these variables beside the usual ones. */
  async start(variables) {
    const data = join(this.home, "data");
    this.output = "";
    this.daemon = spawn(this.binary, ["serve", "--data-dir", data, "--listen", "127.0.0.1:0", "--allow", "127.0.0.0/8"], {
      env: {
        PATH: process.env.PATH,
        HOOKSWITCH_RETRY__INITIAL_DELAY: "200ms",
        HOOKSWITCH_SENDERS__TIMEOUT: "1s",
        HOOKSWITCH_SENDERS__CONNECT_TIMEOUT: "1s",
        ...variables,
      },
    });
    const gather = (bytes) => (this.output += bytes);
    this.daemon.stdout.on("data", gather);
    this.daemon.stderr.on("data", gather);
    await this.until("the daemon to listen", () => /listening on (\S+)/.exec(this.output));
    this.url = /listening on (\S+)/.exec(this.output)[1];
    this.token = readFileSync(join(data, "admin.token"), "utf8").trim();
  }

  /** Starts the daemon anew, with these variables. */
  async restart(variables) {
    await this.end();
    await this.start(variables);
  }

  /** Waits until `look` returns something truthy; returns it. */
  async until(what, look) {
    const end = Date.now() + PATIENCE;
    for (;;) {
      const found = await look();
      if (found) return found;
      if (Date.now() > end) throw new Error(`waited in vain for ${what}`);
      await new Promise((resolve) => setTimeout(resolve, 25));
    }
  }

  /** A receiver; `answer` returns `[status, headers, body]` for a request, or null to never answer. */
  async receiver(answer = () => [200, {}, "ok"]) {
    const requests = [];
    const server = createServer((request, response) => {
      let body = "";
      request.on("data", (piece) => (body += piece));
      request.on("end", () => {
        const seen = { path: request.url, headers: request.headers, body };
        requests.push(seen);
        const given = answer(seen);
        if (given) response.writeHead(given[0], given[1] ?? {}).end(given[2] ?? "");
      });
    });
    await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
    this.receivers.push(server);
    return { requests, url: `http://127.0.0.1:${server.address().port}`, server };
  }

  /** Calls the API with the admin token. */
  async api(method, path, body) {
    const reply = await fetch(this.url + path, {
      method,
      headers: { Authorization: `Bearer ${this.token}`, "Content-Type": "application/json" },
      body: body === undefined ? undefined : JSON.stringify(body),
    });
    const text = await reply.text();
    if (!reply.ok) throw new Error(`${method} ${path}: ${reply.status} ${text}`);
    return text ? JSON.parse(text) : null;
  }

  subscribe(url, more = {}) {
    return this.api("POST", "/v1/subscriptions", { company: "acme", url, events: ["*"], ...more });
  }

  event(type, call, more = {}, domain = null) {
    return this.api("POST", "/v1/events", { type, company: "acme", domain, source: "widget", data: { call_id: call, lead_phone: "+12025550143", ...more } });
  }

  /** A browser's page; signed in unless `token` is null. */
  async page({ width = 1440, height = 900, scheme = "light", token = this.token, scripts = true, locale = "en-GB", at = "/webhooks" } = {}) {
    const context = await (await launched()).newContext({
      viewport: { width, height },
      colorScheme: scheme,
      javaScriptEnabled: scripts,
      locale,
      timezoneId: "Europe/Berlin",
      reducedMotion: "reduce",
    });
    context.setDefaultTimeout(PATIENCE);
    this.contexts.push(context);
    const page = await context.newPage();
    page.on("pageerror", (error) => this.noise.push(`error: ${error.message}`));
    page.on("console", (message) => message.type() === "error" && this.noise.push(`console: ${message.text()}`));
    page.on("request", (request) => {
      if (!request.url().startsWith(this.url)) this.noise.push(`a request to elsewhere: ${request.url()}`);
    });
    await page.goto(this.url + at);
    if (token !== null) await this.signIn(page, token);
    return page;
  }

  async signIn(page, token) {
    await page.getByLabel("Token").fill(token);
    await page.getByRole("button", { name: "Sign in" }).click();
    await page.waitForURL((url) => url.pathname !== "/sign-in");
  }

  /** Fails on any violation that axe-core finds on `page` in its current state. */
  async checkAccessible(page, what) {
    await page.evaluate(axeSource);
    const found = await page.evaluate(() => window.axe.run(document, { resultTypes: ["violations"] }));
    const lines = found.violations.flatMap((one) => one.nodes.map((node) => `${one.id} (${one.help}): ${node.target} ${node.failureSummary}`));
    assert.deepEqual(lines, [], `axe-core on ${what}`);
    const over = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
    assert.ok(over <= 0, `${what} is ${over} px wider than its window`);
  }

  /** Checks `path` in both themes at both widths; screenshots go to the docs under `name`. */
  async look(name, path, prepare = async () => {}) {
    for (const [width, height] of [[1440, 900], [360, 740]]) {
      for (const scheme of ["light", "dark"]) {
        const page = await this.page({ width, height, scheme, at: path });
        await page.waitForLoadState("networkidle");
        await prepare(page);
        await this.checkAccessible(page, `${path} (${width} px, ${scheme})`);
        const drawn = (width === 1440) === (scheme === "light");
        if (drawn) await page.screenshot({ path: join(DOCS, `${name}-${width}.png`) });
        await page.context().close();
      }
    }
  }

  /** Screenshots of `page` as it stands, at both widths; it must fit the narrow one. */
  async draw(page, name) {
    for (const [width, height] of [[360, 740], [1440, 900]]) {
      await page.setViewportSize({ width, height });
      const over = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
      assert.ok(over <= 0, `${name} is ${over} px wider than its window`);
      await page.screenshot({ path: join(DOCS, `${name}-${width}.png`), fullPage: width === 360 });
    }
  }

  /** Errors that a test causes on purpose. */
  expectNoise(pattern) {
    this.noise = this.noise.filter((line) => !pattern.test(line));
  }

  checkQuiet() {
    assert.deepEqual(this.noise, [], "the browser's console");
  }

  async said() {
    return `--- the daemon said\n${this.output}--- the console said\n${this.noise.join("\n")}`;
  }

  async end() {
    const ended = new Promise((resolve) => this.daemon.once("exit", resolve));
    this.daemon.kill("SIGKILL");
    await ended;
  }

  /** A browser that blocks cookies of third parties, as many people set it. */
  async strictBrowser(options = {}) {
    const profile = mkdtempSync(join(this.home, "profile-"));
    mkdirSync(join(profile, "Default"));
    const preferences = { profile: { cookie_controls_mode: 1, block_third_party_cookies: true } };
    writeFileSync(join(profile, "Default", "Preferences"), JSON.stringify(preferences));
    const executablePath = process.env.CHROMIUM ?? "/usr/bin/chromium";
    const args = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", ...QUIET];
    const context = await chromium.launchPersistentContext(profile, {
      executablePath,
      args,
      viewport: { width: 1280, height: 900 },
      locale: "en-GB",
      timezoneId: "Europe/Berlin",
      reducedMotion: "reduce",
      ...options,
    });
    context.setDefaultTimeout(PATIENCE);
    context.on("console", (message) => message.type() === "error" && this.noise.push(`console: ${message.text()}`));
    context.on("weberror", (error) => this.noise.push(`error: ${error.error().message}`));
    this.contexts.push(context);
    return context;
  }

  async close() {
    for (const context of this.contexts) await context.close().catch(() => {});
    for (const server of this.receivers) {
      server.closeAllConnections();
      server.close();
    }
    await this.end();
    rmSync(this.home, { recursive: true, force: true });
  }
}
