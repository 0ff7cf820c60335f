"""Scenario of lines that begin alike."""

import plot
from plot import Panel
from scenario import Missing, Scenario


def all_ended_s(part, total):
    if "ended_at" in part:
        return part["ended_at"][total - 1]
    return next(one["t"] for one in part["samples"] if one["ended"] >= total)


class Prefixes(Scenario):
    name, title = "prefixes", "Lines that share prefixes, shuffled"
    PREFIXES, TOKENS = 64, 1500
    # (run, text, more arguments of the engine, lines of each prefix, in input order so many at
    # once (None: as many as lowtide had in flight), wanted time against input order)
    cases = (
        ("prefixes", "8 slots, cache of 8 prefixes", ["--slots", 8], 32, None, 0.40),
        ("prefixes-64", "64 slots, cache of 8 prefixes", ["--slots", 64], 16, 64, 0.25),
        (
            "prefixes-own", "8 slots, each with its own cache",
            ["--slots", 8, "--slot-cache", "--names", "llamacpp"], 16, None, None,
        ),
    )  # fmt: skip

    def each(self, lines_each):
        return max(1, lines_each // 4) if self.quick else lines_each

    def engine_arguments(self):
        # It keeps 8 prefixes beside those that running sequences hold, as engines do. (In input
        # order 64 slots hold two thirds of all 64 by themselves.)
        engine = ["--step-us", 30000, "--seq-us", 50, "--prefill-us", 50]
        engine += ["--budget", 2048, "--seed", 1]
        return [*engine, "--cache-tokens", 8 * (self.TOKENS + 100)]

    def lines(self, lines_each):
        return {
            "kind": "prefix", "prefixes": self.PREFIXES, "lines_each": self.each(lines_each),
            "prefix_tokens": self.TOKENS, "seed": 3, "output": 8,
        }  # fmt: skip

    def runs(self):
        for name, _, more, lines_each, concurrency, _ in self.cases:
            yield self.run(
                name, kind="prefix", engines=[self.engine_arguments() + more],
                lines=self.lines(lines_each), concurrency=concurrency,
            )  # fmt: skip

    def times(self, result, lines_each):
        total = self.PREFIXES * self.each(lines_each)
        return [all_ended_s(result[name], total) for name in ("lowtide", "order")]

    def rows(self, results):
        for name, text, _, lines_each, _, wanted in self.cases:
            try:
                result = results[name]
            except Missing as why:
                yield (text, str(why), "", False)
                continue
            lowtide, order = self.times(result, lines_each)
            measured = (
                f"{lowtide:.1f} s, in input order {order:.1f} s ({result['concurrency']} at once): "
                f"{lowtide / order:.2f} ×"
            )
            met = None if wanted is None else lowtide / order <= wanted
            yield (text, measured, "" if wanted is None else f"<= {wanted:.2f} ×", met)

    def plot(self, results, path):
        title = "Seconds until all lines have ended, in input order and through lowtide"
        panel = Panel(title, height=170)
        names, values = [], []
        for name, _, _, lines_each, *_ in self.cases:
            if results.get(name):
                lowtide, order = self.times(results[name], lines_each)
                names += [f"{name}: order", "lowtide"]
                values += [order, lowtide]
        if not values:
            raise Missing("no case was run")
        panel.bars(values, names, plot.COLORS[1::-1])
        plot.save(path, panel)
