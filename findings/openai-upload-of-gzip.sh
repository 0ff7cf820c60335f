#!/usr/bin/env bash
# openai (Python) 3.54.0
#
# files.create() with an open gzip file, which is what people have who keep their batch files
# compressed, declares the size of the *compressed* file as the form's Content-Length and then sends the
# decompressed bytes: the length is asked of the file's descriptor. The upload ends in an exception of
# h11 ("Too much data for declared Content-Length") that is none of openai's own, so no retry and no
# `except openai.OpenAIError` sees it, and the server sees a form that is cut off. A pipe fares the same
# (its descriptor says 0 bytes). What works is to hand over the bytes: file.read().
#
# Exit status: 0 as said, 1 something else was seen, 2 it could not be tried (no network).
set -uo pipefail

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/venv" &&
    "$dir/venv/bin/pip" install -q --disable-pip-version-check openai==3.54.0 httpx2==2.16.2 || exit 2

cat >"$dir/see.py" <<'PY'
import gzip, http.server, os, sys, threading

import openai

LINES = b'{"custom_id":"1","body":{"model":"m","messages":[]}}\n' * 1000


class Handler(http.server.BaseHTTPRequestHandler):
    """Takes an upload and answers with how many lines were in it."""

    protocol_version = "HTTP/1.1"
    seen = []

    def do_POST(self):
        length = int(self.headers["Content-Length"])
        form = self.rfile.read(length)
        Handler.seen.append((length, form.count(b"custom_id")))
        body = b'{"id":"file-1","object":"file","bytes":1,"created_at":1,"filename":"a","purpose":"batch"}'
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        pass


class Quiet(http.server.ThreadingHTTPServer):
    def handle_error(self, request, address):
        pass  # the client hung up


server = Quiet(("127.0.0.1", 0), Handler)
threading.Thread(target=server.serve_forever, daemon=True).start()
client = openai.OpenAI(base_url=f"http://127.0.0.1:{server.server_port}/v1", api_key="k")

with gzip.open("lines.jsonl.gz", "wb") as out:
    out.write(LINES)
packed = os.path.getsize("lines.jsonl.gz")


def pipe():
    reader, writer = os.pipe()
    os.write(writer, LINES[:4000])
    os.close(writer)
    return os.fdopen(reader, "rb")


def upload(file):
    try:
        return client.files.create(file=("lines.jsonl", file), purpose="batch").id
    except Exception as error:
        of_openai = "an openai error" if isinstance(error, openai.OpenAIError) else "no openai error"
        return f"{type(error).__module__}.{type(error).__name__}: {error} ({of_openai})"


CUT = "h11._util.LocalProtocolError: Too much data for declared Content-Length (no openai error)"
print(f"openai {openai.__version__}: {len(LINES)} bytes, {packed} compressed")
good = True
for what, file, expected in [
    ("bytes", gzip.open("lines.jsonl.gz").read(), "file-1"),
    ("gzip.open", gzip.open("lines.jsonl.gz"), CUT),
    ("pipe", pipe(), CUT),
]:
    got = upload(file)
    good = good and got == expected
    print(f"{what:10} {got}" + ("" if got == expected else f"   NOT {expected}"))
print("whole forms that the server saw (declared length, lines):",
      [one for one in Handler.seen if one[1] == 1000])
sys.exit(0 if good else 1)
PY
cd "$dir" && env -i PATH="$PATH" HOME="$dir" "$dir/venv/bin/python" see.py
