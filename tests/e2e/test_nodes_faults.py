"""Faults beside nodes that serve: a clock, PostgreSQL that takes no connections or no changes, a disk, the
bucket's credentials and the bucket (issue 14).

Of each: it is said in a sentence, clients are told to come again, nothing is lost, and when it is over all
goes on by itself. Nodes that die, and servers that are away: test_nodes_lost.py.
"""

import contextlib
import json
import re
import subprocess

import pytest
from moto.iam.models import iam_backends
from moto.s3.models import s3_backends
from support import s3
from support.jsonl import fresh, jsonl, numbered
from support.nodes import Nodes, are_ready, serving
from support.wire import wait_until

CONCURRENCY = 16
COUNT = 4 * 1024

pytestmark = pytest.mark.usefixtures("failpoints")


@pytest.fixture(scope="module")
def wrong_clock(tmp_path_factory):
    """While that file exists, the clock of nodes that have its failpoint is an hour ahead."""
    return tmp_path_factory.mktemp("clock") / "wrong"


class Credentials:
    """The file that all nodes have them from."""

    def __init__(self, path, store):
        self.path, self.secret = path, store.secret_key
        self.write(store.access_key)

    def write(self, access_key):
        self.path.write_text(f"[lowtide]\naws_access_key_id = {access_key}\n"
                             f"aws_secret_access_key = {self.secret}\n")  # fmt: skip


@pytest.fixture(scope="module")
def credentials(tmp_path_factory, store):
    return Credentials(tmp_path_factory.mktemp("credentials") / "bucket", store)


@pytest.fixture(scope="module")
def all_nodes(tmp_path_factory, cluster, store, wrong_clock, credentials):
    settings = {"execution.concurrency": CONCURRENCY, "execution.drain": "5s", "limits.window_min": "1s",
                "blobs.credentials_file": credentials.path}  # fmt: skip
    made = Nodes(tmp_path_factory.mktemp("nodes"), cluster, store, user="few", settings=settings)
    made.server(1).env["LOWTIDE_FAILPOINTS"] = f"clock=3600:{wrong_clock}"
    made.server(1).restart()
    with serving(made):
        yield made


def refused(response):
    """503, in a sentence, with when to come again."""
    assert response.status_code == 503, response.text
    assert int(response.headers["retry-after"]) >= 1
    said = response.json()["error"]["message"]
    assert said.endswith(".") and "/" not in said, said
    return said


def upload(nodes, n):
    return nodes.api(n).upload_raw(jsonl(numbered(fresh(), 3)))


def ends(nodes, batch, mark, *seen, by=0, count=COUNT, seconds=60):
    nodes.delay = 0
    return nodes.check(nodes.api(by).wait(batch, "completed", seconds=seconds), mark, count, *seen, by=by)


# ---- a clock ----


@pytest.fixture
def off(wrong_clock):
    yield wrong_clock
    wrong_clock.unlink(missing_ok=True)


def test_a_nodes_clock_is_an_hour_off(nodes, off):
    """No window ends by it, no client is sent there; it works on for the others, and so do they."""
    mark = fresh()
    batch = nodes.in_the_middle(mark, COUNT, 300, completion_window="10m")
    off.touch()
    wait_until(are_ready(nodes, 503, r"clock of this node is 3\d\d\d s ahead", [1]), "it says so", 15)
    assert len(nodes.logged(1, "clock.off")) == 1
    assert "ends windows by that one" in nodes.logged(1, "clock.off")[0]
    assert are_ready(nodes, 200, "", (0, 2))()
    assert nodes.api(1).get(batch["id"])["status"] == "in_progress"
    # Started again with that clock it knows at once, before it could end anything.
    nodes.server(1).stop()
    nodes.server(1).start(wait=False)
    wait_until(lambda: nodes.server(1).port or re.search(r"http://127\.0\.0\.1:(\d+)", nodes.server(1).stdout()),
               "it listens")  # fmt: skip
    nodes.server(1).port = int(re.search(r"http://127\.0\.0\.1:(\d+)", nodes.server(1).stdout())[1])
    wait_until(lambda: nodes.number(1) and nodes.driven(1), "it drives an upstream", 30)
    wait_until(are_ready(nodes, 503, "clock of this node", [1]), "it says so again", 15)
    since = f"SELECT since - extract(epoch FROM now())::bigint FROM node_reports WHERE node = {nodes.number(1)[0]}"
    wait_until(lambda: nodes.query(since), "it reports", 15)
    assert -60 < int(nodes.query(since)[0][0]) <= 1
    assert ends(nodes, batch, mark) < COUNT
    assert nodes.api(2).get(batch["id"])["status"] == "completed"
    # Windows end meanwhile, whichever node has the span: by the database's clock.
    for _ in range(6):
        held = nodes.api(0).create(numbered(fresh(), 4, f"hold:{mark}"), completion_window="3s")
        assert nodes.api(0).wait(held, "expired", seconds=30)["request_counts"]["total"] == 4
    nodes.release(mark)
    off.unlink()
    wait_until(are_ready(nodes, 200), "it is ready again", 15)
    assert nodes.logged(1, "clock.good")


# ---- PostgreSQL ----


def drop_connections(nodes):
    nodes.cluster.query("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'few'")


@pytest.fixture
def few(nodes, cluster):
    """few(0): no new connection of the nodes is taken; few(-1): all are again."""
    yield lambda n: cluster.query(f"ALTER ROLE few CONNECTION LIMIT {n}")
    cluster.query("ALTER ROLE few CONNECTION LIMIT -1")


def test_no_more_connections(nodes, few):
    """One that starts says what is to be raised. Those that serve, once they have lost theirs, say so, and
    have them again as soon as they may."""
    mark = fresh()
    batch = nodes.in_the_middle(mark, COUNT, 300)
    seen = nodes.acknowledged(batch)
    nodes.server(2).stop()
    few(0)
    nodes.server(2).start(wait=False)
    assert nodes.server(2).process.wait(60) == 1
    said = nodes.server(2).log().splitlines()[-1]
    assert "too few connections" in said and "too many connections" in said, said
    assert "max_connections" in said and "CONNECTION LIMIT" in said, said
    assert are_ready(nodes, 200, "", (0, 1))()
    drop_connections(nodes)
    wait_until(are_ready(nodes, 503, "no more connections", (0, 1)), "they say why", 30)
    assert "no more connections" in refused(nodes.api(0).http.get("batches"))
    refused(upload(nodes, 1))
    few(-1)
    wait_until(are_ready(nodes, 200, "", (0, 1)), "they are ready again", 30)
    nodes.server(2).start()
    for n in (0, 1):
        away = nodes.logged(n, "node.away")
        assert any("CONNECTION LIMIT" in one for one in away), away
        wait_until(lambda n=n: nodes.logged(n, "node.back"), "all of it is back", 20)
    ends(nodes, batch, mark, seen, by=2)


def test_postgresql_takes_no_changes(nodes, cluster):
    """As in a failover: reads are answered, changes are to come again; nobody sends without a lease."""
    mark = fresh()
    batch = nodes.in_the_middle(mark, COUNT, 300)
    seen = nodes.acknowledged(batch)
    cluster.query("ALTER SYSTEM SET default_transaction_read_only = on")
    cluster.query("SELECT pg_reload_conf()")
    try:
        wait_until(lambda: upload(nodes, 0).status_code == 503, "a change is refused", 15)
        assert "takes no changes" in refused(upload(nodes, 2))
        assert nodes.api(1).http.get(f"batches/{batch['id']}").status_code == 200
        wait_until(are_ready(nodes, 503, "database takes no changes"), "they are not ready", 30)
        wait_until(lambda: nodes.in_flight() == 0, "what was in flight ends", 15)
        before = nodes.sent(mark)
        assert nodes.api(2).get(batch["id"])["status"] == "in_progress"
        wait_until(are_ready(nodes, 503, "no lease any more"), "their leases are over", 20)
        assert nodes.sent(mark) == before, "they send without a lease"
        for n in range(3):
            assert any("25006" in one for one in nodes.logged(n, "node.away")), nodes.logged(n, "node.away")
    finally:
        cluster.query("ALTER SYSTEM RESET default_transaction_read_only")
        cluster.query("SELECT pg_reload_conf()")
    wait_until(are_ready(nodes, 200), "they are ready again", 30)
    assert ends(nodes, batch, mark, seen, by=1) <= 3 * 3 * CONCURRENCY
    assert upload(nodes, 1).status_code == 200


# ---- a disk ----


@pytest.fixture
def small_disk(tmp_path):
    """A file system of its own of 8 MB; fill() and clear()."""
    mount = tmp_path / "disk"
    mount.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m,mode=0755", "lowtide-test", mount],
                          capture_output=True, text=True)  # fmt: skip
    if done.returncode != 0:
        pytest.skip(f"needs a mount, which this user may not make: {done.stderr.strip()}")

    class Disk:
        path = mount

        def fill(self):
            with open(mount / "filler", "ab", buffering=0) as filler, contextlib.suppress(OSError):
                while filler.write(b"\0" * 4096):
                    pass

        def clear(self):
            (mount / "filler").unlink(missing_ok=True)

    yield Disk()
    subprocess.run(["umount", "-l", mount], check=True)


@pytest.fixture
def on_small_disk(nodes, small_disk):
    """Node 2 has its directory and its scratch there."""
    server, usual = nodes.server(2), nodes.server(2).data
    server.stop()
    server.data = small_disk.path / "data"
    server.env["TMPDIR"] = str(small_disk.path)
    server.start()
    nodes.wait_even()
    yield small_disk
    small_disk.clear()
    server.stop()
    server.data = usual
    del server.env["TMPDIR"]
    server.start()


def test_a_nodes_disk_is_full(nodes, on_small_disk):
    """It says so, and what it has waits there; the others serve, and go on with theirs. Once there is room
    it goes on, and nothing is sent again."""
    mark, big = fresh(), jsonl([b"x" * 10_000 for _ in range(400)])
    batch = nodes.in_the_middle(mark, COUNT, 300)
    seen = nodes.acknowledged(batch)
    on_small_disk.fill()
    answer = nodes.api(2).upload_raw(big)
    assert answer.status_code == 507 and "disk is full" in answer.json()["error"]["message"], answer.text
    assert "/" not in answer.json()["error"]["message"]
    wait_until(are_ready(nodes, 503, "disk of this node is full", [2]), "it says so", 30)
    assert are_ready(nodes, 200, "", (0, 1))()
    assert upload(nodes, 0).status_code == upload(nodes, 1).status_code == 200
    assert any("batches/" in one and "errno=28" in one for one in nodes.logged(2, "journal.paused"))
    me, epoch = nodes.number(2)
    wait_until(lambda: nodes.spans(batch, f"NOT finished AND node <> {me}") == 0, "theirs end", 60)
    assert nodes.api(0).get(batch["id"])["status"] == "in_progress"
    on_small_disk.clear()
    wait_until(are_ready(nodes, 200), "it is ready again", 15)
    assert ends(nodes, batch, mark, seen, by=2) == 0
    assert nodes.number(2) == (me, epoch), "it was buried"
    assert upload(nodes, 2).status_code == 200


# ---- the bucket ----


@pytest.fixture
def account(store):
    """What moto keeps of the user whose credentials the nodes have."""
    (user,) = [one for by_partition in iam_backends.values() for backend in by_partition.values()
               for one in backend.users.values()
               if store.access_key in [key.access_key_id for key in one.access_keys]]  # fmt: skip
    (key,) = user.access_keys
    kept = key.access_key_id, key.secret_access_key, dict(user.policies)

    class Account:
        def rotate(self):
            key.access_key_id = "AKIAANOTHERISINPLACE"

        def change(self):
            key.secret_access_key = "another"

        def deny(self):
            user.policies = {"none": json.dumps({**s3.POLICY, "Statement": [
                {"Effect": "Deny", "Action": "*", "Resource": "*"}]})}  # fmt: skip

        def restore(self):
            key.access_key_id, key.secret_access_key, user.policies = kept[0], kept[1], dict(kept[2])

    made = Account()
    yield made
    made.restore()


@pytest.mark.parametrize(("how", "words"), [
    ("rotate", "does not know the access key"), ("change", "the secret key"),
    ("deny", "does not let these credentials"),
])  # fmt: skip
def test_credentials_are_taken_away(nodes, account, how, words):
    mark = fresh()
    batch = nodes.in_the_middle(mark, COUNT, 300)
    seen = nodes.acknowledged(batch)
    getattr(account, how)()
    refused(upload(nodes, 0))
    wait_until(are_ready(nodes, 503, "storage refuses the credentials"), "they say why", 30)
    nodes.settled(mark, 15)  # what was answered waits for the bucket, and no more than that is sent
    stalled = lambda: nodes.api(2).get(batch["id"])["lowtide"]["stall_reason"] == "paused"  # noqa: E731
    wait_until(stalled, "all nodes say that it is paused", 15)
    seen_at = nodes.api(2).get(batch["id"])
    assert seen_at["status"] == "in_progress", seen_at
    assert "storage" in seen_at["lowtide"]["stall_message"]
    for n in range(3):
        told = nodes.logged(n, "blob.storage_refuses")
        assert told and words in told[-1] and nodes.bucket in told[-1], told
        assert not nodes.logged(n, "batch.input_lost")
    account.restore()
    wait_until(are_ready(nodes, 200), "they are ready again", 30)
    assert all(nodes.logged(n, "blob.storage_back") for n in range(3))
    assert ends(nodes, batch, mark, seen, by=2) == 0
    assert upload(nodes, 0).status_code == 200


def test_credentials_are_replaced_in_their_file(nodes, account, credentials, store):
    """As a token that ends is: no node is started anew."""
    mark = fresh()
    batch = nodes.in_the_middle(mark, COUNT, 300)
    seen = nodes.acknowledged(batch)
    account.rotate()
    refused(upload(nodes, 0))
    credentials.write("AKIAANOTHERISINPLACE")
    wait_until(are_ready(nodes, 200), "they are ready again", 30)
    assert ends(nodes, batch, mark, seen, by=1) == 0
    assert all(upload(nodes, n).status_code == 200 for n in range(3))
    assert all(nodes.logged(n, "blob.credentials_renewed") for n in range(3))
    # both at once: nobody is refused
    account.restore()
    credentials.write(store.access_key)
    assert all(upload(nodes, n).status_code == 200 for n in range(3))


@pytest.fixture
def bucket_of(nodes):
    """take(): there is no such bucket; give(): it is there again, as an operator would bring it back."""
    (home,) = [backend for by_partition in s3_backends.values() for backend in by_partition.values()
               if nodes.bucket in backend.buckets]  # fmt: skip
    kept, where = home.buckets[nodes.bucket], s3_backends.bucket_accounts[nodes.bucket]

    class Bucket:
        def take(self):
            del home.buckets[nodes.bucket]
            del s3_backends.bucket_accounts[nodes.bucket]

        def give(self):
            home.buckets[nodes.bucket] = kept
            s3_backends.bucket_accounts[nodes.bucket] = where

    made = Bucket()
    yield made
    made.give()


def test_the_bucket_is_removed_and_brought_back(nodes, bucket_of):
    """Nothing is taken for lost meanwhile: not what a batch waits for, nor what a client asks for."""
    mark, other = fresh(), fresh()
    batch = nodes.in_the_middle(mark, COUNT, 300)
    small = nodes.api(0).upload(numbered(other, 700))
    seen = nodes.acknowledged(batch)
    bucket_of.take()
    refused(upload(nodes, 1))
    wait_until(are_ready(nodes, 503, "bucket of this server is not"), "they say why", 30)
    for n in range(3):
        assert nodes.api(n).http.get(f"files/{small}/content").status_code == 503
        told = nodes.logged(n, "blob.storage_refuses")
        assert told and "no such bucket" in told[-1] and nodes.bucket in told[-1], told
    made = nodes.api(1).http.post("batches", json={"input_file_id": small, "completion_window": "24h",
                                                   "endpoint": "/v1/chat/completions"})  # fmt: skip
    nodes.settled(mark, 15)
    assert nodes.api(2).get(batch["id"])["status"] == "in_progress"
    assert made.status_code in (200, 503), made.text
    bucket_of.give()
    wait_until(are_ready(nodes, 200), "they are ready again", 30)
    assert ends(nodes, batch, mark, seen, by=2) == 0
    if made.status_code == 503:
        made = nodes.api(1).http.post("batches", json={"input_file_id": small, "completion_window": "24h",
                                                       "endpoint": "/v1/chat/completions"})  # fmt: skip
    ends(nodes, made.json(), other, count=700)
    for n in range(3):
        assert not nodes.logged(n, "batch.input_lost") and not nodes.logged(n, "chunk.damaged")


def test_the_bucket_is_made_anew(nodes, bucket_of):
    """It is empty: what stood there is gone, and nobody says otherwise. A batch whose input went ends as failed,
    and each of its lines stands in one of its two files; all that comes later is as ever."""
    mark, later = fresh(), fresh()
    done = nodes.api(0).run(numbered(fresh(), 20))
    batch = nodes.in_the_middle(mark, COUNT, 50)
    bucket_of.take()
    wait_until(are_ready(nodes, 503, "bucket of this server is not"), "they say why", 30)
    nodes.s3.create_bucket(Bucket=nodes.bucket)
    wait_until(are_ready(nodes, 200), "they are ready again", 30)
    for n in range(3):
        assert nodes.api(n).http.get(f"files/{done['output_file_id']}/content").status_code in (404, 500)
    made = nodes.api(1).create(numbered(later, 1024))
    ends(nodes, made, later, count=1024)
    ended = nodes.api(2).wait(batch, "failed", seconds=60)
    assert "stored input of this batch could not be read" in ended["errors"]["data"][0]["message"], ended
    counts = ended["request_counts"]
    assert counts["total"] == COUNT == counts["completed"] + counts["failed"] and counts["failed"], counts
    output, error = (nodes.api(1).content(ended[name]).splitlines() for name in ("output_file_id", "error_file_id"))
    answered = {json.loads(one)["custom_id"] for one in output}
    assert len(answered) == len(output) == counts["completed"] and len(error) == counts["failed"]
