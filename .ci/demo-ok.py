"""Checks that the output of `hookswitch demo --json` reports success."""

import json
import sys

result = json.load(sys.stdin)
if result.get("ok") is not True:
    sys.exit(f"the demo does not say \"ok\": true: {json.dumps(result)[:2000]}")
report = result.get("report", {}).get("totals", {})
if report.get("calls") != 1 or set(report.get("events", {}).values()) != {1}:
    sys.exit(f"the demo's report does not count its one call, with one event of each type: {report}")
thread = result.get("conversation", {})
if [message.get("direction") for message in thread.get("messages", [])] != ["outbound", "inbound"]:
    sys.exit(f"the demo's thread is not a message and its answer: {thread}")
if thread.get("event") not in [event["id"] for event in result["events"] if event["type"] == "call.smsfollowup"]:
    sys.exit(f"the answer did not raise call.smsfollowup: {thread}")
if report.get("sms", {}).get("reply_rate") != 1:
    sys.exit(f"the demo's report does not say that the lead answered: {report}")
print("the demo is ok")
