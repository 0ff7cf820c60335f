"""All scenarios, in the order of the table. Each class says what is run, what it must show, and
draws the plot; `--list` tells the runs of each."""

from faults import BadMetrics, Outage, Refusals
from kinds import Loras, Room, Weights
from latency import Fsync, Latency
from llama import LlamaBursts, LlamaPrefixes, LlamaQuiet
from online import Bursts, Direct, Others
from prefixes import Prefixes
from quiet import Quiet
from shares import Orgs, Slow, Two, Windows
from switches import Engines
from vllm import VllmOnline, VllmQuiet

SCENARIOS = (
    Quiet, Engines, Weights, Loras, Room, Latency, Fsync, Bursts, Direct, Others, Orgs, Windows,
    Slow, Refusals, BadMetrics, Prefixes, Outage, Two,
    LlamaQuiet, LlamaBursts, LlamaPrefixes, VllmQuiet, VllmOnline,
)  # fmt: skip
