"""Whose fault an answer is (contract 8.3): a line ends only on evidence about the line. Long times
(30 minutes of outage, 15 of patience) are in tests/unit/dispatch/test_trials.c, on a clock of its own.
The rows U1 ... V15 are those of what was seen on the build before."""

import json
import os
import threading
import time

import pytest
from support import server as program
from support.api import Api
from support.jsonl import fresh, jsonl, line, numbered
from support.upstream import Answer, answer_of_step
from support.wire import wait_until

OUTAGE_S = 5.0

LOADING = json.dumps(
    {"error": {"code": 503, "message": "Loading model", "type": "unavailable_error"}}
).encode()

# How an outage may be told (U1, U2, U5, U8, U10).
FORMS = {
    "500": answer_of_step("status:500"),
    "501": answer_of_step("status:501"),
    "502 page": answer_of_step("html:502"),
    "503 loading": Answer(503, LOADING),
    "504": answer_of_step("status:504"),
    "507": answer_of_step("status:507"),
    "520": answer_of_step("status:520"),
    "522": answer_of_step("status:522"),
    "524": answer_of_step("status:524"),
    "529": answer_of_step("status:529"),
    "reset": Answer(how="reset"),
    "close": Answer(how="close"),
    "never": Answer(how="never"),
    "429 told": answer_of_step("429:1"),
    "429": answer_of_step("429:"),
    "200 error": Answer(body=b'{"error":{"message":"engine is gone"}}'),
    "200 detail": Answer(body=b'{"detail":"engine is gone"}'),
    "200 empty": Answer(body=b""),
}


@pytest.fixture
def outages(serve, new_upstream):
    """A server and an upstream for each form, all of them at once."""
    made = {}
    for form in FORMS:
        upstream = new_upstream()
        api = serve(upstream=upstream, settings={"execution.line_timeout": "1s"})
        made[form] = (api, upstream)
    return made


def test_8_3_an_outage_costs_no_line(outages):
    """Met by 1, 5, 20 and 60 lines, and by the last 12 of a batch that was well before."""
    batches, marks = {}, {}
    for form, (api, upstream) in outages.items():
        tail = fresh()
        lines = numbered(f"{tail}g", 30) + numbered(tail, 12, f"hold:{tail}")
        late = api.create(lines)
        wait_until(lambda u=upstream, t=tail: u.sent(f"{t}g") == 30, "the good ones are sent")
        upstream.everything = FORMS[form]
        upstream.release(tail)
        marks[form] = [fresh() for _ in range(4)]
        sizes = zip(marks[form], (1, 5, 20, 60), strict=True)
        batches[form] = [late, *(api.create(numbered(mark, n)) for mark, n in sizes)]
    time.sleep(OUTAGE_S)
    for form, (_, upstream) in outages.items():
        first = sum(upstream.sent(mark) for mark in marks[form])
        # the first attempts (a lane starts with few at once), and then a probe a second
        assert first <= 40 + 3 * OUTAGE_S, (form, first)
        upstream.everything = None
    for form, (api, upstream) in outages.items():
        for batch in batches[form]:
            batch = api.wait(batch, "completed", seconds=60)
            assert batch["request_counts"]["failed"] == 0, (form, batch)


@pytest.mark.parametrize("form", ["503 loading", "500", "reset"])
def test_8_3_it_goes_on_within_two_seconds(serve, own_upstream, form):
    api = serve()
    own_upstream.everything = FORMS[form]
    batch = api.create(numbered(fresh(), 3))
    api.wait(batch, lambda b: b["lowtide"]["stall_reason"] == "upstream_down")
    time.sleep(3)
    own_upstream.everything = None
    began = time.monotonic()
    api.wait(batch, "completed", seconds=30)
    assert time.monotonic() - began < 4  # two, and what a busy machine adds


def test_8_3_stall_message_tells_what_it_said(serve, own_upstream):
    api = serve()
    own_upstream.everything = Answer(503, LOADING)
    batch = api.create(numbered(fresh(), 3))
    batch = api.wait(batch, lambda b: b["lowtide"]["stall_reason"] == "upstream_down")
    assert "HTTP 503: Loading model" in batch["lowtide"]["stall_message"]
    assert "upstream 'default'" in batch["lowtide"]["stall_message"]
    assert "Loading model" in api.server.log()
    own_upstream.everything = None
    batch = api.wait(batch, "completed")
    assert batch["lowtide"]["stall_reason"] is None and batch["lowtide"]["stall_message"] is None


def test_11_2_stall_message_is_the_last_answer(serve, own_upstream):
    """An upstream that is down all the time, and says something else of it: no change of state."""
    api = serve()
    own_upstream.everything = Answer(503, LOADING)
    batch = api.create(numbered(fresh(), 3))
    api.wait(batch, lambda b: "Loading model" in (b["lowtide"]["stall_message"] or ""))
    for answer, words in (
        (Answer(500, b'{"error":{"message":"engine is dead"}}'), "HTTP 500: engine is dead"),
        (Answer(how="reset"), "upstream 'default': "),
        (Answer(503, LOADING), "HTTP 503: Loading model"),
    ):
        before = api.wait(batch, lambda b: True)["lowtide"]["stall_message"]
        own_upstream.everything = answer
        batch = api.wait(
            batch,
            lambda b, m=before, w=words: (
                b["lowtide"]["stall_message"] != m and w in (b["lowtide"]["stall_message"] or "")
            ),
            seconds=30,
        )
        assert batch["lowtide"]["stall_reason"] == "upstream_down"
    own_upstream.everything = None
    api.wait(batch, "completed", seconds=60)


@pytest.mark.both_clients
def test_8_3_refused_and_unknown_host_are_told_apart(serve, own_upstream):
    """F2: one word for all."""

    class Nowhere:
        url = "http://no-such-host.invalid:9/v1"

    unknown, refused = serve(upstream=Nowhere()), serve()
    own_upstream.stop()
    for api, words in ((unknown, "resolve"), (refused, "connect")):
        batch = api.create([line("a", fresh())])
        batch = api.wait(batch, lambda b: b["lowtide"]["stall_reason"] == "upstream_down")
        assert words in batch["lowtide"]["stall_message"], batch["lowtide"]
        api.cancel(batch)
        api.wait(batch, "cancelled")
    own_upstream.start()


@pytest.mark.parametrize("status", [401, 402, 403])
def test_8_3_the_operators_fault_ends_no_line(serve, own_upstream, status):
    """A revoked key: the batch waits, says so in the upstream's words, and goes on at a reload."""
    api = serve()
    said = json.dumps({"error": {"message": "Incorrect API key provided"}}).encode()
    own_upstream.everything = Answer(status, said)
    batch = api.create(numbered(fresh(), 30))
    batch = api.wait(batch, lambda b: b["lowtide"]["stall_reason"] == "upstream_refused")
    assert "Incorrect API key provided" in batch["lowtide"]["stall_message"]
    assert f"HTTP {status}" in batch["lowtide"]["stall_message"]
    time.sleep(2)
    assert own_upstream.sent() <= 20
    own_upstream.everything = None
    api.server.reload()
    batch = api.wait(batch, "completed", seconds=30)
    assert batch["request_counts"]["failed"] == 0


@pytest.mark.parametrize(
    "answer",
    [
        Answer(404, b'{"detail":"Not Found"}'),
        Answer(404, b'{"error":{"message":"The model `m-1` does not exist."}}'),
        Answer(405, b'{"detail":"Method Not Allowed"}'),
        Answer(307, b"", {"Location": "/login"}),
        Answer(200, b"<!doctype html><title>Sign in</title>", {"Content-Type": "text/html"}),
        Answer(400, b"<html>No required SSL certificate was sent</html>"),
    ],
    ids=["no /v1", "wrong model", "405", "redirect", "sign-in page", "certificate page"],
)
def test_8_3_a_wrong_path_or_model_burns_no_batch(serve, own_upstream, answer):
    """F1, V8. Once a line of the model was well there, a 404 is the line's."""
    api = serve()
    own_upstream.everything = answer
    batch = api.create(numbered(fresh(), 40))
    api.wait(batch, lambda b: b["lowtide"]["stall_reason"] == "upstream_refused")
    time.sleep(1)
    assert own_upstream.sent() <= 20
    own_upstream.everything = None
    api.server.reload()
    batch = api.wait(batch, "completed", seconds=30)
    assert batch["request_counts"] == {"total": 40, "completed": 40, "failed": 0}
    mark = fresh()
    batch = api.run([line("a", f"{mark} | status:404")])
    assert batch["request_counts"]["failed"] == 1 and own_upstream.sent(mark) == 1


BLACK_HOLES = {
    "500": answer_of_step("status:500"),
    "429": answer_of_step("429:"),
    "529": answer_of_step("status:529"),
    "reset": Answer(how="reset"),
    "401": answer_of_step("status:401"),
    "404": answer_of_step("status:404"),
    "301": Answer(301, b"", {"Location": "/elsewhere"}),
    "page": Answer(200, b"<html>hello</html>", {"Content-Type": "text/html"}),
}


@pytest.mark.parametrize("how", BLACK_HOLES)
def test_8_3_a_black_hole_takes_no_line_from_a_good_one(serve, own_upstream, new_upstream, how):
    """U6: the one that fails fast always has room."""
    good = new_upstream()
    own_upstream.everything = BLACK_HOLES[how]
    api = serve(settings={"execution.concurrency": 4}, args=["--upstream", good.url])
    batch = api.run(numbered(fresh(), 60, "slow:0.1"))
    assert batch["request_counts"] == {"total": 60, "completed": 60, "failed": 0}
    assert good.sent() == 60
    assert own_upstream.sent() <= 20


def test_8_3_one_whose_answers_are_mostly_faults_is_left_alone(serve, own_upstream, new_upstream):
    """It is well now and then, so it is not down; but another is good."""
    good, mark = new_upstream(), fresh()
    for n in range(200):
        if n % 8:
            own_upstream.on(f"{mark}-{n}", answer_of_step("status:500"))
    api = serve(settings={"execution.concurrency": 2}, args=["--upstream", good.url])
    batch = api.run(numbered(mark, 200, "slow:0.02"))
    assert batch["request_counts"]["failed"] == 0
    assert good.sent() >= 120


def test_8_3_a_rate_that_is_told_only_by_429(serve, own_upstream):
    """U7 in small: so many are taken, then none for some seconds, without a word of how long."""
    api = serve()
    lock, taken = threading.Lock(), []

    def limited(request):
        with lock:
            now = time.monotonic()
            while taken and now - taken[0] > 3:
                taken.pop(0)
            if len(taken) >= 5:
                return answer_of_step("429:")
            taken.append(now)
            return None

    own_upstream.decide = limited
    batch = api.create(numbered(fresh(), 15))
    api.wait(batch, lambda b: b["lowtide"]["stall_reason"] == "upstream_429")
    batch = api.wait(batch, "completed", seconds=120)
    assert batch["request_counts"] == {"total": 15, "completed": 15, "failed": 0}


@pytest.mark.both_clients
def test_8_2_a_coded_answer_is_decoded(serve, own_upstream):
    """U9: lines ask for `identity`; what comes coded all the same is decoded, or named."""
    import gzip

    mark = fresh()
    body = b'{"choices":[{"message":{"content":"packed"}}],"usage":{"prompt_tokens":10.0}}'
    own_upstream.on(mark, Answer(200, gzip.compress(body), {"Content-Encoding": "gzip"}))
    own_upstream.on(f"{mark}x", Answer(200, b"\x00\x01", {"Content-Encoding": "snappy"}))
    api = serve(settings={"execution.max_attempts": 1})
    with api.well():
        batch = api.run([line("a", mark), line("x", f"{mark}x")])
    output, error = api.results(batch)
    assert output["a"]["response"]["body"]["choices"][0]["message"]["content"] == "packed"
    assert batch["usage"]["input_tokens"] == 10  # U12
    assert own_upstream.of(mark)[0].header("accept-encoding") == "identity"
    assert error["x"]["error"]["code"] == "invalid_upstream_response"
    assert "coding" in error["x"]["error"]["message"]


def test_8_3_a_small_batch_of_poison_ends_after_patience(serve, own_upstream):
    """Nothing is well, yet the health call is good; a large one waits and says why."""
    own_upstream.models = ["m-1"]
    api = serve(settings={"execution.patience": "3s", "execution.concurrency": 4})
    small = api.create(numbered(fresh(), 3, "status:500"))
    batch = api.wait(small, "completed", seconds=60)
    assert batch["request_counts"]["failed"] == 3
    other = serve(settings={"execution.patience": "3s", "execution.concurrency": 30})
    large = other.create(numbered(fresh(), 40, "status:500"))
    other.wait(large, lambda b: b["lowtide"]["stall_reason"] == "upstream_down")
    time.sleep(6)
    looked = other.get(large["id"])
    assert looked["request_counts"]["failed"] == 0 and looked["status"] == "in_progress"
    good = other.create(numbered(fresh(), 20))  # it holds up no others
    assert other.wait(good, "completed", seconds=60)["request_counts"]["completed"] == 20
    other.cancel(large)
    other.wait(large, "cancelled")


def test_v2_a_dead_engine_behind_a_live_server(serve, own_upstream):
    """vLLM that stays up without its engine: 500 to everything, /health 503, /metrics frozen."""
    own_upstream.models = ["m-1"]
    own_upstream.health = 503
    api = serve(settings={"execution.patience": "2s"})
    api.run(numbered(fresh(), 20))
    own_upstream.everything = answer_of_step("status:500")
    batch = api.create(numbered(fresh(), 5))
    api.wait(batch, lambda b: b["lowtide"]["stall_reason"] == "upstream_down")
    time.sleep(6)
    assert api.get(batch["id"])["request_counts"]["failed"] == 0
    own_upstream.everything, own_upstream.health = None, 200
    batch = api.wait(batch, "completed", seconds=40)
    assert batch["request_counts"]["failed"] == 0


def test_v1_a_bounded_queue_beside_other_clients(serve, own_upstream):
    """--max-num-queued-reqs: 503 without a wait, while others run well."""
    busy = json.dumps({"error": {"message": "The engine is currently busy", "code": 503}}).encode()
    own_upstream.decide = lambda request: (
        Answer(503, busy) if own_upstream.in_flight > 6 else Answer(delay=0.05)
    )
    api = serve()
    batch = api.run(numbered(fresh(), 120))
    assert batch["request_counts"] == {"total": 120, "completed": 120, "failed": 0}
    assert "upstream.down" not in api.server.log()


def test_v15_a_line_that_ends_the_engine_goes_alone_and_last(serve, own_upstream):
    """It is told by the deaths that it was in flight at; the others are all done before."""
    mark = fresh()
    state = {"until": 0.0, "deaths": 0}

    def engine(request):
        now = time.monotonic()
        if now < state["until"]:
            return Answer(how="reset")
        if request.marker == f"{mark}-killer":
            state["until"] = now + 1.0
            state["deaths"] += 1
            own_upstream.reset_all()
            return Answer(how="reset")
        return Answer(delay=0.05)

    own_upstream.decide = engine
    api = serve(settings={"execution.concurrency": 4})
    lines = numbered(mark, 40)
    lines.insert(2, line("killer", f"{mark}-killer"))
    batch = api.create(lines)
    batch = api.wait(batch, "completed", seconds=120)
    output, error = api.results(batch)
    assert len(output) == 40 and list(error) == ["killer"]
    assert error["killer"]["error"]["code"] == "upstream_error"
    assert state["deaths"] <= 8


def test_u11_connections_that_died_end_no_line(serve, own_upstream):
    """An upstream that answers once a connection and closes it, unanswered, at the second request."""
    seen = set()

    def once(request):
        if request.connection in seen:
            return Answer(how="close")
        seen.add(request.connection)
        return None

    own_upstream.decide = once
    api = serve(settings={"execution.concurrency": 20})
    batch = api.run(numbered(fresh(), 61))
    assert batch["request_counts"] == {"total": 61, "completed": 61, "failed": 0}


def test_8_3_run_waits_and_tells(own_upstream, tmp_path):
    """U4, F1: three lines, 503 for some seconds; and a wrong key, told before anything else."""
    given = tmp_path / "in.jsonl"
    given.write_bytes(jsonl(numbered(fresh(), 3)))
    own_upstream.everything = Answer(503, LOADING)
    timer = threading.Timer(4, setattr, (own_upstream, "everything", None))
    timer.start()
    done = program.run(
        "run", given, "-o", tmp_path / "out.jsonl", "--upstream", own_upstream.url, timeout=90
    )
    timer.join()
    assert "Loading model" in done.stderr + done.stdout
    assert len((tmp_path / "out.jsonl").read_text().splitlines()) == 3


def test_11_2_top_errors(serve, own_upstream):
    """The most frequent causes with an example line; the same after a restart, and in the log."""
    api = serve(settings={"execution.max_attempts": 1, "execution.line_timeout": "1s"})
    mark = fresh()
    lines = numbered(mark, 40)
    lines[3] = line("a", f"{mark}a | status:422")
    lines[7] = line("b", f"{mark}b | status:422")
    lines[9] = line("c", f"{mark}c | status:413")
    lines[11] = line("d", f"{mark}d | never")
    with api.well():
        batch = api.run(lines)
    top = batch["lowtide"]["top_errors"]
    assert top[0] == {"code": "422", "count": 2, "example_line": 4}
    assert sorted(top[1:], key=lambda one: one["code"]) == [
        {"code": "413", "count": 1, "example_line": 10},
        {"code": "request_timeout", "count": 1, "example_line": 12},
    ]
    assert 'causes="HTTP 422 x 2 (line 4)' in api.server.log()
    assert api.run(numbered(fresh(), 3))["lowtide"]["top_errors"] == []
    api.server.restart()
    assert api.get(batch["id"])["lowtide"]["top_errors"] == top


def test_11_2_top_errors_while_it_runs_and_after_a_kill(serve, own_upstream):
    api = serve()
    mark = fresh()
    lines = [line("bad", f"{mark}-bad | status:400"), *numbered(mark, 3, f"hold:{mark}")]
    batch = api.create(lines)
    batch = api.wait(batch, lambda b: b["request_counts"]["failed"] == 1)
    want = [{"code": "400", "count": 1, "example_line": 1}]
    assert batch["lowtide"]["top_errors"] == want
    api.server.kill()
    api.server.start()
    batch = api.wait(batch["id"], lambda b: b["lowtide"]["running"] == 3)
    assert batch["lowtide"]["top_errors"] == want
    own_upstream.release(mark)
    assert api.wait(batch, "completed")["lowtide"]["top_errors"] == want


def test_8_3_run_names_the_causes(own_upstream, tmp_path):
    """F1: "5 failed", and no word of why."""
    given = tmp_path / "in.jsonl"
    mark = fresh()
    given.write_bytes(jsonl([*numbered(mark, 5), *numbered(f"{mark}x", 2, "status:422")]))
    done = program.run(
        "run", given, "-o", tmp_path / "out.jsonl", "--upstream", own_upstream.url, expect=1
    )
    assert "failed: HTTP 422 x 2 (line 6)" in done.stdout + done.stderr


def test_v14_a_long_error_is_cut(serve, own_upstream):
    """Some engines send the request back in it, twice."""
    mark = fresh()
    long = json.dumps({"detail": "x" * 400_000}).encode()
    own_upstream.on(mark, Answer(422, long))
    api = serve()
    _, error = api.results(api.run([line("a", mark)]))
    body = error["a"]["response"]["body"]["error"]
    assert body["code"] == "upstream_non_json" and len(body["message"]) <= 4096


def test_f1_the_start_tells_of_a_wrong_path_and_model(serve, own_upstream, new_upstream):
    """`GET /models` is asked before a line is sent, and what it says of path and model is in the log."""
    api = serve()  # it knows no /v1/models
    api.run(numbered(fresh(), 2))
    asked = [r for r in own_upstream.other_requests if r.path == "/v1/models"]
    assert asked[0].arrived < own_upstream.requests[0].arrived
    assert 'said="HTTP 404' in api.server.log() and "mostly ends in /v1" in api.server.log()
    lists = new_upstream()
    lists.models = ["another"]
    other = serve(upstream=lists)
    other.run(numbered(fresh(), 2))
    assert "model.not_listed model=m-1 upstream=default models=1 first=another" in other.server.log()


def test_f15_models_are_known_soon_after_the_engine_is_up(serve, own_upstream):
    """It was asked less and less often: up to four minutes."""
    own_upstream.models = ["m-1"]
    own_upstream.stop()
    api = serve()
    time.sleep(6)
    own_upstream.start()
    began = time.monotonic()
    wait_until(lambda: api.http.get("models").json()["data"], "the model is listed", 20)
    assert time.monotonic() - began < 8


def cpu_seconds(pid):
    with open(f"/proc/{pid}/stat", encoding="ascii") as stat:
        fields = stat.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def test_8_3_a_line_that_waits_for_its_time_costs_no_cpu(serve, own_upstream, new_upstream):
    """One upstream is gone, a line fails alone on the other: its attempts stay spread over seconds,
    and these are waited for, also while a probe of the first is due."""
    other = new_upstream()
    mark = fresh()
    own_upstream.on(f"{mark}-bad", answer_of_step("status:500"))
    other.on(f"{mark}-bad", answer_of_step("status:500"))
    api = serve(args=["--upstream", other.url])
    with api.well():
        api.run(numbered(fresh(), 40))
        other.stop()
        batch = api.create([line("bad", f"{mark}-bad"), *numbered(mark, 20)])
        own_upstream.wait_sent(f"{mark}-bad", 4)
        api.wait(batch, lambda b: b["request_counts"]["completed"] == 20)
        before = cpu_seconds(api.server.process.pid)
        time.sleep(5)
        used = cpu_seconds(api.server.process.pid) - before
    api.cancel(batch)
    api.wait(batch, "cancelled")
    assert used < 2.5, f"{used} s of CPU in 5 s"


def test_8_3_lines_of_a_suspended_organization_hold_up_no_probe(serve, own_upstream):
    """Models take turns at finding out whether their upstream is back; one whose lines may not be sent
    has none."""
    api = serve(settings={"execution.concurrency": 4})
    other = Api(api.server, api.server.new_key("others"))
    own_upstream.everything = Answer(how="reset")
    held = api.create(numbered(fresh(), 3, model="m-1"))
    api.wait(held, lambda b: b["lowtide"]["stall_reason"] == "upstream_down")
    program.run("org", "suspend", "default", *api.server.place())
    wait_until(lambda: api.http.get("files").status_code == 403, "refused", seconds=10)
    time.sleep(2)
    own_upstream.stop()
    batch = other.create(numbered(fresh(), 3, model="m-2"))
    other.wait(batch, lambda b: b["lowtide"]["stall_reason"] == "upstream_down")
    time.sleep(3)
    own_upstream.everything = None
    own_upstream.start()
    assert other.wait(batch, "completed", seconds=40)["request_counts"]["completed"] == 3
    program.run("org", "resume", "default", *api.server.place())
    wait_until(lambda: api.http.get("files").status_code == 200, "goes on", seconds=10)
    api.wait(held, "completed")
    other.close()


def test_8_3_an_online_path_that_is_not_there_holds_up_no_lines(serve, own_upstream):
    """Before any line was well a 404 is the operator's; but a client's is not the lines'."""
    mark = fresh()
    own_upstream.on(f"{mark}-online", answer_of_step("status:404"))
    api = serve()
    first = api.create(numbered(mark, 2, "hold:gate"))
    api.wait(first, lambda b: b["lowtide"]["running"] == 2)
    api.cancel(first)
    api.wait(first, "cancelled")
    asked = {"model": "m-1", "messages": [{"role": "user", "content": f"{mark}-online"}]}
    assert api.http.post("chat/completions", json=asked).status_code == 404
    batch = api.wait(api.create(numbered(fresh(), 3)), "completed", seconds=30)
    assert batch["request_counts"]["completed"] == 3
