// Signing in at a real provider of OpenID Connect, the npm package oidc-provider: in Chromium, and by an HTTP client that
// does what a browser, or somebody who forges one, may do.
//
//   node .ci/oidc.mjs HOOKSWITCH [SCREENSHOTS]
//
// Needs oidc-provider and playwright-core where NODE_PATH says, and Chromium (Debian's, or $CHROMIUM). Prints what it saw;
// exits 1 at the first thing that is not as it must be.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { generateKeyPairSync } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

const [binary, screenshots] = process.argv.slice(2);
const require = createRequire(join(process.env.NODE_PATH ?? process.cwd(), "x.js"));
const { Provider } = await import(pathToFileURL(require.resolve("oidc-provider")));
const { chromium } = require("playwright-core");

const SECRET = "hunter2-of-the-client";
const PEOPLE = {
  dana: { email: "dana@acme.example", email_verified: true, groups: ["staff", "ops"] },
  eve: { preferred_username: "eve", groups: ["acme-staff"] },
  mal: { email: "mal@acme.example", email_verified: true, groups: ["staff"] },
};
const PATIENCE = 15_000;
const home = mkdtempSync(join(tmpdir(), "hookswitch-oidc-"));

/** A port that was free a moment ago: the addresses of both sides must be known to both before either starts. */
async function freePort() {
  const server = createServer();
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address();
  await new Promise((resolve) => server.close(resolve));
  return port;
}

async function until(what, look) {
  const end = Date.now() + PATIENCE;
  for (;;) {
    const found = await look();
    if (found) return found;
    if (Date.now() > end) throw new Error(`waited in vain for ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

// ---- the provider

const [providerPort, pagePort] = [await freePort(), await freePort()];
// Another site than 127.0.0.1, for a browser.
const issuer = `http://localhost:${providerPort}`;
const page = `http://127.0.0.1:${pagePort}`;
const seen = [];
let lie = {};
let server;

function keys(kid) {
  const { privateKey } = generateKeyPairSync("rsa", { modulusLength: 2048 });
  return { keys: [{ ...privateKey.export({ format: "jwk" }), kid, use: "sig", alg: "RS256" }] };
}

function provider({ kid, inToken }) {
  const made = new Provider(issuer, {
    clients: [{ client_id: "hookswitch", client_secret: SECRET, redirect_uris: [`${page}/oidc/callback`], grant_types: ["authorization_code"], response_types: ["code"] }],
    jwks: keys(kid),
    cookies: { keys: ["a key of the test"] },
    claims: { openid: ["sub"], email: ["email", "email_verified"], profile: ["preferred_username", "groups"] },
    conformIdTokenClaims: !inToken,
    pkce: { required: () => true, methods: ["S256"] },
    findAccount: (_, sub) => ({ accountId: sub, claims: () => ({ sub, ...PEOPLE[sub] }) }),
  });
  made.on("server_error", (_, error) => console.error(error));
  return made;
}

/** Alters what passes by, as `lie` says. */
function passedBy(handler, request, response) {
  if (lie.nonce && request.url.startsWith("/auth?")) request.url = request.url.replace(/nonce=[^&]+/, `nonce=${lie.nonce}`);
  if (request.url.startsWith("/token")) {
    const end = response.end.bind(response);
    response.end = (body) => {
      const answer = JSON.parse(body);
      seen.push(answer.access_token, answer.id_token);
      if (lie.signature && answer.id_token) {
        const [head, claims, signature] = answer.id_token.split(".");
        const told = { ...JSON.parse(Buffer.from(claims, "base64url")), groups: ["ops"], email: "x@acme.example" };
        answer.id_token = [head, Buffer.from(JSON.stringify(told)).toString("base64url"), signature].join(".");
      }
      const text = JSON.stringify(answer);
      response.setHeader("content-length", Buffer.byteLength(text));
      return end(text);
    };
  }
  handler(request, response);
}

async function startProvider(settings) {
  const handler = provider(settings).callback();
  server = createServer((request, response) => passedBy(handler, request, response));
  await new Promise((resolve) => server.listen(providerPort, "localhost", resolve));
}

async function stopProvider() {
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
}

/** Lets the clock of the provider, which runs in this process, be behind meanwhile. */
async function behind(hours, work) {
  const now = Date.now;
  Date.now = () => now() - hours * 3_600_000;
  try {
    return await work();
  } finally {
    Date.now = now;
  }
}

// ---- the daemon

const config = join(home, "hookswitch.toml");
writeFileSync(
  config,
  `data_dir = "${home}/data"
[http]
listen = "127.0.0.1:${pagePort}"
[page]
url = "${page}"
[page.oidc]
name = "Example Login"
issuer = "${issuer}"
client_id = "hookswitch"
client_secret_file = "${home}/secret"
[[page.oidc.allow]]
group = "ops"
role = "admin"
[[page.oidc.allow]]
group = "acme-staff"
role = "read"
company = "acme"
`,
);
writeFileSync(join(home, "secret"), `${SECRET}\n`, { mode: 0o600 });
let output = "";
const daemon = spawn(binary, ["serve", "--config", config], { env: { PATH: process.env.PATH, HOOKSWITCH_DIAGNOSTICS__LEVEL: "trace" } });
for (const stream of [daemon.stdout, daemon.stderr]) stream.on("data", (bytes) => (output += bytes));
const ended = new Promise((resolve) => daemon.on("exit", resolve));

async function api(path) {
  const token = readFileSync(join(home, "data/admin.token"), "utf8").trim();
  const reply = await fetch(page + path, { headers: { Authorization: `Bearer ${token}` } });
  assert.equal(reply.status, 200, path);
  return (await reply.json()).items;
}

// ---- a browser without a window

class Jar {
  cookies = new Map();

  async get(url, form) {
    const { origin } = new URL(url);
    const own = [...this.cookies].filter(([name]) => name.startsWith(`${origin} `));
    const cookie = own.map(([name, value]) => `${name.split(" ")[1]}=${value}`).join("; ");
    const body = form && new URLSearchParams(form);
    const reply = await fetch(url, { redirect: "manual", headers: { cookie }, body, method: form ? "POST" : "GET" });
    for (const line of reply.headers.getSetCookie()) {
      const [, name, value] = /^([^=]+)=([^;]*)/.exec(line);
      this.cookies.set(`${origin} ${name}`, value);
    }
    return reply;
  }

  /** Goes to the provider and signs in there; returns the address to which it leads back. */
  async signedIn(who) {
    let reply = await this.get(`${page}/oidc/login`);
    for (let steps = 0; steps < 20; steps += 1) {
      const location = reply.headers.get("location");
      if (location?.startsWith(`${page}/`)) {
        seen.push(new URL(location).searchParams.get("code"));
        return location;
      }
      if (location) {
        this.at = new URL(location, issuer).href;
        reply = await this.get(this.at);
      } else {
        const text = await reply.text();
        assert.match(text, /<form/, text);
        reply = await this.get(this.at, /name="login"/.test(text) ? { prompt: "login", login: who, password: "x" } : { prompt: "consent" });
      }
    }
    throw new Error("the provider leads nowhere");
  }

  async come(who) {
    return this.get(await this.signedIn(who));
  }
}

async function refused(reply, status, what) {
  const text = await reply.text();
  assert.equal(reply.status, status, text);
  assert.ok(text.includes("You are not signed in") && text.includes(what), `no '${what}' in ${text}`);
  assert.ok(!reply.headers.getSetCookie().some((line) => line.startsWith("hookswitch_session")));
}

async function case_(name, test) {
  const begun = performance.now();
  await test();
  console.log(`ok      ${name} (${Math.round(performance.now() - begun)} ms)`);
}

/** Somebody with a window. */
async function inChromium() {
  const args = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"];
  const browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", args });
  const shot = async (view, name) => screenshots && view.screenshot({ path: join(screenshots, `${name}.png`) });
  try {
    for (const [who, name, status] of [["dana", "dana@acme.example", "/keys"], ["eve", "eve", "/logs"]]) {
      const view = await (await browser.newContext()).newPage();
      view.setDefaultTimeout(PATIENCE);
      await view.goto(`${page}${status}`);
      await shot(view, "sign-in");
      await view.getByRole("link", { name: "Sign in with Example Login" }).click();
      await view.getByPlaceholder("Enter any login").fill(who);
      await view.getByPlaceholder("and password").fill("x");
      await view.getByRole("button", { name: "Sign-in" }).click();
      await view.getByRole("button", { name: "Continue" }).click();
      // A cookie that is `Strict` counts only once our own page has led on.
      await view.waitForURL(`${page}${status}`);
      await view.getByText(name).first().waitFor();
      await shot(view, `signed-in-${who}`);
      const cookies = await view.context().cookies(page);
      assert.deepEqual(cookies.map((one) => [one.name.replace(/\d+$/, ""), one.sameSite, one.httpOnly]), [["hookswitch_session_", "Strict", true]]);
    }
    const view = await (await browser.newContext()).newPage();
    view.setDefaultTimeout(PATIENCE);
    await view.goto(`${page}/oidc/login`);
    await view.getByPlaceholder("Enter any login").fill("mal");
    await view.getByPlaceholder("and password").fill("x");
    await view.getByRole("button", { name: "Sign-in" }).click();
    await view.getByRole("button", { name: "Continue" }).click();
    await view.getByRole("alert").getByText("none of your groups").waitFor();
    await shot(view, "refused");
  } finally {
    await browser.close();
  }
}

try {
  await until("the daemon to listen", () => /listening on/.exec(output));
  await case_("a provider that is away is said to be", async () => {
    await refused(await new Jar().get(`${page}/oidc/login`), 503, "cannot be reached at the moment");
  });
  await startProvider({ kid: "first", inToken: false });
  await until("the provider to be asked again", async () => (await new Jar().get(`${page}/oidc/login`)).status === 303);
  await case_("an admin and a reader sign in, in Chromium", inChromium);
  await case_("their sessions say who they are, and what they may do", async () => {
    const shown = (await api("/v1/sessions")).map((one) => [one.kind, one.role, one.company, one.user]);
    assert.deepEqual(shown, [["oidc", "admin", null, "dana@acme.example"], ["oidc", "read", "acme", "eve"]]);
  });
  await case_("nobody comes in without a group, and that is recorded", async () => {
    await refused(await new Jar().come("mal"), 403, "none of your groups");
    const refusals = await api("/v1/audit?action=session.refuse");
    assert.deepEqual(refusals.map((one) => [one.actor.name, one.after.subject]), Array(2).fill(["mal@acme.example", "mal"]));
  });
  await case_("a way back works once, and in the browser that began", async () => {
    const jar = new Jar();
    const back = await jar.signedIn("dana");
    await refused(await new Jar().get(back), 403, "was not begun in this browser");
    const kept = new Map(jar.cookies);
    assert.equal((await jar.get(back)).status, 200);
    jar.cookies = kept;
    const again = await jar.get(back);
    await refused(again, 403, "could not be accepted");
  });
  await case_("an altered nonce is not accepted", async () => {
    lie = { nonce: "another" };
    await refused(await new Jar().come("dana"), 403, "could not be accepted");
  });
  await case_("altered claims are not accepted", async () => {
    lie = { signature: true };
    await refused(await new Jar().come("mal"), 403, "could not be accepted");
    lie = {};
  });
  await case_("a token that has expired is not accepted", async () => {
    await behind(3, async () => refused(await new Jar().come("dana"), 403, "had expired when it came"));
  });
  await case_("new keys are fetched", async () => {
    await stopProvider();
    await startProvider({ kid: "second", inToken: true });
    const text = await (await new Jar().come("dana")).text();
    assert.ok(text.includes("You are signed in"), text);
  });
  await case_("a provider that goes away meanwhile is said to be", async () => {
    const jar = new Jar();
    const back = await jar.signedIn("dana");
    await stopProvider();
    await refused(await jar.get(back), 503, "cannot be reached at the moment");
  });
  const secrets = [SECRET, ...seen.filter(Boolean)];
  assert.ok(secrets.length > 15 && secrets.every((secret) => !output.includes(secret)), "a secret is in the daemon's messages");
  console.log(`ok      none of ${secrets.length} secrets, codes and tokens is in the daemon's messages`);
} catch (error) {
  console.error(`FAILED: ${error.stack}\n--- the daemon said\n${output}`);
  process.exitCode = 1;
} finally {
  daemon.kill("SIGTERM");
  assert.equal(await ended, 0, "the daemon's exit status");
  rmSync(home, { recursive: true });
  process.exit();
}
