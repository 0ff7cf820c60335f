"""PostgreSQL for tests: a schema for each server (LOWTIDE_TEST_STORE=postgres), or a server of one's own."""

import contextlib
import os
import pathlib
import re
import signal
import subprocess
import uuid

ROOT = pathlib.Path(__file__).resolve().parents[2]


def wanted():
    """All servers keep their rows in the PostgreSQL of scripts/with-postgres.sh."""
    return os.environ.get("LOWTIDE_TEST_STORE") == "postgres"


def query(where, sql):
    """Rows of texts."""
    done = subprocess.run(
        ["psql", "-XAtq", "-F", "\t", "-d", where, "-c", sql],
        check=True, capture_output=True, text=True,
    )  # fmt: skip
    return [tuple(line.split("\t")) for line in done.stdout.splitlines()]


def schema(server=None):
    """What `store` is set to."""
    server = server or os.environ["LOWTIDE_TEST_POSTGRES"]
    name = f"e2e_{uuid.uuid4().hex}"
    query(server, f"CREATE SCHEMA {name}")
    return f"{server} options=-csearch_path={name}"


class Cluster:
    """A PostgreSQL that may be stopped, killed and started. `where`: how it is reached."""

    def __init__(self):
        self.holder = subprocess.Popen(
            [ROOT / "scripts" / "with-postgres.sh", "sh", "-c", 'echo "$LOWTIDE_TEST_POSTGRES"; cat'],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        self.where = self.holder.stdout.readline().strip()
        if self.where:
            self.place = pathlib.Path(re.search(r"host=(\S+)", self.where)[1])

    def ctl(self, *words):
        owner = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
        (*_, program) = sorted(pathlib.Path("/usr/lib/postgresql").glob("*/bin/pg_ctl"))
        log = self.place / "data" / "log"
        subprocess.run(
            [*owner, program, "-D", self.place / "data", "-w", "-l", log, *words],
            check=True, cwd="/", stdout=subprocess.DEVNULL,
        )  # fmt: skip

    def start(self):
        self.ctl("start")

    def stop(self, mode="fast"):
        """"immediate" is what a crash leaves."""
        self.ctl("-m", mode, "stop")

    @contextlib.contextmanager
    def frozen(self):
        """Its processes say nothing; connections stand."""
        (pid, *_) = (self.place / "data" / "postmaster.pid").read_text().split()
        done = subprocess.run(["pgrep", "-P", pid], check=True, capture_output=True, text=True)
        pids = [int(one) for one in [pid, *done.stdout.split()]]
        for one in pids:
            os.kill(one, signal.SIGSTOP)
        try:
            yield
        finally:
            for one in pids:
                os.kill(one, signal.SIGCONT)

    def query(self, sql):
        return query(self.where, sql)

    def close(self):
        self.holder.communicate("")
