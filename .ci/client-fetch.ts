// The main job by openapi-fetch, typed by openapi-typescript: prints the id of the event. See clients.py.
import createClient from "openapi-fetch";
import type { components, paths, webhooks } from "./hookswitch.d.ts";

const { HOOKSWITCH_URL, HOOKSWITCH_TOKEN, RECEIVER } = process.env;
const client = createClient<paths>({ baseUrl: HOOKSWITCH_URL!, headers: { Authorization: `Bearer ${HOOKSWITCH_TOKEN}` } });

function must<T>(answer: { data?: T; error?: unknown }): T {
  if (answer.data === undefined) throw new Error(JSON.stringify(answer.error));
  return answer.data;
}

// What a receiver gets is typed, too.
type Delivered = webhooks["call.missed"]["post"]["requestBody"]["content"]["application/json"];
const phone = (event: Delivered): string | undefined => event.data.lead_phone;

const webhook = must(await client.POST("/v1/subscriptions", {
  body: { company: "fetch", url: `${RECEIVER}/hook`, events: ["call.missed"] },
}));
const event: components["schemas"]["NewCallMissedEvent"] = {
  type: "call.missed", company: "fetch", source: "widget",
  data: { call_id: "c-1", lead_phone: "+12025550143", retry_attempts: 0 },
};
const receipt = must(await client.POST("/v1/events", { body: event }));
if (!("id" in receipt) || receipt.deliveries !== 1) throw new Error(JSON.stringify(receipt));
const end = Date.now() + 30_000;
for (;;) {
  const { entries } = must(await client.GET("/v1/log", { params: { query: { company: "fetch" } } }));
  if (entries.length > 0) {
    if (entries[0].status !== "delivered" || entries[0].response !== 200) throw new Error(JSON.stringify(entries));
    break;
  }
  if (Date.now() > end) throw new Error("there is nothing in the log");
  await new Promise((resolve) => setTimeout(resolve, 50));
}
const params = { path: { id: webhook.id } };
const before = must(await client.GET("/v1/subscriptions/{id}/secret", { params }));
const after = must(await client.POST("/v1/subscriptions/{id}/rotate-secret", { params, body: { overlap: "1h" } }));
if (before.secret === after.secret) throw new Error("the secret was not rotated");
void phone;
console.log(receipt.id);
