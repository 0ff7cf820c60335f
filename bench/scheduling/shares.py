"""Scenarios of who goes next: organizations, windows, slow lines, several upstreams."""

import statistics

import plot
from plot import Panel
from scenario import ENGINE, SLOTS, Scenario, at_time, engine_curve, rate, rate_curve


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
