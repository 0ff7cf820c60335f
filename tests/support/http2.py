"""An upstream that speaks HTTP/2 over TLS and can do what no ordinary server does when asked.

`decide(connection, number, path)` says what becomes of the request that is the `number`th (from 0) of
its connection; connections count from 1:

    "ok"       an ordinary answer
    "refuse"   RST_STREAM with REFUSED_STREAM: it was not worked on
    "wait"     no answer, for as long as the connection stands
    "leave"    no answer to this and all before it: GOAWAY that counts them, close_notify, but no FIN
    "leave-0"  the same with a GOAWAY that counts none of them
    "leave-slowly"  as "leave", with half a second between the two
    "notify"   close_notify alone
"""

import json
import socket
import ssl
import threading
import time

import h2.config
import h2.connection
import h2.events

from .upstream import completion, models_list

REFUSED_STREAM = 7


class Http2Upstream:
    def __init__(self, pair, decide=lambda connection, number, path: "ok"):
        self.decide = decide
        self.requests = []  # (connection, number, path, what became of it)
        self.connections = 0
        self.lock = threading.Lock()
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(pair.cert, pair.key)
        self.context.set_alpn_protocols(["h2"])
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=256)
        self.port = self.listener.getsockname()[1]
        self.open = []
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def url(self):
        return f"https://127.0.0.1:{self.port}/v1"

    def sent(self, what=None):
        """Lines that came, on all connections; of those that `what` became of."""
        with self.lock:
            return sum(
                1 for one in self.requests if "chat" in one[2] and what in (None, one[3])
            )

    def close(self):
        self.listener.close()
        for one in self.open:
            one.close()

    def _accept(self):
        while True:
            try:
                sock, _ = self.listener.accept()
            except OSError:
                return
            with self.lock:
                self.connections += 1
                number = self.connections
            self.open.append(sock)
            connection = _Connection(self, sock, number)
            threading.Thread(target=connection.run, daemon=True).start()


class _Connection:
    def __init__(self, upstream, sock, number):
        self.upstream, self.sock, self.number = upstream, sock, number
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = upstream.context.wrap_bio(self.incoming, self.outgoing, server_side=True)
        self.h2 = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False))
        self.streams = {}  # by id: [number, path, body]
        self.seen = 0
        self.left = False

    def run(self):
        try:
            self._handshake()
            self.h2.initiate_connection()
            self._flush()
            while piece := self._read():
                for event in self.h2.receive_data(piece):
                    self._event(event)
                self._flush()
        except (OSError, ssl.SSLError, h2.exceptions.ProtocolError):
            pass
        if not self.left:  # else the connection stays as it is: nothing follows, and no FIN
            self.sock.close()

    # ---- TLS, by hand: so that close_notify can be sent without a FIN ----

    def _send(self):
        self.sock.sendall(self.outgoing.read())

    def _step(self, call):
        while True:
            try:
                done = call()
                self._send()
                return done
            except ssl.SSLWantReadError:
                self._send()
                piece = self.sock.recv(65536)
                if not piece:
                    raise OSError("closed") from None
                self.incoming.write(piece)
            except ssl.SSLError:
                self._send()  # the alert
                raise

    def _handshake(self):
        self._step(self.tls.do_handshake)

    def _read(self):
        return None if self.left else self._step(lambda: self.tls.read(65536))

    def _flush(self):
        data = self.h2.data_to_send()
        if data and not self.left:
            self.tls.write(data)
            self._send()

    def _leave(self, stream, what):
        if what != "notify":
            self.h2.close_connection(last_stream_id=0 if what == "leave-0" else stream)
            self._flush()
        if what == "leave-slowly":
            time.sleep(0.5)
        try:
            self.tls.unwrap()
        except ssl.SSLWantReadError:
            pass
        self._send()
        self.left = True

    # ---- HTTP/2 ----

    def _event(self, event):
        if isinstance(event, h2.events.RequestReceived):
            path = dict(event.headers)[b":path"].decode()
            self.streams[event.stream_id] = [self.seen, path, b""]
            self.seen += "chat" in path
        elif isinstance(event, h2.events.DataReceived):
            self.streams[event.stream_id][2] += event.data
            self.h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        elif isinstance(event, h2.events.StreamEnded):
            self._serve(event.stream_id)

    def _serve(self, stream):
        number, path, body = self.streams[stream]
        if "chat" not in path:
            self._answer(stream, models_list(["m-1"]), "models" in path)
            return
        what = self.upstream.decide(self.number, number, path)
        with self.upstream.lock:
            self.upstream.requests.append((self.number, number, path, what))
        if what == "ok":
            text = json.loads(body)["messages"][-1]["content"]
            value = completion(path, json.loads(body), text.split()[0], stream)
            self._answer(stream, json.dumps(value).encode(), True)
        elif what == "refuse":
            self.h2.reset_stream(stream, REFUSED_STREAM)
        elif what != "wait":
            self._leave(stream, what)

    def _answer(self, stream, body, found):
        self.h2.send_headers(
            stream,
            [
                (":status", "200" if found else "404"),
                ("content-type", "application/json"),
                ("content-length", str(len(body))),
            ],
        )
        self.h2.send_data(stream, body, end_stream=True)
