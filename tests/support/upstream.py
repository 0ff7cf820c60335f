"""A scripted OpenAI-compatible upstream.

It runs in a thread of the test process, so it outlives every `kill -9` of lowtide and its counts
span restarts. A request is known by its *marker*: the first word of the last message (or of
`prompt` or `input`). What follows a `|` is a script, one step an attempt, the last step for good:

    "q1"                             an ordinary answer
    "q1 | status:500 x2 then ok"     two 500s, then an answer
    "q1 | hold:gate"                 waits until release("gate"), then answers
    "q1 | slow:0.5 then never"

Steps: ok, status:CODE, 429:RETRY_AFTER, 503:RETRY_AFTER, html:CODE, text (a 200 that is no JSON),
empty (a 200 without a body), slow:SECONDS, drip:SECONDS (the body byte by byte), hold:GATE, never,
reset (RST), close (FIN, no answer), garbage (no HTTP), cut (half of the body, then FIN), cutchunk
(the same in chunks), huge:BYTES, endless, pretty (JSON over several lines), redirect,
stream:N:SECONDS (server-sent events, N chunks so far apart), streamcut (two of them, then FIN).

A body with `"stream": true` gets a stream of three chunks where another gets an ordinary answer.
A test that needs exact bytes gives Answers instead: `upstream.on("q1", Answer(body=b"..."))`.

`GET /v1/models` answers with `upstream.models`, `GET /metrics` with what `upstream.set_metrics()`
was given; without these, and for every other GET, 404. While `upstream.everything` is an Answer,
each POST that arrives gets it; `upstream.decide` is a function that is asked first. `GET /health` answers
`upstream.health`, a status; without it 404.
"""

import asyncio
import collections
import json
import random
import re
import socket
import struct
import threading
import time
from dataclasses import dataclass, field

CREATED = 1787176071
SENT_KEPT = 8 << 20  # the longest body that Request.sent keeps: requests live as long as the run


@dataclass
class Answer:
    """What one attempt gets. `body` None: an ordinary completion. Headers replace our own.

    With how="stream", `size` chunks are sent, `delay` seconds apart.
    """

    status: int = 200
    body: bytes | None = None
    headers: dict = field(default_factory=dict)
    delay: float = 0.0
    gate: str | None = None
    how: str = "whole"
    size: int = 0


@dataclass(eq=False)
class Request:
    """A request as it came, and what became of it. Times are time.monotonic()."""

    number: int
    method: str
    path: str
    headers: list
    body: bytes
    marker: str
    attempt: int
    connection: int
    arrived: float
    answered: float | None = None  # a whole answer was sent
    status: int | None = None
    dropped: bool = False  # lowtide went away before the answer was whole
    streams: bool = False  # the body says "stream": true
    sent: bytes = b""  # of the answer's body what was written, dechunked; see SENT_KEPT, "endless"

    def header(self, name):
        values = [v for k, v in self.headers if k.lower() == name.lower()]
        return values[0] if values else None


def error_body(status, message=None):
    return json.dumps(
        {
            "error": {
                "message": message or f"scripted {status}",
                "type": "scripted_error",
                "param": None,
                "code": f"scripted_{status}",
            }
        }
    ).encode()


def parsed_or_none(body):
    try:
        return json.loads(body) if body else None
    except (ValueError, RecursionError):
        return None


def model_of(body):
    return body.get("model", "?") if isinstance(body, dict) else "?"


def models_list(ids):
    """Of ids, or of entries as an engine writes them: texts that begin with a brace."""
    entry = {"object": "model", "created": 1700000000, "owned_by": "scripted"}
    whole = [one if one[0] == "{" else json.dumps({"id": one, **entry}) for one in ids]
    return ('{"object": "list", "data": [%s]}' % ", ".join(whole)).encode()


def event(number, model, n, last):
    """The `n`th piece of a stream, as a server-sent event."""
    choice = {"index": 0, "delta": {"content": f"t{n} "}, "finish_reason": "stop" if last else None}
    value = {
        "id": f"chatcmpl-{number}",
        "object": "chat.completion.chunk",
        "created": CREATED,
        "model": model,
        "choices": [choice],
    }
    return b"data: %s\n\n" % json.dumps(value).encode()


def completion(path, body, marker, number):
    """An ordinary answer of the endpoint at `path`, which is without a query."""
    model = model_of(body)
    usage = {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}
    text = f"echo {marker}"
    if path.endswith("/embeddings"):
        return {
            "object": "list",
            "data": [{"object": "embedding", "index": 0, "embedding": [0.5, -0.25]}],
            "model": model,
            "usage": {"prompt_tokens": 7, "total_tokens": 7},
        }
    if path.endswith("/responses"):
        return {
            "id": f"resp_{number}",
            "object": "response",
            "model": model,
            "status": "completed",
            "output": [{"type": "message", "content": [{"type": "output_text", "text": text}]}],
            "usage": {"input_tokens": 7, "output_tokens": 3, "total_tokens": 10},
        }
    if path.endswith("/messages"):
        return {
            "id": f"msg_{number}",
            "type": "message",
            "role": "assistant",
            "model": model,
            "content": [{"type": "text", "text": text}],
            "stop_reason": "end_turn",
            "stop_sequence": None,
            "usage": {"input_tokens": 7, "cache_read_input_tokens": 4, "output_tokens": 3},
        }
    if path.endswith("/chat/completions"):
        choice = {"index": 0, "message": {"role": "assistant", "content": text}}
        kind = "chat.completion"
    else:
        choice = {"index": 0, "text": text}
        kind = "text_completion"
    return {
        "id": f"chatcmpl-{number}",
        "object": kind,
        "created": CREATED,
        "model": model,
        "choices": [{**choice, "finish_reason": "stop"}],
        "usage": usage,
    }


def content_of(body):
    """The text that marker and script stand in."""
    if not isinstance(body, dict):
        return ""
    messages = body.get("messages")
    if isinstance(messages, list) and messages and isinstance(messages[-1], dict):
        text = messages[-1].get("content")
    else:
        text = body.get("prompt", body.get("input"))
    if isinstance(text, list) and text:
        text = text[0]
    if isinstance(text, dict):
        text = text.get("text")
    return text if isinstance(text, str) else ""


def answer_of_step(step):
    name, _, arg = step.partition(":")
    if name == "ok":
        return Answer()
    if name == "status":
        return Answer(status=int(arg), body=error_body(int(arg)))
    if name in ("429", "503"):
        return Answer(int(name), error_body(int(name)), {"Retry-After": arg} if arg else {})
    if name == "html":
        page = b"<html><body><h1>Bad Gateway</h1>\nsorry</body></html>"
        return Answer(int(arg), page, {"Content-Type": "text/html"})
    if name == "text":
        return Answer(body=b"the model is warming up", headers={"Content-Type": "text/plain"})
    if name == "empty":
        return Answer(body=b"")
    if name == "slow":
        return Answer(delay=float(arg))
    if name == "drip":
        return Answer(how="drip", delay=float(arg))
    if name == "hold":
        return Answer(gate=arg)
    if name == "huge":
        return Answer(how="huge", size=int(arg))
    if name == "redirect":
        return Answer(307, b"", {"Location": "/v1/elsewhere"})
    if name == "stream":
        count, _, apart = arg.partition(":")
        return Answer(how="stream", size=int(count), delay=float(apart or 0))
    if name in (
        "never", "reset", "close", "garbage", "cut", "cutchunk", "endless", "pretty", "streamcut",
    ):  # fmt: skip
        return Answer(how=name)
    raise ValueError(f"unknown step {step!r}")


def parse_script(text):
    """ "status:500 x2 then ok" -> [Answer, Answer, Answer]"""
    answers = []
    for part in text.split(" then "):
        words = part.split()
        repeat = 1
        if len(words) == 2 and re.fullmatch(r"x\d+", words[1]):
            repeat = int(words[1][1:])
        elif len(words) != 1:
            raise ValueError(f"malformed step {part!r}")
        answers += [answer_of_step(words[0])] * repeat
    return answers


class _Connection(asyncio.Protocol):
    def __init__(self, upstream):
        self.upstream = upstream
        self.buffer = bytearray()
        self.task = None
        self.lost = asyncio.Event()
        self.writable = asyncio.Event()
        self.writable.set()
        self.number = 0
        self.continued = False

    def connection_made(self, transport):
        self.transport = transport
        with self.upstream.changed:
            self.upstream.connections += 1
            self.number = self.upstream.connections
        self.upstream._open.add(self)

    def connection_lost(self, exc):
        self.upstream._open.discard(self)
        self.lost.set()
        self.writable.set()

    def pause_writing(self):
        self.writable.clear()

    def resume_writing(self):
        self.writable.set()

    def data_received(self, data):
        self.buffer += data
        self._advance()

    def _advance(self):
        if self.task is not None:
            return
        head_end = self.buffer.find(b"\r\n\r\n")
        if head_end < 0:
            return
        lines = bytes(self.buffer[:head_end]).decode("latin-1").split("\r\n")
        method, path, _ = lines[0].split(" ", 2)
        headers = [tuple(s.strip() for s in line.split(":", 1)) for line in lines[1:]]
        named = {k.lower(): v for k, v in headers}
        start = head_end + 4
        if named.get("transfer-encoding", "").lower() == "chunked":
            self.transport.abort()  # lowtide knows every length
            raise AssertionError("lowtide sent a chunked request")
        length = int(named.get("content-length", "0"))
        if len(self.buffer) < start + length:
            if named.get("expect", "").lower() == "100-continue" and not self.continued:
                self.continued = True
                self.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            return
        body = bytes(self.buffer[start : start + length])
        del self.buffer[: start + length]
        self.continued = False
        self.task = asyncio.get_running_loop().create_task(self._serve(method, path, headers, body))

    async def _serve(self, method, path, headers, body):
        request, answer = self.upstream._arrived(method, path, headers, body, self.number)
        whole = False
        try:
            whole = await self._answer(request, answer)
        finally:
            self.upstream._done(request, answer, whole)
        self.task = None
        if not self.transport.is_closing():
            self._advance()

    async def _wait(self, awaitable, timeout=None):
        """False if lowtide went away or time was up first."""
        waits = [asyncio.ensure_future(awaitable), asyncio.ensure_future(self.lost.wait())]
        done, pending = await asyncio.wait(
            waits, timeout=timeout, return_when=asyncio.FIRST_COMPLETED
        )
        for wait in pending:
            wait.cancel()
        return waits[0] in done and not self.lost.is_set()

    async def _answer(self, request, answer):
        if answer.gate is not None:
            if not await self._wait(self.upstream._gate(answer.gate).wait()):
                return False
        if answer.delay and answer.how not in ("drip", "stream"):
            if not await self._wait(asyncio.sleep(answer.delay)):
                return False
        if self.lost.is_set():
            return False
        how = answer.how
        if how == "never":
            await self.lost.wait()
            return False
        if how == "reset":
            sock = self.transport.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.transport.abort()
            return False
        if how == "close":
            self.transport.close()
            return False
        if how == "garbage":
            self.transport.write(b"\x00\x01\x02 this is no HTTP\r\n\r\n\x7f")
            self.transport.close()
            return False
        if how == "stream":
            return await self._stream(request, answer, answer.size, answer.delay)
        if how == "streamcut":
            return await self._stream(request, answer, 2, 0, cut=True)
        if how == "whole" and answer.body is None and request.streams and answer.status < 300:
            return await self._stream(request, answer, 3, 0)
        body = self.upstream._body(request, answer)
        head = self._head(answer, request, len(body))
        # `sent` goes first everywhere: who has read the bytes finds them there.
        if how == "cut":
            request.sent = body[: len(body) // 2]
            self.transport.write(head + request.sent)
            self.transport.close()
            return False
        if how in ("cutchunk", "endless"):
            head = self._head(answer, request, None)
            request.sent = body
            self.transport.write(head + b"%x\r\n%s\r\n" % (len(body), body))
            if how == "cutchunk":
                self.transport.close()
                return False
            # The filler is not kept in `sent`: it has no end.
            block = b"2000\r\n" + b" " * 0x2000 + b"\r\n"
            while not self.lost.is_set():
                await self.writable.wait()
                self.transport.write(block)
                await asyncio.sleep(0)
            return False
        if how == "drip":
            self.transport.write(head)
            for at in range(0, len(body)):
                request.sent = body[: at + 1]
                self.transport.write(body[at : at + 1])
                if not await self._wait(asyncio.sleep(answer.delay / len(body))):
                    return False
            return True
        request.sent = body if len(body) <= SENT_KEPT else b""
        self.transport.write(head + body)
        return True

    async def _stream(self, request, answer, count, apart, cut=False):
        model = model_of(parsed_or_none(request.body))
        self.transport.write(self._head(answer, request, None, "text/event-stream"))
        for n in range(1, count + 1):
            if n > 1 and apart and not await self._wait(asyncio.sleep(apart)):
                return False
            await self.writable.wait()
            if self.lost.is_set():
                return False
            self._write_chunk(request, event(request.number, model, n, n == count and not cut))
        if cut:
            self.transport.close()
            return False
        self._write_chunk(request, b"data: [DONE]\n\n")
        self.transport.write(b"0\r\n\r\n")
        return True

    def _write_chunk(self, request, data):
        request.sent += data
        self.transport.write(b"%x\r\n%s\r\n" % (len(data), data))

    @staticmethod
    def _head(answer, request, length, content_type="application/json"):
        given = {name.lower() for name in answer.headers}
        ours = {"Content-Type": content_type, "x-request-id": f"up-{request.number}"}
        headers = {k: v for k, v in ours.items() if k.lower() not in given} | answer.headers
        if length is None:
            headers["Transfer-Encoding"] = "chunked"
        else:
            headers["Content-Length"] = str(length)
        text = "".join(f"{k}: {v}\r\n" for k, v in headers.items())
        return f"HTTP/1.1 {answer.status} Scripted\r\n{text}\r\n".encode("latin-1")


class Upstream:
    """Listens on a port of its own from construction on; stop() and start() keep the port."""

    def __init__(self):
        self.changed = threading.Condition()
        self.requests = []  # of POSTs, in order of arrival
        self.other_requests = []  # GETs and the like
        self.connections = 0
        self.in_flight = 0
        self.peak = 0
        self.models = None  # the ids that GET /v1/models lists; None: it answers 404
        self.everything = None  # the Answer of each POST that arrives, whatever its marker
        self.decide = None  # asked for the Answer of each POST; None of it: what is scripted
        self.health = None  # the status of GET /health; None: 404
        self._metrics = None
        self._attempts = collections.Counter()
        self._answered = collections.Counter()
        self._scripts = {}
        self._gates = {}
        self._open = set()
        self._server = None
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="upstream", daemon=True)
        self._thread.start()
        self.port = 0
        self.start()

    def _run(self):
        asyncio.set_event_loop(self._loop)
        self._loop.run_forever()

    def _call(self, coroutine):
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(timeout=30)

    # ---- life ----

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}/v1"

    def start(self):
        async def listen():
            self._server = await self._loop.create_server(
                lambda: _Connection(self), "127.0.0.1", self.port, reuse_address=True, backlog=512
            )
            self.port = self._server.sockets[0].getsockname()[1]

        self._call(listen())

    def stop(self):
        """As if the upstream's machine had gone: no listener, every connection reset."""

        async def quit():
            self._server.close()
            for connection in list(self._open):
                connection.transport.abort()

        self._call(quit())

    def reset_all(self):
        """As if the engine had ended: every connection is reset, new ones are taken."""

        def reset():
            for connection in list(self._open):
                connection.transport.abort()

        self._loop.call_soon_threadsafe(reset)

    def close(self):
        self.stop()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(timeout=10)

    # ---- scripts ----

    def on(self, marker, *answers):
        """Attempts of `marker` get these in turn, the last for good."""
        with self.changed:
            self._scripts[marker] = list(answers)

    def set_metrics(self, text=None, status=200, delay=0):
        """What GET /metrics answers from now on, `delay` seconds after it was asked."""
        try:
            body = (text or "").encode("latin-1")
        except UnicodeEncodeError:
            body = text.encode("utf-8", "ignore")
        kind = {"Content-Type": "text/plain; version=0.0.4"}
        self._metrics = Answer(status, body, kind, delay=delay)

    def release(self, gate):
        """Lets everything that holds at `gate` go, now and later."""
        self._loop.call_soon_threadsafe(lambda: self._gate(gate).set())

    def _gate(self, name):
        return self._gates.setdefault(name, asyncio.Event())

    # ---- what was seen ----

    def of(self, marker):
        """The requests of one marker, in order."""
        with self.changed:
            return [r for r in self.requests if r.marker == marker]

    def having(self, text):
        """The requests whose body holds these bytes."""
        with self.changed:
            return [r for r in self.requests if text in r.body]

    def counts(self, prefix=""):
        """How often each marker was sent."""
        with self.changed:
            return {m: n for m, n in self._attempts.items() if m.startswith(prefix)}

    def sent(self, prefix=""):
        """Requests whose marker starts with `prefix`."""
        return sum(self.counts(prefix).values())

    def settled(self, prefix="", seconds=60):
        """sent(), when two looks at it agree: what stood in sockets at a kill is counted, too."""
        end, before = time.monotonic() + seconds, -1
        while before != (now := self.sent(prefix)):
            assert time.monotonic() < end, f"requests of {prefix} keep coming"
            before = now
            time.sleep(0.1)
        return now

    def answered(self, prefix=""):
        """How often each marker got a whole answer."""
        with self.changed:
            return {m: n for m, n in self._answered.items() if m.startswith(prefix)}

    def wait(self, condition, what, seconds=60):
        """Waits until `condition()` holds."""
        end = time.monotonic() + seconds
        with self.changed:
            while not condition():
                left = end - time.monotonic()
                assert left > 0, f"upstream: after {seconds} s still not so: {what}"
                self.changed.wait(min(left, 0.25))

    def wait_sent(self, prefix, count, seconds=60):
        self.wait(
            lambda: sum(n for m, n in self._attempts.items() if m.startswith(prefix)) >= count,
            f"{count} requests of {prefix}",
            seconds,
        )

    def wait_dropped(self, prefix, count, seconds=60):
        def dropped():
            return sum(r.dropped and r.marker.startswith(prefix) for r in self.requests)

        self.wait(lambda: dropped() >= count, f"{count} dropped requests of {prefix}", seconds)

    # ---- from the connections ----

    def _arrived(self, method, path, headers, body, connection):
        parsed = parsed_or_none(body)
        marker, _, script = content_of(parsed).partition("|")
        marker = marker.strip()
        with self.changed:
            if method == "POST":
                self._attempts[marker] += 1
            request = Request(
                len(self.requests), method, path, headers, body, marker,
                self._attempts[marker], connection, time.monotonic(),
                streams=isinstance(parsed, dict) and parsed.get("stream") is True,
            )  # fmt: skip
            if method != "POST":
                self.other_requests.append(request)
                return request, self._answer_of_get(method, path)
            self.requests.append(request)
            self.in_flight += 1
            self.peak = max(self.peak, self.in_flight)
            decided = self.decide(request) if self.decide is not None else None
            if decided is not None or self.everything is not None:
                answers = [decided or self.everything]
            else:
                answers = self._scripts.get(marker) or parse_script(script.strip() or "ok")
            self.changed.notify_all()
        return request, answers[min(request.attempt, len(answers)) - 1]

    def _answer_of_get(self, method, path):
        endpoint, models = path.partition("?")[0], self.models
        if method == "GET" and endpoint == "/v1/models" and models is not None:
            return Answer(body=models_list(models))
        if method == "GET" and endpoint == "/metrics" and self._metrics is not None:
            return self._metrics
        if method == "GET" and endpoint == "/health" and self.health is not None:
            return Answer(self.health, b"")
        return Answer(404, error_body(404))

    def _body(self, request, answer):
        if answer.body is not None:
            return answer.body
        endpoint = request.path.partition("?")[0]
        parsed = parsed_or_none(request.body)
        value = completion(endpoint, parsed, request.marker, request.number)
        if answer.how == "huge":
            value["padding"] = "".join(random.choices("abcdefgh", k=64)) * (answer.size // 64)
        if answer.how == "pretty":
            return json.dumps(value, indent=2).replace("\n", "\r\n").encode()
        return json.dumps(value).encode()

    def _done(self, request, answer, whole):
        with self.changed:
            if request.method == "POST":
                self.in_flight -= 1
                if whole:
                    self._answered[request.marker] += 1
            if whole:
                request.answered = time.monotonic()
                request.status = answer.status
            else:
                request.dropped = True
            self.changed.notify_all()
