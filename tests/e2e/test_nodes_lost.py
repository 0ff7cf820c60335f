"""Nodes of one cluster that are killed, stopped, ended and cut off in the middle of a batch (issue 14).

At the end of each: lines lost 0, twice in the output 0, sent again after a row had said that they have
ended 0 (Nodes.check).
"""

import json
import time

import pytest
from support import s3
from support.jsonl import fresh, line, numbered
from support.nodes import PREFIX, Nodes, are_ready, serving
from support.wire import wait_until

CONCURRENCY = 16
SEGMENT_LINES = 1024
COUNT = 6 * SEGMENT_LINES  # six spans


@pytest.fixture(scope="module")
def all_nodes(tmp_path_factory, cluster, store):
    settings = {"execution.concurrency": CONCURRENCY, "execution.drain": "5s"}
    with serving(Nodes(tmp_path_factory.mktemp("nodes"), cluster, store, settings=settings)) as made:
        yield made


def resent_at_most(nodes, drove):
    """In flight, and answered and not acknowledged: together under twice the limit of each upstream;
    and so much again that was on the way."""
    return 3 * CONCURRENCY * max(1, drove)


def holder(nodes, batch, apart=()):
    """A node that has an open span of it, with lines that have ended."""
    for n in range(len(nodes.servers)):
        if n not in apart and nodes.servers[n].alive():
            me, epoch = nodes.number(n)
            mine = f"node = {me} AND node_epoch = {epoch} AND NOT finished AND completed > 0"
            if nodes.spans(batch, mine):
                return n
    return None


def test_a_node_is_killed(nodes):
    """The others go on with its spans within 20 s of its death; started again it takes part."""
    mark = fresh()
    batch = nodes.in_the_middle(mark, COUNT, 700)
    victim = wait_until(lambda: holder(nodes, batch, {0}), "a node that has a span", 10)
    drove, dead = len(nodes.driven(victim)), nodes.number(victim)
    nodes.kill(victim)
    died = time.monotonic()
    seen = nodes.acknowledged(batch)
    theirs = f"node = {dead[0]} AND node_epoch = {dead[1]} AND NOT finished"
    assert nodes.spans(batch, theirs), "it had spans"
    nodes.delay = 0
    wait_until(lambda: nodes.query(f"SELECT 1 FROM nodes WHERE id = {dead[0]} AND epoch > {dead[1]}"),
               "its burial", 20)  # fmt: skip
    wait_until(lambda: not nodes.spans(batch, theirs), "its spans are owned", 20)
    assert time.monotonic() - died < 20
    done = nodes.api(0).wait(batch, "completed", seconds=30)
    assert nodes.check(done, mark, COUNT, seen) <= resent_at_most(nodes, drove)
    nodes.server(victim).start()
    nodes.wait_even()
    mark = fresh()
    before = len(nodes.requests(""))
    done = nodes.api(victim).run(numbered(mark, 3 * 1024))
    assert nodes.check(done, mark, 3 * 1024, by=victim) == 0
    assert len(nodes.requests("")) - before == 3 * 1024


def test_a_node_that_stood_still_past_its_lease(nodes):
    """What it writes then is refused; its lines are counted once; it goes on in its next epoch."""
    mark = fresh()
    batch = nodes.in_the_middle(mark, COUNT, 700)
    zombie = wait_until(lambda: holder(nodes, batch, {0}), "a node that has a span", 10)
    drove, (me, epoch) = len(nodes.driven(zombie)), nodes.number(zombie)
    nodes.freeze(zombie)
    seen = nodes.acknowledged(batch)
    wait_until(lambda: nodes.query(f"SELECT 1 FROM nodes WHERE id = {me} AND epoch > {epoch}"),
               "its burial", 20)  # fmt: skip
    nodes.wait_acknowledged(batch, len(seen.lines) + 1)
    later = nodes.acknowledged(batch)
    nodes.thaw(zombie)
    wait_until(lambda: nodes.ready(zombie)[0] == 200, "it is ready again", 20)
    assert nodes.number(zombie) == (me, epoch + 1)
    nodes.delay = 0
    done = nodes.api(zombie).wait(batch, "completed", seconds=30)
    assert nodes.check(done, mark, COUNT, seen, later, by=zombie) <= resent_at_most(nodes, drove)
    assert nodes.logged(zombie, "span.lost")
    nodes.wait_even()


def test_a_node_is_ended(nodes):
    """SIGTERM: what it has is free as soon as its lines in flight have ended, and nothing runs twice."""
    mark = fresh()
    batch = nodes.in_the_middle(mark, COUNT, 700)
    leaving = wait_until(lambda: holder(nodes, batch, {0}), "a node that has a span", 10)
    me, epoch = nodes.number(leaving)
    theirs = f"node = {me} AND node_epoch = {epoch} AND NOT finished"
    nodes.server(leaving).signal_term()
    wait_until(lambda: not nodes.spans(batch, theirs), "its spans are given back", 2)
    wait_until(lambda: not nodes.query(f"SELECT 1 FROM upstream_leases WHERE node = {me}"),
               "others drive its upstream", 4)  # fmt: skip
    nodes.server(leaving).wait_exit()
    seen = nodes.acknowledged(batch)
    (left,) = nodes.query(f"SELECT lease_until FROM nodes WHERE id = {me}")
    assert left == ("-infinity",)
    nodes.delay = 0
    done = nodes.api(0).wait(batch, "completed", seconds=30)
    assert nodes.check(done, mark, COUNT, seen) == 0


def test_an_object_of_a_dead_node_is_damaged(nodes):
    """A chunk that is gone, and one that was altered: the log says so, and their lines run again."""
    mark = fresh()
    batch = nodes.in_the_middle(mark, COUNT, 1500)
    victim = wait_until(lambda: holder(nodes, batch, {0}), "a node that has a span", 10)
    me, epoch = nodes.number(victim)
    nodes.kill(victim)
    open_spans = {int(n) for (n,) in nodes.query(
        f"SELECT n FROM spans WHERE batch = '{batch['id']}' AND node = {me} AND NOT finished")}  # fmt: skip
    mine = [one for one in nodes.pieces(batch) if one[0] in open_spans]
    assert len({chunk for _, chunk, _, _ in mine}) >= 2, mine
    (gone, altered, *_) = sorted({chunk for _, chunk, _, _ in mine})
    client = nodes.s3
    client.delete_object(Bucket=nodes.bucket, Key=f"{PREFIX}/{gone}")
    whole = bytearray(nodes.read(altered))
    at = next(at for _, chunk, at, _ in mine if chunk == altered)
    whole[at + 60] ^= 1
    client.put_object(Bucket=nodes.bucket, Key=f"{PREFIX}/{altered}", Body=bytes(whole))
    nodes.delay = 0
    nodes.server(victim).start()  # on its directory: what the dead one had is free at once
    done = nodes.api(0).wait(batch, "completed", seconds=30)
    again = nodes.check(done, mark, COUNT)
    assert again >= 2
    logs = [line for n in range(3) for line in nodes.logged(n, "(chunk|journal).damaged")]
    assert any(gone in line for line in logs), logs
    assert len(logs) >= 2, logs


def test_a_part_of_a_result_is_gone(nodes):
    """Removed behind our back: the batch says so, and has all other lines; a retry has those run again."""
    mark, gate, gone = fresh(), fresh(), range(3 * SEGMENT_LINES, 4 * SEGMENT_LINES)
    nodes.delay = 0
    held = line(f"{mark}-0", f"{mark}-0 | hold:{gate}")
    batch = nodes.api(0).create([held] + numbered(mark, COUNT)[1:])
    wait_until(lambda: nodes.spans(batch, "finished") == 5, "all other spans are finished", 30)
    ((part,),) = nodes.query(f"SELECT output_part FROM spans WHERE batch = '{batch['id']}' AND n = 3")
    for name in nodes.keys(f"files/{part}"):
        nodes.s3.delete_object(Bucket=nodes.bucket, Key=f"{PREFIX}/{name}")
    nodes.release(gate)
    shown = lambda: nodes.api(1).http.get(f"batches/{batch['id']}").json()  # noqa: E731
    wait_until(lambda: shown()["status"] == "failed", "it ends", 90)
    del nodes.watch.last[batch["id"]]  # lines that had completed have not
    ended = nodes.api(1).get(batch["id"])
    assert f"Results of {len(gone)} lines are lost" in ended["errors"]["data"][0]["message"], ended
    counts = ended["request_counts"]
    assert (counts["total"], counts["completed"], counts["failed"]) == (COUNT, COUNT - len(gone), len(gone))
    output = [json.loads(one)["custom_id"] for one in nodes.api(2).content(ended["output_file_id"]).splitlines()]
    assert sorted(output) == sorted(f"{mark}-{n}" for n in range(COUNT) if n not in gone)
    again = nodes.api(2).http.post(f"batches/{batch['id']}/retry")
    assert again.status_code == 200, again.text
    done = nodes.api(1).wait(nodes.api(2).created(again.json()), "completed")
    output = [json.loads(one)["custom_id"] for one in nodes.api(0).content(done["output_file_id"]).splitlines()]
    assert sorted(output) == sorted(f"{mark}-{n}" for n in gone)


def of_its_own(urls):
    """Each upstream serves a model that no other does."""
    upstreams = [{"name": f"u-{n}", "url": url, "models": [f"m-{n}"]} for n, url in enumerate(urls)]
    return f"upstreams: {json.dumps(upstreams)}\n"


def test_an_upstream_moves(tmp_path, cluster, store):
    """A node comes, and takes an upstream over: what is in flight there ends before, and nothing is sent twice."""
    mark, gate = fresh(), fresh()
    settings = {"execution.concurrency": CONCURRENCY}
    with serving(Nodes(tmp_path, cluster, store, 2, 2, settings=settings, config=of_its_own)) as nodes:
        nodes.server(1).signal_term()
        nodes.server(1).wait_exit()
        nodes.wait_even()
        lines = [[line(f"{mark}-{m}-{n}", f"{mark}-{m}-{n} | hold:{gate}", model=f"m-{m}") for n in range(2000)]
                 for m in range(2)]  # fmt: skip
        batches = [nodes.api(0).create(some) for some in lines]
        wait_until(lambda: nodes.in_flight() == 2 * CONCURRENCY, "both are busy", 30)
        nodes.server(1).start()
        wait_until(lambda: nodes.logged(0, "node.upstream_leave"), "one is to move", 20)
        time.sleep(1)  # what is wrong would be cut off within a look
        assert nodes.in_flight() == 2 * CONCURRENCY
        nodes.release(gate)
        nodes.wait_even()
        for batch in batches:
            assert nodes.api(1).wait(batch, "completed", seconds=60)["request_counts"]["completed"] == 2000
        assert set(nodes.counts(mark).values()) == {1}


def test_postgresql_is_away(nodes, cluster):
    """Nobody sends once the leases are over; all say why, and go on by themselves."""
    mark = fresh()
    batch = nodes.in_the_middle(mark, COUNT, 700)
    seen = nodes.acknowledged(batch)
    cluster.stop("immediate")
    away = time.monotonic()
    try:
        wait_until(are_ready(nodes, 503, "database"), "they are not ready", 10)
        refused = nodes.api(1).http.get("batches")
        assert refused.status_code == 503 and "database" in refused.json()["error"]["message"]
        time.sleep(max(0, away + 15.5 - time.monotonic()))
        over = time.monotonic()
        time.sleep(1)
        assert not nodes.requests(mark, over), "they send without a lease"
    finally:
        cluster.start()
    back = time.monotonic()
    wait_until(are_ready(nodes, 200), "they are ready again", 20)
    nodes.delay = 0
    done = nodes.api(1).wait(batch, "completed", seconds=40)
    # Whoever is back first may bury the others: what they had in flight runs again.
    assert nodes.check(done, mark, COUNT, seen, by=1) <= 3 * resent_at_most(nodes, 1)
    assert time.monotonic() - back < 40
    for n in range(3):
        assert nodes.logged(n, "node.away") and nodes.logged(n, "node.back")


def test_the_bucket_is_away(nodes, store):
    """What was answered waits, and no more than that: nothing runs twice."""
    mark = fresh()
    batch = nodes.in_the_middle(mark, COUNT, 700)
    port = int(store.endpoint.rsplit(":", 1)[1])
    store.server.stop()
    try:
        wait_until(are_ready(nodes, 503, "storage"), "they are not ready", 15)
        nodes.settled(mark, 10)  # answered and not acknowledged are bounded: they stop
        # the others told last a second ago, perhaps
        stalled = nodes.api(2).wait(batch, lambda one: one["lowtide"]["stall_reason"] == "paused", 10)
        assert stalled["lowtide"]["stall_message"], stalled["lowtide"]
        ended = stalled["request_counts"]["completed"]
        assert nodes.sent(mark) - ended <= 3 * 2 * CONCURRENCY
    finally:
        store.server = s3.serve(port)
    wait_until(are_ready(nodes, 200), "they are ready again", 20)
    nodes.delay = 0
    done = nodes.api(2).wait(batch, "completed", seconds=40)
    assert nodes.check(done, mark, COUNT, by=2) == 0


@pytest.mark.parametrize("models", [1, 2], ids=["one_model", "two_models"])
def test_an_upstream_is_away(nodes, models):
    """What its driver has of a batch goes to those whose upstreams answer; when it is back it sends again."""
    mark, away = fresh(), 1
    nodes.delay = 0.2
    lines = [line(f"{mark}-{n}", f"{mark}-{n}", model=f"m-{n % models}") for n in range(2 * COUNT)]
    batch = nodes.api(0).create(lines, lowtide={"mixed_models": models > 1})
    nodes.wait_acknowledged(batch, 2000)
    assert nodes.upstreams[away].counts(mark), "it has been sent some"
    seen = nodes.acknowledged(batch)
    nodes.upstreams[away].stop()
    try:
        nodes.delay = 0
        batch = nodes.api(0).wait(batch, "completed", seconds=90)
        nodes.check(batch, mark, 2 * COUNT, seen)
    finally:
        nodes.upstreams[away].start()
    mark = fresh()
    nodes.delay = 0.2
    batch = nodes.api(1).create(numbered(mark, 2 * COUNT))
    wait_until(lambda: nodes.upstreams[away].counts(mark), "it is sent lines again", 60)
    nodes.delay = 0
    nodes.check(nodes.api(1).wait(batch, "completed"), mark, 2 * COUNT)
