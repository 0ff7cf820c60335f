"""Online requests through a node that sends a batch, by itself and with two other nodes: the part `online` of
bench/cluster.py.

One connection has one request at a time, as the lone requests of `make bench`, and takes turns with one that goes
straight to the model server. The node that is asked is the one that drives this server and has a batch there, with
16 lines in flight all the time: 1,600 lines/s at 10 ms. There are two more model servers, with a model of their own:

    alone    one node, which drives all three; only the first has a batch
    idle     three nodes, each drives one; only the first has a batch
    busy     the same, and a second batch keeps both others at some 160 lines/s each

in turns, three rounds. What is compared is the whole time to the first byte of an answer, 10 ms of which are the model
server's: 5 % are half a millisecond. `added` beside it is what is above the straight connection at the same time;
of that 5 % would be some microseconds, less than one round differs from the next.

All of it has the machine's cores in common, here perhaps two: other nodes (each asks PostgreSQL 40 times a second when
it has nothing to do), PostgreSQL and the store take them from the node that is asked. So does the second batch, which
`alone` does not have at all: `busy` says what other work beside it costs, not lowtide's protocol alone. The loads are
low, so that p50 tells of lowtide; p99 of a request that now and then waits for a core stays in the figure, and where
nodes have machines of their own it is not there."""

import statistics
import sys
import types

import bench
import online

LATENCY_US, OTHERS_LATENCY_US = 10_000, 100_000
IN_FLIGHT = 16  # to each model server
WARM_S = 3
STATES = {"alone": 1, "idle": 3, "busy": 3}  # nodes
MODELS = ("bench", "bench-2", "bench-2")


def input_of(cluster_bench, model, lines):
    """The usual input, of a model."""
    path = cluster_bench.input(lines)
    if model == "bench":
        return path
    other = path.with_name(f"in-{lines}-{model}.jsonl")
    with open(path, "rb") as usual, open(other, "wb") as out:
        out.writelines(line.replace(b'"bench"', f'"{model}"'.encode()) for line in usual)
    return other


def lines_for(seconds, latency_us, upstreams):
    return int(seconds * IN_FLIGHT * upstreams * 1e6 / latency_us)


class State:
    """What was seen in each round, in milliseconds."""

    def __init__(self):
        self.took = {what: [] for what in online.PERCENTILES}
        self.added = {what: [] for what in online.PERCENTILES}

    def add(self, took):
        for what, share in online.PERCENTILES.items():
            straight, node = (online.at_share(took[name], share) for name in ("straight", "node"))
            self.took[what].append(node)
            self.added[what].append(node - straight)


def one_round(cluster_bench, name, upstreams):
    """The sorted times of both connections."""
    requests = cluster_bench.options.online_requests
    # twice what is sent meanwhile, at least: a batch that ends before would leave the rest without one
    seconds = 2 * (WARM_S + requests * 2 * LATENCY_US * 1.2 / 1e6) + 10
    request = online.Online(cluster_bench, bench).request()
    with cluster_bench.cluster(STATES[name], upstreams, in_flight=IN_FLIGHT * len(upstreams), models=MODELS) as made:
        node = made.driver(0)
        loads = [("bench", lines_for(seconds, LATENCY_US, 1))]
        if name == "busy":
            loads.append(("bench-2", lines_for(seconds, OTHERS_LATENCY_US, 2)))
        batches = []
        for model, lines in loads:
            file_id, _ = node.upload(input_of(cluster_bench, model, lines))
            batches.append(types.SimpleNamespace(id=node.batch_create(file_id), lines=lines))
        for one, (model, _) in zip(batches, loads, strict=True):
            latency = LATENCY_US if model == "bench" else OTHERS_LATENCY_US
            warm = lines_for(WARM_S, latency, MODELS.count(model))
            node.batch_wait(one.id, lambda batch, warm=warm: bench.done(batch) >= warm)
        took = online.in_turns({
            "straight": online.Lone("straight", upstreams[0].port, request),
            "node": online.Lone("node", node.port, request),
        }, requests)  # fmt: skip
        for one in batches:
            if bench.done(node.call("GET", f"/v1/batches/{one.id}")) >= one.lines:
                sys.exit(f"online: a batch of {one.lines:,} lines ended before the requests did")
        if made.driver(0) is not node:
            sys.exit("online: another node drives the model server now")
    return took


def measure(cluster_bench):
    options = cluster_bench.options
    latencies = (LATENCY_US, OTHERS_LATENCY_US, OTHERS_LATENCY_US)
    upstreams = [cluster_bench.upstream_make("-l", latency) for latency in latencies]
    states = {name: State() for name in STATES}
    for n in range(options.rounds):
        for name, state in states.items():
            bench.say(f"online, round {n + 1}: {options.online_requests:,} requests beside a batch, {name}")
            state.add(one_round(cluster_bench, name, upstreams))
    for name, state in states.items():
        for what, values in state.took.items():
            bench.figure(f"online.{what}, {name}", statistics.median(values), "ms", rounds=bench.rounded(values),
                         added=bench.rounded(state.added[what]))  # fmt: skip
    for name in ("idle", "busy"):
        for what in online.PERCENTILES:
            pairs = zip(states[name].took[what], states["alone"].took[what], strict=True)
            ratios = [value / alone for value, alone in pairs]
            bench.figure(f"online.{what}_of_alone, {name}", statistics.median(ratios), "", ("<=", 1.05),
                         rounds=bench.rounded(ratios))  # fmt: skip
