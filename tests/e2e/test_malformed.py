"""Bytes that are no HTTP, or HTTP that nobody should send: an answer below 500, and the server
stays up (contract 16.26)."""

import contextlib
import json
import random
import socket

import httpx
import pytest
from support.jsonl import CHAT, fresh, jsonl, line
from support.wire import Multipart, Raw, request


def alive(api):
    assert httpx.get(f"{api.server.url}/healthz", trust_env=False).status_code == 200
    assert api.http.get("files").status_code == 200


def exchange(api, data, half_close=True):
    """Everything the server says to these bytes."""
    with Raw(api.server, timeout=20) as raw:
        try:
            raw.send(data)
            if half_close:
                raw.sock.shutdown(socket.SHUT_WR)
        except (BrokenPipeError, ConnectionResetError, OSError):
            pass  # it had heard enough
        return raw.rest()


def statuses(text):
    """Statuses of all answers in `text`; "" gives []."""
    found = []
    for piece in text.split(b"HTTP/1.1 ")[1:]:
        if piece[:3].isdigit():
            found.append(int(piece[:3]))
    return [status for status in found if status >= 200]


def head(api, *headers, method="POST", path="/v1/batches"):
    lines = [f"{method} {path} HTTP/1.1", "Host: x", f"Authorization: Bearer {api.key}", *headers]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


NOT_HTTP = {
    "nothing": b"",
    "newlines": b"\r\n" * 50,
    "zeros": b"\x00" * 5000,
    "noise": random.Random(1).randbytes(4000) + b"\r\n\r\n",
    "tls": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x01" * 500,
    "http/0.9": b"GET /v1/files\r\n",
    "http/2 preface": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "http/9": b"GET /v1/files HTTP/9.9\r\nHost: x\r\n\r\n",
    "no version": b"GET /v1/files\r\nHost: x\r\n\r\n",
    "one word": b"GET\r\n\r\n",
    "spaces": b"GET  /v1/files  HTTP/1.1\r\nHost: x\r\n\r\n",
    "absolute": b"GET http://evil/v1/files HTTP/1.1\r\nHost: x\r\n\r\n",
    "star": b"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n",
    "connect": b"CONNECT evil:443 HTTP/1.1\r\nHost: x\r\n\r\n",
    "long method": b"A" * 10_000 + b" / HTTP/1.1\r\n\r\n",
    "long path": b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
    "long header": b"GET / HTTP/1.1\r\nX: " + b"a" * 200_000 + b"\r\n\r\n",
    "many headers": b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 20_000 + b"\r\n",
    "no colon": b"GET / HTTP/1.1\r\nHost x\r\n\r\n",
    "empty name": b"GET / HTTP/1.1\r\n: x\r\n\r\n",
    "folded": b"GET / HTTP/1.1\r\nHost: x\r\n  folded\r\n\r\n",
    "bare LF": b"GET / HTTP/1.1\nHost: x\n\n",
    "NUL in path": b"GET /v1/fi\x00les HTTP/1.1\r\nHost: x\r\n\r\n",
    "NUL in header": b"GET / HTTP/1.1\r\nHost: x\x00y\r\n\r\n",
    "high bytes": b"GET /v1/\xff\xfe HTTP/1.1\r\nHost: \xff\r\n\r\n",
    "bad percent": b"GET /v1/files/%zz%1 HTTP/1.1\r\nHost: x\r\n\r\n",
    "half a head": b"GET /v1/files HTTP/1.1\r\nHost:",
}


@pytest.mark.parametrize("name", NOT_HTTP)
def test_16_26_no_http(kimi, name):
    text = exchange(kimi, NOT_HTTP[name])
    assert all(status < 500 or status == 505 for status in statuses(text)), text[:300]
    alive(kimi)


BODY = json.dumps(
    {"input_file_id": "file-x", "endpoint": CHAT, "completion_window": "24h"}
).encode()
CHUNKED = b"%x\r\n%s\r\n0\r\n\r\n" % (len(BODY), BODY)
LENGTH = f"Content-Length: {len(BODY)}"


def test_length_together_with_chunked_is_400(api):
    """Request smuggling: two readings of where the request ends. Nothing after it is read."""
    smuggled = request("GET", "/v1/files", api.key)
    for headers in (
        ["Transfer-Encoding: chunked", LENGTH],
        [LENGTH, "Transfer-Encoding: chunked"],
        ["Content-Length: 0", "Transfer-Encoding: chunked"],
    ):
        text = exchange(api, head(api, *headers) + CHUNKED + smuggled)
        assert statuses(text) == [400], text
    alive(api)


def test_two_lengths_are_400(api):
    smuggled = request("GET", "/v1/files", api.key)
    for second in (LENGTH, "Content-Length: 5", "content-length: 0"):
        text = exchange(api, head(api, LENGTH, second) + BODY + smuggled)
        assert statuses(text) == [400], text
    alive(api)


@pytest.mark.parametrize(
    "value", ["-1", "+5", "0x10", "1e3", "5, 5", "99999999999999999999", "a", "", "5 5", "1_0"]
)
def test_odd_lengths(kimi, value):
    text = exchange(kimi, head(kimi, f"Content-Length: {value}") + BODY)
    found = statuses(text)
    assert all(400 <= status < 500 for status in found), text[:300]
    alive(kimi)


@pytest.mark.parametrize("coding", ["gzip", "chunked, chunked", "identity", "x", "chunked, gzip"])
def test_other_transfer_codings(kimi, coding):
    text = exchange(kimi, head(kimi, f"Transfer-Encoding: {coding}") + CHUNKED)
    assert all(400 <= status < 500 for status in statuses(text)), text[:300]
    alive(kimi)


@pytest.mark.parametrize(
    "chunks",
    [
        b"zz\r\nabc\r\n0\r\n\r\n",
        b"-5\r\nabcde\r\n0\r\n\r\n",
        b"ffffffffffffffffff\r\nabc",
        b"5\r\nabc\r\n0\r\n\r\n",
        b"3;" + b"x" * 20_000 + b"\r\nabc\r\n0\r\n\r\n",
        b"3;" + b"x" * 100_000 + b"\r\nabc\r\n0\r\n\r\n",
        b"3\r\nabcde\r\n0\r\n\r\n",
        b"\r\n\r\n",
        b"0\r\nX: " + b"y" * 100_000 + b"\r\n\r\n",
        b"1\r\n{\r\n" * 20_000 + b"0\r\n\r\n",
    ],
    ids=lambda chunks: repr(chunks[:12]),
)
def test_malformed_chunks(kimi, chunks):
    text = exchange(kimi, head(kimi, "Transfer-Encoding: chunked") + chunks)
    assert all(400 <= status < 500 for status in statuses(text)), text[:300]
    alive(kimi)


def test_body_shorter_than_its_length(kimi):
    exchange(kimi, head(kimi, "Content-Length: 5000") + BODY)
    alive(kimi)


def test_pipelined_requests_are_answered_in_turn(api):
    with Raw(api.server) as raw:
        raw.send(
            request("GET", "/v1/files", api.key)
            + request("POST", "/v1/batches", api.key, body=BODY)
            + request("GET", "/v1/none", api.key)
            + request("GET", "/healthz")
        )
        found = [raw.answer()[0] for _ in range(4)]
    assert found == [200, 400 if api.profile == "kimi" else 200, 404, 200]


def test_connection_is_kept_alive_after_an_error(api):
    with Raw(api.server) as raw:
        for _ in range(3):
            assert raw.send(request("GET", "/v1/files/x", api.key)).answer()[0] == 404
            assert raw.send(request("GET", "/v1/files")).answer()[0] == 401
            bad = request("POST", "/v1/batches", api.key, body=b"{")
            assert raw.send(bad).answer()[0] == 400


def test_http_1_0(api):
    data = request("GET", "/v1/files", api.key).replace(b"HTTP/1.1", b"HTTP/1.0")
    text = exchange(api, data, half_close=False)
    assert b" 200 " in text.split(b"\r\n")[0], text


def test_many_idle_connections(api):
    """Clients that connect and say nothing, or half a request, hold nobody up."""
    with contextlib.ExitStack() as stack:
        for n in range(200):
            raw = stack.enter_context(Raw(api.server))
            if n % 2:
                raw.send(b"POST /v1/files HTTP/1.1\r\nHost: x\r\nContent-Le")
        alive(api)
        api.run([line("a", fresh())])


def test_slow_body_holds_nobody_up(api):
    with contextlib.ExitStack() as stack:
        raws = []
        for _ in range(20):
            raw = stack.enter_context(Raw(api.server))
            raws.append(raw.send(head(api, LENGTH) + BODY[:10]))
        alive(api)
        for raw in raws:
            status, _, _ = raw.send(BODY[10:]).answer()
            assert status == (400 if api.profile == "kimi" else 200)


def test_answer_without_reading_the_body(api):
    """A refusal that is clear from the head, while a large body is under way."""
    form = Multipart().add('name="file"; filename="in.jsonl"', b"x" * 3_000_000)
    data = request(
        "POST", "/v1/files", "sk-wrong", [f"Content-Type: {form.content_type}"], form.body()
    )
    with Raw(api.server) as raw:
        with contextlib.suppress(ConnectionError):
            raw.send(data)
        answer = raw.answer()
    assert answer is None or answer[0] == 401
    alive(api)


PATHS = [
    "/v1/files/../../../../etc/passwd",
    "/v1/files/..%2f..%2f..%2f..%2fetc%2fpasswd/content",
    "/v1/files/%2e%2e/%2e%2e/meta.db/content",
    "/v1/files/../batches",
    "/v1/./files",
    "/v1/files/....//....//etc/passwd",
    "/v1/files/%00/content",
    "/v1/files/file-%00/content",
    "/v1/files/%c0%ae%c0%ae%c0%af/content",
    "/v1/files//etc/passwd/content",
    "//v1/files",
    "/v1/batches/..%5c..%5c/cancel",
]


@pytest.mark.parametrize("path", PATHS)
def test_path_like_ids(kimi, path):
    """On the wire as they are: no client has tidied them up."""
    for method in ("GET", "POST", "DELETE"):
        with Raw(kimi.server) as raw:
            status, _, body = raw.send(request(method, path, kimi.key)).answer()
        assert status in (400, 404, 405), body
        assert b"root:" not in body and b"SQLite" not in body


HOOK = json.dumps(
    {"name": "a", "url": "https://example.com/x?y=z", "event_types": ["batch.completed"]}
).encode()
UPLOAD = {
    "bytes": 300,
    "filename": "a.jsonl",
    "mime_type": "application/jsonl",
    "purpose": "batch",
    "expires_after": {"anchor": "created_at", "seconds": 3600},
}
COMPLETE = json.dumps({"part_ids": ["part_" + "0" * 32], "md5": "0" * 32}).encode()


@pytest.mark.parametrize("seed", range(4))
def test_16_26_fuzz(kimi, seed):
    """Good requests with a few bytes changed, cut or doubled."""
    rng = random.Random(seed)
    form = Multipart().add('name="purpose"', b"batch")
    form.add('name="file"; filename="in.jsonl"', jsonl([line("a"), line("b")]))
    created = kimi.http.post("uploads", json=UPLOAD)
    upload = f"/v1/uploads/{created.json()['id']}"
    data = Multipart().add('name="data"; filename="x"', jsonl([line("a")]))
    seeds = [
        request("POST", "/v1/batches", kimi.key, ["Content-Type: application/json"], BODY),
        request("POST", "/v1/files", kimi.key, [f"Content-Type: {form.content_type}"], form.body()),
        request("POST", "/v1/uploads", kimi.key, body=json.dumps(UPLOAD).encode()),
        request(
            "POST", f"{upload}/parts", kimi.key, [f"Content-Type: {data.content_type}"], data.body()
        ),
        request("POST", f"{upload}/complete", kimi.key, body=COMPLETE),
        request("POST", f"{upload}/cancel", kimi.key),
        request("GET", "/v1/files?limit=10&after=file-x&order=asc&purpose=batch", kimi.key),
        request("GET", "/v1/files/file-x/content", kimi.key, ["Range: bytes=0-10"]),
        head(kimi, "Transfer-Encoding: chunked") + CHUNKED,
        request("POST", "/v1/webhook_endpoints", kimi.key, [], HOOK),
        request("POST", "/v1/webhook_endpoints/we_x/rotate_secret", kimi.key, [], b"{}"),
        request("GET", "/v1/webhook_endpoints/we_x/deliveries?limit=3&after=wh_x", kimi.key),
        request("POST", "/v1/webhook_endpoints/we_x/deliveries/wh_x/replay", kimi.key),
    ]
    for _ in range(120):
        data = bytearray(rng.choice(seeds))
        for _ in range(rng.choice([1, 1, 2, 5, 20])):
            at = rng.randrange(len(data))
            way = rng.randrange(5)
            if way == 0:
                data[at] = rng.randrange(256)
            elif way == 1:
                del data[at : at + rng.randrange(1, 30)]
            elif way == 2:
                data[at:at] = data[at : at + rng.randrange(1, 30)]
            elif way == 3:
                data[at:at] = bytes([rng.choice(b'\x00\r\n"\\{[%:;,\xff -')]) * rng.randrange(1, 9)
            else:
                data[at] ^= 1 << rng.randrange(8)
            if not data:
                data = bytearray(b" ")
        text = exchange(kimi, bytes(data))
        assert all(status < 500 or status == 505 for status in statuses(text)), (data, text[:300])
    alive(kimi)


@pytest.mark.parametrize("seed", range(3))
def test_16_26_fuzzed_lines(kimi, upstream, seed):
    """Lines of mangled JSON: each is refused by its number, or runs; and nothing falls over."""
    rng = random.Random(seed)
    mark = fresh()
    lines = []
    for n in range(300):
        data = bytearray(line(f"{mark}-{n}", f"{mark}-{n}", k=[1, {"a": None}, "é", 1.5e3]))
        for _ in range(rng.randrange(1, 4)):
            at = rng.randrange(len(data))
            data[at : at + rng.randrange(0, 3)] = bytes(
                rng.choice(b'{}[]",:\\u0e1 \xff') for _ in range(2)
            )
        lines.append(bytes(data).replace(b"\n", b" "))
    batch = kimi.run(jsonl(lines), until="failed")
    numbers = [e["line"] for e in batch["errors"]["data"] if e["line"] is not None]
    assert numbers == sorted(set(numbers))
    for n, text in enumerate(lines, 1):
        try:
            good = isinstance(json.loads(text), dict)
        except (ValueError, RecursionError):
            good = False
        assert good or n in numbers, text
    assert upstream.counts(mark) == {}
