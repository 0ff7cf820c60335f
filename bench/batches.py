"""Rows of bench.py about many batches and about a long one: `--only small`, `--only many`, `--only long`.

`small` runs another build of lowtide beside this one, in turn, in the same rounds (`--base`), and counts
what each asks of the disk in a run of its own under strace, which is not timed."""

import json
import pathlib
import re
import socket
import statistics
import subprocess
import threading
import time

CLIENTS = 8
FINAL = (b'"completed"', b'"failed"', b'"expired"', b'"cancelled"')
SYNCS = ("fsync", "fdatasync", "syncfs")
WRITES = ("write", "writev", "pwrite64", "pwritev")


class Caller:
    """One kept connection that speaks no more HTTP than lowtide answers with: cheap on purpose."""

    def __init__(self, port, key):
        self.sock = socket.create_connection(("127.0.0.1", port))
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.head = f"Host: bench\r\nAuthorization: Bearer {key}\r\n"

    def call(self, method, path, body=b"", kind="application/json"):
        head = f"{method} /v1/{path} HTTP/1.1\r\n{self.head}"
        if body:
            head += f"Content-Type: {kind}\r\nContent-Length: {len(body)}\r\n"
        self.sock.sendall(head.encode() + b"\r\n" + body)
        data = self.sock.recv(65536)
        while (end := data.find(b"\r\n\r\n")) < 0:
            data += self.more()
        size = int(re.search(rb"(?i)content-length: (\d+)", data[:end])[1])
        while len(data) < end + 4 + size:
            data += self.more()
        if not data.startswith(b"HTTP/1.1 200"):
            raise RuntimeError(f"{method} {path}: {data[:500]!r}")
        return data[end + 4 :]

    def more(self):
        data = self.sock.recv(65536)
        if not data:
            raise RuntimeError("the server has closed the connection")
        return data

    def upload(self, lines):
        head = b'--b\r\nContent-Disposition: form-data; name="purpose"\r\n\r\nbatch\r\n--b\r\n'
        head += b'Content-Disposition: form-data; name="file"; filename="in.jsonl"\r\n\r\n'
        answer = self.call(
            "POST", "files", head + lines + b"\r\n--b--\r\n", "multipart/form-data; boundary=b"
        )
        return member(answer, b"id")

    def create(self, file_id):
        body = b'{"input_file_id":"%s","endpoint":"/v1/chat/completions","completion_window":"24h"}'
        return member(self.call("POST", "batches", body % file_id), b"id").decode()

    def run(self, lines):
        """One batch from its upload until a client is told that it is final."""
        batch = self.create(self.upload(lines))
        while (status := member(self.call("GET", f"batches/{batch}?wait=30"), b"status")) != b"completed":
            if b'"%s"' % status in FINAL:
                raise RuntimeError(f"{batch} ended as {status!r}")


def member(text, name):
    return re.search(rb'"%s": ?"([^"]*)"' % name, text)[1]


def spread(jobs, port, keys, each):
    """`each(caller, job)` for all jobs, by CLIENTS connections in threads of their own."""
    rest = iter(jobs)
    lock, faults = threading.Lock(), []

    def work(key):
        caller = Caller(port, key)
        try:
            while True:
                with lock:
                    job = next(rest, None)
                if job is None:
                    return
                each(caller, job)
        except Exception as fault:  # told by the thread that waits
            faults.append(fault)

    threads = [threading.Thread(target=work, args=(keys[n % len(keys)],)) for n in range(CLIENTS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if faults:
        raise faults[0]


# ---- small: 2,000 batches of 10 lines ----


def small_round(bench, program, lines, batches):
    with bench.server(program=program) as server:
        spread(range(2 * CLIENTS), server.port, [bench.key], lambda caller, _: caller.run(lines))
        before, began = bench.cpu(server), time.monotonic()
        spread(range(batches), server.port, [bench.key], lambda caller, _: caller.run(lines))
        took = time.monotonic() - began
        after = bench.cpu(server)
        threads = {
            name: round((used - before.threads.get(name, 0)) / batches * 1e6)
            for name, used in sorted(after.threads.items(), key=lambda item: -item[1])
        }
        return {
            "rate": batches / took,
            "cpu_ms": (after.user + after.system - before.user - before.system) / batches * 1e3,
            "threads": {name: us for name, us in threads.items() if us > 0},
        }


def small_calls(bench, program, lines, batches):
    """System calls a batch, by name, under strace, which leaves each thread all its time."""
    with bench.server(program=program) as server:
        out = bench.work / "strace.txt"
        names = ",".join((*SYNCS, *WRITES))
        command = ["strace", "-f", "-q", "-c", "-U", "calls,name", f"-etrace={names}", "-o", out]
        tracer = bench.start([*command, "-p", str(server.process.pid)], stderr=subprocess.DEVNULL)
        time.sleep(1)  # until it has all threads
        spread(range(batches), server.port, [bench.key], lambda caller, _: caller.run(lines))
        tracer.terminate()
        tracer.wait()
        counts = {}
        for line in pathlib.Path(out).read_text().splitlines():
            if found := re.fullmatch(r"\s*(\d+)\s+(\w+)", line):
                counts[found[2]] = int(found[1]) / batches
        return {
            "syncs": sum(counts.get(name, 0) for name in SYNCS),
            "writes": sum(counts.get(name, 0) for name in WRITES),
        }


def small(bench):
    options, figure = bench.options, bench.figure
    lines = b"".join(bench.line(n) for n in range(10))
    builds = {"": options.lowtide}
    if options.base is not None:
        builds["base "] = options.base
    rounds = {name: [] for name in builds}
    for n in range(options.rounds):
        for name, program in builds.items():
            bench.say(f"small, round {n + 1}: {options.batches:,} batches of 10 lines, {name or 'this '}build")
            rounds[name].append(small_round(bench, program, lines, options.batches))

    wanted = {"rate": None, "cpu_ms": ("<=", 0.8), "syncs": ("<=", 5), "writes": None}
    for name, program in builds.items():
        mine = name == ""
        for what, unit in (("rate", "batches/s"), ("cpu_ms", "ms a batch")):
            values = [one[what] for one in rounds[name]]
            more = {"threads": rounds[name][-1]["threads"]} if what == "cpu_ms" else {}
            figure(
                f"small.{name}{what}", statistics.median(values), unit, wanted[what] if mine else None,
                rounds=bench.rounded(values), **more,
            )  # fmt: skip
        calls = small_calls(bench, program, lines, min(options.batches, 500))
        for what, value in calls.items():
            figure(f"small.{name}{what}", value, "a batch", wanted[what] if mine else None)
    if len(builds) > 1:
        shares = [
            one["rate"] / of["rate"] for one, of in zip(rounds[""], rounds["base "], strict=True)
        ]
        figure("small.of_base", statistics.median(shares), "", (">=", 5), rounds=bench.rounded(shares))


# ---- many: open batches of many organizations ----

ORGS = 200
MANY_LINES = 1000  # of each batch: that a batch ends costs its lines little
MANY_MEASURED = 200_000
LATE_US = 3_600_000_000  # an upstream that answers nothing meanwhile


def many_keys(bench, server):
    """A key of each of so many organizations."""
    keys = []
    for n in range(ORGS):
        command = [bench.options.lowtide, "key", "create", "--data", server.data, "--org", f"org-{n}"]
        made = subprocess.run([str(word) for word in command], capture_output=True, text=True, check=True)
        keys.append(made.stdout.strip())
    return keys


def many_create(server, keys, lines, batches):
    """So many batches of one file of each organization; (key, id) of each."""
    made, lock = [], threading.Lock()

    def each(_, n):
        caller = Caller(server.port, keys[n])
        file_id = caller.upload(lines)
        for m in range(batches // len(keys)):
            body = {"input_file_id": file_id.decode(), "endpoint": "/v1/chat/completions"}
            body |= {"completion_window": "24h", "metadata": {"n": str(m)}}
            answer = caller.call("POST", "batches", json.dumps(body).encode())
            with lock:
                made.append((keys[n], member(answer, b"id").decode()))
        caller.sock.close()

    spread(range(len(keys)), server.port, keys, each)
    return made


def rss_mib(server):
    status = pathlib.Path(f"/proc/{server.process.pid}/status").read_text()
    return int(re.search(r"VmRSS:\s+(\d+) kB", status)[1]) / 1024


def gets_ms(server, made, n=300):
    """Median and 99th percentile of GETs of batches all over."""
    took = []
    for key, batch in made[:: max(1, len(made) // n)]:
        caller = Caller(server.port, key)
        began = time.monotonic()
        caller.call("GET", f"batches/{batch}")
        took.append((time.monotonic() - began) * 1000)
        caller.sock.close()
    took.sort()
    return statistics.median(took), took[len(took) * 99 // 100]


def cpu_of_lines(bench, server, lines):
    """CPU a line of the server for the next so many that come to the upstream."""
    before, sent = bench.cpu(server), bench.upstream.requests()
    while (done := bench.upstream.requests() - sent) < lines:
        time.sleep(0.05)
    after = bench.cpu(server)
    return (after.user + after.system - before.user - before.system) / done * 1e6


def many(bench):
    options, figure = bench.options, bench.figure
    batches = options.many_batches // ORGS * ORGS
    lines = b"".join(bench.line(n) for n in range(MANY_LINES))
    settings = {"limits.org.open_batches": 0}
    bench.say(f"many: {MANY_MEASURED:,} lines of one batch")
    with bench.server(**settings) as server:
        server.batch_create(server.upload(bench.input(2 * MANY_MEASURED))[0])
        cpu_of_lines(bench, server, MANY_MEASURED // 10)
        one = cpu_of_lines(bench, server, MANY_MEASURED)
    late = bench.upstream_make("-l", str(LATE_US))
    bench.say(f"many: {batches:,} open batches of {ORGS} organizations")
    with bench.server(upstream=late, **settings) as server:
        made = many_create(server, many_keys(bench, server), lines, batches)
        time.sleep(2)
        figure("many.memory", rss_mib(server), "MiB", ("<=", 128), batches=len(made))
        middle, worst = gets_ms(server, made)
        figure("many.get", middle, "ms", ("<=", 2), p99=round(worst, 2))
        server.kill()
        server.redirect(late, bench.upstream)
        figure("many.start", server.start(), "s", ("<=", 2))
        middle, worst = gets_ms(server, made)
        figure("many.get, while they run", middle, "ms", ("<=", 2), p99=round(worst, 2))
        cost = cpu_of_lines(bench, server, MANY_MEASURED)
        figure("many.cpu_per_line", cost, "us", of_one=round(one, 1))
        figure("many.of_one", cost / one, "", ("<=", 1.1))
        figure("many.peak", server.peak_mib(), "MiB", ("<=", 128))


def cpu_of_a_batch(bench, server, lines):
    file_id, _ = server.upload(bench.input(lines))
    before = bench.cpu(server)
    server.batch_wait(server.batch_create(file_id), lambda batch: batch["status"] == "completed")
    after = bench.cpu(server)
    return (after.user + after.system - before.user - before.system) / lines * 1e6


# ---- long: one batch of millions of lines ----


def long(bench):
    options, figure = bench.options, bench.figure
    lines = options.long_lines
    bench.say("long: a batch of 10,000 lines, five times")
    with bench.server() as server:
        few = statistics.median(cpu_of_a_batch(bench, server, 10_000) for _ in range(5))
    bench.say(f"long: a batch of {lines:,} lines, killed half way")
    with bench.server() as server:
        file_id, _ = server.upload(bench.input(lines))
        before, batch_id = bench.cpu(server), server.batch_create(file_id)
        batch, _ = server.batch_wait(batch_id, lambda one: bench.done(one) >= lines // 2, 3600)
        after, ended = bench.cpu(server), bench.done(batch)
        cost = (after.user + after.system - before.user - before.system) / ended * 1e6
        peak = server.peak_mib()
        server.kill()
        figure("long.start", server.start(), "s", ("<=", 1), lines=lines)
        _, at = server.batch_wait(batch_id, lambda one: bench.done(one) == lines, 3600)
        _, ready = server.batch_wait(batch_id, lambda one: one["status"] == "completed", 3600)
        figure("long.finish", ready - at, "s", ("<=", 0.5))
        figure("long.cpu_per_line", cost, "us", of_few=round(few, 1))
        figure("long.of_few", cost / few, "", ("<=", 1.05))
        figure("long.memory", max(peak, server.peak_mib()), "MiB", ("<=", 24))
