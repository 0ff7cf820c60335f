"""`serve --store`: rows in PostgreSQL, which may be away for a while (issue 14).

That every call answers as with SQLite is shown by the whole suite on it: `make e2e-postgres`.
"""

import concurrent.futures
import json
import re
import time

import httpx
import pytest
from support import postgres
from support import server as program
from support.jsonl import fresh, line, numbered
from support.wire import wait_until


@pytest.fixture
def stored(serve, cluster):
    """stored(**more): an Api on a server with a schema of its own."""

    def make(settings=None, where=None, **more):
        store = postgres.schema(where or cluster.where)
        return serve(settings={"store": store, **(settings or {})}, **more)

    return make


def schema_of(store):
    return re.search(r"search_path=(\w+)", store)[1]


def health(api, which):
    return httpx.get(f"{api.server.url}/{which}", trust_env=False).status_code


def test_a_batch_whose_rows_are_in_postgresql(stored, cluster, own_upstream):
    """Its directory has no database, and a start finds all as it was."""
    api = stored()
    batch = api.run(numbered(fresh(), 200))
    assert batch["request_counts"]["completed"] == 200
    assert not list(api.server.data.glob("meta.db*"))
    api.server.restart()
    assert api.get(batch["id"]) == batch
    ours = schema_of(api.server.settings["store"])
    assert cluster.query(f"SELECT count(*) FROM {ours}.batch") == [("1",)]


def test_killed_in_the_middle(stored, own_upstream):
    """Nothing that ended is sent again, and the start does not wait for the lock of the dead."""
    api = stored({"execution.concurrency": 8})
    mark, count = fresh(), 3000
    file_id = api.upload(numbered(mark, count - 1) + [line("held", f"{mark}-held | hold:{mark}")])
    batch = api.create(file_id)
    own_upstream.wait_sent(mark, 1500)
    api.server.kill()
    began = time.monotonic()
    api.server.start()
    assert time.monotonic() - began < 10
    own_upstream.release(mark)
    batch = api.wait(batch, "completed", seconds=60)
    assert batch["request_counts"] == {"total": count, "completed": count, "failed": 0}
    assert own_upstream.sent(mark) <= count + 8 + 1024


def test_one_server_at_a_time(stored, tmp_path, own_upstream):
    """Not in the same directory, and not in a copy of it; commands are let in."""
    api = stored()
    store = api.server.settings["store"]
    serve = ["serve", "--listen", "127.0.0.1:0", "--store", store, "--upstream", own_upstream.url]
    other = program.run(*serve, "--data", tmp_path / "other", expect=1, timeout=90)
    assert "another lowtide serves from this database" in other.stderr
    assert api.server.new_key("another")
    api.server.stop()
    other = program.run(*serve, "--data", tmp_path / "other", expect=1)
    assert "database (store)" in other.stderr and "lowtide.id" in other.stderr


@pytest.mark.parametrize("mode", ["fast", "immediate"])
def test_postgresql_away_in_the_middle(stored, cluster, own_upstream, mode):
    """Calls say so, /readyz as well; nothing is lost, and it goes on by itself."""
    api = stored({"execution.concurrency": 8})
    mark, count = fresh(), 2000
    lines = numbered(mark, count - 1) + [line("held", f"{mark}-held | hold:{mark}")]
    batch = api.create(lines)
    own_upstream.wait_sent(mark, 500)
    cluster.stop(mode)
    try:
        wait_until(lambda: health(api, "readyz") == 503, "it is not ready")
        for path in ("batches", f"batches/{batch['id']}", "files"):
            response = api.http.get(path)
            assert response.status_code == 503, response.text
            assert "database cannot be reached" in response.json()["error"]["message"]
        assert health(api, "healthz") == 200
    finally:
        cluster.start()
    wait_until(lambda: health(api, "readyz") == 200, "it is ready again")
    own_upstream.release(mark)
    done = api.wait(batch, "completed", seconds=60)
    assert done["request_counts"] == {"total": count, "completed": count, "failed": 0}
    assert own_upstream.sent(mark) == count, "no line is sent twice"
    output, _ = api.results(done)
    assert len(output) == count


def test_no_loop_waits_for_postgresql(stored, cluster):
    """While it says nothing, what needs no look-up is answered, and a key that does is looked up later."""
    api = stored()
    body = {"model": "m", "messages": [{"role": "user", "content": "a"}]}
    assert api.http.post("chat/completions", json=body).status_code == 200
    base = str(api.http.base_url)
    unknown = {"Authorization": "Bearer sk-nobody"}
    with concurrent.futures.ThreadPoolExecutor(4) as pool, cluster.frozen():
        asked = [
            pool.submit(httpx.get, base + "files", headers=unknown, timeout=30, trust_env=False)
            for _ in range(4)
        ]
        time.sleep(0.2)
        for _ in range(20):  # on connections of all loops
            began = time.monotonic()
            got = httpx.get(f"{api.server.url}/healthz", trust_env=False)
            assert got.status_code == 200 and time.monotonic() - began < 2
        assert api.http.post("chat/completions", json=body).status_code == 200
        assert not any(one.done() for one in asked)
    assert [one.result().status_code for one in asked] == [401] * 4


def test_a_key_revoked_beside_it(stored):
    """NOTIFY: at once, as far as a client can tell."""
    api = stored()
    key = api.server.new_key("others")
    headers = {"Authorization": f"Bearer {key}"}
    assert api.http.get("files", headers=headers).status_code == 200
    program.run("key", "revoke", key, *api.server.place())
    wait_until(lambda: api.http.get("files", headers=headers).status_code == 401, "revoked", 2)


# ---- a data directory moves ----


def counts_of(api, tables):
    return {name: api.server.rows(f"SELECT count(*) FROM {name}")[0][0] for name in tables}


def migrated(api, store, expect=0, env=None):
    words = ["migrate", "--from", api.server.data, "--to", store]
    return program.run(*words, expect=expect, env=env)


@pytest.mark.parametrize("end", ["stop", "kill"])
def test_a_directory_moves_with_its_open_batches(serve, cluster, own_upstream, end):
    """Every row, and what runs goes on: nothing that ended is sent again."""
    api = serve(settings={"execution.concurrency": 8, "limits.org.uploads": 1})
    mark, count = fresh(), 1500
    done = api.run(numbered(fresh(), 20), metadata={"of": "tea"})
    lines = numbered(mark, count - 1) + [line("held", f"{mark}-held | hold:{mark}")]
    batch = api.create(lines, metadata={"of": "café"})
    other = api.server.new_key("others")
    program.run("org", "limit", "others", "uploads=7", *api.server.place())
    form = {"bytes": 5, "filename": "a", "mime_type": "application/jsonl", "purpose": "batch"}
    assert api.http.post("uploads", json=form).status_code == 200
    own_upstream.wait_sent(mark, count - 8)
    getattr(api.server, end)()
    tables = [
        name
        for (name,) in api.server.rows("SELECT name FROM sqlite_schema WHERE type = 'table'")
        if not name.startswith("sqlite_")
    ]
    before = counts_of(api, tables)
    store = postgres.schema(cluster.where)
    said = migrated(api, store).stdout
    assert f"moved {sum(before.values())} rows" in said and "meta.db.moved" in said
    ours = schema_of(store)
    for name, rows in before.items():
        assert cluster.query(f"SELECT count(*) FROM {ours}.{name}") == [(str(rows),)], name
    api.server.start(wait=False)
    api.server.wait_exit(1)  # without the store
    api.server.settings["store"] = store
    api.server.start()
    own_upstream.release(mark)
    assert api.get(done["id"]) == done
    batch = api.wait(batch, "completed", seconds=60)
    assert batch["request_counts"] == {"total": count, "completed": count, "failed": 0}
    assert own_upstream.sent(mark) <= count + 8 + (1024 if end == "kill" else 0)
    found = api.http.get("batches", params={"metadata[of]": "café"}).json()["data"]
    assert [one["id"] for one in found] == [batch["id"]]
    assert api.http.post("uploads", json=form).status_code == 429, "one is pending"
    headers = {"Authorization": f"Bearer {other}"}
    assert api.http.get("files", headers=headers).status_code == 200
    newer = api.wait(api.create(done["input_file_id"]))
    listed = api.http.get("batches").json()["data"]
    assert [one["id"] for one in listed] == [newer["id"], batch["id"], done["id"]]


def test_a_move_that_is_cut_off_is_asked_again(serve, cluster, failpoints):
    api = serve()
    batch = api.run(numbered(fresh(), 20))
    api.server.stop()
    store = postgres.schema(cluster.where)
    migrated(api, store, expect=None, env={"LOWTIDE_FAILPOINTS": "migrate.before_rename=kill"})
    assert (api.server.data / "meta.db").exists()
    assert "were moved before" in migrated(api, store).stdout
    assert "moved already" in migrated(api, store, expect=2).stderr
    api.server.settings["store"] = store
    api.server.start()
    assert api.get(batch["id"]) == batch
    api.server.stop()
    other = serve()
    other.server.stop()
    assert "the database has rows already" in migrated(other, store, expect=2).stderr
    assert (other.server.data / "meta.db").exists()


def test_what_cannot_move_is_told(serve, cluster, tmp_path):
    store = postgres.schema(cluster.where)
    done = program.run("migrate", "--from", tmp_path, "--to", store, expect=2)
    assert "no lowtide data" in done.stderr and "--from" in done.stderr
    assert "where to?" in program.run("migrate", "--from", tmp_path, expect=2).stderr
    api = serve()
    assert "is in use by another lowtide" in migrated(api, store, expect=2).stderr


# ---- mistakes are told in a sentence ----


def fails(tmp_path, store, code, env=None):
    done = program.run(
        "serve", "--listen", "127.0.0.1:0", "--data", tmp_path / "data", "--store", store,
        "--upstream", "http://127.0.0.1:1/v1", expect=code, env=env,
    )  # fmt: skip
    *logged, said = done.stderr.splitlines()
    assert all("store.migrated" in one for one in logged), done.stderr
    return said


def test_what_is_wrong_is_told_at_the_start(cluster, tmp_path):
    said = fails(tmp_path, "postgresql://u:secret@h/x", 2)
    assert "PGPASSWORD" in said and "secret" not in said
    assert "--store: " in fails(tmp_path, "postgresql", 2)
    said = fails(tmp_path, f"host={tmp_path} dbname=x", 1)
    assert "connecting to the database (store)" in said and str(tmp_path) in said
    said = fails(tmp_path, cluster.where.replace("dbname=postgres", "dbname=nowhere"), 1)
    assert '"nowhere" does not exist' in said
    said = fails(tmp_path, cluster.where.replace("user=", "user=x"), 1)
    assert "does not exist" in said


def test_a_schema_of_another_program_or_a_newer_lowtide(cluster, stored, tmp_path):
    store = postgres.schema(cluster.where)
    postgres.query(store, "CREATE TABLE theirs (a INTEGER)")
    assert "tables that are not lowtide's" in fails(tmp_path, store, 1)
    api = stored()
    api.server.stop()
    store = api.server.settings["store"]
    cluster.query(f"UPDATE {schema_of(store)}.lowtide SET version = 999, compatible_from = 998")
    said = fails(tmp_path, store, 1)
    assert "version 999, made by a newer lowtide" in said


def test_a_standby_and_too_many_connections(cluster, tmp_path):
    """What a failover under way, or a full server, looks like."""
    store = postgres.schema(cluster.where)
    read_only = store.replace("options=", "options='") + " -cdefault_transaction_read_only=on'"
    assert "read-only transaction" in fails(tmp_path, read_only, 1)
    cluster.query("CREATE ROLE few LOGIN CONNECTION LIMIT 2")
    few = re.sub(r"user=\S+", "user=few", store)
    cluster.query(f"GRANT ALL ON SCHEMA {schema_of(store)} TO few")
    assert "too many connections" in fails(tmp_path, few, 1)


def test_the_official_client(stored):
    """The whole life of a batch, as `make e2e-postgres` has it for all else."""
    api = stored(profile="openai")
    client, mark = api.sdk, fresh()
    data = b"\n".join(numbered(mark, 20)) + b"\n"
    file = client.files.create(file=("in.jsonl", data), purpose="batch")
    batch = client.batches.create(
        input_file_id=file.id, endpoint="/v1/chat/completions", completion_window="24h"
    )
    wait_until(lambda: client.batches.retrieve(batch.id).status == "completed", "it is done")
    done = client.batches.retrieve(batch.id)
    lines = client.files.content(done.output_file_id).text.splitlines()
    assert len(lines) == 20 and json.loads(lines[0])["custom_id"] == f"{mark}-0"
