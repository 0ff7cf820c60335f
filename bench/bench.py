#!/usr/bin/env python3
"""Measures what README.md claims, on this machine, in one run: `make bench`.

Prints one JSON object a figure as soon as it is known, a table at the end, and keeps both under
build/bench/. Needs wrk, nginx and nothing but Python's standard library. The client side is cheap on
purpose (sendfile, a poll every 50 ms): it shares the cores with what is measured.
"""

import argparse
import atexit
import contextlib
import http.client
import json
import os
import pathlib
import re
import resource
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import threading
import time

import batches
import online
import tls
import variants

ROOT = pathlib.Path(__file__).resolve().parent.parent
KEY = "sk-bench-0000000000000000000000000000"
IN_FLIGHT = 64
MANY = 50  # upstreams of one model, in the row of that name
BODY_BYTES = 300
PART_BYTES = 64 * 1024 * 1024
MB = 1000 * 1000
MIB = 1024 * 1024

figures = []
processes = []


def say(text):
    print(f"# {text}", file=sys.stderr, flush=True)


def figure(name, value, unit, wanted=None, **more):
    """Prints and keeps one figure. `wanted` is like (">=", 0.22)."""
    met = None
    if wanted is not None:
        met = value >= wanted[1] if wanted[0] == ">=" else value <= wanted[1]
    made = {"figure": name, "value": round(value, 3), "unit": unit}
    made |= {"wanted": f"{wanted[0]} {wanted[1]:g}" if wanted else None, "met": met, **more}
    figures.append(made)
    print(json.dumps(made), flush=True)


def rounded(values):
    return [round(value, 3) for value in values]


# ---- processes ----


def start(command, **more):
    process = subprocess.Popen([str(word) for word in command], stdin=subprocess.DEVNULL, **more)
    processes.append(process)
    return process


@atexit.register
def stop_all():
    for process in processes:
        if process.poll() is None:
            process.kill()
            process.wait()


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Upstream:
    """bench/upstream.c, running."""

    def __init__(self, program, *args):
        self.process = start([program, *args], stdout=subprocess.PIPE, text=True)
        self.url = self.process.stdout.readline().strip()
        self.port = int(re.search(r":(\d+)/", self.url)[1])

    def requests(self):
        connection = http.client.HTTPConnection("127.0.0.1", self.port)
        connection.request("GET", "/stats")
        return json.load(connection.getresponse())["requests"]


class Nginx:
    """nginx with one worker, which sends the files of a directory by sendfile."""

    def __init__(self, directory, root):
        self.port = free_port()
        config = directory / "nginx.conf"
        user = "user root;" if os.geteuid() == 0 else ""  # blobs are their owner's alone
        config.write_text(f"""
            {user} daemon off; master_process off; pid {directory}/nginx.pid;
            error_log {directory}/nginx.log;
            events {{}}
            http {{
                access_log off; sendfile on; tcp_nopush on;
                client_body_temp_path {directory}/nginx-body;
                server {{ listen 127.0.0.1:{self.port}; root {root}; }}
            }}
        """)
        start(["nginx", "-c", config], stderr=subprocess.DEVNULL)
        while True:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port)):
                return
            time.sleep(0.01)


def download(port, path, size):
    """The seconds from connect to the last of so many bytes, which are read and dropped."""
    piece = bytearray(256 * 1024)
    began = time.monotonic()
    with socket.create_connection(("127.0.0.1", port)) as connection:
        head = f"GET {path} HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer {KEY}\r\n"
        connection.sendall(f"{head}Connection: close\r\n\r\n".encode())
        begin = b""
        while b"\r\n\r\n" not in begin and (more := connection.recv(1024)):
            begin += more
        if b" 200 " not in begin[:20]:
            sys.exit(f"download: {begin!r}")
        left = size - (len(begin) - begin.index(b"\r\n\r\n") - 4)
        while left > 0 and (n := connection.recv_into(piece)) > 0:
            left -= n
    if left != 0:
        sys.exit(f"download: {left} bytes are missing")
    return time.monotonic() - began


class Cpu:
    """CPU time of a process so far, in seconds, all of it and by thread name."""

    TICK = os.sysconf("SC_CLK_TCK")

    def __init__(self, pid):
        self.user, self.system = self.read(f"/proc/{pid}/stat")[1:]
        self.threads = {}
        for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
            name, user, system = self.read(task / "stat")
            self.threads[name] = self.threads.get(name, 0) + user + system

    def read(self, path):
        text = pathlib.Path(path).read_text()
        after = text[text.rindex(")") + 2 :].split()
        name = text[text.index("(") + 1 : text.rindex(")")]
        return name, int(after[11]) / self.TICK, int(after[12]) / self.TICK


def upstreams_file(directory, upstream, names):
    """A configuration in which one upstream has so many names."""
    path = directory / "upstreams.yaml"
    one = "  - name: bench-{}\n    url: {}\n    models: [bench]\n"
    text = "".join(one.format(n, upstream.url) for n in range(names))
    path.write_text(f"upstreams:\n{text}")
    return path


class Server:
    """lowtide, running on a data directory, and a client of it."""

    def __init__(self, program, directory, upstream, **more):
        self.data = directory / "data"
        self.log = directory / "lowtide.log"
        self.port = free_port()  # which stays the same across a restart
        self.command = [program, "serve", "--listen", f"127.0.0.1:{self.port}"]
        self.command += ["--data", self.data]
        names = more.get("names", 1)
        if names == 1:
            self.command += ["--upstream", upstream.url]
        else:
            self.command += ["--config", upstreams_file(directory, upstream, names)]
        settings = {
            "execution.concurrency": -(-IN_FLIGHT // names),
            "limits.file_bytes": 0,
            "limits.org.bytes": 0,
            "limits.org.files": 0,
            **more.get("settings", {}),
        }
        for name, value in settings.items():
            self.command += ["--set", f"{name}={value}"]
        self.connection = None

    def start(self):
        """Returns the seconds from exec until /readyz answers 200."""
        began = time.monotonic()
        with open(self.log, "a") as log:
            environment = {**os.environ, "LOWTIDE_BOOTSTRAP_KEY": KEY}
            self.process = start(self.command, stdout=log, stderr=log, env=environment)
        self.connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=600)
        while True:
            with contextlib.suppress(OSError):
                self.connection.request("GET", "/readyz")
                answer = self.connection.getresponse()
                answer.read()
                if answer.status == 200:
                    return time.monotonic() - began
            if self.process.poll() is not None or time.monotonic() > began + 60:
                sys.exit(f"lowtide does not start:\n{self.log.read_text()[-2000:]}")
            self.connection.close()
            time.sleep(0.005)

    def redirect(self, before, after):
        """From its next start on it sends to another upstream."""
        self.command[self.command.index(before.url)] = after.url

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        self.connection.close()

    def call(self, method, path, body=None):
        headers = {"Authorization": f"Bearer {KEY}"}
        text = None
        if body is not None:
            headers["Content-Type"] = "application/json"
            text = json.dumps(body)
        self.connection.request(method, path, text, headers)
        answer = self.connection.getresponse()
        data = answer.read()
        if answer.status != 200:
            sys.exit(f"{method} {path}: {answer.status} {data[:500]!r}\n{self.log}")
        return json.loads(data)

    def upload(self, path):
        """The file's id and the seconds from connect to the answer."""
        boundary = "bench-boundary"
        head = (
            f"--{boundary}\r\n"
            'Content-Disposition: form-data; name="purpose"\r\n\r\nbatch\r\n'
            f"--{boundary}\r\n"
            'Content-Disposition: form-data; name="file"; filename="in.jsonl"\r\n'
            "Content-Type: application/jsonl\r\n\r\n"
        ).encode()
        tail = f"\r\n--{boundary}--\r\n".encode()
        size = len(head) + path.stat().st_size + len(tail)
        began = time.monotonic()
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=600)
        connection.putrequest("POST", "/v1/files")
        connection.putheader("Authorization", f"Bearer {KEY}")
        connection.putheader("Content-Type", f"multipart/form-data; boundary={boundary}")
        connection.putheader("Content-Length", str(size))
        connection.endheaders(head)
        with open(path, "rb") as file:
            connection.sock.sendfile(file)
        connection.sock.sendall(tail)
        answer = connection.getresponse()
        data = answer.read()
        took = time.monotonic() - began
        if answer.status != 200:
            sys.exit(f"upload: {answer.status} {data[:500]!r}")
        return json.loads(data)["id"], took

    def batch_create(self, file_id):
        body = {"input_file_id": file_id, "endpoint": "/v1/chat/completions"}
        return self.call("POST", "/v1/batches", body | {"completion_window": "24h"})["id"]

    def batch_wait(self, batch_id, until, timeout_s=600):
        """Polls until `until(batch)`; returns the batch and the time."""
        began = time.monotonic()
        while True:
            batch = self.call("GET", f"/v1/batches/{batch_id}")
            now = time.monotonic()
            if until(batch):
                return batch, now
            if batch["status"] in ("completed", "failed", "expired", "cancelled"):
                sys.exit(f"the batch ended early: {json.dumps(batch)[:1500]}")
            if now > began + timeout_s:
                sys.exit(f"no end after {timeout_s} s: {json.dumps(batch)[:1500]}")
            time.sleep(0.05)

    def metric(self, name):
        self.connection.close()  # the server may have, too, while others came
        self.connection.request("GET", "/metrics")
        text = self.connection.getresponse().read().decode()
        return float(re.search(rf"^{re.escape(name)} (\S+)$", text, re.M)[1])

    def peak_mib(self):
        status = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(r"VmHWM:\s+(\d+) kB", status)[1]) / 1024


def done(batch):
    return batch["request_counts"]["completed"]


# ---- inputs ----


def body_text(size=BODY_BYTES):
    body = {"model": "bench", "messages": [{"role": "user", "content": ""}], "max_tokens": 20}
    room = size - len(json.dumps(body))
    body["messages"][0]["content"] = ("tide " * size)[:room]
    return json.dumps(body)


def line_id(n):
    return b"line-%07d" % n


def line_pattern(body_bytes=BODY_BYTES):
    head = b'{"custom_id":"%s","method":"POST","url":"/v1/chat/completions","body":'
    return head + body_text(body_bytes).encode() + b"}\n"


def line_size(body_bytes=BODY_BYTES):
    return len(line_pattern(body_bytes) % line_id(0))


def input_make(path, lines, body_bytes):
    """A file of `lines` request lines. Kept for the next run."""
    if path.exists() and path.stat().st_size == lines * line_size(body_bytes):
        return
    say(f"making {path.name}")
    pattern = line_pattern(body_bytes)
    with open(path, "wb") as out:
        for first in range(0, lines, 10000):
            last = min(first + 10000, lines)
            out.write(b"".join(pattern % line_id(n) for n in range(first, last)))


def forget(path):
    """Has nothing of the file in the page cache."""
    with open(path, "rb") as file:
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


@contextlib.contextmanager
def many_files():
    """This process and those that it starts may open as many files as the machine allows."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def wrk(options, port, body_bytes=BODY_BYTES, connections=IN_FLIGHT):
    """What wrk gets from a port: requests per second, and how many."""
    command = ["wrk", "-t1", f"-c{connections}", f"-d{options.wrk_seconds}s"]
    command += ["-H", f"Authorization: Bearer {KEY}"]
    command += ["-s", ROOT / "bench/post.lua", f"http://127.0.0.1:{port}"]
    environment = {**os.environ, "BENCH_BODY": body_text(body_bytes)}
    run = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    if "Non-2xx" in run.stdout or "Socket errors" in run.stdout:
        sys.exit(f"wrk to port {port}: not every request was answered with 200:\n{run.stdout}")
    rate = float(re.search(r"Requests/sec:\s+([\d.]+)", run.stdout)[1])
    return rate, int(re.search(r"(\d+) requests in", run.stdout)[1])


def read_through(path):
    """Has the file in the page cache."""
    with open(path, "rb") as file:
        while file.read(MIB):
            pass


# ---- measurements ----


class Bench:
    def __init__(self, options):
        self.options = options
        self.work = options.work
        self.work.mkdir(parents=True, exist_ok=True)
        self.upstream = Upstream(options.upstream)
        # what the rows in files of their own need
        self.key, self.say, self.figure, self.rounded, self.start = KEY, say, figure, rounded, start

    def cpu(self, server):
        return Cpu(server.process.pid)

    def line(self, n):
        return line_pattern() % line_id(n)

    def upstream_make(self, *args):
        return Upstream(self.options.upstream, *args)

    def done(self, batch):
        return done(batch)

    def small(self):
        batches.small(self)

    def many(self):
        batches.many(self)

    def long(self):
        batches.long(self)

    @contextlib.contextmanager
    def server(self, upstream=None, names=1, program=None, **settings):
        """A fresh server on an empty data directory, which goes afterwards."""
        directory = self.work / "server"
        shutil.rmtree(directory, ignore_errors=True)
        directory.mkdir()
        os.sync()  # what the round before left dirty is not this round's to write
        server = Server(
            program or self.options.lowtide, directory, upstream or self.upstream, names=names, settings=settings
        )
        server.start()
        try:
            yield server
        finally:
            server.kill()
            shutil.rmtree(server.data, ignore_errors=True)

    def input(self, lines, body_bytes=BODY_BYTES):
        of = "" if body_bytes == BODY_BYTES else f"-of-{body_bytes}"
        path = self.work / f"in-{lines}{of}.jsonl"
        input_make(path, lines, body_bytes)
        return path

    def dispatch_round(self, path, lines, names=1, upstream=None, **settings):
        with self.server(upstream, names, **settings) as server:
            file_id, _ = server.upload(path)
            before, began = Cpu(server.process.pid), time.monotonic()
            batch_id = server.batch_create(file_id)
            _, ended = server.batch_wait(batch_id, lambda batch: done(batch) == lines)
            _, ready = server.batch_wait(batch_id, lambda batch: batch["status"] == "completed")
            after = Cpu(server.process.pid)
            threads = {
                name: round((used - before.threads.get(name, 0)) / lines * 1e6, 1)
                for name, used in sorted(after.threads.items(), key=lambda item: -item[1])
            }
            return {
                "rate": lines / (ended - began),
                "user_us": (after.user - before.user) / lines * 1e6,
                "system_us": (after.system - before.system) / lines * 1e6,
                "finalize_s": ready - ended,
                "peak_mib": server.peak_mib(),
                "threads": {name: us for name, us in threads.items() if us > 0},
            }

    def dispatch(self):
        lines = self.options.lines
        path = self.input(lines)
        of_wrk, rounds, of_many = [], [], []
        for n in range(self.options.rounds):
            say(f"dispatch, round {n + 1}: wrk, then a batch of {lines:,} lines")
            of_wrk.append(wrk(self.options, self.upstream.port)[0])
            rounds.append(self.dispatch_round(path, lines))
            say(f"dispatch, round {n + 1}: the same by {MANY} upstreams")
            of_many.append(self.dispatch_round(path, lines, MANY)["rate"])

        def middle(name):
            return statistics.median(one[name] for one in rounds)

        cpu = [one["user_us"] + one["system_us"] for one in rounds]
        rates = [one["rate"] for one in rounds]
        figure("dispatch.wrk", statistics.median(of_wrk), "requests/s", rounds=rounded(of_wrk))
        figure("dispatch.rate", middle("rate"), "lines/s", rounds=rounded(rates))
        shares = [rate / of for rate, of in zip(rates, of_wrk, strict=True)]
        figure("dispatch.of_wrk", statistics.median(shares), "", (">=", 0.45), rounds=rounded(shares))
        shares = [rate / of for rate, of in zip(of_many, rates, strict=True)]
        name = f"dispatch, {MANY} upstreams of one model"
        figure(name, statistics.median(shares), "of one's lines/s", rounds=rounded(shares))
        figure(
            "dispatch.cpu_per_line", statistics.median(cpu), "us", ("<=", 16), rounds=rounded(cpu),
            user=round(middle("user_us"), 1), system=round(middle("system_us"), 1),
            threads=rounds[-1]["threads"],
        )  # fmt: skip
        figure("dispatch.finalize", middle("finalize_s"), "s")
        peaks = [one["peak_mib"] for one in rounds]
        figure("memory.batch", max(peaks), "MiB", ("<=", 64), lines=lines, rounds=rounded(peaks))

    def upload(self):
        path = self.input(self.options.upload_bytes // line_size())
        size = path.stat().st_size
        dd, upload, peaks = [], [], []
        for n in range(self.options.rounds):
            say(f"upload, round {n + 1}: dd, then {size / MB:,.0f} MB")
            target = self.work / "dd.out"
            read_through(path)
            os.sync()
            began = time.monotonic()
            command = ["dd", f"if={path}", f"of={target}", "bs=1M", "conv=fsync", "status=none"]
            subprocess.run(command, check=True)
            dd.append(size / MB / (time.monotonic() - began))
            target.unlink()
            with self.server() as server:
                _, took = server.upload(path)
                upload.append(size / MB / took)
                peaks.append(server.peak_mib())
        shares = [rate / of for rate, of in zip(upload, dd, strict=True)]
        figure("upload.dd", statistics.median(dd), "MB/s", rounds=rounded(dd))
        figure("upload.rate", statistics.median(upload), "MB/s", rounds=rounded(upload))
        figure("upload.of_dd", statistics.median(shares), "", (">=", 0.9), rounds=rounded(shares))
        figure("memory.upload", max(peaks), "MiB", ("<=", 64), mb=size // MB, rounds=rounded(peaks))

    def download(self):
        """A file's content by one client, against nginx with sendfile on the same blob."""
        path = self.input(self.options.upload_bytes // line_size())
        size = path.stat().st_size
        ours, theirs, cpu, peaks = [], [], [], []
        with self.server() as server:
            file_id, _ = server.upload(path)
            blob = next(server.data.rglob(f"{file_id}.jsonl"))
            nginx = Nginx(self.work / "server", blob.parent)
            for n in range(max(self.options.rounds, 5)):
                say(f"download, round {n + 1}: {size / MB:,.0f} MB by nginx, then by lowtide")
                read_through(blob)
                theirs.append(size / MB / download(nginx.port, f"/{blob.name}", size))
                before = Cpu(server.process.pid)
                took = download(server.port, f"/v1/files/{file_id}/content", size)
                ours.append(size / MB / took)
                after = Cpu(server.process.pid)
                used = after.user + after.system - before.user - before.system
                cpu.append(used / size * 1e9)
            peaks.append(server.peak_mib())
        shares = [rate / of for rate, of in zip(ours, theirs, strict=True)]
        figure("download.nginx", statistics.median(theirs), "MB/s", rounds=rounded(theirs))
        figure("download.rate", statistics.median(ours), "MB/s", rounds=rounded(ours))
        name = "download.of_nginx"
        figure(name, statistics.median(shares), "", (">=", 0.95), rounds=rounded(shares))
        figure("download.cpu", statistics.median(cpu), "s a GB", rounds=rounded(cpu))
        figure("memory.download", max(peaks), "MiB", ("<=", 64), mb=size // MB)

    def upload_in_parts(self, server, path):
        """Everything of the Uploads API but its end; the path of `complete` and its body."""
        size = path.stat().st_size
        made = {"filename": path.name, "purpose": "batch", "bytes": size}
        made["mime_type"] = "application/jsonl"
        upload = server.call("POST", "/v1/uploads", made)["id"]
        parts = []
        with open(path, "rb") as file:
            while piece := file.read(PART_BYTES):
                head = b'--b\r\nContent-Disposition: form-data; name="data"; filename="part"\r\n\r\n'
                headers = {"Authorization": f"Bearer {KEY}"}
                headers["Content-Type"] = "multipart/form-data; boundary=b"
                body = head + piece + b"\r\n--b--\r\n"
                server.connection.request("POST", f"/v1/uploads/{upload}/parts", body, headers)
                parts.append(json.load(server.connection.getresponse())["id"])
        return f"/v1/uploads/{upload}/complete", {"part_ids": parts}

    def complete(self):
        """The end of an upload in parts, as its bytes lie in the page cache just after they came,
        and against reading them from the disk by dd, with none in the cache."""
        path = self.input(self.options.upload_bytes // line_size())
        size = path.stat().st_size
        dd, complete, cpu = [], [], []
        for n in range(self.options.rounds):
            say(f"complete, round {n + 1}: the end of an upload of {size / MB:,.0f} MB, then dd")
            with self.server() as server:
                call, body = self.upload_in_parts(server, path)
                files = [file for file in server.data.rglob("*") if file.is_file()]
                largest = max(files, key=lambda file: file.stat().st_size)
                os.sync()
                before, began = Cpu(server.process.pid), time.monotonic()
                server.call("POST", call, body)
                complete.append(size / MB / (time.monotonic() - began))
                after = Cpu(server.process.pid)
                used = after.user + after.system - before.user - before.system
                cpu.append(used / size * 1e9)
                os.sync()
                forget(largest)
                began = time.monotonic()
                command = ["dd", f"if={largest}", "of=/dev/null", "bs=1M", "status=none"]
                subprocess.run(command, check=True)
                dd.append(size / MB / (time.monotonic() - began))
        shares = [rate / of for rate, of in zip(complete, dd, strict=True)]
        figure("complete.dd", statistics.median(dd), "MB/s", rounds=rounded(dd))
        figure("complete.rate", statistics.median(complete), "MB/s", rounds=rounded(complete))
        figure("complete.of_dd", statistics.median(shares), "", (">=", 1), rounds=rounded(shares))
        figure("complete.cpu", statistics.median(cpu), "s a GB", rounds=rounded(cpu))

    def memory(self):
        """Peak resident memory where much is on its way at once; README.md says what is allowed."""
        self.memory_of_a_batch()
        self.memory_of_answers()
        self.memory_of_bodies()
        self.memory_of_waiting()

    def memory_of_a_batch(self):
        say("memory: an upload, then a batch of 300-byte lines")
        with self.server() as server:
            server.upload(self.input(self.options.upload_bytes // line_size()))
            figure("memory.upload", server.peak_mib(), "MiB", ("<=", 64))
        with self.server() as server:
            batch = server.batch_create(server.upload(self.input(self.options.lines))[0])
            server.batch_wait(batch, lambda batch: batch["status"] == "completed")
            figure("memory.batch", server.peak_mib(), "MiB", ("<=", 64), lines=self.options.lines)

    def memory_of_answers(self):
        say("memory: 256 answers of 2 MB at once")
        upstream = Upstream(self.options.upstream, "-a", str(2 * MB), "-l", "300000")
        with self.server(upstream, **{"execution.concurrency": 256}) as server:
            batch = server.batch_create(server.upload(self.input(768))[0])
            server.batch_wait(batch, lambda batch: batch["status"] == "completed")
            figure("memory.answers", server.peak_mib(), "MiB", ("<=", 320), of=256)

    def online_send(self, server, body):
        """A connection that has sent an online request."""
        connection = socket.create_connection(("127.0.0.1", server.port))
        head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer {KEY}\r\n"
        connection.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
        return connection

    def memory_of_bodies(self):
        say("memory: 100 online bodies of 16 MiB at once")
        upstream = Upstream(self.options.upstream, "-l", "3000000")
        body = b'{"model":"bench","pad":"' + b"x" * (16 * MIB - 26) + b'"}'
        statuses = []

        def one():
            with self.online_send(server, body) as connection:
                statuses.append(int(connection.recv(64).split()[1]))

        with self.server(upstream) as server:
            clients = [threading.Thread(target=one) for _ in range(100)]
            for client in clients:
                client.start()
            for client in clients:
                client.join()
            counts = {str(status): statuses.count(status) for status in sorted(set(statuses))}
            figure("memory.bodies", server.peak_mib(), "MiB", ("<=", 320), of=100, answers=counts)

    def memory_of_waiting(self):
        say("memory: 8,000 online requests of 40 kB at once")
        upstream = Upstream(self.options.upstream, "-l", "10000000")
        settings = {"execution.max_concurrency": 64}
        with many_files(), self.server(upstream, **settings) as server:
            body = b'{"model":"bench","pad":"' + b"x" * 40_000 + b'"}'
            clients = [self.online_send(server, body) for _ in range(8000)]
            time.sleep(2)
            kept = int(server.metric("lowtide_online_requests"))
            figure("memory.waiting", server.peak_mib(), "MiB", ("<=", 320), of=8000, kept=kept)
            for client in clients:
                client.close()

    def large(self):
        variants.large(self, sys.modules[__name__])

    def wide(self):
        variants.wide(self, sys.modules[__name__])

    def online(self):
        online.Online(self, sys.modules[__name__]).requests()

    def streams(self):
        online.Online(self, sys.modules[__name__]).streams()

    def tls(self):
        """Upstreams behind https, against the same without."""
        tls.Tls(self, sys.modules[__name__]).measure()

    def restart(self):
        lines = self.options.restart_lines
        path = self.input(lines)
        say(f"restart: a batch of {lines:,} lines, killed half way")
        with self.server() as server:
            file_id, _ = server.upload(path)
            before = self.upstream.requests()
            batch_id = server.batch_create(file_id)
            server.batch_wait(batch_id, lambda batch: done(batch) >= lines // 2)
            server.kill()
            began = time.monotonic()
            ready_s = server.start()
            at_start = done(server.call("GET", f"/v1/batches/{batch_id}"))
            _, moved = server.batch_wait(batch_id, lambda batch: done(batch) > at_start)
            figure("restart.ready", ready_s, "s", ("<=", 3), lines=lines, done=at_start)
            figure("restart.working", moved - began, "s", ("<=", 3))
            batch, _ = server.batch_wait(batch_id, lambda batch: batch["status"] == "completed")
            resent = self.upstream.requests() - before - lines
            # In flight or not yet synced at the kill: not finished, so sent again.
            figure("restart.sent_again", resent, "lines")
            wrong = self.output_wrong(server, batch, lines)
            figure("restart.lines_wrong", wrong, "lines", ("<=", 0))

    def output_wrong(self, server, batch, lines):
        """How many lines of the output are not the one that belongs there."""
        headers = {"Authorization": f"Bearer {KEY}"}
        path = f"/v1/files/{batch['output_file_id']}/content"
        server.connection.request("GET", path, None, headers)
        wrong = n = 0
        for n, line in enumerate(server.connection.getresponse(), 1):
            wrong += line_id(n - 1) not in line[:200]
        return wrong + abs(lines - n)


def table():
    rows = [("figure", "measured", "wanted", "")]
    for one in figures:
        met = {True: "met", False: "MISSED", None: ""}[one["met"]]
        rows.append((one["figure"], f"{one['value']:,g} {one['unit']}", one["wanted"] or "", met))
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    for row in rows:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()


def parsed(parser):
    """The arguments, among them those of all programs here: where one works, and what it runs."""
    parser.add_argument("--work", type=pathlib.Path, default=ROOT / "build/bench/work")
    parser.add_argument("--lowtide", type=pathlib.Path, default=ROOT / "build/lowtide")
    upstream = ROOT / "build/bench/bench-upstream"
    parser.add_argument("--upstream", type=pathlib.Path, default=upstream)
    return parser.parse_args()


def measure(bench, file, about=""):
    """The parts that --only names. Their table is printed, and stands with the figures in build/bench/FILE, below
    `about`."""
    for name in bench.options.only.split(","):
        getattr(bench, name)()
    text = "\n".join(table())
    print(text)
    with open(bench.work.parent / file, "w") as out:
        out.writelines(json.dumps(one) + "\n" for one in figures)
        out.write(f"{about}{text}\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parts = "dispatch,large,wide,online,streams,upload,complete,download,tls,restart"
    parser.add_argument("--only", default=parts, help=f"comma-separated: {parts},memory,small,many,long")
    parser.add_argument("--base", type=pathlib.Path, help="another build, beside which `small` runs")
    parser.add_argument("--batches", type=int, default=2000, help="of `small`")
    parser.add_argument("--many-batches", type=int, default=20_000, help="of `many`")
    parser.add_argument("--long-lines", type=int, default=5_000_000, help="of `long`")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--lines", type=int, default=300_000, help="of a dispatch batch")
    parser.add_argument("--restart-lines", type=int, default=1_000_000)
    parser.add_argument("--upload-bytes", type=int, default=1_000_000_000)
    parser.add_argument("--wrk-seconds", type=int, default=8)
    options = parsed(parser)

    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    measure(Bench(options), "results.txt")


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(130)
