"""The programs of a run: a simulated engine or llama.cpp's server, and lowtide in front of it."""

import asyncio
import contextlib
import ctypes
import http.client
import itertools
import json
import os
import pathlib
import re
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time

from load import CHAT, Broken, Connection

ROOT = pathlib.Path(__file__).resolve().parents[2]
NODES = int(os.environ.get("BENCH_NODES", 0))  # that lowtide is: nodes.py; 0: one server
HERE = ROOT / ("build/bench/scheduling-nodes" if NODES else "build/bench/scheduling")  # everything that a run leaves
ENGINE = pathlib.Path(os.environ.get("BENCH_ENGINE", ROOT / "build/bench/bench-engine"))
LOWTIDE = pathlib.Path(os.environ.get("LOWTIDE_BIN", ROOT / "build/lowtide"))
UPSTREAM = ROOT / "build/bench/bench-upstream"
SLOW_FSYNC = ROOT / "build/bench/slow-fsync.so"
VLLM = pathlib.Path(os.environ.get("BENCH_VLLM", ROOT / "../shared/engines/vllm.sh"))
LLAMA_MODEL = "gemma-3-270m"
PR_SET_PDEATHSIG = 1
FINAL = ("completed", "failed", "expired", "cancelled")


def die_with_parent(how=signal.SIGKILL):
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, how)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Program:
    def __init__(self, command, log_path, **more):
        self.log_path = log_path
        log_path.parent.mkdir(parents=True, exist_ok=True)
        with open(log_path, "a") as log:
            usual = {"stdin": subprocess.DEVNULL, "preexec_fn": die_with_parent}
            self.process = subprocess.Popen(
                [str(word) for word in command], stderr=log, **{**usual, **more}
            )

    async def until_ready(self, port, path, timeout_s=120):
        began = time.monotonic()
        while True:
            connection = Connection(port)
            try:
                status, _ = await connection.request(path, b"", method="GET")
                if status == 200:
                    return
            except Broken:
                pass
            finally:
                connection.close()
            if self.process.poll() is not None or time.monotonic() > began + timeout_s:
                raise Broken(f"it does not start: {self.log_path}")
            await asyncio.sleep(0.05)

    def stop(self):
        self.process.kill()
        self.process.wait()


class SimEngine(Program):
    """bench/engine, running."""

    model = "bench"
    command = [ENGINE, "--model", model]

    def __init__(self, directory, number, arguments):
        command = [*self.command, *arguments]
        log_path = directory / f"engine-{number}.log"
        super().__init__(command, log_path, stdout=subprocess.PIPE, text=True)
        first = self.process.stdout.readline().strip()
        found = re.search(r":(\d+)", first)
        if not found:
            raise Broken(f"{command[0]} printed {first!r} instead of its address")
        self.port = int(found[1])
        self.url = first
        self.connection = Connection(self.port)

    async def ready(self):
        pass

    async def stats(self):
        return await self.connection.json("GET", "/stats")

    async def control(self, what):
        """On a connection of its own: somebody may be asking for figures at the same time."""
        with contextlib.suppress(Broken):  # one that takes the engine down may break this call too
            await Connection(self.port).json("POST", "/control", what)


class QuickUpstream(SimEngine):
    """bench/upstream.c: it takes any number of requests and answers each after a fixed time."""

    command = [UPSTREAM]


class LlamaEngine(Program):
    """llama.cpp's server with the model of `make demo`."""

    model = LLAMA_MODEL

    def __init__(self, directory, number, arguments):
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}/v1"
        file = ROOT / f"build/demo/{LLAMA_MODEL}.gguf"
        file.parent.mkdir(parents=True, exist_ok=True)
        command = [ROOT / ".venv/bin/python", ROOT / "demo/model.py", self.port, file, *arguments]
        log_path = directory / f"engine-{number}.log"
        with open(log_path, "a") as log:
            super().__init__(command, log_path, stdin=subprocess.PIPE, stdout=log)
        self.connection = Connection(self.port)

    async def ready(self):
        await self.until_ready(self.port, "/health")

    async def stats(self):
        """What its metrics say, under the names of the simulated engine's."""
        pieces = []
        await self.connection.request("/metrics", b"", None, pieces.append, "GET")
        text = b"".join(pieces).decode()

        def value(name):
            found = re.search(rf"^llamacpp:{name} (\S+)$", text, re.MULTILINE)
            return float(found[1]) if found else 0.0

        return {
            "running": value("requests_processing"),
            "waiting": value("requests_deferred"),
            "prefill_tokens": value("prompt_tokens_total"),
            "output_tokens": value("tokens_predicted_total"),
        }


def metric_sum(text, name):
    """The samples of a metric, whatever their labels, together."""
    found = re.findall(rf"^{name}(?:{{[^}}]*}})? (\S+)$", text, re.MULTILINE)
    return sum(float(one) for one in found)


class VllmEngine(Program):
    """A real vLLM on the CPU, with a model of random weights."""

    model = "tiny"

    def __init__(self, directory, number, arguments):
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}/v1"
        log_path = directory / f"engine-{number}.log"
        with open(log_path, "a") as log:
            # SIGTERM, since its engine process would stay behind alone after a SIGKILL.
            super().__init__(
                ["bash", VLLM, "serve", self.port, *arguments], log_path, stdout=log,
                preexec_fn=lambda: die_with_parent(signal.SIGTERM),
            )  # fmt: skip
        self.connection = Connection(self.port)

    async def ready(self):
        await self.until_ready(self.port, "/health", timeout_s=400)

    def stop(self):
        self.process.terminate()
        try:
            self.process.wait(60)
        except subprocess.TimeoutExpired:
            super().stop()

    async def stats(self):
        """What its metrics say, under the names of the simulated engine's."""
        pieces = []
        await self.connection.request("/metrics", b"", None, pieces.append, "GET")
        text = b"".join(pieces).decode()
        return {
            name: metric_sum(text, f"vllm:{metric}")
            for name, metric in (
                ("running", "num_requests_running"),
                ("waiting", "num_requests_waiting"),
                ("prefill_tokens", "prompt_tokens_total"),
                ("output_tokens", "generation_tokens_total"),
                ("steps", "iteration_tokens_total_count"),
                ("preemptions", "num_preemptions_total"),
            )
        }


def vllm_absent():
    """Why there is no vLLM to measure, or None."""
    cache = pathlib.Path(os.environ.get("XDG_CACHE_HOME", pathlib.Path.home() / ".cache"))
    home = pathlib.Path(os.environ.get("ENGINE_HOME", cache / "lowtide-engines/vllm"))
    if not VLLM.exists():
        return f"there is no {VLLM.name}: BENCH_VLLM names the script that starts a vLLM"
    if not list(home.glob("venv/.ready-*")):
        return f"vLLM is not installed: `{VLLM.name} setup` does that"
    return None


class Client:
    """Calls of lowtide's API: `call()` is its subclass's."""

    def __init__(self, key, place, ports):
        self.key, self.place = key, place  # place: what `lowtide key` takes for it
        self.ports = ports  # of all that answer; uploads take turns
        self.turns = itertools.cycle(ports)
        self.operator = None  # an operator's key, made when it is needed

    def new_org(self, name):
        """A key of another organization."""
        return self.new_key("--org", name)

    def new_key(self, *whose):
        command = [LOWTIDE, "key", "create", *self.place, *whose]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    async def upload(self, path, key=None):
        return await asyncio.to_thread(self.upload_now, path, key or self.key)

    def upload_now(self, path, key):
        head = (
            '--bench\r\nContent-Disposition: form-data; name="purpose"\r\n\r\nbatch\r\n'
            '--bench\r\nContent-Disposition: form-data; name="file"; filename="in.jsonl"\r\n'
            "Content-Type: application/jsonl\r\n\r\n"
        ).encode()
        tail = b"\r\n--bench--\r\n"
        connection = http.client.HTTPConnection("127.0.0.1", next(self.turns), timeout=600)
        connection.putrequest("POST", "/v1/files")
        connection.putheader("Authorization", f"Bearer {key}")
        connection.putheader("Content-Type", "multipart/form-data; boundary=bench")
        connection.putheader("Content-Length", str(len(head) + path.stat().st_size + len(tail)))
        connection.endheaders(head)
        with open(path, "rb") as file:
            connection.sock.sendfile(file)
        connection.sock.sendall(tail)
        answer = connection.getresponse()
        data = answer.read()
        if answer.status != 200:
            raise Broken(f"upload: {answer.status} {data[:500]!r}")
        return json.loads(data)["id"]

    async def batch_create(self, file_id, window="24h", key=None, url=CHAT):
        body = {"input_file_id": file_id, "endpoint": url}
        answer = await self.call("POST", "/v1/batches", body | {"completion_window": window}, key)
        return answer["id"]

    async def batch(self, batch_id, key=None):
        return await self.call("GET", f"/v1/batches/{batch_id}", None, key)

    async def batch_wait(self, batch_id, until, key=None, every_s=0.02, timeout_s=600):
        """Polls until `until(batch)`; returns it."""
        began = time.monotonic()
        while True:
            batch = await self.batch(batch_id, key)
            if until(batch):
                return batch
            if batch["status"] in FINAL or time.monotonic() > began + timeout_s:
                raise Broken(f"not what was waited for: {json.dumps(batch)[:1500]}")
            await asyncio.sleep(every_s)

    async def scheduling(self):
        """What GET /v1/lowtide/scheduling says of each upstream."""
        return (await self.operator_call("/v1/lowtide/scheduling"))["upstreams"]

    async def operator_call(self, path):
        if self.operator is None:
            self.operator = await asyncio.to_thread(self.new_key, "--operator")
        return await self.call("GET", path, key=self.operator)

    async def lanes(self):
        """That, with its models' highest limit."""
        found = []
        none = {"concurrency_limit": 0, "reason": "", "in_flight": 0}
        for upstream in await self.scheduling():
            lanes = upstream["lanes"] or [none]
            lane = max(lanes, key=lambda one: one["concurrency_limit"])
            found.append(
                {
                    "concurrency": lane["concurrency_limit"],
                    "reason": lane["reason"],
                    "in_flight": sum(one["in_flight"] for one in lanes),
                    "others": lane.get("cross_traffic"),
                    "best_per_s": lane.get("best_per_s"),
                    "state": upstream["state"],
                }
            )
        return found


def new_bootstrap_key():
    return "sk-bench-" + secrets.token_hex(16)


class Lowtide(Program, Client):
    """lowtide, running on an empty data directory, and a client of it."""

    def __init__(self, directory, upstreams, settings, fsync_ms=None, name="lowtide", key=None):
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}/v1"
        self.data = directory / ("data" if name == "lowtide" else f"data-{name}")
        Client.__init__(self, key or new_bootstrap_key(), ["--data", self.data], [self.port])
        shutil.rmtree(self.data, ignore_errors=True)
        command = [LOWTIDE, "serve", "--listen", f"127.0.0.1:{self.port}", "--data", self.data]
        for upstream in upstreams:
            command += ["--upstream", upstream.url]
        no_limits = dict.fromkeys(("file_bytes", "org.bytes", "org.files"), 0)
        named = {f"limits.{name}": value for name, value in no_limits.items()} | settings
        for setting, value in named.items():
            command += ["--set", f"{setting}={value}"]
        (directory / f"{name}.command").write_text(" ".join(map(str, command)) + "\n")
        environment = {**os.environ, "LOWTIDE_BOOTSTRAP_KEY": self.key}
        if isinstance(upstreams[0], Lowtide):
            environment["LOWTIDE_UPSTREAM_API_KEY"] = upstreams[0].key
        if fsync_ms is not None:
            environment |= {"LD_PRELOAD": str(SLOW_FSYNC), "SLOW_FSYNC_MS": str(fsync_ms)}
        log_path = directory / f"{name}.log"
        Program.__init__(self, command, log_path, stdout=subprocess.DEVNULL, env=environment)
        self.log_paths = [log_path]
        self.connection = Connection(self.port)

    async def ready(self):
        await self.until_ready(self.port, "/readyz")

    async def call(self, method, path, body=None, key=None):
        return await self.connection.json(method, path, body, key or self.key)


def engine_class(kind):
    return {
        "sim": SimEngine, "upstream": QuickUpstream, "llama": LlamaEngine, "vllm": VllmEngine,
    }[kind]  # fmt: skip


def ended(batch):
    return batch["request_counts"]["completed"] + batch["request_counts"]["failed"]


def say(text):
    print(f"# {text}", file=sys.stderr, flush=True)
