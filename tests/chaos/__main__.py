"""Faults from a seed over nodes that serve batches: `make chaos`. Says at the end what was lost, what stands
twice, and what was sent again after a row had said that it has ended: all of them 0, or it ends with 1.

    CHAOS_FAULTS=10 CHAOS_SEED=7 make chaos       a short one: some 5 minutes
    CHAOS_SEED=7 make chaos-short                 each kind of fault once, in under 5 minutes: part of `make test`
"""

import argparse
import json
import os
import pathlib
import resource
import secrets
import shutil
import signal
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from clients import Clients  # noqa: E402
from faults import KINDS, SHORT_MINUTES, Faults, plan, plan_short  # noqa: E402
from ledger import Ledger  # noqa: E402
from place import CONCURRENCY, Place  # noqa: E402
from support.server import BINARY, ROOT  # noqa: E402

WANTED = ("lost", "twice in the output", "an acknowledged line was sent again", "answered wrongly")


def options():
    env = os.environ.get
    parser = argparse.ArgumentParser(prog="chaos", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)  # fmt: skip
    parser.add_argument("--seed", default=env("CHAOS_SEED") or secrets.token_hex(4))
    parser.add_argument("--faults", type=int, default=int(env("CHAOS_FAULTS") or 200))
    parser.add_argument("--minutes", type=float, default=float(env("CHAOS_MINUTES") or 0),
                        help="for all faults; if not given, 18 s for each")  # fmt: skip
    parser.add_argument("--nodes", type=int, default=3)
    parser.add_argument("--upstreams", type=int, default=3)
    parser.add_argument("--writers", type=int, default=3, help="batches at a time")
    parser.add_argument("--lines", type=int, default=6000, help="of a large batch")
    parser.add_argument("--other", help="another build of lowtide: every second start is of that one")
    parser.add_argument("--short", action="store_true", help="each kind of fault once")
    parser.add_argument("--plan", action="store_true", help="only say what would happen")
    made = parser.parse_args()
    if made.short:
        made.faults, made.lines = len(KINDS), min(made.lines, 2500)
        made.minutes = made.minutes or SHORT_MINUTES
    made.minutes = made.minutes or made.faults * 0.3
    return made


def plan_of(given):
    if given.short:
        return plan_short(given.seed, given.minutes, given.nodes)
    return plan(given.seed, given.faults, given.minutes, given.nodes)


def run(given, directory, ledger):
    faults = plan_of(given)
    place = Place(directory, ledger, given.nodes, given.upstreams, given.other)
    try:
        store = "versitygw" if place.bucket.gateway else "moto"
        ledger.say(f"{given.nodes} nodes are ready, on PostgreSQL and {store}; logs: {directory}")
        clients = Clients(place, ledger, given.seed, given.lines)
        clients.start(given.writers)
        these = Faults(place, ledger)
        these.run(faults)
        ledger.faults = these.over
        ledger.say("no more faults: all nodes are to be ready, and all batches to end")
        if not place.wait_ready():
            states = {one.n: (one.ready, place._readyz(one)) for one in place.nodes}
            ledger.violation("not ready", f"120 s after the last fault: {states}")
        if not clients.finish(450):
            ledger.violation("stuck", "a client waits 450 s after the last fault")
        clients.check_created()
    finally:
        place.close()


def report(given, ledger):
    ledger.say(f"{len(ledger.batches)} batches, {ledger.lines():,} lines; sent again, as they were in flight "
               f"or not acknowledged: {ledger.sent_again():,}")  # fmt: skip
    bursts = ledger.bursts()
    ledger.say(f"  that is (second, lines) {bursts}", loud=False)
    most, bound = max((n for _, n in bursts), default=0), 3 * CONCURRENCY * given.upstreams
    if most > bound:  # ARCHITECTURE.md: at a burial no more than were in flight and twice the limit
        ledger.violation("too many ran again", f"{most} at once, more than {bound}: {bursts}")
    for name, n in sorted(ledger.notes.items()):
        ledger.say(f"  {name}: {n}")
    for name in WANTED:
        ledger.say(f"{name}: {ledger.violations.get(name, 0)}")
    for name, n in ledger.violations.items():
        if name not in WANTED:
            ledger.say(f"{name}: {n}")
    result = {"seed": given.seed, "faults": given.faults, "lines": ledger.lines(),
              "sent_again": ledger.sent_again(), "violations": dict(ledger.violations)}  # fmt: skip
    print(json.dumps(result))


def main():
    given = options()
    if given.plan:
        for n, one in enumerate(plan_of(given), 1):
            print(n, one)
        return 0
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(most, 65536), most))
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    directory = ROOT / "build/chaos" / given.seed
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)
    ledger = Ledger(directory / "chaos.log", given.seed)
    ledger.say(f"seed {given.seed}: {given.faults} faults in {given.minutes:g} minutes; {BINARY}")
    began = time.monotonic()
    try:
        run(given, directory, ledger)
        if ledger.final() == 0:
            ledger.violation("nothing was tried", "no batch has ended")
    except Exception as error:
        ledger.violation("chaos itself", repr(error))
        raise
    finally:
        report(given, ledger)
    ledger.say(f"{'WRONG' if ledger.violations else 'all is well'}, after {time.monotonic() - began:.0f} s")
    # Faults that are over and batches that have ended, each looked at; and what was wrong.
    failed = sum(ledger.violations.values())
    print(f"chaos: {ledger.faults + ledger.final()} passed, {failed} failed", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
