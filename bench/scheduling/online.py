"""Scenarios of online traffic beside a batch."""

import plot
from plot import Panel
from quiet import Quiet
from scenario import (
    ENGINE, SLOTS, WARM_S, Missing, Scenario, at_time, bounds, engine_curve, ms, percentile, rate,
    rate_curve, ttfts,
)  # fmt: skip

PHASES = [(30, 1), (30, 15), (90, 1), (30, 15), (90, 1)]
QUICK_PHASES = [(10, 1), (15, 15), (25, 1), (15, 15), (25, 1)]
LATE = {3, 4}  # the second burst and what follows


class Bursts(Scenario):
    """Runs that several rows share: online traffic alone, and beside a batch of each kind."""

    name, title = "bursts", "Bursts of online traffic through lowtide, beside a batch"
    prefix, slots = "", SLOTS
    engine_arguments = ENGINE
    seed = 7
    lines_a_second = 27
    online_more = {}
    to = "lowtide"
    alone_name = "alone-lowtide"
    # (run, text, more arguments of the engine, wanted p99 against alone, wanted share of the room)
    beside = (
        ("bursts-metrics", "with metrics", [], 1.10, 0.85),
        (
            "bursts-real", "with metrics as a real engine tells them",
            ["--gauges-at-step-end", "--metrics-ms", "9-33"], 1.10, 0.85,
        ),
        ("bursts-blind", "without metrics", ["--no-metrics"], 1.10, 0.80),
    )  # fmt: skip

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
        for name, _, arguments, *_ in self.beside:
            yield self.run(self.prefix + name, arguments, batch="lowtide")

    def quiet(self):
        return Quiet(self.quick)

    def alone(self, results):
        return results[self.prefix + self.alone_name]

    def room(self, results):
        """Lines a second that online traffic leaves, phase by phase."""
        concurrency, best = self.quiet().best(results)
        concurrency, found = min(concurrency, self.slots), []
        samples = self.alone(results)["samples"]
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

    def ratio(self, results, result, phases=None):
        """p99 of the time to first token in these phases, against online traffic alone in them."""
        alone = ttfts(self.alone(results), phases)
        return percentile(ttfts(result, phases), 0.99) / percentile(alone, 0.99)

    def latency(self, results, result):
        """(text, p99 ratio) against online traffic alone."""
        found = ttfts(result)
        ratio, late_ratio = self.ratio(results, result), self.ratio(results, result, LATE)
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
        for name, text, _, wanted, wanted_room in self.beside:
            result = results[self.prefix + name]
            latency, ratio, failed = self.latency(results, result)
            met = ratio <= wanted and not failed
            yield (f"lowtide, {text}", latency, f"<= {wanted:.2f} ×", met)
            room, share = self.room_text(results, result)
            yield (f"lowtide, {text}", room, f">= {wanted_room:.0%}", share >= wanted_room)

    def plot(self, results, path):
        self.save_panels(path, results, self.room(results))

    def save_panels(self, path, results, room=None):
        panels = []
        for name, text, *_ in self.beside:
            if results.get(self.prefix + name):
                panels += self.time_panels(results[self.prefix + name], text, room)
        if not panels:
            raise Missing("no run beside a batch has a result")
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
    FIRST_BURST = 14.8
    beside = (
        ("direct-metrics", "with metrics", []),
        ("direct-blind", "without metrics", ["--no-metrics"]),
    )

    def rows(self, results):
        yield self.alone_row(results, "online straight to the engine, no batch")
        for name, text, _ in self.beside:
            result = results[name]
            latency, ratio, failed = self.latency(results, result)
            if name == "direct-metrics":
                met = ratio <= 1.25 and not failed
                yield (f"lowtide, {text}", latency, "<= 1.25 ×", met)
            else:
                yield (f"lowtide, {text}", latency, "", None)
                late = self.ratio(results, result, LATE)
                measured = f"p99 {late:.2f} × alone"
                what = f"lowtide, {text}, from the second burst on"
                yield (what, measured, "<= 1.50 ×", late <= 1.5 and not failed)
                first, wanted = self.ratio(results, result, {1}), self.FIRST_BURST
                what = f"lowtide, {text}, first burst"
                yield (what, f"p99 {first:.2f} × alone", f"<= {wanted:.2f} ×", first <= wanted)
            yield (f"lowtide, {text}", self.room_text(results, result)[0], "", None)


class Others(Bursts):
    """What drivers without a scheduler do to the same traffic."""

    name, title = "others", "For comparison: batch and online straight to the engine, no lowtide"
    not_with_nodes = "there is no lowtide in it"
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
