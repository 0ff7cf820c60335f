"""Rows of bench.py beside `dispatch`: `large` has bodies and answers of 4,000 bytes, `wide` has 1,024
requests in flight. Each against wrk with the same."""

import statistics

LARGE_BYTES = 4000
WIDE = 1024  # which is execution.max_concurrency, too
BUDGET_MIB = 320  # limits.memory and what the process takes beside it


def measure(bench, tools, name, lines, upstream, body_bytes=None, in_flight=None):
    body_bytes, in_flight = body_bytes or tools.BODY_BYTES, in_flight or tools.IN_FLIGHT
    path = bench.input(lines, body_bytes)
    wrk, rounds = [], []
    for n in range(bench.options.rounds):
        tools.say(f"{name}, round {n + 1}: wrk, then a batch of {lines:,} lines")
        wrk.append(tools.wrk(bench.options, upstream.port, body_bytes, in_flight)[0])
        settings = {"execution.concurrency": in_flight}
        rounds.append(bench.dispatch_round(path, lines, upstream=upstream, **settings))
    rates = [one["rate"] for one in rounds]
    shares = [rate / of for rate, of in zip(rates, wrk, strict=True)]
    cpu = [one["user_us"] + one["system_us"] for one in rounds]
    peaks = [one["peak_mib"] for one in rounds]
    tools.figure(f"{name}.wrk", statistics.median(wrk), "requests/s", rounds=tools.rounded(wrk))
    tools.figure(f"{name}.rate", statistics.median(rates), "lines/s", rounds=tools.rounded(rates))
    tools.figure(
        f"{name}.of_wrk", statistics.median(shares), "", (">=", 0.4), rounds=tools.rounded(shares)
    )
    tools.figure(
        f"{name}.cpu_per_line", statistics.median(cpu), "us", rounds=tools.rounded(cpu),
        threads=rounds[-1]["threads"],
    )  # fmt: skip
    tools.figure(
        f"{name}.memory", max(peaks), "MiB", ("<=", BUDGET_MIB), rounds=tools.rounded(peaks)
    )


def large(bench, tools):
    upstream = tools.Upstream(bench.options.upstream, "-a", str(LARGE_BYTES))
    measure(bench, tools, "large", bench.options.lines // 3, upstream, body_bytes=LARGE_BYTES)


def wide(bench, tools):
    with tools.many_files():
        measure(bench, tools, "wide", bench.options.lines, bench.upstream, in_flight=WIDE)
