"""Reads what `hookswitch demo --json` printed and checks that it says that all went well."""

import json
import sys

result = json.load(sys.stdin)
if result.get("ok") is not True:
    sys.exit(f"the demo does not say \"ok\": true: {json.dumps(result)[:2000]}")
report = result.get("report", {}).get("totals", {})
if report.get("calls") != 1 or set(report.get("events", {}).values()) != {1}:
    sys.exit(f"the demo's report does not count its one call, with one event of each type: {report}")
print("the demo is ok")
