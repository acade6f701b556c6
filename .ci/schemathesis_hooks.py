"""Generators for values that a schema cannot describe.

A schema can say that a URL is a string, but not that its address is allowed or that a cursor was issued by the daemon.
The hooks generate such values, so that requests generated as valid are valid.
"""

import base64
import copy
import functools
import json
import os
import uuid
from datetime import datetime, timedelta, timezone
from pathlib import Path

import jsonschema_rs
import schemathesis
from hypothesis import strategies as st
from schemathesis import GenerationMode

NOW = datetime.now(timezone.utc).replace(microsecond=0, tzinfo=None)
CURSORS = json.loads(os.environ["HOOKSWITCH_CURSORS"])
SOME_CURSOR = "the-cursor-of-this-list"
DESCRIPTION = json.loads(Path(os.environ["HOOKSWITCH_OPENAPI"]).read_text())


def times(first, last):
    """RFC 3339 times between two naive times in UTC."""
    return st.datetimes(min_value=first, max_value=last).map(lambda time: time.isoformat() + "Z")


schemathesis.openapi.format("date-time", times(datetime(1970, 1, 2), datetime(2200, 1, 1)))
schemathesis.openapi.format("future-time", times(NOW + timedelta(days=1), datetime(2200, 1, 1)))
schemathesis.openapi.format("past-time", times(datetime(1970, 1, 2), NOW))
schemathesis.openapi.format("length-of-time", st.builds("{}{}".format, st.integers(1, 24), st.sampled_from(["m", "h"])))
# A port of this machine on which nothing listens: a probe of it ends at once.
schemathesis.openapi.format("webhook-url", st.integers(0, 9).map(lambda n: f"http://127.0.0.1:1/{n}"))
schemathesis.openapi.format("header-name", st.integers(0, 99).map(lambda n: f"x-test-{n}"))
schemathesis.openapi.format("idempotency-key", st.from_regex(r"\A[A-Za-z0-9_-]{1,64}\Z"))
schemathesis.openapi.format("sms", st.text(st.characters(codec="utf-8"), max_size=200))
schemathesis.openapi.format("widget-id", st.from_regex(r"\A[A-Za-z0-9_-]{1,64}\Z"))
schemathesis.openapi.format("media-type", st.sampled_from(["image/jpeg", "video/mp4", "text/vcard; charset=utf-8"]))
schemathesis.openapi.format("cursor", st.just(SOME_CURSOR))
schemathesis.openapi.format("email", st.just("it@acme.example"))
schemathesis.openapi.format("template", st.sampled_from(['{"text": {{ data.lead_phone }}}', "{{ data }}", '{"a": "{{ type }}"}']))
schemathesis.openapi.format("content-type", st.sampled_from(["application/json", "application/problem+json"]))
schemathesis.openapi.format("filter", st.sampled_from(["type", "data.duration|int > 60", 'source in ["api", "widget"]']))
schemathesis.openapi.format("auth-secret", st.from_regex(r"\A[A-Za-z0-9]{1,40}\Z"))
schemathesis.openapi.format("line", st.from_regex(r"\A[A-Za-z0-9 ]{1,40}\Z"))
# Matching certificates and keys are covered by the daemon's own tests: they are left out below.
schemathesis.openapi.format("certificate", st.just("client_cert"))
schemathesis.openapi.format("private-key", st.just("client_key"))


def put_in_order(where, first, second, read):
    """Puts two members in order."""
    if isinstance(where, dict) and where.get(first) is not None and where.get(second) is not None:
        where[first], where[second] = sorted([where[first], where[second]], key=read)
        if read(where[first]) == read(where[second]):
            del where[second]


def tolerant(description):
    """The document with what the daemon takes, too, and does not say because clients are generated from it: an optional member
    that is an empty text, an empty list for `lead` and `events`, and anything as data that no event type requires."""
    description = copy.deepcopy(description)
    schemas = description["components"]["schemas"]
    for name in [name for name in schemas if name.endswith("Data")]:
        data = schemas[name]
        data["properties"] = {member: data["properties"][member] if member in data["required"] else {} for member in data["properties"]}
        data["properties"].get("conversation", {}).pop("items", None)

    def loosen(schema):
        if isinstance(schema, list):
            for item in schema:
                loosen(item)
        elif isinstance(schema, dict):
            if {"type": "null"} in schema.get("anyOf", []):
                schema["anyOf"] += [{"const": ""}, {"type": "array", "maxItems": 0}]
            for value in schema.values():
                loosen(value)

    loosen(description)
    lead = next(schema for schema in schemas["NewMessage"]["properties"]["lead"]["anyOf"] if "properties" in schema)
    lead["additionalProperties"] = {"enum": [None, ""]}
    return description


@functools.cache
def validator(tolerant, path, method, media):
    """Of a body of an operation; `None` if there is none of this media type."""
    description = TOLERANT if tolerant else DESCRIPTION
    path = description["paths"][path][method]
    body = path.get("requestBody", {}).get("content", {}).get(media, {}).get("schema")
    schema = body and {"components": description["components"], **body}
    return schema and jsonschema_rs.Draft202012Validator(schema, validate_formats=True)


TOLERANT = tolerant(DESCRIPTION)


@schemathesis.hook
def filter_case(context, case):
    """Leaves out bodies that are only as invalid as the daemon tolerates."""
    if case.meta is None or case.meta.generation.mode != GenerationMode.NEGATIVE or not isinstance(case.body, (dict, list)):
        return True
    operation = case.operation.path, case.operation.method.lower(), case.media_type
    strict, loose = validator(False, *operation), validator(True, *operation)
    return strict is None or strict.is_valid(case.body) or not loose.is_valid(case.body)


@schemathesis.hook
def before_call(context, case, kwargs):
    """Constraints between members of a request."""
    if case.query.get("cursor") == SOME_CURSOR:
        path = case.operation.path
        if path in CURSORS:
            case.query["cursor"] = CURSORS[path]
        else:
            del case.query["cursor"]
    if case.meta is None or case.meta.generation.mode != GenerationMode.POSITIVE:
        return
    if case.operation.path in ("/v1/calls/{call_id}", "/v1/conversations/{call_id}"):
        # Several companies may have a call with the same id; then the company is required.
        case.query.setdefault("company", "acme")
    documents = case.body if isinstance(case.body, list) else [case.body]
    documents += [document["settings"] for document in documents if isinstance(document, dict) and "settings" in document]
    for document in (document for document in documents if isinstance(document, dict)):
        document.pop("client_cert", None)
        document.pop("client_key", None)
        # Of what cannot be together, one: also with what is stored, which a change does not name.
        if document.get("layout") == "cloudevents":
            document["format"] = "json"
        elif document.get("format") == "form":
            document.setdefault("layout", "envelope")
        if document.get("preset"):
            document.pop("content_type", None)
            document["template"] = None
            # This one wants a URL of its own.
            if document["preset"] == "salesforce_web_to_lead":
                document["preset"] = "slack"
        elif document.get("template"):
            document["preset"] = None
        else:
            document.pop("content_type", None)
        # All types, or some.
        if isinstance(document.get("events"), list) and "*" in document["events"]:
            document["events"] = ["*"]
        # A pattern cannot express base64 of whole bytes.
        if document.get("secret"):
            document["secret"] = "whsec_" + base64.b64encode(os.urandom(32)).decode()
        # The same id with different content is refused by design.
        if document.get("id"):
            document["id"] = uuid.uuid4().hex
    for name in [name for name in case.headers or {} if name.lower() in ("idempotency-key", "ce-id")]:
        case.headers[name] = uuid.uuid4().hex
    put_in_order(case.query, "from", "to", int)
    put_in_order(case.body, "since", "until", datetime.fromisoformat)
    if isinstance(case.body, dict) and case.body.get("id") is not None:
        case.headers.pop("Idempotency-Key", None)
