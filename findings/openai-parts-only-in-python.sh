#!/usr/bin/env bash
# openai (Python) 3.54.0, openai (Node) 6.49.0
#
# A file larger than one request may carry goes up in parts: POST /uploads, /uploads/ID/parts,
# /uploads/ID/complete. The Python client cuts the file itself (uploads.upload_file_chunked, parts of
# 64 MiB); the Node client has the three calls and no such function, so its users cut by hand, or send
# the whole file to POST /files. Neither client tries the end of an upload with `md5` unless told to,
# and the Python client sends its parts one after the other.
#
#   python  130 MiB by upload_file_chunked   parts of 64, 64 and 2 MiB, one at a time, no md5
#   node    uploads                          cancel, complete, create, parts; nothing that cuts
#
# Exit status: 0 as above, 1 something else was seen, 2 it could not be tried (no node, no network).
set -uo pipefail

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
command -v npm >/dev/null || { echo "npm is needed"; exit 2; }
python3 -m venv "$dir/venv" &&
    "$dir/venv/bin/pip" install -q --disable-pip-version-check openai==3.54.0 &&
    (cd "$dir" && npm install --silent --no-audit --no-fund openai@6.49.0 >/dev/null) || exit 2

cat >"$dir/node.mjs" <<'JS'
import OpenAI from "openai";
const uploads = new OpenAI({ baseURL: "http://127.0.0.1:9/v1", apiKey: "k" }).uploads;
const names = Object.getOwnPropertyNames(Object.getPrototypeOf(uploads))
  .concat(Object.keys(uploads))
  .filter((name) => name !== "constructor" && !name.startsWith("_"));
console.log(names.sort().join(", "));
JS

cat >"$dir/python.py" <<'PY'
import http.server
import json
import sys
import threading

from openai import OpenAI

seen, at_once, most = [], 0, 0
lock = threading.Lock()


class Server(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        global at_once, most
        with lock:
            at_once += 1
            most = max(most, at_once)
        body = self.rfile.read(int(self.headers["Content-Length"]))
        part = self.path.endswith("/parts")
        seen.append((self.path.rpartition("/")[2], len(body) >> 20 if part else json.loads(body)))
        upload = {"id": "upload_1", "object": "upload", "bytes": 0, "created_at": 1, "expires_at": 2,
                  "filename": "in", "purpose": "batch", "status": "pending", "file": None}
        answer = {"id": f"part_{len(seen)}", "object": "upload.part", "created_at": 1,
                  "upload_id": "upload_1"} if part else upload
        with lock:
            at_once -= 1
        data = json.dumps(answer).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *args):
        pass


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Server)
threading.Thread(target=server.serve_forever, daemon=True).start()
client = OpenAI(base_url=f"http://127.0.0.1:{server.server_port}/v1", api_key="k")
path = sys.argv[1]
with open(path, "wb") as out:
    out.truncate(130 << 20)
client.uploads.upload_file_chunked(file=path, mime_type="application/jsonl", purpose="batch")
parts = [size for name, size in seen if name == "parts"]
end = seen[-1][1]
print(f"parts of {parts} MiB, {most} at a time, complete with {', '.join(sorted(end))}")
PY

node=$(cd "$dir" && node node.mjs)
python=$("$dir/venv/bin/python" "$dir/python.py" "$dir/in.jsonl" 2>&1 | tail -1)
echo "node    $node"
echo "python  $python"
[ "$node" = "cancel, complete, create, parts" ] &&
    [ "$python" = "parts of [64, 64, 2] MiB, 1 at a time, complete with part_ids" ]
