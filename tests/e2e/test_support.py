"""The scripted upstream does what its scripts say."""

import http.client
import json
import time

import httpx
import pytest
from support.jsonl import body, fresh
from support.upstream import Answer, parse_script


def send(upstream, text, timeout=10):
    url = upstream.url + "/chat/completions"
    return httpx.post(url, json=body(text), timeout=timeout, trust_env=False)


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


@pytest.mark.parametrize("step", ["reset", "close", "garbage", "cut", "cutchunk"])
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
