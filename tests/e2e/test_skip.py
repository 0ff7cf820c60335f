"""Bad lines that are left out: `lowtide.on_invalid_line: "skip"` (contract 11.1, 7.2, 8.1, 9)."""

import contextlib
import json

import httpx
import pytest
from support.jsonl import CHAT, fresh, jsonl, line, numbered, raw_line

SKIP = {"lowtide": {"on_invalid_line": "skip"}}


def bad_file(mark):
    """Lines, and what each bad one is told: {line: (code, param, custom_id)}."""
    lines = [
        line(f"{mark}-0", f"{mark}-0"),
        b"this is no JSON",
        line(f"{mark}-1", f"{mark}-1"),
        line(f"{mark}-0", f"{mark}-never"),
        b"",
        b"[1, 2]",
        line(f"{mark}-2", f"{mark}-2"),
        line(f"{mark}-url", f"{mark}-never", url="/v1/embeddings"),
        raw_line(f"{mark}-model", b'{"messages": []}'),
        line(f"{mark}-other", f"{mark}-never", model="m-2"),
        line(f"{mark}-stream", f"{mark}-never", stream=True),
        json.dumps({"custom_id": 5, "body": {"model": "m-1", "messages": []}}).encode(),
        line(f"{mark}-3", f"{mark}-3"),
    ]
    return lines, {
        2: ("invalid_json_line", None, None),
        4: ("duplicate_custom_id", "custom_id", f"{mark}-0"),
        6: ("invalid_request", None, None),
        8: ("invalid_url", "url", f"{mark}-url"),
        9: ("invalid_request", "body.model", f"{mark}-model"),
        10: ("mismatched_model", "body.model", f"{mark}-other"),
        11: ("streaming_unsupported", "body.stream", f"{mark}-stream"),
    }


def check_errors(error_lines, expected):
    assert [one["error"]["line"] for one in error_lines] == sorted(expected)
    for one in error_lines:
        error = one["error"]
        assert one["response"] is None
        assert set(error) == {"code", "message", "line", "param"} and error["message"]
        assert (error["code"], error["param"], one["custom_id"]) == expected[error["line"]]


def test_11_1_bad_lines_go_to_the_error_file_and_the_rest_run(api, upstream):
    mark = fresh()
    lines, expected = bad_file(mark)
    short = "missing_required_parameter" if api.profile == "openai" else "invalid_type"
    expected[12] = (short, "method" if api.profile == "openai" else "custom_id", None)
    batch = api.sdk.batches.create(
        input_file_id=api.upload(lines),
        endpoint=CHAT,
        completion_window="24h",
        extra_body=SKIP,
    )
    batch = api.wait(batch.id, "completed")
    assert batch["request_counts"] == {"total": 12, "completed": 4, "failed": 8}
    assert batch["model"] == "m-1" and batch["errors"] is None
    output = api.lines(batch["output_file_id"])
    assert [one["custom_id"] for one in output] == [f"{mark}-{n}" for n in range(4)]
    check_errors(api.lines(batch["error_file_id"]), expected)
    # 7.2: nothing of a bad line is sent; of a repeated custom_id the first ran
    assert upstream.counts(mark) == {f"{mark}-{n}": 1 for n in range(4)}
    # 11.2: they stand in top_errors, with an example
    top = batch["lowtide"]["top_errors"]
    assert len(top) == 5 and top[0]["count"] == 2
    assert {"code": "invalid_json_line", "count": 1, "example_line": 2} in top
    assert batch["lowtide"]["retried"] == 0


def test_11_1_bad_lines_have_failed_before_the_first_is_sent(api, upstream):
    mark = fresh()
    lines = [*numbered(mark, 3, f"hold:{mark}"), b"{", b"{"]
    batch = api.wait(api.create(lines, **SKIP), "in_progress")
    batch = api.wait(batch, lambda seen: seen["lowtide"]["running"] == 3)
    assert batch["request_counts"] == {"total": 5, "completed": 0, "failed": 2}
    upstream.release(mark)
    assert api.wait(batch, "completed")["request_counts"]["failed"] == 2


def test_11_1_without_a_good_line_the_batch_fails(api):
    mark = fresh()
    batch = api.run([b"{", line(mark, stream=True)], "failed", **SKIP)
    assert batch["request_counts"] == {"total": 0, "completed": 0, "failed": 0}
    assert [(code, at) for code, _, at in api.errors(batch)] == [
        ("invalid_json_line", 1),
        ("streaming_unsupported", 2),
    ]
    assert batch["error_file_id"] is None


def test_11_1_what_is_wrong_with_the_file_still_fails_the_batch(oai):
    batch = oai.run(b"\n\n", "failed", **SKIP)
    assert oai.errors(batch) == [("empty_file", None, None)]


def test_11_1_a_good_file_runs_as_ever(api):
    mark = fresh()
    batch = api.run(numbered(mark, 5), **SKIP)
    assert batch["request_counts"] == {"total": 5, "completed": 5, "failed": 0}
    assert batch["error_file_id"] is None


def test_11_1_fail_is_the_default(api):
    batch = api.run([line(fresh()), b"{"], "failed", lowtide={"on_invalid_line": "fail"})
    assert api.errors(batch) == [("invalid_json_line", None, 2)]


def test_11_1_bad_lines_of_a_cancelled_batch_have_failed(api, upstream):
    mark = fresh()
    batch = api.create([*numbered(mark, 2, f"hold:{mark}"), b"{"], **SKIP)
    api.wait(batch, lambda seen: seen["lowtide"]["running"] == 2)
    api.cancel(batch)
    batch = api.wait(batch, "cancelled")
    upstream.release(mark)
    assert batch["request_counts"] == {"total": 3, "completed": 0, "failed": 1}
    assert batch["lowtide"]["cancelled"] == 2
    codes = [one["error"]["code"] for one in api.lines(batch["error_file_id"])]
    assert codes == ["batch_cancelled", "batch_cancelled", "invalid_json_line"]


def test_11_1_a_file_of_many_bad_lines_over_several_segments(api, upstream):
    """More than 1,000 findings, and segments in which nothing runs."""
    mark = fresh()
    lines = [b"{"] * 1500 + numbered(mark, 3) + [b"{"] * 1500
    batch = api.run(lines, **SKIP)
    assert batch["request_counts"] == {"total": 3003, "completed": 3, "failed": 3000}
    error = api.lines(batch["error_file_id"])
    assert [one["error"]["line"] for one in error] == [*range(1, 1501), *range(1504, 3004)]
    assert upstream.sent(mark) == 3


# ---- kill -9 ----

POINTS = [
    "journal.before_write",
    "journal.torn_write",
    "journal.before_sync",
    "journal.after_sync",
    "batch.before_in_progress",
    "results.after_sync",
]


@pytest.mark.parametrize("name", POINTS)
def test_16_9_killed_while_bad_lines_are_left_out(serve, own_upstream, failpoints, name):
    """At each step between the verdict and the first line: the same verdict afterwards, and each line
    in the files once."""
    api, mark = serve(settings={"execution.concurrency": 16}, start=False), fresh()
    api.server.start(env={"LOWTIDE_FAILPOINTS": f"{name}=kill@1"})
    good = numbered(mark, 40)
    lines = [one for pair in zip(good, [b"{"] * 40, strict=True) for one in pair]
    file_id = api.upload(lines)
    with contextlib.suppress(httpx.TransportError):
        api.create(file_id, **SKIP)
    api.server.wait_killed()
    before = own_upstream.settled(mark)
    if name != "results.after_sync":
        assert before == 0
    api.server.start()
    (batch,) = api.http.get("batches").json()["data"]
    batch = api.wait(batch["id"], "completed")
    assert batch["request_counts"] == {"total": 80, "completed": 40, "failed": 40}
    error = api.lines(batch["error_file_id"])
    assert [one["error"]["line"] for one in error] == list(range(2, 81, 2))
    assert [one["custom_id"] for one in api.lines(batch["output_file_id"])] == [
        f"{mark}-{n}" for n in range(40)
    ]
    assert own_upstream.sent(mark) == 40
    assert api.content(file_id) == jsonl(lines)
