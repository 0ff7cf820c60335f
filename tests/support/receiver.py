"""A receiver of webhooks: HTTP, or with a certificate HTTPS, on a port of its own.

    receiver = Receiver(ca.server("127.0.0.1"))
    receiver.url                                   # https://127.0.0.1:PORT/
    receiver.decide = lambda one: 500              # the status for each request
    receiver.wait(2)                               # the first two requests
"""

import dataclasses
import http.server
import json
import socket
import ssl
import struct
import threading
import time


@dataclasses.dataclass
class Received:
    path: str
    headers: dict  # names in small letters
    body: bytes
    arrived: float  # time.monotonic()

    @property
    def id(self):
        return self.headers["webhook-id"]

    @property
    def event(self):
        return json.loads(self.body)

    @property
    def batch(self):
        return self.event["data"]["id"]


class _Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 512

    def handle_error(self, request, client_address):
        pass  # a client that goes away is what some tests are about


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        pass

    def setup(self):
        if self.server.context is not None:
            self.request = self.server.context.wrap_socket(self.request, server_side=True)
        super().setup()

    def do_GET(self):
        self._answer(b"")

    def do_POST(self):
        self._answer(self.rfile.read(int(self.headers.get("Content-Length", "0"))))

    def _answer(self, body):
        headers = {name.lower(): value for name, value in self.headers.items()}
        one = Received(self.path, headers, body, time.monotonic())
        answer = self.server.receiver._arrived(one)
        if answer == "hang":
            self.server.receiver.gate.wait()
            self.close_connection = True
            return
        if answer == "reset":
            linger = struct.pack("ii", 1, 0)
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            self.connection.close()
            self.close_connection = True
            return
        status, more = answer if isinstance(answer, tuple) else (answer, {})
        self.send_response(status)
        for name, value in more.items():
            self.send_header(name, value)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"ok")


class Receiver:
    def __init__(self, pair=None, port=0):
        self.changed = threading.Condition()
        self.requests = []
        self.decide = lambda one: 200  # a status, (status, headers), "hang" or "reset"
        self.gate = threading.Event()  # lets go of what hangs
        self.server = _Server(("127.0.0.1", port), _Handler)
        self.server.receiver = self
        self.server.context = None
        if pair is not None:
            self.server.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self.server.context.load_cert_chain(pair.cert, pair.key)
        self.port = self.server.server_address[1]
        scheme = "http" if pair is None else "https"
        self.url = f"{scheme}://127.0.0.1:{self.port}/"
        self.thread = threading.Thread(
            target=self.server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True
        )
        self.thread.start()

    def _arrived(self, one):
        with self.changed:
            self.requests.append(one)
            self.changed.notify_all()
        return self.decide(one)

    def wait(self, n, seconds=60, where=lambda one: True):
        """The first `n` requests of that kind, once there are as many."""
        found = []

        def enough():
            found[:] = [one for one in self.requests if where(one)]
            return len(found) >= n

        with self.changed:
            assert self.changed.wait_for(enough, seconds), f"{len(found)} requests, not {n}"
        return found[:n]

    def of(self, batch):
        """Requests about that batch."""
        with self.changed:
            return [one for one in self.requests if one.batch == batch["id"]]

    def close(self):
        self.gate.set()
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()
