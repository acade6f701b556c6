"""Posts CloudEvents made by the official SDK (PyPI `cloudevents`), structured and binary, and checks what arrives.

Usage: cloudevents-sdk.py BINARY
"""

import json
import sys
import tempfile
import urllib.request
from datetime import datetime, timezone

from cloudevents.core.bindings.http import to_binary_event, to_structured_event
from cloudevents.core.v1.event import CloudEvent
from harness import OPENER, Daemon, Receiver

WHEN = datetime(2026, 11, 23, 9, 30, tzinfo=timezone.utc)


def made(id, type, data, source="https://platform.example/acme/widget"):
    attributes = {
        "id": id,
        "source": source,
        "type": type,
        "specversion": "1.0",
        "time": WHEN,
        "datacontenttype": "application/json",
        "subject": "call-1",
        "company": "Café & Söhne",
        "domain": "www.acme.example",
        "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    }
    return CloudEvent(attributes=attributes, data=data)


def post(daemon, message):
    body = message.body if isinstance(message.body, bytes) else message.body.encode()
    request = urllib.request.Request(daemon.url + "/v1/events", data=body, headers=dict(message.headers))
    request.add_header("Authorization", f"Bearer {daemon.token}")
    with OPENER.open(request, timeout=30) as response:
        assert response.status == 202, response.status
        return json.load(response)


def main(binary):
    receiver = Receiver()
    with tempfile.TemporaryDirectory() as directory, Daemon(binary, directory) as daemon:
        subscription = {"company": "Café & Söhne", "domain": "www.acme.example", "sources": ["widget"]}
        daemon.call("POST", "/v1/subscriptions", {**subscription, "url": receiver.url + "/", "events": ["*"]})
        types = daemon.call("GET", "/v1/event-types")["items"]
        posted = {}
        for number, entry in enumerate(types):
            for mode, write in (("structured", to_structured_event), ("binary", to_binary_event)):
                message = write(made(f"{mode}-{number}", entry["name"], entry["sample"]))
                receipt = post(daemon, message)
                assert receipt["deliveries"] == 1 and not receipt["duplicate"], (mode, entry["name"], receipt)
                again = post(daemon, message)
                assert again["duplicate"] and again["id"] == receipt["id"], (mode, entry["name"], again)
                posted[receipt["id"]] = entry
        for delivery in receiver.take(len(posted)):
            body, entry = json.loads(delivery.body), posted.pop(delivery.headers["webhook-id"])
            assert body["type"] == entry["name"] and body["data"] == entry["sample"], (body, entry)
            known = [body["company"], body["domain"], body["source"], body["timestamp"]]
            assert known == ["Café & Söhne", "www.acme.example", "widget", "2026-11-23T09:30:00.000Z"], known
        # The same id of another source is another event.
        elsewhere = post(daemon, to_binary_event(made("binary-0", "call.new", types[0]["sample"], "urn:x:widget")))
        assert not elsewhere["duplicate"], elsewhere
        print(f"{2 * len(types)} CloudEvents of the SDK's arrived as they were made, each accepted once")


if __name__ == "__main__":
    main(*sys.argv[1:])
