"""`POST /v1/batches/{id}/retry`: a child batch of the lines that are left (contract 11.3)."""

import contextlib
import json

import httpx
import openai
import pytest
from support.api import check_batch, check_error, check_file
from support.jsonl import fresh, jsonl, line, numbered, raw_line
from support.upstream import Answer


def retry_raw(api, batch, body=None, **more):
    batch_id = batch if isinstance(batch, str) else batch["id"]
    if body is not None:
        more["json"] = body
    return api.http.post(f"batches/{batch_id}/retry", **more)


def retry(api, batch, body=None, **more):
    response = retry_raw(api, batch, body, **more)
    assert response.status_code == 200, response.text
    return api.created(response.json())


def some_fail(api, upstream, mark, count=30, every=3, **more):
    """A completed batch in which each line whose number is a multiple of `every` got a 422."""
    lines = numbered(mark, count)
    for n in range(0, count, every):
        upstream.on(f"{mark}-{n}", Answer(status=422, body=b'{"error":{"message":"no"}}'), Answer())
    batch = api.run(lines, **more)
    left = range(0, count, every)
    assert batch["request_counts"]["failed"] == len(left)
    return batch, lines, list(left)


def test_11_3_the_lines_that_failed_run_again(api, upstream):
    mark = fresh()
    parent, lines, left = some_fail(api, upstream, mark, metadata={"job": "nightly"})
    # with the official client, which has no call of that name
    made = api.sdk.post(f"/batches/{parent['id']}/retry", body={}, cast_to=openai.types.Batch)
    assert made.status == "validating" and made.request_counts.total == 0
    child = api.wait(made.id, "completed")
    assert child["lowtide"]["retried_from"] == parent["id"]
    assert parent["lowtide"]["retried_from"] is None
    assert child["request_counts"] == {"total": 10, "completed": 10, "failed": 0}
    for name in ("endpoint", "completion_window", "metadata", "model"):
        assert child[name] == parent[name]
    # bytes as they were
    assert child["input_file_id"] != parent["input_file_id"]
    assert api.content(child["input_file_id"]) == jsonl(lines[n] for n in left)
    assert api.file(child["input_file_id"])["purpose"] == "batch"
    output, error = api.results(child)
    assert list(output) == [f"{mark}-{n}" for n in left] and not error
    assert upstream.sent(mark) == 40
    assert api.get(parent["id"])["status"] == "completed"


def test_11_3_bytes_as_they_were(api, upstream):
    """Odd bytes, blank lines, CRLF, a byte order mark, no newline at the end."""
    mark = fresh()
    odd = [
        raw_line(f"{mark}-{n}", b'{"model":"m-1", "messages":[{"role":"user","content":"%s-%d"}],'
                 b'"big":123456789012345678901234567890,  "u":"\\u00e9\xc3\xa9"}' % (mark.encode(), n))
        for n in range(6)
    ]  # fmt: skip
    data = (
        b"\xef\xbb\xbf" + odd[0] + b"\r\n\r\n" + odd[1] + b"\n\n  \n" + odd[2] + b"\n" + odd[3]
        + b"\n" + odd[4] + b"  \r\n" + odd[5]
    )  # fmt: skip
    for n in (0, 2, 3, 4, 5):
        upstream.on(f"{mark}-{n}", Answer(status=422, body=b'{"error":{}}'), Answer())
    parent = api.run(data)
    assert parent["request_counts"]["failed"] == 5
    child = api.wait(retry(api, parent), "completed")
    copied = api.content(child["input_file_id"]).split(b"\n")
    assert [one.rstrip(b"\r") for one in copied] == [
        odd[0], odd[2], odd[3], odd[4] + b"  ", odd[5], b""
    ]  # fmt: skip
    sent = upstream.of(f"{mark}-2")
    assert sent[0].body == sent[1].body


def test_11_3_of_a_retry_that_fails_the_rest_is_retried(api, upstream):
    mark = fresh()
    for n in (1, 2):
        upstream.on(f"{mark}-{n}", *[Answer(status=422, body=b"{}")] * n, Answer())
    parent = api.run(numbered(mark, 4))
    child = api.wait(retry(api, parent), "completed")
    assert child["request_counts"] == {"total": 2, "completed": 1, "failed": 1}
    grandchild = api.wait(retry(api, child), "completed")
    assert grandchild["lowtide"]["retried_from"] == child["id"]
    assert grandchild["request_counts"] == {"total": 1, "completed": 1, "failed": 0}
    check_error(retry_raw(api, grandchild), api.profile, 400)


def test_11_3_cancelled_and_expired_lines_run_again(quick, upstream):
    mark = fresh()
    lines = numbered(mark, 3) + numbered(mark + "h", 3, f"hold:{mark}")
    batch = quick.create(lines)
    quick.wait(batch, lambda seen: seen["request_counts"]["completed"] == 3)
    quick.cancel(batch)
    batch = quick.wait(batch, "cancelled")
    assert batch["lowtide"]["cancelled"] == 3
    upstream.release(mark)
    child = quick.wait(retry(quick, batch), "completed")
    assert quick.content(child["input_file_id"]) == jsonl(lines[3:])
    mark = fresh()
    batch = quick.create(numbered(mark, 2, f"hold:{mark}"), completion_window="1s")
    batch = quick.wait(batch, "expired")
    upstream.release(mark)
    child = quick.wait(retry(quick, batch, {"completion_window": "24h"}), "completed")
    assert child["completion_window"] == "24h"
    assert child["request_counts"]["completed"] == 2


def test_11_3_members_of_the_body_take_the_place_of_the_parents(api, upstream):
    mark = fresh()
    parent, _, _ = some_fail(api, upstream, mark, metadata={"a": "b"})
    child = retry(api, parent, {"metadata": {"c": "d"}, "lowtide": {"mixed_models": True}})
    assert child["metadata"] == {"c": "d"}
    assert child["completion_window"] == parent["completion_window"]
    api.wait(child, "completed")
    for body, param, code in (
        ({"completion_window": "1x"}, "completion_window", "invalid_value"),
        ({"completion_window": 5}, "completion_window", "invalid_type"),
        ({"metadata": []}, "metadata", "invalid_type"),
        ({"lowtide": {"on_invalid_line": "x"}}, "lowtide.on_invalid_line", "invalid_value"),
    ):
        check_error(retry_raw(api, parent, body), api.profile, 400, code=code, param=param)
    check_error(retry_raw(api, parent, content=b"{"), api.profile, 400)


def test_11_3_nothing_left(api):
    parent = api.run(numbered(fresh(), 3))
    error = check_error(retry_raw(api, parent), api.profile, 400)
    assert "Nothing is left to retry" in error["message"]
    failed = api.run([b"{"], "failed")
    error = check_error(retry_raw(api, failed), api.profile, 400)
    assert "Nothing is left to retry" in error["message"]


def test_11_3_refused_as_cancel_is_while_it_runs(api, upstream):
    mark = fresh()
    batch = api.create(numbered(mark, 1, f"hold:{mark}"))
    api.wait(batch, lambda seen: seen["lowtide"]["running"] == 1)
    response = retry_raw(api, batch)
    status = 409 if api.profile == "openai" else 400
    check_error(response, api.profile, status,
                message="Cannot retry a batch with status 'in_progress'.")  # fmt: skip
    assert response.headers.get("x-should-retry") == ("false" if status == 409 else None)
    upstream.release(mark)
    api.wait(batch, "completed")


def test_11_3_input_gone(kimi, upstream):
    mark = fresh()
    parent, _, _ = some_fail(kimi, upstream, mark)
    assert kimi.http.delete(f"files/{parent['input_file_id']}").status_code == 200
    blob = f"files/{parent['input_file_id']}.jsonl"
    while blob in kimi.server.blobs():
        pass
    check_error(retry_raw(kimi, parent), "kimi", 400, code="invalid_value", param="input_file_id")


def delete_file(api, file_id):
    assert api.http.delete(f"files/{file_id}").status_code == 200
    while f"files/{file_id}.jsonl" in api.server.blobs():
        pass


@pytest.mark.parametrize("gone", ["output_file_id", "error_file_id"])
def test_11_3_one_of_the_result_files_gone(kimi, upstream, gone):
    """The other one says which lines are left."""
    mark = fresh()
    parent, lines, left = some_fail(kimi, upstream, mark)
    delete_file(kimi, parent[gone])
    child = kimi.wait(retry(kimi, parent), "completed")
    assert kimi.content(child["input_file_id"]) == jsonl(lines[n] for n in left)
    assert child["request_counts"] == {"total": 10, "completed": 10, "failed": 0}


def test_11_3_both_result_files_gone(kimi, upstream):
    """Then nothing says any more which lines are left."""
    parent, _, _ = some_fail(kimi, upstream, fresh())
    delete_file(kimi, parent["output_file_id"])
    delete_file(kimi, parent["error_file_id"])
    error = check_error(retry_raw(kimi, parent), "kimi", 400)
    assert parent["output_file_id"] in error["message"]
    left = [name for name in kimi.server.blobs() if parent["output_file_id"] in name
            or parent["error_file_id"] in name or parent["id"] in name]  # fmt: skip
    assert not left, "the order went with the files"


@pytest.mark.parametrize("point", ["order.before_home", "order.between_homes", "order.after_home"])
def test_16_9_killed_while_the_order_goes_to_the_result_files(serve, own_upstream, failpoints, point):
    """The next start brings it to both. (A batch of one segment has it there from the beginning.)"""
    api, mark = serve(start=False), fresh()
    api.server.start(env={"LOWTIDE_FAILPOINTS": f"{point}=kill@1"})
    lines = numbered(mark, 1030)
    for n in range(0, 30, 3):
        own_upstream.on(f"{mark}-{n}", Answer(status=422, body=b"{}"), Answer())
    with contextlib.suppress(httpx.TransportError):
        api.create(lines)
    api.server.wait_killed()
    api.server.start()
    (parent,) = api.http.get("batches").json()["data"]
    assert parent["status"] == "completed"
    assert not [name for name in api.server.blobs() if name.startswith("batches/")]
    delete_file(api, parent["output_file_id"])
    child = api.wait(retry(api, parent), "completed")
    assert api.content(child["input_file_id"]) == jsonl(lines[n] for n in range(0, 30, 3))


def test_11_3_bad_lines_that_were_skipped_are_not_retried(api, upstream):
    """With the same bytes they can never run."""
    mark = fresh()
    upstream.on(f"{mark}-1", Answer(status=422, body=b"{}"), Answer())
    lines = [b"{", *numbered(mark, 3), line(f"{mark}-0", "again"), b"[]"]
    options = {"lowtide": {"on_invalid_line": "skip"}}
    parent = api.run(lines, **options)
    assert parent["request_counts"] == {"total": 6, "completed": 2, "failed": 4}
    child = api.wait(retry(api, parent), "completed")
    assert api.content(child["input_file_id"]) == lines[2] + b"\n"
    only_bad = api.run([*numbered(fresh(), 1), b"{"], **options)
    check_error(retry_raw(api, only_bad), api.profile, 400)


@pytest.mark.parametrize(
    "options",
    [{"on_invalid_line": "skip", "override": {"model": "m-1"}},
     {"on_invalid_line": "skip", "mixed_models": True}],
)  # fmt: skip
def test_11_3_bad_lines_that_the_childs_options_mend_are_retried(api, upstream, options):
    """Another model than the others', and no model; a line that is no JSON is bad with any options."""
    mark = fresh()
    other = line(f"{mark}-o", f"{mark}-o", model="m-2")
    without = raw_line(f"{mark}-w", b'{"messages":[{"role":"user","content":"%s-w"}]}' % mark.encode())
    parent = api.run([b"{", *numbered(mark, 2), other, without], lowtide={"on_invalid_line": "skip"})
    assert parent["request_counts"] == {"total": 5, "completed": 2, "failed": 3}
    check_error(retry_raw(api, parent), api.profile, 400)
    child = api.wait(retry(api, parent, {"lowtide": options}), "completed")
    mended = [other, without] if "override" in options else [other]
    assert api.content(child["input_file_id"]) == jsonl(mended)
    assert child["request_counts"]["completed"] == len(mended)


def test_11_3_without_an_output_all_lines_are_left(api, upstream):
    mark = fresh()
    batch = api.create(numbered(mark, 5, f"hold:{mark}"))
    api.wait(batch, lambda seen: seen["lowtide"]["running"] == 5)
    api.cancel(batch)
    api.wait(batch, "cancelled")
    upstream.release(mark)
    assert api.wait(retry(api, batch), "completed")["request_counts"]["completed"] == 5


def test_11_3_over_several_segments(api, upstream):
    mark = fresh()
    parent, lines, left = some_fail(api, upstream, mark, count=2500, every=7)
    child = api.wait(retry(api, parent), "completed")
    assert api.content(child["input_file_id"]) == jsonl(lines[n] for n in left)
    assert child["request_counts"]["completed"] == len(left)


def test_2_4_a_repeated_retry_makes_one_batch(api, upstream):
    parent, _, _ = some_fail(api, upstream, fresh())
    key = {"Idempotency-Key": fresh()}
    first = retry(api, parent, headers=key)
    assert retry_raw(api, parent, headers=key).json() == first
    other = retry_raw(api, parent, {"metadata": {"x": "y"}}, headers=key)
    check_error(other, api.profile, 422, code="idempotency_key_reused")
    second = retry(api, parent)
    assert second["id"] != first["id"]  # two plain calls make two
    again = retry_raw(api, parent, headers={"x-stainless-retry-count": "1"}).json()
    assert again["id"] == second["id"]
    for one in (first, second):
        api.wait(one, "completed")
    files = api.http.get("files", params={"purpose": "batch"}).json()["data"]
    assert len(files) == 3


def test_3_2_the_quota_of_files_holds(serve, own_upstream):
    api = serve(settings={"limits.org.files": 2})
    parent, _, _ = some_fail(api, own_upstream, fresh())
    api.wait(retry(api, parent), "completed")
    error = check_error(retry_raw(api, parent), "kimi", 400, code="file_quota_exceeded")
    assert "max file count 2" in error["message"]
    assert len([name for name in api.server.blobs() if name.startswith("tmp/")]) == 0


def test_11_3_unknown_batches(api, on_shared):
    check_error(retry_raw(api, "batch_" + "0" * 32), api.profile, 404)
    check_error(retry_raw(api, "nonsense", {}), api.profile, 404)


# ---- kill -9 ----


@pytest.mark.parametrize(
    ("name", "made"),
    [("retry.copying", 0), ("ingest.before_rename", 0), ("ingest.after_rename", 0),
     ("batch.after_insert", 1), ("batch.before_in_progress", 1)],
)  # fmt: skip
def test_16_9_killed_in_the_middle_of_a_retry(serve, own_upstream, failpoints, name, made):
    """Nothing half made is left: a child with its input, or neither; and no line that was done is
    sent again."""
    api, mark = serve(), fresh()
    parent, lines, left = some_fail(api, own_upstream, mark)
    api.server.restart(env={"LOWTIDE_FAILPOINTS": f"{name}=kill@1"})
    with contextlib.suppress(httpx.TransportError):
        retry_raw(api, parent)
    api.server.wait_killed()
    api.server.start()
    batches = api.http.get("batches").json()["data"]
    files = api.http.get("files", params={"purpose": "batch"}).json()["data"]
    assert len(batches) == len(files) == 1 + made
    assert not [one for one in api.server.blobs() if one.startswith("tmp/")]
    known = {check_file(one)["id"] for one in files}
    blobs = {one.split("/")[1].split(".")[0] for one in api.server.blobs()
             if one.startswith("files/")}  # fmt: skip
    assert blobs - known == {parent["output_file_id"], parent["error_file_id"]} | {
        one for one in blobs - known if made  # of the child's results
    }
    if made:
        child = check_batch(batches[0])
        assert child["lowtide"]["retried_from"] == parent["id"]
    else:
        child = retry(api, parent)
    child = api.wait(child["id"], "completed")
    assert api.content(child["input_file_id"]) == jsonl(lines[n] for n in left)
    assert child["request_counts"] == {"total": 10, "completed": 10, "failed": 0}
    assert own_upstream.sent(mark) == 40
    assert json.loads(lines[0])["custom_id"] == f"{mark}-0"
