"""kill -9 at named points and at random (design 1.1, contract 16.5, 16.9).

The promise: a line that ended is never sent again, none is lost, none stands twice. It is checked
by counting at the upstream, which outlives the server. Lines in flight at the kill may be sent
again, and those that were answered and not synced: not more than `execution.concurrency` and 1,024
(upstream/slots.h) of them a kill, and none that was seen to have ended. What had ended, the next
start says itself (`batch.started ended_before=`).
"""

import contextlib
import random
import re
import time

import httpx
import pytest
from support.api import FINAL, output_text
from support.jsonl import fresh, line, numbered
from support.wire import wait_until

CONCURRENCY = 16
UNSYNCED = 1024  # lines that were answered and are not durable: then nothing more is sent
SEGMENT = 1024  # lines whose results are merged at once


@pytest.fixture
def crashing(serve):
    def make(**settings):
        merged = {"execution.concurrency": CONCURRENCY, **settings}
        return serve(
            settings={name.replace("__", "."): v for name, v in merged.items()}, start=False
        )

    return make


def ended_in(batch):
    counts = batch["request_counts"] if batch else {"completed": 0, "failed": 0}
    return counts["completed"] + counts["failed"]


def ended_before(api, batch_id):
    """Lines that had ended when the server was started, as it says; None: it has not said so."""
    said = re.search(rf"batch\.started .*batch={batch_id} .*ended_before=(\d+)", api.server.log())
    return int(said[1]) if said else None


def unfinished(api, upstream, batch_id, mark):
    """How many lines may be sent again after the server has died: those that were sent and had not
    ended when it was started, nor at the last look."""
    upstream.settled(mark)
    ended = max(ended_in(api.watch.last.get(batch_id)), ended_before(api, batch_id) or 0)
    return min(len(upstream.counts(mark)) - ended, UNSYNCED + CONCURRENCY)


def kill(api, upstream, batch, mark):
    """Looks at the batch, and kills the server. Returns how many lines may be sent again."""
    with contextlib.suppress(httpx.TransportError):  # it may not be up yet
        api.get(batch["id"])
    api.server.kill()
    return unfinished(api, upstream, batch["id"], mark)


def check_promise(api, upstream, batch, mark, count, again):
    """A completed batch of numbered(mark, count): whole, in order, no more than `again` lines sent
    again."""
    assert batch["request_counts"] == {"total": count, "completed": count, "failed": 0}
    output, error = api.results(batch)
    assert list(output) == [f"{mark}-{n}" for n in range(count)] and not error
    for custom_id, one in output.items():
        assert output_text(one) == f"echo {custom_id}"
    extra = upstream.sent(mark) - count
    assert extra <= again, f"{extra} lines sent again"
    assert batch["usage"]["total_tokens"] == 10 * count


def last_start(api, upstream, mark, count):
    """The server is dead, and is started again, not to be killed any more. Its only batch, of
    `count` lines, completes, and no line that had ended is sent again. Returns the batch, and how
    many lines had ended."""
    sent = upstream.settled(mark)
    api.server.start()
    (batch,) = api.http.get("batches").json()["data"]
    seen = ended_in(api.watch.last.get(batch["id"]))
    batch = api.wait(batch, "completed", seconds=120)
    ended = ended_before(api, batch["id"])
    if ended is None:
        assert upstream.sent(mark) == sent, "lines were sent, and none was said to be left"
        ended = ended_in(batch)
    assert ended >= seen, "what had ended has not, any more"
    assert upstream.sent(mark) - sent <= count - ended, "a line that had ended was sent again"
    return batch, ended


# ---- named points, while a batch runs ----

# name: (lines, which passings)
RUNNING = {
    "batch.before_in_progress": (40, [1]),
    "journal.before_write": (400, [1, 4]),
    "journal.torn_write": (400, [1, 2, 5]),
    "journal.before_sync": (400, [1, 3]),
    "journal.after_sync": (400, [1, 3]),
    # the first passing is the upload's
    "redo.before_write": (400, [2, 4]),
    "redo.before_sync": (400, [2, 4]),
    "redo.after_sync": (400, [2, 4]),
    "results.before_sync": (2500, [1, 2]),
    "results.after_sync": (2500, [1, 2]),
    "results.after_commit": (2500, [1, 2]),
    "batch.before_final": (1100, [1]),
    "batch.after_final": (1100, [1]),
}
POINTS = [(name, nth) for name, (_, passings) in RUNNING.items() for nth in passings]


def ended_least(name, nth):
    """Lines whose records are written when the server dies there, at least."""
    if name.startswith("batch."):
        return 0 if name == "batch.before_in_progress" else RUNNING[name][0]
    if name.startswith("results."):
        return nth * SEGMENT
    if name.startswith("redo."):
        return nth - (1 if name == "redo.after_sync" else 2)
    return nth if name.endswith("_sync") else nth - 1  # a group has a line at least


@pytest.mark.parametrize(("name", "nth"), POINTS)
def test_16_9_killed_at_a_point(crashing, own_upstream, failpoints, name, nth):
    api = crashing()
    api.server.start(env={"LOWTIDE_FAILPOINTS": f"{name}=kill@{nth}"})
    mark, count = fresh(), RUNNING[name][0]
    # Slow enough that there are several groups of the journal.
    file_id = api.upload(numbered(mark, count, "slow:0.01" if count == 400 else "ok"))
    with contextlib.suppress(httpx.TransportError):  # it may be gone before it has answered
        api.create(file_id)
    watch_until_killed(api)
    sent = own_upstream.settled(mark)
    if name == "batch.before_in_progress":
        assert sent == 0
    batch, ended = last_start(api, own_upstream, mark, count)
    assert ended >= ended_least(name, nth)
    assert sent - ended <= UNSYNCED + CONCURRENCY
    check_promise(api, own_upstream, batch, mark, count, again=sent - ended)
    assert api.content(file_id).count(b"\n") == count


def watch_until_killed(api, seconds=60):
    """Looks at the batches until the server is gone; the last look stays in api.watch."""
    end = time.monotonic() + seconds
    while api.server.alive():
        with contextlib.suppress(httpx.TransportError):
            for batch_id in api.batches:
                api.get(batch_id)
        assert time.monotonic() < end, f"the failpoint was not passed\n{api.server.tail()}"
        time.sleep(0.005)
    api.server.wait_killed()


@pytest.mark.parametrize(
    "name", ["journal.torn_write", "journal.before_sync", "results.after_sync"]
)
def test_16_9_killed_at_the_same_point_again_and_again(crashing, own_upstream, failpoints, name):
    """Recovery that is itself cut short leaves nothing worse."""
    api = crashing()
    api.server.start()
    mark = fresh()
    count = 2200 if name.startswith("results") else 300
    batch = api.create(numbered(mark, count, "slow:0.002"))
    again = 0
    for _ in range(4):
        with contextlib.suppress(httpx.TransportError):
            if api.get(batch["id"])["status"] in FINAL:
                break
        if api.server.alive():
            again += kill(api, own_upstream, batch, mark)
        api.server.start(env={"LOWTIDE_FAILPOINTS": f"{name}=kill@2"}, wait=False)
        end = time.monotonic() + 30
        while api.server.alive() and time.monotonic() < end:
            with contextlib.suppress(httpx.TransportError, AssertionError):
                api.server.wait_ready()
                if api.get(batch["id"])["status"] in FINAL:
                    break
            time.sleep(0.02)
        if not api.server.alive():
            again += unfinished(api, own_upstream, batch["id"], mark)
    if api.server.alive():
        again += kill(api, own_upstream, batch, mark)
    batch, _ = last_start(api, own_upstream, mark, count)
    check_promise(api, own_upstream, batch, mark, count, again)


# ---- named points of upload, create and cancel ----


@pytest.mark.parametrize("name", ["ingest.before_rename", "ingest.after_rename"])
def test_killed_in_an_upload(crashing, failpoints, name):
    """The client got no answer, and no file is there; the upload can be sent again. Bytes that had
    their name already are kept in lost/."""
    api = crashing()
    api.server.start(env={"LOWTIDE_FAILPOINTS": f"{name}=kill"})
    before = api.server.blobs()
    with pytest.raises(httpx.TransportError):
        api.upload_raw([line("a", fresh())])
    api.server.wait_killed()
    api.server.start()
    assert api.http.get("files").json()["data"] == []
    left = {name for name in api.server.blobs() if not name.startswith("lost/")}
    assert left == before, "nothing is left of the upload"
    api.run([line("a", fresh())])


def test_killed_in_a_create(crashing, own_upstream, failpoints):
    """The row was there: the batch runs. A resend with the same key makes no second one."""
    api = crashing()
    api.server.start(env={"LOWTIDE_FAILPOINTS": "batch.after_insert=kill"})
    mark = fresh()
    file_id = api.upload(numbered(mark, 20))
    headers = {"Idempotency-Key": fresh()}
    with pytest.raises(httpx.TransportError):
        api.create_raw(file_id, headers=headers)
    api.server.wait_killed()
    api.server.start()
    again = api.create_raw(file_id, headers=headers)
    assert again.status_code == 200
    listed = api.http.get("batches").json()["data"]
    assert [one["id"] for one in listed] == [again.json()["id"]]
    batch = api.wait(listed[0]["id"], "completed")
    check_promise(api, own_upstream, batch, mark, 20, again=0)


def test_killed_in_a_cancel(crashing, own_upstream, failpoints):
    """`cancelling` was durable: it goes on to `cancelled`, with what was done."""
    api = crashing()
    api.server.start(env={"LOWTIDE_FAILPOINTS": "cancel.after_cancelling=kill"})
    mark = fresh()
    batch = api.create([*numbered(mark, 10), *numbered(mark + "n", 50, "never")])
    api.wait(batch, lambda b: b["request_counts"]["completed"] == 10)
    with pytest.raises(httpx.TransportError):
        api.http.post(f"batches/{batch['id']}/cancel")
    api.server.wait_killed()
    sent = own_upstream.sent(mark)
    api.server.start()
    batch = api.wait(batch, "cancelled", seconds=30)
    output, error = api.results(batch)
    assert list(output) == [f"{mark}-{n}" for n in range(10)]
    assert {one["error"]["code"] for one in error.values()} == {"batch_cancelled"}
    assert own_upstream.sent(mark) == sent, "sent although cancelling"


# ---- at random ----


@pytest.mark.parametrize("seed", range(3))
def test_16_9_killed_at_random(crashing, own_upstream, seed):
    rng = random.Random(seed)
    api = crashing()
    api.server.start()
    mark, count = fresh(), 3500
    batch = api.create(numbered(mark, count, "slow:0.004"))
    kills = again = 0
    while kills < 5:
        end = time.monotonic() + rng.uniform(0.05, 0.6)
        while time.monotonic() < end:
            api.get(batch["id"])
        seen = api.watch.last[batch["id"]]
        if seen["status"] in FINAL:
            break
        again += kill(api, own_upstream, batch, mark)
        kills += 1
        assert own_upstream.sent(mark) <= count + again
        if kills < 5:
            api.server.start()
            assert ended_in(api.get(batch["id"])) >= ended_in(seen)
    if not api.server.alive():
        batch, _ = last_start(api, own_upstream, mark, count)
    check_promise(api, own_upstream, api.wait(batch, "completed"), mark, count, again)
    assert kills >= 2, "it was over before it was killed: not much of a test"


def test_16_9_killed_while_starting(crashing, own_upstream):
    """A server that dies over and over while it recovers."""
    rng = random.Random(7)
    api = crashing()
    api.server.start()
    mark, count = fresh(), 1500
    batch = api.create(numbered(mark, count, "slow:0.002"))
    api.wait(batch, lambda b: b["request_counts"]["completed"] > 200)
    again = kill(api, own_upstream, batch, mark)
    for _ in range(6):
        api.server.start(wait=False)
        time.sleep(rng.uniform(0.02, 0.5))
        again += kill(api, own_upstream, batch, mark)
    batch, _ = last_start(api, own_upstream, mark, count)
    check_promise(api, own_upstream, batch, mark, count, again)


def test_16_9_failed_and_retried_lines_too(crashing, own_upstream):
    """What ended in the error file stays ended; each kind once."""
    rng = random.Random(3)
    api = crashing(execution__max_attempts=2)
    api.server.start()
    mark = fresh()
    scripts = [
        "ok",
        "status:400",
        "status:500",
        "slow:0.01",
        "text",
        "html:404",
        "status:503 then ok",
    ]
    lines = [line(f"{mark}-{n}", f"{mark}-{n} | {scripts[n % 7]}") for n in range(700)]
    batch = api.create(lines)
    again = 0
    for _ in range(3):
        time.sleep(rng.uniform(0.2, 0.7))
        if api.get(batch["id"])["status"] in FINAL:
            break
        again += kill(api, own_upstream, batch, mark)
        api.server.start()
    with api.well():
        batch = api.wait(batch, "completed", seconds=120)
    output, error = api.results(batch)
    for n in range(700):
        kind = scripts[n % 7]
        well = kind in ("ok", "slow:0.01", "status:503 then ok")
        assert (f"{mark}-{n}" in output) == well, (n, kind)
    assert list(output) == [f"{mark}-{n}" for n in range(700) if f"{mark}-{n}" in output]
    assert list(error) == [f"{mark}-{n}" for n in range(700) if f"{mark}-{n}" in error]
    once = [n for n in range(700) if scripts[n % 7] in ("ok", "status:400", "html:404")]
    sent = own_upstream.counts(mark)
    assert sum(sent[f"{mark}-{n}"] - 1 for n in once) <= again


@pytest.mark.parametrize("seed", range(2))
def test_16_5_everything_at_random(crashing, own_upstream, seed):
    """Creates, cancels, windows that end, and kills; Api checks each look against the last."""
    rng = random.Random(100 + seed)
    api = crashing(limits__window_min="1s")
    api.server.start()
    batches = {}
    for _ in range(5):
        for _ in range(3):
            mark, count = fresh(), rng.choice([1, 30, 1100])
            window = rng.choice(["24h", "24h", "2s", "4s"])
            # a thousand lines that all fail at first are an outage, which takes its time
            script = rng.choice(["ok", "slow:0.02", *["status:500 then ok"] * (count < 1000)])
            batch = api.create(numbered(mark, count, script), completion_window=window)
            batches[batch["id"]] = mark
        for batch_id in rng.sample(sorted(batches), 2):
            if rng.random() < 0.5:
                response = api.http.post(f"batches/{batch_id}/cancel")
                assert response.status_code in (200, 400), response.text
        end = time.monotonic() + rng.uniform(0.1, 0.8)
        while time.monotonic() < end:
            for batch_id in batches:
                api.get(batch_id)
        api.server.kill()
        api.server.start()
    for batch_id, mark in batches.items():
        batch = api.wait(batch_id, FINAL, seconds=120)
        output, _ = api.results(batch)
        answered = own_upstream.answered(mark)
        assert set(output) <= set(answered)


@pytest.mark.meta_db
def test_a_torn_database_file_is_no_silent_loss(crashing):
    """A killed server's -wal and -shm beside the database are recovered, not dropped."""
    api = crashing()
    api.server.start()
    ids = [api.upload([line("a", fresh())]) for _ in range(5)]
    api.server.kill()
    api.server.start()
    assert {one["id"] for one in api.http.get("files").json()["data"]} == set(ids)


# ---- a power cut ----


def cut_power(api, flag):
    """The server is killed, and all that it wrote to files and did not sync is lost: of a server whose
    redo log has never been full that is every file of small uploads and batches. The next start is one
    of another kernel."""
    api.server.kill()
    for directory in ("files", "batches"):
        for path in (api.server.data / directory).iterdir():
            path.unlink()
    flag.touch()


def test_what_was_acknowledged_survives_a_power_cut(crashing, own_upstream, failpoints, tmp_path):
    """Uploads, lines that ended, batches that are final: of many small batches at once."""
    flag = tmp_path / "cut"
    api = crashing()
    points = {"LOWTIDE_FAILPOINTS": f"redo.kernel=eio:{flag}"}
    api.server.start(env=points)
    marks = [fresh() for _ in range(8)]
    uploads = {mark: api.upload(numbered(mark, 10)) for mark in marks}
    final = [api.create(uploads[mark]) for mark in marks]
    final = [api.wait(batch, "completed") for batch in final]
    held = fresh()
    half = api.create([*numbered(held, 12), *numbered(held + "h", CONCURRENCY, f"hold:{held}")])
    api.wait(half, lambda b: b["request_counts"]["completed"] == 12)
    only = api.upload(numbered("only", 5))
    before = {file_id: api.content(file_id) for file_id in [*uploads.values(), only]}
    sent = own_upstream.settled(held)
    cut_power(api, flag)
    api.server.start(env=points)
    for file_id, bytes_before in before.items():
        assert api.content(file_id) == bytes_before
    for mark, batch in zip(marks, final, strict=True):
        output, error = api.results(api.get(batch["id"]))
        assert list(output) == [f"{mark}-{n}" for n in range(10)] and not error
    assert ended_in(api.get(half["id"])) >= 12
    assert "blob.lost" not in api.server.log()
    own_upstream.release(held)
    half = api.wait(half, "completed")
    assert len(api.results(half)[0]) == 12 + CONCURRENCY
    counts = own_upstream.counts(held)
    assert {counts[f"{held}-{n}"] for n in range(12)} == {1}, "a line that had ended was sent again"
    assert sent == 12 + CONCURRENCY


@pytest.mark.parametrize("way", ["kill", "stop"])
def test_long_answers_survive_the_next_boot(crashing, own_upstream, failpoints, tmp_path, way):
    """Answers so long that a small batch's journal is synced in itself: all that was written to files is
    there when the machine, or only the container, has been started anew."""
    flag = tmp_path / "booted"
    api = crashing(execution__drain="1s")
    points = {"LOWTIDE_FAILPOINTS": f"redo.kernel=eio:{flag}"}
    api.server.start(env=points)
    mark = fresh()
    long = numbered(mark, 12, "huge:100000")
    batch = api.create([*long, *numbered(mark + "h", CONCURRENCY, f"hold:{mark}")])
    api.wait(batch, lambda b: ended_in(b) == 12)
    own_upstream.settled(mark)
    api.server.kill() if way == "kill" else api.server.stop()
    flag.touch()
    api.server.start(env=points)
    assert ended_in(api.get(batch["id"])) >= 12
    own_upstream.release(mark)
    api.wait(batch, "completed")
    counts = own_upstream.counts(mark)
    assert {counts[f"{mark}-{n}"] for n in range(12)} == {1}, "a line that had ended was sent again"


@pytest.mark.parametrize("seed", range(3))
def test_a_power_cut_at_random(crashing, own_upstream, failpoints, tmp_path, seed):
    """Batches of ten lines, one behind the other; the power goes at any time."""
    rng = random.Random(seed)
    flag = tmp_path / "cut"
    api = crashing()
    points = {"LOWTIDE_FAILPOINTS": f"redo.kernel=eio:{flag}"}
    api.server.start(env=points)
    batches, end = {}, time.monotonic() + rng.uniform(0.5, 2)
    while time.monotonic() < end:
        mark = fresh()
        batches[api.create(numbered(mark, 10, "slow:0.02"))["id"]] = mark
        for batch_id in batches:
            api.get(batch_id)
    seen = {batch_id: ended_in(api.watch.last[batch_id]) for batch_id in batches}
    cut_power(api, flag)
    sent = {batch_id: own_upstream.settled(mark) for batch_id, mark in batches.items()}
    api.server.start(env=points)
    for batch_id, mark in batches.items():
        assert ended_in(api.get(batch_id)) >= seen[batch_id]
        batch = api.wait(batch_id, "completed")
        again = sent[batch_id] - seen[batch_id]
        check_promise(api, own_upstream, batch, mark, 10, again)


# ---- a slow disk ----


@pytest.fixture
def standing(crashing, own_upstream, failpoints, tmp_path):
    """A batch of CONCURRENCY lines that hang and `count` quick ones, in a server whose syncs take
    `seconds` while the flag is there; then the flag is there and those that hung are answered.
    (api, batch, mark, flag)"""

    def make(count, seconds):
        flag = tmp_path / "slow"
        api = crashing()
        api.server.start(env={"LOWTIDE_FAILPOINTS": f"sys.sync=delay:{seconds * 1000}:{flag}"})
        mark = fresh()
        held = numbered(mark + "h", CONCURRENCY, f"hold:{mark}")
        batch = api.create([*held, *numbered(mark, count)])
        own_upstream.wait_sent(mark + "h", CONCURRENCY)
        flag.touch()
        own_upstream.release(mark)
        return api, batch, mark, flag

    return make


def test_a_slow_sync_does_not_empty_the_upstream(standing, own_upstream):
    """25 times the limit are answered within the first sync."""
    count = 25 * CONCURRENCY
    api, batch, mark, flag = standing(count, seconds=10)
    own_upstream.wait(
        lambda: len(own_upstream.answered(mark)) == count + CONCURRENCY, "all", seconds=9
    )
    assert api.get(batch["id"])["request_counts"]["completed"] == 0
    flag.unlink()
    batch = api.wait(batch, "completed")
    assert len(api.results(batch)[0]) == count + CONCURRENCY
    assert set(own_upstream.counts(mark).values()) == {1}


def test_what_is_not_synced_is_bounded_and_runs_again_after_a_kill(standing, own_upstream):
    count = 2 * UNSYNCED
    api, batch, mark, flag = standing(count, seconds=60)
    paused = api.wait(batch, lambda b: b["lowtide"]["stall_reason"] == "paused")
    assert "the disk is slow" in paused["lowtide"]["stall_message"]
    sent = own_upstream.settled(mark)
    assert UNSYNCED <= sent < UNSYNCED + CONCURRENCY
    time.sleep(1)
    assert own_upstream.sent(mark) == sent, "more was sent"
    wait_until(lambda: "dispatch.waits_for_disk" in api.server.log(), "the log says")
    again = kill(api, own_upstream, batch, mark)
    flag.unlink()
    batch, _ = last_start(api, own_upstream, mark, count + CONCURRENCY)
    output, error = api.results(batch)
    assert len(output) == count + CONCURRENCY and not error
    assert own_upstream.sent(mark) - len(output) <= again
    assert max(own_upstream.counts(mark).values()) <= 2


# ---- what is on disk is not what was written ----


def half_done(api, upstream):
    """A batch with 100 lines ended and 40 that hang; the server is killed. (batch, mark)"""
    mark = fresh()
    batch = api.create([*numbered(mark, 100), *numbered(mark + "h", 40, f"hold:{mark}")])
    api.wait(batch, lambda b: b["request_counts"]["completed"] == 100)
    api.server.kill()
    upstream.release(mark)
    return batch, mark


@pytest.mark.parametrize("damage", ["removed", "cut"])
def test_6_service_fault_when_the_input_is_lost(crashing, own_upstream, damage):
    """`failed` with server_error; the server and other batches go on."""
    api = crashing()
    api.server.start()
    other = api.create(numbered(fresh(), 20, "slow:0.3"))
    batch, _ = half_done(api, own_upstream)
    blob = api.server.data / "files" / f"{batch['input_file_id']}.jsonl"
    if damage == "removed":
        blob.unlink()
    else:
        with open(blob, "r+b") as file:
            file.truncate(blob.stat().st_size // 2)
    api.watch.last.clear()
    api.server.start()
    batch = api.wait(batch, "failed")
    assert batch["errors"]["data"][0]["code"] == "server_error"
    assert batch["request_counts"] == {"total": 140, "completed": 100, "failed": 40}
    assert api.content(batch["output_file_id"]).count(b"\n") == 100
    api.wait(other, "completed")
    api.run(numbered(fresh(), 3))


def test_6_damaged_journal_gives_whole_results(crashing, own_upstream):
    """Bytes flipped in its middle: never a line missing, twice, or with another's answer."""
    rng = random.Random(5)
    api = crashing()
    api.server.start()
    batch, mark = half_done(api, own_upstream)
    (journal,) = (api.server.data / "batches").glob("*.journal")
    data = bytearray(journal.read_bytes())
    for _ in range(20):
        data[rng.randrange(64, len(data))] ^= 1 << rng.randrange(8)
    journal.write_bytes(data)
    api.watch.last.clear()  # counts may fall: what is damaged is not finished any more
    api.server.start()
    batch = api.wait(batch["id"], "completed")
    output, _ = api.results(batch)
    assert len(output) == 140
    for custom_id, one in output.items():
        assert output_text(one) == f"echo {custom_id}"
    assert own_upstream.sent(mark) <= 140 + 20 + CONCURRENCY, "more ran again than was damaged"


@pytest.mark.meta_db
def test_a_damaged_database_is_a_clear_error(crashing):
    api = crashing()
    api.server.start()
    api.upload([line("a", fresh())])
    api.server.stop()
    (api.server.data / "meta.db").write_bytes(b"this is no database" * 1000)
    for rest in ("meta.db-wal", "meta.db-shm"):
        (api.server.data / rest).unlink(missing_ok=True)
    api.server.start(wait=False)
    assert api.server.process.wait(timeout=60) not in (0, 86)
    api.server.check_report()
    assert "meta.db" in api.server.log() or "database" in api.server.log()
