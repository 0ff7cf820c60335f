"""The load: lines of a batch, online requests, and drivers that send either straight to an engine.

HTTP/1.1 by hand over asyncio streams: a client of some thousand lines would take the processor from
what is measured, and reading the pieces of a stream as they come is all that is needed here.
"""

import asyncio
import json
import random
import time

CHAT = "/v1/chat/completions"
WORDS = (
    "tide water shore moon sand current harbour buoy anchor sail wind wave reef gull pier rope "
    "chart mast hull keel lamp fog bell coast bay cape island channel ebb flood slack neap spring"
).split()


# ---- lines ----


def text_of(size, rng, begins=""):
    """About `size` bytes of words, told apart from the first byte on by `begins`."""
    parts, length = [begins], len(begins)
    while length < size:
        word = rng.choice(WORDS)
        parts.append(word)
        length += len(word) + 1
    return " ".join(parts)[:size]


def body_of(model, text, max_tokens, **more):
    return {
        "model": model,
        "messages": [{"role": "user", "content": text}],
        "max_tokens": max_tokens,
        **more,
    }


def plain_lines(model, count, seed, prompt_tokens=200, output=(20, 100), **more):
    """Bodies without a prefix in common, output lengths evenly spread over `output`."""
    rng = random.Random(seed)
    for n in range(count):
        text = text_of(4 * prompt_tokens, rng, f"{seed}.{n}:")
        yield body_of(model, text, rng.randint(*output), **more)


def prefix_lines(model, prefixes, lines_each, prefix_tokens, seed, output, **more):
    """`prefixes` x `lines_each` bodies that begin alike, shuffled."""
    rng = random.Random(seed)
    texts = [text_of(4 * prefix_tokens, rng, f"Instructions {n}:") for n in range(prefixes)]
    order = [n for n in range(prefixes) for _ in range(lines_each)]
    rng.shuffle(order)
    for n, prefix in enumerate(order):
        question = text_of(80, rng, f" Question {n}:")
        yield body_of(model, texts[prefix] + question, output, **more)


def input_lines(model, count, seed, inputs=(1, 50), input_tokens=50):
    """Bodies of embeddings with so many inputs each, evenly spread over `inputs`."""
    rng = random.Random(seed)
    for n in range(count):
        texts = [
            text_of(4 * input_tokens, rng, f"{seed}.{n}.{i}:") for i in range(rng.randint(*inputs))
        ]
        yield {"model": model, "input": texts}


def short_lines(model, count):
    """The least that a chat completion can be."""
    for n in range(count):
        yield body_of(model, f"line {n}", 1)


def write_lines(path, bodies, url=CHAT):
    """Writes an input file; returns its number of lines."""
    count = 0
    with open(path, "w") as out:
        for body in bodies:
            line = {"custom_id": f"line-{count}", "method": "POST", "url": url}
            out.write(json.dumps(line | {"body": body}) + "\n")
            count += 1
    return count


# ---- one request ----


class Broken(Exception):
    """The connection ended before the answer did."""


class Connection:
    """One request after another on a connection that is opened when it is needed."""

    def __init__(self, port):
        self.port = port
        self.writer = None

    async def request(self, path, body, key=None, on_piece=None, method="POST"):
        """The status and the headers, after the whole body has gone to `on_piece`."""
        try:
            if self.writer is None:
                self.reader, self.writer = await asyncio.open_connection("127.0.0.1", self.port)
            head = f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n"
            head += "Content-Type: application/json\r\n" if body else ""
            if key:
                head += f"Authorization: Bearer {key}\r\n"
            head += f"Content-Length: {len(body)}\r\n\r\n"
            self.writer.write(head.encode() + body)
            return await self.answer(on_piece or (lambda piece: None))
        except (OSError, asyncio.IncompleteReadError, ValueError, IndexError) as error:
            self.close()
            raise Broken(str(error)) from error
        except asyncio.CancelledError:
            self.close()
            raise

    async def answer(self, on_piece):
        head = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        status = int(head[0].split(" ")[1])
        pairs = (line.split(":", 1) for line in head[1:] if ":" in line)
        headers = {name.strip().lower(): value.strip() for name, value in pairs}
        if "chunked" in headers.get("transfer-encoding", ""):
            while size := int((await self.reader.readuntil(b"\n")).split(b";")[0], 16):
                on_piece((await self.reader.readexactly(size + 2))[:-2])
            while await self.reader.readuntil(b"\n") != b"\r\n":
                pass
        elif "content-length" in headers:
            on_piece(await self.reader.readexactly(int(headers["content-length"])))
        else:
            while piece := await self.reader.read(65536):
                on_piece(piece)
            self.close()
        if headers.get("connection", "").lower() == "close":
            self.close()
        return status, headers

    async def json(self, method, path, body=None, key=None):
        """What a call answers that is expected to succeed."""
        pieces = []
        data = b"" if body is None else json.dumps(body).encode()
        status, _ = await self.request(path, data, key, pieces.append, method)
        if status != 200:
            raise Broken(f"{method} {path}: {status} {b''.join(pieces)[:500]!r}")
        return json.loads(b"".join(pieces))

    def close(self):
        if self.writer is not None:
            self.writer.close()
            self.writer = None


# ---- online traffic ----


def arrivals(phases, seed):
    """[(second, phase)] of a Poisson process; `phases`: [(seconds, requests a second)]."""
    rng = random.Random(seed)
    found, begins = [], 0.0
    for phase, (seconds, rate) in enumerate(phases):
        at = begins + rng.expovariate(rate)
        while at < begins + seconds:
            found.append((at, phase))
            at += rng.expovariate(rate)
        begins += seconds
    return found


class FirstToken:
    """Watches a stream for its first token: text, or with `any_text` any choice, for a model whose
    tokens may have none and whose server says nothing before the first."""

    def __init__(self, any_text=False):
        self.any_text = any_text
        self.at = None
        self.rest = b""

    def piece(self, piece):
        if self.at is not None:
            return
        *lines, self.rest = (self.rest + piece).split(b"\n")
        for line in lines:
            line = line.strip()
            if line.startswith(b"data: {"):
                choices = json.loads(line[6:]).get("choices")
                if choices and (self.any_text or choices[0].get("delta", {}).get("content")):
                    self.at = time.monotonic()
                    return


async def online_one(port, key, body, began, at, phase, found, any_text):
    """The time is counted from when the request was due, before its connection is opened."""
    await asyncio.sleep(max(0, began + at - time.monotonic()))
    connection, first = Connection(port), FirstToken(any_text)
    one = {"at": round(at, 3), "phase": phase, "ttft": None, "took": None}
    try:
        status, _ = await connection.request(CHAT, body, key, first.piece)
        if status == 200 and first.at is not None:
            one["ttft"] = round(first.at - began - at, 4)
            one["took"] = round(time.monotonic() - began - at, 4)
        else:
            one["error"] = f"status {status}" if status != 200 else "no token in the stream"
    except Broken as error:
        one["error"] = str(error)
    connection.close()
    found.append(one)


async def online(
    ports, key, model, phases, seed, began, prompt_tokens=200, output=60, any_text=False, **more
):
    """Sends the whole pattern, to the ports in turn; the same seed gives the same requests at the same times."""
    rng = random.Random(seed)
    found, tasks = [], []
    for n, (at, phase) in enumerate(arrivals(phases, seed)):
        text = text_of(4 * prompt_tokens, rng, f"online {n}:")
        body = json.dumps(body_of(model, text, output, stream=True, **more)).encode()
        tasks.append(online_one(ports[n % len(ports)], key, body, began, at, phase, found, any_text))
    await asyncio.gather(*tasks)
    return sorted(found, key=lambda one: one["at"])


# ---- drivers that send lines straight to an engine ----


class Driver:
    """Sends lines in input order, as many at once as `concurrency` says.

    What a batch client without a scheduler does. A subclass may change the number.
    """

    def __init__(self, port, bodies, concurrency, url=CHAT):
        self.port = port
        self.url = url
        self.bodies = iter(bodies)
        self.concurrency = concurrency
        self.in_flight = 0
        self.ended = 0
        self.failed = 0
        self.ended_at = []
        self.finished = False
        self.idle = []
        self.more = asyncio.Event()

    def answered(self, status):
        """A place for a subclass to look at the answer."""

    async def one(self, body):
        connection = self.idle.pop() if self.idle else Connection(self.port)
        status = 0
        try:
            status, _ = await connection.request(self.url, json.dumps(body).encode())
            self.idle.append(connection)
        except Broken:
            pass
        self.in_flight -= 1
        self.ended += 1
        self.ended_at.append(time.monotonic())
        self.failed += status != 200
        self.answered(status)
        self.more.set()

    async def run(self):
        tasks = set()
        try:
            for body in self.bodies:
                while self.in_flight >= self.concurrency:
                    self.more.clear()
                    await self.more.wait()
                self.in_flight += 1
                task = asyncio.create_task(self.one(body))
                tasks.add(task)
                task.add_done_callback(tasks.discard)
            while tasks:
                await asyncio.wait(tasks)
            self.finished = True
        finally:
            for task in tasks:
                task.cancel()


class Aimd(Driver):
    """One more a second while nothing is refused, half at a 429, 503 or broken connection."""

    MAX = 1000

    def __init__(self, port, bodies, concurrency=8):
        super().__init__(port, bodies, concurrency)
        self.grown = time.monotonic()
        self.cut = 0.0

    def answered(self, status):
        now = time.monotonic()
        if status in (0, 429, 503):
            if now - self.cut > 1:
                self.concurrency = max(1, self.concurrency // 2)
                self.cut = now
        elif now - self.grown >= 1 and self.concurrency < self.MAX:
            self.concurrency += 1
            self.grown = now
