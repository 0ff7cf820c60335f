"""What is uploaded through several nodes (contract 3 and 4), calls that are repeated at another node
(contract 2.4), and results as they end (contract 11.3)."""

import concurrent.futures
import hashlib
import json

import pytest
from support.api import check_error, check_file
from support.jsonl import fresh, jsonl, line, numbered
from support.nodes import Nodes, serving
from support.wire import wait_until

MB = 1 << 20
SEGMENT_LINES = 1024


@pytest.fixture(scope="module")
def nodes(tmp_path_factory, cluster, store):
    settings = {"online.reserve": 0}
    with serving(Nodes(tmp_path_factory.mktemp("nodes"), cluster, store, settings=settings)) as made:
        yield made


def together(*calls):
    """What they return, called at one time."""
    with concurrent.futures.ThreadPoolExecutor(len(calls)) as pool:
        return [one.result() for one in [pool.submit(call) for call in calls]]


def good(response):
    assert response.status_code == 200, response.text
    return response.json()


def begin(api, data):
    members = {"bytes": len(data), "filename": "in.jsonl", "mime_type": "application/jsonl",
               "purpose": "batch"}  # fmt: skip
    return good(api.http.post("uploads", json=members))["id"]


def part(api, upload, data):
    return good(api.http.post(f"uploads/{upload}/parts", files={"data": ("blob", data)}))["id"]


def complete_raw(api, upload, parts, **more):
    return api.http.post(f"uploads/{upload}/complete", json={"part_ids": parts, **more}, timeout=120)


def parts_of(data, size):
    return [data[at : at + size] for at in range(0, len(data), size)]


def padded(mark, count, extra):
    """numbered(), each line as much longer."""
    return jsonl(numbered(mark, count, user="x" * extra))


def send_all(apis, upload, pieces):
    """Each through the next node, and as many at one time as there are nodes."""
    with concurrent.futures.ThreadPoolExecutor(len(apis)) as pool:
        calls = [pool.submit(part, apis[n % len(apis)], upload, one) for n, one in enumerate(pieces)]
        return [one.result() for one in calls]


def blobs(nodes):
    """The names of the blobs that the bucket has."""
    return {name.split("/")[1].split(".")[0] for name in nodes.keys("files/")}


@pytest.mark.parametrize("size, count, extra", [(5000, 60, 300), (2 * MB, 900, 9000)])
def test_4_parts_through_several_nodes(nodes, apis, size, count, extra):
    """Small parts are copied, larger ones are joined by the store: the file is the same, and its index is
    good for a batch."""
    mark = fresh()
    data = padded(mark, count, extra)
    before = blobs(nodes)
    upload = begin(apis[0], data)
    parts = send_all(apis, upload, parts_of(data, size))
    made = good(complete_raw(apis[2], upload, parts, md5=hashlib.md5(data).hexdigest()))
    assert check_file(made["file"])["bytes"] == len(data)
    file_id = made["file"]["id"]
    assert apis[1].content(file_id) == data
    wait_until(lambda: blobs(nodes) - before == {file_id}, "the parts go")
    joined = [name for name in nodes.keys("files/") if name.startswith(f"files/{file_id}.parts/")]
    assert len(joined) == (len(parts) if size >= MB else 0)
    batch = apis[1].wait(apis[0].create(file_id), "completed")
    nodes.check(batch, mark, count, by=2, apis=apis)


def test_4_completed_by_all_nodes_at_one_time(nodes, apis):
    """All get the one file; what the others made goes, and the organization has that file and no other."""
    data = padded(fresh(), 1200, 9000)
    before = blobs(nodes)
    upload = begin(apis[0], data)
    parts = send_all(apis, upload, parts_of(data, 3 * MB))
    answers = together(*(lambda a=api: complete_raw(a, upload, parts) for api in apis))
    found = [good(one) for one in answers]
    assert len({one["file"]["id"] for one in found}) == 1, found
    assert {one["status"] for one in found} == {"completed"}
    file_id = found[0]["file"]["id"]
    assert good(complete_raw(apis[1], upload, parts))["file"]["id"] == file_id
    for api in apis:
        assert [one["id"] for one in good(api.http.get("files"))["data"]] == [file_id]
        assert api.content(file_id) == data
    wait_until(lambda: blobs(nodes) - before == {file_id}, "the other nodes' files go")
    check_error(complete_raw(apis[2], upload, parts[:-1]), "openai", 400)


def test_4_completed_by_one_and_cancelled_by_another(nodes, apis):
    data = padded(fresh(), 1200, 9000)
    before = blobs(nodes)
    upload = begin(apis[0], data)
    parts = send_all(apis, upload, parts_of(data, 3 * MB))
    done, cancelled = together(
        lambda: complete_raw(apis[0], upload, parts),
        lambda: apis[1].http.post(f"uploads/{upload}/cancel"),
    )
    assert sorted([done.status_code, cancelled.status_code]) == [200, 400], (done.text, cancelled.text)
    left = {done.json()["file"]["id"]} if done.status_code == 200 else set()
    wait_until(lambda: blobs(nodes) - before == left, "what is no file goes")


def test_2_4_one_key_at_all_nodes_at_one_time(nodes, apis):
    """One file and one batch, whose id is everybody's answer."""
    data = jsonl(numbered(fresh(), 3))
    for _ in range(5):
        key = {"Idempotency-Key": fresh()}
        sent = together(*(
            lambda a=api: a.http.post("files", data={"purpose": "batch"}, headers=key,
                                      files={"file": ("in.jsonl", data)})
            for api in apis))  # fmt: skip
        files = {good(one)["id"] for one in sent}
        assert len(files) == 1
        (file_id,) = files
        members = {"input_file_id": file_id, "endpoint": "/v1/chat/completions",
                   "completion_window": "24h"}  # fmt: skip
        made = together(*(
            lambda a=api: a.http.post("batches", json=members, headers=key) for api in apis
        ))  # fmt: skip
        assert len({good(one)["id"] for one in made}) == 1
    listed = good(apis[0].http.get("batches?limit=100"))["data"]
    assert len(listed) == 5
    for one in listed:
        apis[0].wait(one, "completed")


# ---- results as they end (contract 11.3) ----


def page(api, batch, after=0, limit=10000):
    """Its lines, X-Incomplete, X-Last-Line."""
    response = api.http.get(f"batches/{batch['id']}/results?after={after}&limit={limit}")
    assert response.status_code == 200, response.text
    last = int(response.headers["X-Last-Line"])
    return response.content.splitlines(keepends=True), response.headers["X-Incomplete"] == "true", last


def pages(apis, batch, limit):
    """All of them, each from the next node."""
    found, after = [], 0
    for n in range(10000):
        got, incomplete, last = page(apis[n % len(apis)], batch, after, limit)
        assert len(got) == last - after <= limit
        found, after = found + got, last
        if not incomplete:
            return found
        assert got, "a page of a batch that is final has lines"
    raise AssertionError("no end")


def files_of(api, batch):
    ids = (batch["output_file_id"], batch["error_file_id"])
    return [api.content(one).splitlines(keepends=True) if one else [] for one in ids]


def numbers(lines, mark):
    return [int(json.loads(one)["custom_id"].removeprefix(f"{mark}-")) for one in lines]


def followed(apis, batch, count):
    """As a client that asks the nodes in turn, until it has so many lines. They come span by span."""
    found = []

    def more():
        before = len(found)
        for api in apis:
            got, incomplete, last = page(api, batch, len(found), 300)
            assert incomplete and len(got) == last - len(found) <= 300
            found.extend(got)
        return len(found) > before

    while len(found) < count:
        wait_until(more, f"more than {len(found)} lines")
    assert len(found) == count
    return found


def test_11_3_results_while_several_nodes_run(nodes, apis):
    """Lines of spans that are finished, span after span, on every node the same; they keep their numbers when
    the batch is final."""
    mark, count = fresh(), 20 * SEGMENT_LINES
    held = line(f"{mark}-0", f"{mark}-0 | hold:{mark}")
    batch = apis[0].create(jsonl([held] + numbered(mark, count)[1:]))
    found = followed(apis, batch, count - SEGMENT_LINES)
    assert sorted(numbers(found, mark)) == list(range(SEGMENT_LINES, count))
    for first in range(0, len(found), SEGMENT_LINES):
        at = numbers(found[first:first + SEGMENT_LINES], mark)
        assert at == list(range(at[0], at[0] + SEGMENT_LINES)) and at[0] % SEGMENT_LINES == 0
    shown = apis[2].http.get(f"batches/{batch['id']}/lines?after=6000&limit=3").content.splitlines()
    assert [json.loads(one)["result"] for one in shown] == [json.loads(one) for one in found[6000:6003]]
    for api in apis:
        assert page(api, batch, 1020, 10) == (found[1020:1024], True, 1024)
        assert page(api, batch, len(found)) == ([], True, len(found))
        assert page(api, batch, count + 5) == ([], True, count + 5)
    nodes.release(mark)
    batch = apis[1].wait(batch, "completed")
    output, error = files_of(apis[2], batch)
    whole = pages(apis, batch, 10000)
    assert not error and sorted(whole) == sorted(output)
    assert whole[:len(found)] == found and numbers(whole[len(found):], mark) == list(range(SEGMENT_LINES))


@pytest.mark.parametrize("order", ["input", "completion"])
def test_11_3_results_of_several_nodes(nodes, apis, order):
    """The lines of both files, on every node the same, in whatever pages. What is one span has none before its
    end."""
    mark, count = fresh(), 12000
    bad = range(0, count, 3000)
    lines = [line(f"{mark}-{n}", f"{mark}-{n} | {'status:422' if n in bad else 'ok'}") for n in range(count)]
    ends = f"{mark}-ends"
    lines[-1] = line(f"{mark}-{count - 1}", f"{mark}-{count - 1} | hold:{ends}")
    batch = apis[0].create(jsonl(lines), lowtide={"output_order": order})
    nodes.wait_acknowledged(batch, 100)
    for api in apis:
        assert api.get(batch["id"])["status"] == "in_progress"
        if order == "completion":
            assert page(api, batch) == ([], True, 0) and page(api, batch, 7) == ([], True, 7)
            shown = api.http.get(f"batches/{batch['id']}/lines")
            assert shown.status_code == 200 and shown.content == b""
    nodes.release(ends)
    batch = apis[1].wait(batch, "completed", seconds=120)
    assert batch["request_counts"]["failed"] == len(bad)
    output, error = files_of(apis[2], batch)
    whole = pages(apis, batch, 10000)
    assert sorted(whole) == sorted(output + error) and len(whole) == count
    if order == "completion":
        assert [one for one in whole if one in set(error)] == error
        assert [one for one in whole if one not in set(error)] == output
    for api in apis:
        assert page(api, batch, 6000, 30)[0] == whole[6000:6030]
        assert page(api, batch, count) == ([], False, count)
        shown = api.http.get(f"batches/{batch['id']}/lines?after=6000&limit=3").content.splitlines()
        for one, result in zip(shown, whole[6000:6003], strict=True):
            shows = json.loads(one)
            assert shows["result"] == json.loads(result)
            assert shows["request"]["custom_id"] == shows["result"]["custom_id"]
    made = apis[2].http.post(f"batches/{batch['id']}/retry")
    assert made.status_code == 200, made.text
    child = apis[0].wait(apis[2].created(made.json()), "completed")
    assert child["request_counts"]["total"] == len(bad)
    assert list(apis[1].lines(child["error_file_id"]) or []) and child["request_counts"]["failed"] == len(bad)


def test_11_3_results_of_a_batch_that_was_cancelled(nodes, apis):
    """Lines that did not run have no number but their place."""
    mark, count = fresh(), 30000
    batch = apis[0].create(jsonl(numbered(mark, count)))
    nodes.wait_acknowledged(batch, 100)
    good(apis[1].http.post(f"batches/{batch['id']}/cancel"))
    batch = apis[2].wait(batch, "cancelled")
    output, error = files_of(apis[2], batch)
    whole = pages(apis, batch, 7000)
    assert len(whole) == count and sorted(whole) == sorted(output + error)
    assert sorted(numbers(whole, mark)) == list(range(count))
