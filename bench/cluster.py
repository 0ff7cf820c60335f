#!/usr/bin/env python3
"""Measures nodes that share PostgreSQL and an S3 store, all on this machine: `make bench-cluster`.

Beside them one server on SQLite and a directory, in the same rounds. scripts/bench-cluster.sh has the two
servers up and says where: LOWTIDE_TEST_POSTGRES, LOWTIDE_TEST_S3. PostgreSQL syncs here, as it would in
earnest. Prints one JSON object a figure, and a table at the end; both stay in build/bench/cluster.txt.

    --only reference   one server on SQLite, one node: lines/s, CPU of a line
    --only calls       one node: transactions and calls a group of lines
    --only three       three nodes, each with a model server
    --only memory      the peak of a node, with a large batch
    --only kill        kill -9 of one of three: seconds until its lines go on, lines sent again
"""

import argparse
import collections
import contextlib
import itertools
import json
import os
import pathlib
import re
import shutil
import signal
import statistics
import subprocess
import sys
import time

import bench

ROOT = bench.ROOT
IN_FLIGHT = bench.IN_FLIGHT
NODES = 3
SETTLE_S = 11  # after which a connection that has nothing to do tells what it did (10 s)
TAKEN_OVER_S = 60


class Store:
    """The two servers; a schema and a prefix of their own for each cluster."""

    def __init__(self):
        self.where = os.environ["LOWTIDE_TEST_POSTGRES"]
        self.endpoint, access, secret, self.bucket = os.environ["LOWTIDE_TEST_S3"].split()
        os.environ |= {"AWS_ACCESS_KEY_ID": access, "AWS_SECRET_ACCESS_KEY": secret}
        self.kind = "versitygw" if os.environ.get("LOWTIDE_VERSITYGW") else "moto"
        self.numbers = itertools.count(1)
        self.query("ALTER SYSTEM SET fsync = on")  # with-postgres.sh is for tests
        self.query("SELECT pg_reload_conf()")

    def query(self, sql):
        done = subprocess.run(["psql", "-XAtq", "-F", "\t", "-d", self.where, "-c", sql],
                              check=True, capture_output=True, text=True)  # fmt: skip
        return [line.split("\t") for line in done.stdout.splitlines()]

    def transactions(self):
        time.sleep(SETTLE_S)
        return int(self.query("SELECT sum(xact_commit) FROM pg_stat_database")[0][0])

    def cluster(self, endpoint=None):
        """The settings of the nodes of a new one, and its schema."""
        name = f"bench_{next(self.numbers)}"
        self.query(f"CREATE SCHEMA {name}")
        return {
            "store": f"{self.where} options=-csearch_path={name}",
            "blobs.url": f"s3://{self.bucket}/{name}",
            "blobs.endpoint": endpoint or self.endpoint,
        }, name


class CountingNginx:
    """Stands between a node and the S3 store and keeps a line of each call."""

    def __init__(self, directory, endpoint):
        self.port, self.log = bench.free_port(), directory / "calls.log"
        self.url = f"http://127.0.0.1:{self.port}"
        user = "user root;" if os.geteuid() == 0 else ""
        config = directory / "nginx.conf"
        config.write_text(f"""
            {user} daemon off; master_process off; pid {directory}/nginx.pid;
            error_log {directory}/nginx.log;
            events {{}}
            http {{
                log_format call "$request_method $request_uri $status $request_length";
                access_log {self.log} call;
                client_body_temp_path {directory}/nginx-body; proxy_temp_path {directory}/nginx-proxy;
                upstream store {{ server {endpoint.removeprefix("http://")}; keepalive 32; }}
                server {{
                    listen 127.0.0.1:{self.port};
                    client_max_body_size 0;
                    location / {{
                        proxy_pass http://store;
                        proxy_http_version 1.1;
                        proxy_set_header Connection "";
                        proxy_set_header Host $http_host;
                        proxy_request_buffering off; proxy_buffering off;
                    }}
                }}
            }}
        """)
        program = shutil.which("nginx", path=os.environ["PATH"] + ":/usr/sbin")
        self.process = bench.start([program, "-e", directory / "nginx.log", "-c", config])
        while not self.log.exists():
            time.sleep(0.01)

    def calls(self, skip=0):
        """(method, folder of the name) of each, as text, with how many there were."""
        kinds = collections.Counter()
        for line in self.log.read_text().splitlines()[skip:]:
            method, uri, *_ = line.split()
            path = uri.partition("?")[0]
            name = re.search(r"/bench_\d+/(chunks|files/part-|files|lost)?", path)
            kinds[f"{method} {(name and name[1]) or 'list'}"] += 1
        return kinds

    def lines(self):
        return len(self.log.read_text().splitlines())


class Cluster:
    """Nodes, each with a data directory of its own, that share a store and some upstreams."""

    def __init__(self, options, store, count, upstreams, in_flight=IN_FLIGHT, endpoint=None):
        self.store, self.upstreams = store, upstreams
        self.settings, self.schema = store.cluster(endpoint)
        self.directory = options.work / "cluster"
        shutil.rmtree(self.directory, ignore_errors=True)
        self.directory.mkdir()
        config = self.directory / "upstreams.yaml"
        one = "  - name: bench-{}\n    url: {}\n    models: [bench]\n"
        config.write_text("upstreams:\n" + "".join(one.format(n, up.url) for n, up in enumerate(upstreams)))
        self.settings["execution.concurrency"] = -(-in_flight // len(upstreams))
        os.sync()
        self.nodes = [self.node(options, n, config) for n in range(count)]

    def node(self, options, n, config):
        directory = self.directory / f"node-{n}"
        directory.mkdir()
        made = bench.Server(options.lowtide, directory, self.upstreams[0], settings=self.settings)
        at = made.command.index("--upstream")
        made.command[at : at + 2] = ["--config", config]
        made.start()
        return made

    def driven(self):
        """upstream's number -> the address of the node that sends to it."""
        rows = self.store.query(
            f"SET search_path = {self.schema}; SELECT u.upstream, n.address FROM upstream_leases AS u "
            "JOIN nodes AS n ON n.id = u.node AND n.epoch = u.node_epoch"
        )
        return {int(re.search(r"bench-(\d+)", name)[1]): address for name, address in rows}

    def of_node(self, n):
        return [up for up, address in self.driven().items() if address.endswith(f":{self.nodes[n].port}")]

    def wait_even(self):
        """Each node drives an upstream, if there are as many."""
        end = time.monotonic() + TAKEN_OVER_S
        while len(set(self.driven().values())) < min(len(self.nodes), len(self.upstreams)):
            if time.monotonic() > end:
                sys.exit(f"upstreams are not spread: {self.driven()}; {self.directory}")
            time.sleep(0.1)

    def stop(self):
        for one in self.nodes:
            if one.process.poll() is None:
                one.kill()


class Bench:
    def __init__(self, options):
        self.options = options
        self.work = options.work
        self.work.mkdir(parents=True, exist_ok=True)
        self.store = Store()
        self.upstreams = [bench.Upstream(options.upstream) for _ in range(NODES)]
        bench.say(f"PostgreSQL with fsync, S3 is {self.store.kind}; {os.cpu_count()} cores for all of it")
        if self.store.kind == "moto":
            bench.say("moto is Python, and slow: lines/s are its own here; LOWTIDE_VERSITYGW names another")

    def input(self, lines):
        path = self.work / f"in-{lines}.jsonl"
        bench.input_make(path, lines, bench.BODY_BYTES)
        return path

    @contextlib.contextmanager
    def cluster(self, count, upstreams, **more):
        made = Cluster(self.options, self.store, count, upstreams, **more)
        try:
            made.wait_even()
            yield made
        finally:
            made.stop()

    @contextlib.contextmanager
    def alone(self):
        """On SQLite and a directory."""
        directory = self.work / "server"
        shutil.rmtree(directory, ignore_errors=True)
        directory.mkdir()
        os.sync()
        server = bench.Server(self.options.lowtide, directory, self.upstreams[0])
        server.start()
        try:
            yield server
        finally:
            server.kill()
            shutil.rmtree(server.data, ignore_errors=True)

    def batch(self, servers, lines):
        """One batch, made through the first: lines/s, CPU of a line on all of them, seconds to its end."""
        file_id, _ = servers[0].upload(self.input(lines))
        before = [bench.Cpu(one.process.pid) for one in servers]
        began = time.monotonic()
        batch_id = servers[0].batch_create(file_id)
        last = servers[-1]
        _, ended = last.batch_wait(batch_id, lambda batch: bench.done(batch) == lines)
        _, ready = last.batch_wait(batch_id, lambda batch: batch["status"] == "completed")
        after = [bench.Cpu(one.process.pid) for one in servers]
        used = sum(b.user + b.system - a.user - a.system for a, b in zip(before, after, strict=True))
        return {
            "rate": lines / (ended - began), "cpu_us": used / lines * 1e6, "finalize_s": ready - ended,
            "peak_mib": max(one.peak_mib() for one in servers),
        }  # fmt: skip

    def figures(self, name, rounds, **more):
        for part, unit in (("rate", "lines/s"), ("cpu_us", "us a line"), ("finalize_s", "s")):
            values = [one[part] for one in rounds]
            bench.figure(f"{name}.{part.partition('_')[0]}", statistics.median(values), unit,
                         rounds=bench.rounded(values), **more)  # fmt: skip

    # ---- measurements ----

    def reference(self):
        alone, one = [], []
        for n in range(self.options.rounds):
            bench.say(f"reference, round {n + 1}: {self.options.lines:,} lines on SQLite, then on one node")
            with self.alone() as server:
                alone.append(self.batch([server], self.options.lines))
            with self.cluster(1, self.upstreams[:1]) as made:
                one.append(self.batch(made.nodes, self.options.lines))
        self.figures("sqlite", alone)
        self.figures("one_node", one, s3=self.store.kind)
        shares = [a["rate"] / b["rate"] for a, b in zip(one, alone, strict=True)]
        bench.figure("one_node.of_sqlite", statistics.median(shares), "", rounds=bench.rounded(shares))

    def calls(self):
        """In a run of its own: nginx, which counts, takes its part of the cores."""
        lines = self.options.lines
        bench.say(f"calls: {lines:,} lines on one node, nginx counts what it asks of S3")
        directory = self.work / "calls"
        shutil.rmtree(directory, ignore_errors=True)
        directory.mkdir()
        nginx = CountingNginx(directory, self.store.endpoint)
        with self.cluster(1, self.upstreams[:1], endpoint=nginx.url) as made:
            idle = -self.store.transactions()
            idle_began = time.monotonic()
            time.sleep(20)
            idle = (idle + self.store.transactions()) / (time.monotonic() - idle_began)
            file_id, _ = made.nodes[0].upload(self.input(lines))
            before = self.store.transactions()
            skip, began = nginx.lines(), time.monotonic()
            batch_id = made.nodes[0].batch_create(file_id)
            # polls of ours are transactions, too: few of them
            while made.nodes[0].call("GET", f"/v1/batches/{batch_id}")["status"] != "completed":
                time.sleep(1)
            took, kinds = time.monotonic() - began, nginx.calls(skip)
            used = self.store.transactions() - before - idle * SETTLE_S
        groups = max(kinds["PUT chunks"], 1)
        bench.figure("calls.groups", groups, "groups", lines_a_group=round(lines / groups))
        bench.figure("calls.transactions", used / groups, "a group", whole=round(used), seconds=round(took, 1))
        bench.figure("calls.transactions_idle", idle, "a second")
        bench.figure("calls.s3", sum(kinds.values()) / groups, "a group", kinds=dict(kinds.most_common()))
        bench.figure("calls.s3_of_1000_lines", sum(kinds.values()) / lines * 1000, "calls")

    def three(self):
        rounds = []
        for n in range(self.options.rounds):
            bench.say(f"three, round {n + 1}: {self.options.lines:,} lines on {NODES} nodes")
            with self.cluster(NODES, self.upstreams) as made:
                rounds.append(self.batch(made.nodes, self.options.lines))
        self.figures("three_nodes", rounds, s3=self.store.kind)

    def memory(self):
        lines = self.options.memory_lines
        bench.say(f"memory: {lines:,} lines on one node")
        with self.cluster(1, self.upstreams[:1]) as made:
            peak = self.batch(made.nodes, lines)["peak_mib"]
        bench.figure("memory.one_node", peak, "MiB", lines=lines)

    def kill(self):
        """Answers take a while, so that much is in flight and the batch outlives the lease."""
        lines, latency_us = self.options.kill_lines, self.options.kill_latency_us
        slow = [bench.Upstream(self.options.upstream, "-l", str(latency_us)) for _ in range(NODES)]
        bench.say(f"kill: {lines:,} lines on {NODES} nodes, answers after {latency_us / 1000:g} ms")
        with self.cluster(NODES, slow) as made:
            first, last = made.nodes[0], made.nodes[-1]
            batch_id = first.batch_create(first.upload(self.input(lines))[0])
            first.batch_wait(batch_id, lambda batch: bench.done(batch) >= lines // 5)
            its = [slow[up] for up in made.of_node(1)]
            made.nodes[1].kill()
            killed = time.monotonic()
            time.sleep(2 * latency_us / 1e6)  # what it had sent arrives
            before = sum(up.requests() for up in its)
            while sum(up.requests() for up in its) == before:
                if time.monotonic() > killed + TAKEN_OVER_S:
                    sys.exit(f"nobody sends to what the node drove, after {TAKEN_OVER_S} s")
                time.sleep(0.05)
            bench.figure("kill.goes_on", time.monotonic() - killed, "s", ("<=", 20), upstreams=len(its))
            at_resume = bench.done(last.call("GET", f"/v1/batches/{batch_id}"))
            batch, _ = last.batch_wait(batch_id, lambda batch: batch["status"] == "completed")
            again = sum(up.requests() for up in slow) - lines
            bench.figure("kill.sent_again", again, "lines", ("<=", 3 * IN_FLIGHT), at_resume=at_resume)
            wrong = bench.Bench.output_wrong(self, last, batch, lines)
            bench.figure("kill.lines_wrong", wrong, "lines", ("<=", 0))


def main():
    parser = argparse.ArgumentParser(prog="bench/cluster.py", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)  # fmt: skip
    parts = "reference,calls,three,memory,kill"
    parser.add_argument("--only", default=parts, help=f"comma-separated: {parts}")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--lines", type=int, default=300_000)
    parser.add_argument("--memory-lines", type=int, default=1_000_000)
    parser.add_argument("--kill-lines", type=int, default=200_000)
    parser.add_argument("--kill-latency-us", type=int, default=20_000)
    parser.add_argument("--work", type=pathlib.Path, default=ROOT / "build/bench/work")
    parser.add_argument("--lowtide", type=pathlib.Path, default=ROOT / "build/lowtide")
    upstream = ROOT / "build/bench/bench-upstream"
    parser.add_argument("--upstream", type=pathlib.Path, default=upstream)
    options = parser.parse_args()
    for name, what in (("LOWTIDE_TEST_POSTGRES", "PostgreSQL"), ("LOWTIDE_TEST_S3", "S3 store")):
        if name not in os.environ:
            sys.exit(f"bench-cluster: no {what}: {name} is not set; scripts/bench-cluster.sh starts one")

    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    measured = Bench(options)
    load = os.getloadavg()[0]
    if load > 0.5:
        bench.say(f"the machine is busy, load {load:.1f}: figures are not worth much")
    for name in options.only.split(","):
        getattr(measured, name)()
    text = "\n".join(bench.table())
    print(text)
    with open(options.work.parent / "cluster.txt", "w") as out:
        out.writelines(json.dumps(one) + "\n" for one in bench.figures)
        out.write(f"PostgreSQL with fsync, S3: {measured.store.kind}, load at the start {load:.1f}\n{text}\n")


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(130)
