"""Runs the receivers that the page shows, and has the daemon post tests to them.

Usage: page-receivers.py BINARY

Each must believe what is signed as its webhook says, whatever the format and layout, and answer 401 to anything else.
C# is left out: there is no .NET here, and none among the packages of Debian 12.
"""

import json
import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request
from contextlib import contextmanager
from pathlib import Path

from harness import OPENER, Daemon

SECRET = "whsec_" + "BwcH" * 8
OTHER = "whsec_" + "CQkJ" * 8
# Per language: the file, and the command that serves it.
LANGUAGES = {
    "php": ("receiver.php", lambda file, port: ["php", "-S", f"127.0.0.1:{port}", file]),
    "node": ("receiver.cjs", lambda file, port: ["node", file]),
    "python": ("receiver.py", lambda file, port: [sys.executable, file]),
    "ruby": ("config.ru", lambda file, port: ["rackup", "-q", "-o", "127.0.0.1", "-p", str(port), file]),
}
FORMATS = [(format, layout) for format in ("json", "form") for layout in ("envelope", "flat")]


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextmanager
def serving(command, port, environment):
    process = subprocess.Popen(command, env=os.environ | environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        end = time.monotonic() + 30
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            except OSError:
                if process.poll() is not None or time.monotonic() > end:
                    raise SystemExit(f"{command} does not listen") from None
                time.sleep(0.05)
        yield
    finally:
        process.kill()
        process.wait()


def snippets(daemon, cookie, settings):
    asked = urllib.request.Request(f"{daemon.url}/webhooks/preview?{urllib.parse.urlencode(settings)}")
    asked.add_header("Cookie", cookie)
    with OPENER.open(asked, timeout=30) as response:
        return {one["name"]: one["text"] for one in json.load(response)["receivers"]}


def signed_in(daemon):
    """The cookie of a session on the page."""
    fields = urllib.parse.urlencode({"token": daemon.token}).encode()
    asked = urllib.request.Request(f"{daemon.url}/sign-in", fields, {"Origin": daemon.url})
    no_redirect = type("Stay", (urllib.request.HTTPRedirectHandler,), {"redirect_request": lambda *_: None})
    try:
        urllib.request.build_opener(urllib.request.ProxyHandler({}), no_redirect).open(asked, timeout=30)
    except urllib.error.HTTPError as answer:
        if answer.code == 303:
            return answer.headers["Set-Cookie"].split(";")[0]
        raise
    raise SystemExit("signing in does not lead on")


def check(daemon, language, text, settings, public_key):
    name, command = LANGUAGES[language]
    port = free_port()
    by = {"WEBHOOK_SECRET": SECRET} if settings["signature"] == "v1" else {"WEBHOOK_PUBLIC_KEY": public_key}
    environment = {"PORT": str(port)} | by
    others = {"v1": ["v1a"], "v1a": ["v1"], "both": ["v1"]}[settings["signature"]]
    with tempfile.TemporaryDirectory() as directory:
        file = Path(directory, name)
        file.write_text(text)
        with serving(command(file, port), port, environment):
            for secret, signature, wanted in [
                (SECRET, settings["signature"], 204),
                (SECRET, "both", 204),
                (OTHER, settings["signature"], 401),
                *((SECRET, other, 401) for other in others),
            ]:
                asked = {"url": f"http://127.0.0.1:{port}/", "secret": secret, **settings, "signature": signature}
                found = daemon.call("POST", "/v1/test", asked)
                if found["response"] != wanted:
                    raise SystemExit(f"{language} {settings}: {signature} was answered {found['response']}, not {wanted}\n{text}")


def main(binary):
    with tempfile.TemporaryDirectory() as directory, Daemon(binary, directory) as daemon:
        cookie = signed_in(daemon)
        made = {"company": "acme", "url": "http://127.0.0.1:9/", "events": ["*"], "secret": SECRET, "signature": "v1a"}
        id = daemon.call("POST", "/v1/subscriptions", made)["id"]
        public_key = daemon.call("GET", f"/v1/subscriptions/{id}")["public_keys"][0]
        for signature in ("v1", "v1a", "both"):
            for format, layout in FORMATS if signature != "both" else FORMATS[:1]:
                settings = {"format": format, "layout": layout, "signature": signature}
                shown = snippets(daemon, cookie, settings)
                for language in LANGUAGES:
                    check(daemon, language, shown[language], settings, public_key)
            print(f"{', '.join(LANGUAGES)}: the page's receivers for {signature} judge right")


if __name__ == "__main__":
    main(*sys.argv[1:])
