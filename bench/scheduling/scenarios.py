"""What is run, what it must show, and the plot of each: one class a scenario."""

import math
import statistics

import plot
from plot import Panel

# An engine that stands for a 70B-class model on one node: 64 sequences at once, 33 ms a step when
# they are all in use, 10 ms more for a prompt of 200 tokens.
SLOTS = 64
ENGINE = ["--slots", SLOTS, "--step-us", 30000, "--seq-us", 50, "--prefill-us", 50]
ENGINE += ["--budget", 2048, "--seed", 1]
SWEEP = (8, 16, 32, 48, 64, 96, 128, 192)
PHASES = [(30, 1), (30, 15), (90, 1), (30, 15), (90, 1)]
QUICK_PHASES = [(10, 1), (15, 15), (25, 1), (15, 15), (25, 1)]
WARM_S = 10  # within which full speed is to be reached

LLAMA_SLOTS = 4
LLAMA_SWEEP = (1, 2, 3, 4, 6, 8)
LLAMA_PHASES = [(20, 0.1), (20, 1.2), (50, 0.1), (20, 1.2), (50, 0.1)]
# A base model: without ignore_eos it would end when it likes.
LLAMA_LINES = {
    "seed": 3, "prompt_tokens": 24, "output": (4, 12), "temperature": 0, "ignore_eos": True,
}  # fmt: skip


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


class Scenario:
    name = title = ""
    engine = "sim"

    def __init__(self, quick):
        self.quick = quick

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


# ---- no online traffic ----


class Quiet(Scenario):
    name, title = "quiet", "No online traffic"
    prefix, sweep, slots = "", SWEEP, SLOTS
    variants = (("metrics", "with metrics", []), ("blind", "without metrics", ["--no-metrics"]))
    engine_arguments = ENGINE
    from_s, until_s = WARM_S, 40

    def lines(self):
        return {"count": 2500, "seed": 3}

    def runs(self):
        stop_s = self.until_s + 0.5
        for concurrency in self.sweep:
            yield self.run(
                f"{self.prefix}sweep-{concurrency}", engines=[self.engine_arguments], lowtide=False,
                batch="fixed", concurrency=concurrency, lines=self.lines(), stop_s=stop_s,
            )  # fmt: skip
        for variant, _, more in self.variants:
            yield self.run(
                f"{self.prefix}quiet-{variant}", engines=[self.engine_arguments + more],
                batch="lowtide", lines=self.lines(), stop_s=stop_s,
            )  # fmt: skip

    def swept(self, results):
        """concurrency -> lines/s."""
        found = {}
        for concurrency in self.sweep:
            result = results.get(f"{self.prefix}sweep-{concurrency}")
            if result:
                found[concurrency] = rate(result["samples"], self.from_s, self.until_s)
        if not found:
            raise Missing("no run of the sweep has a result")
        return found

    def best(self, results):
        """(concurrency, lines/s) of the best fixed concurrency."""
        return max(self.swept(results).items(), key=lambda item: item[1])

    def rows(self, results):
        concurrency, best = self.best(results)
        yield ("best fixed concurrency", f"{best:.2f} lines/s with {concurrency} at once", "", None)
        for variant, text, _ in self.variants:
            result = results[f"{self.prefix}quiet-{variant}"]
            found = rate(result["samples"], self.from_s, self.until_s)
            yield (
                f"lowtide, {text}",
                f"{found:.2f} lines/s from second {self.from_s} on, {found / best:.1%} of the best",
                ">= 95 %", found / best >= 0.95,
            )  # fmt: skip

    def plot(self, results, path):
        swept = self.swept(results)
        sweep = Panel("Lines a second by fixed concurrency", "requests at once", log_x=True)
        sweep.x_ticks = list(swept)
        sweep.line(list(swept.items()), "fixed")
        sweep.dots(list(swept.items()), color=plot.COLORS[0], radius=2.5)
        speed = Panel("Lines a second over time (mean of 5 s)", "seconds", height=140)
        concurrency = Panel("Concurrency over time", "seconds", height=140)
        for variant, text, _ in self.variants:
            result = results.get(f"{self.prefix}quiet-{variant}")
            if not result:
                continue
            samples = result["samples"]
            color = plot.COLORS[len(sweep.legend)]
            found = rate(samples, self.from_s, self.until_s)
            sweep.level(found, f"lowtide, {text}", color)
            speed.line(rate_curve(samples), f"lowtide, {text}", color)
            concurrency.line([(one["t"], one["concurrency"]) for one in samples], f"lowtide, {text}", color)
        best_width, best = self.best(results)
        speed.level(best, f"best fixed: {best_width}", plot.COLORS[0])
        concurrency.level(self.slots, "slots of the engine", plot.COLORS[6])
        plot.save(path, sweep, speed, concurrency)


# ---- online traffic ----


class Bursts(Scenario):
    """Runs that several rows share: online traffic alone, and beside a batch of each kind."""

    name, title = "bursts", "Bursts of online traffic through lowtide, beside a batch"
    prefix, slots = "", SLOTS
    engine_arguments = ENGINE
    seed = 7
    wanted_ttft, wanted_room = 1.10, 0.80
    lines_a_second = 27
    online_more = {}
    to = "lowtide"
    alone_name = "alone-lowtide"
    beside = (
        ("bursts-metrics", "with metrics", [], wanted_ttft),
        ("bursts-blind", "without metrics", ["--no-metrics"], wanted_ttft),
    )

    def phases(self):
        return QUICK_PHASES if self.quick else PHASES

    def seconds(self):
        return sum(seconds for seconds, _ in self.phases())

    def lines(self):
        return {"count": self.seconds() * self.lines_a_second, "seed": 3}

    def run(self, name, arguments, **more):
        online = {"to": self.to, "phases": self.phases(), "seed": self.seed, **self.online_more}
        more = {"stop_s": self.seconds(), "online": online, "lines": self.lines(), **more}
        return super().run(name, engines=[self.engine_arguments + arguments], **more)

    def runs(self):
        yield self.run(self.prefix + self.alone_name, [], lowtide=self.to == "lowtide")
        for name, _, arguments, _ in self.beside:
            yield self.run(self.prefix + name, arguments, batch="lowtide")

    def quiet(self):
        return Quiet(self.quick)

    def alone(self, results):
        return results[self.prefix + self.alone_name]

    def room(self, results):
        """Lines a second that online traffic leaves, phase by phase."""
        concurrency, best = self.quiet().best(results)
        concurrency, samples, found = min(concurrency, self.slots), self.alone(results)["samples"], []
        for begins, ends in bounds(self.phases()):
            found.append(best * (1 - self.mean_running(samples, begins, ends) / concurrency))
        return found

    def mean_running(self, samples, begins, ends):
        def seconds(t):
            flat = [{"t": one["t"], "n": one["engines"][0]["running_seconds"]} for one in samples]
            return at_time(flat, t, "n")

        return (seconds(ends) - seconds(begins)) / (ends - begins)

    def batch_rates(self, result):
        return [rate(result["samples"], *bound) for bound in bounds(self.phases())]

    def share_of_room(self, results, result):
        """Of the whole run but its first seconds, and [of each phase]."""
        room, found, taken, of = self.room(results), [], 0, 0
        for (begins, ends), one in zip(bounds(self.phases()), room, strict=True):
            if begins == 0:
                begins = WARM_S if WARM_S < ends else 0
            done = rate(result["samples"], begins, ends)
            found.append(done / one)
            taken += done * (ends - begins)
            of += one * (ends - begins)
        return taken / of, found

    def latency(self, results, result):
        """(text, p99 ratio) against online traffic alone."""
        alone, found, late = ttfts(self.alone(results)), ttfts(result), ttfts(result, {3, 4})
        ratio = percentile(found, 0.99) / percentile(alone, 0.99)
        late_ratio = percentile(late, 0.99) / percentile(ttfts(self.alone(results), {3, 4}), 0.99)
        failed = sum(one["ttft"] is None for one in result["online"])
        text = (
            f"first token p50 {ms(percentile(found, 0.5))}, p99 {ms(percentile(found, 0.99))} = "
            f"{ratio:.2f} × alone (from the second burst on {late_ratio:.2f} ×)"
        )
        return text + (f"; {failed} online requests FAILED" if failed else ""), ratio, failed

    def room_text(self, results, result):
        share, each = self.share_of_room(results, result)
        phases = ", ".join(f"{one:.0%}" for one in each)
        return f"batch {share:.0%} of the room (by phase {phases})", share

    def alone_row(self, results, what):
        found = ttfts(self.alone(results))
        text = f"first token p50 {ms(percentile(found, 0.5))}, p99 {ms(percentile(found, 0.99))}"
        return (what, text, "", None)

    def rows(self, results):
        yield self.alone_row(results, "online through lowtide, no batch")
        for name, text, _, wanted in self.beside:
            result = results[self.prefix + name]
            latency, ratio, failed = self.latency(results, result)
            met = ratio <= wanted and not failed
            yield (f"lowtide, {text}", latency, f"<= {wanted:.2f} ×", met)
            room, share = self.room_text(results, result)
            wanted_room = f">= {self.wanted_room:.0%}"
            yield (f"lowtide, {text}", room, wanted_room, share >= self.wanted_room)

    def plot(self, results, path):
        self.save_panels(path, results, self.room(results))

    def save_panels(self, path, results, room=None):
        panels = []
        for name, text, *_ in self.beside:
            if results.get(self.prefix + name):
                panels += self.time_panels(results[self.prefix + name], text, room)
        plot.save(path, *panels)

    def time_panels(self, result, text, room=None):
        samples = result["samples"]
        concurrency = Panel(f"{text}: concurrency for the batch, and what runs in the engine", height=120)
        speed = Panel(f"{text}: batch lines a second (mean of 5 s)", height=110)
        first = Panel(f"{text}: online time to first token, ms", "seconds", 120, log_y=True)
        for panel in (concurrency, speed, first):
            panel.x_range = (0, self.seconds())
            for (begins, ends), (_, per_s) in zip(
                bounds(self.phases()), self.phases(), strict=True
            ):
                if per_s == max(one for _, one in self.phases()):
                    panel.band(begins, ends)
        concurrency.line([(one["t"], one.get("concurrency")) for one in samples], "concurrency")
        concurrency.line(engine_curve(samples, "running"), "running in the engine")
        concurrency.line(engine_curve(samples, "waiting"), "waiting in the engine", plot.COLORS[3])
        concurrency.level(self.slots, "slots", plot.COLORS[6])
        speed.line(rate_curve(samples), "batch lines a second")
        if room:
            steps = []
            for bound, one in zip(bounds(self.phases()), room, strict=True):
                steps += [(bound[0], one), (bound[1], one)]
            speed.line(steps, "room that online traffic leaves", plot.COLORS[6], "5 3")
        first.dots([(one["at"], 1000 * one["ttft"]) for one in result["online"] if one["ttft"]])
        return concurrency, speed, first


class Direct(Bursts):
    name, title = "direct", "The same online traffic straight to the engine"
    to, alone_name = "engine", "alone-engine"
    beside = (
        ("direct-metrics", "with metrics", [], 1.25),
        ("direct-blind", "without metrics", ["--no-metrics"], 1.5),
    )

    def rows(self, results):
        yield self.alone_row(results, "online straight to the engine, no batch")
        for name, text, _, wanted in self.beside:
            result = results[name]
            latency, ratio, failed = self.latency(results, result)
            met = ratio <= wanted and not failed
            yield (f"lowtide, {text}", latency, f"<= {wanted:.2f} ×", met)
            yield (f"lowtide, {text}", self.room_text(results, result)[0], "", None)


class Others(Bursts):
    """What drivers without a scheduler do to the same traffic."""

    name, title = "others", "For comparison: batch and online straight to the engine, no lowtide"
    to, alone_name = "engine", "alone-engine"
    kinds = (
        ("ungated", "ungated: 512 at once", {"batch": "fixed", "concurrency": 512}),
        ("fixed-64", "fixed: 64 at once", {"batch": "fixed", "concurrency": 64}),
        ("aimd", "AIMD on status codes alone", {"batch": "aimd"}),
    )
    all = (
        ("alone-engine", "online alone"),
        ("bursts-metrics", "lowtide, online through it, metrics"),
        ("bursts-blind", "lowtide, online through it, blind"),
        ("direct-metrics", "lowtide, online past it, metrics"),
        ("direct-blind", "lowtide, online past it, blind"),
        ("fixed-64", "fixed 64"),
        ("aimd", "AIMD"),
        ("ungated", "ungated"),
    )

    def runs(self):
        yield self.run(self.alone_name, [], lowtide=False)
        for name, _, how in self.kinds:
            yield self.run(name, [], lowtide=False, **how)

    def rows(self, results):
        for name, text, _ in self.kinds:
            result = results[name]
            latency = self.latency(results, result)[0]
            yield (text, f"{latency}; {self.room_text(results, result)[0]}", "", None)

    def plot(self, results, path):
        share = Panel(
            "Share of online requests that had their first token within a time",
            "milliseconds", 230, log_x=True,
        )  # fmt: skip
        for name, text in self.all:
            if results.get(name):
                found = sorted(ttfts(results[name]))
                share.line(
                    [(1000 * one, (n + 1) / len(found)) for n, one in enumerate(found)], text
                )
        share.y_range = (0, 1)
        panels = [share]
        for name, text, _ in self.kinds:
            if results.get(name):
                panels += self.time_panels(results[name], text)[::2]
        plot.save(path, *panels)


# ---- who next ----


class Orgs(Scenario):
    name, title = "organizations", "One organization has 1,000,000 lines, another submits 100"
    ROUNDS = 7

    def runs(self):
        engine = ["--slots", SLOTS, "--step-us", 2000, "--seq-us", 10, "--prefill-us", 0]
        yield self.run(
            self.name, kind="orgs", engines=[engine + ["--seed", 1]], weight=4,
            huge=100_000 if self.quick else 1_000_000, small=100, warm=4000,
            rounds=3 if self.quick else self.ROUNDS,
            lines={"seed": 3, "prompt_tokens": 20, "output": (60, 60)},
        )  # fmt: skip

    def rows(self, results):
        result = results[self.name]
        alone, beside = (statistics.median(result[name]) for name in ("alone", "beside"))
        yield (
            "median time of the 100 lines",
            f"{beside:.2f} s beside, {alone:.2f} s alone: {beside / alone:.2f} × "
            f"({len(result['beside'])} each; {result['huge_rest']:,} lines of the other left)",
            "<= 2.50 ×", beside / alone <= 2.5,
        )  # fmt: skip

    def plot(self, results, path):
        result = results[self.name]
        panel = Panel("Seconds until 100 lines have ended, each round", height=150)
        rounds = [(f"alone {n + 1}", one) for n, one in enumerate(result["alone"])]
        rounds += [(f"beside {n + 1}", one) for n, one in enumerate(result["beside"])]
        colors = [plot.COLORS[name.startswith("beside")] for name, _ in rounds]
        panel.bars([one for _, one in rounds], [name for name, _ in rounds], colors)
        plot.save(path, panel)


class Windows(Scenario):
    name, title = "windows", "Three batches whose windows are filled to 90 %"
    WINDOWS_S = (24, 48, 96)

    def runs(self):
        engine = ["--slots", SLOTS, "--step-us", 6000, "--seq-us", 10, "--prefill-us", 10]
        yield self.run(
            self.name, kind="windows", engines=[engine + ["--budget", 2048, "--seed", 1]],
            weight=2, settings={"limits.window_min": "1s"}, windows_s=list(self.WINDOWS_S),
            share=0.9, concurrency=SLOTS, lines={"seed": 3}, capacity_from_s=4, capacity_s=10, warm_s=20,
        )  # fmt: skip

    def rows(self, results):
        result = results[self.name]
        ends = ", ".join(
            f"{one['status']} at {one['ended_s']:.1f} of {one['window_s']} s"
            for one in result["batches"]
        )
        met = all(one["status"] == "completed" for one in result["batches"])
        lines = " + ".join(f"{one['lines']:,}" for one in result["batches"])
        text = f"{ends} ({lines} lines; the engine does {result['capacity']:.0f} a second)"
        yield ("windows of 24, 48 and 96 s", text, "none expires", met)

    def plot(self, results, path):
        panel = Panel("Share of each batch's lines that have ended", "seconds", 200)
        for n, one in enumerate(results[self.name]["batches"]):
            points = [(t, ended / one["lines"]) for t, ended in one["curve"]]
            panel.line(points, f"window of {one['window_s']} s", plot.COLORS[n])
            panel.mark(one["window_s"], "", plot.COLORS[n])
        panel.y_range = (0, 1.05)
        plot.save(path, panel)


class Slow(Scenario):
    name, title = "slow-lines", "One line in 50 takes 60 times longer"
    # Slow lines last 19 s here: until then more and more slots are taken by them.
    FROM, TO = 0.25, 0.90
    variants = (("metrics", "with metrics", []), ("blind", "without metrics", ["--no-metrics"]))

    def count(self):
        return 4000 if self.quick else 8500

    def runs(self):
        engine = ["--slots", SLOTS, "--step-us", 4000, "--seq-us", 20, "--prefill-us", 2]
        engine += ["--budget", 2048, "--seed", 1, "--slow-every", 50, "--slow-factor", 60]
        lines = {"count": self.count(), "seed": 3, "output": (60, 60)}
        for variant, _, more in self.variants:
            for kind, spread in (("slow", []), ("spread", ["--slow-spread"])):
                yield self.run(
                    f"{kind}-{variant}", engines=[engine + more + spread], weight=1.5,
                    batch="lowtide", lines=lines,
                )  # fmt: skip

    def speed(self, result):
        total, times = self.count(), []
        for share in (self.FROM, self.TO):
            times.append(next(one["t"] for one in result["samples"] if one["ended"] >= share * total))
        return rate(result["samples"], *times)

    def rows(self, results):
        for variant, text, _ in self.variants:
            slow = self.speed(results[f"slow-{variant}"])
            spread = self.speed(results[f"spread-{variant}"])
            yield (
                f"lowtide, {text}",
                f"{slow:.1f} lines/s, {spread:.1f} with the slow time spread evenly: "
                f"{slow / spread:.1%}",
                ">= 97 %", slow / spread >= 0.97,
            )  # fmt: skip

    def plot(self, results, path):
        panels = []
        for variant, text, _ in self.variants:
            speed = Panel(f"{text}: lines a second (mean of 5 s)", "seconds", 110)
            concurrency = Panel(f"{text}: concurrency", "seconds", 110)
            for kind, name in (("slow", "one in 50 is slow"), ("spread", "spread evenly")):
                samples = results[f"{kind}-{variant}"]["samples"]
                speed.line(rate_curve(samples), name)
                concurrency.line([(one["t"], one["concurrency"]) for one in samples], name)
            panels += [speed, concurrency]
        plot.save(path, *panels)


# ---- faults ----


class Refusals(Scenario):
    name, title = "refusals", "30 % of answers are 429 with Retry-After of 1 to 5 s"
    LINES = 400

    def runs(self):
        yield self.run(
            self.name, engines=[ENGINE + ["--refuse", 0.3]], batch="lowtide",
            lines={"count": self.LINES, "seed": 3},
        )  # fmt: skip

    def rows(self, results):
        last = results[self.name]["samples"][-1]
        engine = last["engines"][0]
        total = engine["requests"]
        yield ("lines that failed", f"{last['failed']}", "0", last["failed"] == 0)
        paused = engine["paused_requests"]
        yield ("requests during a pause", f"{paused}", "0", paused == 0)
        yield (
            "requests",
            f"{total} for {self.LINES} lines: {total / self.LINES:.2f} × in {last['t']:.0f} s",
            "<= 1.50 ×", total <= 1.5 * self.LINES,
        )  # fmt: skip

    def plot(self, results, path):
        samples = results[self.name]["samples"]
        counts = Panel("Requests and lines so far", "seconds")
        counts.line(engine_curve(samples, "requests"), "requests")
        counts.line(engine_curve(samples, "refused"), "refused with 429")
        counts.line([(one["t"], one["ended"]) for one in samples], "lines that have ended")
        concurrency = Panel("Concurrency", "seconds", 110)
        concurrency.line([(one["t"], one["concurrency"]) for one in samples], "concurrency")
        concurrency.line(engine_curve(samples, "running"), "running in the engine")
        plot.save(path, counts, concurrency)


class Outage(Scenario):
    name, title = "outage", "The upstream is down for 60 s in the middle"
    DOWN_AT, DOWN_S = 20, 60

    def runs(self):
        down_s = 15 if self.quick else self.DOWN_S
        yield self.run(
            self.name, batch="lowtide", lines={"count": 1000, "seed": 3},
            control=[(self.DOWN_AT, {"down_s": down_s})],
        )  # fmt: skip

    def rows(self, results):
        last = results[self.name]["samples"][-1]
        first = last["engines"][0]["first_after_down_s"]
        yield ("lines that failed", f"{last['failed']}", "0", last["failed"] == 0)
        text = "none came" if first is None or first < 0 else f"{first:.2f} s"
        met = first is not None and 0 <= first <= 2
        yield ("first line after its return", text, "<= 2 s", met)

    def plot(self, results, path):
        result = results[self.name]
        samples, down = result["samples"], result["run"]["control"][0]
        panel = Panel("Lines a second (mean of 5 s)", "seconds")
        concurrency = Panel("Concurrency", "seconds", 110)
        for one in (panel, concurrency):
            one.band(down[0], down[0] + down[1]["down_s"])
        panel.line(rate_curve(samples), "lines a second")
        concurrency.line([(one["t"], one["concurrency"]) for one in samples], "concurrency")
        concurrency.line(engine_curve(samples, "running"), "running in the engine")
        plot.save(path, panel, concurrency)


class Two(Scenario):
    name, title = "two-upstreams", "Two upstreams, one four times as fast"
    FROM_S, TO_S = 15, 50

    def runs(self):
        fast = ["--slots", SLOTS, "--step-us", 7500, "--seq-us", 12, "--prefill-us", 12]
        fast += ["--budget", 2048, "--seed", 2]
        yield self.run(
            self.name, engines=[ENGINE, fast], batch="lowtide", weight=1.5,
            lines={"count": 8000, "seed": 3}, stop_s=self.TO_S + 0.5,
        )  # fmt: skip

    def rows(self, results):
        samples = results[self.name]["samples"]
        for number, text in enumerate(("slow one", "fast one")):
            flat = [
                {"t": one["t"], "n": one["engines"][number]["running_seconds"]} for one in samples
            ]
            seconds = at_time(flat, self.TO_S, "n") - at_time(flat, self.FROM_S, "n")
            share = seconds / (SLOTS * (self.TO_S - self.FROM_S))
            measured = f"{share:.1%} of its slot seconds busy"
            yield (text, measured, ">= 90 %", share >= 0.9)

    def plot(self, results, path):
        samples = results[self.name]["samples"]
        running = Panel("Running in each engine", "seconds")
        speed = Panel("Lines a second of each engine (mean of 5 s)", "seconds")
        for number, text in enumerate(("slow one", "fast one")):
            running.line(engine_curve(samples, "running", number), text)
            flat = [
                {"t": one["t"], "n": one["engines"][number]["finished"]} for one in samples
            ]
            speed.line(rate_curve(flat, name="n"), text)
        running.level(SLOTS, "slots", plot.COLORS[6])
        plot.save(path, running, speed)


# ---- prefixes ----


def all_ended_s(part, total):
    if "ended_at" in part:
        return part["ended_at"][total - 1]
    return next(one["t"] for one in part["samples"] if one["ended"] >= total)


class Prefixes(Scenario):
    name, title = "prefixes", "Lines that share prefixes, shuffled"
    PREFIXES, TOKENS = 64, 1500
    cases = (("prefixes", "cache of 8 prefixes", [], 0.6),)

    def lines_each(self):
        return 8 if self.quick else 32

    def engine_arguments(self):
        # It keeps 8 prefixes beside those that running sequences hold, as engines do: with 8 slots
        # that is a quarter of all. (64 slots would hold all 64 by themselves.)
        engine = ["--slots", 8, "--step-us", 30000, "--seq-us", 50, "--prefill-us", 50]
        engine += ["--budget", 2048, "--seed", 1]
        return [*engine, "--cache-tokens", 8 * (self.TOKENS + 100)]

    def lines(self):
        return {
            "kind": "prefix", "prefixes": self.PREFIXES, "lines_each": self.lines_each(),
            "prefix_tokens": self.TOKENS, "seed": 3, "output": 8,
        }  # fmt: skip

    def runs(self):
        for name, _, more, _ in self.cases:
            yield self.run(
                name, kind="prefix", engines=[self.engine_arguments() + more], lines=self.lines()
            )

    def times(self, result):
        total = self.PREFIXES * self.lines_each()
        return [all_ended_s(result[name], total) for name in ("lowtide", "order")]

    def rows(self, results):
        for name, text, _, wanted in self.cases:
            result = results[name]
            lowtide, order = self.times(result)
            measured = (
                f"{lowtide:.1f} s, in input order {order:.1f} s ({result['concurrency']} at once): "
                f"{lowtide / order:.2f} ×"
            )
            yield (text, measured, f"<= {wanted:.2f} ×", lowtide / order <= wanted)

    def plot(self, results, path):
        panel = Panel("Seconds until all lines have ended", height=170)
        names, values = [], []
        for name, text, *_ in self.cases:
            lowtide, order = self.times(results[name])
            names += [f"input order, {text}", f"lowtide, {text}"]
            values += [order, lowtide]
        panel.bars(values, names, plot.COLORS[1::-1])
        plot.save(path, panel)


# ---- llama.cpp ----


class LlamaQuiet(Quiet):
    name, title = "llama-quiet", "llama.cpp: no online traffic"
    engine, prefix, sweep, slots = "llama", "llama-", LLAMA_SWEEP, LLAMA_SLOTS
    engine_arguments = []
    from_s, until_s = WARM_S, 70

    def lines(self):
        return {"count": 1000, **LLAMA_LINES}


class LlamaBursts(Bursts):
    name, title = "llama-bursts", "llama.cpp: bursts of online traffic through lowtide"
    engine, prefix, slots = "llama", "llama-", LLAMA_SLOTS
    engine_arguments = []
    online_more = {"prompt_tokens": 24, "output": 8, "temperature": 0, "ignore_eos": True}
    beside = (
        ("bursts-metrics", "with metrics", [], None),
        ("bursts-blind", "without metrics", ["--no-metrics"], None),
    )

    def phases(self):
        return LLAMA_PHASES

    def lines(self):
        return {"count": 2000, **LLAMA_LINES}

    def rows(self, results):
        yield self.alone_row(results, "online through lowtide, no batch")
        for name, text, *_ in self.beside:
            result = results[self.prefix + name]
            latency = self.latency(results, result)[0]
            done = rate(result["samples"], WARM_S, self.seconds())
            yield (f"lowtide, {text}", f"{latency}; batch {done:.2f} lines/s", "", None)

    def plot(self, results, path):
        self.save_panels(path, results)


class LlamaPrefixes(Prefixes):
    name, title = "llama-prefixes", "llama.cpp: lines that share prefixes, shuffled"
    engine = "llama"
    PREFIXES, TOKENS = 16, 450
    cases = (
        ("llama-prefixes-none", "no prompt cache in host memory", ["--cache-ram-mib", 0], 0.5),
        ("llama-prefixes-default", "default prompt cache", [], 1.0),
    )

    def lines_each(self):
        return 4

    def engine_arguments(self):
        return []

    def lines(self):
        return super().lines() | {"output": 4, "temperature": 0, "ignore_eos": True}


SCENARIOS = (
    Quiet, Bursts, Direct, Others, Orgs, Windows, Slow, Refusals, Prefixes, Outage, Two,
    LlamaQuiet, LlamaBursts, LlamaPrefixes,
)  # fmt: skip
