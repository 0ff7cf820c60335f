#!/usr/bin/env python3
"""Measures nodes that share PostgreSQL and an S3 store, all on this machine: `make bench-cluster`.

Beside them one server on SQLite and a directory, in the same rounds. scripts/with-cluster.sh has the two
servers up and says where: LOWTIDE_TEST_POSTGRES, LOWTIDE_TEST_S3. PostgreSQL syncs here, as it would in
earnest. Prints one JSON object a figure, and a table at the end; both stay in build/bench/cluster.txt.

    --only reference   one server on SQLite, one node: lines/s, CPU of a line
    --only calls       one node: transactions and calls a group of lines
    --only three       three nodes against one, in the same rounds, with the same three model servers
    --only spread      three nodes, model servers that are equally fast: how evenly lines come to these
    --only online      online requests through a node that has a batch: alone, and with two others (cluster_online.py)
    --only memory      the peak of a node, with a large batch
    --only kill        kill -9 of one of three: seconds until its lines go on, lines sent again

What the scheduler promises is measured through nodes by `make bench-scheduling ARGS=--nodes`.

Nodes, PostgreSQL, the store, model servers and this client share the machine's cores. So `three` tells of nodes only
where there are cores for all of it; on two it tells what the second and third cost.
"""

import argparse
import contextlib
import os
import shutil
import signal
import statistics
import sys
import time

import bench
import cluster_online
from cluster_place import TAKEN_OVER_S, Cluster, CountingNginx
from cluster_store import SETTLE_S, Store, needed

IN_FLIGHT = bench.IN_FLIGHT
NODES = 3


class Bench(bench.Bench):
    def __init__(self, options):
        super().__init__(options)
        self.store = Store()
        self.upstreams = [self.upstream, *(self.upstream_make() for _ in range(NODES - 1))]
        bench.say(f"PostgreSQL with fsync, S3 is {self.store.kind}; {os.cpu_count()} cores for all of it")
        if self.store.kind == "moto":
            bench.say("moto is Python, and slow: lines/s are its own here; LOWTIDE_VERSITYGW names another")

    @contextlib.contextmanager
    def cluster(self, count, upstreams, **more):
        made = Cluster(self.options, self.store, count, upstreams, **more)
        try:
            made.wait_even()
            yield made
        finally:
            made.stop()

    def batch(self, servers, lines):
        """One batch, made through the first: lines/s, CPU of a line on all of them, seconds to its end."""
        file_id, _ = servers[0].upload(self.input(lines))
        before = [bench.Cpu(one.process.pid) for one in servers]
        began = time.monotonic()
        batch_id = servers[0].batch_create(file_id)
        last, timeout_s = servers[-1], max(600, lines / 1000)
        _, ended = last.batch_wait(batch_id, lambda batch: bench.done(batch) == lines, timeout_s)
        _, ready = last.batch_wait(batch_id, lambda batch: batch["status"] == "completed", timeout_s)
        after = [bench.Cpu(one.process.pid) for one in servers]
        used = sum(b.user + b.system - a.user - a.system for a, b in zip(before, after, strict=True))
        return {
            "rate": lines / (ended - began), "cpu_us": used / lines * 1e6, "finalize_s": ready - ended,
            "peak_mib": max(one.peak_mib() for one in servers),
        }  # fmt: skip

    def figures(self, name, rounds, wanted=None, **more):
        for part, unit in (("rate", "lines/s"), ("cpu_us", "us a line"), ("finalize_s", "s")):
            values = [one[part] for one in rounds]
            bench.figure(f"{name}.{part.partition('_')[0]}", statistics.median(values), unit,
                         (wanted or {}).get(part), rounds=bench.rounded(values), **more)  # fmt: skip

    def shares(self, name, rounds, of, wanted=None):
        shares = [a["rate"] / b["rate"] for a, b in zip(rounds, of, strict=True)]
        bench.figure(name, statistics.median(shares), "", wanted, rounds=bench.rounded(shares))

    # ---- measurements ----

    def reference(self):
        alone, one = [], []
        for n in range(self.options.rounds):
            bench.say(f"reference, round {n + 1}: {self.options.lines:,} lines on SQLite, then on one node")
            with self.server() as server:
                alone.append(self.batch([server], self.options.lines))
            with self.cluster(1, self.upstreams[:1]) as made:
                one.append(self.batch(made.nodes, self.options.lines))
        self.figures("sqlite", alone)
        wanted = {"rate": (">=", 7000), "cpu_us": ("<=", 60)}
        self.figures("one_node", one, wanted, s3=self.store.kind)
        self.shares("one_node.of_sqlite", one, alone)

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
        bench.figure("calls.transactions", used / groups, "a group", ("<=", 3),
                     whole=round(used), seconds=round(took, 1))  # fmt: skip
        bench.figure("calls.transactions_idle", idle, "a second")
        bench.figure("calls.s3", sum(kinds.values()) / groups, "a group", ("<=", 3),
                     kinds=dict(kinds.most_common()))  # fmt: skip
        bench.figure("calls.s3_of_1000_lines", sum(kinds.values()) / lines * 1000, "calls")

    def three(self):
        """Both have all model servers and as much in flight: only the number of nodes differs."""
        one, three = [], []
        for n in range(self.options.rounds):
            for count, rounds in ((1, one), (NODES, three)):
                bench.say(f"three, round {n + 1}: {self.options.lines:,} lines on {count} of {NODES} nodes")
                with self.cluster(count, self.upstreams) as made:
                    rounds.append(self.batch(made.nodes, self.options.lines))
        self.figures("three.one_node", one, s3=self.store.kind)
        self.figures("three_nodes", three, s3=self.store.kind)
        self.shares("three_nodes.of_one", three, one, (">=", 1))

    def spread(self):
        """Model servers that answer after the same time, each with as much in flight: 64 at 30 ms are 2,133 lines/s,
        6,400 of all three, half of what nodes on two cores do. So a server gets fewer lines because of lowtide, which
        did not have them there in time, and not because its process had to wait for a core. `of_upstreams` is the part
        of that rate which was reached: well under 1 says that the cores were the limit after all."""
        lines, latency_us = self.options.spread_lines, self.options.spread_latency_us
        slow = [self.upstream_make("-l", latency_us) for _ in range(NODES)]
        bench.say(f"spread: {lines:,} lines on {NODES} nodes, answers after {latency_us / 1000:g} ms")
        with self.cluster(NODES, slow, in_flight=NODES * IN_FLIGHT) as made:
            rate = self.batch(made.nodes, lines)["rate"]
        counts = [up.requests() for up in slow]
        even, most = sum(counts) / NODES, NODES * IN_FLIGHT * 1e6 / latency_us
        uneven = max(abs(count - even) for count in counts) / even * 100
        bench.figure("spread.uneven", uneven, "%", ("<=", 10), upstreams=counts, again=sum(counts) - lines,
                     rate=round(rate), of_upstreams=round(rate / most, 3))  # fmt: skip

    def online(self):
        cluster_online.measure(self)

    def memory(self):
        lines = self.options.memory_lines
        bench.say(f"memory: {lines:,} lines on one node")
        with self.cluster(1, self.upstreams[:1]) as made:
            peak = self.batch(made.nodes, lines)["peak_mib"]
        bench.figure("memory.one_node", peak, "MiB", ("<=", 128), lines=lines)

    def kill(self):
        """Answers take a while, so that much is in flight and the batch outlives the lease."""
        lines, latency_us = self.options.kill_lines, self.options.kill_latency_us
        slow = [self.upstream_make("-l", latency_us) for _ in range(NODES)]
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
            wrong = self.output_wrong(last, batch, lines)
            bench.figure("kill.lines_wrong", wrong, "lines", ("<=", 0))


def main():
    parser = argparse.ArgumentParser(prog="bench/cluster.py", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)  # fmt: skip
    parts = "reference,calls,three,spread,online,memory,kill"
    parser.add_argument("--only", default=parts, help=f"comma-separated: {parts}")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--lines", type=int, default=300_000, help="of a batch of reference, calls, three")
    parser.add_argument("--spread-lines", type=int, default=1_000_000)
    parser.add_argument("--spread-latency-us", type=int, default=30_000)
    parser.add_argument("--online-requests", type=int, default=2000, help="of each of its nine measurements")
    parser.add_argument("--memory-lines", type=int, default=5_000_000)
    parser.add_argument("--kill-lines", type=int, default=200_000)
    parser.add_argument("--kill-latency-us", type=int, default=20_000)
    options = bench.parsed(parser)
    needed("bench-cluster")

    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    measured = Bench(options)
    load = os.getloadavg()[0]
    if load > 0.5:
        bench.say(f"the machine is busy, load {load:.1f}: figures are not worth much")
    about = f"PostgreSQL with fsync, S3: {measured.store.kind}, load at the start {load:.1f}\n"
    bench.measure(measured, "cluster.txt", about)


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(130)
