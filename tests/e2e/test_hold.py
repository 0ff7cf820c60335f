"""A batch is held and resumed (contract 11.3): no new lines are sent, those in flight end; durable."""

import contextlib

import httpx
import pytest
from support.api import check_error
from support.jsonl import fresh, numbered
from support.wire import wait_until

SLOTS = 4


@pytest.fixture
def make(serve):
    """make(profile, **env of the start): an Api on a server with SLOTS slots."""

    def made(profile="kimi", env=None, **settings):
        settings = {"execution.concurrency": SLOTS, **settings}
        api = serve(profile, {k.replace("__", "."): v for k, v in settings.items()}, start=False)
        api.server.start(env)
        return api

    return made


def call(api, batch, verb):
    """By the official client, which has no such call of its own."""
    answer = api.sdk.post(f"/batches/{batch['id']}/{verb}", cast_to=object)
    return api.watch.see(answer)


def started(api, upstream, mark, count=20, **more):
    """A batch of whose lines SLOTS are in flight, until release(mark)."""
    batch = api.create(numbered(mark, count, f"hold:{mark}"), **more)
    upstream.wait_sent(mark, SLOTS)
    return batch


def held(api, batch):
    """Nothing is in flight any more, and nothing is sent: looked at again and again."""
    seen = api.wait(batch, lambda b: b["lowtide"]["running"] == 0)
    assert seen["status"] == "in_progress", seen
    assert seen["lowtide"]["stall_reason"] == "held", seen
    assert "until it is resumed" in seen["lowtide"]["stall_message"], seen
    return seen


@pytest.mark.parametrize("profile", ["kimi", "openai"])
def test_11_3_held_and_resumed(make, own_upstream, profile):
    api, mark = make(profile), fresh()
    batch = started(api, own_upstream, mark)
    assert call(api, batch, "hold")["lowtide"]["stall_reason"] == "held"
    own_upstream.release(mark)  # those in flight end
    seen = held(api, batch)
    assert seen["request_counts"]["completed"] == SLOTS
    assert seen["lowtide"]["pending"] == 16
    again = call(api, batch, "hold")  # 200, unchanged
    assert again["lowtide"]["stall_message"] == seen["lowtide"]["stall_message"]
    # whatever else the upstream is asked for meanwhile, no line of the batch is
    api.run(numbered(fresh(), 50))
    assert own_upstream.sent(mark) == SLOTS
    seen = wait_until(
        lambda: (b := api.get(batch["id"])) and b["lowtide"]["eta_at"] is None and b, "no end is known"
    )
    goes_on = call(api, batch, "resume")
    assert goes_on["lowtide"]["stall_reason"] is None, goes_on
    done = api.wait(batch, "completed")
    assert done["request_counts"] == {"total": 20, "completed": 20, "failed": 0}
    assert own_upstream.sent(mark) == 20
    assert f"batch={batch['id']}" in api.server.log()
    for event in ("batch.hold_asked", "batch.resume_asked"):
        assert api.server.log().count(event) == 1, "once a change, with who asked"


def test_11_3_resuming_what_is_not_held_changes_nothing(make, own_upstream):
    api, mark = make(), fresh()
    batch = started(api, own_upstream, mark)
    before = api.get(batch["id"])
    after = call(api, batch, "resume")
    for seen in (before, after):  # numbers of the moment
        seen["lowtide"].pop("eta_at"), seen["lowtide"].pop("rate_per_s")
    assert before == after
    own_upstream.release(mark)
    api.wait(batch, "completed")


def test_11_3_a_final_batch_is_refused_as_cancel_is(api):
    batch = api.run(numbered(fresh(), 1))
    for verb in ("hold", "resume"):
        response = api.http.post(f"batches/{batch['id']}/{verb}")
        message = f"Cannot {verb} a batch with status 'completed'."
        check_error(response, api.profile, 409 if api.profile == "openai" else 400, message=message)
        if api.profile == "openai":
            assert response.headers["x-should-retry"] == "false"


@pytest.mark.parametrize("verb", ["hold", "resume"])
@pytest.mark.parametrize("body", ["{", "[]", "1"])
def test_11_3_a_body_that_is_no_object_is_refused(make, own_upstream, verb, body):
    api, mark = make(), fresh()
    batch = started(api, own_upstream, mark)
    response = api.http.post(f"batches/{batch['id']}/{verb}", content=body)
    check_error(response, api.profile, 400, message="We could not parse the JSON body of your request.")
    assert api.get(batch["id"])["lowtide"]["stall_reason"] is None


def test_11_3_a_held_batch_can_be_cancelled(make, own_upstream):
    api, mark = make(), fresh()
    batch = started(api, own_upstream, mark)
    call(api, batch, "hold")
    own_upstream.release(mark)
    held(api, batch)
    api.cancel(batch)
    done = api.wait(batch, "cancelled")
    output, error = api.results(done)
    assert len(output) == SLOTS and {one["error"]["code"] for one in error.values()} == {
        "batch_cancelled"
    }


def test_11_3_the_window_of_a_held_batch_does_not_stop(make, own_upstream):
    api, mark = make(limits__window_min="1s"), fresh()
    batch = started(api, own_upstream, mark, completion_window="5s")
    call(api, batch, "hold")
    own_upstream.release(mark)
    done = api.wait(batch, "expired")
    assert done["request_counts"]["completed"] == SLOTS
    assert done["lowtide"]["expired"] == 20 - SLOTS


def test_11_3_a_held_batch_gives_up_its_place(make, own_upstream):
    """11.2: queue_position of others, and their share."""
    api, mark, other = make(), fresh(), fresh()
    first = started(api, own_upstream, mark)
    second = api.create(numbered(other, 40, f"hold:{other}"), completion_window="3d")
    api.wait(second, lambda b: b["lowtide"]["queue_position"] == 1)
    call(api, first, "hold")
    own_upstream.release(mark)
    own_upstream.wait_sent(other, SLOTS)
    api.wait(second, lambda b: b["lowtide"]["queue_position"] == 0)
    held(api, first)
    own_upstream.release(other)
    api.wait(second, "completed")
    call(api, first, "resume")
    api.wait(first, "completed")
    assert own_upstream.sent(mark) == 20


def test_11_3_a_held_batch_stays_held_across_kill_and_restart(make, own_upstream):
    api, mark = make(), fresh()
    batch = started(api, own_upstream, mark)
    call(api, batch, "hold")
    own_upstream.release(mark)
    held(api, batch)
    for stop in (api.server.kill, api.server.stop):
        stop()
        api.server.start()
        assert held(api, batch)["request_counts"]["completed"] == SLOTS
        api.run(numbered(fresh(), 10))
    assert own_upstream.sent(mark) == SLOTS
    call(api, batch, "resume")
    api.wait(batch, "completed")
    assert own_upstream.sent(mark) == 20


@pytest.mark.parametrize("point", ["batch.before_hold", "batch.after_hold"])
@pytest.mark.parametrize("nth", [1, 2])
def test_11_3_killed_while_it_is_held_or_resumed(make, own_upstream, failpoints, point, nth):
    """The change is there whole, or not at all: asked again, it is as it was asked."""
    api, mark = make(env={"LOWTIDE_FAILPOINTS": f"{point}=kill@{nth}"}), fresh()
    batch = started(api, own_upstream, mark)
    verb = "hold" if nth == 1 else "resume"
    if verb == "resume":
        call(api, batch, "hold")
        own_upstream.release(mark)
        held(api, batch)
    with contextlib.suppress(httpx.TransportError):
        api.http.post(f"batches/{batch['id']}/{verb}")
    api.server.wait_killed()
    own_upstream.release(mark)
    sent = own_upstream.settled(mark)
    api.server.start()
    done = point == "batch.after_hold"
    if (verb == "hold") == done:
        held(api, batch)
        api.run(numbered(fresh(), 10))
        assert own_upstream.sent(mark) == sent, "a held batch sends nothing"
        call(api, batch, "resume")
    batch = api.wait(batch, "completed")
    assert batch["request_counts"]["completed"] == 20
    assert own_upstream.sent(mark) <= 20 + SLOTS
