"""Scenario without online traffic: every slot is the batch's."""

import plot
from plot import Panel
from scenario import ENGINE, SLOTS, WARM_S, Missing, Scenario, rate, rate_curve

SWEEP = (8, 16, 32, 48, 64, 96, 128, 192)


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
                ">= 97 %", found / best >= 0.97,
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
        best_fixed, best = self.best(results)
        speed.level(best, f"best fixed: {best_fixed}", plot.COLORS[0])
        concurrency.level(self.slots, "slots of the engine", plot.COLORS[6])
        plot.save(path, sweep, speed, concurrency)
