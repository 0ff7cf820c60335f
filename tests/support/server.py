"""Starts, stops and kills the real program."""

import contextlib
import os
import pathlib
import re
import signal
import sqlite3
import subprocess
import time
import uuid

import httpx

from support import postgres

ROOT = pathlib.Path(__file__).resolve().parents[2]
BINARY = pathlib.Path(os.environ.get("LOWTIDE_BIN") or ROOT / "build-test" / "lowtide")

# execution.client of the servers that are made from now on; None: as it is (conftest.py).
http_client = None

# What a sanitizer writes before it ends the program, or goes on.
REPORT = re.compile(r"(AddressSanitizer|LeakSanitizer|ThreadSanitizer|runtime error:).*")
# A busy two-core machine under ASan: generous, and only ever waited for when something is wrong.
START_SECONDS = 60
STOP_SECONDS = 60


def clean_env(extra=None):
    """The environment without settings of lowtide that stand in the caller's."""
    env = {k: v for k, v in os.environ.items() if not k.startswith("LOWTIDE_")}
    env.setdefault("ASAN_OPTIONS", "exitcode=86")
    env.setdefault("UBSAN_OPTIONS", "print_stacktrace=1:exitcode=86")
    env.setdefault("TSAN_OPTIONS", "exitcode=86:second_deadlock_stack=1")
    env.update(extra or {})
    return env


def check_report(text, what):
    found = REPORT.search(text)
    assert not found, f"{what}: sanitizer report\n{text[max(0, found.start() - 200) :][:6000]}"


def run(*args, env=None, cwd=None, stdin=None, timeout=60, expect=0):
    """Runs `lowtide ARGS` to its end; text out, and no sanitizer report whatever it did."""
    done = subprocess.run(
        [str(BINARY), *map(str, args)],
        env=clean_env(env), cwd=cwd, timeout=timeout, input=stdin,
        capture_output=True, text=True, errors="replace",
    )  # fmt: skip
    check_report(done.stderr, f"lowtide {' '.join(map(str, args))}")
    if expect is not None:
        assert done.returncode == expect, (
            f"lowtide {' '.join(map(str, args))}: exit {done.returncode}, not {expect}\n"
            f"stdout: {done.stdout[-2000:]}\nstderr: {done.stderr[-2000:]}"
        )
    return done


class Server:
    """`lowtide serve` on a free port, over a data directory that outlives each process.

    Everything that a caller does between start() and stop() may be repeated: data, keys and the
    upstream stay; the port changes, so ask `url` anew after a restart.
    """

    def __init__(self, directory, upstream, profile="kimi", settings=None, env=None, args=()):
        self.directory = pathlib.Path(directory)
        self.directory.mkdir(parents=True, exist_ok=True)
        self.data = self.directory / "data"
        self.upstream = upstream
        self.profile = profile
        spoken = {"execution.client": http_client} if http_client else {}
        store = {"store": postgres.schema()} if postgres.wanted() else {}
        self.settings = {"execution.drain": "1s", **spoken, **store, **(settings or {})}
        self.env = dict(env or {})
        self.args = list(args)
        self.key = "sk-bootstrap-" + uuid.uuid4().hex
        self.process = None
        self.port = 0
        self.starts = 0

    # ---- life ----

    def command(self):
        command = [str(BINARY), "serve", "--listen", "127.0.0.1:0", "--data", str(self.data)]
        if self.profile:
            command += ["--profile", self.profile]
        if self.upstream is not None:
            command += ["--upstream", self.upstream.url]
        for key, value in self.settings.items():
            command += ["--set", f"{key}={value}"]
        return command + self.args

    def start(self, env=None, wait=True):
        """`env` holds for this start alone (failpoints)."""
        assert not self.alive(), "already running"
        self.starts += 1
        self.port = 0
        with open(self.stdout_path, "wb") as out, open(self.stderr_path, "wb") as err:
            self.process = subprocess.Popen(
                self.command(), stdout=out, stderr=err, stdin=subprocess.DEVNULL,
                cwd=self.directory,
                env=clean_env({"LOWTIDE_BOOTSTRAP_KEY": self.key, **self.env, **(env or {})}),
            )  # fmt: skip
        if wait:
            self.wait_ready()
        return self

    def wait_ready(self):
        end = time.monotonic() + START_SECONDS
        while True:
            if self.process.poll() is not None:
                raise AssertionError(f"serve ended with {self.process.returncode}\n{self.tail()}")
            if self.port == 0:
                found = re.search(r"http://127\.0\.0\.1:(\d+)", self.stdout())
                self.port = int(found[1]) if found else 0
            if self.port and self._ready():
                return
            assert time.monotonic() < end, f"not ready after {START_SECONDS} s\n{self.tail()}"
            time.sleep(0.01)

    def _ready(self):
        try:
            return httpx.get(f"{self.url}/readyz", trust_env=False, timeout=5).status_code == 200
        except httpx.TransportError:
            return False

    def alive(self):
        return self.process is not None and self.process.poll() is None

    def signal_term(self):
        self.process.send_signal(signal.SIGTERM)

    def reload(self):
        """SIGHUP: what refused us is tried again."""
        self.process.send_signal(signal.SIGHUP)

    def wait_exit(self, expect=0, seconds=STOP_SECONDS):
        try:
            code = self.process.wait(timeout=seconds)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(
                f"still running {seconds} s after SIGTERM\n{self.tail()}"
            ) from None
        self.check_report()
        assert code == expect, f"exit {code}, not {expect}\n{self.tail()}"

    def stop(self):
        """SIGTERM; the exit code must be 0."""
        self.signal_term()
        self.wait_exit()

    def kill(self):
        """kill -9."""
        self.process.kill()
        self.process.wait(timeout=STOP_SECONDS)
        self.check_report()

    def wait_killed(self, seconds=60):
        """Waits until a failpoint has ended the process."""
        try:
            code = self.process.wait(timeout=seconds)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"the failpoint was not passed\n{self.tail()}") from None
        self.check_report()
        assert code == -signal.SIGKILL, f"ended with {code}, not by SIGKILL\n{self.tail()}"

    def restart(self, env=None):
        self.stop()
        return self.start(env)

    def dispose(self):
        """The end of a test: whatever state it is in, the process goes, and had no report."""
        if self.alive():
            self.stop()
        elif self.process is not None:
            self.check_report()

    # ---- looking at it ----

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    @property
    def base_url(self):
        return f"{self.url}/v1"

    @property
    def stdout_path(self):
        return self.directory / f"stdout.{self.starts}"

    @property
    def stderr_path(self):
        return self.directory / f"stderr.{self.starts}"

    def stdout(self):
        return self.stdout_path.read_text(errors="replace")

    def rows(self, sql, *values):
        """What meta.db answers."""
        with contextlib.closing(sqlite3.connect(self.data / "meta.db", timeout=10)) as db, db:
            return db.execute(sql, values).fetchall()

    def log(self):
        return self.stderr_path.read_text(errors="replace")

    def tail(self):
        return f"stdout: {self.stdout()[-1000:]}\nstderr: {self.log()[-4000:]}"

    def check_report(self):
        check_report(self.log(), "serve")

    def blobs(self):
        """What stands in the data directory, but for the database, the logs, the lock and the id."""
        found = set()
        for path in self.data.rglob("*"):
            name = str(path.relative_to(self.data))
            if path.is_file() and not name.startswith(("meta.db", "redo/", "lowtide.")):
                found.add(name)
        return found

    def place(self):
        """Where its rows are, for the commands beside it."""
        store = ["--store", self.settings["store"]] if "store" in self.settings else []
        return ["--data", str(self.data), *store]

    def new_key(self, org=None):
        """A key of a new organization, or of `org`; made while the server runs."""
        org = org or "org-" + uuid.uuid4().hex[:12]
        return run("key", "create", *self.place(), "--org", org).stdout.strip()

    def operator_key(self):
        """A key of the operator; made while the server runs."""
        return run("key", "create", *self.place(), "--operator").stdout.strip()
