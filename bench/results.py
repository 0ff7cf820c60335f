#!/usr/bin/env python3
"""Results while a batch runs (contract 11.3, `results`), and what its readers cost.

    bench/results.py [--lowtide build/lowtide] [--lines 300000] [--readers 4] [--rounds 3]

Runs a batch against bench/upstream.c four ways, a fresh server each: files in input order and in order of
completion (`output_order`), without readers and with readers that follow its results from its first line
to its last. Prints lines a second of the batch and of a reader, and CPU time of the server a line, each
the median of the rounds. Exit 1 if readers differ, or do not have the lines of the result file: with
`completion` the very bytes, by SHA-256."""

import argparse
import hashlib
import http.client
import multiprocessing
import statistics
import sys
import time

import bench

LIMIT = 10000  # lines of a page, the most there may be
EMPTY_S = 0.02  # between two looks where there is nothing new


class Lines:
    """Of bytes that come in pieces: their SHA-256, and the sum of that of each line, in any order."""

    def __init__(self):
        self.whole, self.sum, self.count = hashlib.sha256(), 0, 0

    def add(self, data):
        """Whole lines."""
        self.whole.update(data)
        for line in data.splitlines():
            self.sum += int.from_bytes(hashlib.sha256(line).digest(), "big")
            self.count += 1

    def digests(self):
        return self.count, self.sum % 2**256, self.whole.hexdigest()


def get(connection, path):
    connection.request("GET", path, headers={"Authorization": f"Bearer {bench.KEY}"})
    answer = connection.getresponse()
    data = answer.read()
    if answer.status != 200:
        sys.exit(f"GET {path}: {answer.status} {data[:300]!r}")
    return answer, data


def follow(port, batch_id, into):
    """Reads the results to their end. Digests wait until then: they would share the cores."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=600)
    after, pages, incomplete = 0, [], True
    while incomplete:
        answer, data = get(connection, f"/v1/batches/{batch_id}/results?after={after}&limit={LIMIT}")
        incomplete = answer.headers["X-Incomplete"] == "true"
        after = int(answer.headers["X-Last-Line"])
        pages.append(data)
        if incomplete and not data:
            time.sleep(EMPTY_S)
    ended = time.monotonic()
    lines = Lines()
    for data in pages:
        lines.add(data)
    into.put((ended, lines.digests()))


def result_file(port, file_id):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=600)
    lines = Lines()
    lines.add(get(connection, f"/v1/files/{file_id}/content")[1])
    return lines.digests()


def check(found, file, order):
    """What the readers have, against the result file."""
    wrong = [one for one in found if one[:2] != file[:2]]
    wrong += [one for one in found if one != found[0] or (order == "completion" and one != file)]
    if wrong:
        print(f"readers have {found}, the output file has {file}")
    return not wrong


def run(measures, path, options, order, readers):
    """One batch: its rate, a reader's, CPU time a line, and whether all is right."""
    lines, into = options.lines, multiprocessing.Queue()
    with measures.server() as server:
        file_id, _ = server.upload(path)
        before, began = bench.Cpu(server.process.pid), time.monotonic()
        body = {"input_file_id": file_id, "endpoint": "/v1/chat/completions",
                "completion_window": "24h", "lowtide": {"output_order": order}}  # fmt: skip
        batch_id = server.call("POST", "/v1/batches", body)["id"]
        tasks = [
            multiprocessing.Process(target=follow, args=(server.port, batch_id, into), daemon=True)
            for _ in range(readers)
        ]
        for task in tasks:
            task.start()
        _, done = server.batch_wait(batch_id, lambda batch: bench.done(batch) == lines)
        batch, _ = server.batch_wait(batch_id, lambda batch: batch["status"] == "completed")
        found = [into.get() for _ in tasks]
        after = bench.Cpu(server.process.pid)
        file = result_file(server.port, batch["output_file_id"]) if readers else None
    used = after.user + after.system - before.user - before.system
    slowest = max((ended for ended, _ in found), default=began)
    return {
        "batch": lines / (done - began),
        "reader": lines / (slowest - began) if readers else 0,
        "cpu_us": used / lines * 1e6,
        "good": not readers or check([digests for _, digests in found], file, order),
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--lines", type=int, default=300_000)
    parser.add_argument("--readers", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=3)
    options = bench.parsed(parser)
    measures = bench.Bench(options)
    path = measures.input(options.lines)
    ways = [(order, n) for order in ("input", "completion") for n in (0, options.readers)]
    rounds = {way: [] for way in ways}
    for n in range(options.rounds):
        for way in ways:
            bench.say(f"round {n + 1}: output_order {way[0]}, {way[1]} readers")
            rounds[way].append(run(measures, path, options, *way))
    print(f"{options.lines} lines, median of {options.rounds}\n")
    print(f"{'output_order':14}{'readers':>8}{'lines/s':>10}{'a reader':>10}{'CPU us a line':>15}")
    for (order, readers), found in rounds.items():
        middle = {k: statistics.median(one[k] for one in found) for k in ("batch", "reader", "cpu_us")}
        reader = f"{middle['reader']:10.0f}" if readers else " " * 10
        print(f"{order:14}{readers:8}{middle['batch']:10.0f}{reader}{middle['cpu_us']:15.1f}")
    sys.exit(0 if all(one["good"] for found in rounds.values() for one in found) else 1)


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(130)
