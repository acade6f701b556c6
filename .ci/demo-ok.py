"""Reads what `hookswitch demo --json` printed and checks that it says that all went well."""

import json
import sys

result = json.load(sys.stdin)
if result.get("ok") is not True:
    sys.exit(f"the demo does not say \"ok\": true: {json.dumps(result)[:2000]}")
print("the demo is ok")
