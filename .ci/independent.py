"""Checks deliveries with other people's code: signatures by PyPI `standardwebhooks`, forms by npm `qs`.

Usage: independent.py BINARY NODE_PREFIX

Starts the real binary, subscribes one local receiver in both formats and both layouts, posts the samples of
all event types and some nasty data, and compares what arrives with what was posted, to the digit.
"""

import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from urllib.parse import quote

from harness import Daemon, Receiver
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

VARIANTS = [(format, layout) for format in ("json", "form") for layout in ("envelope", "flat")]

# The text of `data` as it is posted: it must arrive member by member, digit by digit.
NASTY = [
    ("call.new", '{"call_id":"n1","lead_name":"Zoë 😀 “q” \\u00fc\\ud83d\\ude00 \\\\ \\/ \\t\\n","rtl":"\u05e9\u05dc\u05d5\u05dd"}'),
    ("call.new", '{"call_id":"n2","big":123456789012345678901234567890,"exact":0.10,"tiny":1.50e-400,"minus":-0,"exp":1E+2}'),
    ("call.new", '{ "z":1,\n\t"call_id" : "n3" , "a":2, "nested":{"b":[[1,[2,{"c":"d"}]],{"e":[]},"f"],"g":{}} }'),
    ("call.new", '{"call_id":"n4","a[b]":"1","c][d":"2","%5B":"3","x%y":"4","e&f=g+h":"a&b=c+d %20;","i.j":"5","ключ":"6"}'),
    ("call.new", '{"call_id":"n5","yes":true,"no":false,"nothing":null,"empty":"","list":[null,true,"",0],"plus":"+12025550143"}'),
    ("call.finished", '{"call_id":"n6","many":[' + ",".join(f'{{"i":{i}}}' for i in range(30)) + "]}"),
    ("call.missed", '{"call_id":"n7","long":"' + "é" * 20000 + '","event":"a member of data named as the flat layout\'s own"}'),
]


class Number(str):
    """A number with the digits it came with."""


def parse(text):
    """JSON with numbers as their digits and objects as lists of pairs, so that order and spelling count."""
    return json.loads(text, parse_int=Number, parse_float=Number, object_pairs_hook=lambda pairs: ("object", pairs))


def as_form(value):
    """What a form parser is to give back for a parsed value; None where nothing is sent."""
    if isinstance(value, tuple):
        escaped = [(escape(name), as_form(member)) for name, member in value[1]]
        kept = {name: member for name, member in escaped if member is not None}
        return {"object": kept} if kept else None
    if isinstance(value, list):
        kept = {str(at): as_form(item) for at, item in enumerate(value) if as_form(item) is not None}
        return {"list": kept} if kept else None
    if value is None:
        return ""
    return str(value).lower() if isinstance(value, bool) else str(value)


def escape(name):
    """Brackets in names are written as %5B and %5D: a form has no other way to keep them from being structure."""
    marks = r"[\[\]]|%(?=5B|5D|25)"
    return re.sub(marks, lambda mark: quote(mark[0], safe=""), name, flags=re.IGNORECASE)


def check_signature(delivery, secrets):
    """Every secret verifies the delivery, and none verifies it with a changed body, id or time."""
    for secret in secrets:
        Webhook(secret).verify(delivery.body, delivery.headers, json_parse=False)
        forgeries = [
            (delivery.body + b" ", {}),
            (delivery.body, {"webhook-id": delivery.headers["webhook-id"] + "x"}),
            (delivery.body, {"webhook-timestamp": str(int(delivery.headers["webhook-timestamp"]) - 1)}),
        ]
        for body, changed in forgeries:
            try:
                Webhook(secret).verify(body, delivery.headers | changed, json_parse=False)
            except WebhookVerificationError:
                continue
            raise SystemExit(f"a forged delivery was verified: {delivery.headers | changed}")


def expected(layout, event, data):
    """The document that is to arrive, parsed."""
    members = parse(data)[1]
    if layout == "flat":
        return ("object", [("event", event["type"]), *((name, value) for name, value in members if name != "event")])
    heading = [(name, event[name]) for name in ("id", "type", "timestamp", "company", "domain", "source")]
    return ("object", [*heading, ("data", ("object", members))])


def check_json(layout, body, event, data):
    text = body.decode()
    if parse(text) != expected(layout, event, data):
        raise SystemExit(f"{layout}: posted {data}\narrived {text}")
    if layout == "envelope" and data not in text:
        raise SystemExit(f"the bytes of data were changed: posted {data}\narrived {text}")


def check_forms(forms, node_prefix):
    """Lets qs parse the bodies and compare them with the structures."""
    lines = "".join(json.dumps(form) + "\n" for form in forms)
    script = Path(__file__).with_name("parse-forms.mjs")
    subprocess.run(["node", script, node_prefix], input=lines.encode(), check=True)


def post(daemon, event_type, data):
    """Posts an event; gives back the envelope's members that are to arrive."""
    timestamp = "2026-11-23T09:30:00.250Z"
    heading = {"type": event_type, "company": "acme", "domain": "www.acme.example", "source": "widget"}
    body = json.dumps(heading | {"occurred_at": timestamp})[:-1] + f', "data": {data}}}'
    accepted = daemon.call("POST", "/v1/events", body)
    if accepted["deliveries"] != len(VARIANTS):
        raise SystemExit(f"{accepted['deliveries']} deliveries are owed, not {len(VARIANTS)}")
    return heading | {"id": accepted["id"], "timestamp": timestamp}


def subscribe(daemon, receiver):
    """The subscription of each variant, by the path it delivers to."""
    subscriptions = {}
    for format, layout in VARIANTS:
        path = f"/{format}/{layout}"
        wanted = {"company": "acme", "url": receiver.url + path, "events": ["*"], "format": format, "layout": layout}
        subscriptions[path] = daemon.call("POST", "/v1/subscriptions", wanted)["id"]
    return subscriptions


def secrets_of(daemon, subscriptions):
    get = lambda id: daemon.call("GET", f"/v1/subscriptions/{quote(id)}/secret")["secret"]
    return {path: [get(id)] for path, id in subscriptions.items()}


def check_deliveries(deliveries, posted, secrets):
    """Checks all of them but the structure of the forms, which it gives back."""
    forms = []
    for delivery in deliveries:
        check_signature(delivery, secrets[delivery.path])
        event, data = posted[delivery.headers["webhook-id"]]
        _, format, layout = delivery.path.split("/")
        if format == "json":
            check_json(layout, delivery.body, event, data)
        else:
            forms.append({"body": delivery.body.decode("ascii"), "wanted": as_form(expected(layout, event, data))})
    arrived = {(delivery.path, delivery.headers["webhook-id"]) for delivery in deliveries}
    if len(arrived) != len(posted) * len(VARIANTS):
        raise SystemExit(f"{len(arrived)} different deliveries came, not {len(posted) * len(VARIANTS)}")
    return forms


def main(binary, node_prefix):
    receiver = Receiver()
    with tempfile.TemporaryDirectory() as directory, Daemon(binary, directory) as daemon:
        subscriptions = subscribe(daemon, receiver)
        secrets = secrets_of(daemon, subscriptions)
        types = daemon.call("GET", "/v1/event-types")["items"]
        samples = [(entry["name"], json.dumps(entry["sample"], ensure_ascii=False)) for entry in types]
        posted = {}
        for event_type, data in samples + NASTY:
            event = post(daemon, event_type, data)
            posted[event["id"]] = (event, data)
        deliveries = receiver.take(len(posted) * len(VARIANTS))
        forms = check_deliveries(deliveries, posted, secrets)
        check_forms(forms, node_prefix)
        print(f"{len(deliveries)} deliveries of {len(posted)} events: signatures and structure are right")

        for path, id in subscriptions.items():
            new = daemon.call("POST", f"/v1/subscriptions/{quote(id)}/rotate-secret")["secret"]
            secrets[path].append(new)
        event_type, data = samples[0]
        event = post(daemon, event_type, data)
        rotated = receiver.take(len(VARIANTS))
        check_deliveries(rotated, {event["id"]: (event, data)}, secrets)
        print(f"{len(rotated)} deliveries after a rotation: the old and the new secret verify them")


if __name__ == "__main__":
    main(*sys.argv[1:])
