"""A collector of traces: OTLP over HTTP, read strictly, by OpenTelemetry's own definitions."""

import base64
import json
import re
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from google.protobuf import json_format
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

HEX = {"traceId": 32, "spanId": 16, "parentSpanId": 16}
TIMES = ("timeUnixNano", "startTimeUnixNano", "endTimeUnixNano")
KINDS = {1: "internal", 2: "server", 3: "client"}


def strict(value):
    """What OTLP's JSON asks for beyond Protobuf's; returns the value with ids as Protobuf has them."""
    if isinstance(value, list):
        return [strict(one) for one in value]
    if not isinstance(value, dict):
        return value
    made = {}
    for name, inside in value.items():
        assert re.fullmatch(r"[a-z][a-zA-Z]*", name), name  # lowerCamelCase
        if name in HEX:
            assert re.fullmatch(r"[0-9a-f]{%d}" % HEX[name], inside), (name, inside)
            assert inside.strip("0"), f"{name} is all zero"
            made[name] = base64.b64encode(bytes.fromhex(inside)).decode()
        elif name in TIMES or name == "intValue":
            assert isinstance(inside, str) and re.fullmatch(r"-?\d+", inside), (name, inside)
            made[name] = inside
        else:
            if name == "kind":
                assert inside in KINDS, inside
            made[name] = strict(inside)
    return made


def attributes(given):
    found = {}
    for one in given:
        assert one.key not in found, f"{one.key} stands twice"
        found[one.key] = getattr(one.value, one.value.WhichOneof("value"))
    return found


class Span:
    """A span as it came."""

    def __init__(self, span, resource):
        self.name, self.kind = span.name, KINDS[span.kind]
        self.trace, self.id = span.trace_id.hex(), span.span_id.hex()
        self.parent = span.parent_span_id.hex()
        self.start, self.end = span.start_time_unix_nano, span.end_time_unix_nano
        assert self.start <= self.end and self.name
        self.attributes = attributes(span.attributes)
        self.events = [(event.name, event.time_unix_nano) for event in span.events]
        assert all(self.start <= at <= self.end for _, at in self.events)
        self.failed = span.status.code == 2
        assert self.failed == ("error.type" in self.attributes), self.attributes
        self.resource = resource

    def __repr__(self):
        return f"<{self.kind} {self.name} {self.attributes}>"


class Collector:
    """`answer`: a status, or "hang"; `body` of a 200."""

    def __init__(self):
        self.lock = threading.Lock()
        self.spans, self.requests, self.bodies, self.faults = [], [], [], []
        self.answer, self.body = 200, b"{}"
        self.gate = threading.Event()
        self.server = None
        self.port = 0
        self.start()

    def start(self):
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                outer._take(self)

            def log_message(self, *args):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        self.server.daemon_threads = True
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def stop(self):
        """As if it were away: the port refuses."""
        self.gate.set()
        self.server.shutdown()
        self.server.server_close()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    def _take(self, request):
        text = request.rfile.read(int(request.headers["Content-Length"]))
        with self.lock:
            self.requests.append((request.path, dict(request.headers)))
            answer = self.answer
        if answer == "hang":
            self.gate.wait()
            return
        if answer == 200:
            self._read(text)
        body = self.body if answer == 200 else b"no"
        request.send_response(answer)
        request.send_header("Content-Type", "application/json")
        request.send_header("Content-Length", str(len(body)))
        request.end_headers()
        request.wfile.write(body)

    def _read(self, text):
        try:
            whole = json_format.Parse(
                json.dumps(strict(json.loads(text))), ExportTraceServiceRequest()
            )
            found = [
                Span(span, attributes(resource.resource.attributes))
                for resource in whole.resource_spans
                for scope in resource.scope_spans
                for span in scope.spans
            ]
            assert found, "no span"
        except Exception as fault:  # told by check()
            with self.lock:
                self.faults.append(f"{fault!r}: {text[:2000]}")
            return
        with self.lock:
            self.spans += found
            self.bodies.append(text)

    def check(self):
        assert not self.faults, self.faults[0]

    def of(self, **wanted):
        """Spans with these: name=, kind=, trace=, parent=, or attributes with _ for dots."""
        self.check()
        with self.lock:
            return [one for one in self.spans if all(
                (getattr(one, key) if hasattr(one, key) else one.attributes.get(key)) == value
                for key, value in wanted.items())]  # fmt: skip

    def wait(self, count=1, seconds=30, **wanted):
        """At least so many of them; the spans."""
        end = time.monotonic() + seconds
        while len(found := self.of(**wanted)) < count:
            assert time.monotonic() < end, f"{len(found)} of {count} {wanted}: {self.spans[-20:]}"
            time.sleep(0.02)
        return found

    def wait_requests(self, count, seconds=30):
        end = time.monotonic() + seconds
        while len(self.requests) < count:
            assert time.monotonic() < end, f"{len(self.requests)} requests of {count}"
            time.sleep(0.02)
