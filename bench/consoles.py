#!/usr/bin/env python3
"""What open consoles cost the server, and how fast a large batch opens (issue 12).

    bench/consoles.py [--lowtide build/lowtide] [--consoles 20] [--seconds 60] [--lines 5000000]

Runs a batch of so many lines, 160 a second, on an upstream that takes 100 ms a line, and beside it so many
consoles that do what the pages of console/ do while they are seen: each has the stream of events; half
look at the overview (scheduling every 3 s, the history every 15 s), the others at the batch (its rate every
60 s): when an event says that lines have ended, but not within 2 s of the last call, they ask for its newest
answers and the questions to these (pages/answers.js). Rounds of nobody and of all consoles take turns, for so many seconds
each in all; prints the CPU time of the server's threads for both.

Then opens that batch and one of 10 lines, which has ended, as the page of a batch does: the object, a page
of answers with their questions, the newest ones, its rate so far, and all of it; median and worst of 50.

Exit 1 if the consoles cost more than 2 % of a core, or the large batch opens 2 ms later than the small one."""

import argparse
import http.client
import json
import os
import pathlib
import re
import statistics
import subprocess
import sys
import tempfile
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
CALLS = 50
ROUNDS = 4
WINDOW = 20  # answers that the page of a batch shows
LINE = '{"custom_id":"line-%d","body":{"model":"m","messages":[{"role":"user","content":"hi"}]}}\n'


class Client:
    """One connection of one console."""

    def __init__(self, port, key):
        self.key = key
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=600)

    def call(self, method, path, body=None, **headers):
        headers = {"Authorization": f"Bearer {self.key}", **headers}
        self.connection.request(method, f"/v1/{path}", body, headers)
        answer = self.connection.getresponse()
        text = answer.read()
        assert answer.status == 200, text
        return text

    def get(self, path):
        return self.call("GET", path)

    def json(self, path):
        return json.loads(self.get(path))


# ---- batches ----


def pieces(head, lines, tail):
    yield head
    for at in range(0, lines, 10000):
        yield "".join(LINE % n for n in range(at, min(at + 10000, lines))).encode()
    yield tail


def upload(client, lines):
    form = 'Content-Disposition: form-data; name="%s"%s\r\n\r\n'
    head = "--b\r\n" + form % ("purpose", "") + "batch\r\n--b\r\n" + form % ("file", '; filename="in.jsonl"')
    head, tail = head.encode(), b"\r\n--b--\r\n"
    size = sum(map(len, pieces(head, lines, tail)))
    kind = {"Content-Type": "multipart/form-data; boundary=b", "Content-Length": str(size)}
    return json.loads(client.call("POST", "files", pieces(head, lines, tail), **kind))["id"]


def start(client, lines):
    body = {"input_file_id": upload(client, lines), "endpoint": "/v1/chat/completions", "completion_window": "24h"}
    batch = json.loads(client.call("POST", "batches", json.dumps(body)))["id"]
    while client.json(f"batches/{batch}")["request_counts"]["completed"] < min(lines, 2 * WINDOW):
        time.sleep(0.2)
    return batch


# ---- consoles ----


def lines(client, batch, after, limit=WINDOW):
    """Answers and their questions, as pages/answers.js asks for them."""
    found = client.get(f"batches/{batch}/lines?after={after}&limit={limit}").splitlines()
    assert 0 < len(found) <= limit
    return found


def ended(counts):
    return counts["completed"] + counts["failed"]


def whole(client, batch):
    """The page of a batch from its first call to the last answer that it shows."""
    lines(client, batch, max(0, ended(client.json(f"batches/{batch}")["request_counts"]) - WINDOW))
    rate(client, batch)


def rate(client, batch):
    assert client.json(f"lowtide/history?batch={batch}")["series"]


class Console:
    """One page: its stream of events, and its calls."""

    def __init__(self, port, key, batch):
        self.over = threading.Event()
        self.seen = 0  # lines of the batch that have ended, as the last event said
        self.events = 0
        self.stream, self.client, self.batch = Client(port, key), Client(port, key), batch
        self.threads = [threading.Thread(target=one) for one in (self.listen, self.look)]
        for thread in self.threads:
            thread.start()

    def listen(self):
        self.stream.connection.request("GET", "/v1/lowtide/events", headers={"Authorization": f"Bearer {self.stream.key}"})
        stream = self.stream.connection.getresponse()
        try:
            while not self.over.is_set() and (line := stream.readline()):
                if line.startswith(b"data:"):
                    self.events += 1
                    batch = json.loads(line[5:])
                    if batch["id"] == self.batch:
                        self.seen = ended(batch["request_counts"])
        except (OSError, ValueError, AttributeError):
            pass  # it was closed, by close()

    def close(self):
        self.over.set()
        self.stream.connection.sock and self.stream.connection.sock.shutdown(2)
        for thread in self.threads:
            thread.join()


class OverviewPage(Console):
    def look(self):
        self.client.get("batches?status=validating,in_progress,finalizing,cancelling&limit=100")
        turn = 0
        while True:
            self.client.get("lowtide/scheduling")
            if turn % 5 == 0:
                self.client.get("lowtide/history?span=hour")
            turn += 1
            if self.over.wait(3):
                return


class BatchPage(Console):
    def look(self):
        whole(self.client, self.batch)
        had = turn = 0
        while not self.over.wait(2):
            turn += 1
            if turn % 30 == 0:
                rate(self.client, self.batch)
            after = max(had, self.seen - WINDOW)
            if self.seen > after:
                lines(self.client, self.batch, after, self.seen - after)
                had = self.seen


# ---- figures ----


def cpu_seconds(pid):
    """The server's threads are as old as the server."""
    tasks = pathlib.Path(f"/proc/{pid}/task").glob("*/schedstat")
    return sum(int(one.read_text().split()[0]) for one in tasks) / 1e9


def cpu(pid, seconds):
    """CPU time, and in how long."""
    before, began = cpu_seconds(pid), time.monotonic()
    time.sleep(seconds)
    return cpu_seconds(pid) - before, time.monotonic() - began


def cost_of_consoles(args, port, key, pid, batch):
    """Shares of a core that the server takes without and with consoles, and how many events these got."""
    took = {False: [0, 0], True: [0, 0]}
    events = 0
    for turn in range(2 * ROUNDS):
        pages = [(OverviewPage, BatchPage)[n % 2](port, key, batch) for n in range(args.consoles * (turn % 2))]
        time.sleep(1)
        for at, more in enumerate(cpu(pid, args.seconds / ROUNDS)):
            took[turn % 2 == 1][at] += more
        for page in pages:
            page.close()
            events += page.events
    return *(used / seconds for used, seconds in took.values()), events


def measure(what):
    took = []
    for _ in range(CALLS):
        began = time.perf_counter()
        what()
        took.append((time.perf_counter() - began) * 1000)
    return statistics.median(took), max(took)


def open_batch(client, batch):
    """Median and worst, in ms, of each call with which its page begins, and of the page."""
    counts = client.json(f"batches/{batch}")["request_counts"]
    return {
        "object": measure(lambda: client.get(f"batches/{batch}")),
        "first answers": measure(lambda: lines(client, batch, 0)),
        "newest answers": measure(lambda: lines(client, batch, max(0, ended(counts) - WINDOW))),
        "rate so far": measure(lambda: rate(client, batch)),
        "the page": measure(lambda: whole(client, batch)),
    }


def run(args, port, key, pid):
    client = Client(port, key)
    small, large = start(client, 10), start(client, args.lines)
    alone, beside, events = cost_of_consoles(args, port, key, pid, large)
    cost = (beside - alone) * 100
    print(f"{args.seconds} s of a batch that runs: {alone * 100:.2f} % of a core; beside {args.consoles} consoles "
          f"{beside * 100:.2f} %: they cost {cost:.2f} % ({events} events)\n")  # fmt: skip
    few, many = open_batch(client, small), open_batch(client, large)
    print(f"{'opening a batch of':20}{'10 lines':>20}{f'{args.lines} lines':>20}   median and worst ms")
    for name, (median, worst) in few.items():
        print(f"{name:20}{median:12.2f}{worst:8.2f}{many[name][0]:12.2f}{many[name][1]:8.2f}")
    return cost <= 2 and all(many[name][0] - few[name][0] <= 2 for name in few)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--lowtide", default=ROOT / "build/lowtide")
    parser.add_argument("--upstream", default=ROOT / "build/bench/bench-upstream")
    parser.add_argument("--consoles", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--lines", type=int, default=5000000)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=ROOT / "build") as data:
        command = [args.lowtide, "key", "create", "--data", data, "--org", "one", "--init"]
        key = subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
        upstream = subprocess.Popen([args.upstream, "-l", "100000"], stdout=subprocess.PIPE, text=True)
        command = [args.lowtide, "serve", "--data", data, "--listen", "127.0.0.1:0", "--upstream"]
        command += [upstream.stdout.readline().strip(), "--set", "execution.concurrency=16"]
        server = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        try:
            port = int(re.search(r"http://127\.0\.0\.1:(\d+)", server.stdout.readline())[1])
            good = run(args, port, key, server.pid)
        finally:
            for process in (server, upstream):
                process.terminate()
                process.wait()
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()
