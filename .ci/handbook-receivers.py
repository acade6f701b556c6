"""Runs the handbook's receivers against signatures made by PyPI `standardwebhooks`.

Usage: handbook-receivers.py docs/integrate.md NODE_PREFIX

Each snippet defines `verify(secret, headers, body)`; headers have lower-case names, body is the raw body.
"""

import base64
import json
import re
import subprocess
import sys
import tempfile
from datetime import datetime, timedelta, timezone
from pathlib import Path

from standardwebhooks.webhooks import Webhook

SECRET = "whsec_" + base64.b64encode(bytes(range(7, 39))).decode()
OTHER = "whsec_" + base64.b64encode(bytes(range(40, 72))).decode()

# Per language: the command, and the lines that call `verify` with the case in the file ARGV[1] and print 1 or 0.
# The body is base64, as it is bytes.
LANGUAGES = {
    "php": (
        ["php"],
        """
        $case = json_decode(file_get_contents($argv[1]), true);
        echo verify($case['secret'], $case['headers'], base64_decode($case['body'])) ? 1 : 0;
        """,
    ),
    "js": (
        ["node"],
        """
        const given = JSON.parse(require("node:fs").readFileSync(process.argv[2]));
        console.log(verify(given.secret, given.headers, Buffer.from(given.body, "base64")) ? 1 : 0);
        """,
    ),
    "python": (
        [sys.executable],
        """
import base64, json, sys
case = json.load(open(sys.argv[1]))
print(int(bool(verify(case["secret"], case["headers"], base64.b64decode(case["body"])))))
        """,
    ),
    "ruby": (
        ["ruby"],
        """
        require "json"
        given = JSON.parse(File.read(ARGV[0]))
        puts verify(given["secret"], given["headers"], given["body"].unpack1("m0")) ? 1 : 0
        """,
    ),
}
SUFFIXES = {"php": ".php", "js": ".cjs", "python": ".py", "ruby": ".rb"}


def signed(body, age=timedelta(), secret=SECRET, id="evt_01K400000028T5CY4TQKFF0492"):
    sent = datetime.now(tz=timezone.utc) - age
    signature = Webhook(secret).sign(id, sent, body.decode())
    return {"webhook-id": id, "webhook-timestamp": str(int(sent.timestamp())), "webhook-signature": signature}


def cases():
    """Name, whether it must verify, headers, body."""
    body = '{"type":"call.missed","data":{"call_id":"c-1","lead_name":"Zoë 😀"}}'.encode()
    good = signed(body)
    # As large as a body gets, and not uniform.
    large = ('{"type":"call.smsfollowup","data":"' + "".join(f"{n} é," for n in range(110_000)))[:900 * 1024 - 20].encode()
    large = large.decode(errors="ignore").encode() + b'"}'
    both = f"{signed(body, secret=OTHER)['webhook-signature']} {good['webhook-signature']}"
    without = lambda name: {key: value for key, value in good.items() if key != name}
    return [
        ("as sent", True, good, body),
        ("a form", True, signed(b"event=call.missed&call_id=c-1"), b"event=call.missed&call_id=c-1"),
        ("900 KiB", True, signed(large), large),
        ("900 KiB, changed", False, signed(large), large[:-1] + b" "),
        ("an empty body", True, signed(b""), b""),
        ("four minutes old", True, signed(body, timedelta(minutes=4)), body),
        ("signed with two secrets", True, good | {"webhook-signature": both}, body),
        ("a further version", True, good | {"webhook-signature": "v1a,AAAA " + good["webhook-signature"]}, body),
        ("another secret", False, signed(body, secret=OTHER), body),
        ("a changed body", False, good, body + b" "),
        ("another id", False, good | {"webhook-id": "evt_01K400000028T5CY4TQKFF0493"}, body),
        ("a changed time", False, good | {"webhook-timestamp": str(int(good["webhook-timestamp"]) + 1)}, body),
        ("six minutes old", False, signed(body, timedelta(minutes=6)), body),
        ("six minutes ahead", False, signed(body, -timedelta(minutes=6)), body),
        ("no time", False, good | {"webhook-timestamp": "soon"}, body),
        ("no signature", False, good | {"webhook-signature": ""}, body),
        ("a short signature", False, good | {"webhook-signature": good["webhook-signature"][:-3]}, body),
        ("a foreign signature", False, good | {"webhook-signature": "v1,Zoë " + "ü" * 44}, body),
        *((f"without {name}", False, without(name), body) for name in good),
    ]


def snippet(handbook, language):
    blocks = re.findall(rf"^```{language}\n(.*?)^```$", handbook, re.MULTILINE | re.DOTALL)
    if len(blocks) != 1:
        sys.exit(f"the handbook has {len(blocks)} blocks of {language}, not one")
    return blocks[0]


def check(language, handbook, directory):
    command, call = LANGUAGES[language]
    program = Path(directory, "receiver" + SUFFIXES[language])
    program.write_text(snippet(handbook, language) + call)
    for number, (name, wanted, headers, body) in enumerate(cases()):
        given = Path(directory, f"{number}.json")
        case = {"secret": SECRET, "headers": headers, "body": base64.b64encode(body).decode()}
        given.write_text(json.dumps(case))
        ran = subprocess.run([*command, program, given], capture_output=True, text=True, timeout=30)
        if ran.returncode != 0 or ran.stderr or ran.stdout.strip() != str(int(wanted)):
            sys.exit(f"{language}: {name}: printed {ran.stdout!r}, wanted {int(wanted)}\n{ran.stderr}")
    print(f"{language}: all {len(cases())} cases are judged right")


def check_express(handbook, node_prefix):
    """The handbook's options for Express accept a body of 900 KiB, raw and form."""
    calls = re.findall(r"express\.(raw|urlencoded)\((\{.*?\})\)", handbook)
    if sorted(name for name, _ in calls) != ["raw", "urlencoded"]:
        sys.exit(f"the handbook's options for Express are not one of each: {calls}")
    for name, options in calls:
        program = f"""
        const from = require("node:module").createRequire({json.dumps(node_prefix + "/")});
        const {{ Readable }} = require("node:stream");
        const body = Buffer.from("a=" + "x".repeat(900 * 1024));
        const request = Readable.from([body]);
        request.headers = {{ "content-type": "application/x-www-form-urlencoded", "content-length": String(body.length) }};
        from("body-parser").{name}({options})(request, {{}}, (error) => {{
          if (error) throw error;
          if ((request.body.a ?? request.body.subarray(2)).length !== 900 * 1024) throw new Error("cut off");
        }});
        """
        subprocess.run(["node", "-e", program], check=True, timeout=30)
    print("express: raw bodies and forms of 900 KiB are taken with the handbook's options")


def check_libraries(handbook, node_prefix):
    """The Standard Webhooks libraries verify a form as the handbook says."""
    for said in ("verify(body, headers, json_parse=False)", "verify(body, headers, { jsonParse: false })"):
        if said not in handbook:
            sys.exit(f"the handbook does not say {said}")
    body = b"event=call.missed&call_id=c-1"
    headers = signed(body)
    Webhook(SECRET).verify(body, headers, json_parse=False)
    program = f"""
    const from = require("node:module").createRequire({json.dumps(node_prefix + "/")});
    const {{ Webhook }} = from("standardwebhooks");
    new Webhook({json.dumps(SECRET)}).verify({json.dumps(body.decode())}, {json.dumps(headers)}, {{ jsonParse: false }});
    """
    subprocess.run(["node", "-e", program], check=True, timeout=30)
    print("the Standard Webhooks libraries of Python and JavaScript verify a form")


def check_sheets(handbook):
    """The Apps Script makes rows of events, each value under the name of its member, as text."""
    program = snippet(handbook, "javascript") + """
    const cells = [];
    const width = () => Math.max(0, ...cells.map((row) => row.length));
    const LockService = { getScriptLock: () => ({ waitLock() {}, releaseLock() {} }) };
    const ContentService = { createTextOutput: (text) => text };
    let asText = 0;
    const sheet = {
      getLastColumn: width,
      getLastRow: () => cells.length,
      getRange: (row, column, rows, columns) => ({
        getValues: () => [Array.from({ length: columns }, (_, at) => cells[row - 1]?.[at] ?? "")],
        setNumberFormat(format) { asText += format === "@"; return this; },
        setValues([values]) { cells[row - 1] = values; if (values.length !== columns) throw new Error("the range is not as wide"); },
      }),
    };
    const SpreadsheetApp = { getActiveSpreadsheet: () => ({ getSheets: () => [sheet] }), flush() {} };
    const post = (event) => doPost({ postData: { contents: JSON.stringify(event) } });
    for (const event of [{ event: "call.new", phone: "+12025550143" }, { phone: "=1+1", event: "call.missed", tried: "0" }, { event: "x" }])
      if (post(event) !== "ok") throw new Error("not ok");
    console.log(JSON.stringify([cells, asText]));
    """
    ran = subprocess.run(["node", "-e", program], check=True, timeout=30, capture_output=True, text=True)
    rows = [["event", "phone", "tried"], ["call.new", "+12025550143"], ["call.missed", "=1+1", "0"], ["x", "", ""]]
    if json.loads(ran.stdout) != [rows, 6]:
        sys.exit(f"the script for Google Sheets makes {ran.stdout}")
    print("Google Sheets: the script makes a row of each event")


def main(handbook, node_prefix):
    text = Path(handbook).read_text()
    check_express(text, node_prefix)
    check_libraries(text, node_prefix)
    check_sheets(text)
    for language in LANGUAGES:
        with tempfile.TemporaryDirectory() as directory:
            check(language, text, directory)


if __name__ == "__main__":
    main(*sys.argv[1:])
