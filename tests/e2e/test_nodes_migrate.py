"""`lowtide migrate --from DIR --to postgresql://... s3://BUCKET/PREFIX`: a directory becomes nodes'."""

import openai
import pytest
from support import postgres
from support import server as program
from support.api import Api
from support.jsonl import fresh, jsonl, line, numbered
from support.server import Server
from support.wire import wait_until

CONCURRENCY = 8


@pytest.fixture
def place(cluster, store):
    """The settings of nodes, on a schema and a bucket of the test's own."""
    bucket = "m-" + fresh()
    store.client().create_bucket(Bucket=bucket)
    return {"store": postgres.schema(cluster.where), "blobs.url": f"s3://{bucket}/p",
            "blobs.endpoint": store.endpoint, "execution.concurrency": CONCURRENCY}  # fmt: skip


def migrated(api, place, store, expect=0, failpoint=None):
    env = {"AWS_ACCESS_KEY_ID": store.access_key, "AWS_SECRET_ACCESS_KEY": store.secret_key}
    if failpoint:
        env["LOWTIDE_FAILPOINTS"] = f"{failpoint}=kill"
    return program.run("migrate", "--from", api.server.data, "--to", place["store"], place["blobs.url"],
                       "--set", f"blobs.endpoint={place['blobs.endpoint']}", expect=expect, env=env)  # fmt: skip


@pytest.fixture
def cluster_of(place, store, tmp_path, request):
    """cluster_of(api): two nodes on what has been moved, one of them in the directory as it was."""
    made = []

    def make(api):
        env = {"AWS_ACCESS_KEY_ID": store.access_key, "AWS_SECRET_ACCESS_KEY": store.secret_key}
        for n in range(2):
            one = Server(tmp_path / f"node-{n}", api.server.upstream, "openai", place, env=env)
            one.key = api.server.key
            if n == 0:
                one.data = api.server.data
            one.start()
            made.append(Api(one))
        request.node.servers = [one.server for one in made]
        return made

    yield make
    for one in made:
        one.close()
        one.server.stop()
        one.server.check_report()


def two_parts(api, data):
    members = {"bytes": len(data), "filename": "in.jsonl", "mime_type": "application/jsonl",
               "purpose": "batch"}  # fmt: skip
    upload = api.http.post("uploads", json=members).json()["id"]
    half = len(data) // 2
    sent = [api.http.post(f"uploads/{upload}/parts", files={"data": ("blob", one)}).json()["id"]
            for one in (data[:half], data[half:])]  # fmt: skip
    return upload, sent


def files_of(api, batch):
    return [api.content(batch[one]) for one in ("output_file_id", "error_file_id") if batch[one]]


def some_fail(mark):
    return [line(f"{mark}-{n}", f"{mark}-{n} | {'status:422' if n % 50 == 0 else 'ok'}") for n in range(200)]


@pytest.mark.parametrize("end", ["stop", "kill"])
def test_a_directory_becomes_nodes(serve, own_upstream, place, store, cluster_of, failpoints, end):
    """Cut off at every step, and asked again: files are as they were, and what runs goes on; nothing that
    ended is sent again."""
    api = serve(profile="openai", settings={"execution.concurrency": CONCURRENCY})
    old = fresh()
    done = api.run(some_fail(old))
    results = files_of(api, done)
    gone = api.upload(jsonl(numbered(fresh(), 3)))
    api.http.delete(f"files/{gone}")
    data = jsonl(numbered(fresh(), 100))
    upload, parts = two_parts(api, data)
    mark, count = fresh(), 6000
    lines = numbered(mark, count - 1) + [line(f"{mark}-{count - 1}", f"{mark}-held | hold:{mark}")]
    batch = api.create(jsonl(lines))
    own_upstream.wait_sent(mark, 4000)
    wait_until(lambda: api.get(batch["id"])["request_counts"]["completed"] > 3000, "3000 have ended", 60)
    getattr(api.server, end)()
    for step in ("migrate.after_file", "migrate.after_chunk", "migrate.before_rows", "migrate.before_rename"):
        assert migrated(api, place, store, None, step).returncode == -9, step
        assert (api.server.data / "meta.db").exists()
    said = migrated(api, place, store).stdout
    assert "were moved before" in said and not (api.server.data / "meta.db").exists()
    assert "moved already" in migrated(api, place, store, 2).stderr
    nodes = cluster_of(api)
    before = nodes[0].get(batch["id"])["request_counts"]["completed"]
    assert before > 3000
    own_upstream.release(mark)
    batch = nodes[1].wait(batch, "completed", seconds=60)
    assert batch["request_counts"] == {"total": count, "completed": count, "failed": 0}
    again = own_upstream.sent(mark) - count
    assert again <= CONCURRENCY + (1024 if end == "kill" else 0), again
    output, _ = nodes[0].results(batch)
    assert list(output) == [f"{mark}-{n}" for n in range(count)]
    # what had ended before, with the official client
    for one in nodes:
        client = openai.OpenAI(base_url=one.server.base_url, api_key=one.server.key, max_retries=0)
        assert client.batches.retrieve(done["id"]).status == "completed"
        assert one.get(done["id"]) == done and files_of(one, done) == results
        assert client.files.content(done["input_file_id"]).read() == jsonl(some_fail(old))
        assert one.http.get(f"files/{gone}").status_code == 404
    page = nodes[1].http.get(f"batches/{done['id']}/results")
    assert sorted(page.content.splitlines()) == sorted(b"".join(results).splitlines())
    child = nodes[0].http.post(f"batches/{done['id']}/retry").json()
    assert nodes[1].wait(nodes[0].created(child))["request_counts"]["total"] == 4
    # and the upload goes on
    made = nodes[1].http.post(f"uploads/{upload}/complete", json={"part_ids": parts})
    assert made.status_code == 200, made.text
    assert nodes[0].content(made.json()["file"]["id"]) == data


def test_options_about_all_lines(serve, own_upstream, place, store, cluster_of):
    """Lines in the order of ending, and bad lines that are left out."""
    api = serve(profile="openai", settings={"execution.concurrency": CONCURRENCY})
    marks = [fresh() for _ in range(2)]
    held = [line(f"{m}-held", f"{m}-held | hold:{m}") for m in marks]
    one = api.create(jsonl(numbered(marks[0], 300) + [held[0]]), lowtide={"output_order": "completion"})
    bad = [b'{"custom_id": "bad"}']
    two = api.create(jsonl(numbered(marks[1], 300) + bad + [held[1]]), lowtide={"on_invalid_line": "skip"})
    for mark in marks:
        own_upstream.wait_sent(mark, 301)
    wait_until(lambda: all(api.get(b["id"])["request_counts"]["completed"] == 300 for b in (one, two)),
               "all but one have ended", 60)  # fmt: skip
    api.server.stop()
    said = migrated(api, place, store).stdout
    assert "2 batches go on, of which 601 lines have ended" in said, said
    nodes = cluster_of(api)
    for mark in marks:
        own_upstream.release(mark)
    one = nodes[0].wait(one, "completed")
    assert one["request_counts"] == {"total": 301, "completed": 301, "failed": 0}
    two = nodes[1].wait(two, "completed")
    assert two["request_counts"] == {"total": 302, "completed": 301, "failed": 1}
    output, error = nodes[1].results(two)
    assert len(output) == 301 and len(error) == 1
    for mark in marks:
        assert own_upstream.sent(mark) <= 302, "the held line alone is sent again"


def test_what_cannot_move_is_told(serve, own_upstream, place, store, cluster_of):
    """A batch whose lines would run again stays where it is, and all else with it."""
    api = serve(profile="openai", settings={"execution.concurrency": CONCURRENCY})
    mark = fresh()
    batch = api.create(jsonl(numbered(mark, 2048) + [line("held", f"{mark}-held | hold:{mark}")]))
    own_upstream.wait_sent(mark, 2049)
    wait_until(lambda: api.get(batch["id"])["request_counts"]["completed"] == 2048, "all but one have ended", 60)
    api.server.stop()
    journal = api.server.data / "batches" / f"{batch['id']}.journal"
    whole = journal.read_bytes()
    journal.write_bytes(whole[: len(whole) // 2])
    said = migrated(api, place, store, 2).stderr
    assert batch["id"] in said and "let it end on this directory" in said, said
    assert (api.server.data / "meta.db").exists()
    journal.write_bytes(whole)
    assert "1 batches go on, of which 2048 lines have ended" in migrated(api, place, store).stdout
    other = serve(profile="openai")
    other.server.stop()
    assert "blobs.url" in migrated(other, {**place, "store": postgres.schema(place["store"].split(" options")[0])},
                                   store, 2).stderr  # fmt: skip
    nodes = cluster_of(api)
    own_upstream.release(mark)
    assert nodes[1].wait(batch, "completed")["request_counts"]["completed"] == 2049
