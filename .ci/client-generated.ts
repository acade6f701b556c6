// The main job by the client that openapi-generator makes (typescript-fetch): prints the id of the event. See clients.py.
import { Configuration, EventsApi, LogApi, SubscriptionsApi } from "./client/index";

const { HOOKSWITCH_URL, HOOKSWITCH_TOKEN, RECEIVER } = process.env;
const configuration = new Configuration({ basePath: HOOKSWITCH_URL, accessToken: HOOKSWITCH_TOKEN });
const subscriptions = new SubscriptionsApi(configuration);
const log = new LogApi(configuration);

const webhook = await subscriptions.createSubscription({
  newSubscription: { company: "generated", url: `${RECEIVER}/hook`, events: ["call.missed"] },
});
const receipt = await new EventsApi(configuration).postEvents({
  newEvent: {
    type: "call.missed", company: "generated", source: "widget",
    data: { callId: "c-1", leadPhone: "+12025550143", retryAttempts: 0 },
  },
});
if (!("id" in receipt) || receipt.deliveries !== 1) throw new Error(JSON.stringify(receipt));
const end = Date.now() + 30_000;
for (;;) {
  const { entries } = await log.listLog({ company: "generated" });
  if (entries.length > 0) {
    if (entries[0].status !== "delivered" || entries[0].response !== 200) throw new Error(JSON.stringify(entries));
    break;
  }
  if (Date.now() > end) throw new Error("there is nothing in the log");
  await new Promise((resolve) => setTimeout(resolve, 50));
}
const before = await subscriptions.showSecret({ id: webhook.id });
const after = await subscriptions.rotateSecret({ id: webhook.id, rotateSecretRequest: { overlap: "1h" } });
if (before.secret === after.secret) throw new Error("the secret was not rotated");
console.log(receipt.id);
