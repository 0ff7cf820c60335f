"""The first lines of a batch, which is then held until a person has looked (contract 11.1, canary)."""

import contextlib
import json

import httpx
import pytest
from support.api import check_error
from support.jsonl import fresh, numbered

N, LINES = 5, 3000


def create(api, lines, **options):
    made = api.sdk.batches.create(
        input_file_id=api.upload(lines), endpoint="/v1/chat/completions", completion_window="24h",
        extra_body={"lowtide": options},
    )  # fmt: skip
    return api.created(json.loads(made.model_dump_json(warnings=False)))


def held(api, batch):
    seen = api.wait(batch, lambda b: b["lowtide"]["stall_reason"] == "held")
    assert seen["status"] == "in_progress"
    assert f"canary of {N} lines" in seen["lowtide"]["stall_message"]
    assert seen["lowtide"]["held_by"] == "canary"
    assert seen["lowtide"]["running"] == 0 and seen["lowtide"]["eta_at"] is None
    return seen


def sent_lines(upstream, mark):
    return sorted(int(marker.rsplit("-", 1)[1]) for marker in upstream.counts(mark))


def test_11_1_a_canary_and_then_the_rest(serve, own_upstream):
    api, mark = serve(), fresh()
    batch = create(api, numbered(mark, LINES), canary=N)
    seen = held(api, batch)
    assert seen["request_counts"] == {"total": LINES, "completed": N, "failed": 0}
    lines = sent_lines(own_upstream, mark)
    assert lines == [300, 900, 1500, 2100, 2700], "spread evenly over the file"
    api.run(numbered(fresh(), 20))  # others go on
    assert own_upstream.sent(mark) == N
    api.http.post(f"batches/{batch['id']}/resume").raise_for_status()
    done = api.wait(batch, "completed")
    assert done["request_counts"]["completed"] == LINES and done["lowtide"]["held_by"] is None
    assert own_upstream.sent(mark) == LINES, "the canary's lines do not run twice"
    output, _ = api.results(done)
    assert list(output) == [f"{mark}-{n}" for n in range(LINES)]


@pytest.mark.parametrize("kill", [False, True])
def test_11_1_bad_lines_that_are_left_out_are_not_of_the_canary(serve, own_upstream, kill):
    """They are nothing to look at: N lines run, of those that can. Also where whole segments are bad."""
    api, mark = serve(settings={"execution.concurrency": 8}), fresh()
    good = numbered(mark, 40, f"hold:{mark} then ok" if kill else "")
    lines = [b"{"] * 2500 + good + [b"{"] * 400
    batch = create(api, lines, canary=N, on_invalid_line="skip")
    if kill:
        own_upstream.wait_sent(mark, N)
        api.server.kill()
        own_upstream.release(mark)
        own_upstream.settled(mark)
        api.server.start()
    seen = held(api, batch)
    assert seen["request_counts"] == {"total": 2940, "completed": N, "failed": 2900}
    assert sent_lines(own_upstream, mark) == [4, 12, 20, 28, 36], "spread evenly over the good ones"
    api.http.post(f"batches/{batch['id']}/resume").raise_for_status()
    done = api.wait(batch, "completed")
    assert done["request_counts"] == {"total": 2940, "completed": 40, "failed": 2900}


def test_11_1_no_more_good_lines_than_that_all_run(api):
    lines = [b"{"] * 10 + numbered(fresh(), N)
    done = api.wait(create(api, lines, canary=N, on_invalid_line="skip"), "completed")
    assert done["request_counts"] == {"total": 10 + N, "completed": N, "failed": 10}


@pytest.mark.parametrize("lines", [N - 1, N])
def test_11_1_fewer_lines_than_that_all_run(api, lines):
    done = api.wait(create(api, numbered(fresh(), lines), canary=N), "completed")
    assert done["request_counts"]["completed"] == lines


def test_11_1_a_canary_of_failures_holds_too(api):
    batch = create(api, numbered(fresh(), 40, "status:400"), canary=N)
    seen = held(api, batch)
    assert seen["request_counts"]["failed"] == N
    assert seen["lowtide"]["top_errors"][0]["code"] == "400"
    api.cancel(batch)
    api.wait(batch, "cancelled")


def test_11_1_a_canary_across_kills(serve, own_upstream):
    """Killed while its lines are in flight, when it is held, and when it goes on."""
    api, mark = serve(settings={"execution.concurrency": 8}), fresh()
    batch = create(api, numbered(mark, LINES, f"hold:{mark} then ok"), canary=N)
    own_upstream.wait_sent(mark, N)
    api.server.kill()
    own_upstream.release(mark)
    own_upstream.settled(mark)
    api.server.start()
    held(api, batch)
    sent = own_upstream.sent(mark)
    assert sent <= 2 * N and len(sent_lines(own_upstream, mark)) == N
    for stop in (api.server.kill, api.server.stop):
        stop()
        api.server.start()
        held(api, batch)
        api.run(numbered(fresh(), 10))
        assert own_upstream.sent(mark) == sent
    api.http.post(f"batches/{batch['id']}/resume").raise_for_status()
    api.server.kill()
    again = len(sent_lines(own_upstream, mark))
    api.server.start()
    done = api.wait(batch, "completed")
    assert done["request_counts"]["completed"] == LINES and done["lowtide"]["held_by"] is None
    assert again >= N


@pytest.mark.parametrize("point", ["batch.before_hold", "batch.after_hold", "journal.after_sync"])
def test_11_1_killed_when_the_canary_ends(serve, own_upstream, failpoints, point):
    """Before and after the row says so: it is held in the end, and runs no line twice that ended."""
    api, mark = serve(start=False), fresh()
    api.server.start(env={"LOWTIDE_FAILPOINTS": f"{point}=kill@1"})
    file_id = api.upload(numbered(mark, LINES))
    with contextlib.suppress(httpx.TransportError):
        api.create_raw(file_id, lowtide={"canary": N})
    api.server.wait_killed()
    sent = own_upstream.settled(mark)
    api.server.start()
    (batch,) = api.http.get("batches").json()["data"]
    seen = held(api, batch)
    assert seen["request_counts"]["completed"] == N
    if point != "journal.after_sync":
        assert own_upstream.sent(mark) == sent == N
    assert len(sent_lines(own_upstream, mark)) == N


@pytest.mark.parametrize(
    ("value", "code"), [(0, "integer_below_min_value"), ("5", "invalid_type"), (2.5, "invalid_type")]
)
def test_11_1_a_canary_is_a_number_from_1(api, value, code):
    response = api.create_raw(api.upload(numbered(fresh(), 1)), lowtide={"canary": value})
    check_error(response, api.profile, 400, code, "lowtide.canary")
