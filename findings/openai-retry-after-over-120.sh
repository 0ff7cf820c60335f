#!/usr/bin/env bash
# openai (Python) 3.54.0, openai (Node) 6.49.0
#
# A Retry-After of more than 120 seconds makes the Python client not wait longer but give up: no second
# request at all, whatever max_retries is and even where the server says `x-should-retry: true`. With
# 120 and less it obeys. The Node client obeys any number, and sleeps. So a batch server that is down
# for five minutes and says so loses its Python clients at once and parks its Node clients; one that
# says "120" keeps both.
#
#   python  Retry-After: 1              2 requests, answered
#   python  Retry-After: 121            1 request, InternalServerError at once, max_retries=5
#   python  Retry-After: 121 and
#           x-should-retry: true        the same
#   node    Retry-After: 121            1 request, still waiting after 4 s
#
# Exit status: 0 as above, 1 something else was seen, 2 it could not be tried (no node, no network).
set -uo pipefail

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
command -v npm >/dev/null || { echo "npm is needed"; exit 2; }
python3 -m venv "$dir/venv" &&
    "$dir/venv/bin/pip" install -q --disable-pip-version-check openai==3.54.0 httpx2==2.16.2 &&
    (cd "$dir" && npm install --silent --no-audit --no-fund openai@6.49.0 >/dev/null) || exit 2

cat >"$dir/node.mjs" <<'JS'
import OpenAI from "openai";
const client = new OpenAI({ baseURL: process.argv[2], apiKey: "k", maxRetries: 5 });
const call = client.models.list().then(() => "answered", (e) => e.constructor.name);
const late = new Promise((done) => setTimeout(() => done("still waiting"), 4000));
console.log(await Promise.race([call, late]));
process.exit(0);
JS

cat >"$dir/see.py" <<'PY'
import http.server, subprocess, sys, threading, time

import openai

headers, requests = {}, []


class Handler(http.server.BaseHTTPRequestHandler):
    """503 with `headers` at first, then 200."""

    protocol_version = "HTTP/1.1"

    def do_GET(self):
        requests.append(self.path)
        first = len(requests) == 1
        body = b'{"error":{"message":"back later"}}' if first else b'{"object":"list","data":[]}'
        self.send_response(503 if first else 200)
        for name, value in (headers if first else {}).items():
            self.send_header(name, value)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        pass


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
threading.Thread(target=server.serve_forever, daemon=True).start()
base_url = f"http://127.0.0.1:{server.server_port}/v1"


def python_client():
    try:
        openai.OpenAI(base_url=base_url, api_key="k", max_retries=5).models.list()
        return "answered"
    except openai.APIStatusError as error:
        return type(error).__name__


def node_client():
    command = ["node", "node.mjs", base_url]
    return subprocess.run(command, capture_output=True, text=True, timeout=60).stdout.strip()


good = True
for what, client, given, expected in [
    ("python", python_client, {"Retry-After": "1"}, (2, "answered")),
    ("python", python_client, {"Retry-After": "121"}, (1, "InternalServerError")),
    ("python", python_client, {"Retry-After": "121", "x-should-retry": "true"}, (1, "InternalServerError")),
    ("node", node_client, {"Retry-After": "121"}, (1, "still waiting")),
]:
    headers, before = given, time.monotonic()
    requests.clear()
    seen = (client(), time.monotonic() - before)
    got = (len(requests), seen[0])
    good = good and got == expected
    print(f"{what:7} {given}: {got[0]} requests, {got[1]} after {seen[1]:.1f} s"
          + ("" if got == expected else f"   NOT {expected}"))
print("openai", openai.__version__)
sys.exit(0 if good else 1)
PY
cd "$dir" && env -i PATH="$PATH" HOME="$dir" "$dir/venv/bin/python" see.py
