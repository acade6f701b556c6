"""Checks deliveries with independent implementations: signatures by PyPI `standardwebhooks` (v1) and `cryptography` (v1a,
which the published Standard Webhooks libraries of Python and JavaScript do not check), forms by npm `qs` and Express, PHP,
Rack and Django, each with its default limits.

Usage: independent.py BINARY NODE_PREFIX

Starts the real binary, subscribes one local receiver in both formats and both layouts, posts the samples of
all event types and adversarial data, and compares what arrives with what was posted, digit by digit.
"""

import base64
import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from urllib.parse import parse_qsl, quote

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from harness import Daemon, Receiver
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

LAYOUTS = ("envelope", "flat")
VARIANTS = [("json", "envelope", "brackets", "v1"), ("json", "flat", "brackets", "both")]
VARIANTS += [("form", layout, *rest) for layout in LAYOUTS for rest in (("brackets", "v1a"), ("json", "both"))]

# Names that every parser must keep distinct, including those that some drop, fold or treat specially.
NAMES = ["", " event", "event ", "call.id", "a.b", "a_b", "a b", "a\tb", "a\0b", "a\0c", "\0", "%", "%%", "%5B", "%255B",
         "[", "]", "a[", "a]", "a[]", "[]", "[a]", "a][b", "__proto__", "constructor", "hasOwnProperty", "toString",
         "_method", "é", "\u2028", "+", "&", "=", ";", "a;b", "'", '"', "<", "length", "0x", "-1", "event"]
MESSAGE = '{{"id":"m{0}","direction":"inbound","from":"+12025550143","to":"+12025550100","body":"n° {0}","sent_at":"2026-11-23T09:30:00Z"}}'


def conversation(count):
    messages = ",".join(MESSAGE.format(n) for n in range(count))
    return f'{{"call_id":"n8","conversation":[{messages}],"message":"the last"}}'


def named(value):
    """An object with all of NAMES; each has `value` with the index of the name in it."""
    return "{" + ",".join(f"{json.dumps(name)}:{value.replace('#', str(at))}" for at, name in enumerate(NAMES)) + "}"



# The text of `data` as it is posted: it must arrive member by member, digit by digit.
NASTY = [
    ("call.new", '{"call_id":"n1","lead_name":"Zoë 😀 “q” \\u00fc\\ud83d\\ude00 \\\\ \\/ \\t\\n","rtl":"\u05e9\u05dc\u05d5\u05dd"}'),
    ("call.new", '{"call_id":"n2","big":123456789012345678901234567890,"exact":0.10,"tiny":1.50e-400,"minus":-0,"exp":1E+2}'),
    ("call.new", '{ "z":1,\n\t"call_id" : "n3" , "a":2, "nested":{"b":[[1,[2,{"c":"d"}]],{"e":[]},"f"],"g":{}} }'),
    ("call.new", '{"call_id":"n4","a[b]":"1","c][d":"2","%5B":"3","x%y":"4","e&f=g+h":"a&b=c+d %20;","i.j":"5","ключ":"6"}'),
    ("call.new", '{"call_id":"n5","yes":true,"no":false,"nothing":null,"empty":"","list":[null,true,"",0],"plus":"+12025550143"}'),
    ("call.finished", '{"call_id":"n6","many":[' + ",".join(f'{{"i":{i}}}' for i in range(30)) + "]}"),
    ("call.new", '{"call_id":"n9",' + named('"#"')[1:]),
    ("call.new", '{"call_id":"n10","names":' + named('"#"') + ',"lists":' + named('["#",{"x":"#"}]') + "}"),
    ("call.new", '{"call_id":"n11","deep":' + '{"a":' * 12 + "[1]" + "}" * 12 + ',"holes":[[],1,{},2],"ends":[1,[]],"none":[[]]}'),
    ("call.new", '{"call_id":"n12","b":{"' + "k" * 2100 + '":1}}'),
    ("call.new", '{"call_id":"n13",' + ",".join(f'"m{n}":{n}' for n in range(940)) + "}"),
    ("call.new", '{"call_id":"n14",' + ",".join(f'"list{n}":[{n},{{"x":{n}}}]' for n in range(600)) + "}"),
    ("call.smsfollowup", conversation(100)),
    ("call.smsfollowup", conversation(170)),
    ("call.smsfollowup", conversation(4000)),
    ("call.missed", '{"call_id":"n7","long":"' + "é" * 20000 + '","event":"a member of data named as the flat layout\'s own"}'),
]


class Number(str):
    """A number with the digits it came with."""


def parse(text):
    """JSON with numbers as their digits and objects as lists of pairs, so that order and spelling count."""
    return json.loads(text, parse_int=Number, parse_float=Number, object_pairs_hook=lambda pairs: ("object", pairs))


def as_tree(value):
    """What a form parser must return for a parsed value: lists by their indices; None where nothing is sent."""
    if isinstance(value, tuple):
        kept = {escape(name): as_tree(member) for name, member in value[1]}
        return {name: member for name, member in kept.items() if member is not None} or None
    if isinstance(value, list):
        kept = {str(at): as_tree(item) for at, item in enumerate(value)}
        return {at: item for at, item in kept.items() if item is not None} or None
    if value is None:
        return ""
    return str(value).lower() if isinstance(value, bool) else str(value)


RESERVED = {"__proto__", "constructor", "hasOwnProperty", "toString", "_method"}


def escape(name):
    """A name as encoded in a key: docs/integrate.md says what is percent-encoded."""
    if not name:
        return "%"
    escaped = re.sub(r"[\x00-\x20\x7f.\[\]%]", lambda mark: f"%{ord(mark[0]):02X}", name)
    return f"%{ord(name[0]):02X}{name[1:]}" if name in RESERVED else escaped


def wanted_form(delivery, layout, nested, event, data):
    """The structure that every parser must make of a form."""
    document = expected(layout, event, data)[1]
    said = delivery.headers.get("hookswitch-form", "json-members=").removeprefix("json-members=")
    as_json = set(filter(None, said.split(",")))
    if nested == "json" and said:
        raise SystemExit(f"json was wanted, and yet it says {said}")
    fields = dict(parse_qsl(delivery.body.decode("ascii"), keep_blank_values=True, strict_parsing=True))
    composite = lambda value: isinstance(value, (tuple, list)) and as_tree(value) is not None

    def leaf(key, value):
        if key not in fields or parse(fields[key]) != value:
            raise SystemExit(f"{key} is not the JSON text of its member in {delivery.body[:300]}")
        return fields[key]

    def member(key, value):
        chosen = nested == "json" or "*" in as_json or quote(key, safe="[]%!#$&'()*+-./:;<=>?@^_`{|}~") in as_json
        return leaf(key, value) if composite(value) and chosen else as_tree(value)

    def inside(value):
        if nested == "json" or "data" in as_json:
            return leaf("data", value)
        members = {escape(name): member(f"data[{escape(name)}]", part) for name, part in value[1]}
        return {name: part for name, part in members.items() if part is not None}

    inner = lambda name, value: inside(value) if (layout, name) == ("envelope", "data") else member(escape(name), value)
    tree = {escape(name): inner(name, value) for name, value in document}
    return {name: part for name, part in tree.items() if part is not None}


def believed_by_secret(secret, body, headers):
    try:
        Webhook(secret).verify(body, headers, json_parse=False)
    except WebhookVerificationError:
        return False
    return True


def believed_by_key(public_key, body, headers):
    """Standard Webhooks, 'Signature scheme': Ed25519 over `id.timestamp.body`."""
    key = Ed25519PublicKey.from_public_bytes(base64.b64decode(public_key.removeprefix("whpk_"), validate=True))
    content = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    for one in headers["webhook-signature"].split(" "):
        version, signature = one.split(",", 1)
        try:
            if version == "v1a":
                key.verify(base64.b64decode(signature, validate=True), content)
                return True
        except InvalidSignature:
            continue
    return False


def check_signature(delivery, secrets, keys):
    """Each secret and each public key believes the delivery as far as `signature` says, and none believes it with a changed
    body, id or time."""
    signature = delivery.path.rsplit("/", 1)[1]
    versions = {"v1": ["v1"], "v1a": ["v1a"], "both": ["v1", "v1a"]}[signature]
    came = sorted(one.split(",")[0] for one in delivery.headers["webhook-signature"].split(" "))
    if came != sorted(versions * len(secrets)) or len(keys) != len(secrets) * ("v1a" in versions):
        raise SystemExit(f"{signature} was wanted with {len(secrets)} secrets, and {came} came; the keys are {keys}")
    true = (delivery.body, {})
    forgeries = [
        (delivery.body + b" ", {}),
        (delivery.body, {"webhook-id": delivery.headers["webhook-id"] + "x"}),
        (delivery.body, {"webhook-timestamp": str(int(delivery.headers["webhook-timestamp"]) - 1)}),
    ]
    for body, changed in [true, *forgeries]:
        headers, is_true = delivery.headers | changed, (body, changed) == true
        by_secret = [believed_by_secret(secret, body, headers) for secret in secrets]
        by_key = [believed_by_key(key, body, headers) for key in keys]
        if by_secret != [is_true and "v1" in versions] * len(secrets) or by_key != [is_true] * len(keys):
            raise SystemExit(f"{'a' if is_true else 'a forged'} delivery: by secret {by_secret}, by key {by_key}: {headers}")


def expected(layout, event, data):
    """The expected document, parsed."""
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
    """Has each parser parse the bodies and compare them with the structures."""
    lines = "".join(json.dumps(form) + "\n" for form in forms).encode()
    here = Path(__file__).parent
    for command in (
        ["node", here / "parse-forms.mjs", node_prefix],
        ["php", "-n", here / "parse-forms.php"],
        ["ruby", here / "parse-forms.rb"],
        [sys.executable, here / "parse-forms.py"],
    ):
        subprocess.run(command, input=lines, check=True)


def post(daemon, event_type, data):
    """Posts an event; returns the expected members of the envelope."""
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
    for format, layout, nested, signature in VARIANTS:
        path = f"/{format}/{layout}/{nested}/{signature}"
        settings = {"format": format, "layout": layout, "nested": nested, "signature": signature}
        wanted = {"company": "acme", "url": receiver.url + path, "events": ["*"], **settings}
        subscriptions[path] = daemon.call("POST", "/v1/subscriptions", wanted)["id"]
    return subscriptions


def secrets_of(daemon, subscriptions):
    get = lambda id: daemon.call("GET", f"/v1/subscriptions/{quote(id)}/secret")["secret"]
    return {path: [get(id)] for path, id in subscriptions.items()}


def keys_of(daemon, subscriptions):
    get = lambda id: daemon.call("GET", f"/v1/subscriptions/{quote(id)}")["public_keys"]
    return {path: get(id) for path, id in subscriptions.items()}


def is_nasty(data):
    """Whether part of it exceeds what parsers read in brackets."""
    return parse(data)[1] and dict(parse(data)[1])["call_id"] in ("n3", "n11", "n12", "n13", "n14")


def check_deliveries(deliveries, posted, secrets, keys):
    """Checks all but the structure of the forms, which it returns."""
    forms = []
    for delivery in deliveries:
        check_signature(delivery, secrets[delivery.path], keys[delivery.path])
        event, data = posted[delivery.headers["webhook-id"]]
        _, format, layout, nested, _ = delivery.path.split("/")
        if format == "json":
            check_json(layout, delivery.body, event, data)
        else:
            wanted = wanted_form(delivery, layout, nested, event, data)
            if "hookswitch-form" in delivery.headers and event["type"] != "call.smsfollowup" and not is_nasty(data):
                raise SystemExit(f"JSON text in brackets where none is needed: {delivery.headers} {data[:300]}")
            forms.append({"body": delivery.body.decode("ascii"), "wanted": wanted})
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
        forms = check_deliveries(deliveries, posted, secrets, keys_of(daemon, subscriptions))
        check_forms(forms, node_prefix)
        print(f"{len(deliveries)} deliveries of {len(posted)} events: signatures and structure are right")

        for path, id in subscriptions.items():
            new = daemon.call("POST", f"/v1/subscriptions/{quote(id)}/rotate-secret")["secret"]
            secrets[path].append(new)
        event_type, data = samples[0]
        event = post(daemon, event_type, data)
        rotated = receiver.take(len(VARIANTS))
        check_deliveries(rotated, {event["id"]: (event, data)}, secrets, keys_of(daemon, subscriptions))
        print(f"{len(rotated)} deliveries after a rotation: the old and the new secret and public key verify them")


if __name__ == "__main__":
    main(*sys.argv[1:])
