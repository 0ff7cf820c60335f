"""What is on disk is not what was written: files go only by a decision, and damage costs no more than
the damage. Rows D1 to D7 of faults-seen.md (D8 and D9 are unit tests: cli/data_dir, base/log)."""

import os
import re
import shutil
import sqlite3
import time

import pytest
from support import server as program
from support.api import output_text
from support.jsonl import fresh, line, numbered
from support.wire import wait_until

META_DB = True

# More may run again after a kill than what was damaged: what was in flight.
CONCURRENCY = 16


@pytest.fixture
def damaged(serve):
    """A server of its own, to be stopped, damaged and started."""

    def make(**settings):
        merged = {"execution.concurrency": CONCURRENCY, **settings}
        return serve(settings={k.replace("__", "."): v for k, v in merged.items()})

    return make


def part_done(api, upstream, done, held=40, **more):
    """A batch with `done` lines ended and `held` that hang; the server is killed. (batch, mark)"""
    mark = fresh()
    lines = [*numbered(mark, done), *numbered(mark + "h", held, f"hold:{mark}")]
    batch = api.create(lines, **more)
    api.wait(batch, lambda b: b["request_counts"]["completed"] == done)
    if done > 1024:  # the first segment is in the result file
        wait_until(lambda: merged(api, batch) >= 1, "a segment is merged")
    api.server.kill()
    upstream.release(mark)
    api.watch.last.clear()  # counts may fall: what is damaged is not finished any more
    return batch, mark


def rows(api, sql, *values):
    return api.server.rows(sql, *values)


def merged(api, batch):
    return rows(api, "SELECT segments FROM progress WHERE batch = ?", batch["id"])[0][0]


def journal_of(api, batch):
    return api.server.data / "batches" / f"{batch['id']}.journal"


def result_blob(api, batch, which="output_file_id"):
    (file_id,) = rows(api, f"SELECT {which} FROM batch WHERE id = ?", batch["id"])[0]
    return api.server.data / "files" / f"{file_id}.jsonl"


def lost(api):
    """Names in lost/."""
    return {path.name for path in api.server.data.glob("lost/*/*")}


def whole(api, batch, mark, done, held=40):
    """Completed, every line once, with its own answer."""
    batch = api.wait(batch["id"], "completed", seconds=120)
    output, error = api.results(batch)
    names = [f"{mark}-{n}" for n in range(done)] + [f"{mark}h-{n}" for n in range(held)]
    assert list(output) == names and not error
    assert all(output_text(one) == f"echo {custom_id}" for custom_id, one in output.items())
    assert batch["request_counts"]["completed"] == done + held
    return batch


def sent_again(upstream, mark):
    """Lines of those that had ended that were sent more than once."""
    return sum(n - 1 for n in upstream.counts(f"{mark}-").values())


# ---- D1: whose database ----


def database_files(api):
    return [api.server.data / f"meta.db{rest}" for rest in ("", "-wal", "-shm")]


def refused(api, reason):
    """A start that says what is wrong and what to do, and touches nothing."""
    before = api.server.blobs()
    api.server.start(wait=False)
    assert api.server.process.wait(timeout=60) == 1
    api.server.check_report()
    assert reason in api.server.log(), api.server.log()
    assert "--adopt" in api.server.log() and "meta.db" in api.server.log()
    assert api.server.blobs() == before


@pytest.mark.parametrize("damage", ["missing", "empty", "older", "another's", "new"])
def test_d1_files_stay_when_the_database_is_not_theirs(damaged, own_upstream, tmp_path, damage):
    api = damaged()
    done = api.run([line("a", fresh())])
    api.server.stop()
    older = tmp_path / "older.db"
    shutil.copy(api.server.data / "meta.db", older)
    api.server.start()
    later = api.run([line("b", fresh())])
    batch, mark = part_done(api, own_upstream, 50)
    api.server.start()
    whole(api, batch, mark, 50)
    api.server.stop()
    kept = tmp_path / "kept.db"
    shutil.copy(api.server.data / "meta.db", kept)
    blobs = api.server.blobs()

    for path in database_files(api):
        path.unlink(missing_ok=True)
    reason = {
        "missing": "is missing", "empty": "is empty", "older": "is older than they are",
        "another's": "is of another data directory", "new": "is new",
    }[damage]  # fmt: skip
    if damage == "empty":
        database_files(api)[0].touch()
    elif damage == "older":
        shutil.copy(older, database_files(api)[0])
    elif damage == "another's":
        made = program.Server(tmp_path / "other", own_upstream)
        made.start()
        made.stop()
        shutil.copy(made.data / "meta.db", database_files(api)[0])
    elif damage == "new":
        db = sqlite3.connect(database_files(api)[0])
        db.executescript("CREATE TABLE t (a); DROP TABLE t; VACUUM")
        db.close()
    refused(api, reason)
    refused(api, reason)  # nor does trying again help

    # The one is put back: all is there.
    for path in database_files(api):
        path.unlink(missing_ok=True)
    shutil.copy(kept, database_files(api)[0])
    api.server.start()
    assert api.server.blobs() == blobs
    for one in (done, later, batch):
        api.results(api.get(one["id"]))
    assert not lost(api)


def test_d1_an_operator_may_go_on_and_nothing_is_removed(damaged, own_upstream):
    """serve --adopt moves to lost/; gc shows, and removes when told to."""
    api = damaged()
    batch, _ = part_done(api, own_upstream, 50)
    found = [*api.server.data.glob("files/*"), *api.server.data.glob("batches/*")]
    names = {path.name for path in found if path.stat().st_size > 0}  # in others nothing is lost
    for path in database_files(api):
        path.unlink(missing_ok=True)
    refused(api, "is missing")
    api.server.args = ["--adopt"]
    api.server.start()
    assert f"{batch['id']}.journal" in lost(api)
    assert lost(api) == names
    log = api.server.log()
    assert re.search(r"warn +data\.adopted", log), log
    assert len(re.findall(r"warn +blob\.lost files=\d+", log)) == 1, log
    assert len(re.findall(r"warn +journal\.lost journals=1", log)) == 1, log
    api.run([line("a", fresh())])
    api.server.stop()

    api.server.args = []  # from now on it is the directory's database
    api.server.start()
    count = len(lost(api))
    listed = program.run("gc", "--data", api.server.data).stdout
    assert f"{batch['id']}.journal" in listed and f"{count} files" in listed
    assert len(lost(api)) == count
    removed = program.run("gc", "--data", api.server.data, "--delete").stdout
    assert f"removed {count} files" in removed
    assert not lost(api)
    assert "nothing in" in program.run("gc", "--data", api.server.data).stdout
    api.run([line("a", fresh())])


def test_d1_an_older_database_costs_no_answers(damaged, own_upstream, tmp_path):
    """It knows of a batch that has ended since: what it would cut off its results is kept aside."""
    api = damaged()
    batch, mark = part_done(api, own_upstream, 50)
    older = [tmp_path / path.name for path in database_files(api)]
    for path, copy in zip(database_files(api), older, strict=True):
        shutil.copy(path, copy)
    api.server.start()
    batch = whole(api, batch, mark, 50)
    answers = api.content(batch["output_file_id"])
    api.server.stop()
    for path, copy in zip(database_files(api), older, strict=True):
        shutil.copy(copy, path)
    refused(api, "is older than they are")
    api.watch.last.clear()
    api.server.args = ["--adopt"]
    api.server.start()
    whole(api, batch, mark, 50)  # paid for again: the old answers are nobody's any more, but there
    (kept,) = api.server.data.glob(f"lost/*/{batch['output_file_id']}.jsonl")
    assert kept.read_bytes() == answers


def test_d1_what_is_lost_goes_after_its_time(damaged):
    api = damaged(retention__lost="2s", retention__sweep="1s")
    api.server.stop()
    orphan = api.server.data / "files" / "file-ofNobodyAtAllXXXXXXXXXX.jsonl"
    orphan.write_bytes(b"somebody's answers\n")
    api.server.start()
    assert not orphan.exists()
    assert lost(api) <= {orphan.name}
    wait_until(lambda: not lost(api), "it went after two seconds")
    wait_until(lambda: "lost.removed files=1" in api.server.log(), "and the log says so")


def test_d1_a_directory_of_before_there_were_ids_gets_one(damaged, own_upstream):
    api = damaged()
    batch, mark = part_done(api, own_upstream, 50)
    (api.server.data / "lowtide.id").unlink()
    db = sqlite3.connect(api.server.data / "meta.db")
    # as version 2 of the tables had it: nothing but the table is looked at again
    db.executescript("DROP TABLE directory")
    made = (program.ROOT / "src/store/migrations/003_directory.sql").read_text()
    db.executescript(made)
    db.close()
    api.server.start()
    whole(api, batch, mark, 50)
    assert (api.server.data / "lowtide.id").exists()
    assert not lost(api)
    api.server.restart()


@pytest.mark.parametrize(
    "point", ["data.after_first_row", "data.after_first_file", "data.after_row"]
)
def test_d1_a_kill_between_row_and_file_is_no_strange_database(serve, failpoints, point):
    """At the first start, and at one later."""
    api = serve(start=False)
    api.server.start(env={"LOWTIDE_FAILPOINTS": f"{point}=kill"}, wait=False)
    api.server.wait_killed()
    api.server.start()
    batch = api.run([line("a", fresh())])
    for _ in range(2):
        api.server.kill()
        api.server.start(env={"LOWTIDE_FAILPOINTS": "data.after_row=kill"}, wait=False)
        api.server.wait_killed()
    api.server.start()
    api.results(api.get(batch["id"]))


# ---- D2 to D4: the journal ----


@pytest.mark.parametrize("content", [b"", b"LTJO", bytes(16)])
def test_d2_a_journal_that_had_just_begun(damaged, own_upstream, content):
    """What a power cut leaves of it: nothing was lost, so nothing has failed."""
    api = damaged()
    batch, mark = part_done(api, own_upstream, 0)
    journal_of(api, batch).write_bytes(content)
    api.server.start()
    whole(api, batch, mark, 0)


def cut(path, size):
    """To so many bytes; None: it is gone."""
    if size is None:
        path.unlink()
    else:
        os.truncate(path, size)


@pytest.mark.parametrize("size", [None, 0, 16, 5000])
def test_d3_a_journal_that_is_short_or_gone(damaged, own_upstream, size):
    """Lines that had been merged stay; the others run again."""
    api = damaged()
    batch, mark = part_done(api, own_upstream, 1100)
    journal = journal_of(api, batch)
    cut(journal, size)
    api.server.start()
    whole(api, batch, mark, 1100)
    assert sent_again(own_upstream, mark) <= 1100 - 1024
    assert not lost(api)


@pytest.mark.parametrize("how", ["cancel", "window"])
def test_d3_a_batch_without_its_journal_can_end(damaged, own_upstream, how):
    """Held up by a journal that this program cannot read: cancel and the window's end reach it."""
    api = damaged(limits__window_min="1s")
    window = "24h" if how == "cancel" else "20s"
    batch, mark = part_done(api, own_upstream, 1100, completion_window=window)
    with open(journal_of(api, batch), "r+b") as file:
        file.write(b"LTJOURNL\xff")  # of a later version
    api.server.start()
    wait_until(
        lambda: api.get(batch["id"])["lowtide"]["stall_reason"] == "paused"
        or api.get(batch["id"])["status"] != "in_progress",
        "it says that it is held up",
    )
    if how == "cancel":
        api.http.post(f"batches/{batch['id']}/cancel")
    batch = api.wait(batch["id"], "cancelled" if how == "cancel" else "expired", seconds=60)
    output, error = api.results(batch)
    assert list(output) == [f"{mark}-{n}" for n in range(1024)]
    assert len(output) + len(error) == 1140
    assert lost(api) == {f"{batch['id']}.journal"}, "it may be readable some day"


@pytest.mark.parametrize("where", [0.1, 0.5, 0.9])
def test_d4_one_bit_costs_one_line(damaged, own_upstream, where):
    api = damaged()
    batch, mark = part_done(api, own_upstream, 100)
    journal = journal_of(api, batch)
    data = bytearray(journal.read_bytes())
    data[int(len(data) * where)] ^= 4
    journal.write_bytes(data)
    api.server.start()
    whole(api, batch, mark, 100)
    assert sent_again(own_upstream, mark) == 1
    assert re.search(r"journal\.damaged .* at=\d+ bytes=\d+", api.server.log())
    assert "torn" not in api.server.log()


def test_d4_a_file_that_is_no_journal_is_kept_aside(damaged, own_upstream):
    api = damaged()
    batch, mark = part_done(api, own_upstream, 50)
    journal_of(api, batch).write_bytes(b"somebody's shopping list\n" * 20)
    api.server.start()
    whole(api, batch, mark, 50)
    assert lost(api) == {f"{batch['id']}.journal"}


def test_d4_damage_while_it_runs(damaged, own_upstream):
    """A record that is hit between its sync and the merge: the line runs again."""
    api = damaged()
    mark = fresh()
    batch = api.create([*numbered(mark, 100), *numbered(mark + "h", 40, f"hold:{mark}")])
    api.wait(batch, lambda b: b["request_counts"]["completed"] == 100)
    with open(journal_of(api, batch), "r+b") as file:
        file.seek(5000)
        byte = file.read(1)[0]
        file.seek(5000)
        file.write(bytes([byte ^ 4]))
    api.watch.last.clear()
    own_upstream.release(mark)
    wait_until(lambda: "batch.reopened" in api.server.log(), "the damage is noticed")
    api.watch.last.clear()
    whole(api, batch, mark, 100)
    assert sent_again(own_upstream, mark) <= 1
    api.watch.last.clear()


# ---- D5, D6: result files, index, input ----


@pytest.mark.parametrize("left", [None, 0, 0.5])
def test_d5_a_short_result_file_is_made_anew(damaged, own_upstream, left):
    """The journal has every line until the end: nothing is paid for again."""
    api = damaged()
    batch, mark = part_done(api, own_upstream, 1100)
    blob = result_blob(api, batch)
    cut(blob, None if left is None else int(blob.stat().st_size * left))
    api.server.start()
    whole(api, batch, mark, 1100)
    assert sent_again(own_upstream, mark) == 0
    assert "results.remade" in api.server.log()


def test_d5_killed_while_it_is_made_anew(damaged, own_upstream, failpoints):
    api = damaged()
    batch, mark = part_done(api, own_upstream, 1100)
    result_blob(api, batch).unlink()
    api.server.start(env={"LOWTIDE_FAILPOINTS": "results.after_lost=kill"}, wait=False)
    api.server.wait_killed()
    api.server.start(env={"LOWTIDE_FAILPOINTS": "results.before_sync=kill"}, wait=False)
    api.server.wait_killed()
    api.server.start()
    whole(api, batch, mark, 1100)
    assert sent_again(own_upstream, mark) == 0


def test_d5_a_batch_that_fails_keeps_its_results(damaged, own_upstream):
    """8.1, 9: the input is lost; what is done is given out, the rest are batch_failed lines."""
    api = damaged()
    batch, mark = part_done(api, own_upstream, 1100)
    (api.server.data / "files" / f"{batch['input_file_id']}.jsonl").unlink()
    api.server.start()
    batch = api.wait(batch["id"], "failed")
    assert batch["errors"]["data"][0]["code"] == "server_error"
    assert batch["request_counts"] == {"total": 1140, "completed": 1100, "failed": 40}
    output = api.content(batch["output_file_id"]).splitlines()
    error = api.content(batch["error_file_id"]).splitlines()
    assert len(output) == 1100 and len(error) == 40
    assert all(b'"batch_failed"' in one for one in error)
    api.server.restart()
    assert api.content(batch["output_file_id"]).splitlines() == output


@pytest.mark.parametrize("damage", ["removed", "cut", "flipped"])
def test_d6_an_index_is_made_anew(damaged, own_upstream, damage):
    api = damaged()
    batch, mark = part_done(api, own_upstream, 500)
    index = api.server.data / "files" / f"{batch['input_file_id']}.index"
    if damage == "removed":
        index.unlink()
    else:
        data = bytearray(index.read_bytes())
        data[3] ^= 1
        index.write_bytes(data if damage == "flipped" else data[: len(data) // 2])
    api.server.start()
    whole(api, batch, mark, 500)
    assert sent_again(own_upstream, mark) == 0
    api.wait(api.create(batch["input_file_id"]), "completed")  # and it is good for more


def test_d6_killed_while_it_is_made_anew(damaged, own_upstream, failpoints):
    api = damaged()
    batch, mark = part_done(api, own_upstream, 500)
    (api.server.data / "files" / f"{batch['input_file_id']}.index").unlink()
    for point in ("ingest.before_rename", "ingest.after_rename"):
        api.server.start(env={"LOWTIDE_FAILPOINTS": f"{point}=kill"}, wait=False)
        api.server.wait_killed()
        if point == "ingest.before_rename":
            assert not list(api.server.data.glob("files/*.index"))
    api.server.start()
    whole(api, batch, mark, 500)
    assert sent_again(own_upstream, mark) == 0


# ---- D7: the clock ----


def test_d7_two_days_ahead_for_a_moment(serve, own_upstream, failpoints, tmp_path):
    api = serve(settings={"retention.sweep": "1s", "execution.concurrency": 40}, start=False)
    wrong = tmp_path / "wrong"
    api.server.start(env={"LOWTIDE_FAILPOINTS": f"clock=172800:{wrong}"})
    mark = fresh()
    expiry = {"expires_after[anchor]": "created_at", "expires_after[seconds]": "86400"}
    file_id = api.upload(numbered(mark, 20, f"hold:{mark}"), **expiry)
    batches = [api.create(file_id) for _ in range(2)]
    own_upstream.wait_sent(mark, 20)
    wrong.touch()
    wait_until(lambda: api.server.log().count("clock.doubted") == 1, "the step is seen")
    time.sleep(2)
    wrong.unlink()
    wait_until(lambda: api.server.log().count("clock.doubted") == 2, "so is the step back")
    time.sleep(1.5)  # sweeps and looks at windows go on
    for batch in batches:
        assert api.get(batch["id"])["status"] in ("validating", "in_progress")
    own_upstream.release(mark)
    for batch in batches:
        api.wait(batch, "completed")
    assert api.content(file_id).count(b"\n") == 20
    assert re.search(r"warn +clock\.doubted off_s=1728\d\d", api.server.log())


def test_d7_a_start_before_the_newest_row(damaged, own_upstream):
    api = damaged()
    batch, mark = part_done(api, own_upstream, 20)
    now = int(time.time())
    db = sqlite3.connect(api.server.data / "meta.db")
    with db:
        db.execute("UPDATE batch SET expires_at = ?", (now - 5,))
        db.execute("INSERT INTO org (id, name, created_at) VALUES ('o', 'late', ?)", (now + 9000,))
    db.close()
    api.server.start()
    assert len(re.findall(r"warn +clock\.doubted off_s=-\d+", api.server.log())) == 1
    # by hand: an ended window is no sight for Api
    sql = "SELECT status, completed FROM batch_whole WHERE id = ?"
    wait_until(lambda: rows(api, sql, batch["id"])[0] == (4, 60), "it is completed")
    own_upstream.wait_sent(f"{mark}h", 40)
    api.batches.clear()
