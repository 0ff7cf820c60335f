#!/usr/bin/env python3
"""The first page of filtered lists of batches among many (contract 11.3, issue 11 (6)).

    bench/filters.py [--lowtide build/lowtide] [--batches 100000]

Fills the database of a new data directory, starts a server on it, and measures each filter over one
connection: the median and the worst of 50 calls, in milliseconds. Exit 1 if a median is more than 20 ms
above that of the unfiltered list."""

import argparse
import http.client
import json
import pathlib
import re
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.parse

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "tests"))
from support.rows import many_batches  # noqa: E402

CALLS = 50

FILTERS = {
    "none": "",
    "after the middle": "after=batch_{middle:032x}",
    "a common pair": "metadata[half]=1",
    "a pair of all": "metadata[all]=x",
    "a rare pair": "metadata[rare]=7",
    "a pair of one": "metadata[one]=777",
    "an absent pair": "metadata[no]=such",
    "a common status": "status=completed",
    "a rare status": "status=failed",
    "an absent status": "status=validating,in_progress",
    "several statuses": "status=completed,failed,expired",
    "a time": "created_after={early}&created_before={late}",
    "rare and common pair": "metadata[rare]=7&metadata[half]=1&metadata[all]=x",
    "rare status, common pair": "status=failed&metadata[half]=1",
    "common status, rare pair": "status=expired&metadata[one]=778",
    "common pairs": "metadata[half]=1&metadata[other]=1",
    "common pairs that never meet": "metadata[half]=0&metadata[other]=1",
    "common pair and status that never meet": "status=completed&metadata[half]=1",
    "three that never meet": "status=completed&metadata[half]=1&metadata[all]=x",
    "time, status, pairs": "created_before={late}&status=expired&metadata[half]=1&metadata[all]=x",
}


def measure(connection, key, query):
    took = []
    for _ in range(CALLS):
        began = time.perf_counter()
        connection.request("GET", f"/v1/batches?{query}", headers={"Authorization": f"Bearer {key}"})
        answer = connection.getresponse()
        body = answer.read()
        took.append((time.perf_counter() - began) * 1000)
        assert answer.status == 200, body
    return statistics.median(took), max(took), len(json.loads(body)["data"])


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--lowtide", default="build/lowtide")
    parser.add_argument("--batches", type=int, default=100000)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as data:
        command = [args.lowtide, "key", "create", "--data", data, "--org", "one", "--init"]
        key = subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
        many_batches(data, args.batches)
        command = [args.lowtide, "serve", "--data", data, "--listen", "127.0.0.1:0"]
        command += ["--upstream", "http://127.0.0.1:9/v1"]
        server = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        try:
            port = int(re.search(r"http://127\.0\.0\.1:(\d+)", server.stdout.readline())[1])
            connection = http.client.HTTPConnection("127.0.0.1", port)
            places = {
                "middle": args.batches // 2,
                "early": 1750000000 + args.batches // 4,
                "late": 1750000000 + args.batches // 2,
            }
            base, good = None, True
            print(f"{args.batches} batches, first page of 20, {CALLS} calls each\n")
            print(f"{'filter':42}{'found':>6}{'median ms':>11}{'worst ms':>10}")
            for name, query in FILTERS.items():
                query = urllib.parse.quote(query.format(**places), safe="=&")
                median, worst, found = measure(connection, key, query)
                base = median if base is None else base
                good = good and median - base <= 20
                print(f"{name:42}{found:6}{median:11.2f}{worst:10.2f}", flush=True)
        finally:
            server.terminate()
            server.wait()
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()
