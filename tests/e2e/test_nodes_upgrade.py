"""A rolling upgrade across one version of the schema (issue 14). What the newer lowtide has in its schema
failpoints pretend (postgres_migrate.c): `store.next_adds` tables and columns beside those that are there,
`store.second_adds` behind that another version, `store.next_breaks` one that shuts older programs out.
"""

import contextlib
import re
import threading
import time

import openai
import pytest
from support import server as program
from support.jsonl import fresh, numbered
from support.nodes import Nodes, are_ready, serving
from support.wire import wait_until

COUNT = 6 * 1024
NEXT, SECOND, BREAKS = "store.next_adds", "store.second_adds", "store.next_breaks"

pytestmark = pytest.mark.usefixtures("failpoints")


def newer(tmp_path, *names):
    """The environment of a lowtide that has these migrations, too."""
    flag = tmp_path / "on"
    flag.touch()
    return {"LOWTIDE_FAILPOINTS": ",".join(f"{one}=eio:{flag}" for one in names)}


@pytest.fixture
def nodes(tmp_path, cluster, store, request):
    """Those of each test are new: a schema does not go back."""
    made = Nodes(tmp_path, cluster, store, settings={"execution.concurrency": 16, "execution.drain": "5s"})
    request.node.servers = made.servers
    with serving(made):
        yield made
        made.delay = 0


def version(nodes):
    ((version, oldest),) = nodes.query("SELECT version, compatible_from FROM lowtide")
    return int(version), int(oldest)


def known(nodes):
    """The version that the program has, and that it is for those of the same."""
    at, _ = version(nodes)
    return at


class Clients(threading.Thread):
    """The official client asks one node after the other, and the next where one is not there; each call
    is answered by some node, with what it asked for."""

    def __init__(self, nodes, batch):
        super().__init__(daemon=True)
        self.nodes, self.batch = nodes, batch
        self.over = threading.Event()
        self.answered, self.wrong, self.made = [0] * len(nodes.servers), [], 0

    def run(self):
        n = 0
        while not self.over.is_set():
            n += 1
            try:
                self._call(n)
            except Exception as error:  # noqa: BLE001 # told by the test
                self.wrong.append(repr(error))

    def _call(self, n):
        end = time.monotonic() + 30
        while time.monotonic() < end and not self.over.is_set():
            n += 1
            one = self.nodes.server(n % len(self.nodes.servers))
            if not one.port or not one.alive():
                time.sleep(0.02)
                continue
            try:
                with openai.OpenAI(api_key=one.key, base_url=one.base_url, max_retries=0, timeout=20) as client:
                    self._ask(client, n)
                self.answered[n % len(self.nodes.servers)] += 1
                time.sleep(0.02)
                return
            except (openai.APIConnectionError, openai.InternalServerError) as error:
                # a node that ends or starts: 503; the database is being migrated: the same
                if isinstance(error, openai.InternalServerError) and error.status_code != 503:
                    raise
        if not self.over.is_set():
            self.wrong.append("no node has answered for 30 s")

    def _ask(self, client, n):
        seen = client.batches.retrieve(self.batch["id"])
        if seen.id != self.batch["id"] or seen.request_counts.total not in (0, COUNT):
            self.wrong.append(f"{seen}")
        if n % 7 == 0:
            file = client.files.create(file=("in.jsonl", b"\n".join(numbered(fresh(), 2))), purpose="batch")
            made = client.batches.create(input_file_id=file.id, endpoint="/v1/chat/completions",
                                         completion_window="24h")  # fmt: skip
            self.made += made.input_file_id == file.id

    def end(self):
        self.over.set()
        self.join(60)
        assert not self.is_alive() and not self.wrong, self.wrong[:5]
        assert all(self.answered) and self.made, (self.answered, self.made)


@contextlib.contextmanager
def clients(nodes, batch):
    made = Clients(nodes, batch)
    made.start()
    try:
        yield made
    finally:
        made.over.set()
        made.join(60)
    made.end()


def drop_connections(nodes):
    """Each has to be made anew."""
    nodes.query("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'lowtide'")


def test_one_node_after_the_other(nodes, tmp_path):
    """While a batch runs and clients ask, and across it a node of before starts and connects anew."""
    env, mark, before = newer(tmp_path, NEXT), fresh(), known(nodes)
    nodes.delay = 0.25  # it is to last for two starts of a busy machine
    batch = nodes.in_the_middle(mark, COUNT, 200)
    with clients(nodes, batch):
        nodes.server(0).stop()
        nodes.server(0).start(env=env)
        assert version(nodes) == (before + 1, before)
        assert nodes.logged(0, "store.migrated")
        seen = nodes.acknowledged(batch)
        # Those of before: their connections break, and one is started again as it was.
        drop_connections(nodes)
        wait_until(are_ready(nodes, 200), "all are ready", 30)
        wait_until(lambda: nodes.logged(2, "store.newer"), "it says that the database is newer", 30)
        nodes.server(1).stop()
        nodes.server(1).start()
        told = nodes.logged(1, "store.newer")
        assert len(told) == 1 and f"version={before + 1} knows={before}" in told[0], told
        wait_until(lambda: nodes.driven(1), "it drives an upstream", 30)
        assert not nodes.api(1).get(batch["id"])["status"] == "completed", "too soon: nothing was tried"
        made = nodes.api(1).run(numbered(fresh(), 50))
        assert nodes.api(0).get(made["id"])["request_counts"]["completed"] == 50
        # The commands of before.
        key = nodes.command("key", "create", "--org", "of-before", n=2).stdout.strip()
        assert "of-before" in nodes.command("key", "list", n=2).stdout and key.startswith("sk-")
        nodes.command("org", "limit", "of-before", "uploads=7", n=2)
        for n in (1, 2):
            nodes.server(n).stop()
            nodes.server(n).start(env=env)
            assert not nodes.logged(n, "store.newer")
        nodes.delay = 0
        done = nodes.api(2).wait(batch, "completed", seconds=60)
    nodes.check(done, mark, COUNT, seen, by=1)
    assert version(nodes) == (before + 1, before)
    assert nodes.query("SELECT DISTINCT next_column FROM batch") == [("7",)]


def test_two_versions_on_is_refused(nodes, tmp_path):
    """And a version is not made under nodes that it would shut out."""
    before, was = known(nodes), version(nodes)
    mark = fresh()
    nodes.delay = 0.1
    batch = nodes.in_the_middle(mark, 2048, 50)
    both = newer(tmp_path, NEXT, SECOND)
    nodes.server(0).stop()
    assert nodes.server(0).start(env=both, wait=False).process.wait(60) == 1
    said = nodes.server(0).log()
    assert f"bring the database to version {before + 2}" in said and "end them first" in said, said
    assert version(nodes) == was, "something was changed"
    assert all(nodes.ready(n)[0] == 200 for n in (1, 2))
    # One version first, on all.
    for n in range(3):
        if nodes.server(n).alive():
            nodes.server(n).stop()
        nodes.server(n).start(env=newer(tmp_path, NEXT))
    nodes.server(0).stop()
    nodes.server(0).start(env=both)
    assert version(nodes) == (before + 2, before + 1)
    nodes.server(1).stop()
    nodes.server(1).start(wait=False)
    assert nodes.server(1).process.wait(60) == 1
    said = nodes.server(1).log()
    assert re.search(rf"has version {before + 2}, made by a newer lowtide.* version {before + 1} at least; "
                     rf"this one knows versions up to {before}", said), said  # fmt: skip
    refused = nodes.command("key", "list", n=1, expect=None)
    assert refused.returncode != 0 and "made by a newer lowtide" in refused.stderr
    nodes.server(1).start(env=newer(tmp_path, NEXT))
    drop_connections(nodes)
    wait_until(are_ready(nodes, 200), "all are ready", 30)
    nodes.delay = 0
    nodes.check(nodes.api(1).wait(batch, "completed", seconds=60), mark, 2048)


def test_a_version_that_breaks(nodes, tmp_path):
    """Not while nodes of before serve; then these start no more, also not on a connection made anew."""
    before, was, env = known(nodes), version(nodes), newer(tmp_path, BREAKS)
    batch = nodes.api(0).run(numbered(fresh(), 100))
    nodes.server(0).stop()
    assert nodes.server(0).start(env=env, wait=False).process.wait(60) == 1
    assert "end them first" in nodes.server(0).log()
    said = program.run("key", "list", *nodes.server(1).place(), env=env, expect=None)
    assert said.returncode != 0 and "end them first" in said.stderr, said.stderr
    assert version(nodes) == was
    nodes.server(1).stop()
    nodes.server(2).stop()
    nodes.server(0).start(env=env)
    assert version(nodes) == (before + 1, before + 1)
    nodes.server(1).start(wait=False)
    assert nodes.server(1).process.wait(60) == 1
    assert f"version {before + 1} at least; this one knows versions up to {before}" in nodes.server(1).log()
    assert nodes.api(0).get(batch["id"]) == batch
    nodes.server(1).start(env=env)
    # A database that moved under a node all the same: it says so and sends nothing.
    nodes.query(f"UPDATE lowtide SET version = {before + 9}, compatible_from = {before + 9}")
    drop_connections(nodes)
    wait_until(lambda: nodes.ready(0)[0] == 503 and "newer lowtide" in nodes.ready(0)[1], "it says why", 30)
    assert nodes.api(0).http.get("batches").status_code == 503
    nodes.query(f"UPDATE lowtide SET version = {before + 1}, compatible_from = {before + 1}")
    wait_until(lambda: nodes.ready(0)[0] == 200 == nodes.ready(1)[0], "it goes on", 30)
