"""Scenarios where the time of a request is not the engine's: quick upstreams, slow disks."""

import plot
from plot import Panel
from scenario import Missing, rate
from servers import NODES
from versus import Case, Versus


class Latency(Versus):
    """Every run is lowtide's: the driver here cannot send thousands of lines a second."""

    name, title = "latency", "An upstream of fixed latency that takes any number"
    engine = "upstream"
    from_s, until_s, quick_until_s = 8, 15, 15
    LATENCIES_US = (0, 2000, 10000, 50000)
    FIXED = (16, 64, 256, 1024)
    COUNT = 600_000  # more than are done until the end

    def fixed_name(self, name, fixed):
        return f"{name}-fixed-{fixed}"

    def cases(self):
        for latency_us in self.LATENCIES_US:
            yield Case(
                name=f"latency-{latency_us // 1000}ms", text=f"{latency_us / 1000:g} ms",
                engine=["--latency-us", latency_us], wanted=0.95, work="ended",
                lines={"kind": "short", "count": self.COUNT},
                more={"shared_file": f"short-{self.COUNT}.jsonl"},
            )  # fmt: skip

    def runs(self):
        for run in super().runs():
            for fixed in self.FIXED:
                settings = {"execution.concurrency": fixed}
                yield {**run, "name": self.fixed_name(run["name"], fixed), "settings": settings}
            yield run

    def fixed_speeds(self, results, case):
        found = {n: results.get(self.fixed_name(case.name, n)) for n in self.FIXED}
        return {n: self.speed(result, case) for n, result in found.items() if result}

    def reference(self, results, case):
        found = self.fixed_speeds(results, case)
        if not found:
            raise Missing(f"no reference of `{case.name}` was run")
        n, best = max(found.items(), key=lambda item: item[1])
        return f"the best fixed ({n})", best

    def row(self, results, case):
        what, measured, wanted, met = super().row(results, case)
        fixed = ", ".join(f"{n}: {v:,.0f}" for n, v in self.fixed_speeds(results, case).items())
        stands = results[case.name]["samples"][-1]["concurrency"]
        return (what, f"{measured}; it stands at {stands:,.0f} (fixed {fixed})", wanted, met)

    def plot(self, results, path):
        if not any(results.get(case.name) for case in self.cases()):
            raise Missing("no case was run")
        title = "Lines a second from second 8 on, by fixed concurrency"
        speeds = Panel(title, "requests at once", log_x=True)
        speeds.x_ticks = list(self.FIXED)
        limit = Panel("The limit that lowtide finds", "seconds", log_y=True)
        for n, case in enumerate(self.cases()):
            color = plot.COLORS[n]
            fixed = self.fixed_speeds(results, case)
            if fixed:
                speeds.line(list(fixed.items()), f"fixed, {case.text}", color)
            result = results.get(case.name)
            if result:
                samples = result["samples"]
                speeds.level(self.speed(result, case), "", color)
                points = [(one["t"], max(1, one["concurrency"])) for one in samples]
                limit.line(points, case.text, color)
        plot.save(path, speeds, limit)


class Fsync(Versus):
    """The reference goes straight to the engine and needs no disk."""

    name, title = "fsync", "A disk that takes 10 and 100 ms for each fsync"
    weight = 3  # 800 lines a second
    SLOTS = 8
    ENGINE = ["--slots", SLOTS, "--step-us", 1000, "--seq-us", 0, "--prefill-us", 0, "--seed", 1]

    def cases(self):
        lines = {"count": 40000, "seed": 3, "prompt_tokens": 20, "output": (10, 10)}
        for ms, wanted in ((0, 0.95), (10, 0.95), (100, 0.90)):
            if NODES and ms:
                continue
            for name, text, more in (
                ("metrics", "with metrics", []),
                ("blind", "without metrics", ["--no-metrics"]),
            ):
                yield Case(
                    name=f"fsync-{ms}-{name}", text=f"{ms} ms, {text}", engine=self.ENGINE + more,
                    lines=lines, wanted=wanted, fixed=(8, 16, 32), fixed_name="fsync",
                    fixed_engine=self.ENGINE, slots=self.SLOTS,
                    lowtide_more={"fsync_ms": ms} if ms else {},
                )  # fmt: skip

    def row(self, results, case):
        what, measured, wanted, met = super().row(results, case)
        straight = max(
            rate(results[name]["samples"], self.from_s, self.until_s)
            for name in case.fixed_runs().values()
            if results.get(name)
        )
        return (what, f"{measured}; straight {straight:,.0f} lines/s", wanted, met)

    def rows(self, results):
        yield from super().rows(results)
        if NODES:
            why = "nothing on a node's disk has to last: what has ended is in PostgreSQL and S3"
            yield (f"skipped: 10 and 100 ms: {why}", "", "", None)
