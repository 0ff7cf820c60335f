"""Where it happens: PostgreSQL, a bucket, upstreams that count, and nodes, each with links of its own."""

import os
import pathlib
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
import urllib.error
import urllib.request

import boto3
from links import Link
from support import postgres
from support.journal import HEAD, HEAD_BYTES
from support.server import ROOT, Server
from support.tls import free_port
from support.upstream import Answer, Upstream

PREFIX, BUCKET, SCHEMA = "some/where", "chaos", "chaos"
CONCURRENCY = 16  # of an upstream


class Bucket:
    """versitygw, which LOWTIDE_VERSITYGW names, on a directory of its own; it can be killed and started. Or
    moto, in memory, in a process of its own: its objects would go with it, so that it is kept."""

    def __init__(self):
        self.gateway = os.environ.get("LOWTIDE_VERSITYGW")
        self.place = pathlib.Path(tempfile.mkdtemp(prefix="lowtide-chaos-s3-"))
        self.port = free_port()
        self.process = None
        if self.gateway:
            (self.place / "data").mkdir()
            self.access, self.secret = "lowtide", "lowtide-secret"
            self.start()
        else:
            env = {**os.environ, "PYTHONPATH": str(ROOT / "tests")}
            self.process = subprocess.Popen(
                [ROOT / ".venv/bin/python", "-m", "support.s3", self.place / "where"],
                env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)  # fmt: skip
            while not (self.place / "where").exists():
                if self.process.poll() is not None:
                    raise SystemExit("chaos: moto does not start")
                time.sleep(0.05)
            endpoint, self.access, self.secret, _ = (self.place / "where").read_text().split()
            self.port = int(endpoint.rpartition(":")[2])
        self.client().create_bucket(Bucket=BUCKET)

    def client(self):
        return boto3.client("s3", endpoint_url=f"http://127.0.0.1:{self.port}", region_name="us-east-1",
                            aws_access_key_id=self.access, aws_secret_access_key=self.secret)  # fmt: skip

    def start(self):
        env = {**os.environ, "ROOT_ACCESS_KEY": self.access, "ROOT_SECRET_KEY": self.secret}
        with open(self.place / "log", "ab") as log:
            self.process = subprocess.Popen(
                [self.gateway, "--port", f"127.0.0.1:{self.port}", "posix", self.place / "data"],
                env=env, stdout=log, stderr=log)  # fmt: skip
        while self.process.poll() is None:
            try:
                socket.create_connection(("127.0.0.1", self.port)).close()
                return
            except OSError:
                time.sleep(0.05)
        raise RuntimeError(f"{self.gateway} ends: {(self.place / 'log').read_text()[-500:]}")

    def kill(self):
        self.process.kill()
        self.process.wait()

    def close(self):
        self.kill()
        shutil.rmtree(self.place, ignore_errors=True)


class Program(Server):
    """`other`: another build, which every second start of a node is."""

    other = None

    def command(self):
        made = super().command()
        if self.other and self.starts % 2 == 0:
            made[0] = self.other
        return made


class Node:
    """One server, which is started again whenever it ends, but while it is held down."""

    def __init__(self, place, n):
        self.place, self.n = place, n
        self.to_pg = Link(place.pg_connect)
        self.to_s3 = Link(lambda: socket.create_connection(("127.0.0.1", place.bucket.port)))
        where = f"host=127.0.0.1 port={self.to_pg.port} user={place.user} dbname=postgres"
        settings = {
            "store": f"{where} options=-csearch_path={SCHEMA}",
            "blobs.url": f"s3://{BUCKET}/{PREFIX}",
            "blobs.endpoint": f"http://127.0.0.1:{self.to_s3.port}",
            "execution.concurrency": CONCURRENCY, "limits.org.open_batches": 0,
            "log.level": os.environ.get("CHAOS_LOG", "info"),
        }  # fmt: skip
        env = {"AWS_ACCESS_KEY_ID": place.bucket.access, "AWS_SECRET_ACCESS_KEY": place.bucket.secret}
        args = [word for one in place.upstreams[1:] for word in ("--upstream", one.url)]
        self.server = Program(place.directory / f"node-{n}", place.upstreams[0], "openai", settings, env, args)
        self.server.other = place.other
        self.busy = threading.Lock()  # a fault has it
        self.down = self.frozen = self.ready = False
        self.hurt = 0.0  # when a server or a link of its was last not well

    def start(self):
        self.down = self.ready = False
        self.server.start(wait=False)
        threading.Thread(target=self._until_ready, daemon=True).start()

    def _until_ready(self):
        mine = self.server.process
        while mine is self.server.process and mine.poll() is None and not self.ready:
            try:
                self.server.wait_ready()
                self.ready = True
            except (AssertionError, OSError, ValueError):
                time.sleep(0.5)

    def url(self):
        """None while nobody can be asked."""
        return self.server.base_url if self.server.port and not self.down else None

    def signal(self, number):
        if self.server.alive():
            os.kill(self.server.process.pid, number)

    def freeze(self):
        self.frozen = True
        self.signal(signal.SIGSTOP)

    def thaw(self):
        self.place.ledger.thaw()
        self.signal(signal.SIGCONT)
        self.frozen = False

    def kill(self):
        self.down, self.ready = True, False
        self.server.process.kill()
        self.server.process.wait()
        self.look()

    def look(self):
        """What it wrote before it ended."""
        try:
            self.server.check_report()
        except AssertionError as report:
            self.place.ledger.violation("sanitizer", f"node {self.n}: {report}")

    def well(self):
        return self.to_pg.mode == self.to_s3.mode == "pass" and not self.place.away


class Place:
    def __init__(self, directory, ledger, nodes, upstreams, other=None):
        self.directory, self.ledger, self.other = directory, ledger, other
        self.away = set()  # servers that are stopped: "pg", "s3"
        self.cluster = postgres.Cluster()
        if not self.cluster.where:
            raise SystemExit("chaos: there is no PostgreSQL")
        self.user = "postgres" if os.geteuid() == 0 else os.environ.get("USER", "postgres")
        self.cluster.query(f"CREATE SCHEMA {SCHEMA}")
        self.bucket = Bucket()
        self.delay = 0.15
        self.upstreams = [Upstream() for _ in range(upstreams)]
        for one in self.upstreams:
            one.decide = self._decide
        self.nodes = [Node(self, n) for n in range(nodes)]
        self.closing = False
        self.s3 = self.bucket.client()
        self.read = {}  # batch id -> pieces and spans that were looked at
        for one in self.nodes:
            one.server.key = self.nodes[0].server.key
            one.start()
        self.wait_ready()
        threading.Thread(target=self._supervise, daemon=True).start()
        threading.Thread(target=self._look, daemon=True).start()
        threading.Thread(target=self._forget, daemon=True).start()

    def pg_connect(self):
        made = socket.socket(socket.AF_UNIX)
        try:
            made.connect(str(self.cluster.place / ".s.PGSQL.5432"))
        except OSError:
            made.close()
            raise
        return made

    def _decide(self, request):
        self.ledger.arrived(request.marker, request.headers)
        return Answer(delay=self.delay)

    def wait_ready(self, seconds=120):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if all(one.ready and self._readyz(one) == 200 for one in self.nodes):
                return True
            time.sleep(0.2)
        return False

    @staticmethod
    def _readyz(node):
        try:
            with urllib.request.urlopen(f"{node.server.url}/readyz", timeout=5) as answer:
                return answer.status
        except urllib.error.HTTPError as error:
            return error.code
        except (OSError, ValueError):
            return 0

    # ---- threads ----

    def _supervise(self):
        """Who ends unasked is started again. While something it needs is away a start may end."""
        while not self.closing:
            now = time.monotonic()
            for one in self.nodes:
                if not one.well():
                    one.hurt = now
                if one.down or one.server.alive() or self.closing:
                    continue
                code = one.server.process.returncode
                if not one.busy.acquire(blocking=False):
                    continue  # SIGTERM's thread waits for it
                try:
                    one.look()
                    if one.ready or now - one.hurt > 90 or code < 0:
                        self.ledger.violation("a node ended by itself", f"node {one.n}: exit {code}\n"
                                              + one.server.tail()[-3000:])  # fmt: skip
                    else:
                        self.ledger.note("a start ended, as a server was away", one.server.log()[-300:])
                    time.sleep(0.5)
                    one.start()
                finally:
                    one.busy.release()
            time.sleep(0.1)

    def _look(self):
        """What rows say has ended."""
        while not self.closing:
            time.sleep(0.2)
            try:
                rows = self.cluster.query(
                    f"SET search_path = {SCHEMA}; "
                    "SELECT 'p', batch, chunk, at, length FROM journal_pieces UNION ALL "
                    "SELECT 's', batch, n::text, first_segment, lines FROM spans WHERE finished"
                )
            except (subprocess.CalledProcessError, OSError):
                continue
            by_id = {one.id: one for one in list(self.ledger.batches.values()) if one.id}
            for kind, id_, name, a, b in rows:
                done = self.read.setdefault(id_, set())
                if (kind, name, a) in done or id_ not in by_id:
                    continue
                try:
                    lines = self._lines(kind, name, int(a), int(b), by_id[id_])
                except Exception as error:  # noqa: BLE001 # boto has many
                    self.ledger.note(f"a look at a chunk failed: {type(error).__name__}")
                    continue
                self.ledger.acknowledge(by_id[id_], lines, kind == "p")
                done.add((kind, name, a))

    def _lines(self, kind, name, a, b, batch):
        if kind == "s":
            return range(a * 1024, a * 1024 + b)
        whole = self.s3.get_object(Bucket=BUCKET, Key=f"{PREFIX}/{name}", Range=f"bytes={a}-{a + b - 1}")
        data, at, found = whole["Body"].read(), 0, []
        while at + HEAD_BYTES <= len(data):
            _, length, record = HEAD.unpack_from(data, at)
            at += HEAD_BYTES + length
            found.append(record)
        if at != len(data) or any(n >= batch.count for n in found):
            self.ledger.violation("a piece is not whole records", f"{name} {a}+{b} of {batch.id}")
            return []
        return found

    def _forget(self):
        """Upstreams keep every request: an hour's are much."""
        while not self.closing:
            time.sleep(5)
            for one in self.upstreams:
                with one.changed:
                    del one.requests[:-1000]
                    del one.other_requests[:-1000]
                    if len(one._attempts) > 200_000:
                        one._attempts.clear()
                        one._answered.clear()

    # ---- the end ----

    def close(self):
        self.closing = True
        for one in self.nodes:
            one.signal(signal.SIGCONT)
            if one.server.alive():
                one.server.signal_term()
        for one in self.nodes:
            try:
                one.server.process.wait(timeout=60)
                if not one.down and one.server.process.returncode != 0:
                    self.ledger.violation("exit", f"node {one.n}: {one.server.process.returncode}")
            except subprocess.TimeoutExpired:
                one.server.process.kill()
                self.ledger.violation("exit", f"node {one.n}: not within 60 s of SIGTERM")
            one.look()
            one.to_pg.close()
            one.to_s3.close()
        for one in self.upstreams:
            one.close()
        self.bucket.close()
        self.cluster.close()
