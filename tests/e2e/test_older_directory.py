"""A data directory of an older build, in the middle of a batch (tests/support/older_directory.tar.xz, made
by commit fc47db5): its journal has no numbers in the order of ending, and there is no order. 1,024 of
the lines have ended and are merged, six were in flight at a kill."""

import json
import shutil
import sqlite3
import time
from pathlib import Path

import pytest
from support import api as support_api

META_DB = True

KEY = "sk-" + "old" * 16
BATCH = "batch_3b85baa6805a3056fcb96206c52160f4"
MADE_AT = 1796075446
LINES = [f"l-{n}" for n in range(1030)]


def times_move(path, by):
    """The directory is as old as it was when it was packed, whatever the day is."""
    with sqlite3.connect(path) as db:
        tables = [name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        for table in tables:
            for column in [row[1] for row in db.execute(f"PRAGMA table_info({table})")]:
                if column.endswith("_at"):
                    db.execute(f"UPDATE {table} SET {column} = {column} + ? WHERE {column} > 0", (by,))
    db.close()


@pytest.fixture
def older(serve, on_server, tmp_path):
    """older(env): an Api on a server that has started on it."""

    def make(env=None):
        shutil.unpack_archive(Path(support_api.__file__).parent / "older_directory.tar.xz", tmp_path)
        times_move(tmp_path / "data/meta.db", int(time.time()) - 60 - MADE_AT)
        settings = {"execution.concurrency": 8}
        made = serve(profile="openai", settings=settings, start=False, data=tmp_path / "data")
        server = made.server
        server.start(env=env)
        return on_server(server, KEY)

    return make


def stream(api):
    """The custom_ids of all results, in the order in which they ended."""
    found, after, incomplete = [], 0, True
    while incomplete:
        answer = api.http.get(f"batches/{BATCH}/results", params={"after": after, "limit": 500})
        assert answer.status_code == 200, answer.text
        found += [json.loads(one)["custom_id"] for one in answer.text.splitlines()]
        incomplete = answer.headers["x-incomplete"] == "true"
        after = int(answer.headers["x-last-line"])
    return found


def check_end(api, upstream):
    batch = api.wait(BATCH, "completed")
    output, error = api.results(batch)
    assert list(output) == LINES and not error
    assert sorted(upstream.counts("l-")) == sorted(LINES[1024:]), "what had ended was not sent again"
    found = stream(api)
    assert sorted(found) == sorted(LINES), "each line once"
    return found


def test_16_9_a_batch_of_an_older_build_goes_on(older, own_upstream):
    api = older()
    own_upstream.wait_sent("l-", 6)
    own_upstream.release("gate")
    assert set(check_end(api, own_upstream)[-6:]) == set(LINES[1024:])


def test_11_3_a_merge_of_an_older_journal_that_fails_shows_no_line_twice(
    older, own_upstream, failpoints, tmp_path
):
    """Its order is written, and cannot be synced; lines that end meanwhile, which takes long, overtake
    its numbers."""
    full = tmp_path / "full"
    full.touch()
    points = f"order.before_sync=delay:4000:{full},order.sync=enospc:{full}"
    api = older({"LOWTIDE_FAILPOINTS": points})
    own_upstream.wait_sent("l-", 6)
    api.wait(BATCH, lambda b: b["lowtide"]["stall_reason"] == "paused")
    own_upstream.release("gate")
    api.wait(BATCH, lambda b: b["request_counts"]["completed"] == 1030)
    full.unlink()
    found = check_end(api, own_upstream)
    assert set(found[-6:]) != set(LINES[1024:]), "they did not overtake it"
