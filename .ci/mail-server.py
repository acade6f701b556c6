"""Mails of a daemon, taken by aiosmtpd: with STARTTLS and a password, and with TLS.

    .ci/mail-server.py HOOKSWITCH

Prints what came; exits 1 if a mail is missing or the password is in the daemon's messages.
"""

import json
import pathlib
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from email import message_from_bytes
from http.server import BaseHTTPRequestHandler, HTTPServer

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult

PATIENCE = 30


class Mailbox:
    def __init__(self):
        self.mails = []

    async def handle_DATA(self, server, session, envelope):
        self.mails.append((session.ssl is not None, session.authenticated, message_from_bytes(envelope.content)))
        return "250 taken"


def authenticator(server, session, envelope, mechanism, data):
    return AuthResult(success=(data.login, data.password) == (b"ann", b"hunter2"))


class Starttls(Controller):
    def factory(self):
        return SMTP(self.handler, tls_context=self.context, require_starttls=True, auth_required=True,
                    authenticator=authenticator)


class Smtps(Controller):
    def factory(self):
        return SMTP(self.handler, auth_required=True, auth_require_tls=False, authenticator=authenticator)


class Gone(BaseHTTPRequestHandler):
    def do_POST(self):
        self.rfile.read(int(self.headers["content-length"]))
        self.send_response(410)
        self.end_headers()

    def log_message(self, *_):
        pass


def certificate(directory):
    cert, key = directory / "cert.pem", directory / "key.pem"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost",
                    "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1", "-addext",
                    "basicConstraints=critical,CA:FALSE", "-keyout", key, "-out", cert],
                   check=True, capture_output=True)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(cert, key)
    return cert, context


def check(program, scheme, directory):
    cert, context = certificate(directory)
    mailbox = Mailbox()
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]  # aiosmtpd cannot be given port 0
    if scheme == "smtp":
        server = Starttls(mailbox, hostname="127.0.0.1", port=port)
        server.context = context
    else:
        server = Smtps(mailbox, hostname="127.0.0.1", port=port, ssl_context=context)
    server.start()
    gone = HTTPServer(("127.0.0.1", 0), Gone)
    threading.Thread(target=gone.serve_forever, daemon=True).start()
    config = directory / "hookswitch.toml"
    config.write_text(f'''data_dir = "{directory / "data"}"
[http]
listen = "127.0.0.1:0"
[network]
allow = ["127.0.0.0/8"]
extra_ca = ["{cert}"]
[alerts]
smtp_url = "{scheme}://ann:hunter2@127.0.0.1:{port}"
mail_from = "hooks@platform.example"
mail_to = ["ops@platform.example"]
''')
    messages = open(directory / "messages", "w+")
    daemon = subprocess.Popen([program, "serve", "--config", config], stdout=subprocess.PIPE, stderr=messages, text=True)
    try:
        base = daemon.stdout.readline().split()[-1]
        token = (directory / "data/admin.token").read_text().strip()

        def post(path, document):
            request = urllib.request.Request(base + path, json.dumps(document).encode(), {
                "authorization": f"Bearer {token}", "content-type": "application/json"})
            return json.load(urllib.request.urlopen(request))

        post("/v1/subscriptions", {"company": "acme", "url": f"http://127.0.0.1:{gone.server_port}/", "events": ["*"],
                                   "notify": ["it@acme.example"]})
        post("/v1/events", {"type": "call.new", "company": "acme", "source": "api", "data": {"call_id": "c1"}})
        wanted, deadline = {"ops@platform.example", "it@acme.example"}, time.monotonic() + PATIENCE
        while time.monotonic() < deadline and wanted - {mail["To"] for _, _, mail in mailbox.mails}:
            time.sleep(0.1)
        for secured, authenticated, mail in mailbox.mails:
            print(f"{scheme}: {mail['To']}: {mail['Subject']}")
            assert secured or scheme == "smtps", "without TLS"
            assert authenticated, "without a password"
            assert [part.get_content_type() for part in mail.walk()][1:] == ["text/plain", "text/html"]
        missing = wanted - {mail["To"] for _, _, mail in mailbox.mails}
        assert not missing, f"no mail to {missing}"
    finally:
        daemon.terminate()
        daemon.wait()
        server.stop()
    messages.seek(0)
    assert "hunter2" not in messages.read(), "the password is in the messages"


for scheme in ("smtp", "smtps"):
    with tempfile.TemporaryDirectory() as directory:
        check(sys.argv[1], scheme, pathlib.Path(directory))
