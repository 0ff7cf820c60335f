"""Cases of one form: lowtide in front of an engine, against the best fixed concurrency straight to
that engine, or against another run of lowtide."""

import dataclasses
import math

import plot
from plot import Panel
from scenario import (
    WARM_S, Missing, Scenario, engine_curve, rate, stat_at, stat_rate,
)  # fmt: skip


@dataclasses.dataclass
class Case:
    name: str  # of lowtide's run
    text: str
    engine: list
    lines: dict
    wanted: float
    fixed: tuple = ()  # concurrencies of the reference; () and `against`: a run of lowtide
    fixed_name: str = ""  # several cases may share a reference
    fixed_engine: list = None  # where it is not the case's own
    against: str = ""
    work: str = "output_tokens"  # the counter of the engine that is compared; or `ended`
    slots: int = 0
    more: dict = dataclasses.field(default_factory=dict)  # of both runs
    lowtide_more: dict = dataclasses.field(default_factory=dict)  # of lowtide's run

    def fixed_runs(self):
        return {n: f"{self.fixed_name or self.name}-fixed-{n}" for n in self.fixed}


class Versus(Scenario):
    """A scenario of such cases."""

    from_s, until_s, quick_until_s = WARM_S, 40, 20
    weight = 1
    BARS = 5  # in a panel: their names are long

    def __init__(self, quick):
        super().__init__(quick)
        if quick:
            self.until_s = self.quick_until_s

    def cases(self):
        raise NotImplementedError

    def runs(self):
        made = set()
        for case in self.cases():
            usual = {
                "lines": case.lines, "stop_s": self.until_s + 0.5, "weight": self.weight,
                "before": [{"mark": True}] if self.engine == "sim" else [], **case.more,
            }  # fmt: skip
            engine = case.engine if case.fixed_engine is None else case.fixed_engine
            for n, name in case.fixed_runs().items():
                if name in made:
                    continue
                made.add(name)
                yield self.run(
                    name, engines=[engine], lowtide=False, batch="fixed", concurrency=n, **usual
                )
            yield self.run(
                case.name, engines=[case.engine], batch="lowtide", **usual | case.lowtide_more
            )

    def speed(self, result, case):
        return stat_rate(result["samples"], self.from_s, self.until_s, case.work)

    def reference(self, results, case):
        """(text, work a second)."""
        if case.against:
            return f"`{case.against}`", self.speed(results[case.against], case)
        found = {
            n: self.speed(results[name], case)
            for n, name in case.fixed_runs().items()
            if results.get(name)
        }
        if not found:
            raise Missing(f"no reference of `{case.name}` was run")
        n, best = max(found.items(), key=lambda item: item[1])
        return f"the best fixed ({n} at once)", best

    def share(self, results, case):
        """(text of the reference, lowtide's share of it)."""
        text, best = self.reference(results, case)
        return text, self.speed(results[case.name], case) / best if best else math.nan

    def share_or_zero(self, results, case):
        try:
            return self.share(results, case)[1]
        except Missing:
            return 0

    def row(self, results, case):
        samples = results[case.name]["samples"]
        text, share = self.share(results, case)
        lines = rate(samples, self.from_s, self.until_s)
        measured = f"{lines:,.1f} lines/s, {share:.1%} of {text}"
        if case.slots:
            busy = stat_rate(samples, self.from_s, self.until_s, "running_seconds") / case.slots
            measured += f"; {busy:.1%} of slot seconds busy"
        if failed := samples[-1]["failed"]:
            measured += f"; {failed:,} lines FAILED"
        return (case.text, measured, f">= {case.wanted:.0%}", share >= case.wanted and not failed)

    def rows(self, results):
        for case in self.cases():
            try:
                yield self.row(results, case)
            except Missing as why:
                yield (case.text, str(why), "", False)

    def plot(self, results, path):
        done = [case for case in self.cases() if results.get(case.name)]
        if not done:
            raise Missing("no case was run")
        panels = []
        for first in range(0, len(done), self.BARS):
            part = done[first : first + self.BARS]
            shares = Panel("Share of the reference", height=100)
            values = [self.share_or_zero(results, case) for case in part]
            shares.bars(values, [case.name for case in part], plot.COLORS[:1] * len(part))
            panels.append(shares)
        for case in done:
            samples = results[case.name]["samples"]
            panel = Panel(f"{case.text}: limit, and what the engine has", "seconds", 90)
            panel.line([(one["t"], one["concurrency"]) for one in samples], "limit")
            panel.line(engine_curve(samples, "running"), "running")
            panel.line(engine_curve(samples, "waiting"), "waiting", plot.COLORS[3])
            if case.slots:
                panel.level(case.slots, "slots", plot.COLORS[6])
            panels.append(panel)
        plot.save(path, *panels)


def steps_tokens(samples, begins, ends):
    """Tokens of a step between two times."""
    steps = stat_at(samples, ends, "steps") - stat_at(samples, begins, "steps")
    tokens = stat_at(samples, ends, "output_tokens") - stat_at(samples, begins, "output_tokens")
    return tokens / steps if steps else math.nan
