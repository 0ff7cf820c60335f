"""The real vLLM on the CPU: its times are those of a busy core, its counts are not."""

import plot
from online import Bursts
from plot import Panel
from scenario import (
    COMPUTES, WARM_S, Missing, Scenario, engine_curve, ms, percentile, rate, ttfts, waiting_most,
)  # fmt: skip
from servers import vllm_absent
from versus import steps_tokens

SLOTS = 8
# Random weights would end an answer when they like.
LINES = {"seed": 3, "prompt_tokens": 24, "output": (4, 18), "temperature": 0, "ignore_eos": True}


class Vllm(Scenario):
    engine = "vllm"
    not_with_nodes = COMPUTES

    def absent(self):
        return vllm_absent()


class VllmQuiet(Vllm):
    name, title = "vllm-quiet", "vLLM, 8 slots: no online traffic"
    # (what, lines, members of the body, at once in the reference)
    kinds = (
        ("", "lines of some 11 tokens out", 2400, {}, 16),
        ("n4-", "lines with `n: 4`", 600, {"n": 4, "temperature": 0.5}, 4),
    )

    def count(self, lines):
        return lines // 3 if self.quick else lines

    def runs(self):
        for kind, _, lines, members, at_once in self.kinds:
            usual = {
                "lines": {**LINES, "count": self.count(lines), **members}, "timeout_s": 400,
                "engines": [[]], "sample_s": 0.5,
            }  # fmt: skip
            yield self.run(
                f"vllm-{kind}fixed", lowtide=False, batch="fixed", concurrency=at_once, **usual
            )
            yield self.run(f"vllm-{kind}quiet", batch="lowtide", **usual)

    def figures(self, result):
        """(tokens a step, lines a second, from when, until when) of the full load: until as many
        lines are left as the engine has slots, twice."""
        samples, last = result["samples"], result["samples"][-1]["ended"] - 2 * SLOTS
        until_s = next(one["t"] for one in samples if one["ended"] >= last)
        from_s = min(WARM_S, until_s / 2)
        tokens = steps_tokens(samples, from_s, until_s)
        return tokens, rate(samples, from_s, until_s), from_s, until_s

    def rows(self, results):
        for kind, text, _, _, at_once in self.kinds:
            try:
                fixed = self.figures(results[f"vllm-{kind}fixed"])
                result = results[f"vllm-{kind}quiet"]
            except Missing as why:
                yield (text, str(why), "", False)
                continue
            tokens, lines, from_s, until_s = self.figures(result)
            failed = result["samples"][-1]["failed"]
            measured = (
                f"{tokens:.2f} tokens a step from second {from_s:.0f} to {until_s:.0f}, with "
                f"{at_once} lines at once {fixed[0]:.2f}: {tokens / fixed[0]:.1%} "
                f"(lines/s {lines / fixed[1]:.1%})"
            )
            if failed:
                measured += f"; {failed} lines FAILED"
            met = tokens >= 0.97 * fixed[0] and not failed
            yield (text, measured, ">= 97 %", met)
        most = waiting_most(results["vllm-quiet"]["samples"])
        wanted = SLOTS // 4
        measured = f"{most:.0f} waited at most in the first 10 s, as sampled"
        yield ("start", measured, f"<= {wanted}", most <= wanted)

    def plot(self, results, path):
        panels = []
        for kind, text, _, _, at_once in self.kinds:
            panel = Panel(f"{text}: the limit, and what the engine has", "seconds", 110)
            full = Panel(f"{text}: tokens a step (mean of 5 s)", "seconds", 110)
            for run, name in (("quiet", "lowtide"), ("fixed", f"{at_once} at once")):
                result = results.get(f"vllm-{kind}{run}")
                if result:
                    samples = result["samples"]
                    times = [one["t"] for one in samples if one["t"] > 5]
                    full.line([(t, steps_tokens(samples, t - 5, t)) for t in times], name)
            result = results[f"vllm-{kind}quiet"]
            panel.line([(one["t"], one["concurrency"]) for one in result["samples"]], "limit")
            panel.line(engine_curve(result["samples"], "running"), "running")
            panel.line(engine_curve(result["samples"], "waiting"), "waiting", plot.COLORS[3])
            panel.level(SLOTS, "slots", plot.COLORS[6])
            panels += [panel, full]
        plot.save(path, *panels)


class VllmOnline(Vllm, Bursts):
    name, title = "vllm-online", "vLLM, 8 slots: online traffic through lowtide, beside a batch"
    prefix, slots, engine_arguments = "vllm-", SLOTS, []
    online_more = {
        "prompt_tokens": 24, "output": 8, "temperature": 0, "ignore_eos": True, "any_text": True,
    }  # fmt: skip
    beside = (("beside", "with metrics", [], 1.10),)

    def phases(self):
        return [(20, 3), (40, 3)] if self.quick else [(20, 3), (120, 3)]

    def lines(self):
        return {**LINES, "count": 12000}

    def runs(self):
        for run in super().runs():
            yield {**run, "sample_s": 0.5}

    def rows(self, results):
        # The batch has found its limit before the second phase.
        yield self.alone_row(results, "online through lowtide, no batch")
        result = results["vllm-beside"]
        late = ttfts(result, {1})
        alone = ttfts(self.alone(results), {1})
        ratio = percentile(late, 0.99) / percentile(alone, 0.99)
        failed = sum(one["ttft"] is None for one in result["online"])
        samples = result["samples"]
        begins, ends = self.phases()[0][0], self.seconds()
        tokens = steps_tokens(samples, begins, min(ends, samples[-1]["t"]))
        measured = (
            f"first token p50 {ms(percentile(late, 0.5))}, p99 {ms(percentile(late, 0.99))} = "
            f"{ratio:.2f} × alone; {tokens:.2f} tokens a step"
        )
        if failed:
            measured += f"; {failed} online requests FAILED"
        yield ("lowtide, with metrics", measured, "<= 1.10 ×", ratio <= 1.10 and not failed)

    def plot(self, results, path):
        self.save_panels(path, results)
