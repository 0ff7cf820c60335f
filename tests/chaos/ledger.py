"""What was made, sent, acknowledged and answered; whether that is what was promised."""

import json
import threading
import time
from collections import Counter
from dataclasses import dataclass, field


@dataclass(eq=False)
class Batch:
    """Lines are `mark`-0 ... They are *acknowledged* once a row says that they have ended."""

    mark: str
    count: int
    id: str = ""
    final: bool = False
    seen: list = field(default_factory=list)  # (when, completed) as nodes have told, the rising ones

    def __post_init__(self):
        self.sent = bytearray(self.count)
        self.acknowledged = bytearray(self.count)
        self.in_pieces = bytearray(self.count)  # of these the answers; a span also ends by a cancel


class Ledger:
    # A node that was stopped between its check and its send lets that one request go when it goes on
    # (ARCHITECTURE.md, "Many machines"): no rule of ours can refuse it.
    STALE_S = 1.5

    def __init__(self, path, seed):
        self.began = time.monotonic()
        self.seed = seed
        self.faults = 0  # that are over
        self.file = open(path, "w", buffering=1)  # noqa: SIM115
        self.lock = threading.RLock()
        self.batches = {}
        self.violations = Counter()
        self.notes = Counter()
        self.again = Counter()  # lines that were sent once more, by the second
        self.thawed = []
        self.stale_left = 0

    def say(self, text, loud=True):
        line = f"{time.monotonic() - self.began:7.1f}  {text}"
        with self.lock:
            self.file.write(line + "\n")
            if loud:
                print(line, flush=True)

    def violation(self, kind, text):
        with self.lock:
            self.violations[kind] += 1
            if self.violations[kind] <= 20:
                self.say(f"VIOLATION {kind} (seed {self.seed}): {text}", self.violations[kind] <= 5)

    def note(self, kind, text=None):
        with self.lock:
            self.notes[kind] += 1
        if text:
            self.say(f"{kind}: {text}", loud=False)

    def thaw(self):
        with self.lock:
            self.stale_left = 1
            self.thawed.append(time.monotonic())

    def add(self, batch):
        with self.lock:
            self.batches[batch.mark] = batch
        return batch

    # ---- from upstreams and from rows ----

    def arrived(self, marker, headers):
        """A line was sent."""
        mark, _, n = marker.rpartition("-")
        with self.lock:
            batch = self.batches.get(mark)
            if batch is None:
                return
            n = int(n)
            if batch.acknowledged[n]:
                self._again(batch, n, headers)
            if batch.sent[n]:
                self.again[int(time.monotonic() - self.began)] += 1
            batch.sent[n] = min(batch.sent[n] + 1, 255)

    def _again(self, batch, n, headers):
        now = time.monotonic()
        text = f"{batch.mark}-{n} of {batch.id}{', which is final' if batch.final else ''}; {headers}"
        if self.stale_left and self.thawed and now - self.thawed[-1] < self.STALE_S:
            self.stale_left -= 1
            self.note("sent once more by a node that had been stopped at its send", text)
        else:
            self.violation("an acknowledged line was sent again", text)

    def acknowledge(self, batch, lines, in_piece):
        with self.lock:
            for n in lines:
                batch.acknowledged[n] = 1
                batch.in_pieces[n] |= in_piece

    # ---- from clients ----

    def told(self, batch, seen, port):
        """A node says so many; another may have known more for a second."""
        now, completed = time.monotonic(), seen["request_counts"]["completed"]
        with self.lock:
            older = [n for at, n in batch.seen if at < now - 3]
            if older and completed < older[-1]:
                self.violation("counts fell", f"{batch.id}: {completed} after {older[-1]}, "
                               f"as the node of port {port} tells: {json.dumps(seen)}")  # fmt: skip
            if not batch.seen or completed > batch.seen[-1][1]:
                batch.seen.append((now, completed))

    def ended(self, batch, status, output, error):
        """`output`, `error`: the custom_ids of the two files, in their order."""
        wanted = [f"{batch.mark}-{n}" for n in range(batch.count)]
        found = Counter(output) + Counter(error)
        twice = [one for one, n in found.items() if n > 1]
        lost = [one for one in wanted if one not in found]
        if twice:
            self.violation("twice in the output", f"{batch.id}: {len(twice)} lines, as {twice[:3]}")
        if lost:
            self.violation("lost", f"{batch.id} is {status}: {len(lost)} lines, as {lost[:3]}")
        if len(found) > len(wanted) - len(lost):
            self.violation("never asked for", f"{batch.id}: {len(found)} lines, {len(wanted)} asked")
        for one in (output, error):
            if one != sorted(one, key=lambda name: int(name.rpartition("-")[2])):
                self.violation("out of order", f"{batch.id}")
        with self.lock:
            if status == "completed" and error:
                self.violation("failed", f"{batch.id}: {len(error)} lines, as {error[:3]}")
            there = set(output)
            gone = [n for n in range(batch.count)
                    if batch.in_pieces[n] and f"{batch.mark}-{n}" not in there]  # fmt: skip
            if gone:
                self.violation("acknowledged and not in the output", f"{batch.id}: {gone[:5]}")
            if status == "completed" and not all(batch.sent):
                self.violation("answered and never sent", f"{batch.id}: {batch.sent.count(0)}")
            batch.final = True
            batch.acknowledged = bytearray(b"\1") * batch.count

    def sent_again(self):
        with self.lock:
            return sum(max(n - 1, 0) for one in self.batches.values() for n in one.sent)

    def bursts(self):
        """(second, lines) of each burst of lines that ran again."""
        made = []
        for second, n in sorted(self.again.items()):
            if made and second - made[-1][2] <= 2:
                made[-1][1:] = [made[-1][1] + n, second]
            else:
                made.append([second, n, second])
        return [(second, n) for second, n, _ in made]

    def final(self):
        with self.lock:
            return sum(one.final for one in self.batches.values())

    def lines(self):
        with self.lock:
            return sum(one.count for one in self.batches.values() if one.final)
