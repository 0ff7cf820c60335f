"""GET /v1/batches/{id}/results: lines in the order in which they ended (contract 11.3, 16.23).

The stream only grows: what was read once is read again, by any `after` and `limit`, while the batch
runs, after a kill -9 and after the end; and it adds up to exactly the lines of both result files.
"""

import contextlib
import gzip
import json
import random
import time

import httpx
import pytest
from support.api import ANY, FINAL, check_error
from support.jsonl import fresh, line, numbered
from support.wire import Raw, request, wait_until

CONCURRENCY = 16


@pytest.fixture
def crashing(serve):
    def make(**settings):
        merged = {"execution.concurrency": CONCURRENCY, **settings}
        return serve(
            settings={name.replace("__", "."): v for name, v in merged.items()}, start=False
        )

    return make


def read(api, batch, after=None, limit=None, **more):
    """One page: its lines as bytes, X-Incomplete, X-Last-Line."""
    params = {"after": after, "limit": limit}
    params = {name: value for name, value in params.items() if value is not None}
    response = api.http.get(f"batches/{batch['id']}/results", params=params, **more)
    assert response.status_code == 200, response.text
    assert response.headers["content-type"] == "application/x-ndjson"
    lines = response.content.splitlines(keepends=True)
    assert all(one.endswith(b"\n") and set(json.loads(one)) >= KEYS for one in lines)
    incomplete = {"true": True, "false": False}[response.headers["x-incomplete"]]
    last = int(response.headers["x-last-line"])
    assert last == (after or 0) + len(lines)  # nothing on disk was damaged
    assert len(lines) <= (limit or 1000)
    return lines, incomplete, last


KEYS = {"id", "custom_id", "response", "error"}


def wait_ended(api, batch, count):
    def ended():
        counts = api.get(batch["id"])["request_counts"]
        return counts["completed"] + counts["failed"] == count

    wait_until(ended, f"{count} lines have ended", 90)


def read_all(api, batch, rng=None):
    """All that there is, in pages of any size."""
    lines, incomplete = [], True
    while incomplete:
        limit = rng.randint(1, 1500) if rng else None
        page, incomplete, last = read(api, batch, len(lines), limit)
        lines += page
        if not page:
            break
    return lines, incomplete


def files_of(api, batch):
    """The lines of both files."""
    lines = []
    for name in ("output_file_id", "error_file_id"):
        if batch[name]:
            lines += api.content(batch[name]).splitlines(keepends=True)
    return lines


def check_sum(api, batch, seen=()):
    """The whole stream of a final batch: exactly the lines of both files, and `seen` first."""
    lines, incomplete = read_all(api, batch)
    assert not incomplete
    assert sorted(lines) == sorted(files_of(api, batch))
    assert lines[: len(seen)] == list(seen)
    rng = random.Random(len(lines))
    for _ in range(20):
        after, limit = rng.randint(0, len(lines) + 3), rng.randint(1, 2000)
        response = api.http.get(
            f"batches/{batch['id']}/results", params={"after": after, "limit": limit}
        )
        assert response.content == b"".join(lines[after : after + limit])
        done = after + limit >= len(lines)
        assert response.headers["x-incomplete"] == ("false" if done else "true")
    return lines


def ids(lines):
    return [json.loads(one)["custom_id"] for one in lines]


# ---- while it runs ----


def test_11_3_in_the_order_in_which_they_ended(api, own_upstream, serve):
    """A slow line holds up the result files, and nothing of the stream."""
    api = serve(settings={"execution.concurrency": 4})
    mark = fresh()
    lines = [line(f"{mark}-0", f"{mark}-0 | hold:{mark}")]
    lines += [line(f"{mark}-{n}", f"{mark}-{n}") for n in range(1, 60)]
    lines += [line(f"{mark}-{n}", f"{mark}-{n} | status:400") for n in range(60, 64)]
    batch = api.create(lines)
    wait_ended(api, batch, 63)
    seen, incomplete, last = read(api, batch)
    assert incomplete and f"{mark}-0" not in ids(seen)
    assert read(api, batch, 20, 10) == (seen[20:30], True, 30)
    assert read(api, batch, 60, 10) == (seen[60:], True, 63)
    assert read(api, batch, 63) == ([], True, 63)
    own_upstream.release(mark)
    batch = api.wait(batch, "completed")
    whole = check_sum(api, batch, seen)
    assert ids(whole)[-1] == f"{mark}-0"
    assert read(api, batch, 63) == (whole[63:], False, 64)
    assert read(api, batch, 64) == ([], False, 64)


@pytest.mark.parametrize("status", ["failed", "cancelled"])
def test_11_3_a_batch_without_lines(api, status, on_server):
    batch = api.create([b"not json"] if status == "failed" else [line("a", f"{fresh()} | never")])
    if status == "cancelled":
        batch = api.cancel(batch)
    batch = api.wait(batch, status)
    lines = files_of(api, batch)
    assert read(api, batch) == (lines, False, len(lines))


@pytest.mark.parametrize(
    ("query", "param", "code"),
    [
        ("limit=0", "limit", "integer_below_min_value"),
        ("limit=-1", "limit", "integer_below_min_value"),
        ("limit=10001", "limit", "integer_above_max_value"),
        ("limit=99999999999999999999", "limit", "integer_above_max_value"),
        ("limit=x", "limit", "invalid_type"),
        ("limit=", "limit", "invalid_type"),
        ("limit=1.5", "limit", "invalid_type"),
        ("after=-1", "after", "integer_below_min_value"),
        ("after=x", "after", "invalid_type"),
        ("after=batch_1", "after", "invalid_type"),
        ("after=", "after", "invalid_type"),
        ("after=99999999999999999999", "after", "integer_above_max_value"),
    ],
)
def test_5_2_bad_values(api, query, param, code):
    batch = api.run([line("a", fresh())])
    response = api.http.get(f"batches/{batch['id']}/results?{query}")
    check_error(response, api.profile, 400, code, param)


def test_2_3_no_such_batch(api):
    response = api.http.get("batches/batch_x/results")
    message = "No batch found with id 'batch_x'."
    check_error(response, api.profile, 404, message=message)


def test_11_3_head_gzip_and_etag(api):
    """As with content: a page that does not change has an etag."""
    mark = fresh()
    batch = api.run(numbered(mark, 30))
    path = f"batches/{batch['id']}/results?after=3&limit=20"
    plain = api.http.get(path)
    head = api.http.head(path)
    for name in ("content-length", "etag", "x-incomplete", "x-last-line"):
        assert head.headers[name] == plain.headers[name]
    assert head.content == b"" and plain.headers["x-last-line"] == "23"
    packed = api.http.stream("GET", path, headers={"Accept-Encoding": "gzip"})
    with packed as response:
        assert response.headers["content-encoding"] == "gzip"
        assert gzip.decompress(b"".join(response.iter_raw())) == plain.content
    same = api.http.get(path, headers={"If-None-Match": plain.headers["etag"]})
    assert same.status_code == 304 and same.content == b""
    other = api.http.get(
        path.replace("after=3", "after=4"), headers={"If-None-Match": plain.headers["etag"]}
    )
    assert other.status_code == 200


@pytest.mark.parametrize("which", ["output_file_id", "error_file_id"])
def test_11_3_as_long_as_the_result_files_live(api, which):
    """Deleted by a call: 404 that says so, at once; the batch itself stays."""
    mark = fresh()
    batch = api.run([line("a", mark), line("b", f"{mark} | status:400")])
    assert len(read(api, batch)[0]) == 2
    assert api.http.delete(f"files/{batch[which]}").status_code == 200
    for _ in range(2):
        response = api.http.get(f"batches/{batch['id']}/results")
        message = (
            f"The results of batch '{batch['id']}' are gone: its file '{batch[which]}' was "
            "deleted or has expired."
        )
        check_error(response, api.profile, 404, message=message)
    api.get(batch["id"])


def test_11_3_all_lines_failed(api):
    """The order lives beside the error file, too (9: there is no output file)."""
    mark = fresh()
    batch = api.run([line(f"{n}", f"{mark}-{n} | status:400") for n in range(5)])
    assert batch["output_file_id"] is None
    assert len(check_sum(api, batch)) == 5


def test_11_3_a_reader_in_the_middle_while_the_batch_ends(serve, own_upstream):
    """The journal that it reads is removed, and read to the page's end."""
    api = serve(settings={"execution.concurrency": 32})
    mark = fresh()
    lines = [line(f"{mark}-0", f"{mark}-0 | hold:{mark}")]
    lines += numbered(mark + "x", 6000, pad="p" * 2000)
    batch = api.create(lines)
    wait_ended(api, batch, 6000)
    path = f"/v1/batches/{batch['id']}/results?limit=6000"
    with Raw(api.server, receive_bytes=4096) as raw:
        raw.send(request("GET", path, api.key))
        time.sleep(0.3)  # its buffers are full
        own_upstream.release(mark)
        done = api.wait(batch, "completed")
        journals = list(api.server.data.glob("batches/*"))
        wait_until(lambda: not list(api.server.data.glob("batches/*")), f"gone: {journals}")
        status, _, body = raw.answer()
    assert status == 200
    assert body == b"".join(check_sum(api, done)[:6000])


# ---- content of a result file ----


def test_11_3_skip_of_a_result_file(api):
    """As doubleword's client goes on with a download: skip = X-Last-Line of what it has."""
    mark = fresh()
    lines = [line(f"{n}", f"{mark}-{n}" + (" | status:400" if n % 4 == 0 else "")) for n in range(40)]
    batch = api.run(lines)
    for name, count in (("output_file_id", 30), ("error_file_id", 10)):
        path = f"files/{batch[name]}/content"
        whole = api.http.get(path)
        rows = whole.content.splitlines(keepends=True)
        assert len(rows) == count
        etags = set()
        for skip in (0, 1, 7, count - 1, count, count + 1, 10**15):
            response = api.http.get(path, params={"skip": skip})
            assert response.content == b"".join(rows[skip:]), skip
            assert response.headers["x-incomplete"] == "false"
            assert int(response.headers["x-last-line"]) == count
            assert int(response.headers["content-length"]) == len(response.content)
            etags.add(response.headers["etag"])
            again = api.http.get(
                path, params={"skip": skip}, headers={"If-None-Match": response.headers["etag"]}
            )
            assert again.status_code == 304
            assert int(again.headers["content-length"]) == len(response.content)
            assert again.headers["x-last-line"] == str(count)
        assert len(etags) == 7 and whole.headers["etag"] in etags
        part = api.http.get(path, params={"skip": 3}, headers={"Range": "bytes=5-24"})
        rest = b"".join(rows[3:])
        assert part.status_code == 206 and part.content == rest[5:25]
        assert part.headers["content-range"] == f"bytes 5-24/{len(rest)}"
        assert part.headers["x-last-line"] == str(count)
        packed = api.http.get(path, params={"skip": 3}, headers={"Accept-Encoding": "gzip"})
        assert packed.content == rest and packed.headers["x-last-line"] == str(count)
        head = api.http.head(path, params={"skip": 3})
        assert head.headers["content-length"] == str(len(rest))
    for wrong, code in (
        ("-1", "integer_below_min_value"),
        ("x", "invalid_type"),
        ("", "invalid_type"),
        ("9" * 30, "integer_above_max_value"),
    ):
        response = api.http.get(path, params={"skip": wrong})
        check_error(response, api.profile, 400, code, "skip")


def test_11_3_skip_goes_on_where_it_left_off(serve):
    """Without reading the file from its start again: that is damaged meanwhile, to be seen if it is read.
    What the client has already is not read at all."""
    api = serve()
    batch = api.run(numbered(fresh(), 300))
    path = f"files/{batch['output_file_id']}/content"
    rows = api.content(batch["output_file_id"]).splitlines(keepends=True)
    first = api.http.get(path, params={"skip": 200})
    assert first.content == b"".join(rows[200:])
    blob = api.server.data / f"files/{batch['output_file_id']}.jsonl"
    bytes_now = blob.read_bytes()
    blob.write_bytes(bytes_now[:50_000].replace(b"\n", b" ") + bytes_now[50_000:])
    head = api.http.head(path, params={"skip": 200})
    assert int(head.headers["content-length"]) == len(first.content)
    assert api.http.get(path, params={"skip": 200}).content == first.content
    assert api.http.get(path, params={"skip": 250}).content == b"".join(rows[250:])
    blob.unlink()
    etag = {"If-None-Match": first.headers["etag"]}
    for call in (api.http.get, api.http.head):
        again = call(path, params={"skip": 200}, headers=etag)
        assert again.status_code == 304
        assert int(again.headers["content-length"]) == len(first.content)


def test_11_3_skip_of_what_a_client_has_is_found_anew_after_a_restart(serve):
    """Where the rest begins is in memory; the length that a 304 tells is that of the rest all the same."""
    api = serve()
    batch = api.run(numbered(fresh(), 300))
    path = f"files/{batch['output_file_id']}/content"
    first = api.http.get(path, params={"skip": 200})
    etag = {"If-None-Match": first.headers["etag"]}
    api.server.stop()
    api.server.start()
    response = api.http.get(path, params={"skip": 200}, headers=etag)
    assert response.status_code == 304 and response.content == b""
    assert int(response.headers["content-length"]) == len(first.content)


def test_11_3_skip_means_nothing_of_an_input_file(api):
    data = numbered(fresh(), 5)
    response = api.http.get(f"files/{api.upload(data)}/content?skip=2")
    assert response.content.count(b"\n") == 5
    assert "x-last-line" not in response.headers and "x-incomplete" not in response.headers


# ---- ends before its lines have ----


def test_11_3_cancelled_lines_come_last(serve, own_upstream):
    api = serve(settings={"execution.concurrency": 8}, start=False)
    api.server.start()
    mark = fresh()
    script = f"hold:{mark}"
    lines = [line(f"{n}", f"{mark}-{n}" + (f" | {script}" if n % 3 else "")) for n in range(3000)]
    batch = api.create(lines)

    def is_stuck():
        """8 of the first 12 lines are held, the others have ended: 8 may also run while none is stuck."""
        now = api.get(batch["id"])
        return now["lowtide"]["running"] == 8 and now["request_counts"]["completed"] == 4

    wait_until(is_stuck, "it is stuck", 60)
    seen, _ = read_all(api, batch)
    batch = api.wait(api.cancel(batch), "cancelled")
    whole = check_sum(api, batch, seen)
    assert [json.loads(one)["error"] for one in whole[: len(seen)]] == [None] * len(seen)
    rest = [int(one) for one in ids(whole[len(seen) :])]
    assert rest == sorted(rest) and len(whole) == 3000
    api.server.stop()
    api.server.start()
    assert check_sum(api, batch) == whole


@pytest.mark.parametrize(
    "point", ["results.before_sync", "order.after_sync", "results.after_commit", "order.before_home"]
)
@pytest.mark.parametrize("nth", [1, 2])
def test_16_23_killed_while_cancelled_lines_are_merged(
    crashing, own_upstream, failpoints, point, nth
):
    """16 segments are merged at once: here there are two merges of lines that never ran."""
    api = crashing()
    if point == "order.before_home" and nth > 1:
        pytest.skip("it is passed once")
    api.server.start(env={"LOWTIDE_FAILPOINTS": f"{point}=kill@{nth}"})
    mark = fresh()
    lines = [line(f"{n}", f"{mark}-{n} | hold:{mark}") for n in range(20_000)]
    batch = api.create(lines)
    own_upstream.wait_sent(mark, CONCURRENCY)
    seen = []
    with contextlib.suppress(httpx.TransportError):
        api.cancel(batch)
        while api.server.alive():
            page, incomplete, _ = read(api, batch, len(seen), 10_000)
            seen += page
    api.server.wait_killed()
    api.server.start()
    batch = api.wait(batch, "cancelled", seconds=120)
    assert len(check_sum(api, batch, seen)) == 20_000


def test_16_23_expired(serve, own_upstream):
    api = serve(settings={"execution.concurrency": 8, "limits.window_min": "1s"})
    mark = fresh()
    lines = [line(f"{n}", f"{mark}-{n}" + (" | never" if n % 3 else "")) for n in range(50)]
    batch = api.create(lines, completion_window="3s")
    seen = []
    while api.get(batch["id"])["status"] not in FINAL:
        seen += read(api, batch, len(seen))[0]
    batch = api.wait(batch, "expired")
    assert len(check_sum(api, batch, seen)) == 50


# ---- kills ----


class Reader:
    """Reads on from where it was, as a client does."""

    def __init__(self, rng):
        self.rng = rng
        self.seen = []

    def look(self, api, batch):
        page, incomplete, _ = read(api, batch, len(self.seen), self.rng.randint(1, 700))
        self.seen += page
        if self.seen and self.rng.random() < 0.3:  # what it has read is there, and the same
            after = self.rng.randint(0, len(self.seen) - 1)
            again, _, _ = read(api, batch, after, 200)
            assert again[: len(self.seen) - after] == self.seen[after : after + len(again)]
        return incomplete


@pytest.mark.parametrize("seed", range(4))
def test_16_23_killed_at_random(crashing, own_upstream, seed):
    """What was shown is durable: it is the beginning of what is read after any kill."""
    rng = random.Random(seed)
    api = crashing()
    api.server.start()
    mark, count = fresh(), 4000
    script = ["slow:0.003", "slow:0.003", "status:400", "slow:0.05"]
    batch = api.create(
        [line(f"{mark}-{n}", f"{mark}-{n} | {script[n % 4]}") for n in range(count)]
    )
    readers = [Reader(random.Random(rng.random())) for _ in range(3)]
    for _ in range(5):
        end = time.monotonic() + rng.uniform(0.1, 0.7)
        while time.monotonic() < end:
            rng.choice(readers).look(api, batch)
        api.server.kill()
        api.server.start()
    batch = api.wait(batch, "completed", seconds=120)
    whole = check_sum(api, batch)
    assert sorted(ids(whole)) == sorted(f"{mark}-{n}" for n in range(count))
    for reader in readers:
        while reader.look(api, batch):
            pass
        assert reader.seen == whole
    assert max(len(reader.seen) for reader in readers) == count


POINTS = {
    "journal.before_sync": [2],
    "journal.after_sync": [2],
    "order.before_sync": [1, 2],
    "order.after_sync": [1, 2],
    "results.after_commit": [1, 2],
    "batch.after_final": [1],
    "order.before_home": [1],
    "order.after_home": [1],
}


@pytest.mark.parametrize(
    ("point", "nth"), [(point, nth) for point, all_ in POINTS.items() for nth in all_]
)
def test_16_23_killed_at_a_point(crashing, own_upstream, failpoints, point, nth):
    api = crashing()
    api.server.start(env={"LOWTIDE_FAILPOINTS": f"{point}=kill@{nth}"})
    mark, count = fresh(), 2500
    batch = api.create(numbered(mark, count, "slow:0.002"))
    seen = []
    with contextlib.suppress(httpx.TransportError):
        while True:
            seen += read(api, batch, len(seen), 300)[0]
    api.server.wait_killed()
    api.server.start()
    with contextlib.suppress(AssertionError):
        seen += read(api, batch, len(seen), 300)[0]
    batch = api.wait(batch, "completed", seconds=120)
    assert len(check_sum(api, batch, seen)) == count
    assert own_upstream.sent(mark) <= count + 1024 + CONCURRENCY
    assert not list(api.server.data.glob("batches/*.order"))


def test_11_3_a_disk_that_refuses_the_order(crashing, own_upstream, failpoints, tmp_path):
    """The merge waits, and goes on."""
    full = tmp_path / "full"
    full.touch()
    api = crashing()
    api.server.start(env={"LOWTIDE_FAILPOINTS": f"order.write=enospc:{full}"})
    mark, count = fresh(), 1100
    batch = api.create(numbered(mark, count))
    wait_until(
        lambda: api.get(batch["id"])["lowtide"]["stall_reason"] == "paused"
        or api.get(batch["id"])["status"] == "finalizing",
        "it is held up",
    )
    wait_ended(api, batch, count)
    seen, _ = read_all(api, batch)
    full.unlink()
    batch = api.wait(batch, "completed")
    assert len(check_sum(api, batch, seen)) == count == len(seen)


# ---- output_order "completion" (11.1) ----

COMPLETION = {"lowtide": {"output_order": "completion"}}


def check_completion(api, batch, seen=()):
    """Both files are in the order of the stream."""
    whole = check_sum(api, batch, seen)
    for name, success in (("output_file_id", True), ("error_file_id", False)):
        want = [one for one in whole if is_success(one) == success]
        have = api.content(batch[name]).splitlines(keepends=True) if batch[name] else []
        assert have == want
    return whole


def is_success(one):
    response = json.loads(one)["response"]
    return response is not None and response["status_code"] == 200


def test_11_1_files_in_the_order_of_completion(serve, own_upstream):
    """A slow line holds up neither stream nor files."""
    api = serve(settings={"execution.concurrency": 8})
    mark, count = fresh(), 4000
    lines = [line(f"{mark}-0", f"{mark}-0 | hold:{mark}")]
    lines += [
        line(f"{mark}-{n}", f"{mark}-{n}" + (" | status:400" if n % 9 == 0 else ""))
        for n in range(1, count)
    ]
    batch = api.create(lines, **COMPLETION)
    wait_ended(api, batch, count - 1)
    sizes = lambda: [path.stat().st_size for path in api.server.data.glob("files/file-*.jsonl")]
    wait_until(lambda: sorted(sizes())[-2] > 100_000, "what has ended is merged")
    seen, _ = read_all(api, batch)
    own_upstream.release(mark)
    batch = api.wait(batch, "completed")
    whole = check_completion(api, batch, seen)
    assert ids(whole)[-1] == f"{mark}-0"
    assert sorted(ids(whole)) == sorted(f"{mark}-{n}" for n in range(count))


@pytest.mark.parametrize(
    ("point", "nth"),
    [
        ("results.before_sync", 2),
        ("order.after_sync", 1),
        ("order.after_sync", 3),
        ("results.after_commit", 1),
        ("results.after_commit", 2),
        ("batch.after_final", 1),
        ("order.after_home", 1),
    ],
)
def test_11_1_by_completion_killed_at_a_point(crashing, own_upstream, failpoints, point, nth):
    api = crashing()
    api.server.start(env={"LOWTIDE_FAILPOINTS": f"{point}=kill@{nth}"})
    mark, count = fresh(), 5000
    batch = api.create(numbered(mark, count, "slow:0.001"), **COMPLETION)
    seen = []
    with contextlib.suppress(httpx.TransportError):
        while True:
            seen += read(api, batch, len(seen), 300)[0]
    api.server.wait_killed()
    api.server.start()
    batch = api.wait(batch, "completed", seconds=120)
    whole = check_completion(api, batch, seen)
    assert sorted(ids(whole)) == sorted(f"{mark}-{n}" for n in range(count))
    assert own_upstream.sent(mark) <= count + 1024 + CONCURRENCY
    assert batch["request_counts"] == {"total": count, "completed": count, "failed": 0}


@pytest.mark.parametrize("seed", range(2))
def test_11_1_by_completion_killed_at_random_and_cancelled(crashing, own_upstream, seed):
    rng = random.Random(seed)
    api = crashing()
    api.server.start()
    mark, count = fresh(), 20_000
    batch = api.create(numbered(mark, count, "slow:0.005"), **COMPLETION)
    reader = Reader(rng)
    for _ in range(4):
        end = time.monotonic() + rng.uniform(0.3, 1)
        while time.monotonic() < end:
            reader.look(api, batch)
        api.server.kill()
        api.server.start()
    api.cancel(batch)
    batch = api.wait(batch, "cancelled", seconds=120)
    whole = check_completion(api, batch, reader.seen)
    assert sorted(ids(whole)) == sorted(f"{mark}-{n}" for n in range(count))
    done = batch["request_counts"]["completed"]
    assert [is_success(one) for one in whole] == [True] * done + [False] * (count - done)


@pytest.mark.meta_db
def test_11_1_by_completion_a_lost_result_file(crashing, own_upstream):
    """Made anew from the journal, in the same order."""
    api = crashing()
    api.server.start()
    mark, count = fresh(), 3000
    lines = [line(f"{mark}-0", f"{mark}-0 | hold:{mark}")]
    lines += numbered(mark + "x", count)
    batch = api.create(lines, **COMPLETION)
    wait_ended(api, batch, count)
    seen, _ = read_all(api, batch)
    written = "SELECT output_bytes > 0 FROM progress WHERE batch = ?"
    wait_until(lambda: api.server.rows(written, batch["id"]) == [(1,)], "a row knows of them")
    api.server.kill()
    (order,) = api.server.data.glob("batches/*.order")
    order.unlink()
    api.server.start()
    own_upstream.release(mark)
    batch = api.wait(batch, "completed", seconds=60)
    check_completion(api, batch, seen)
    assert own_upstream.sent(mark + "x") == count, "nothing runs again"
    assert "results.remade" in api.server.log()


def test_11_3_a_lost_order_is_made_anew(crashing, own_upstream):
    """In input order, too: the stream is as it was."""
    api = crashing()
    api.server.start()
    mark, count = fresh(), 3000
    lines = numbered(mark, count) + [line("last", f"{mark}-last | hold:{mark}")]
    batch = api.create(lines)
    wait_ended(api, batch, count)
    seen, _ = read_all(api, batch)
    api.server.kill()
    (order,) = api.server.data.glob("batches/*.order")
    order.write_bytes(order.read_bytes()[:5000])
    api.server.start()
    assert read_all(api, batch)[0] == seen
    own_upstream.release(mark)
    batch = api.wait(batch, "completed", seconds=60)
    check_sum(api, batch, seen)
    assert own_upstream.sent(mark) == count + 2, "only what was in flight runs again"


def test_11_3_order_and_journal_lost(crashing, own_upstream):
    """Lines that stand in the result files do not run again, after any number of starts."""
    api = crashing()
    api.server.start()
    mark, count = fresh(), 3000
    lines = numbered(mark, count) + [line("last", f"{mark}-last | hold:{mark}")]
    batch = api.create(lines)
    wait_ended(api, batch, count)
    wait_until(lambda: any(api.server.data.glob("files/*.jsonl")), "there are files")
    api.server.kill()
    for kind in ("order", "journal"):
        (file,) = api.server.data.glob(f"batches/*.{kind}")
        file.unlink()
    api.watch.last.clear()  # counts fall: what was not merged is lost
    for _ in range(3):
        api.server.start()
        wait_ended(api, batch, count)
        sent = own_upstream.sent(mark)
        assert "results.remade" not in api.server.log()
        assert sent < 2 * count, "what was merged is not sent again"
        api.server.kill()
    api.server.start()
    own_upstream.release(mark)
    assert api.wait(batch, "completed", seconds=60)["request_counts"]["completed"] == count + 1
    assert own_upstream.sent(mark) <= sent + 1, "only what was in flight runs again"
