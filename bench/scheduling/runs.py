"""How a run goes: its programs are started, the load is sent, and what happens is written down.

A run is a dict of plain values (see Scenario.runs() in scenario.py); so is what comes of it, which
is kept in build/bench/scheduling/results/NAME.json. Times are seconds from when the load begins.
"""

import asyncio
import contextlib
import datetime
import json
import os
import pathlib
import statistics
import time

import load
from load import Aimd, Broken, Driver
from nodes import Nodes
from servers import FINAL, HERE, NODES, Lowtide, ended, engine_class, say

SAMPLE_S = 0.25
STATS = (
    "running", "waiting", "running_seconds", "waiting_seconds", "busy_seconds", "prefill_tokens",
    "cached_tokens", "output_tokens", "requests", "finished", "refused", "cancelled", "steps",
    "paused_requests", "down_requests", "first_after_down_s", "waiting_most", "preemptions",
    "rejected",
)  # fmt: skip


def cpu_times():
    """Ticks of all processors: (idle, all)."""
    fields = pathlib.Path("/proc/stat").read_text().split("\n")[0].split()[1:]
    ticks = [int(field) for field in fields[:8]]
    return ticks[3] + ticks[4], sum(ticks)


LINES = {
    "plain": load.plain_lines, "prefix": load.prefix_lines, "inputs": load.input_lines,
    "short": load.short_lines,
}  # fmt: skip


def bodies_of(run, model):
    spec = dict(run["lines"])
    return LINES[spec.pop("kind", "plain")](model, **spec)


def url_of(run):
    return run.get("url", load.CHAT)


class Scene:
    """The programs of one run."""

    def __init__(self, run):
        self.run = run
        self.directory = HERE / "runs" / run["name"]
        self.directory.mkdir(parents=True, exist_ok=True)
        for old in self.directory.glob("*.log"):
            old.unlink()
        self.engines, self.gateway, self.lowtide = [], None, None
        self.samples = []
        self.batch_ids, self.driver = [], None

    async def __aenter__(self):
        make = engine_class(self.run["engine"])
        try:
            for number, arguments in enumerate(self.run["engines"]):
                self.engines.append(make(self.directory, number, arguments))
            for engine in self.engines:
                await engine.ready()
            self.model = self.engines[0].model
            if self.run.get("lowtide", True):
                settings = self.run.get("settings", {})
                fsync_ms, upstreams = self.run.get("fsync_ms"), self.engines
                if self.run.get("gateway"):
                    # Another lowtide, for which all of this one's lines are online requests.
                    self.gateway = Lowtide(self.directory, self.engines, {}, name="gateway")
                    await self.gateway.ready()
                    upstreams = [self.gateway]
                if NODES:
                    self.lowtide = Nodes(self.directory, upstreams, settings, NODES)
                else:
                    self.lowtide = Lowtide(self.directory, upstreams, settings, fsync_ms)
                await self.lowtide.ready()
        except BaseException:
            self.stop()
            raise
        return self

    async def __aexit__(self, *_):
        self.stop()

    def stop(self):
        for program in (self.lowtide, self.gateway, *self.engines):
            if program is not None:
                program.stop()

    async def upload(self, bodies, name="in.jsonl", key=None):
        path = self.directory / name
        await asyncio.to_thread(load.write_lines, path, bodies, url_of(self.run))
        try:
            return await self.lowtide.upload(path, key)
        finally:
            path.unlink()

    async def upload_all(self):
        """The ids of its files: one for each model that the run names, or one for the engine's.
        A `shared_file` is written once and kept for other runs."""
        shared = self.run.get("shared_file")
        if shared:
            path = HERE / shared
            if not path.exists():
                temporary = path.with_suffix(".tmp")
                bodies = bodies_of(self.run, self.model)
                await asyncio.to_thread(load.write_lines, temporary, bodies, url_of(self.run))
                os.replace(temporary, path)
            return [await self.lowtide.upload(path)]
        models = self.run.get("models", [self.model])
        return [await self.upload(bodies_of(self.run, model)) for model in models]

    async def batches(self):
        """All its batches as one: counts summed, the rest of the first that has not ended."""
        batches = [await self.lowtide.batch(batch_id) for batch_id in self.batch_ids]
        live = next((one for one in batches if one["status"] not in FINAL), batches[-1])
        made = {"ended": sum(ended(one) for one in batches)}
        made["failed"] = sum(one["request_counts"]["failed"] for one in batches)
        made["status"] = live["status"]
        more = live.get("lowtide") or {}
        return made | {name: more.get(name) for name in ("rate_per_s", "eta_at", "stall_reason")}

    async def sample(self):
        """One look at everything."""
        one = {"t": round(time.monotonic() - self.began, 3)}
        one["engines"] = []
        for number, engine in enumerate(self.engines):
            try:
                stats = await engine.stats()
            except Broken:  # it is down: as it was before, but nothing runs
                stats = {**self.samples[-1]["engines"][number], "running": 0, "waiting": 0}
            one["engines"].append({name: stats[name] for name in STATS if name in stats})
        if self.batch_ids:
            one |= await self.batches()
        elif self.driver:
            one |= {"ended": self.driver.ended, "failed": self.driver.failed}
            one |= {"concurrency": self.driver.concurrency}
        if self.lowtide:
            one["lanes"] = await self.lowtide.lanes()
            one["concurrency"] = sum(lane["concurrency"] for lane in one["lanes"])
        self.samples.append(one)
        return one

    async def sample_until(self, stop_s):
        """Samples until the time, or (None) until all lines of the batch have ended."""
        while True:
            one = await self.sample()
            if stop_s is not None and one["t"] >= stop_s:
                return
            if stop_s is None and self.batch_ids and one["status"] in FINAL:
                return
            if stop_s is None and self.driver and self.driver.finished:
                return
            if one["t"] > self.run.get("timeout_s", 600):
                raise Broken("it does not end in time")
            every_s = self.run.get("sample_s", SAMPLE_S)
            due = self.began + every_s * (1 + int(one["t"] / every_s))
            await asyncio.sleep(max(0.01, due - time.monotonic()))

    async def drive(self, driver):
        """Starts it; it is cancelled with the run."""
        self.driver = driver
        return asyncio.create_task(driver.run())


# ---- the usual run: a batch, online requests, or both ----


async def run_load(run):
    async with Scene(run) as scene:
        by = run.get("batch")
        port = scene.engines[0].port
        file_ids = await scene.upload_all() if by == "lowtide" else []
        for what in run.get("before", []):
            await scene.engines[0].control(what)
        scene.began, began_at = time.monotonic(), time.time()
        tasks = []
        if by == "lowtide":
            for file_id in file_ids:
                scene.batch_ids.append(await scene.lowtide.batch_create(file_id, url=url_of(run)))
        elif by == "fixed":
            model = run.get("models", [scene.model])[0]
            bodies = bodies_of(run, model)
            driver = Driver(port, bodies, run["concurrency"], url_of(run))
            tasks.append(await scene.drive(driver))
        elif by == "aimd":
            tasks.append(await scene.drive(Aimd(port, bodies_of(run, scene.model))))
        online = None
        if "online" in run:
            spec = dict(run["online"])
            through = spec.pop("to") == "lowtide"
            online = asyncio.create_task(
                load.online(
                    scene.lowtide.ports if through else [port],
                    scene.lowtide.key if through else None,
                    scene.model, began=scene.began, **spec,
                )
            )  # fmt: skip
        for at, what in run.get("control", []):
            tasks.append(asyncio.create_task(control_at(scene, at, what)))
        made = {"samples": scene.samples, "began_at": began_at}
        if "said_from_s" in run:
            made["said"] = []
            tasks.append(asyncio.create_task(said_watch(scene, run["said_from_s"], made["said"])))
        await scene.sample_until(run.get("stop_s"))
        for task in tasks:
            task.cancel()
        if online:
            made["online"] = await asyncio.wait_for(online, 60)
        if scene.driver:
            made["ended_at"] = [round(at - scene.began, 3) for at in scene.driver.ended_at]
        return made


async def control_at(scene, at, what):
    await asyncio.sleep(max(0, scene.began + at - time.monotonic()))
    await scene.engines[0].control(what)


async def said_watch(scene, from_s, said):
    """Adds [second, line] of each line about metrics that lowtide logs from then on."""
    await asyncio.sleep(max(0, scene.began + from_s - time.monotonic()))
    with contextlib.ExitStack() as opened:
        logs = [opened.enter_context(open(path)) for path in scene.lowtide.log_paths]
        rests = [""] * len(logs)
        for log in logs:
            log.seek(0, os.SEEK_END)
        while True:
            await asyncio.sleep(0.2)
            for n, log in enumerate(logs):
                *lines, rests[n] = (rests[n] + log.read()).split("\n")
                t = round(time.monotonic() - scene.began, 1)
                said += [[t, line] for line in lines if "metrics" in line][: 20 - len(said)]


# ---- prefixes: the same file in input order, at the concurrency that lowtide used ----


def mean_in_flight(samples):
    """Requests at the engine, while there were any."""
    counts = [one["engines"][0]["running"] + one["engines"][0]["waiting"] for one in samples]
    return statistics.mean([count for count in counts if count] or [1])


async def run_prefix(run):
    lowtide = await run_load(run | {"batch": "lowtide"})
    concurrency = run.get("concurrency") or max(1, round(mean_in_flight(lowtide["samples"][4:])))
    order = run | {"name": run["name"] + "-order", "lowtide": False, "batch": "fixed"}
    driver = await run_load(order | {"concurrency": concurrency})
    return {"lowtide": lowtide, "order": driver, "concurrency": concurrency}


# ---- a small batch of one organization beside a huge one of another ----


async def run_orgs(run):
    async with Scene(run) as scene:
        lowtide, small = scene.lowtide, run["small"]
        other = lowtide.new_org("other")
        spec = {key: value for key, value in run["lines"].items() if key != "count"}
        huge_path = HERE / "huge.jsonl"
        bodies = load.plain_lines(scene.model, count=run["huge"], **spec)
        say(f"{run['name']}: {run['huge']:,} lines are written")
        await asyncio.to_thread(load.write_lines, huge_path, bodies)
        huge = await lowtide.upload(huge_path)
        huge_path.unlink()
        warm = await scene.upload(load.plain_lines(scene.model, count=run["warm"], **spec))
        file_id = await scene.upload(
            load.plain_lines(scene.model, count=small, **{**spec, "seed": 5}), "s.jsonl", other
        )

        async def times(rounds):
            found = []
            for _ in range(rounds):
                began = time.monotonic()
                batch_id = await lowtide.batch_create(file_id, key=other)
                await lowtide.batch_wait(batch_id, lambda b: ended(b) == small, other)
                found.append(round(time.monotonic() - began, 3))
                await asyncio.sleep(run.get("pause_s", 0.5))
            return found

        scene.began = time.monotonic()
        batch_id = await lowtide.batch_create(warm)
        await lowtide.batch_wait(batch_id, lambda b: b["status"] == "completed")
        alone = await times(run["rounds"])
        huge_id = await lowtide.batch_create(huge)
        scene.batch_ids = [huge_id]
        await lowtide.batch_wait(huge_id, lambda b: ended(b) >= run["warm"])
        await scene.sample()
        beside = await times(run["rounds"])
        await scene.sample()
        rest = run["huge"] - ended(await lowtide.batch(huge_id))
        return {"samples": scene.samples, "alone": alone, "beside": beside, "huge_rest": rest}


# ---- three windows that just fit ----


async def capacity_of(scene, run):
    """Lines a second of the same engine at a fixed concurrency, measured before."""
    bodies = load.plain_lines(scene.model, count=10**6, **run["lines"])
    driver = Driver(scene.engines[0].port, bodies, run["concurrency"])
    task = asyncio.create_task(driver.run())
    await asyncio.sleep(run["capacity_from_s"])
    first, began = driver.ended, time.monotonic()
    await asyncio.sleep(run["capacity_s"])
    rate = (driver.ended - first) / (time.monotonic() - began)
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    return rate


async def run_windows(run):
    async with Scene(run) as scene:
        lowtide = scene.lowtide
        capacity = await capacity_of(scene, run)
        warm_count = int(capacity * run["warm_s"])
        warm = await scene.upload(load.plain_lines(scene.model, count=warm_count, **run["lines"]))
        batches, before_s = [], 0
        for window_s in run["windows_s"]:
            count = int(run["share"] * capacity * (window_s - before_s))
            bodies = load.plain_lines(scene.model, count=count, **run["lines"])
            name = f"window-{window_s}.jsonl"
            batches.append({"window_s": window_s, "lines": count, "curve": []})
            batches[-1]["file"] = await scene.upload(bodies, name)
            before_s = window_s
        warm_id = await lowtide.batch_create(warm)
        await lowtide.batch_wait(warm_id, lambda b: ended(b) >= warm_count * 0.9)
        # Windows end at full seconds: a batch made late in one loses up to a second.
        await asyncio.sleep(1.02 - time.time() % 1)
        scene.began = time.monotonic()
        for one in reversed(batches):  # the one of the longest window first, if order mattered
            one["id"] = await lowtide.batch_create(one.pop("file"), f"{one['window_s']}s")
        while True:
            t = round(time.monotonic() - scene.began, 2)
            states = [await lowtide.batch(one["id"]) for one in batches]
            for one, batch in zip(batches, states, strict=True):
                one["curve"].append((t, ended(batch)))
                one["status"] = batch["status"]
                at_risk = (batch.get("lowtide") or {}).get("at_risk")
                one["at_risk"] = one.get("at_risk", False) or bool(at_risk)
                if batch["status"] in FINAL:
                    one.setdefault("ended_s", t)
            if all(batch["status"] in FINAL for batch in states):
                break
            if t > run["windows_s"][-1] + 30:
                raise Broken("a batch is neither done nor expired after its window")
            await asyncio.sleep(SAMPLE_S)
        return {"capacity": capacity, "batches": batches}


# ---- all ----

KINDS = {"load": run_load, "prefix": run_prefix, "orgs": run_orgs, "windows": run_windows}


def result_path(name):
    return HERE / "results" / f"{name}.json"


def run_now(run):
    """Does it and keeps what comes of it."""
    began, before = time.monotonic(), cpu_times()
    made = {"run": run, "at": datetime.datetime.now().astimezone().isoformat(timespec="seconds")}
    try:
        made |= asyncio.run(KINDS[run.get("kind", "load")](run))
    except Broken as error:
        made["fault"] = str(error)
    after = cpu_times()
    made["took_s"] = round(time.monotonic() - began, 1)
    # Little idle time: the figures say more about the machine than about the scheduler.
    made["idle_share"] = round((after[0] - before[0]) / max(1, after[1] - before[1]), 3)
    path = result_path(run["name"])
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".tmp")
    temporary.write_text(json.dumps(made))
    os.replace(temporary, path)
    return made
