"""Contract 13: online requests passed on as they are, `/v1/models`, `/metrics`, the console's data."""

import concurrent.futures
import json
import os
import re
import resource
import socket
import time

import httpx
import openai
import pytest
from support.api import check_error, check_headers
from support.jsonl import fresh, numbered
from support.prometheus import parse_metrics
from support.upstream import Answer, error_body
from support.wire import Raw, request, wait_until

BOTH_CLIENTS = True

ENDPOINTS = [
    "chat/completions", "completions", "embeddings", "responses", "moderations", "rerank", "score",
    "messages",
]  # fmt: skip


def chat(content, **more):
    return {"model": "m-1", "messages": [{"role": "user", "content": content}], **more}


def dropped(upstream, mark):
    """The upstream saw its client go away."""
    return wait_until(lambda: upstream.of(mark) and upstream.of(mark)[0].dropped, "dropped", 10)


# ---- clients ----


def test_13_python_client(api, upstream):
    mark = fresh()
    done = api.sdk.chat.completions.create(**chat(mark))
    assert done.choices[0].message.content == f"echo {mark}"
    assert done._request_id.startswith("req_")
    (seen,) = upstream.of(mark)
    assert seen.path == "/v1/chat/completions"


def test_13_python_client_streaming(api, upstream):
    mark = fresh()
    stream = api.sdk.chat.completions.create(**chat(f"{mark} | stream:5:0.05", stream=True))
    times, text = [], ""
    for chunk in stream:
        times.append(time.monotonic())
        if chunk.choices:
            text += chunk.choices[0].delta.content or ""
    assert text
    assert times[-1] - times[0] > 0.15, "the pieces came all at once"
    assert len(upstream.of(mark)) == 1


def test_13_python_client_other_endpoints(api, upstream):
    mark = fresh()
    made = api.sdk.embeddings.create(model="m-1", input=mark, encoding_format="float")
    assert made.data[0].embedding == [0.5, -0.25]
    made = api.sdk.completions.create(model="m-1", prompt=mark)
    assert made.choices[0].text == f"echo {mark}"
    made = api.sdk.responses.create(model="m-1", input=mark)
    assert made.output_text == f"echo {mark}"
    assert len(upstream.of(mark)) == 3


def test_13_many_clients_at_once(kimi):
    mark = fresh()

    def one(n):
        done = kimi.sdk.chat.completions.create(**chat(f"{mark}-{n} | stream:4:0.05", stream=True))
        return len(list(done))

    with concurrent.futures.ThreadPoolExecutor(20) as pool:
        assert all(pool.map(one, range(40)))


# ---- bytes ----

BODIES = [
    b'{"model":"m-1",  "messages":[{"role":"user","content":"MARK \\u00e9"}], "n":9223372036854775808,'
    b'"t":1.0,"a":1,"a":2}\n',
    b"MARK this is not JSON",
    b"",
    b"[1, 2",
    b'"text"',
    b'{"model": 7, "prompt": "MARK"}',
    b"\xff\xfe\x00binary MARK",
]


@pytest.mark.parametrize("body", BODIES, ids=lambda body: repr(body[:12]))
def test_13_request_bytes_are_unchanged(api, upstream, body):
    """The upstream judges what is no JSON."""
    before = len(upstream.requests)
    mark = fresh().encode()
    body = body.replace(b"MARK", mark)
    response = api.http.post("chat/completions", content=body)
    assert response.status_code == 200, response.text
    sent = [r for r in upstream.requests[before:] if r.body == body]
    assert sent, "these bytes did not arrive"


@pytest.mark.parametrize("path", ENDPOINTS)
def test_13_each_endpoint_and_its_query(api, upstream, path):
    mark = fresh()
    response = api.http.post(f"{path}?a=b%20c&d", json={"model": "m-1", "input": mark})
    assert response.status_code == 200, response.text
    (seen,) = upstream.of(mark)
    assert seen.path == f"/v1/{path}?a=b%20c&d"


ANSWERS = [
    b'{ "id": "x",\r\n "v": 9223372036854775808, "t": 1.0, "e": "\\u00e9" }\n',
    b"not JSON at all \xff\x00\r\n",
    b"",
    b"x" * 3_000_000,
]


@pytest.mark.parametrize("body", ANSWERS, ids=lambda body: repr(body[:12]))
def test_13_answer_bytes_are_unchanged(api, upstream, body):
    mark = fresh()
    upstream.on(mark, Answer(body=body, headers={"Content-Type": "application/x-any"}))
    response = api.http.post("chat/completions", json=chat(mark))
    assert response.content == body
    assert response.headers["content-type"] == "application/x-any"


def test_13_sse_bytes_are_unchanged(api, upstream):
    """The same stream straight from the upstream, and through lowtide."""
    script = " | stream:6:0.01"
    mark = fresh()
    body = chat(mark + script, stream=True)
    through = api.http.post("chat/completions", json=body)
    straight = httpx.post(f"{upstream.url}/chat/completions", json=body, trust_env=False)
    assert through.headers["content-type"] == straight.headers["content-type"]
    assert "content-length" not in through.headers

    def plain(data):
        return re.sub(rb'"id": ?"[^"]*"|"created": ?\d+', b"", data)

    assert plain(through.content) == plain(straight.content)
    assert through.content.rstrip().endswith(b"data: [DONE]")


def test_13_headers_both_ways(api, upstream):
    mark = fresh()
    upstream.on(mark, Answer(headers={"X-Theirs": "t", "Set-Cookie": "c=1", "Server": "them"}))
    response = api.http.post(
        "chat/completions",
        json=chat(mark),
        headers={
            "X-Custom": "kept", "Cookie": "secret=1", "OpenAI-Organization": "secret",
            "OpenAI-Project": "secret", "Idempotency-Key": "secret", "X-Hop": "secret",
            "Connection": "keep-alive, X-Hop", "X-Stainless-Lang": "python",
        },
    )  # fmt: skip
    (seen,) = upstream.of(mark)
    assert seen.header("x-custom") == "kept" and seen.header("x-stainless-lang") == "python"
    assert seen.header("content-type") == "application/json"
    given = json.dumps(seen.headers)
    assert "secret" not in given and api.key not in given
    assert seen.header("host") == f"127.0.0.1:{upstream.port}"
    check_headers(response)
    assert response.headers["x-upstream-request-id"] == f"up-{seen.number}"
    assert response.headers["x-theirs"] == "t"
    assert "set-cookie" not in response.headers  # W5
    assert response.headers.get("server") != "them"
    assert len(response.headers.get_list("date")) == 1


def test_13_the_upstream_gets_its_own_key(serve, own_upstream):
    api = serve(env={"LOWTIDE_UPSTREAM_API_KEY": "sk-upstream"})
    mark = fresh()
    assert api.http.post("chat/completions", json=chat(mark)).status_code == 200
    assert own_upstream.of(mark)[0].header("authorization") == "Bearer sk-upstream"


@pytest.mark.parametrize("status", [400, 401, 404, 422, 429, 500, 503])
def test_13_errors_of_the_upstream_are_passed(api, upstream, status):
    """Never tried again: the client knows better."""
    mark = fresh()
    body = error_body(status)
    upstream.on(mark, Answer(status, body, {"Retry-After": "7", "X-RateLimit-Remaining": "0"}))
    response = api.http.post("chat/completions", json=chat(mark))
    assert (response.status_code, response.content) == (status, body)
    assert response.headers["retry-after"] == "7"
    assert response.headers["x-ratelimit-remaining"] == "0"
    check_headers(response)
    assert len(upstream.of(mark)) == 1


def test_13_body_up_to_the_limit_of_a_line(serve, own_upstream):
    api = serve(settings={"limits.line_bytes": "1MB"})
    mark = fresh()
    base = len(json.dumps(chat(mark, pad="")))
    whole = json.dumps(chat(mark, pad="p" * ((1 << 20) - base))).encode()
    assert len(whole) == 1 << 20
    assert api.http.post("chat/completions", content=whole).status_code == 200
    assert own_upstream.of(mark)[0].body == whole
    response = api.http.post("chat/completions", content=whole + b" ")
    check_error(response, "kimi", 413, "request_too_large")

    def pieces():
        for at in range(0, len(whole) + 1, 65536):
            yield (whole + b" ")[at : at + 65536]

    response = api.http.post("chat/completions", content=pieces())
    check_error(response, "kimi", 413, "request_too_large")
    assert len(own_upstream.of(mark)) == 1


def test_13_chunked_request_body(api, upstream):
    mark = fresh()
    text = json.dumps(chat(mark)).encode()
    response = api.http.post("chat/completions", content=iter([text[:10], text[10:]]))
    assert response.status_code == 200
    assert upstream.of(mark)[0].body == text


# ---- who may, and what is there ----


@pytest.mark.parametrize("path", [*ENDPOINTS, "models", "models/x", "lowtide/scheduling"])
def test_13_a_key_is_needed(api, path):
    method = "POST" if path in ENDPOINTS else "GET"
    for headers in ({}, {"Authorization": "Bearer sk-wrong"}):
        response = httpx.request(
            method, f"{api.server.base_url}/{path}", headers=headers, trust_env=False
        )
        assert response.status_code == 401, response.text
        assert set(response.json()["error"]) == {"message", "type", "param", "code"}


@pytest.mark.parametrize("path", ENDPOINTS)
def test_13_other_methods_are_405(api, path):
    for method in ("GET", "PUT", "DELETE"):
        response = api.http.request(method, path)
        check_error(response, api.profile, 405, "method_not_supported")
        assert response.headers["allow"] == "POST"


def test_13_unknown_path(api):
    response = api.http.post("chat/completionss", json=chat("x"))
    check_error(response, api.profile, 404, message="Invalid URL (POST /v1/chat/completionss)")
    response = api.http.post("images/generations", json={})
    check_error(response, api.profile, 404)


# ---- clients that go away ----


@pytest.mark.parametrize("how", ["close", "reset"])
@pytest.mark.parametrize("script", ["never", "slow:60"])
def test_13_a_client_gone_before_the_first_token(api, upstream, how, script):
    mark = fresh()
    body = json.dumps(chat(f"{mark} | {script}", stream=True)).encode()
    raw = Raw(api.server).send(request("POST", "/v1/chat/completions", api.key, (), body))
    upstream.wait_sent(mark, 1)
    began = time.monotonic()
    if how == "reset":
        raw.reset()
    else:
        raw.sock.close()
    dropped(upstream, mark)
    assert time.monotonic() - began < 3


def test_13_a_client_gone_in_the_middle(api, upstream):
    mark = fresh()
    body = json.dumps(chat(f"{mark} | stream:1000:0.05", stream=True)).encode()
    with Raw(api.server) as raw:
        raw.send(request("POST", "/v1/chat/completions", api.key, (), body))
        assert raw.sock.recv(65536)
    began = time.monotonic()
    dropped(upstream, mark)
    assert time.monotonic() - began < 3


def test_13_a_python_client_that_stops_reading(api, upstream):
    mark = fresh()
    stream = api.sdk.chat.completions.create(**chat(f"{mark} | stream:1000:0.05", stream=True))
    next(iter(stream))
    stream.close()
    dropped(upstream, mark)


def test_13_a_client_that_does_not_read(api, upstream):
    """What the upstream sends without end stays there, not in our memory."""
    mark = fresh()
    body = json.dumps(chat(f"{mark} | endless", stream=True)).encode()
    with Raw(api.server) as raw:
        raw.send(request("POST", "/v1/chat/completions", api.key, (), body))
        upstream.wait_sent(mark, 1)
        before = memory(api)
        time.sleep(1.5)
        assert memory(api) - before < 24 << 20
        assert api.http.get("models").status_code == 200
    dropped(upstream, mark)


def memory(api):
    pages = open(f"/proc/{api.server.process.pid}/statm").read().split()[1]
    return int(pages) * os.sysconf("SC_PAGE_SIZE")


# ---- upstreams in trouble ----


@pytest.mark.parametrize("step", ["reset", "close", "garbage"])
def test_13_no_answer_is_502(api, upstream, step):
    mark = fresh()
    response = api.http.post("chat/completions", json=chat(f"{mark} | {step}"))
    check_error(response, api.profile, 502, "upstream_error")


@pytest.mark.parametrize("step", ["cut", "cutchunk", "streamcut"])
def test_13_an_answer_that_breaks_off(api, step):
    """The client sees it: its connection ends before the answer does."""
    with pytest.raises(httpx.RemoteProtocolError):
        api.http.post("chat/completions", json=chat(f"{fresh()} | {step}", stream=True))
    assert api.http.post("chat/completions", json=chat(fresh())).status_code == 200


def test_13_upstream_down(serve, own_upstream):
    api = serve()
    assert api.http.post("chat/completions", json=chat(fresh())).status_code == 200
    own_upstream.stop()
    for _ in range(3):
        began = time.monotonic()
        response = api.http.post("chat/completions", json=chat(fresh()))
        assert response.status_code in (502, 503), response.text
        assert set(response.json()["error"]) == {"message", "type", "param", "code"}
        if response.status_code == 503:
            assert 1 <= int(response.headers["retry-after"]) <= 60
        assert time.monotonic() - began < 10
    with pytest.raises(openai.InternalServerError):
        api.sdk.chat.completions.create(**chat(fresh()))
    own_upstream.start()

    def answers():
        return api.http.post("chat/completions", json=chat(fresh())).status_code == 200

    wait_until(answers, "the upstream is used again", 5)


def test_13_many_answers_that_come_at_once(serve, own_upstream):
    """Given before the worker has let go of the request (for ThreadSanitizer to see)."""
    api = serve()
    own_upstream.stop()
    one = request("POST", "/v1/chat/completions", api.key, (), json.dumps(chat(fresh())).encode())

    def many(_):
        with Raw(api.server) as raw:
            for _ in range(100):
                assert raw.send(one).answer()[0] in (502, 503)

    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        list(pool.map(many, range(16)))
    api.server.stop()


def test_13_upstream_that_hangs_is_504(serve, own_upstream):
    api = serve(settings={"execution.line_timeout": "1s"})
    response = api.http.post("chat/completions", json=chat(f"{fresh()} | never"))
    check_error(response, "kimi", 504, "request_timeout")


def test_13_while_draining(serve, own_upstream):
    """What is under way may finish; nothing new begins."""
    api = serve(settings={"execution.drain": "60s"})
    mark = fresh()
    with concurrent.futures.ThreadPoolExecutor() as pool:
        slow = pool.submit(api.http.post, "chat/completions", json=chat(f"{mark} | hold:{mark}"))
        own_upstream.wait_sent(mark, 1)
        api.server.signal_term()

        def refused():
            try:
                response = httpx.post(
                    f"{api.server.base_url}/chat/completions",
                    json=chat(fresh()), trust_env=False,
                    headers={"Authorization": f"Bearer {api.key}"},
                )  # fmt: skip
            except httpx.TransportError:
                return True
            return response.status_code == 503 and response.headers["retry-after"]

        wait_until(refused, "503 while draining", 10)
        own_upstream.release(mark)
        response = slow.result(timeout=30)
        assert response.status_code in (200, 503)
    api.server.wait_exit()


@pytest.mark.parametrize("size", [3_000_000, 7_000_000])
def test_13_stop_with_a_slow_client(serve, own_upstream, size):
    """The upstream has answered, the client still reads: it gets all of it."""
    api = serve(settings={"execution.drain": "60s"})
    own_upstream.everything = Answer(body=b"y" * size)
    body = json.dumps(chat(fresh())).encode()
    with Raw(api.server, receive_bytes=4096) as raw:
        raw.send(request("POST", "/v1/chat/completions", api.key, (), body))
        time.sleep(0.5)
        api.server.signal_term()
        got, drained = 0, False
        while piece := raw.sock.recv(65536):
            got += len(piece)
            if not drained and "pipeline.drained" in api.server.log():
                drained = True
                time.sleep(1)
            time.sleep(0 if drained else 0.005)
    assert got > size
    api.server.wait_exit()


def test_13_stop_with_a_client_that_does_not_read(serve, own_upstream):
    """It holds the stop up for a while, not for ever."""
    api = serve(settings={"execution.drain": "60s"})
    mark = fresh()
    own_upstream.everything = Answer(body=b"y" * 4_000_000)
    body = json.dumps(chat(mark)).encode()
    with Raw(api.server) as raw:
        raw.send(request("POST", "/v1/chat/completions", api.key, (), body))
        wait_until(lambda: own_upstream.answered(mark), "answered", 10)
        api.server.signal_term()
        api.server.wait_exit(seconds=30)


def test_13_stop_with_streams_under_way(serve, own_upstream):
    api = serve(settings={"execution.drain": "1s"})
    mark = fresh()
    body = json.dumps(chat(f"{mark} | stream:1000:0.1", stream=True)).encode()
    waits = json.dumps(chat(f"{mark}w | never", stream=True)).encode()
    with Raw(api.server) as one, Raw(api.server) as two:
        one.send(request("POST", "/v1/chat/completions", api.key, (), body))
        two.send(request("POST", "/v1/chat/completions", api.key, (), waits))
        assert one.sock.recv(1000)
        own_upstream.wait_sent(mark, 2)
        api.server.stop()
        assert not one.rest().endswith(b"0\r\n\r\n"), "a cut stream looks whole"
        assert b" 503 " in two.rest()[:20]


# ---- many connections ----


def test_13_ten_thousand_idle_connections(serve, own_upstream):
    """They cost little, and nobody waits longer for them."""
    wanted = 10_000
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < wanted + 1000:
        pytest.skip(f"RLIMIT_NOFILE is {hard}")
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    api = serve()
    sockets = []
    try:
        before = memory(api)
        for n in range(wanted):
            one = socket.create_connection(("127.0.0.1", api.server.port), timeout=30)
            sockets.append(one)
            if n % 2:
                one.sendall(request("GET", "/healthz"))
        for n in range(1, wanted, 2):
            assert sockets[n].recv(4096).startswith(b"HTTP/1.1 200")
        times = []
        for _ in range(50):
            began = time.monotonic()
            assert api.http.post("chat/completions", json=chat(fresh())).status_code == 200
            times.append(time.monotonic() - began)
        assert sorted(times)[25] < 0.25
        if "build-test" not in str(api.server.command()[0]):  # ASan keeps what was freed
            assert memory(api) - before < 80 << 20
    finally:
        for one in sockets:
            one.close()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    batch = api.run(numbered(fresh(), 20))
    assert batch["request_counts"]["completed"] == 20


# ---- metrics, scheduling ----


def test_13_metrics(api):
    def look():
        response = httpx.get(f"{api.server.url}/metrics", trust_env=False)
        assert response.status_code == 200
        assert response.headers["content-type"].startswith("text/plain; version=0.0.4")
        return parse_metrics(response.text)

    look()
    api.http.post("chat/completions", json=chat(fresh()))
    api.http.get("no/such/path")
    before = look()
    series = 'lowtide_http_requests_total{route="POST /v1/chat/completions",code="2xx"}'
    other = 'lowtide_http_requests_total{route="other",code="4xx"}'
    api.http.post("chat/completions", json=chat(fresh()))
    api.http.get("no/such/path")
    after = look()
    assert after[series] == before[series] + 1 and after[other] == before[other] + 1
    assert after["process_resident_memory_bytes"] > 1 << 20
    assert after["process_cpu_seconds_total"] >= before["process_cpu_seconds_total"]
    assert after["process_open_fds"] > 5 and after["lowtide_http_connections"] >= 1
    assert any(name.startswith("lowtide_build_info{version=") for name in after)


def test_11_3_scheduling(api):
    response = api.http.get("lowtide/scheduling")
    assert response.status_code == 200
    check_headers(response)
    assert isinstance(response.json(), dict)


# ---- beside batches ----


def test_13_online_goes_ahead_of_a_backlog(serve, own_upstream):
    """A batch that keeps every slot busy does not hold an online request up."""
    api = serve(settings={"execution.concurrency": 8})
    mark = fresh()
    batch = api.create(numbered(mark, 400, "slow:0.2"))
    own_upstream.wait_sent(mark, 8)
    for _ in range(10):
        began = time.monotonic()
        response = api.http.post("chat/completions", json=chat(fresh()))
        assert response.status_code == 200
        assert time.monotonic() - began < 2
    assert api.get(batch["id"])["status"] == "in_progress"
    api.cancel(batch)
