"""The real llama.cpp server."""

from online import Bursts
from prefixes import Prefixes
from quiet import Quiet
from scenario import COMPUTES, WARM_S, rate

LLAMA_SLOTS = 4
LLAMA_SWEEP = (1, 2, 3, 4, 6, 8)
LLAMA_PHASES = [(20, 0.1), (20, 1.2), (50, 0.1), (20, 1.2), (50, 0.1)]
# A base model: without ignore_eos it would end when it likes.
LLAMA_LINES = {
    "seed": 3, "prompt_tokens": 24, "output": (4, 12), "temperature": 0, "ignore_eos": True,
}  # fmt: skip


class LlamaQuiet(Quiet):
    name, title = "llama-quiet", "llama.cpp: no online traffic"
    engine, prefix, sweep, slots = "llama", "llama-", LLAMA_SWEEP, LLAMA_SLOTS
    not_with_nodes = COMPUTES
    engine_arguments = []
    from_s, until_s = WARM_S, 70

    def lines(self):
        return {"count": 1000, **LLAMA_LINES}


class LlamaBursts(Bursts):
    name, title = "llama-bursts", "llama.cpp: bursts of online traffic through lowtide"
    engine, prefix, slots = "llama", "llama-", LLAMA_SLOTS
    not_with_nodes = COMPUTES
    engine_arguments = []
    online_more = {"prompt_tokens": 24, "output": 8, "temperature": 0, "ignore_eos": True}
    beside = (
        ("bursts-metrics", "with metrics", []),
        ("bursts-blind", "without metrics", ["--no-metrics"]),
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
    not_with_nodes = COMPUTES
    PREFIXES, TOKENS = 16, 450
    cases = (
        (
            "llama-prefixes-none", "no prompt cache in host memory", ["--cache-ram-mib", 0],
            4, None, 0.45,
        ),
        ("llama-prefixes-default", "default prompt cache", [], 4, None, 1.0),
    )  # fmt: skip

    def each(self, lines_each):
        return lines_each

    def engine_arguments(self):
        return []

    def lines(self, lines_each):
        more = {"output": 4, "temperature": 0, "ignore_eos": True}
        return super().lines(lines_each) | more
