#!/usr/bin/env python3
"""Measures what the scheduler promises: `make bench-scheduling`.

Scenarios are made of runs; each run has its own engine, lowtide and data directory, and they go side
by side because simulated engines sleep more than they compute. Results of runs are kept under
build/bench/scheduling/results/, and docs/benchmarks.md is made from all that there are: after a
change of one thing, run again what it touches.

  make bench-scheduling                                  everything
  make bench-scheduling ARGS="--engine sim"              simulated engines alone; also upstream,
                                                         llama, vllm
  make bench-scheduling ARGS="--only bursts,direct"      some scenarios
  make bench-scheduling ARGS="--run bursts-metrics"      some runs of them
  make bench-scheduling ARGS="--report"                  no run, only the table and the plots
  make bench-scheduling ARGS="--list"                    names of scenarios and their runs
  make bench-scheduling ARGS="--nodes"                   the same through three nodes

With --nodes lowtide is three nodes that share PostgreSQL and an S3 store, both started for it, and calls,
uploads and online requests reach them in turn; engines, loads and what is wanted are the same. All that is
left, also a table, is in build/bench/scheduling-nodes/; docs/benchmarks.md is of one server and stays as it
is. What cannot mean the same is named in the table, with the reason: real engines, which take the cores; a
slow disk, on which a node keeps nothing; drivers without lowtide.
"""

import argparse
import asyncio
import json
import os
import pathlib
import signal
import sys
import time

import report
from runs import result_path, run_now
from scenarios import SCENARIOS
from servers import HERE, NODES, ROOT, die_with_parent, say

JOBS, JOBS_OF_NODES = 6, 2  # three nodes and what they share take more of the cores
ENGINES = ("sim", "upstream", "llama", "vllm")


def runs_wanted(options):
    """name -> run, each once, though several scenarios may need it."""
    wanted = {}
    for make in SCENARIOS:
        if options.only and make.name not in options.only:
            continue
        if options.engine not in ("all", make.engine) and not options.only:
            continue
        scenario = make(options.quick)
        if scenario.left_out():
            say(f"{make.name} is skipped: {scenario.left_out()}")
            continue
        for run in scenario.runs():
            if not options.run or run["name"] in options.run:
                wanted[run["name"]] = run
    return wanted


class Pool:
    """Runs side by side, up to a weight; each in a process of its own."""

    def __init__(self, jobs):
        self.jobs, self.used = jobs, 0
        self.changed = asyncio.Condition()

    async def one(self, run):
        # What computes, as real engines do, has the machine for itself.
        weight = min(run["weight"], self.jobs) if run["engine"] == "sim" else self.jobs
        async with self.changed:
            await self.changed.wait_for(lambda: self.used + weight <= self.jobs)
            self.used += weight
        try:
            began = time.monotonic()
            directory = HERE / "runs" / run["name"]
            directory.mkdir(parents=True, exist_ok=True)
            spec = directory / "run.json"
            spec.write_text(json.dumps(run, default=str))
            result_path(run["name"]).unlink(missing_ok=True)
            say(f"{run['name']}: begins")
            process = await asyncio.create_subprocess_exec(
                sys.executable, pathlib.Path(__file__).parent, "--spec", spec,
                preexec_fn=die_with_parent,
            )  # fmt: skip
            try:
                await process.wait()
            except asyncio.CancelledError:
                process.terminate()
                await process.wait()
                raise
            path = result_path(run["name"])
            made = json.loads(path.read_text()) if path.exists() else {"fault": "it died"}
            fault = f", FAULT: {made['fault']}" if "fault" in made else ""
            say(f"{run['name']}: {time.monotonic() - began:.0f} s{fault}")
        finally:
            async with self.changed:
                self.used -= weight
                self.changed.notify_all()


def length(run):
    """Longest first packs best; what is not known is taken for long."""
    return run.get("stop_s") or 150


async def run_all(runs, jobs):
    pool = Pool(jobs)
    for engine in ENGINES:
        group = sorted((run for run in runs if run["engine"] == engine), key=length, reverse=True)
        await asyncio.gather(*(pool.one(run) for run in group))


def names(text):
    return text.split(",")


def arguments():
    parser = argparse.ArgumentParser(
        prog="bench/scheduling", description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument("--engine", choices=(*ENGINES, "all"), default="all")
    parser.add_argument("--only", type=names, help="scenarios, comma-separated")
    parser.add_argument("--run", type=names, help="runs, comma-separated")
    parser.add_argument("--quick", action="store_true", help="shorter and rougher")
    parser.add_argument(
        "--jobs", type=float, default=JOBS_OF_NODES if NODES else JOBS, help="runs at once (%(default)g)"
    )
    parser.add_argument(
        "--nodes", type=int, nargs="?", const=3, default=0, help="so many (3) in place of one server"
    )
    parser.add_argument("--report", action="store_true", help="run nothing")
    parser.add_argument("--keep-docs", action="store_true", help="leave docs/ as it is")
    parser.add_argument("--list", action="store_true", help="say what there is")
    parser.add_argument("--spec", type=pathlib.Path, help=argparse.SUPPRESS)
    return parser.parse_args()


def begin_with_nodes(options):
    """This program anew: with the servers that nodes share, if it runs any, and its files where theirs are."""
    os.environ["BENCH_NODES"] = str(options.nodes)
    servers = [] if options.report or options.list else [str(ROOT / "scripts/with-cluster.sh")]
    here = str(pathlib.Path(__file__).resolve().parent)
    command = [*servers, sys.executable, here, *sys.argv[1:]]
    os.execv(command[0], command)


def main():
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    options = arguments()
    if options.nodes != NODES and not options.spec:
        begin_with_nodes(options)
    if options.spec:
        run_now(json.loads(options.spec.read_text()))
        return
    known = {make.name for make in SCENARIOS}
    if options.only and not known.issuperset(options.only):
        sys.exit(f"there are only: {', '.join(sorted(known))}")
    if options.list:
        for make in SCENARIOS:
            print(f"{make.name}: {', '.join(run['name'] for run in make(options.quick).runs())}")
        return
    if not options.report:
        runs = runs_wanted(options)
        if not runs:
            sys.exit("there is no such run; --list says what there is")
        asyncio.run(run_all(runs.values(), options.jobs))
    results = report.results_read()
    if not options.keep_docs and not NODES:
        report.write(results, options.quick)
    HERE.mkdir(parents=True, exist_ok=True)
    (HERE / "results.txt").write_text("\n".join(report.text_table(results, options.quick)) + "\n")
    print("\n".join(report.text_table(results, options.quick, options.only)))


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(130)
