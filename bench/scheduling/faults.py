"""Scenarios of upstreams that refuse, go away, or say what is not so."""

import plot
from plot import Panel
from scenario import ENGINE, SLOTS, Missing, Scenario, engine_curve, rate_curve
from versus import Case, Versus


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


class BadMetrics(Versus):
    """Each case changes something in the middle; its reference is lowtide in front of the same
    engine, with the same change, that has no metrics."""

    name, title = "bad-metrics", "Metrics that lie, and engines that change under lowtide"
    AT_S, DECIDED_S = 20, 10
    from_s, until_s, quick_until_s = AT_S + DECIDED_S, 65, 45
    GATEWAY = "bad-gateway"
    LIES = (
        ("constant", "a constant"),
        ("zero", "zero"),
        ("huge", "10^18"),
        ("negative", "negative"),
        ("other", "another engine's"),
        ("kind", "text that changes its kind"),
    )

    def changes(self):
        """(name, text, engine, lines, control before, control in the middle, whether they lie)."""
        lines = {"count": 3000, "seed": 3}
        for lie, text in self.LIES:
            yield (f"lie-{lie}", f"gauges lie: {text}", ENGINE, lines, [], [{"lie": lie}], True)
        few, many = ["--slots", 16, *ENGINE[2:]], ENGINE
        for name, engine, slots in (("fewer", many, 16), ("more", few, SLOTS)):
            text = f"restarted with {slots} slots instead of {engine[1]}"
            middle = [{"slots": slots, "down_s": 1}]
            yield (f"slots-{name}", text, engine, lines, [], middle, False)
        # 400 lines a second with short answers, 4 with long ones.
        engine = ["--slots", 8, "--step-us", 10000, "--seq-us", 0, "--prefill-us", 0, "--seed", 1]
        lines = {"count": 30000, "seed": 3, "prompt_tokens": 20, "output": (2, 2)}
        for name, before, after in (("longer", 1, 100), ("shorter", 100, 1)):
            text = f"answers a hundred times {name}"
            first, then = [{"answer_factor": before}], [{"answer_factor": after}]
            yield (f"answers-{name}", text, engine, lines, first, then, False)

    def blind_name(self, name):
        return "bad-blind" if name.startswith("lie-") else f"bad-{name}-blind"

    def cases(self):
        for name, text, engine, lines, *_ in self.changes():
            yield Case(
                name=f"bad-{name}", text=text, engine=engine, lines=lines, wanted=0.97,
                against=self.blind_name(name),
            )  # fmt: skip
        yield Case(
            name=self.GATEWAY, text="the upstream is a gateway with metrics of its own",
            engine=ENGINE, lines={}, wanted=0.97, against=self.blind_name("lie-"),
        )  # fmt: skip

    def runs(self):
        for name, _, engine, lines, before, middle, lies in self.changes():
            usual = {
                "batch": "lowtide", "lines": lines, "stop_s": self.until_s + 0.5, "before": before,
                "control": [(self.AT_S, what) for what in middle],
            }  # fmt: skip
            more = {"said_from_s": self.AT_S - 0.5} if lies else {}
            yield self.run(f"bad-{name}", engines=[engine], **usual, **more)
            blind = [*engine, "--no-metrics"]
            if not lies:
                yield self.run(self.blind_name(name), engines=[blind], **usual)
        usual |= {"lines": {"count": 3000, "seed": 3}, "before": [], "control": []}
        yield self.run(self.GATEWAY, engines=[ENGINE], gateway=True, **usual)
        yield self.run(self.blind_name("lie-"), engines=[[*ENGINE, "--no-metrics"]], **usual)

    def rows(self, results):
        yield from super().rows(results)
        for name, text, *_, lies in self.changes():
            if not lies:
                continue
            try:
                said = results[f"bad-{name}"].get("said") or []
            except Missing:
                continue
            late = self.AT_S + self.DECIDED_S
            measured = f"after {said[0][0] - self.AT_S:.1f} s" if said else "nothing"
            met = bool(said) and said[0][0] <= late
            yield (f"{text}: said in the log", measured, f"<= {self.DECIDED_S} s", met)
