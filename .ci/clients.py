"""Makes clients from the daemon's OpenAPI document, each without a warning, and has each do the main job against the daemon.

Usage: clients.py BINARY NODE_PREFIX

The main job: create a webhook, post an event, see it delivered, read the log, rotate the secret. Clients are made by
openapi-python-client (PyPI), openapi-typescript with openapi-fetch, and openapi-generator; redocly lints the document. To be run
with the Python in whose environment the first and the last of these are installed.
"""

import importlib
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
from harness import OPENER, Daemon, Receiver

# What openapi-generator says of itself, whatever the document: of OpenAPI 3.1 as such; of every `additionalProperties`
# that is `false`; and of every example of a body that is an object.
OF_THE_TOOL = ("OpenAPI 3.1 support is still in beta", "Failed to get the schema name: null", "Ignoring complex example on request body")


def run(*command, cwd=None, environment=None):
    """What a program says; ends the run if it fails."""
    ran = subprocess.run(command, cwd=cwd, env=os.environ | (environment or {}), capture_output=True, text=True, timeout=300)
    said = ran.stdout + ran.stderr
    if ran.returncode != 0:
        sys.exit(f"{' '.join(map(str, command))} ended with {ran.returncode}:\n{said}")
    return said


def quiet(name, said, marks=r"warn|error", known=()):
    """Ends the run if a line of what a program said is a warning."""
    found = [line for line in said.splitlines() if re.search(marks, line, re.IGNORECASE) and not any(one in line for one in known)]
    if found:
        sys.exit(f"{name} warns:\n" + "\n".join(found))
    print(f"{name}: no warning")


def delivered(name, receiver, event):
    [delivery] = receiver.take(1)
    if delivery.headers["webhook-id"] != event or json.loads(delivery.body)["data"]["lead_phone"] != "+12025550143":
        sys.exit(f"{name}: not the event that was posted: {delivery}")
    print(f"{name}: the event was delivered, the log read and the secret rotated")


def lint(document, node):
    said = run(node / "redocly", "lint", "--format", "codeframe", document, environment={"REDOCLY_TELEMETRY": "off", "REDOCLY_SUPPRESS_UPDATE_NOTICE": "true"})
    # It warns of old Node versions, too.
    quiet("redocly", said.split("validating", 1)[1])


def python_client(document, directory, daemon, receiver):
    tool = Path(sys.executable).with_name("openapi-python-client")
    # It formats with ruff, which comes with it, if that is found.
    path = {"PATH": f"{tool.parent}{os.pathsep}{os.environ['PATH']}"}
    quiet("openapi-python-client", run(tool, "generate", "--path", document, "--output-path", directory / "python", environment=path))
    sys.path.insert(0, str(directory / "python"))
    of = lambda name: importlib.import_module(f"hookswitch_client.{name}")
    models = of("models")
    call = lambda name: of(f"api.{name}").sync
    client = of("client").AuthenticatedClient(base_url=daemon.url, token=daemon.token, raise_on_unexpected_status=True)
    new = models.NewSubscription(company="python", url=receiver.url + "/hook", events=[models.EventTypeOrAll.CALL_MISSED])
    made = call("subscriptions.create_subscription")(client=client, body=new)
    data = models.CallMissedData(call_id="c-1", lead_phone="+12025550143", retry_attempts=0)
    event = models.NewCallMissedEvent(company="python", source=models.SourceInput.WIDGET, type_="call.missed", data=data)
    receipt = call("events.post_events")(client=client, body=event)
    if receipt.deliveries != 1:
        sys.exit(f"openapi-python-client: {receipt}")
    delivered("openapi-python-client", receiver, receipt.id)
    end = time.monotonic() + 30
    while not (entries := call("log.list_log")(client=client, company="python").entries):
        if time.monotonic() > end:
            sys.exit("openapi-python-client: there is nothing in the log")
        time.sleep(0.05)
    if (entries[0].status, entries[0].response, entries[0].call) != (models.Status.DELIVERED, 200, "c-1"):
        sys.exit(f"openapi-python-client: {entries[0]}")
    before = call("subscriptions.show_secret")(id=made.id, client=client)
    after = call("subscriptions.rotate_secret")(id=made.id, client=client, body=models.RotateSecretBody(overlap="1h"))
    if before.secret == after.secret or not after.secret.startswith("whsec_"):
        sys.exit(f"openapi-python-client: {after}")


def typescript_client(name, program, directory, daemon, receiver, node):
    """Compiles `program`, which uses a generated client, strictly, and runs it."""
    (directory / "main.ts").write_text((HERE / program).read_text())
    (directory / "package.json").write_text('{"type": "module"}')
    if not (directory / "node_modules").exists():
        (directory / "node_modules").symlink_to(node.parent, target_is_directory=True)
    options = ["--strict", "--target", "es2022", "--module", "esnext", "--moduleResolution", "bundler", "--skipLibCheck", "--types", "node"]
    run(node / "tsc", *options, "--outDir", "built", "main.ts", cwd=directory)
    # Modules of the generated client are named without their extension, which bundlers know.
    run(node / "esbuild", "built/main.js", "--bundle", "--format=esm", "--platform=node", "--outfile=main.mjs", "--log-level=warning", cwd=directory)
    given = {"HOOKSWITCH_URL": daemon.url, "HOOKSWITCH_TOKEN": daemon.token, "RECEIVER": receiver.url}
    delivered(name, receiver, run("node", "main.mjs", cwd=directory, environment=given).strip())


def main(binary, node_prefix):
    node = Path(node_prefix, "node_modules", ".bin").resolve()
    generator = Path(sys.executable).with_name("openapi-generator-cli")
    receiver = Receiver()
    with tempfile.TemporaryDirectory() as place, Daemon(Path(binary).resolve(), place) as daemon:
        place = Path(place)
        document = place / "openapi.json"
        document.write_bytes(OPENER.open(daemon.url + "/openapi.json", timeout=30).read())
        lint(document, node)
        python_client(document, place, daemon, receiver)
        types = place / "types"
        types.mkdir()
        quiet("openapi-typescript", run(node / "openapi-typescript", document, "-o", types / "hookswitch.d.ts"))
        typescript_client("openapi-fetch", "client-fetch.ts", types, daemon, receiver, node)
        for language in ("java", "typescript-fetch"):
            said = run(generator, "generate", "-i", document, "-g", language, "-o", place / language / "client")
            quiet(f"openapi-generator, {language}", said, r"\] (WARN|ERROR)", OF_THE_TOOL)
        typescript_client("openapi-generator", "client-generated.ts", place / "typescript-fetch", daemon, receiver, node)


if __name__ == "__main__":
    main(*sys.argv[1:])
