#!/usr/bin/env bash
# libcurl 7.88.1 (Debian 12), CURLOPT_AWS_SIGV4, against botocore 1.40.61, whose signatures S3 takes
#
# The headers of a signature stand in the order of their names. libcurl sorts the lines instead, name,
# colon and value: so where one name begins another, as x-amz-copy-source begins x-amz-copy-source-range,
# the longer one comes first ('-' is before ':'), and the signature is another than the server makes. The same
# call with either header alone is signed well. So UploadPartCopy, the copy of an object over 5 GB, cannot
# be asked for with it: a store answers 403, SignatureDoesNotMatch, and nothing in that answer says why.
#
#   x-amz-copy-source                              the signature is botocore's
#   x-amz-copy-source-range                        the signature is botocore's
#   both                                           it is not: SignedHeaders=…-source-range;x-amz-copy-source
#
# Tried with the curl of the system. Exit status: 0 as above, 1 something else was seen, 2 it could not
# be tried (no curl, no network).
set -uo pipefail

dir=$(mktemp -d)
trap 'kill $server 2>/dev/null; rm -rf "$dir"' EXIT
server=
command -v curl >/dev/null && python3 -m venv "$dir/venv" &&
    "$dir/venv/bin/pip" install -q --disable-pip-version-check botocore==1.40.61 || exit 2

cat >"$dir/server.py" <<'PY'
"""Says of each request whether botocore would have signed it so."""
import http.server

from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials


class Handler(http.server.BaseHTTPRequestHandler):
    def do_PUT(self):
        given = self.headers["Authorization"]
        signed = given.split("SignedHeaders=")[1].split(",")[0]
        names = signed.split(";")
        signer = S3SigV4Auth(Credentials("AKIDEXAMPLE", "secret"), "s3", "us-east-1")
        request = AWSRequest("PUT", f"http://{self.headers['Host']}{self.path}")
        for name in names:
            request.headers[name] = self.headers[name]
        request.context["timestamp"] = self.headers["X-Amz-Date"]
        request.context["payload_signing_enabled"] = True
        canonical = signer.canonical_request(request)
        wanted = signer.signature(signer.string_to_sign(request, canonical), request)
        good = given.endswith("Signature=" + wanted)
        order = ";".join(name for name in names if "copy" in name)
        text = f"{'botocore' if good else 'another'} {order}\n".encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *args):
        pass


server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
print(server.server_port, flush=True)
server.serve_forever()
PY

mkfifo "$dir/port"
"$dir/venv/bin/python" "$dir/server.py" >"$dir/port" 2>"$dir/log" &
server=$!
read -r port <"$dir/port" || exit 2

empty=e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855 # SHA-256 of nothing
ask() {
    curl -sS -X PUT --aws-sigv4 aws:amz:us-east-1:s3 --user AKIDEXAMPLE:secret \
        -H "x-amz-content-sha256: $empty" "$@" "http://127.0.0.1:$port/bucket/key"
}
source='x-amz-copy-source: /bucket/from'
range='x-amz-copy-source-range: bytes=0-99'

good=0
see() {
    local wanted=$1 said
    shift
    said=$(ask "$@") || exit 2
    echo "$said"
    [ "$said" = "$wanted" ] || good=1
}
see "botocore x-amz-copy-source" -H "$source"
see "botocore x-amz-copy-source-range" -H "$range"
see "another x-amz-copy-source-range;x-amz-copy-source" -H "$source" -H "$range"
curl --version | head -n 1
exit $good
