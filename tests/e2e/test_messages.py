"""Contract 1, 8.2, 8.3, 13: Anthropic's /v1/messages, online and in batches, as vLLM has it."""

import json

import anthropic
import httpx
import pytest
from support.api import check_error
from support.jsonl import fresh, line, raw_line
from support.upstream import Answer

MESSAGES = "/v1/messages"
MODEL = "m-1"


@pytest.fixture
def client(kimi):
    """Anthropic's own client; its base URL is without the /v1."""
    made = anthropic.Anthropic(
        base_url=kimi.server.url, api_key=kimi.key, max_retries=0, timeout=60,
        http_client=anthropic.DefaultHttpxClient(trust_env=False),
    )  # fmt: skip
    yield made
    made.close()


def ask(mark):
    return {"model": MODEL, "max_tokens": 9, "messages": [{"role": "user", "content": mark}]}


def failure(kind, text):
    """An error as Anthropic and vLLM write it."""
    return json.dumps({"type": "error", "error": {"type": kind, "message": text}}).encode()


# ---- online ----


def test_1_messages_by_anthropics_client(client, kimi, upstream):
    """The key as `x-api-key`, which stays here; their version goes on."""
    mark = fresh()
    answer = client.messages.create(**ask(mark), system="be brief")
    assert answer.content[0].text == f"echo {mark}" and answer.stop_reason == "end_turn"
    assert answer.usage.input_tokens == 7 and answer.usage.cache_read_input_tokens == 4
    (seen,) = upstream.of(mark)
    assert seen.path == MESSAGES
    assert seen.header("anthropic-version") == client.default_headers["anthropic-version"]
    assert json.loads(seen.body)["system"] == "be brief"
    assert seen.header("x-api-key") is None and kimi.key.encode() not in str(seen.headers).encode()


def test_1_messages_with_a_bearer_key_and_a_beta(kimi, upstream):
    mark = fresh()
    headers = {"anthropic-version": "2023-06-01", "anthropic-beta": "some-2026-01-01"}
    assert kimi.http.post("messages", json=ask(mark), headers=headers).status_code == 200
    (seen,) = upstream.of(mark)
    assert seen.header("anthropic-beta") == "some-2026-01-01"


def event(kind, **members):
    return b"event: %s\ndata: %s\n\n" % (kind.encode(), json.dumps({"type": kind, **members}).encode())


def streamed(texts):
    """The events of a streamed answer."""
    usage = {"input_tokens": 7, "output_tokens": 1}
    begun = {"id": "msg_1", "type": "message", "role": "assistant", "model": MODEL, "content": [],
             "stop_reason": None, "stop_sequence": None, "usage": usage}  # fmt: skip
    yield event("message_start", message=begun)
    yield event("content_block_start", index=0, content_block={"type": "text", "text": ""})
    for text in texts:
        delta = {"type": "text_delta", "text": text}
        yield event("content_block_delta", index=0, delta=delta)
    yield event("content_block_stop", index=0)
    end = {"stop_reason": "end_turn", "stop_sequence": None}
    yield event("message_delta", delta=end, usage={"output_tokens": len(texts)})
    yield event("message_stop")


def test_13_messages_streamed(client, upstream):
    """Bytes as they came, which Anthropic's client reads."""
    mark = fresh()
    body = b"".join(streamed(["one ", "two ", "three"]))
    upstream.on(mark, Answer(
        body=body, how="drip", delay=0.2, headers={"Content-Type": "text/event-stream"}))  # fmt: skip
    with client.messages.stream(**ask(mark)) as stream:
        assert "".join(stream.text_stream) == "one two three"
        assert stream.get_final_message().usage.output_tokens == 3
    assert json.loads(upstream.of(mark)[0].body)["stream"] is True


@pytest.mark.parametrize(
    ("status", "kind", "raised"),
    [
        (400, "invalid_request_error", anthropic.BadRequestError),
        (429, "rate_limit_error", anthropic.RateLimitError),
        (529, "overloaded_error", anthropic.APIStatusError),
    ],
)
def test_13_messages_errors_of_the_upstream(client, upstream, status, kind, raised):
    mark = fresh()
    upstream.on(mark, Answer(status=status, body=failure(kind, "not like this")))
    with pytest.raises(raised) as caught:
        client.messages.create(**ask(mark))
    assert caught.value.status_code == status
    assert caught.value.body == json.loads(failure(kind, "not like this"))


def test_13_messages_errors_of_ours(client, serve, own_upstream):
    """Of the one shape that all errors have (2.3), which Anthropic's client takes."""
    with pytest.raises(anthropic.AuthenticationError) as caught:
        client.with_options(api_key="sk-wrong").messages.create(**ask("x"))
    assert caught.value.body["error"]["message"] == "Incorrect API key provided"
    own_upstream.models = ["m-2"]
    api = serve()
    response = api.http.get("messages")
    check_error(response, "kimi", 405, "method_not_supported")


def test_13_messages_in_both_profiles(api, upstream):
    mark = fresh()
    assert api.http.post("messages", json=ask(mark)).json()["type"] == "message"


# ---- batches ----


def test_1_usage_of_messages(oai, upstream):
    """Anthropic's body: tokens have other names (8.2)."""
    mark = fresh()
    batch = oai.run([line("a", mark, url=MESSAGES)], endpoint=MESSAGES)
    usage = batch["usage"]
    assert usage["input_tokens"] == 7 and usage["output_tokens"] == 3
    assert usage["input_tokens_details"]["cached_tokens"] == 4
    assert usage["total_tokens"] == 10
    (seen,) = upstream.of(mark)
    assert seen.path == MESSAGES
    body = oai.results(batch)[0]["a"]["response"]["body"]
    assert body["type"] == "message" and body["content"][0]["text"] == f"echo {mark}"


def test_8_2_messages_bodies_go_unchanged(oai, upstream):
    mark = fresh()
    text = b'{"max_tokens": 9,"model":"m-1",  "system":[{"type":"text","text":"\\u00e9"}],'
    text += b'"messages":[{"role":"user","content":[{"type":"text","text":"%s"}]}]}' % mark.encode()
    oai.run([raw_line("a", text, url=MESSAGES)], endpoint=MESSAGES)
    assert upstream.having(mark.encode())[0].body == text


def test_8_3_messages_errors_in_a_batch(oai, upstream):
    """A 4xx is the line's, with Anthropic's body as it came (9)."""
    mark = fresh()
    upstream.on(mark, Answer(status=400, body=failure("invalid_request_error", "max_tokens")))
    batch = oai.run([line("a", mark, url=MESSAGES)], endpoint=MESSAGES)
    response = oai.results(batch)[1]["a"]["response"]
    assert response["status_code"] == 400
    assert response["body"] == json.loads(failure("invalid_request_error", "max_tokens"))


@pytest.mark.parametrize(
    "body",
    [failure("overloaded_error", "busy"), b'{"type": "error", "message": "busy"}'],
    ids=["whole", "without error"],
)
def test_8_3_an_error_with_status_200_is_no_answer(oai, upstream, body):
    mark = fresh()
    upstream.on(mark, Answer(body=body), Answer())
    with oai.well():
        batch = oai.run([line("a", mark, url=MESSAGES)], endpoint=MESSAGES)
    assert batch["request_counts"]["completed"] == 1 and batch["lowtide"]["retried"] == 1
    assert len(upstream.of(mark)) == 2


def test_7_2_messages_may_not_stream(oai):
    batch = oai.run([line("a", fresh(), url=MESSAGES, stream=True)], until="failed", endpoint=MESSAGES)
    assert oai.errors(batch) == [("streaming_unsupported", "body.stream", 1)]


def test_1_messages_are_no_endpoint_of_kimi(kimi):
    made = kimi.create_raw(kimi.upload([line("a", url=MESSAGES)]), endpoint=MESSAGES)
    check_error(made, "kimi", 400, "invalid_value", "endpoint")


def test_2_1_x_api_key_counts_last(kimi):
    """With several, Authorization decides, then `api-key`."""
    url = f"{kimi.server.base_url}/messages"
    for headers, status in [
        ({"x-api-key": kimi.key}, 200),
        ({"x-api-key": kimi.key, "api-key": "sk-no"}, 401),
        ({"x-api-key": kimi.key, "Authorization": "Bearer sk-no"}, 401),
        ({"x-api-key": "sk-no", "Authorization": f"Bearer {kimi.key}"}, 200),
    ]:
        made = httpx.post(url, json=ask(fresh()), headers=headers, trust_env=False)
        assert made.status_code == status, headers
