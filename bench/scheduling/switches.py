"""Scenario of everything that a real engine's gauges do, each alone and all together."""

import dataclasses

import plot
from plot import Panel
from scenario import Missing, eta_off, limit_changes, waiting_most
from versus import Case, Versus


@dataclasses.dataclass
class Size:
    """An engine of so many slots that does some 100 lines a second with them all."""

    slots: int
    step_us: int
    output: tuple
    steady_lines: int  # some 190 s of them

    def engine(self):
        return [
            "--slots", self.slots, "--step-us", self.step_us, "--seq-us", 50,
            "--prefill-us", 10, "--budget", 2048, "--seed", 1,
        ]  # fmt: skip

    def halves(self):
        """The same slots in two engines."""
        return ["--engines", 2, "--slots", self.slots // 2]

    def lines(self, count):
        return {"count": count, "seed": 3, "prompt_tokens": 50, "output": self.output}

    def switches(self):
        """(name, text, arguments)."""
        bounded = ["--max-queued", self.slots + self.slots // 2]
        alone = (
            ("step-end", "gauges of a step's end", ["--gauges-at-step-end"]),
            ("slow", "metrics take 9 to 33 ms", ["--metrics-ms", "9-33"]),
            ("engines", "two engines by label", self.halves()),
            ("sglang", "SGLang's names", ["--names", "sglang"]),
            ("bounded", "503 from a bounded queue", bounded),
        )
        every = [word for _, _, words in alone for word in words]
        return (("ideal", "ideal gauges", []), *alone, ("all", "all of that", every))


SIZES = (
    Size(8, 8000, (4, 18), 16000),
    Size(64, 10000, (20, 60), 21500),
    Size(256, 30000, (30, 90), 21000),
)


class Engines(Versus):
    name, title = "engines", "What a real engine's gauges do, at 8, 64 and 256 slots"
    STEADY_S = 60  # from then to minute 3 the limit is to stand

    def cases(self):
        for size in SIZES:
            for name, text, more in size.switches():
                # --max-queued would refuse what the reference has in its queue.
                split = size.halves() if "--engines" in more else []
                yield Case(
                    name=f"engines-{size.slots}-{name}", text=f"{size.slots} slots, {text}",
                    engine=size.engine() + more, lines=size.lines(6000), wanted=0.97,
                    fixed=(2 * size.slots,), fixed_engine=size.engine() + split,
                    fixed_name=f"engines-{size.slots}" + ("-two" if split else ""),
                    slots=size.slots,
                )  # fmt: skip

    def steady(self, size):
        return f"engines-{size.slots}-steady"

    def runs(self):
        yield from super().runs()
        for size in SIZES:
            every = size.switches()[-1][2]
            count = size.steady_lines // (6 if self.quick else 1)
            yield self.run(
                self.steady(size), engines=[size.engine() + every], batch="lowtide",
                lines=size.lines(count), before=[{"mark": True}],
            )  # fmt: skip

    def rows(self, results):
        yield from super().rows(results)
        for size in SIZES:
            for name in ("ideal", "all"):
                text = f"{size.slots} slots, {dict((s[0], s[1]) for s in size.switches())[name]}"
                try:
                    most = waiting_most(results[f"engines-{size.slots}-{name}"]["samples"])
                except Missing as why:
                    yield (f"{text}: start", str(why), "", False)
                    continue
                wanted = size.slots // 4
                measured = f"{most:.0f} waited at most in the first 10 s"
                yield (f"{text}: start", measured, f"<= {wanted}", most <= wanted)
        for size in SIZES:
            try:
                yield from self.steady_rows(size, results[self.steady(size)])
            except Missing as why:
                yield (f"{size.slots} slots, steady", str(why), "", False)

    def steady_rows(self, size, result):
        text = f"{size.slots} slots, all of that, steady"
        from_s = 10 if self.quick else self.STEADY_S
        changes = limit_changes(result["samples"], from_s, min(180, result["samples"][-1]["t"] - 5))
        measured = f"{changes:.1f} changes of the limit by more than a tenth a minute"
        yield (text, f"{measured}, from second {from_s} on", "<= 1", changes <= 1)
        quarter, half = eta_off(result, 0.25), eta_off(result, 0.5)
        measured = f"`eta_at` {quarter:.1%} off at a quarter of the time, {half:.1%} at half"
        yield (text, f"{measured} (of {result['samples'][-1]['t']:.0f} s)", "<= 5 %",
               max(quarter, half) <= 0.05)  # fmt: skip

    def plot(self, results, path):
        if not any(results.get(case.name) for case in self.cases()):
            raise Missing("no case was run")
        panels = []
        for size in SIZES:
            own = [case for case in self.cases() if case.slots == size.slots]
            shares = Panel(f"{size.slots} slots: share of twice as many at once", height=110)
            values = [self.share_or_zero(results, case) for case in own]
            shares.bars(values, [case.name.split("-", 2)[2] for case in own], plot.COLORS[:1] * 9)
            limit = Panel(f"{size.slots} slots: the limit of a steady batch", "seconds", 100)
            for name in ("ideal", "all", "steady"):
                result = results.get(f"engines-{size.slots}-{name}")
                if result:
                    limit.line([(one["t"], one["concurrency"]) for one in result["samples"]], name)
            limit.level(size.slots, "slots", plot.COLORS[6])
            panels += [shares, limit]
        plot.save(path, *panels)
