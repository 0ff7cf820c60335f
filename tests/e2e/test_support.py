"""The scripted upstream does what its scripts say."""

import http.client
import json
import time

import httpx
import pytest
from support.jsonl import body, fresh
from support.upstream import Answer, parse_script


def send(upstream, text, timeout=10, query="", **more):
    url = upstream.url + "/chat/completions" + query
    return httpx.post(url, json=body(text, **more), timeout=timeout, trust_env=False)


def get(upstream, path, timeout=10):
    url = f"http://127.0.0.1:{upstream.port}{path}"
    return httpx.get(url, timeout=timeout, trust_env=False)


def events(content):
    """The values of a stream that ends as it should."""
    *pieces, done, rest = content.split(b"\n\n")
    assert done == b"data: [DONE]" and rest == b""
    return [json.loads(one.removeprefix(b"data: ")) for one in pieces]


def test_script_is_read():
    steps = parse_script("status:500 x2 then 429:3 then slow:0.1 then ok")
    assert [one.status for one in steps] == [500, 500, 429, 200, 200]
    assert steps[2].headers == {"Retry-After": "3"} and steps[3].delay == 0.1
    with pytest.raises(ValueError):
        parse_script("no-such-step")


def test_attempts_are_counted_and_scripted(own_upstream):
    mark = fresh()
    codes = [send(own_upstream, f"{mark} | status:500 x2 then ok").status_code for _ in range(4)]
    assert codes == [500, 500, 200, 200]
    assert own_upstream.counts() == {mark: 4}
    assert [r.attempt for r in own_upstream.of(mark)] == [1, 2, 3, 4]
    assert own_upstream.of(mark)[0].body == httpx.Request("POST", "x:", json=body(
        f"{mark} | status:500 x2 then ok")).content  # fmt: skip


@pytest.mark.parametrize("step", ["reset", "close", "garbage", "cut", "cutchunk", "streamcut"])
def test_faults_are_faults(own_upstream, step):
    with pytest.raises(httpx.TransportError):
        send(own_upstream, f"{fresh()} | {step}")


def test_slow_never_and_hold(own_upstream):
    mark = fresh()
    began = time.monotonic()
    assert send(own_upstream, f"{mark}s | slow:0.2").status_code == 200
    assert time.monotonic() - began >= 0.2
    with pytest.raises(httpx.ReadTimeout):
        send(own_upstream, f"{mark}n | never", timeout=0.2)
    own_upstream.wait_dropped(f"{mark}n", 1)
    own_upstream.release(mark)
    assert send(own_upstream, f"{mark}h | hold:{mark}").status_code == 200


def test_answers(own_upstream):
    mark = fresh()
    own_upstream.on(mark, Answer(201, b'{"a": 1}', {"x-request-id": "mine"}), Answer(body=b"z"))
    first, second = send(own_upstream, mark), send(own_upstream, mark)
    assert (first.status_code, first.content) == (201, b'{"a": 1}')
    assert first.headers["x-request-id"] == "mine" and second.content == b"z"
    assert len(send(own_upstream, f"{fresh()} | huge:1000000").content) > 1_000_000 - 64
    assert "\r\n" in send(own_upstream, f"{fresh()} | pretty").text
    answer = send(own_upstream, f"{fresh()} | 429:7")
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "7")


def test_stop_and_start_keep_port_and_counts(own_upstream):
    mark, port = fresh(), own_upstream.port
    send(own_upstream, mark)
    own_upstream.stop()
    with pytest.raises(httpx.ConnectError):
        send(own_upstream, mark)
    own_upstream.start()
    assert own_upstream.port == port
    send(own_upstream, mark)
    assert own_upstream.counts() == {mark: 2}


def test_kept_alive_connection(own_upstream):
    connection = http.client.HTTPConnection("127.0.0.1", own_upstream.port)
    for n in range(3):
        connection.request("POST", "/v1/chat/completions", json.dumps(body(f"k{n}")))
        assert json.loads(connection.getresponse().read())["object"] == "chat.completion"
    connection.close()
    assert own_upstream.connections == 1 and own_upstream.peak == 1


def test_models_are_listed(own_upstream):
    assert get(own_upstream, "/v1/models").status_code == 404
    own_upstream.models = ["m-1", "org/m-2"]
    for path in ("/v1/models", "/v1/models?limit=3"):
        answer = get(own_upstream, path).json()
        assert answer["object"] == "list"
        assert [one["id"] for one in answer["data"]] == ["m-1", "org/m-2"]
    assert answer["data"][0] == {
        "id": "m-1", "object": "model", "created": 1700000000, "owned_by": "scripted",
    }  # fmt: skip
    own_upstream.models = []
    assert get(own_upstream, "/v1/models").json()["data"] == []
    assert get(own_upstream, "/v1/models/m-1").status_code == 404
    paths = [r.path for r in own_upstream.other_requests]
    assert paths[1:3] == ["/v1/models", "/v1/models?limit=3"] and len(paths) == 5
    assert own_upstream.requests == [] and own_upstream.counts() == {}
    assert own_upstream.in_flight == own_upstream.peak == 0


def test_metrics_are_what_was_set(own_upstream):
    assert get(own_upstream, "/metrics").status_code == 404
    own_upstream.set_metrics(text="a 1\n")
    answer = get(own_upstream, "/metrics")
    assert (answer.status_code, answer.text) == (200, "a 1\n")
    assert answer.headers["content-type"].startswith("text/plain")
    own_upstream.set_metrics(status=500, text="\x00\xff")
    answer = get(own_upstream, "/metrics?x")
    assert (answer.status_code, answer.content) == (500, b"\x00\xff")
    own_upstream.set_metrics(text="\u20ac\ud800x")
    assert get(own_upstream, "/metrics").content == "\u20acx".encode()
    own_upstream.set_metrics(text="x" * 6_000_000)
    assert len(get(own_upstream, "/metrics").content) == 6_000_000


def test_slow_metrics_hold_nothing_up(own_upstream):
    own_upstream.set_metrics(delay=0.2)
    began = time.monotonic()
    answer = get(own_upstream, "/metrics")
    assert answer.status_code == 200 and time.monotonic() - began >= 0.2
    own_upstream.set_metrics(delay=30)
    asking = http.client.HTTPConnection("127.0.0.1", own_upstream.port)
    asking.request("GET", "/metrics")
    own_upstream.wait(lambda: len(own_upstream.other_requests) == 2, "metrics are asked for")
    assert send(own_upstream, fresh()).status_code == 200
    own_upstream.wait(lambda: own_upstream.in_flight == 0, "the answer is noted", 5)
    assert own_upstream.peak == 1 and own_upstream.other_requests[1].answered is None
    asking.close()
    own_upstream.wait(lambda: own_upstream.other_requests[1].dropped, "it ends", 5)
    assert time.monotonic() - began < 20


def test_everything_goes_before_scripts(own_upstream):
    mark = fresh()
    own_upstream.on(f"{mark}b", Answer(201))
    own_upstream.models = ["m-1"]
    own_upstream.everything = Answer(418, b"tea")
    for text in (f"{mark}a | status:500", f"{mark}b"):
        assert send(own_upstream, text).status_code == 418
    assert get(own_upstream, "/v1/models").status_code == 200
    own_upstream.everything = Answer(how="never")
    asking = http.client.HTTPConnection("127.0.0.1", own_upstream.port)
    asking.request("POST", "/v1/chat/completions", json.dumps(body(f"{mark}n")))
    own_upstream.wait_sent(f"{mark}n", 1)
    own_upstream.everything = None
    assert send(own_upstream, f"{mark}a | status:500").status_code == 500
    assert send(own_upstream, f"{mark}b").status_code == 201
    own_upstream.wait(lambda: own_upstream.in_flight == 1, "the answers are noted", 5)
    assert own_upstream.of(f"{mark}n")[0].answered is None
    asking.close()
    own_upstream.wait_dropped(f"{mark}n", 1)


def test_streams(own_upstream):
    mark = fresh()
    answer = send(own_upstream, mark, stream=True)
    assert answer.headers["content-type"] == "text/event-stream"
    assert answer.headers["transfer-encoding"] == "chunked"
    assert "content-length" not in answer.headers
    pieces = events(answer.content)
    assert [p["choices"][0]["delta"]["content"] for p in pieces] == ["t1 ", "t2 ", "t3 "]
    assert [p["choices"][0]["finish_reason"] for p in pieces] == [None, None, "stop"]
    assert {(p["object"], p["model"]) for p in pieces} == {("chat.completion.chunk", "m-1")}
    assert len({p["id"] for p in pieces}) == 1 and own_upstream.of(mark)[0].sent == answer.content
    own_upstream.wait(lambda: own_upstream.answered() == {mark: 1}, "the answer is noted", 5)
    began = time.monotonic()
    answer = send(own_upstream, f"{mark}s | stream:4:0.1", stream=True)
    assert len(events(answer.content)) == 4 and 0.3 <= time.monotonic() - began
    assert len(events(send(own_upstream, f"{mark}d | slow:0.01", stream=True).content)) == 3


def test_what_is_no_ordinary_answer_is_no_stream(own_upstream):
    mark = fresh()
    assert send(own_upstream, f"{mark} | status:500", stream=True).json()["error"]
    assert send(own_upstream, f"{mark}f", stream=False).json()["object"] == "chat.completion"
    own_upstream.on(f"{mark}b", Answer(body=b"bytes"))
    answer = send(own_upstream, f"{mark}b", stream=True)
    assert answer.content == own_upstream.of(f"{mark}b")[0].sent == b"bytes"


def test_a_stream_that_is_cut(own_upstream):
    mark, got = fresh(), b""
    url, asked = own_upstream.url + "/chat/completions", body(f"{mark} | streamcut", stream=True)
    with httpx.stream("POST", url, json=asked, trust_env=False) as answer:
        with pytest.raises(httpx.RemoteProtocolError):
            for piece in answer.iter_raw():
                got += piece
    own_upstream.wait_dropped(mark, 1)
    assert got == own_upstream.of(mark)[0].sent and got.count(b"data: ") == 2
    assert b'"stop"' not in got and b"[DONE]" not in got


def test_a_stream_ends_when_its_client_goes_away(own_upstream):
    mark = fresh()
    url = own_upstream.url + "/chat/completions"
    asked = body(f"{mark} | stream:1000:0.05", stream=True)
    with httpx.stream("POST", url, json=asked, trust_env=False) as answer:
        assert next(answer.iter_raw()).startswith(b"data: ")
    own_upstream.wait_dropped(mark, 1, 5)
    assert own_upstream.in_flight == 0 and own_upstream.answered(mark) == {}


def test_sent_is_what_was_written(own_upstream):
    for step in ("ok", "pretty", "drip:0.05", "status:500", "huge:100000", "empty"):
        mark = fresh()
        answer = send(own_upstream, f"{mark} | {step}")
        assert answer.content == own_upstream.of(mark)[0].sent, step
    with pytest.raises(httpx.TransportError):
        send(own_upstream, f"{mark}c | cut")
    sent = own_upstream.of(f"{mark}c")[0].sent
    assert sent.startswith(b"{") and not sent.endswith(b"}")


def test_headers_of_an_answer_replace_ours(own_upstream):
    mark = fresh()
    for stream in (False, True):
        own_upstream.on(mark, Answer(headers={"content-type": "text/x-any", "X-Theirs": "t"}))
        answer = send(own_upstream, mark, stream=stream)
        assert answer.headers.get_list("content-type") == ["text/x-any"]
        assert answer.headers["x-theirs"] == "t" and answer.content
    assert len(events(answer.content)) == 3


def test_query_strings(own_upstream):
    mark = fresh()
    answer = send(own_upstream, f"{mark} | status:500 then ok", query="?a=b%20c&d")
    assert answer.status_code == 500
    answer = send(own_upstream, f"{mark} | status:500 then ok", query="?a=b%20c&d")
    assert answer.json()["object"] == "chat.completion"
    assert {r.path for r in own_upstream.of(mark)} == {"/v1/chat/completions?a=b%20c&d"}
    url = own_upstream.url + "/embeddings?x=/responses"
    answer = httpx.post(url, json={"input": mark}, trust_env=False)
    assert answer.json()["data"][0]["object"] == "embedding"
