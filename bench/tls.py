"""Upstreams behind https: the part `tls` of bench.py. Needs nginx and openssl.

nginx stands in front of bench/upstream.c with one port for each way to speak to it, plain HTTP
among them, so that what differs is lowtide's side of TLS alone. The upstream's certificate has a
chain as public ones do (root, intermediate, leaf), and its root is known to lowtide either by
`tls.ca_file` or, as most users have it, as one of the machine's CA certificates.
"""

import contextlib
import getpass
import os
import pathlib
import shutil
import socket
import statistics
import subprocess
import time

NGINX = shutil.which("nginx") or "/usr/sbin/nginx"
MACHINE = pathlib.Path("/etc/ssl/certs/ca-certificates.crt")
LINES = 60_000
LINES_OF_CONNECTIONS = 4_000  # each on a connection of its own
CONNECTIONS = 256
LATENCY_US = 200_000  # of an answer, where so many connections are wanted at once

# name, lines for `listen`, lines for the server
WAYS = {
    "plain": ("", ""),
    "plain, once": ("", "keepalive_requests 1;"),
    "HTTP/1.1": (" ssl", ""),
    "HTTP/1.1, once": (" ssl", "keepalive_requests 1;"),
    "HTTP/2": (" ssl http2", ""),
}

CONFIGURATION = """\
{user}worker_processes 1;
daemon off;
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
    ssl_certificate {directory}/chain.pem;
    ssl_certificate_key {directory}/leaf.key;
    ssl_protocols TLSv1.2 TLSv1.3;
    keepalive_requests 100000000;
    upstream bench {{ server 127.0.0.1:{upstream}; keepalive 512; keepalive_requests 100000000; }}
    {servers}
}}
"""

SERVER = """
    server {{
        listen 127.0.0.1:{port}{listen};
        {more}
        location / {{
            proxy_pass http://bench;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
        }}
    }}
"""


class At:
    """An upstream as Server takes one."""

    def __init__(self, url):
        self.url = url


def openssl(*words):
    subprocess.run(["openssl", *map(str, words)], check=True, capture_output=True)


def chain_make(directory):
    """root.pem, and chain.pem with leaf.key: the leaf's certificate and its signer's."""
    days = ("-days", "30")

    def request(name, key):
        how = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")
        return ("req", *how, "-subj", f"/CN={name}", "-keyout", directory / key)

    def signed(name, by, extension):
        (directory / f"{name}.ext").write_text(extension)
        openssl(*request(f"bench {name}", f"{name}.key"), "-out", directory / f"{name}.csr")
        openssl(
            "x509", "-req", "-in", directory / f"{name}.csr", "-CA", directory / f"{by}.pem",
            "-CAkey", directory / f"{by}.key", "-CAcreateserial", *days,
            "-extfile", directory / f"{name}.ext", "-out", directory / f"{name}.pem",
        )  # fmt: skip

    openssl(*request("bench root", "root.key"), "-x509", *days, "-out", directory / "root.pem")
    signed("middle", "root", "basicConstraints=critical,CA:TRUE\nkeyUsage=keyCertSign\n")
    signed("leaf", "middle", "subjectAltName=IP:127.0.0.1\n")
    chain = (directory / "leaf.pem").read_text() + (directory / "middle.pem").read_text()
    (directory / "chain.pem").write_text(chain)


def user_line():
    """For root's nginx: a worker of another user could not write into the bench's directories."""
    return f"user {getpass.getuser()};\n" if os.getuid() == 0 else ""


@contextlib.contextmanager
def fronts(start, directory, upstream):
    """nginx in front of the upstream: {way: the upstream through it}."""
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)
    chain_make(directory)
    probes = {way: socket.create_server(("127.0.0.1", 0)) for way in WAYS}
    ports = {way: probe.getsockname()[1] for way, probe in probes.items()}
    for probe in probes.values():
        probe.close()
    servers = (
        SERVER.format(port=ports[way], listen=listen, more=more)
        for way, (listen, more) in WAYS.items()
    )
    values = {"user": user_line(), "directory": directory, "upstream": upstream.port}
    text = CONFIGURATION.format(servers="".join(servers), **values)
    (directory / "nginx.conf").write_text(text)
    nginx = start([NGINX, "-c", directory / "nginx.conf", "-p", directory, "-e", "stderr"])
    try:
        for way in WAYS:
            await_port(nginx, ports[way])
        scheme = {way: "https" if "ssl" in WAYS[way][0] else "http" for way in WAYS}
        yield {way: At(f"{scheme[way]}://127.0.0.1:{ports[way]}/v1") for way in WAYS}
    finally:
        nginx.terminate()
        nginx.wait()


def await_port(nginx, port):
    end = time.monotonic() + 30
    while True:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
            return
        except OSError:
            if nginx.poll() is not None or time.monotonic() > end:
                raise
            time.sleep(0.02)


@contextlib.contextmanager
def known_to_the_machine(directory):
    """The root is one of the machine's CA certificates."""
    bundle = directory / "machine.pem"
    bundle.write_bytes(MACHINE.read_bytes() + (directory / "root.pem").read_bytes())
    os.environ["SSL_CERT_FILE"] = str(bundle)
    try:
        yield
    finally:
        del os.environ["SSL_CERT_FILE"]


def cpu_us(one):
    return one["user_us"] + one["system_us"]


class Tls:
    def __init__(self, bench, tools):
        self.bench, self.tools = bench, tools
        self.directory = bench.work / "tls"

    def measure(self):
        with fronts(self.tools.start, self.directory, self.bench.upstream) as ways:
            with known_to_the_machine(self.directory):
                self.lines(ways)
            self.connections(ways)
        slow = self.tools.Upstream(self.bench.options.upstream, "-l", str(LATENCY_US))
        with fronts(self.tools.start, self.directory, slow) as ways:
            self.memory(ways)

    def round(self, upstream, lines, **settings):
        path = self.bench.input(lines)
        return self.bench.dispatch_round(path, lines, upstream=upstream, **settings)

    def lines(self, ways):
        """CPU a line on connections that are kept."""
        seen = {"plain": [], "HTTP/1.1": [], "HTTP/2": []}
        for n in range(self.bench.options.rounds):
            for way, rounds in seen.items():
                self.tools.say(f"tls, round {n + 1}: a batch of {LINES:,} lines by {way}")
                rounds.append(self.round(ways[way], LINES))
        cpu = {way: [cpu_us(one) for one in rounds] for way, rounds in seen.items()}
        for way, rounds in seen.items():
            self.tools.figure(
                f"tls.cpu_per_line, {way}", statistics.median(cpu[way]), "us",
                rounds=self.tools.rounded(cpu[way]), threads=rounds[-1]["threads"],
                rate=round(statistics.median(one["rate"] for one in rounds)),
            )  # fmt: skip
        for way, most in (("HTTP/1.1", 1.25), ("HTTP/2", 1.4)):
            shares = [us / of for us, of in zip(cpu[way], cpu["plain"], strict=True)]
            self.tools.figure(
                f"tls.of_plain, {way}", statistics.median(shares), "", ("<=", most),
                rounds=self.tools.rounded(shares),
            )  # fmt: skip

    def connections(self, ways):
        """What a new connection costs: lines that have one each, and those that have not."""
        lines = LINES_OF_CONNECTIONS
        own = {"tls.ca_file": self.directory / "root.pem"}
        seen = {"plain": [], "own CA": [], "the machine's CAs": []}

        def cost(way, **settings):
            once = cpu_us(self.round(ways[f"{way}, once"], lines, **settings))
            return (once - cpu_us(self.round(ways[way], lines, **settings))) / 1000

        for n in range(self.bench.options.rounds):
            self.tools.say(f"tls, round {n + 1}: {lines:,} lines on as many connections")
            seen["plain"].append(cost("plain"))
            seen["own CA"].append(cost("HTTP/1.1", **own))
            with known_to_the_machine(self.directory):
                seen["the machine's CAs"].append(cost("HTTP/1.1"))
        for name, ms in seen.items():
            wanted = None if name == "plain" else ("<=", 1.5)
            self.tools.figure(
                f"tls.connection, {name}", statistics.median(ms), "ms", wanted,
                rounds=self.tools.rounded(ms),
            )  # fmt: skip

    def memory(self, ways):
        """Peak resident memory with so many connections."""
        lines = 20 * CONNECTIONS
        settings = {"execution.concurrency": CONNECTIONS}
        own = {"tls.ca_file": self.directory / "root.pem"}
        self.tools.say(f"tls: memory at {CONNECTIONS} connections")
        seen = {"plain": self.round(ways["plain"], lines, **settings)}
        seen["HTTP/1.1, own CA"] = self.round(ways["HTTP/1.1"], lines, **settings, **own)
        with known_to_the_machine(self.directory):
            for way in ("HTTP/1.1", "HTTP/2"):
                name = f"{way}, the machine's CAs"
                seen[name] = self.round(ways[way], lines, **settings)
        for name, one in seen.items():
            wanted = None if name == "plain" else ("<=", 40)
            self.tools.figure(f"tls.memory, {name}", one["peak_mib"], "MiB", wanted, of=CONNECTIONS)
