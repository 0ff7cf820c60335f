"""A batch whose lines name several models: `lowtide.mixed_models` (contract 11.1, 5.3, 7.1, 7.2)."""

import contextlib
import json
import re

import httpx
import pytest
from support.api import output_text
from support.jsonl import CHAT, fresh, line, numbered, raw_line

MIXED = {"lowtide": {"mixed_models": True}}
MODELS_MAX = 64  # BATCH_MODELS_MAX, batch/options.h


def mixed(mark, count, script="", models=("m-1", "m-2", "m-3")):
    """Lines PREFIX-N, each of the next of the models."""
    tail = f" | {script}" if script else ""
    return [
        line(f"{mark}-{n}", f"{mark}-{n}{tail}", model=models[n % len(models)])
        for n in range(count)
    ]


@pytest.fixture
def two(serve, own_upstream, new_upstream, tmp_path):
    """two(settings): a server with an upstream for m-1 and another for m-2; both follow."""

    def make(settings=None, **more):
        other = new_upstream()
        path = tmp_path / "lowtide.yaml"
        upstreams = [
            {"name": "a", "url": own_upstream.url, "models": ["m-1"]},
            {"name": "b", "url": other.url, "models": ["m-2"]},
        ]
        path.write_text("upstreams: " + json.dumps(upstreams) + "\n")
        args = ["--config", str(path)]
        api = serve(settings=settings, upstream=False, args=args, **more)
        return api, own_upstream, other

    return make


def test_11_1_lines_may_name_several_models(api, upstream):
    mark = fresh()
    batch = api.sdk.batches.create(
        input_file_id=api.upload(mixed(mark, 60)),
        endpoint=CHAT,
        completion_window="24h",
        extra_body=MIXED,
    )
    batch = api.wait(batch.id, "completed")
    assert batch["request_counts"] == {"total": 60, "completed": 60, "failed": 0}
    assert batch["model"] is None  # 5.3
    assert batch["usage"]["total_tokens"] == 600
    output, error = api.results(batch)
    assert list(output) == [f"{mark}-{n}" for n in range(60)] and not error
    for n, one in enumerate(output.values()):
        assert output_text(one) == f"echo {mark}-{n}"
        assert one["response"]["body"]["model"] == f"m-{n % 3 + 1}"
    assert upstream.counts(mark) == {f"{mark}-{n}": 1 for n in range(60)}


def test_7_1_without_it_all_lines_name_one_model(api):
    mark = fresh()
    batch = api.run(mixed(mark, 2), "failed", lowtide={"mixed_models": False})
    assert api.errors(batch) == [("mismatched_model", "body.model", 2)]


def test_11_1_one_model_is_shown(api):
    batch = api.run(numbered(fresh(), 3), **MIXED)
    assert batch["model"] == "m-1"


def test_11_1_each_model_goes_where_it_is_served(two):
    api, one, other = two()
    mark = fresh()
    api.run(mixed(mark, 40, models=("m-1", "m-2")), **MIXED)
    assert set(one.counts(mark)) == {f"{mark}-{n}" for n in range(0, 40, 2)}
    assert set(other.counts(mark)) == {f"{mark}-{n}" for n in range(1, 40, 2)}


def test_11_1_a_slow_model_holds_up_only_its_own_lines(two):
    api, one, other = two({"execution.concurrency": 2})
    mark = fresh()
    slow, quick = f"{mark}-slow", f"{mark}-quick"
    lines = [
        pair
        for n in range(3000)
        for pair in (
            line(f"{quick}-{n}", f"{quick}-{n}", model="m-1"),
            *([line(f"{slow}-{n}", f"{slow}-{n} | hold:{mark}", model="m-2")] if n < 8 else []),
        )
    ]
    batch = api.create(lines, **MIXED)
    seen = api.wait(batch, lambda seen: seen["request_counts"]["completed"] == 3000)
    assert seen["status"] == "in_progress"
    assert seen["lowtide"]["running"] == 2 and seen["lowtide"]["pending"] == 6
    other.release(mark)
    batch = api.wait(batch, "completed")
    assert list(api.results(batch)[0]) == [json.loads(one)["custom_id"] for one in lines]
    assert one.sent(mark) == 3000 and other.sent(mark) == 8


def test_11_2_a_model_whose_upstream_is_down_stalls_the_batch_when_it_is_all_that_is_left(two):
    api, one, other = two()
    mark = fresh()
    other.stop()
    batch = api.create(mixed(mark, 40, models=("m-1", "m-2")), **MIXED)
    seen = api.wait(batch, lambda seen: seen["lowtide"]["stall_reason"] is not None)
    assert seen["lowtide"]["stall_reason"] == "upstream_down"
    assert seen["lowtide"]["stall_message"].startswith("model 'm-2': ")
    api.wait(batch, lambda seen: seen["request_counts"]["completed"] == 20)
    assert one.sent(mark) == 20
    other.start()
    assert api.wait(batch, "completed")["request_counts"]["completed"] == 40


def test_7_2_a_model_that_no_upstream_serves_is_found_at_validation(two):
    api, one, other = two()
    mark = fresh()
    lines = mixed(mark, 5)
    batch = api.run(lines, "failed", **MIXED)
    assert api.errors(batch) == [("model_not_found", "body.model", 3)]
    skips = {"lowtide": {"mixed_models": True, "on_invalid_line": "skip"}}
    batch = api.run(lines, **skips)
    assert batch["request_counts"] == {"total": 5, "completed": 4, "failed": 1}
    (error,) = api.lines(batch["error_file_id"])
    assert (error["custom_id"], error["error"]["code"]) == (f"{mark}-2", "model_not_found")
    assert one.sent(mark) == 2 and other.sent(mark) == 2


def test_11_1_the_number_of_models_is_bounded(api):
    mark = fresh()
    most = [line(f"{mark}-{n}", f"{mark}-{n}", model=f"x-{n}") for n in range(MODELS_MAX + 2)]
    batch = api.run(most, "failed", **MIXED)
    assert api.errors(batch) == [
        ("too_many_models", "body.model", MODELS_MAX + 1),
        ("too_many_models", "body.model", MODELS_MAX + 2),
    ]
    assert "64 models" in batch["errors"]["data"][0]["message"]
    batch = api.run(most[:MODELS_MAX], **MIXED)
    assert batch["request_counts"]["completed"] == MODELS_MAX


def test_11_2_top_errors_are_of_the_whole(api):
    mark = fresh()
    lines = mixed(mark, 9, "status:404", models=("m-1",)) + mixed(
        mark + "b", 6, "status:422", models=("m-2", "m-3")
    )
    with api.well("m-1"), api.well("m-2"), api.well("m-3"):
        batch = api.run([*numbered(mark + "w", 3), *lines], **MIXED)
    assert batch["request_counts"] == {"total": 18, "completed": 3, "failed": 15}
    assert batch["lowtide"]["top_errors"] == [
        {"code": "404", "count": 9, "example_line": 4},
        {"code": "422", "count": 6, "example_line": 13},
    ]


def test_prefixes_of_each_model_follow_each_other(two):
    """Lines of two models and of shuffled prefixes: each model's prefixes stay together."""
    api, one, other = two({"execution.concurrency": 1})
    mark, lines = fresh(), []
    for n in range(120):
        prefix = f"document {n * 7 % 6} " * 200
        messages = [
            {"role": "system", "content": prefix},
            {"role": "user", "content": f"{mark}-{n} | slow:0.002"},
        ]
        model = "m-1" if n % 2 else "m-2"
        text = json.dumps({"model": model, "messages": messages}).encode()
        lines.append(raw_line(f"{mark}-{n}", text))
    batch = api.run(lines, **MIXED)
    assert list(api.results(batch)[0]) == [f"{mark}-{n}" for n in range(120)]
    for upstream in (one, other):
        order = [json.loads(r.body)["messages"][0]["content"] for r in upstream.requests]
        assert len(order) == 60
        changes = sum(a != b for a, b in zip(order, order[1:], strict=False))
        assert changes <= 20, f"{changes} changes of prefix in 60 lines"


def test_11_1_a_cancel_drops_the_lines_of_every_model(api, upstream):
    mark = fresh()
    batch = api.create(mixed(mark, 12, f"hold:{mark}"), **MIXED)
    api.wait(batch, lambda seen: seen["lowtide"]["running"] == 12)
    api.cancel(batch)
    batch = api.wait(batch, "cancelled")
    assert batch["lowtide"]["cancelled"] == 12
    upstream.wait_dropped(mark, 12)
    upstream.release(mark)


# ---- beside the other options of 11.1 ----


def options(**more):
    return {"lowtide": {"mixed_models": True, **more}}


def test_11_1_a_canary_of_several_models(api, upstream):
    batch = api.create(mixed(fresh(), 30), **options(canary=6))
    batch = api.wait(batch, lambda seen: seen["lowtide"]["stall_reason"] == "held")
    assert batch["request_counts"]["completed"] == 6
    assert api.http.post(f"batches/{batch['id']}/resume").status_code == 200
    assert api.wait(batch, "completed")["request_counts"]["completed"] == 30


def test_11_1_a_budget_of_several_models_and_a_retry_of_the_rest(api, upstream):
    batch = api.run(mixed(fresh(), 300), **options(token_budget=600))
    done = batch["request_counts"]["completed"]
    assert 0 < done < 300
    response = api.http.post(f"batches/{batch['id']}/retry", json=options())
    child = api.wait(api.created(response.json()), "completed")
    assert child["request_counts"]["completed"] == 300 - done


def test_11_1_an_override_makes_one_model_of_several(api, upstream):
    batch = api.run(mixed(fresh(), 12), **options(override={"model": "m-9"}))
    assert batch["request_counts"]["completed"] == 12 and batch["model"] == "m-9"


# ---- kill -9 ----


@pytest.mark.parametrize(
    "name",
    ["batch.before_in_progress", "journal.torn_write", "journal.after_sync",
     "results.after_commit", "batch.before_final"],
)  # fmt: skip
def test_16_9_killed_while_several_models_run(serve, own_upstream, failpoints, name):
    api, mark = serve(settings={"execution.concurrency": 8}, start=False), fresh()
    api.server.start(env={"LOWTIDE_FAILPOINTS": f"{name}=kill@1"})
    count = 1500
    with contextlib.suppress(httpx.TransportError):
        api.create(mixed(mark, count), **MIXED)
    api.server.wait_killed()
    sent = own_upstream.settled(mark)
    api.server.start()
    (batch,) = api.http.get("batches").json()["data"]
    batch = api.wait(batch["id"], "completed", seconds=120)
    assert batch["request_counts"] == {"total": count, "completed": count, "failed": 0}
    output, error = api.results(batch)
    assert list(output) == [f"{mark}-{n}" for n in range(count)] and not error
    said = re.search(r"batch\.started .*ended_before=(\d+)", api.server.log())
    ended = int(said[1]) if said else count
    again = own_upstream.sent(mark) - count
    assert 0 <= again <= min(sent - ended if said else 0, 1024 + 8), (sent, ended)
    if name in ("results.after_commit", "batch.before_final"):
        assert ended >= 1024
