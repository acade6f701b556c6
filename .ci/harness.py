"""A daemon on a temporary directory, its HTTP API, and a receiver."""

import json
import queue
import subprocess
import threading
import urllib.error
import urllib.request
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

START_SECONDS = 30
STOP_SECONDS = 60
# Bypass any proxy that the environment configures.
OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class Daemon:
    """The real binary. Use as a context manager."""

    def __init__(self, binary, directory):
        self.data = Path(directory, "data")
        arguments = ["serve", "--data-dir", self.data, "--listen", "127.0.0.1:0", "--allow", "127.0.0.0/8"]
        self.process = subprocess.Popen([binary, *arguments], stdout=subprocess.PIPE, text=True)
        self.url = self._address()
        self.token = (self.data / "admin.token").read_text().strip()

    def _address(self):
        lines = queue.Queue()

        def read():
            for line in self.process.stdout:
                lines.put(line)
            lines.put(None)

        threading.Thread(target=read, daemon=True).start()
        while True:
            line = lines.get(timeout=START_SECONDS)
            if line is None:
                raise SystemExit(f"the daemon ended with status {self.process.wait()} before it listened")
            if "listening on http://" in line:
                return "http://" + line.split("listening on http://", 1)[1].strip()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        try:
            status = self.process.wait(timeout=STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise SystemExit(f"the daemon did not stop within {STOP_SECONDS} s")
        if status != 0:
            raise SystemExit(f"the daemon stopped with status {status}")

    def call(self, method, path, body=None):
        """The parsed answer; ends the run if it is not 2xx. `body`: JSON text, or a value to write as JSON."""
        text = body if isinstance(body, str) or body is None else json.dumps(body)
        request = urllib.request.Request(self.url + path, method=method, data=text and text.encode())
        request.add_header("Authorization", f"Bearer {self.token}")
        request.add_header("Content-Type", "application/json")
        try:
            with OPENER.open(request, timeout=30) as response:
                return json.load(response)
        except urllib.error.HTTPError as error:
            raise SystemExit(f"{method} {path}: {error.code} {error.read().decode(errors='replace')}\n{text}")


@dataclass(frozen=True)
class Delivery:
    """A request as received."""

    path: str
    headers: dict
    body: bytes


class Receiver:
    """Answers 200 to every POST and records it."""

    def __init__(self):
        self.arrived = queue.Queue()
        arrived = self.arrived

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.rfile.read(int(self.headers["content-length"]))
                headers = {name.lower(): value for name, value in self.headers.items()}
                arrived.put(Delivery(self.path, headers, body))
                self.send_response(200)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def take(self, count, seconds=60):
        """The next `count` deliveries; ends the run if they do not come."""
        taken = []
        while len(taken) < count:
            try:
                taken.append(self.arrived.get(timeout=seconds))
            except queue.Empty:
                raise SystemExit(f"{len(taken)} of {count} deliveries came, then none for {seconds} s")
        return taken
