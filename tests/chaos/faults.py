"""What happens, drawn from a seed before anything starts: the same seed, the same plan."""

import random
import signal
import subprocess
import threading
import time
from dataclasses import dataclass

# name -> how often, and for how long (s)
KINDS = {
    "kill": (20, 0, 25),  # -9, and started again
    "freeze": (14, 16, 32),  # SIGSTOP for longer than a lease
    "pause": (6, 1, 14),  # for less
    "term": (12, 0, 4),  # SIGTERM, and started again
    "pg": (8, 1, 22),  # PostgreSQL is stopped at once, and started
    "s3": (8, 1, 22),
    "pg-refuse": (6, 2, 25), "pg-hang": (8, 2, 30), "pg-slow": (5, 5, 20), "pg-halve": (4, 3, 12),
    "pg-reset": (5, 0, 0), "s3-refuse": (6, 2, 25), "s3-hang": (8, 2, 30), "s3-slow": (5, 5, 20),
    "s3-halve": (4, 3, 12), "s3-reset": (5, 0, 0),
}  # fmt: skip

# The short form: each kind once. A burial costs a lease, so no more than two kinds bring one about.
SHORT_S = {"kill": (16, 19), "freeze": (16, 19), "pause": (2, 6), "term": (0, 3), "pg": (1, 8), "s3": (1, 8)}
SHORT_LINK_S = (2, 8)
SHORT_MINUTES = 2.75


@dataclass
class Fault:
    at: float
    kind: str
    node: int
    seconds: float
    delay: float


def plan(seed, count, minutes, nodes):
    draw = random.Random(f"{seed} faults")
    spacing, made = minutes * 60 / count, []
    for n in range(count):
        (kind,) = draw.choices(list(KINDS), [one[0] for one in KINDS.values()])
        _, least, most = KINDS[kind]
        at = (n + draw.uniform(0, 0.9)) * spacing
        made.append(Fault(at, kind, draw.randrange(nodes), draw.uniform(least, most),
                          draw.uniform(0.05, 0.6)))  # fmt: skip
    return made


def plan_short(seed, minutes, nodes):
    draw = random.Random(f"{seed} short")
    kinds, made = list(KINDS), []
    draw.shuffle(kinds)
    spacing = minutes * 60 / len(kinds)
    for n, kind in enumerate(kinds):
        seconds = draw.uniform(*SHORT_S.get(kind, SHORT_LINK_S))
        if kind.endswith("-reset"):
            seconds = 0
        made.append(Fault((n + draw.uniform(0, 0.5)) * spacing, kind, draw.randrange(nodes), seconds,
                          draw.uniform(0.05, 0.6)))  # fmt: skip
    return made


class Faults:
    def __init__(self, place, ledger):
        self.place, self.ledger = place, ledger
        self.server = {"pg": threading.Lock(), "s3": threading.Lock()}
        self.threads, self.over = [], 0

    def run(self, faults):
        """Each in its turn; two may overlap, but not on one node. Then all is well again."""
        began = time.monotonic()
        for n, one in enumerate(faults, 1):
            time.sleep(max(0, began + one.at - time.monotonic()))
            thread = threading.Thread(target=self._one, args=(n, len(faults), one), daemon=True)
            thread.start()
            self.threads.append(thread)
        for one in self.threads:
            one.join()

    def _one(self, n, of, fault):
        node = self.place.nodes[fault.node]
        whole = fault.kind in self.server
        what = fault.kind if whole else f"{fault.kind} of node {fault.node}"
        with self.server[fault.kind] if whole else node.busy:
            self.ledger.say(f"{n}/{of} {what}, {fault.seconds:.1f} s")
            try:
                if whole:
                    getattr(self, f"_{fault.kind}")(fault)
                elif "-" in fault.kind:
                    self._link(node, fault)
                else:
                    getattr(self, f"_{fault.kind}")(node, fault)
            except Exception as error:  # noqa: BLE001 # the others go on
                self.ledger.violation("chaos itself", f"{what}: {error!r}")
            self.over += 1
            self.ledger.say(f"{n}/{of} {what}: over", loud=False)

    def _kill(self, node, fault):
        if not node.server.alive():
            return
        node.kill()
        time.sleep(fault.seconds)
        node.start()

    def _freeze(self, node, fault):
        node.freeze()
        time.sleep(fault.seconds)
        node.thaw()

    _pause = _freeze

    def _term(self, node, fault):
        if not node.server.alive():
            return
        was_ready = node.ready
        node.server.signal_term()
        try:
            code = node.server.process.wait(timeout=90)
            if code != 0 and (was_ready or code not in (1, -signal.SIGTERM)):
                self.ledger.violation("exit", f"node {node.n}: {code} after SIGTERM\n"
                                      + node.server.tail()[-2000:])  # fmt: skip
        except subprocess.TimeoutExpired:
            self.ledger.violation("exit", f"node {node.n} runs 90 s after SIGTERM\n"
                                  + node.server.tail()[-2000:])  # fmt: skip
            node.server.process.kill()
            node.server.process.wait()
        node.down, node.ready = True, False
        node.look()
        time.sleep(fault.seconds)
        node.start()

    def _pg(self, fault):
        self.place.away.add("pg")
        self.place.cluster.stop("immediate")
        time.sleep(fault.seconds)
        self.place.cluster.start()
        self.place.away.discard("pg")

    def _s3(self, fault):
        self.place.away.add("s3")
        bucket = self.place.bucket
        if bucket.gateway:
            bucket.kill()
            time.sleep(fault.seconds)
            bucket.start()
        else:  # what moto keeps is in its memory
            links = [one.to_s3 for one in self.place.nodes if one.to_s3.mode == "pass"]
            for one in links:
                one.become("refuse")
            time.sleep(fault.seconds)
            for one in links:
                one.become("pass")
        self.place.away.discard("s3")

    def _link(self, node, fault):
        server, mode = fault.kind.split("-")
        link = node.to_pg if server == "pg" else node.to_s3
        if mode == "reset":
            link.reset()
            return
        link.become(mode, fault.delay)
        time.sleep(fault.seconds)
        link.become("pass")
        if mode == "halve" or (mode == "hang" and fault.delay < 0.3):
            link.reset()  # what hung comes to nothing; else it goes on
