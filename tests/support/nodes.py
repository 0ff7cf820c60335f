"""Several nodes, `lowtide serve` on one schema of PostgreSQL and one bucket, and upstreams that count
every line.

    nodes = Nodes(directory, cluster, store)     # three nodes, three upstreams
    with serving(nodes): ...                     # they have shared the upstreams, and are closed at its end
    nodes.api(0), nodes.server(1)                # all have one key
    seen = nodes.acknowledged(batch)             # what may not be sent again from now on
    ...
    nodes.check(batch, mark, count, seen)
"""

import contextlib
import os
import re
import signal
import time
import uuid
from dataclasses import dataclass

from support import server as program
from support.api import Api, Watch
from support.jsonl import fresh, numbered
from support.journal import lines_of
from support.server import Server
from support.upstream import Answer, Upstream
from support.wire import wait_until

PREFIX = "some/where"


@dataclass
class Acknowledged:
    """The lines, by number, of which a row says that they have ended; and when that was looked at."""

    lines: set
    at: float  # time.monotonic(), after the look


class Nodes:
    """All are started; `config` is a configuration file's text, which names the upstreams itself. They connect as
    `user`, which is made where it is given."""

    def __init__(self, directory, cluster, store, count=3, upstreams=3, settings=None, config=None, user=None):
        self.cluster, self.store, self.directory = cluster, store, directory
        self.schema = f"nodes_{uuid.uuid4().hex}"
        self.bucket = "n-" + fresh()
        cluster.query(f"CREATE SCHEMA {self.schema}")
        where = cluster.where
        if user is not None:
            cluster.query(f"CREATE ROLE {user} LOGIN; GRANT ALL ON SCHEMA {self.schema} TO {user}")
            where = re.sub(r"user=\S+", f"user={user}", where)
        self.s3 = store.client()
        self.s3.create_bucket(Bucket=self.bucket)
        self.delay = 0.0  # of each answer that is scripted in no other way
        self.upstreams = [Upstream() for _ in range(upstreams)]
        for one in self.upstreams:
            one.decide = lambda request: self._answer(request)
        self.settings = {
            "store": f"{where} options=-csearch_path={self.schema}",
            "blobs.url": f"s3://{self.bucket}/{PREFIX}", "blobs.endpoint": store.endpoint,
            "execution.concurrency": 16, **(settings or {}),
        }  # fmt: skip
        self.args = [word for one in self.upstreams[1:] for word in ("--upstream", one.url)]
        if config is not None:
            (directory / "nodes.yaml").write_text(config([one.url for one in self.upstreams]))
            self.args = ["--config", str(directory / "nodes.yaml")]
        self.named = config is not None
        self.servers, self.apis, self.watch = [], [], Watch()
        for _ in range(count):
            self.make()
        for one in self.servers:
            one.start(wait=False)
        self.wait_ready()

    def _answer(self, request):
        return Answer(delay=self.delay) if self.delay and b" | " not in request.body else None

    def make(self):
        """One more, which is not started."""
        env = {"AWS_ACCESS_KEY_ID": self.store.access_key, "AWS_SECRET_ACCESS_KEY": self.store.secret_key}
        first = None if self.named else self.upstreams[0]
        made = Server(self.directory / f"node-{len(self.servers)}", first, "openai", self.settings,
                      env=env, args=self.args)  # fmt: skip
        self.servers.append(made)
        made.key = self.servers[0].key
        self.apis.append(Api(made))
        self.apis[-1].watch = self.watch  # what one has shown, none of them takes back
        return made

    # ---- life ----

    def server(self, n):
        return self.servers[n]

    def api(self, n):
        return self.apis[n]

    def of_org(self, org=None):
        """An Api for each node, with one key of a new organization."""
        key, watch = self.servers[0].new_key(org), Watch()
        made = [Api(one, key) for one in self.servers]
        for one in made:
            one.watch = watch
        return made

    def wait_ready(self):
        for one in self.servers:
            if one.alive():
                one.wait_ready()

    def kill(self, n):
        self.servers[n].kill()

    def freeze(self, n):
        os.kill(self.servers[n].process.pid, signal.SIGSTOP)

    def thaw(self, n):
        os.kill(self.servers[n].process.pid, signal.SIGCONT)

    def revive(self):
        """All that are down are started."""
        for one in self.servers:
            if not one.alive():
                one.start(wait=False)
        self.wait_ready()

    def close(self):
        for one in self.servers:
            if one.alive():
                os.kill(one.process.pid, signal.SIGCONT)
                one.signal_term()
        try:
            for one in self.servers:
                if one.process is not None and one.process.poll() is None:
                    one.wait_exit()
                one.check_report()
        finally:
            for one in self.apis:
                one.close()
            for one in self.upstreams:
                one.close()

    # ---- rows and objects ----

    def query(self, sql):
        return self.cluster.query(f"SET search_path = {self.schema}; {sql}")

    def number(self, n):
        """Its number and epoch in `nodes`, by the address, which names its port."""
        rows = self.query(f"SELECT id, epoch FROM nodes WHERE address LIKE '%:{self.servers[n].port}' "
                          "ORDER BY lease_until DESC LIMIT 1")  # fmt: skip
        return (int(rows[0][0]), int(rows[0][1])) if rows else None

    def driven(self, n):
        """The names of the upstreams that it drives."""
        rows = self.query("SELECT upstream FROM upstream_leases u JOIN nodes o ON o.id = u.node AND "
                          f"o.epoch = u.node_epoch WHERE o.id = {self.number(n)[0]}")  # fmt: skip
        return {one for (one,) in rows}

    def spans(self, batch, where="TRUE"):
        (row,) = self.query(f"SELECT count(*) FROM spans WHERE batch = '{batch['id']}' AND {where}")
        return int(row[0])

    def wait_even(self, seconds=40):
        """Each that is up drives an upstream, and they are all driven."""
        up = [n for n, one in enumerate(self.servers) if one.alive()]

        def even():
            driven = [len(self.driven(n)) for n in up]
            return sum(driven) == len(self.upstreams) and max(driven) - min(driven) <= 1

        wait_until(even, "upstreams are spread", seconds)

    def keys(self, prefix=""):
        pages = self.s3.get_paginator("list_objects_v2").paginate(
            Bucket=self.bucket, Prefix=f"{PREFIX}/{prefix}"
        )  # fmt: skip
        return {one["Key"][len(PREFIX) + 1 :] for page in pages for one in page.get("Contents", [])}

    def read(self, name):
        return self.s3.get_object(Bucket=self.bucket, Key=f"{PREFIX}/{name}")["Body"].read()

    def pieces(self, batch):
        """(span, chunk, at, length) of each row."""
        rows = self.query("SELECT span, chunk, at, length FROM journal_pieces "
                          f"WHERE batch = '{batch['id']}'")  # fmt: skip
        return [(int(n), chunk, int(at), int(length)) for n, chunk, at, length in rows]

    def acknowledged(self, batch):
        found, chunks = set(), {}
        pieces, at = self.pieces(batch), time.monotonic()
        for _, chunk, start, length in pieces:
            if chunk not in chunks:
                chunks[chunk] = self.read(chunk)
            found |= lines_of(chunks[chunk][start : start + length])
        return Acknowledged(found, at)

    def wait_acknowledged(self, batch, least, seconds=60):
        """Until so many of a batch have ended in rows."""

        def enough():
            rows = self.query("SELECT coalesce(sum(completed + failed), 0) FROM spans "
                              f"WHERE batch = '{batch['id']}'")  # fmt: skip
            return int(rows[0][0]) >= least

        wait_until(enough, f"{least} lines are acknowledged", seconds)

    # ---- lines ----

    def in_the_middle(self, mark, count, least, **more):
        """A batch of numbered(mark, count), made through the first, of which so many lines have ended."""
        batch = self.api(0).create(numbered(mark, count), **more)
        self.wait_acknowledged(batch, least)
        return batch

    def sent(self, prefix):
        return sum(one.sent(prefix) for one in self.upstreams)

    def counts(self, prefix):
        total = {}
        for one in self.upstreams:
            for marker, n in one.counts(prefix).items():
                total[marker] = total.get(marker, 0) + n
        return total

    def requests(self, prefix, since=0.0):
        """In order of arrival."""
        found = []
        for one in self.upstreams:
            with one.changed:
                found += [r for r in one.requests if r.arrived > since and r.marker.startswith(prefix)]
        return sorted(found, key=lambda r: r.arrived)

    def release(self, gate):
        for one in self.upstreams:
            one.release(gate)

    def in_flight(self):
        return sum(one.in_flight for one in self.upstreams)

    def settled(self, prefix, seconds=30):
        return sum(one.settled(prefix, seconds) for one in self.upstreams)

    def check(self, batch, mark, count, *seen, by=0, apis=None):
        """Of a completed batch of numbered(mark, count): each line stands in the output once, in order,
        and none was sent again after a row had said that it has ended. How many were sent again."""
        counts = {"total": count, "completed": count, "failed": 0}
        assert batch["status"] == "completed" and batch["request_counts"] == counts, batch
        output, error = (apis or self.apis)[by].results(batch)
        assert list(output) == [f"{mark}-{n}" for n in range(count)] and not error
        for one in seen:
            known = {f"{mark}-{n}" for n in one.lines}
            again = [r.marker for r in self.requests(mark, one.at) if r.marker in known]
            assert not again, f"{len(again)} acknowledged lines were sent again: {again[:5]}"
        sent = self.counts(mark)
        assert len(sent) == count, f"{count - len(sent)} lines were never sent"
        return sum(sent.values()) - count

    def logged(self, n, event):
        """Lines of its log with that event."""
        return [one for one in self.servers[n].log().splitlines() if re.search(rf"\b{event}\b", one)]

    def ready(self, n):
        """Status and message of /readyz."""
        got = self.apis[n].http.get(f"{self.servers[n].url}/readyz")
        return got.status_code, "" if got.status_code == 200 else got.json()["error"]["message"]

    def command(self, *words, n=0, **more):
        return program.run(*words, *self.servers[n].place(), **more)


@contextlib.contextmanager
def serving(nodes):
    """The nodes, once they have shared the upstreams; they are closed at the end, whatever ends the block."""
    try:
        nodes.wait_even()
        yield nodes
    finally:
        nodes.close()


def are_ready(nodes, status, words="", which=range(3)):
    """That /readyz of those says so, each within one look."""

    def look():
        found = [nodes.ready(n) for n in which]
        return all(code == status and re.search(words, said) for code, said in found)

    return look
