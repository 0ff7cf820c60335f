"""GET /v1/lowtide/history: lines and tokens a second and times to the first token, of whom they are, and after
a restart; and GET /v1/batches/{id}/lines, weights and limits over HTTP: what the console's pages ask for."""

import json
import random
import time
from pathlib import Path

import httpx
import pytest
from support.api import Api, check_error
from support.jsonl import fresh, line
from support.wire import wait_until

SPANS = {"hour": (10, 360), "day": (300, 288)}
NAMES = {"lines_per_s": "lines/s", "tokens_per_s": "tokens/s", "online_first_token_ms": "ms"}


def history(api, **query):
    answer = api.http.get("lowtide/history", params=query)
    assert answer.status_code == 200, answer.text
    page = answer.json()
    assert set(page) == {"object", "span", "step_s", "from", "series"} and page["object"] == "history"
    step_s, steps = SPANS[page["span"]]
    assert page["span"] == query.get("span", "hour") and page["step_s"] == step_s
    assert {one["name"]: one["unit"] for one in page["series"]} == NAMES
    assert all(len(one["values"]) == steps for one in page["series"])
    end = page["from"] + step_s * steps
    assert time.time() - 15 <= end <= time.time() + step_s + 2
    return {one["name"]: one["values"] for one in page["series"]} | {"step_s": step_s}


def ended(api, **query):
    """How many lines it says have ended (the newest step of a day may not be over)."""
    page = history(api, **query)
    return round(sum((value or 0) * page["step_s"] for value in page["lines_per_s"]))


def seen(api, n, **query):
    """Waits until so many lines are in the hour: a step is 10 s."""
    wait_until(lambda: ended(api, **query) >= n, f"{n} lines in the history of {query}", 25)
    assert ended(api, **query) == n


def test_lines_tokens_and_first_tokens_are_of_their_organization_and_kept(serve, on_server, profile):
    api = serve(profile)
    boss, other = Api(api.server, api.server.operator_key()), Api(api.server, api.server.new_key("other"))
    assert ended(api) == ended(other) == ended(boss) == 0
    api.run([line(str(n), f"{fresh()}") for n in range(30)])
    other.run([line(str(n), f"{fresh()}") for n in range(7)])
    body = {"model": "m-1", "stream": True, "messages": [{"role": "user", "content": fresh()}]}
    with api.http.stream("POST", "chat/completions", json=body) as answer:
        assert answer.status_code == 200 and "event-stream" in answer.headers["content-type"]
        answer.read()
    assert api.http.post("chat/completions", json={**body, "stream": False}).status_code == 200
    seen(api, 30)
    seen(other, 7)
    seen(boss, 37)
    seen(boss, 7, org="other")
    page = history(api)
    assert sum(value or 0 for value in page["tokens_per_s"]) > 0
    first = [value for value in page["online_first_token_ms"] if value is not None]
    assert len(first) == 1 and 0 < first[0] < 20000
    assert not [value for value in history(other)["online_first_token_ms"] if value is not None]
    day = history(boss, span="day")
    assert [value for value in day["lines_per_s"] if value] and len(day["lines_per_s"]) == 288
    assert ended(api, org="other") == 30  # another's name gains nothing

    for one in (boss, other):
        one.close()
    api.server.restart()
    assert ended(api) == 30
    boss = Api(api.server, api.server.operator_key())
    assert ended(boss, org="other") == 7
    boss.close()


def test_a_damaged_history_is_begun_anew(serve):
    api = serve("kimi")
    api.run([line("a", fresh())])
    seen(api, 1)
    api.server.stop()
    path = api.server.data / "history"
    path.write_bytes(path.read_bytes()[:5000])
    api.server.start()
    assert ended(api) == 0 and "history.begun_anew" in api.server.log()
    api.server.stop()
    assert len(path.read_bytes()) > 5000


@pytest.mark.parametrize("span", ["", "week", "HOUR", "hour,day", "1", "\u00e9", "a" * 5000])
def test_other_spans_are_refused(api, span):
    check_error(api.http.get("lowtide/history", params={"span": span}), api.profile, 400, "invalid_value", "span")


def test_history_of_nobody(api, on_server):
    boss = on_server(api.server, api.server.operator_key())
    check_error(boss.http.get("lowtide/history", params={"org": "nobody " + fresh()}), api.profile, 404, param="org")
    with httpx.Client(base_url=api.server.base_url + "/", trust_env=False) as bare:
        assert bare.get("lowtide/history").status_code == 401


# ---- the rate of one batch ----


def rate_of(api, batch, **query):
    answer = api.http.get("lowtide/history", params={"batch": batch["id"], **query})
    assert answer.status_code == 200, answer.text
    page = answer.json()
    (series,) = page["series"]
    assert page["span"] == "batch" and series["name"] == "lines_per_s" and len(series["values"]) < 240
    assert time.time() - 90 <= page["from"] <= time.time()
    return page["step_s"], series["values"]


def test_the_rate_of_a_batch_since_its_first_line(api, on_server):
    held = fresh()
    batch = api.create([line(str(n), fresh()) for n in range(50)] + [line("last", f"{held} | hold:{held}")])
    api.wait(batch, lambda b: b["request_counts"]["completed"] == 50)

    def all_of_it():
        step_s, values = rate_of(api, batch)
        return step_s == 1 and sum(values) == 50

    wait_until(all_of_it, "the second in which the lines ended to be over")
    boss, other = on_server(api.server, api.server.operator_key()), on_server(api.server)
    assert sum(rate_of(boss, batch)[1]) == 50
    path = "lowtide/history"
    for one, query in (other, {"batch": batch["id"]}), (api, {"batch": "batch_x"}), (api, {"batch": ""}):
        check_error(one.http.get(path, params=query), api.profile, 404)
    waits = api.create([line("a", f"{fresh()} | never")])
    assert rate_of(api, api.wait(waits, "in_progress")) == (1, [])


# ---- the lines of a batch that have ended ----


def asked(api, batch, **query):
    answer = api.http.get(f"batches/{batch['id']}/lines", params=query)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/x-ndjson"
    assert len(answer.content) == int(answer.headers["content-length"])
    return answer, [json.loads(one) for one in answer.text.splitlines()]


def check_pairs(api, batch, texts, found, first):
    """Numbers from `first` on; each result is that of /results, and each request its line of the file."""
    results = api.http.get(f"batches/{batch['id']}/results", params={"after": first - 1, "limit": len(found)})
    assert [one["number"] for one in found] == list(range(first, first + len(found)))
    assert [one["result"] for one in found] == [json.loads(one) for one in results.text.splitlines()]
    for one in found:
        assert set(one) == {"number", "line", "request", "result"}
        assert one["request"] == json.loads(texts[one["line"] - 1])
        assert one["request"]["custom_id"] == one["result"]["custom_id"]


def test_requests_beside_their_results(api, upstream):
    """As they end, in pages; also when the batch has ended, of both files, and when the input is gone."""
    slow = fresh()
    texts = [line(f"line-{n}", f"{fresh()} | ok") for n in range(60)]
    texts[3] = line("caf\u00e9 \"\u4e2d\u6587\"", f"{fresh()} | status:400")
    texts[7] = line("big", f"{fresh()} | ok", user="x" * 200_000)
    texts[9] = line("last", f"{slow} | hold:{slow} then ok")
    batch = api.create(texts)
    api.wait(batch, lambda b: b["request_counts"]["completed"] == 58)
    answer, found = asked(api, batch)
    assert len(found) == 20 and answer.headers["x-incomplete"] == "true" and answer.headers["x-last-line"] == "20"
    check_pairs(api, batch, texts, found, 1)
    answer, found = asked(api, batch, after=20, limit=100)
    assert len(found) == 39 and answer.headers["x-last-line"] == "59"
    check_pairs(api, batch, texts, found, 21)
    assert asked(api, batch, after=59)[1] == []
    upstream.release(slow)
    done = api.wait(batch, "completed")
    answer, found = asked(api, batch, limit=100)
    assert len(found) == 60 and answer.headers["x-incomplete"] == "false" and found[-1]["line"] == 10
    check_pairs(api, batch, texts, found, 1)
    assert {one["line"] for one in found if one["result"]["response"]["status_code"] == 400} == {4}
    assert api.http.delete(f"files/{batch['input_file_id']}").status_code == 200

    wait_until(lambda: asked(api, batch)[1][0]["request"] is None, "the input to be gone")
    for one, before in zip(asked(api, batch, limit=100)[1], found, strict=True):
        assert one == {**before, "line": None, "request": None}
    assert api.http.delete(f"files/{done['output_file_id']}").status_code == 200
    check_error(api.http.get(f"batches/{batch['id']}/lines"), api.profile, 404)


def test_lines_that_are_no_json_have_no_request(api):
    texts = [line("a"), b"no JSON", line("b")]
    batch = api.wait(api.create(texts, lowtide={"on_invalid_line": "skip"}), "completed")
    found = asked(api, batch)[1]
    assert {one["line"]: one["request"] and one["request"]["custom_id"] for one in found} == {1: "a", 2: None, 3: "b"}


def work(server):
    """Calls of read and write that the process has made, and bytes that it has read by them."""
    fields = dict(row.split(": ") for row in Path(f"/proc/{server.process.pid}/io").read_text().splitlines())
    return int(fields["syscr"]), int(fields["rchar"])


@pytest.mark.parametrize("path", ["", "/results?limit=20", "/lines?limit=20"])
def test_a_large_batch_opens_with_the_work_of_a_small_one(serve, path, calls=20):
    """Held after a canary, whose lines stand all over the file."""
    api = serve()

    def opened(lines):
        batch = api.create([line(f"line-{n}") for n in range(lines)], lowtide={"canary": 20})
        api.wait(batch, lambda b: b["lowtide"]["stall_reason"] == "held")
        before = work(api.server)
        for _ in range(calls):
            answer = api.http.get(f"batches/{batch['id']}{path}")
            assert answer.status_code == 200
        after = work(api.server)
        return [(now - then) / calls for then, now in zip(before, after, strict=True)]

    (few_calls, few_bytes), (many_calls, many_bytes) = opened(40), opened(100_000)
    assert many_calls < few_calls + 5
    assert many_bytes < few_bytes + 4096


def test_lines_that_are_refused(api, on_server):
    batch = api.create([line("a", f"{fresh()} | never")])
    path = f"batches/{batch['id']}/lines"
    bad = (("-1", "integer_below_min_value"), ("x", "invalid_type"), ("9" * 30, "integer_above_max_value"))
    for value, code in bad:
        check_error(api.http.get(path, params={"after": value}), api.profile, 400, code, "after")
        check_error(api.http.get(path, params={"limit": value}), api.profile, 400, code, "limit")
    check_error(api.http.get(path, params={"limit": 101}), api.profile, 400, "integer_above_max_value", "limit")
    check_error(api.http.get("batches/batch_x/lines"), api.profile, 404)
    other = on_server(api.server)
    check_error(other.http.get(path), api.profile, 404)


# ---- weights and limits ----


def test_weight_and_limits_over_http(api, on_server):
    boss = on_server(api.server, api.server.operator_key())
    name = "org-" + fresh()
    key = boss.http.post("lowtide/keys", json={"org": name}).json()["key"]
    path = f"lowtide/orgs/{name}"
    before = {row["name"]: row["limit"] for row in boss.http.get(path).json()["limits"]}
    answer = boss.http.post(path, json={"weight": 3, "limits": {"files": 7, "tokens_per_day": 0}})
    assert answer.status_code == 200, answer.text
    rows = {row["name"]: row["limit"] for row in answer.json()["limits"]}
    assert answer.json()["weight"] == 3 and rows == {**before, "files": 7, "tokens_per_day": 0}
    user = on_server(api.server, key)
    shown = {row["name"]: row["limit"] for row in user.http.get("lowtide/limits").json()["data"]}
    assert shown["files"] == 7
    answer = boss.http.post(path, json={"limits": {"files": None}})
    assert answer.json()["weight"] == 3
    assert {row["name"]: row["limit"] for row in answer.json()["limits"]}["files"] == before["files"]
    for body in ({}, {"weight": None, "limits": None}, {"limits": {}}, {"other": 1}):
        assert boss.http.post(path, json=body).json()["weight"] == 3


@pytest.mark.parametrize(
    ("body", "code", "param"),
    [
        ({"weight": 0}, "integer_below_min_value", "weight"),
        ({"weight": 1001}, "integer_above_max_value", "weight"),
        ({"weight": -1}, "integer_below_min_value", "weight"),
        ({"weight": 1.5}, "invalid_type", "weight"),
        ({"weight": "3"}, "invalid_type", "weight"),
        ({"weight": [3]}, "invalid_type", "weight"),
        ({"limits": []}, "invalid_type", "limits"),
        ({"limits": {"file": 3}}, "invalid_value", "limits"),
        ({"limits": {"files": -1}}, "integer_below_min_value", "limits.files"),
        ({"limits": {"files": 1e30}}, "invalid_type", "limits.files"),
        ({"limits": {"files": 1 << 51}}, "integer_above_max_value", "limits.files"),
        ({"limits": {"files": {}}}, "invalid_type", "limits.files"),
        ({"limits": {"files": True}}, "invalid_type", "limits.files"),
        ({"weight": 5, "limits": {"files": "many"}}, "invalid_type", "limits.files"),
    ],
)  # fmt: skip
def test_bad_weights_and_limits_change_nothing(api, on_server, body, code, param):
    boss = on_server(api.server, api.server.operator_key())
    name = "org-" + fresh()
    boss.http.post("lowtide/keys", json={"org": name})
    before = boss.http.get(f"lowtide/orgs/{name}").json()
    check_error(boss.http.post(f"lowtide/orgs/{name}", json=body), api.profile, 400, code, param)
    assert boss.http.get(f"lowtide/orgs/{name}").json() == before
    for text in (b"{", b"[]", b"\xff", b""):
        check_error(boss.http.post(f"lowtide/orgs/{name}", content=text), api.profile, 400)
    assert boss.http.post("lowtide/orgs/nobody", json={"weight": 2}).status_code == 404
