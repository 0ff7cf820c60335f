"""Online requests through lowtide, against the same through nginx in the same rounds: the parts
`online` and `streams` of bench.py.

`online` has 64 connections that wrk keeps busy, and one that sends one request at a time; `streams` has
400 answers of which each brings 50 events a second. CPU time is that of all threads, by the scheduler's
own count."""

import contextlib
import gc
import math
import pathlib
import re
import select
import shutil
import socket
import statistics
import sys
import time

import tls

LONE = 2000  # requests, one at a time
PERCENTILES = {"p50": 0.5, "p99": 0.99}
STREAMS = 400
EVENTS_PER_S = 50
EVENT_S = 1 / EVENTS_PER_S
OPENING_S = 2  # for the first events of all streams
LATE = 0.97  # of the rate that is asked for; with less, the figures would be of something else

CONFIGURATION = """\
{user}worker_processes 1;
daemon off;
master_process off;
pid {directory}/nginx.pid;
error_log {directory}/error.log warn;
events {{ worker_connections 4096; }}
http {{
    access_log off;
    client_body_temp_path {directory}/body;
    proxy_temp_path {directory}/proxy;
    fastcgi_temp_path {directory}/fastcgi;
    uwsgi_temp_path {directory}/uwsgi;
    scgi_temp_path {directory}/scgi;
    keepalive_requests 100000000;
    upstream bench {{ server 127.0.0.1:{upstream}; keepalive 512; keepalive_requests 100000000; }}
    server {{
        listen 127.0.0.1:{port};
        location / {{
            proxy_pass http://bench;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_buffering {buffering};
        }}
    }}
}}
"""


def cpu_ns(pid):
    """The CPU time of a process so far by name of its threads, which all stay."""
    threads = {}
    for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
        name = (task / "comm").read_text().strip()
        threads[name] = threads.get(name, 0) + int((task / "schedstat").read_text().split()[0])
    return threads


class Way:
    """One way to the upstream: a port, the process that stands there, and what was seen."""

    def __init__(self, port, pid=None):
        self.port, self.pid = port, pid
        self.seen = {}
        self.threads = {}
        self.count = 0

    def add(self, what, value):
        self.seen.setdefault(what, []).append(value)

    @contextlib.contextmanager
    def cpu(self, count):
        """Adds the CPU time that one of `count()` costs, in microseconds."""
        before = cpu_ns(self.pid)
        yield
        after, of = cpu_ns(self.pid), count() * 1000
        used = {name: (ns - before.get(name, 0)) / of for name, ns in after.items()}
        self.add("cpu", sum(used.values()))
        used = {name: round(us, 1) for name, us in used.items()}
        self.threads = {name: us for name, us in used.items() if us > 0}


class Lone:
    """A kept connection that has one request at a time."""

    def __init__(self, name, port, request):
        self.name, self.request = name, request
        self.sock = socket.create_connection(("127.0.0.1", port))
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def ask(self):
        """Milliseconds from the request to the first byte of its answer, which is read to its end."""
        began = time.perf_counter_ns()
        self.sock.sendall(self.request)
        data = self.sock.recv(65536)
        took = time.perf_counter_ns() - began
        if not data.startswith(b"HTTP/1.1 200"):
            sys.exit(f"online: {self.name} does not answer 200: {data[:300]!r}")
        while (end := data.find(b"\r\n\r\n")) < 0:
            data += self.more()
        size = int(re.search(rb"(?i)content-length: (\d+)", data[:end])[1])
        while len(data) < end + 4 + size:
            data += self.more()
        return took / 1e6

    def more(self):
        data = self.sock.recv(65536)
        if not data:
            sys.exit(f"online: {self.name} ends the connection within an answer")
        return data


def in_turns(connections, count):
    """Milliseconds of so many requests on each, in order. Requests take turns, so that whatever else the machine does
    meets all connections alike."""
    took = {name: [] for name in connections}
    gc.disable()
    for _ in range(count):
        for name, connection in connections.items():
            took[name].append(connection.ask())
    gc.enable()
    for connection in connections.values():
        connection.sock.close()
    return {name: sorted(times) for name, times in took.items()}


def at_share(ordered, share):
    return ordered[math.ceil(len(ordered) * share) - 1]


class Streams:
    """Connections on which streamed answers come in."""

    def __init__(self, name, port, request, events):
        self.name, self.port, self.request, self.events = name, port, request, events
        self.epoll = select.epoll()
        self.open = {}  # by file descriptor: the connection, and its events so far; None: no answer yet
        self.total = self.reads = 0

    def fail(self, what):
        sys.exit(f"streams: {self.name} {what}")

    def begin(self):
        """Opens all, so that their events come evenly within the time from event to event."""
        began = time.monotonic()
        for n in range(STREAMS):
            # 21 and STREAMS have no divisor in common
            self.take(began + n * 21 / STREAMS * EVENT_S)
            sock = socket.create_connection(("127.0.0.1", self.port))
            sock.sendall(self.request)
            self.open[sock.fileno()] = [sock, None]
            self.epoll.register(sock, select.EPOLLIN)
        self.take(began + OPENING_S)
        if not all(seen for _, seen in self.open.values()):
            self.fail(f"has streams without an event after {OPENING_S} s")

    def take(self, until):
        """Reads what comes until then."""
        while (left := until - time.monotonic()) > 0:
            for fd, _ in self.epoll.poll(left):
                self.read(fd)

    def read(self, fd):
        stream = self.open[fd]
        data = stream[0].recv(65536)
        if stream[1] is None:
            if not data.startswith(b"HTTP/1.1 200"):
                self.fail(f"does not answer 200: {data[:300]!r}")
            stream[1] = 0
        new = data.count(b"~")  # one an event: bench/upstream.c
        stream[1] += new
        self.total += new
        self.reads += 1
        if stream[1] == self.events:
            self.epoll.unregister(fd)
            stream[0].close()
            del self.open[fd]
        elif not data:
            self.fail(f"ends a stream after {stream[1]} of {self.events} events")

    def end(self, timeout_s):
        """Reads the rest, which has to be all."""
        end = time.monotonic() + timeout_s
        while self.open and time.monotonic() < end:
            self.take(time.monotonic() + EVENT_S)
        if self.total != STREAMS * self.events:
            self.fail(f"has passed {self.total} of {STREAMS * self.events} events on")


class Online:
    def __init__(self, bench, tools):
        self.bench, self.tools = bench, tools
        self.rounds = bench.options.rounds
        self.directory = bench.work / "online"

    def request(self, stream=False):
        body = self.tools.body_text()
        if stream:
            body = body[:-1] + ',"stream":true}'
        head = "POST /v1/chat/completions HTTP/1.1\r\nHost: bench\r\n"
        head += f"Authorization: Bearer {self.bench.key}\r\nContent-Type: application/json\r\n"
        return f"{head}Content-Length: {len(body)}\r\n\r\n{body}".encode()

    @contextlib.contextmanager
    def ways(self, upstream, buffering):
        """nginx and lowtide in front of the upstream, by name."""
        shutil.rmtree(self.directory, ignore_errors=True)
        self.directory.mkdir(parents=True)
        port = self.tools.free_port()
        values = {"directory": self.directory, "upstream": upstream.port, "port": port}
        values |= {"user": tls.user_line(), "buffering": buffering}
        (self.directory / "nginx.conf").write_text(CONFIGURATION.format(**values))
        command = [tls.NGINX, "-c", self.directory / "nginx.conf", "-p", self.directory]
        nginx = self.tools.start([*command, "-e", "stderr"])
        try:
            tls.await_port(nginx, port)
            with self.bench.server(upstream) as server:
                yield {"nginx": Way(port, nginx.pid), "lowtide": Way(server.port, server.process.pid)}
        finally:
            nginx.terminate()
            nginx.wait()

    def figure(self, name, values, unit, wanted=None, **more):
        rounds = self.tools.rounded(values)
        self.tools.figure(name, statistics.median(values), unit, wanted, rounds=rounds, **more)

    def requests(self):
        with self.ways(self.bench.upstream, "on") as ways:
            straight = {"straight": Way(self.bench.upstream.port)}
            for n in range(self.rounds):
                for name, way in (straight | ways).items():
                    self.tools.say(f"online, round {n + 1}: wrk, {name}")
                    self.busy(way)
            self.busy_figures(straight["straight"], **ways)
            for n in range(self.rounds):
                self.tools.say(f"online, round {n + 1}: {LONE:,} requests, one at a time")
                self.lone(straight | ways)
        for name, way in ways.items():
            mine = name == "lowtide"
            for what, most in (("p50", 0.15), ("p99", 0.5)):
                wanted = ("<=", most) if mine else None
                self.figure(f"online.lone_added_{what}, {name}", way.seen[what], "ms", wanted)

    def busy(self, way):
        def run():
            rate, way.count = self.tools.wrk(self.bench.options, way.port)
            way.add("rate", rate)

        if way.pid is None:
            run()
            return
        with way.cpu(lambda: way.count):
            run()

    def busy_figures(self, straight, nginx, lowtide):
        self.figure("online.wrk", straight.seen["rate"], "requests/s")
        self.figure("online.rate, nginx", nginx.seen["rate"], "requests/s")
        self.figure("online.rate, lowtide", lowtide.seen["rate"], "requests/s")
        pairs = zip(lowtide.seen["rate"], nginx.seen["rate"], strict=True)
        self.figure("online.of_nginx", [rate / of for rate, of in pairs], "", (">=", 0.7))
        self.figure("online.cpu_per_request, nginx", nginx.seen["cpu"], "us")
        self.figure(
            "online.cpu_per_request, lowtide", lowtide.seen["cpu"], "us", ("<=", 25),
            threads=lowtide.threads,
        )  # fmt: skip

    def lone(self, ways):
        took = in_turns({name: Lone(name, way.port, self.request()) for name, way in ways.items()}, LONE)
        for name, way in ways.items():
            for what, share in PERCENTILES.items():
                way.add(what, at_share(took[name], share) - at_share(took["straight"], share))

    def streams(self):
        seconds = self.bench.options.wrk_seconds
        events = EVENTS_PER_S * (seconds + 2 * OPENING_S)
        upstream = self.tools.Upstream(
            self.bench.options.upstream, f"--events={events}", f"--event-us={EVENT_S * 1e6:.0f}"
        )
        with self.ways(upstream, "off") as ways:
            for n in range(self.rounds):
                for name, way in ways.items():
                    self.tools.say(f"streams, round {n + 1}: {STREAMS} through {name}")
                    request = self.request(stream=True)
                    self.stream(way, Streams(name, way.port, request, events), seconds)
        nginx, lowtide = ways["nginx"], ways["lowtide"]
        for name, way in ways.items():
            self.figure(f"streams.rate, {name}", way.seen["rate"], "events/s")
            self.figure(
                f"streams.cpu_per_event, {name}", way.seen["cpu"], "us",
                reads=self.tools.rounded(way.seen["reads"]), threads=way.threads,
            )  # fmt: skip
        pairs = zip(lowtide.seen["cpu"], nginx.seen["cpu"], strict=True)
        self.figure("streams.of_nginx", [us / of for us, of in pairs], "", ("<=", 1.1))

    def stream(self, way, streams, seconds):
        """Measures while all streams are open."""
        streams.begin()
        before, reads, began = streams.total, streams.reads, time.monotonic()
        with way.cpu(lambda: streams.total - before):
            streams.take(began + seconds)
            took = time.monotonic() - began
        events = streams.total - before
        way.add("rate", events / took)
        way.add("reads", (streams.reads - reads) / events)  # of an event; less: events came together
        streams.end(timeout_s=30)
        rate, asked = events / took, STREAMS * EVENTS_PER_S
        if rate < LATE * asked:
            streams.fail(f"brought {rate:,.0f} of {asked:,} events/s: something else needs the machine")
