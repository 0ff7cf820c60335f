"""Contract 8: bodies pass through, retries, counts, usage."""

import collections
import json
import time

import pytest
from support.api import check_headers
from support.jsonl import CHAT, body, fresh, line, numbered, raw_line
from support.upstream import Answer, error_body
from support.wire import wait_until

USAGE = {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}


def body_of(content, custom_id):
    """The bytes of response.body of one line of a result file, as they stand."""
    for text in content.split(b"\n"):
        if text and json.loads(text)["custom_id"] == custom_id:
            start = text.index(b'"body":') + len(b'"body":')
            end = (
                text.rindex(b'},"error":') if b'},"error":' in text else text.rindex(b'}, "error":')
            )
            return text[start:end].strip()
    raise AssertionError(f"no line {custom_id}")


# ---- to the upstream ----

EXACT = [
    b'{"model":"m-1","messages":[{"role":"user","content":"MARK"}],"seed":9223372036854775808}',
    b'{"model":"m-1","messages":[{"role":"user","content":"MARK"}],"n":1.0,"e":1E+2,"z":-0.0}',
    b'{"model":"m-1","messages":[{"role":"user","content":"MARK"}],'
    b'"big":123456789012345678901234567890.000000000000000000001}',
    rb'{"model":"m-1","messages":[{"role":"user","content":"MARK"}],"u":"\u00e9\/\ud83d\ude00"}',
    '{"model":"m-1","messages":[{"role":"user","content":"MARK"}],"u":"é😀\u2028"}'.encode(),
    rb'{"model":"m-1","messages":[{"role":"user","content":"MARK"}],"lone":"\ud800","n":"\u0000"}',
    b'{"z":1,"a":2,"model":"m-1","m":3,"messages":[{"content":"MARK","role":"user"}],"b":4}',
    b'{"model":"m-1","messages":[{"role":"user","content":"MARK"}],"k":1,"k":2,"k":{"k":3,"k":4}}',
    b'{ \t"model" :  "m-1" ,"messages": [ { "role":"user", "content":"MARK" } ] , "x" : [ ] \t}',
    b'{"model":"m-1","messages":[{"role":"user","content":"MARK"}],"d":'
    + b"[" * 400
    + b"]" * 400
    + b"}",
    b'{"messages":[{"role":"user","content":"MARK"}],"":"","body":{"body":1},"model":"m-1"}',
]  # fmt: skip


def test_16_14_bodies_reach_the_upstream_byte_for_byte(api, upstream):
    lines, sent = [], {}
    for n, given in enumerate(EXACT):
        mark = fresh()
        sent[mark] = given.replace(b"MARK", mark.encode())
        lines.append(raw_line(str(n), sent[mark]))
    api.results(api.run(lines))
    for mark, given in sent.items():
        assert [r.body for r in upstream.having(mark.encode())] == [given]


def test_8_2_body_anywhere_in_the_line(api, upstream):
    """Before, between and after the others; and with decoys."""
    mark = fresh()
    rest = b'"custom_id":"ID","method":"POST","url":"/v1/chat/completions"'
    given = json.dumps(body(mark)).encode()
    lines = [
        b'{"body":' + given + b"," + rest.replace(b"ID", b"1") + b"}",
        b'{"x":{"body":{"no":1}},' + rest.replace(b"ID", b"2") + b',"body":' + given + b"}",
        b'{"t":"\\"body\\":{}",' + rest.replace(b"ID", b"3") + b',"body" \t: ' + given + b',"z":1}',
        b"{" + rest.replace(b"ID", b"4") + b',"body":' + given + b"}\r",
    ]
    api.results(api.run(lines))
    assert [r.body for r in upstream.of(mark)] == [given] * 4


def test_8_2_large_body(api, upstream):
    mark = fresh()
    text = json.dumps(body(mark, pad='é\n"' * 700_000), ensure_ascii=False).encode()
    api.results(api.run([raw_line("a", text)]))
    assert upstream.of(mark)[0].body == text


def test_8_request_to_the_upstream(api, upstream):
    mark = fresh()
    api.run([line("a", mark)])
    (request,) = upstream.of(mark)
    assert (request.method, request.path) == ("POST", CHAT)
    assert request.header("content-type") == "application/json"
    names = [name.lower() for name, _ in request.headers]
    assert len(names) == len(set(names)), names
    assert api.key not in str(request.headers), "a client's key went to the upstream"


def test_8_connections_are_kept_alive(serve, own_upstream):
    api = serve(settings={"execution.concurrency": 8})
    api.run(numbered(fresh(), 800))
    assert own_upstream.connections <= 16


def test_8_concurrency_is_reached_and_never_passed(serve, own_upstream):
    api = serve(settings={"execution.concurrency": 7})
    mark = fresh()
    batch = api.create(numbered(mark, 40, f"hold:{mark}"))
    own_upstream.wait_sent(mark, 7)
    running = api.wait(batch, lambda b: b["lowtide"]["running"] == 7)
    assert running["lowtide"]["pending"] == 33
    own_upstream.release(mark)
    api.wait(batch, "completed")
    assert own_upstream.peak == 7


def test_8_concurrency_holds_over_several_batches(serve, own_upstream):
    api = serve(settings={"execution.concurrency": 5})
    marks = [fresh() for _ in range(3)]
    batches = [api.create(numbered(mark, 10, f"hold:{mark}")) for mark in marks]
    wait_until(lambda: own_upstream.in_flight == 5, "five in flight")
    for mark in marks:
        own_upstream.release(mark)
    for batch in batches:
        api.wait(batch, "completed")
    assert own_upstream.peak == 5


def test_8_a_small_batch_is_quick(api):
    """Free slots are filled at once: no ticks, no polling intervals."""
    api.run([line("a", fresh())])  # everything warm
    file_id = api.upload([line("a", fresh())])
    took = []
    for _ in range(5):
        began = time.monotonic()
        api.wait(api.create(file_id), "completed")
        took.append(time.monotonic() - began)
    assert min(took) < 1.0, took


# ---- from the upstream ----

ANSWERS = [
    b'{"id":"x","choices":[{}],"big":9223372036854775808,"f":1.0,"e":1e400,"usage":{"prompt_tokens":1}}',
    rb'{"choices":[{"message":{"content":"\u00e9 \ud83d\ude00 \n","reasoning_content":"think"}}]}',
    '{"choices":[{"message":{"content":"é😀"}}],"unknown":{"k":1,"k":2}}'.encode(),
    b'{ "spaces" :  [ 1 ,\t2 ] }',
    b'{"choices":[{}],"error":null}',
]


def test_16_14_answers_come_back_byte_for_byte(api, upstream):
    lines, given = [], {}
    for n, answer in enumerate(ANSWERS):
        mark = fresh()
        upstream.on(mark, Answer(body=answer))
        lines.append(line(str(n), mark))
        given[str(n)] = answer
    batch = api.run(lines)
    api.results(batch)
    content = api.content(batch["output_file_id"])
    for custom_id, answer in given.items():
        assert body_of(content, custom_id) == answer


def test_16_14_newlines_between_tokens_are_removed(api, upstream):
    mark = fresh()
    pretty = b'\r\n{\r\n  "choices": [\n    "a\\nb\\r",\n\n    2\n  ]\r\n}\n'
    upstream.on(mark, Answer(body=pretty))
    batch = api.run([line("a", mark), line("b", f"{mark}b | pretty")])
    output, _ = api.results(batch)
    assert output["a"]["response"]["body"] == {"choices": ["a\nb\r", 2]}
    stands = body_of(api.content(batch["output_file_id"]), "a")
    assert stands == pretty.replace(b"\r", b"").replace(b"\n", b"").strip()


def test_9_request_id_is_the_upstreams(api, upstream):
    mark = fresh()
    upstream.on(
        f"{mark}2", Answer(headers={"x-request-id": 'weird "id" é'.encode().decode("latin-1")})
    )
    upstream.on(f"{mark}3", Answer(headers={"x-request-id": ""}))
    upstream.on(f"{mark}5", Answer(headers={"x-request-id": "\xff\xfe"}))
    output, error = api.results(
        api.run([line("1", mark), line("2", f"{mark}2"), line("3", f"{mark}3"),
                 line("4", f"{mark}4 | status:404"), line("5", f"{mark}5")])
    )  # fmt: skip
    assert output["1"]["response"]["request_id"] == f"up-{upstream.of(mark)[0].number}"
    assert error["4"]["response"]["request_id"] == f"up-{upstream.of(mark + '4')[0].number}"
    assert output["3"]["response"]["request_id"].startswith("req_")  # ours


def test_8_2_other_2xx(api, upstream):
    mark = fresh()
    for status in (201, 202, 299):
        upstream.on(f"{mark}-{status}", Answer(status=status))
    output, _ = api.results(api.run([line(str(s), f"{mark}-{s}") for s in (201, 202, 299)]))
    assert {one["response"]["status_code"] for one in output.values()} == {201, 202, 299}


# ---- usage ----


def test_8_2_usage_sums(oai, upstream):
    """Each vendor's names; cached once though two places tell; only 2xx lines."""
    usages = [
        {**USAGE, "prompt_tokens_details": {"cached_tokens": 2}},
        {**USAGE, "cached_tokens": 3},
        {**USAGE, "cached_tokens": 4, "prompt_tokens_details": {"cached_tokens": 4}},
        {**USAGE, "completion_tokens_details": {"reasoning_tokens": 5}},
        {
            "input_tokens": 100,
            "input_tokens_details": {"cached_tokens": 10},
            "output_tokens": 50,
            "output_tokens_details": {"reasoning_tokens": 20},
            "total_tokens": 150,
        },
        {"prompt_tokens": 1, "total_tokens": 1},
        {"prompt_tokens": "many", "completion_tokens": -4, "total_tokens": None},
        "none",
        None,
    ]
    mark = fresh()
    lines = []
    for n, usage in enumerate(usages):
        upstream.on(f"{mark}-{n}", Answer(body=json.dumps({"id": "x", "usage": usage}).encode()))
        lines.append(line(str(n), f"{mark}-{n}"))
    upstream.on(f"{mark}-bad", Answer(400, json.dumps({"usage": USAGE}).encode()))
    lines.append(line("bad", f"{mark}-bad"))
    batch = oai.run(lines)
    assert batch["request_counts"]["completed"] == len(usages)
    usage = batch["usage"]
    assert usage["input_tokens"] == 4 * 7 + 100 + 1
    assert usage["input_tokens_details"]["cached_tokens"] == 2 + 3 + 4 + 10
    assert usage["output_tokens"] == 4 * 3 + 50
    assert usage["output_tokens_details"]["reasoning_tokens"] == 5 + 20
    assert usage["total_tokens"] == 4 * 10 + 150 + 1


# ---- retries ----


@pytest.fixture
def retrying(serve):
    """A server of its own: backoff and pauses hold nobody else up."""
    return serve(settings={"execution.max_attempts": 3, "execution.line_timeout": "2s"})


def run_steps(api, steps):
    """One line a step; (output, error, batch) by step. Others are answered well meanwhile."""
    mark = fresh()
    scripts = dict(enumerate(steps))
    lines = [line(step, f"{mark}-{n} | {step}") for n, step in scripts.items()]
    with api.well():
        batch = api.run(lines)
    return mark, *api.results(batch), batch


def attempts(upstream, mark, n):
    return len(upstream.of(f"{mark}-{n}"))


def test_8_2_retried_and_then_well(retrying, own_upstream):
    codes = [408, 409, 425, 429, 500, 502, 503, 504, 529]
    steps = [f"status:{code} then ok" for code in codes]
    steps += ["status:500 x2 then ok", "reset then ok", "close then ok", "cut then ok"]
    steps += ["cutchunk then ok", "garbage then ok", "never then ok", "html:502 then ok"]
    mark, output, error, batch = run_steps(retrying, steps)
    assert list(output) == steps and not error
    for n, step in enumerate(steps):
        assert attempts(own_upstream, mark, n) == (3 if "x2" in step else 2), step
    assert batch["lowtide"]["retried"] == len(steps) + 1
    assert batch["usage"]["total_tokens"] == 10 * len(steps)


def test_8_2_attempts_run_out(retrying, own_upstream):
    steps = ["status:500", "status:408", "reset", "close", "never", "cut", "html:502"]
    mark, output, error, batch = run_steps(retrying, steps)
    assert not output and list(error) == steps
    for n in range(len(steps)):
        # probes of what seemed to be down cost nothing
        assert 3 <= attempts(own_upstream, mark, n) <= 9, steps[n]
    for step, status in (("status:500", 500), ("status:408", 408), ("html:502", 502)):
        assert error[step]["response"]["status_code"] == status and error[step]["error"] is None
    for step in ("reset", "close", "cut"):
        assert error[step]["response"] is None
        assert error[step]["error"]["code"] == "upstream_error"
    assert error["never"]["error"]["code"] == "request_timeout"
    sent = sum(attempts(own_upstream, mark, n) for n in range(len(steps)))
    assert 2 * len(steps) <= batch["lowtide"]["retried"] <= sent


def test_8_2_other_4xx_are_final_at_once(api, upstream):
    codes = [400, 404, 405, 410, 413, 415, 422, 424, 451]
    api.run([line("first", fresh())])  # so that 404 and 405 are the line's, not the path's
    mark, output, error, batch = run_steps(api, [f"status:{code}" for code in codes])
    assert not output
    for n, code in enumerate(codes):
        one = error[f"status:{code}"]
        assert attempts(upstream, mark, n) == 1
        assert one["error"] is None and one["response"]["status_code"] == code
        assert one["response"]["body"] == {
            "error": {
                "message": f"scripted {code}",
                "type": "scripted_error",
                "param": None,
                "code": f"scripted_{code}",
            }
        }
    assert batch["lowtide"]["retried"] == 0
    assert batch["usage"]["total_tokens"] == 0


def test_8_2_error_bodies_of_any_json_come_back(api, upstream):
    """llama.cpp sends a number as `code`, FastAPI `detail`."""
    given = [b'{"error":{"code":400,"message":"x","type":"y"}}', b'{"detail":"Not Found"}', b"[1]"]
    mark = fresh()
    for n, answer in enumerate(given):
        upstream.on(f"{mark}-{n}", Answer(400, answer))
    batch = api.run([line(str(n), f"{mark}-{n}") for n in range(len(given))])
    content = api.content(batch["error_file_id"])
    assert [body_of(content, str(n)) for n in range(len(given))] == given


def test_8_2_redirects_are_not_followed(api, upstream):
    api.run([line("first", fresh())])
    mark, output, error, _ = run_steps(api, ["redirect"])
    assert not output and error["redirect"]["response"]["status_code"] == 307
    assert attempts(upstream, mark, 0) == 1
    assert not [r for r in upstream.requests if r.path == "/v1/elsewhere"]


def test_8_2_error_that_is_no_json(api, upstream):
    long = ('ü"\\\n' * 3000).encode()
    mark = fresh()
    upstream.on(f"{mark}-long", Answer(400, long))
    upstream.on(f"{mark}-bytes", Answer(404, b"\x00\xff\xfe<html>"))
    upstream.on(f"{mark}-empty", Answer(404, b""))
    names = ["html", "long", "bytes", "empty"]
    api.run([line("first", fresh())])
    _, error = api.results(
        api.run([line("html", f"{mark}-html | html:404"),
                 *(line(name, f"{mark}-{name}") for name in names[1:])])
    )  # fmt: skip
    for name in names:
        one = error[name]
        assert one["error"] is None
        found = one["response"]["body"]["error"]
        assert set(found) == {"message", "type", "param", "code"}
        assert (found["type"], found["param"], found["code"]) == (
            "upstream_error", None, "upstream_non_json",
        )  # fmt: skip
        assert len(found["message"].encode()) <= 4096
    text = error["html"]["response"]["body"]["error"]["message"]
    assert text == "<html><body><h1>Bad Gateway</h1>\nsorry</body></html>"
    text = error["long"]["response"]["body"]["error"]["message"]
    assert long.decode().startswith(text) and len(text.encode()) > 4000


def test_8_2_success_that_is_no_json(retrying, own_upstream):
    api, upstream = retrying, own_upstream
    mark = fresh()
    upstream.on(f"{mark}-0", Answer(body=b"the model is warming up"))
    upstream.on(f"{mark}-1", Answer(body=b""))
    upstream.on(f"{mark}-2", Answer(body=b'{"choices": [}'))
    upstream.on(f"{mark}-3", Answer(body=b'{"choices": []} trailing'))
    upstream.on(f"{mark}-4", Answer(body=b'data: {"choices": []}\n\ndata: [DONE]\n\n'))
    upstream.on(f"{mark}-5", Answer(body=b'{"x": "\xff"}'))
    upstream.on(f"{mark}-6", Answer(body=b"[" * 100_000))
    upstream.on(f"{mark}-7", Answer(body=b'{"x": "a\nb"}'))
    with api.well():
        batch = api.run(numbered(mark, 8))
    output, error = api.results(batch)
    assert not output and batch["request_counts"]["failed"] == 8
    for one in error.values():
        assert one["response"] is None
        assert one["error"]["code"] == "invalid_upstream_response"
        assert len(one["error"]["message"].encode()) <= 4096 + 100
    assert error[f"{mark}-0"]["error"]["message"] == (
        "The upstream's answer is not JSON: the model is warming up"
    )
    assert batch["usage"]["total_tokens"] == 0


def test_8_2_retry_after_is_obeyed(retrying, own_upstream):
    for step in ("429:2 then ok", "503:2 then ok"):
        mark = fresh()
        retrying.run([line("a", f"{mark} | {step}")])
        first, second = own_upstream.of(mark)
        assert second.arrived - first.answered >= 1.9


def test_8_2_retry_after_holds_the_others_back(serve, own_upstream):
    """On a 429 with Retry-After nothing more is sent; the batch says why it waits (11.2)."""
    api = serve(settings={"execution.concurrency": 1})
    mark = fresh()
    script = [line("a", f"{mark}-a | 429:3 then ok"), *numbered(mark, 5)]
    batch = api.create(script)
    own_upstream.wait_sent(f"{mark}-a", 1)
    api.wait(batch, lambda b: b["lowtide"]["stall_reason"] == "upstream_429", seconds=3)
    batch = api.wait(batch, "completed")
    (first, _) = own_upstream.of(f"{mark}-a")
    later = [r for r in own_upstream.requests if r.number > first.number]
    assert len(later) == 6
    assert min(r.arrived for r in later) - first.answered >= 2.9


def test_8_2_retries_back_off(retrying, own_upstream):
    """No storm: attempts of one line are apart, and apart from each other's."""
    mark = fresh()
    with retrying.well():
        retrying.run(numbered(mark, 20, "status:500 x2 then ok"))
    gaps = []
    for n in range(20):
        requests = own_upstream.of(f"{mark}-{n}")
        gaps += [b.arrived - a.answered for a, b in zip(requests, requests[1:], strict=False)]
    assert max(gaps) <= 10 and len({round(gap, 3) for gap in gaps}) > 10
    assert sum(gaps) / len(gaps) > 0.05


def test_8_2_max_attempts_from_configuration(serve, own_upstream):
    """Each attempt fails after something else was answered well meanwhile, so each is charged (8.3),
    however busy the machine is."""
    api = serve(settings={"execution.max_attempts": 1, "execution.concurrency": 4})
    mark, let = fresh(), collections.Counter()
    steps = [{"status": 500, "body": error_body(500)}, {"how": "cut"}, {"how": "reset"}]
    for n, step in enumerate(steps):
        own_upstream.on(f"{mark}-{n}", *(Answer(gate=f"{mark}-{n} {k}", **step) for k in range(1, 9)))
    batch = api.create(numbered(mark, 3))
    end = time.monotonic() + 60
    while (seen := api.get(batch["id"]))["status"] != "completed":
        assert time.monotonic() < end, own_upstream.counts(mark)
        arrived = {m: k for m, k in own_upstream.counts(mark).items() if k > let[m]}
        if arrived:
            well = {"model": "m-1", "messages": [{"role": "user", "content": "well"}]}
            assert api.http.post("chat/completions", json=well).status_code == 200
        for marker, k in arrived.items():
            own_upstream.release(f"{marker} {k}")
            let[marker] = k
    sent = [attempts(own_upstream, mark, n) for n in range(3)]
    assert sent[:2] == [1, 1]
    # one that is reset on a connection that was kept goes out again, and that is excused once
    assert sent[2] <= 3
    assert seen["lowtide"]["retried"] == sum(sent) - 3
    assert len(api.results(seen)[1]) == 3


def test_8_2_a_line_that_waits_for_its_retry_blocks_no_other(serve, own_upstream):
    api = serve(settings={"execution.concurrency": 1, "execution.max_attempts": 4})
    mark = fresh()
    batch = api.create([line("a", f"{mark}-a | status:500 x3 then ok"), *numbered(mark, 30)])
    api.wait(batch, lambda b: b["request_counts"]["completed"] >= 30)
    api.wait(batch, "completed")
    first = own_upstream.of(f"{mark}-a")
    others = [r for r in own_upstream.requests if not r.marker.endswith("-a")]
    assert min(r.arrived for r in others) < first[1].arrived
    assert len(first) == 4


# ---- counts ----


def test_16_7_counts_move_and_always_add_up(serve, own_upstream):
    """Every look is checked by Api.get; here they must also be seen moving."""
    api = serve(settings={"execution.concurrency": 4})
    mark = fresh()
    lines = [
        line(f"{mark}-{n}", f"{mark}-{n} | {'slow:0.02' if n % 5 else 'status:400'}")
        for n in range(150)
    ]
    batch = api.create(lines)
    seen = set()
    while True:
        looked = api.get(batch["id"])
        seen.add(looked["request_counts"]["completed"])
        if looked["status"] == "completed":
            break
    assert len(seen) > 5, "counts did not move while it ran"
    assert looked["request_counts"] == {"total": 150, "completed": 120, "failed": 30}


def test_8_two_batches_run_side_by_side(api, upstream):
    """One that hangs does not hold another up."""
    mark = fresh()
    stuck = api.create(numbered(mark, 3, f"hold:{mark}"))
    upstream.wait_sent(mark, 3)
    api.run(numbered(fresh(), 20))
    upstream.release(mark)
    api.wait(stuck, "completed")


def test_8_a_huge_batch_does_not_starve_a_small_one(serve, own_upstream):
    """Batches take turns, line by line."""
    api = serve(settings={"execution.concurrency": 4})
    big, small = fresh(), fresh()
    huge = api.create(numbered(big, 3000, "slow:0.05"))
    own_upstream.wait_sent(big, 4)
    other = api.create(numbered(small, 4))
    api.wait(other, "completed", seconds=30)
    assert api.get(huge["id"])["status"] == "in_progress"
    api.cancel(huge)
    api.wait(huge, "cancelled")


# ---- the upstream's key ----


def test_upstream_key_from_the_environment(serve, own_upstream, tmp_path):
    """Sent to the upstream, shown nowhere."""
    config = tmp_path / "lowtide.yaml"
    config.write_text(
        f"upstreams:\n  - name: paid\n    url: {own_upstream.url}\n    api_key_env: UPSTREAM_KEY\n"
    )
    secret = "sk-upstream-secret-123"
    api = serve(upstream=False, args=["--config", str(config)], env={"UPSTREAM_KEY": secret})
    mark = fresh()
    batch = api.run([line("a", mark), line("b", f"{mark}b | status:400")])
    for request in (*own_upstream.of(mark), *own_upstream.of(f"{mark}b")):
        assert request.header("authorization") == f"Bearer {secret}"
    check_headers(api.http.get(f"batches/{batch['id']}"))
    assert secret not in api.server.log() + api.server.stdout()


def test_upstream_base_url_with_a_slash_at_the_end(serve, own_upstream):
    class Slash:
        url = own_upstream.url + "/"

    api = serve(upstream=Slash())
    mark = fresh()
    api.run([line("a", mark)])
    assert own_upstream.of(mark)[0].path == CHAT
