"""What scenarios are made of: figures from samples, results, the class of all."""

import math

from servers import NODES

# An engine that stands for a 70B-class model on one node: 64 sequences at once, 33 ms a step when
# they are all in use, 10 ms more for a prompt of 200 tokens.
SLOTS = 64
ENGINE = ["--slots", SLOTS, "--step-us", 30000, "--seq-us", 50, "--prefill-us", 50]
ENGINE += ["--budget", 2048, "--seed", 1]
COMPUTES = "its engine takes the cores that nodes, PostgreSQL and S3 need on the same machine"
WARM_S = 10  # within which full speed is to be reached


# ---- figures ----


def percentile(values, share):
    """The nearest rank."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)] if ordered else math.nan


def at_time(samples, t, name="ended"):
    """A counter at a time between samples."""
    before = samples[0]
    for one in samples:
        if one["t"] >= t:
            span = one["t"] - before["t"]
            share = (t - before["t"]) / span if span else 0
            return before[name] + share * (one[name] - before[name])
        before = one
    return before[name]


def rate(samples, begins, ends):
    ends = min(ends, samples[-1]["t"])
    if ends <= begins:
        return math.nan
    return (at_time(samples, ends) - at_time(samples, begins)) / (ends - begins)


def rate_curve(samples, window_s=5, name="ended"):
    points, first = [], 0
    for one in samples:
        while samples[first]["t"] < one["t"] - window_s:
            first += 1
        span = one["t"] - samples[first]["t"]
        if span >= window_s * 0.6:
            points.append((one["t"], (one[name] - samples[first][name]) / span))
    return points


def ttfts(result, phases=None):
    return [
        one["ttft"]
        for one in result["online"]
        if one["ttft"] is not None and (phases is None or one["phase"] in phases)
    ]


def bounds(phases):
    """[(begins, ends)] of the phases."""
    found, begins = [], 0
    for seconds, _ in phases:
        found.append((begins, begins + seconds))
        begins += seconds
    return found


def ms(seconds):
    return f"{1000 * seconds:,.0f} ms"


def engine_curve(samples, name, number=0):
    return [(one["t"], one["engines"][number].get(name)) for one in samples]


def stat_at(samples, t, name):
    """A counter of all engines together, at a time between samples."""
    flat = [{"t": one["t"], "n": sum(e.get(name) or 0 for e in one["engines"])} for one in samples]
    return at_time(flat, t, "n")


def stat_rate(samples, begins, ends, name):
    """How much of it came a second; `ended` is what the batches or the driver say."""
    if name == "ended":
        return rate(samples, begins, ends)
    ends = min(ends, samples[-1]["t"])
    if ends <= begins:
        return math.nan
    return (stat_at(samples, ends, name) - stat_at(samples, begins, name)) / (ends - begins)


def waiting_most(samples, until_s=WARM_S):
    """The most that ever waited in the engine since the load began, at any step where the engine
    counts that itself, else in any sample."""
    early = [one for one in samples if one["t"] <= until_s]
    counted = early[-1]["engines"][0].get("waiting_most")
    if counted is not None:
        return sum(engine["waiting_most"] for engine in early[-1]["engines"])
    return max(sum(engine["waiting"] for engine in one["engines"]) for one in early)


def limit_changes(samples, begins, ends):
    """How often a minute the limit moved by more than a tenth from where it had stood."""
    changes, stood = 0, None
    ends = min(ends, samples[-1]["t"])
    for one in samples:
        if not begins <= one["t"] <= ends or not one["concurrency"]:
            continue
        if stood is None:
            stood = one["concurrency"]
        elif abs(one["concurrency"] - stood) > stood / 10:
            changes, stood = changes + 1, one["concurrency"]
    return math.nan if stood is None else changes / (ends - begins) * 60


def eta_off(result, share):
    """How far `eta_at` was off at that share of a batch's time, as a share of that time."""
    samples = result["samples"]
    took = samples[-1]["t"]
    one = next(one for one in samples if one["t"] >= share * took)
    if not one.get("eta_at"):
        return math.inf
    return abs(one["eta_at"] - result["began_at"] - took) / took


class Missing(Exception):
    """A run that is needed has no result, or a faulty one."""


class Results:
    """The results of runs by name."""

    def __init__(self, found):
        self.found = found

    def __getitem__(self, name):
        if name not in self.found:
            raise Missing(f"`{name}` was not run")
        if "fault" in self.found[name]:
            raise Missing(f"`{name}` failed: {self.found[name]['fault'][:200]}")
        return self.found[name]

    def get(self, name):
        try:
            return self[name]
        except Missing:
            return None


# ---- scenarios ----


class Scenario:
    name = title = ""
    engine = "sim"
    not_with_nodes = ""  # why it cannot mean the same through nodes

    def __init__(self, quick):
        self.quick = quick

    def absent(self):
        """Why it cannot run on this machine, or None."""
        return None

    def left_out(self):
        """Why it is not run, or None."""
        return self.absent() or (self.not_with_nodes if NODES else None) or None

    def runs(self):
        """The runs that it needs. `weight`: how many of --jobs it counts as."""
        raise NotImplementedError

    def rows(self, results):
        """(what, measured, wanted, met or None) each; may raise Missing."""
        raise NotImplementedError

    def plot(self, results, path):
        """Draws what there is; may raise Missing."""
        raise NotImplementedError

    def run(self, name, **more):
        return {"name": name, "engine": self.engine, "engines": [ENGINE], "weight": 1, **more}
