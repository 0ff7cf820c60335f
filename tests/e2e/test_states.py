"""Contract 6: states, cancel, expiry."""

import time

import pytest
from support.api import check_error
from support.jsonl import fresh, line, numbered
from support.rows import change_rows

CANCELLED = "This request was not executed because the batch was cancelled."
EXPIRED = "This request could not be executed before the completion window expired."


def mixed(mark, done=3, failed=2, held=5):
    """Lines that end well, end badly, and do not end, in turn; and their custom_ids."""
    scripts = ["ok"] * done + ["status:400"] * failed + [f"hold:{mark}"] * held
    lines = [line(f"{mark}-{n}", f"{mark}-{n} | {script}") for n, script in enumerate(scripts)]
    ids = [f"{mark}-{n}" for n in range(len(lines))]
    return lines, ids[:done], ids[done : done + failed], ids[done + failed :]


def counted(completed, failed):
    def so(batch):
        counts = batch["request_counts"]
        return (counts["completed"], counts["failed"]) == (completed, failed)

    return so


def refused(api, batch):
    response = api.http.post(f"batches/{batch['id']}/cancel")
    status = 400 if api.profile == "kimi" else 409
    message = f"Cannot cancel a batch with status '{batch['status']}'."
    check_error(response, api.profile, status, message=message)
    if api.profile == "openai":
        assert response.headers["x-should-retry"] == "false"
    assert api.get(batch["id"]) == batch


def test_6_completed(api):
    batch = api.run(numbered(fresh(), 3))
    assert batch["request_counts"] == {"total": 3, "completed": 3, "failed": 0}
    assert batch["error_file_id"] is None
    refused(api, batch)


def test_6_completed_also_when_every_line_failed(api):
    """16.8"""
    batch = api.run(numbered(fresh(), 4, "status:422"))
    assert batch["request_counts"] == {"total": 4, "completed": 0, "failed": 4}
    assert batch["output_file_id"] is None
    assert len(api.results(batch)[1]) == 4


def test_6_failed(api):
    batch = api.run([b"{"], until="failed")
    refused(api, batch)


def test_6_states_as_they_pass(api, upstream):
    """validating, in_progress, completed are seen; counts move while it runs (8.1)."""
    mark = fresh()
    lines, done, failed, held = mixed(mark)
    batch = api.create(lines)
    seen = api.wait(batch, counted(3, 2))
    assert seen["status"] == "in_progress" and seen["request_counts"]["total"] == 10
    assert seen["lowtide"]["running"] == 5 and seen["lowtide"]["pending"] == 0
    assert seen["output_file_id"] is None and seen["error_file_id"] is None
    assert seen["usage"]["output_tokens"] == 9
    upstream.release(mark)
    output, error = api.results(api.wait(batch, "completed"))
    assert set(output) == set(done + held) and set(error) == set(failed)


# ---- cancel ----


@pytest.mark.parametrize("form", ["empty", "object", "json null", "curl"])
def test_5_cancel_with_no_body_or_an_empty_object(api, form):
    batch = api.create(numbered(fresh(), 2, "never"))
    send = {
        "empty": {},
        "object": {"json": {}},
        "json null": {"content": b"", "headers": {"Content-Type": "application/json"}},
        "curl": {
            "content": b"{}",
            "headers": {"Content-Type": "application/x-www-form-urlencoded"},
        },
    }[form]
    response = api.http.post(f"batches/{batch['id']}/cancel", **send)
    assert response.status_code == 200, response.text
    assert response.json()["status"] in ("cancelling", "cancelled")
    api.wait(batch, "cancelled")


def test_16_18_cancel_in_progress_keeps_what_was_done(api, upstream):
    mark = fresh()
    lines, done, failed, held = mixed(mark, held=60)  # more than are in flight
    batch = api.create(lines)
    api.wait(batch, counted(3, 2))
    upstream.wait_sent(mark, 35)  # 32 in flight, 2 of them long done
    began = time.monotonic()
    answer = api.cancel(batch)
    assert answer["status"] in ("cancelling", "cancelled") and answer["cancelling_at"]
    batch = api.wait(batch, "cancelled", seconds=20)
    assert time.monotonic() - began < 10  # the promise is "seconds"; this is a busy machine
    upstream.wait_dropped(mark, 30, seconds=10)  # 32 in flight, 2 of them long done
    assert batch["request_counts"] == {"total": 65, "completed": 3, "failed": 2}
    assert batch["lowtide"]["cancelled"] == 60
    assert batch["finalizing_at"] is None and batch["completed_at"] is None
    output, error = api.results(batch)
    assert set(output) == set(done) and set(error) == set(failed + held)
    for custom_id in held:
        assert error[custom_id]["response"] is None
        assert error[custom_id]["error"] == {"code": "batch_cancelled", "message": CANCELLED}
    sent = upstream.sent(mark)
    assert api.cancel(batch) == batch  # again: unchanged
    assert upstream.sent(mark) == sent


def test_16_18_cancel_while_cancelling(api):
    """Whenever the second comes, it answers 200 and changes nothing."""
    batch = api.create(numbered(fresh(), 200, "never"))
    api.wait(batch, "in_progress")
    first = api.cancel(batch)
    for _ in range(5):
        again = api.cancel(batch)
        assert again["cancelling_at"] == first["cancelling_at"]
    api.wait(batch, "cancelled")


def test_16_18_cancel_right_after_create(api, upstream):
    """From `validating`, or from wherever it has come in the meantime."""
    for _ in range(15):
        mark = fresh()
        batch = api.create(numbered(mark, 5, "never"))
        assert api.cancel(batch)["status"] in ("cancelling", "cancelled")
        batch = api.wait(batch, "cancelled")
        assert batch["cancelled_at"] >= batch["cancelling_at"]
        if batch["in_progress_at"] is None:
            assert batch["request_counts"]["total"] == 0
            assert batch["error_file_id"] is None and upstream.counts(mark) == {}
        else:
            assert len(api.results(batch)[1]) == 5


def test_16_18_cancel_near_the_end(api):
    """`finalizing` may be cancelled; whatever the moment, an edge of section 6."""
    for n in range(12):
        batch = api.create(numbered(fresh(), 40))
        if n % 3:
            api.wait(batch, lambda b, n=n: b["request_counts"]["completed"] > 10 * (n % 4))
        response = api.http.post(f"batches/{batch['id']}/cancel")
        if response.status_code == 200:
            api.watch.see(response.json())
            batch = api.wait(batch, "cancelled")
        else:
            batch = api.get(batch["id"])
            assert batch["status"] == "completed"
            refused(api, batch)
        if batch["request_counts"]["total"]:
            api.results(batch)


def test_6_cancel_of_lines_that_wait_for_a_retry(api):
    mark = fresh()
    with api.well():
        batch = api.create(numbered(mark, 4, "status:500"))
        api.wait(batch, lambda b: b["lowtide"]["retried"] >= 1)
        api.cancel(batch)
        batch = api.wait(batch, "cancelled", seconds=20)
    assert len(api.results(batch)[1]) == 4


# ---- expiry ----


def test_16_19_expired(quick, upstream):
    api, mark = quick, fresh()
    lines, done, failed, held = mixed(mark, held=60)
    batch = api.create(lines, completion_window="3s")
    api.wait(batch, counted(3, 2))
    batch = api.wait(batch, "expired", seconds=30)
    assert batch["expired_at"] >= batch["expires_at"]
    assert batch["expired_at"] - batch["expires_at"] <= 10
    assert batch["finalizing_at"] is None and batch["completed_at"] is None
    assert batch["request_counts"] == {"total": 65, "completed": 3, "failed": 2}
    assert batch["lowtide"]["expired"] == 60
    upstream.wait_dropped(mark, 32, seconds=10)
    output, error = api.results(batch)
    assert set(output) == set(done) and set(error) == set(failed + held)
    for custom_id in held:
        assert error[custom_id]["response"] is None
        assert error[custom_id]["error"] == {"code": "batch_expired", "message": EXPIRED}
    refused(api, batch)
    sent = upstream.sent(mark)
    upstream.release(mark)
    api.run(numbered(fresh(), 3))  # the server goes on
    assert upstream.sent(mark) == sent


def test_8_2_retries_end_with_the_window(quick, upstream):
    api, mark = quick, fresh()
    batch = api.create(numbered(mark, 2, "503:30"), completion_window="2s")
    batch = api.wait(batch, "expired", seconds=30)
    _, error = api.results(batch)
    assert {one["error"]["code"] for one in error.values()} == {"batch_expired"}


@pytest.mark.meta_db
def test_16_18_cancel_of_an_expired_batch(serve, own_upstream, profile):
    """Over while the server was down: expired at the next start."""
    api = serve(profile)
    mark = fresh()
    lines, done, failed, held = mixed(mark)
    batch = api.create(lines)
    api.wait(batch, counted(3, 2))
    api.server.stop()
    past = int(time.time()) - 100
    change_rows(api.server.data, [batch["id"]], created_at=past - 86400, expires_at=past)
    own_upstream.release(mark)
    sent = own_upstream.sent(mark)
    api.watch.last.clear()
    api.server.start()
    batch = api.wait(batch["id"], "expired", seconds=30)
    assert own_upstream.sent(mark) == sent, "sent after the window"
    output, error = api.results(batch)
    assert set(output) == set(done) and set(error) == set(failed + held)
    refused(api, batch)
