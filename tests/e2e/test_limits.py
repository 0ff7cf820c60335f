"""Contract 13.1: limits of an organization: what they refuse, what waits, how they are shown and
changed. Uploads, bytes, open batches and online requests: test_edges.py."""

import concurrent.futures
import json
import re
import time

import openai
import pytest
from support import server as program
from support.api import FINAL, Api, check_error
from support.jsonl import fresh, line
from support.wire import wait_until

NAMES = {
    "files", "bytes", "uploads", "open_batches", "online", "listeners", "enqueued_requests", "enqueued_tokens",
    "calls_per_minute", "tokens_per_day",
}  # fmt: skip
RATE = ("x-ratelimit-limit-requests", "x-ratelimit-remaining-requests", "x-ratelimit-reset-requests")


def limit(api, text, org="default"):
    """As an operator does, beside the server; it is in force for the next call."""
    program.run("org", "limit", org, text, *api.server.place())
    time.sleep(0.02)  # the key cache asks every 10 ms


def limits(api, **query):
    answer = api.http.get("lowtide/limits", params=query)
    assert answer.status_code == 200, answer.text
    page = answer.json()
    assert set(page) == {"object", "data"} and page["object"] == "list"
    assert {row["name"] for row in page["data"]} == NAMES
    assert all(set(row) == {"name", "limit", "use", "resets_at"} for row in page["data"])
    return {row["name"]: row for row in page["data"]}


def limited(answer, profile):
    kind = "rate_limit_reached_error" if profile == "kimi" else "requests"
    check_error(answer, profile, 429, "rate_limit_exceeded", error_type=kind)
    assert 1 <= int(answer.headers["retry-after"]) <= 60
    return answer


# ---- shown ----


def test_13_1_limits_and_their_use(serve, profile):
    api = serve(profile, {"limits.org.files": 50, "limits.org.enqueued_requests": 1000})
    rows = limits(api)
    assert rows["files"] == {"name": "files", "limit": 50, "use": 0, "resets_at": None}
    assert rows["calls_per_minute"] == {"name": "calls_per_minute", "limit": 0, "use": 0, "resets_at": None}
    data = [line(str(n), f"{fresh()} | never") for n in range(7)]
    batch = api.create(data)
    api.wait(batch, "in_progress")
    limit(api, "bytes=1GB")
    limit(api, "files=0")
    rows = limits(api)
    assert rows["files"]["limit"] == 0 and rows["files"]["use"] == 1
    assert rows["bytes"]["limit"] == 1 << 30 and rows["bytes"]["use"] > 500
    assert rows["open_batches"]["use"] == 1
    assert rows["enqueued_requests"]["limit"] == 1000 and rows["enqueued_requests"]["use"] == 7
    assert rows["enqueued_tokens"]["use"] > 0
    boss = Api(api.server, api.server.operator_key())
    assert boss.http.get("lowtide/orgs/default").json()["limits"] == list(limits(boss, org="default").values())
    assert limits(boss, org="default")["bytes"]["limit"] == 1 << 30
    check_error(boss.http.get("lowtide/limits"), api.profile, 400, "missing_required_parameter", "org")
    boss.close()
    other = Api(api.server, api.server.new_key("other"))
    assert limits(other)["open_batches"]["use"] == 0 and limits(other)["files"]["limit"] == 50
    other.close()
    api.cancel(batch)
    api.wait(batch)
    assert limits(api)["enqueued_requests"]["use"] == 0


# ---- calls a minute ----


def test_13_1_calls_a_minute(serve, profile):
    api = serve(profile)
    plain = api.http.get("files")
    assert not any(name in plain.headers for name in RATE)
    limit(api, "calls_per_minute=5")
    for left in (4, 3, 2, 1, 0):
        answer = api.http.get("files" if left else "no/such/path")
        assert [answer.headers[name] for name in RATE[:2]] == ["5", str(left)]
        assert re.fullmatch(r"\d+\.\d{3}s", answer.headers[RATE[2]])
        assert 0 < float(answer.headers[RATE[2]][:-1]) <= 60
    for call in (
        lambda: api.http.get("files"),
        lambda: api.http.post("batches", json={}),
        lambda: api.http.post("chat/completions", json={"model": "m-1", "messages": []}),
        lambda: api.upload_raw([line("a", fresh())]),
    ):
        answer = limited(call(), profile)
        assert answer.headers[RATE[1]] == "0"
        assert "limits.org.calls_per_minute" in answer.json()["error"]["message"]
    other = Api(api.server, api.server.new_key("other"))
    assert other.http.get("files").status_code == 200
    other.close()
    limit(api, "calls_per_minute=default")
    assert api.http.get("files").status_code == 200


def test_13_1_a_hundred_calls_at_once_at_the_limit(serve):
    """Exactly as many as the limit, whoever comes first; online requests carry the headers, too."""
    api = serve(settings={"limits.org.calls_per_minute": 40})
    body = {"model": "m-1", "messages": [{"role": "user", "content": fresh()}]}
    api.http.get(api.server.url + "/healthz")
    with concurrent.futures.ThreadPoolExecutor(50) as pool:
        calls = [
            pool.submit(api.http.get, "files") if n % 2 else pool.submit(api.http.post, "chat/completions", json=body)
            for n in range(100)
        ]
        answers = [call.result() for call in calls]
    good = [one for one in answers if one.status_code == 200]
    assert 40 <= len(good) <= 60, len(good)  # some come back while they run: two in three seconds
    assert all(one.status_code in (200, 429) for one in answers)
    lefts = [int(one.headers[RATE[1]]) for one in good]
    assert set(range(30, 40)) <= set(lefts)
    row = limits(api) if api.http.get("files").status_code == 200 else None
    assert row is None or row["calls_per_minute"]["resets_at"] >= time.time() - 1


def test_13_1_the_python_client_waits_and_tries_again(serve):
    """2.4: it obeys Retry-After."""
    api = serve(settings={"limits.org.calls_per_minute": 60})
    for _ in range(200):
        if api.http.get("files").status_code == 429:
            break
    client = openai.OpenAI(base_url=api.server.base_url, api_key=api.key, max_retries=2)
    began = time.monotonic()
    assert client.files.list().data == []
    assert time.monotonic() - began >= 0.5
    for _ in range(200):
        if api.http.get("files").status_code == 429:
            break
    with pytest.raises(openai.RateLimitError) as refused:
        client.with_options(max_retries=0).files.list()
    assert refused.value.code == "rate_limit_exceeded"
    client.close()


def test_13_1_the_operator_is_not_counted(serve):
    api = serve(settings={"limits.org.calls_per_minute": 2})
    boss = Api(api.server, api.server.operator_key())
    for _ in range(10):
        assert boss.http.get("lowtide/orgs").status_code == 200
    boss.close()


# ---- enqueued ----


def queued(api, batches):
    """Which of them wait for the limit."""
    seen = [api.get(batch["id"]) for batch in batches]
    return [one["lowtide"]["stall_reason"] == "quota" for one in seen if one["status"] not in FINAL]


def test_13_1_work_over_the_limit_waits_and_runs_in_order(serve):
    """It does not fail: stall_reason quota, in the order of making, also across a kill."""
    api = serve(settings={"limits.org.enqueued_requests": 25, "execution.concurrency": 4})
    other = Api(api.server, api.server.new_key("other"))
    mark = fresh()
    batches = [api.create([line(f"{k}-{n}", f"{mark} | slow:0.3") for n in range(10)]) for k in range(4)]
    for batch in batches:
        api.wait(batch, lambda b: b["status"] != "validating")
    wait_until(lambda: queued(api, batches)[-2:] == [True, True], "the third and the fourth wait")
    waiting = api.get(batches[3]["id"])
    assert waiting["status"] == "in_progress" and waiting["lowtide"]["running"] == 0
    assert "limits.org.enqueued_requests" in waiting["lowtide"]["stall_message"]
    other.run([line("a", fresh())])  # others are not held up
    other.close()
    api.server.kill()
    api.server.start()
    wait_until(lambda: queued(api, batches)[-1:] == [True], "it waits after the restart")
    ended = [api.wait(batch, "completed") for batch in batches]
    assert all(one["request_counts"]["completed"] == 10 for one in ended)
    order = [one["completed_at"] for one in ended]
    assert order[3] >= min(order[:3])  # of those that ran together any may end first


def test_13_1_a_batch_larger_than_the_limit_runs_alone(serve):
    api = serve(settings={"limits.org.enqueued_requests": 5})
    mark = fresh()
    large = api.create([line(str(n), f"{mark} | slow:0.1") for n in range(12)])
    small = api.create([line("a", fresh())])
    assert api.wait(large, "completed")["request_counts"]["completed"] == 12
    assert api.wait(small, "completed")["completed_at"] >= api.get(large["id"])["completed_at"]


@pytest.mark.parametrize("name", ["enqueued_requests", "enqueued_tokens"])
def test_13_1_an_enqueued_limit_changes_while_the_server_runs(serve, name):
    api = serve(settings={"execution.concurrency": 32})
    mark = fresh()
    first, second = (api.create([line(f"{k}-{n}", f"{mark} | never") for n in range(10)]) for k in range(2))
    for batch in (first, second):
        api.wait(batch, lambda b: b["lowtide"]["running"] > 0)
    limit(api, f"{name}=12")
    wait_until(lambda: queued(api, [first, second]) == [False, True], "the second waits")
    limit(api, f"{name}=0")
    wait_until(lambda: queued(api, [first, second]) == [False, False], "none waits")
    api.cancel(first)
    api.cancel(second)


def test_13_1_a_batch_that_waits_can_be_cancelled(serve):
    api = serve(settings={"limits.org.enqueued_requests": 1})
    first = api.create([line("a", f"{fresh()} | never")])
    second = api.create([line("a", f"{fresh()} | never")])
    api.wait(second, lambda b: b["lowtide"]["stall_reason"] == "quota")
    api.cancel(second)
    assert api.wait(second)["status"] == "cancelled"
    third = api.create([line("a", fresh())])
    api.wait(third, lambda b: b["lowtide"]["stall_reason"] == "quota")
    api.cancel(first)
    assert api.wait(third)["status"] == "completed"


# ---- tokens a day ----

TOKENS = ("x-ratelimit-limit-tokens", "x-ratelimit-remaining-tokens", "x-ratelimit-reset-tokens")
BODY = {"model": "m-1", "messages": [{"role": "user", "content": "q"}]}  # 10 tokens, as each line


def used(api):
    return limits(api)["tokens_per_day"]["use"]


def chat(api, **more):
    return api.http.post("chat/completions", json=BODY | more)


def midnight(days=0):
    return (int(time.time()) // 86400 + 1 + days) * 86400


@pytest.fixture
def tomorrow(serve, failpoints, tmp_path):
    """A server whose clock goes a day ahead with pass_midnight()."""
    flag = tmp_path / "tomorrow"
    api = serve(start=False)
    api.env = {"LOWTIDE_FAILPOINTS": f"clock=86400:{flag}"}
    api.server.start(env=api.env)
    api.pass_midnight = flag.touch
    return api


def test_13_1_tokens_of_lines_and_online_answers_count(serve):
    """Also what has ended and is not merged, across a kill and a stop."""
    api = serve()
    assert limits(api)["tokens_per_day"] == {"name": "tokens_per_day", "limit": 0, "use": 0, "resets_at": None}
    api.run([line(str(n), fresh()) for n in range(7)])
    assert used(api) == 70
    mark = fresh()
    rest = [line(f"n{n}", f"{mark} {n} | never") for n in range(3)]
    open_batch = api.create([line(str(n), f"{mark} {n}") for n in range(5)] + rest)
    api.wait(open_batch, lambda b: b["request_counts"]["completed"] == 5)
    assert used(api) == 120
    api.server.kill()
    api.server.start()
    assert used(api) == 120
    assert chat(api).status_code == 200
    wait_until(lambda: used(api) == 130, "the online answer counts")
    assert chat(api, messages=[{"role": "user", "content": "q | status:400"}]).status_code == 400
    api.server.stop()
    api.server.start()
    assert used(api) == 130, "what was refused took none"
    row = limits(api)["tokens_per_day"]
    assert row["resets_at"] in (midnight(-1), midnight())
    other = Api(api.server, api.server.new_key("other"))
    assert used(other) == 0
    other.close()
    api.cancel(open_batch)
    api.wait(open_batch)
    assert used(api) == 130


def test_13_1_an_online_stream_counts(serve):
    """Without a usage as a quarter of the request's bytes; also when its client goes away."""
    api = serve()
    body = json.dumps(BODY | {"stream": True}).encode()
    answer = api.http.post("chat/completions", content=body, headers={"content-type": "application/json"})
    assert answer.status_code == 200 and "data:" in answer.text
    wait_until(lambda: used(api) == len(body) // 4, "it counts")


def test_13_1_online_requests_over_the_day_are_refused(serve, profile):
    api = serve(profile, {"limits.org.tokens_per_day": 25})
    for left in (25, 15, 5):
        answer = chat(api)
        assert answer.status_code == 200
        assert [answer.headers[name] for name in TOKENS[:2]] == ["25", str(left)]
        assert 0 < int(re.fullmatch(r"(\d+)s", answer.headers[TOKENS[2]])[1]) <= 86400
        wait_until(lambda: used(api) >= 35 - left, "it counts")
    assert not any(name in api.http.get("files").headers for name in TOKENS), "this call takes none"
    refused = chat(api)
    kind = "rate_limit_reached_error" if profile == "kimi" else "tokens"
    check_error(refused, profile, 429, "rate_limit_exceeded", error_type=kind)
    assert 1 <= int(refused.headers["retry-after"]) <= 60
    assert refused.headers[TOKENS[1]] == "0"
    assert "limits.org.tokens_per_day" in refused.json()["error"]["message"]
    other = Api(api.server, api.server.new_key("other"))
    assert chat(other).status_code == 200
    other.close()
    boss = Api(api.server, program.run("key", "create", *api.server.place(), "--operator").stdout.strip())
    rows = {row["name"]: row for row in boss.http.get("lowtide/orgs/default").json()["limits"]}
    assert rows["tokens_per_day"]["limit"] == 25 and rows["tokens_per_day"]["use"] == 30
    boss.close()
    limit(api, "tokens_per_day=100")
    assert chat(api).status_code == 200


def test_13_1_lines_over_the_day_wait_and_go_on_by_themselves(tomorrow, own_upstream):
    """The next day, also after a restart; not more than is in flight passes the limit."""
    api = tomorrow
    api.run([line(str(n), fresh()) for n in range(10)])
    limit(api, "tokens_per_day=100")
    wait_until(lambda: chat(api).status_code == 429, "the limit is known")
    mark = fresh()
    batch = api.create([line(str(n), f"{mark} {n}") for n in range(20)])
    seen = api.wait(batch, lambda b: "tokens_per_day" in (b["lowtide"]["stall_message"] or ""))
    assert seen["status"] == "in_progress" and seen["lowtide"]["stall_reason"] == "quota"
    assert re.search(r"from \d{4}-\d\d-\d\dT00:00:00Z on", seen["lowtide"]["stall_message"])
    other = Api(api.server, api.server.new_key("other"))
    other.run([line("a", fresh())])  # others are not held up
    other.close()
    api.server.kill()
    api.server.start(env=api.env)
    api.wait(batch, lambda b: b["lowtide"]["stall_reason"] == "quota")
    assert chat(api).status_code == 429
    assert own_upstream.sent(mark) == 0
    api.pass_midnight()
    done = api.wait(batch, "completed")
    assert done["request_counts"]["completed"] == 20 and own_upstream.sent(mark) == 20
    assert used(api) == 200, "of the new day"


def test_13_1_the_day_changes_while_lines_are_unmerged(tomorrow):
    """They are the day's before, also after a kill."""
    api, mark = tomorrow, fresh()
    rest = [line(f"n{n}", f"{mark} {n} | never") for n in range(3)]
    batch = api.create([line(str(n), f"{mark} {n}") for n in range(5)] + rest, completion_window="7d")
    api.wait(batch, lambda b: b["request_counts"]["completed"] == 5)
    assert used(api) == 50
    api.pass_midnight()
    wait_until(lambda: used(api) == 0, "another day")
    api.run([line("a", fresh())])
    assert used(api) == 10
    api.server.kill()
    api.server.start(env=api.env)
    assert used(api) == 10
    api.cancel(batch)
    api.wait(batch)
    assert used(api) == 10


def test_13_1_the_day_begins_after_a_kill_in_between(tomorrow, failpoints):
    """Killed before the rows say it: the lines of the day before are counted once, for one of the days."""
    api, mark = tomorrow, fresh()
    api.server.stop()
    points = api.env["LOWTIDE_FAILPOINTS"] + ",day.before_begin=kill"
    api.server.start(env={"LOWTIDE_FAILPOINTS": points})
    batch = api.create([line("a", mark), line("b", f"{mark} | never")], completion_window="7d")
    api.wait(batch, lambda b: b["request_counts"]["completed"] == 1)
    api.pass_midnight()
    api.server.wait_killed()
    api.server.start(env=api.env)
    assert used(api) == 10
    api.cancel(batch)
    api.wait(batch)
    assert used(api) == 10


def test_13_1_another_process_changes_the_tokens_of_a_day(serve):
    api = serve(settings={"execution.concurrency": 2})
    api.run([line("a", fresh())])
    limit(api, "tokens_per_day=10")
    batch = api.create([line(str(n), f"{fresh()} | slow:0.5") for n in range(5)])
    api.wait(batch, lambda b: "tokens_per_day" in (b["lowtide"]["stall_message"] or ""))
    limit(api, "tokens_per_day=default")
    api.wait(batch, "completed")
    assert used(api) == 60


# ---- the command ----


def test_13_1_every_limit_by_command(tmp_path):
    program.run("org", "create", "acme", "--data", tmp_path, "--init")
    for n, name in enumerate(sorted(NAMES)):
        program.run("org", "limit", "acme", f"{name}={n + 1}", "--data", tmp_path)
    shown = program.run("org", "limit", "acme", "--data", tmp_path).stdout.split()
    assert set(shown) == {f"{name}={n + 1}" for n, name in enumerate(sorted(NAMES))}
    for bad in ("calls=5", "calls_per_minute", "calls_per_minute=", "calls_per_minute=-1", "files=x"):
        program.run("org", "limit", "acme", bad, "--data", tmp_path, expect=2)
