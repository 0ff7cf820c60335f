"""Several upstreams, and upstreams that misbehave: section 5 of the design, contract 8.2, 11.2, 13."""

import json
import time

import pytest
from support.jsonl import CHAT, body, fresh, line, numbered, raw_line
from support.upstream import Answer
from support.wire import wait_until


@pytest.fixture
def serve_list(serve, tmp_path):
    """serve_list([{"url": ..., ...}, ...], settings): a server with these upstreams, from a file."""

    def make(upstreams, settings=None, **more):
        path = tmp_path / "lowtide.yaml"
        path.write_text("upstreams: " + json.dumps(upstreams) + "\n")
        return serve(settings=settings, upstream=False, args=["--config", str(path)], **more)

    return make


def metrics_text(running=0, waiting=0):
    return (
        f'vllm:num_requests_running{{model_name="m-1"}} {running}\n'
        f'vllm:num_requests_waiting{{model_name="m-1"}} {waiting}\n'
        f'vllm:kv_cache_usage_perc{{model_name="m-1"}} 0.1\n'
    )


# ---- several ----


def test_a_model_of_two_upstreams_uses_both(serve, own_upstream, new_upstream):
    """Each as fast as it goes; `--upstream` may be given more than once."""
    other = new_upstream()
    api = serve(settings={"execution.concurrency": 4}, args=["--upstream", other.url])
    batch = api.run(numbered(fresh(), 200, "slow:0.01"))
    assert batch["request_counts"]["completed"] == 200
    assert own_upstream.sent() + other.sent() == 200
    assert min(own_upstream.sent(), other.sent()) > 50


def test_the_faster_upstream_gets_more(serve, own_upstream, new_upstream):
    other = new_upstream()
    api = serve(settings={"execution.concurrency": 2}, args=["--upstream", other.url])
    mark = fresh()
    for n in range(200):
        own_upstream.on(f"{mark}-{n}", Answer(delay=0.04))
        other.on(f"{mark}-{n}", Answer(delay=0.01))
    api.run(numbered(mark, 200))
    assert other.sent() > 2 * own_upstream.sent()


def test_models_go_where_they_are_served(serve_list, own_upstream, new_upstream):
    other = new_upstream()
    api = serve_list(
        [
            {"name": "a", "url": own_upstream.url, "models": ["m-1"]},
            {"name": "b", "url": other.url, "models": ["m-2"]},
        ]
    )
    one, two = fresh(), fresh()
    first = api.create(numbered(one, 20))
    second = api.create(numbered(two, 20, model="m-2"))
    api.wait(first, "completed")
    api.wait(second, "completed")
    assert own_upstream.sent(one) == 20 and other.sent(two) == 20
    assert own_upstream.sent(two) == 0 and other.sent(one) == 0


def test_a_slow_model_holds_up_no_other(serve_list, own_upstream, new_upstream):
    other = new_upstream()
    api = serve_list(
        [
            {"name": "a", "url": own_upstream.url, "models": ["m-1"]},
            {"name": "b", "url": other.url, "models": ["m-2"]},
        ]
    )
    stuck = fresh()
    held = api.create(numbered(stuck, 100, f"hold:{stuck}"))
    own_upstream.wait_sent(stuck, 1)
    api.run(numbered(fresh(), 50, model="m-2"))
    own_upstream.release(stuck)
    api.wait(held, "completed")


def test_two_models_share_an_upstream(serve, own_upstream):
    """Neither takes all the slots, whichever came first."""
    api = serve(settings={"execution.concurrency": 4})
    one, two = fresh(), fresh()
    first = api.create(numbered(one, 400, "slow:0.05"))
    own_upstream.wait_sent(one, 8)
    second = api.create(numbered(two, 400, "slow:0.05", model="m-2"))
    own_upstream.wait_sent(two, 4)
    began = own_upstream.sent(one), own_upstream.sent(two)
    time.sleep(2)
    grown = own_upstream.sent(one) - began[0], own_upstream.sent(two) - began[1]
    assert min(grown) > 0.6 * max(grown) > 10, grown
    for batch in (first, second):
        api.cancel(batch)
        api.wait(batch, "cancelled")


def test_13_online_does_not_wait_behind_lines(serve, own_upstream):
    """A fixed concurrency is of lines: online requests come on top."""
    api = serve(settings={"execution.concurrency": 2})
    mark = fresh()
    batch = api.create(numbered(mark, 4, f"hold:{mark}"))
    own_upstream.wait_sent(mark, 2)
    assert api.http.post("chat/completions", json=body("quick")).status_code == 200
    own_upstream.release(mark)
    api.wait(batch, "completed")


@pytest.mark.both_clients
def test_kept_connections_that_died_fail_no_line(serve, own_upstream):
    """When an upstream goes down all its kept connections are dead: a request is sent again on another one
    once, no more, so that they cost a line one attempt."""
    api = serve(settings={"execution.concurrency": 16, "execution.max_attempts": 3})
    batch = api.create(numbered(fresh(), 400, "slow:0.03"))
    api.wait(batch, lambda b: b["request_counts"]["completed"] > 50)
    own_upstream.stop()
    api.wait(batch, lambda b: b["lowtide"]["stall_reason"] == "upstream_down")
    time.sleep(1)
    own_upstream.start()
    batch = api.wait(batch, "completed")
    assert batch["request_counts"]["failed"] == 0


def test_one_upstream_down_the_other_does_the_work(serve, own_upstream, new_upstream):
    other = new_upstream()
    api = serve(settings={"execution.concurrency": 4, "execution.max_attempts": 1},
                args=["--upstream", other.url])  # fmt: skip
    own_upstream.stop()
    batch = api.create(numbered(fresh(), 100))
    batch = api.wait(batch, "completed")
    assert batch["request_counts"]["completed"] == 100 and other.sent() == 100
    assert batch["lowtide"]["stall_reason"] is None


def test_all_down_waits_and_goes_on_within_two_seconds(serve, own_upstream, new_upstream):
    other = new_upstream()
    api = serve(settings={"execution.concurrency": 4, "execution.max_attempts": 1},
                args=["--upstream", other.url])  # fmt: skip
    own_upstream.stop()
    other.stop()
    batch = api.create(numbered(fresh(), 40))
    api.wait(batch, lambda b: b["lowtide"]["stall_reason"] == "upstream_down")
    time.sleep(3)
    other.start()
    back = time.monotonic()
    other.wait_sent("", 1)
    assert other.requests[0].arrived - back <= 2
    batch = api.wait(batch, "completed")
    assert batch["request_counts"]["failed"] == 0


def test_weights_share_the_work(serve_list, own_upstream, new_upstream):
    """With room on both, by weight."""
    other = new_upstream()
    api = serve_list(
        [
            {"name": "a", "url": own_upstream.url, "weight": 3, "concurrency": 40},
            {"name": "b", "url": other.url, "weight": 1, "concurrency": 40},
        ]
    )
    mark = fresh()
    batch = api.create(numbered(mark, 40, f"hold:{mark}"))
    wait_until(lambda: own_upstream.in_flight + other.in_flight == 40, "all sent")
    assert own_upstream.in_flight == 30 and other.in_flight == 10
    own_upstream.release(mark)
    other.release(mark)
    api.wait(batch, "completed")


def test_requests_a_minute_are_kept(serve_list, own_upstream):
    """60 a minute: one a second, with no burst."""
    api = serve_list([{"url": own_upstream.url, "requests_per_minute": 60}])
    batch = api.create(numbered(fresh(), 50))
    time.sleep(4)
    assert 2 <= own_upstream.sent() <= 6
    api.cancel(batch)
    api.wait(batch, "cancelled")


def test_8_2_priority_is_added_where_configured(serve_list, own_upstream):
    """The one change to a body; a line's own `priority` stays, and comes last."""
    api = serve_list([{"url": own_upstream.url, "priority": -7}])
    mark = fresh()
    plain = json.dumps(body(mark)).encode()
    spaced = b'{ "model":"m-1", "messages":[{"role":"user","content":"' + mark.encode() + b's"}]}'
    own = json.dumps(body(mark + "o", priority=3)).encode()
    api.run([raw_line("1", plain), raw_line("2", spaced), raw_line("3", own)])
    assert own_upstream.of(mark)[0].body == b'{"priority":-7,' + plain[1:]
    assert own_upstream.of(mark + "s")[0].body == b'{"priority":-7,' + spaced[1:]
    sent = own_upstream.of(mark + "o")[0].body
    assert sent == b'{"priority":-7,' + own[1:] and json.loads(sent)["priority"] == 3


# ---- what they say of themselves ----


def test_13_models_of_all_upstreams_are_joined(serve, own_upstream, new_upstream):
    other = new_upstream()
    own_upstream.models = ["m-1", "org/shared"]
    other.models = ["org/shared", "m-2"]
    api = serve(args=["--upstream", other.url])

    def listed():
        data = api.http.get("models").json()
        assert data["object"] == "list"
        for one in data["data"]:
            assert set(one) == {"id", "object", "created", "owned_by"}, one
            assert one["object"] == "model" and type(one["created"]) is int
        return [one["id"] for one in data["data"]]

    wait_until(lambda: listed() == ["m-1", "m-2", "org/shared"], "both have been asked")
    assert {m.id for m in api.sdk.models.list()} == {"m-1", "m-2", "org/shared"}
    assert api.sdk.models.retrieve("m-1").id == "m-1"
    assert api.http.get("models/org/shared").json()["id"] == "org/shared"
    missing = api.http.get("models/none")
    assert missing.status_code == 404 and missing.json()["error"]["code"] == "model_not_found"


def test_reported_models_decide_where_lines_go(serve, own_upstream, new_upstream):
    """Without `models` in the configuration an upstream's own list counts."""
    other = new_upstream()
    own_upstream.models = ["m-1"]
    other.models = ["m-2"]
    api = serve(args=["--upstream", other.url])
    wait_until(lambda: len(api.http.get("models").json()["data"]) == 2, "both have been asked")
    one, two = fresh(), fresh()
    api.run(numbered(one, 10))
    api.run(numbered(two, 10, model="m-2"))
    assert (own_upstream.sent(one), other.sent(one)) == (10, 0)
    assert (own_upstream.sent(two), other.sent(two)) == (0, 10)


@pytest.mark.parametrize(
    "metrics",
    [
        {"text": metrics_text()},
        {"status": 404},
        {"status": 500, "text": "oops"},
        {"text": "\x00\xff rubbish {{{ 1 2 3\n" * 100},
        {"text": metrics_text("NaN", -1)},
        {"text": metrics_text(1e308, 1e308)},
        {"text": "x" * 6_000_000},
        {"delay": 30},
    ],
    ids=["fine", "404", "500", "rubbish", "nan", "huge numbers", "endless", "30 s"],
)
def test_metrics_of_any_kind_do_no_harm(serve, own_upstream, metrics):
    own_upstream.set_metrics(**metrics)
    api = serve()
    began = time.monotonic()
    batch = api.run(numbered(fresh(), 300, "slow:0.01"))
    assert batch["request_counts"]["completed"] == 300
    assert time.monotonic() - began < 45


def test_requests_waiting_in_the_engine_hold_lines_back(serve, own_upstream):
    """Its metrics say that requests wait: no more is put on top."""
    own_upstream.set_metrics(text=metrics_text(running=8, waiting=40))
    api = serve()
    batch = api.create(numbered(fresh(), 400, "slow:0.3"))
    own_upstream.wait_sent("", 1)
    time.sleep(2)
    seen = []
    for _ in range(30):
        seen.append(own_upstream.in_flight)
        time.sleep(0.05)
    assert 1 <= max(seen) <= 16, seen
    own_upstream.set_metrics(text=metrics_text(running=0, waiting=0))
    api.wait(batch, "completed")


# ---- faults ----


@pytest.mark.both_clients
def test_an_upstream_that_resets_every_connection(serve, own_upstream):
    """After a while it counts as down: lines wait and spend no attempts; then all of it runs."""
    mark = fresh()
    api = serve(settings={"execution.max_attempts": 6})
    own_upstream.everything = Answer(how="reset")
    batch = api.create(numbered(mark, 200))
    api.wait(batch, lambda b: b["lowtide"]["stall_reason"] == "upstream_down", seconds=30)
    time.sleep(2)
    own_upstream.everything = None
    batch = api.wait(batch, "completed")
    assert batch["request_counts"] == {"total": 200, "completed": 200, "failed": 0}


@pytest.mark.both_clients
def test_an_upstream_that_hangs(serve, own_upstream, new_upstream):
    """What it holds times out and goes to the other; the other is never held up."""
    other = new_upstream()
    own_upstream.everything = Answer(how="never")
    api = serve(settings={"execution.line_timeout": "2s"}, args=["--upstream", other.url])
    batch = api.run(numbered(fresh(), 300, "slow:0.005"))
    assert batch["request_counts"]["completed"] == 300
    own_upstream.everything = None


@pytest.mark.parametrize("retry_after", ["-5", "0", "junk", "31536000", "1e9", ""])
def test_a_lying_retry_after(serve, own_upstream, retry_after):
    """Negative or senseless: none at all. A year: a minute at most."""
    mark = fresh()
    answer = Answer(429, b'{"error":{}}', {"Retry-After": retry_after})
    own_upstream.on(f"{mark}-a", answer, Answer())
    api = serve(settings={"execution.max_attempts": 3})
    batch = api.create([line("a", f"{mark}-a"), *numbered(mark, 5)])
    if retry_after in ("31536000", "1e9"):
        own_upstream.wait_sent(f"{mark}-a", 1)
        time.sleep(1)
        assert api.get(batch["id"])["status"] == "in_progress"
        api.cancel(batch)
        api.wait(batch, "cancelled")
        return
    batch = api.wait(batch, "completed", seconds=30)
    assert batch["request_counts"]["completed"] == 6


def test_8_2_many_refusals_fail_no_line(serve, own_upstream):
    """Three in ten answers are 429 with Retry-After: no line fails, none is sent in a pause."""
    mark = fresh()
    lines = []
    for n in range(60):
        script = "429:1 then ok" if n % 3 == 0 else "ok"
        lines.append(line(f"{mark}-{n}", f"{mark}-{n} | {script}"))
    api = serve(settings={"execution.max_attempts": 1})
    batch = api.run(lines)
    assert batch["request_counts"] == {"total": 60, "completed": 60, "failed": 0}
    refused = [r for r in own_upstream.requests if r.status == 429]
    for one in refused:
        inside = [r for r in own_upstream.requests
                  if one.answered + 0.1 < r.arrived < one.answered + 0.9]  # fmt: skip
        assert not inside, "a line was sent in a pause"


# ---- shown ----


def test_13_metrics_and_scheduling_tell_of_upstreams(serve, own_upstream):
    api = serve()
    api.run(numbered(fresh(), 100))
    key = {"Authorization": f"Bearer {api.server.operator_key()}"}
    text = api.http.get(f"{api.server.url}/metrics", headers=key).text
    assert 'lowtide_upstream_up{upstream="default"} 1' in text
    assert 'lowtide_upstream_answers_total{upstream="default",result="2xx"} 100' in text
    assert 'lowtide_concurrency_limit{upstream="default",model="m-1"}' in text
    shown = api.http.get("lowtide/scheduling", headers=key).json()
    (upstream,) = shown["upstreams"]
    (lane,) = upstream["lanes"]
    assert upstream["state"] == "flows" and lane["model"] == "m-1"
    assert lane["concurrency_limit"] >= 1 and lane["reason"] and lane["decisions"]
    assert own_upstream.url not in json.dumps(shown)


def test_the_concurrency_limit_is_found(serve, own_upstream):
    """No setting: it starts low and grows while that brings more."""
    api = serve()
    mark = fresh()
    batch = api.create(numbered(mark, 3000, "slow:0.05"))
    wait_until(lambda: own_upstream.in_flight >= 16, "it grows")
    first = own_upstream.requests[:4]
    assert own_upstream.requests[4].arrived >= min(r.arrived for r in first) + 0.045
    api.cancel(batch)
    api.wait(batch, "cancelled")


def test_max_concurrency_is_never_passed(serve, own_upstream):
    api = serve(settings={"execution.max_concurrency": 6})
    batch = api.run(numbered(fresh(), 400, "slow:0.01"))
    assert batch["request_counts"]["completed"] == 400
    assert own_upstream.peak <= 6


@pytest.mark.both_clients
def test_endpoint_path(own_upstream, serve):
    api = serve()
    api.run(numbered(fresh(), 1))
    assert own_upstream.requests[0].path == CHAT
