"""Contract 7: input lines and their validation."""

import json

import pytest
from support.api import output_text
from support.jsonl import CHAT, body, fresh, jsonl, line, numbered, raw_line

BOM = b"\xef\xbb\xbf"


def members(custom_id="x", **change):
    """An input line as members; a value of ... leaves the member out."""
    whole = {"custom_id": custom_id, "method": "POST", "url": CHAT, "body": body("hi"), **change}
    return {k: v for k, v in whole.items() if v is not ...}


def bad(custom_id="x", **change):
    return json.dumps(members(custom_id, **change)).encode()


def bad_body(**change):
    whole = {**body("hi"), **change}
    return bad(body={k: v for k, v in whole.items() if v is not ...})


URL = "The URL provided for this request does not match the batch endpoint."
WHOLE_URL = f"{URL} Write the path alone: '{CHAT}'."
NOT_JSON = "This line is not parseable as valid JSON."
NOT_OBJECT = "Each line must be a JSON dictionary object"
STREAM = "Chat Completions: Streaming is not supported in the Batch API."

# (line, code, param, message or None)
BAD_LINES = {
    "text": (b"hello", "invalid_json_line", None, NOT_JSON),
    "open": (b'{"custom_id": "x"', "invalid_json_line", None, NOT_JSON),
    "two": (b"{} {}", "invalid_json_line", None, NOT_JSON),
    "single quotes": (b"{'custom_id': 'x'}", "invalid_json_line", None, NOT_JSON),
    "trailing comma": (b'{"custom_id": "x",}', "invalid_json_line", None, NOT_JSON),
    "comment": (bad()[:-1] + b"/**/}", "invalid_json_line", None, NOT_JSON),
    "NaN": (raw_line("x", b'{"model": NaN}'), "invalid_json_line", None, NOT_JSON),
    "leading zero": (raw_line("x", b'{"n": 01}'), "invalid_json_line", None, NOT_JSON),
    "NUL": (bad()[:-1] + b"\x00}", "invalid_json_line", None, NOT_JSON),
    "NUL in text": (raw_line("x", b'{"m": "\x00"}'), "invalid_json_line", None, NOT_JSON),
    "control in text": (raw_line("x", b'{"m": "\x1f"}'), "invalid_json_line", None, NOT_JSON),
    "bad escape": (raw_line("x", b'{"m": "\\x"}'), "invalid_json_line", None, NOT_JSON),
    "no UTF-8": (raw_line("x", b'{"m": "\xff"}'), "invalid_json_line", None, NOT_JSON),
    "overlong": (raw_line("x", b'{"m": "\xc0\xaf"}'), "invalid_json_line", None, NOT_JSON),
    "surrogate bytes": (
        raw_line("x", b'{"m": "\xed\xa0\x80"}'), "invalid_json_line", None, NOT_JSON,
    ),
    "cut UTF-8": (b'{"m": "\xe4\xb8"}', "invalid_json_line", None, NOT_JSON),
    "BOM inside": (BOM + bad(), "invalid_json_line", None, NOT_JSON),
    "depth bomb": (b"[" * 200_000, "invalid_json_line", None, NOT_JSON),
    "object bomb": (b'{"a":' * 100_000, "invalid_json_line", None, NOT_JSON),
    "closed bomb": (
        raw_line("x", b'{"m":' + b"[" * 50_000 + b"]" * 50_000 + b"}"),
        "invalid_json_line", None, NOT_JSON,
    ),
    "array": (b"[]", "invalid_request", None, NOT_OBJECT),
    "string": (b'"x"', "invalid_request", None, NOT_OBJECT),
    "null": (b"null", "invalid_request", None, NOT_OBJECT),
    "number": (b"12", "invalid_request", None, NOT_OBJECT),
    "no custom_id": (
        bad(custom_id=...), "missing_required_parameter", "custom_id",
        "Missing required parameter: 'custom_id'.",
    ),
    "null custom_id": (
        bad(custom_id=None), "missing_required_parameter", "custom_id",
        "Missing required parameter: 'custom_id'.",
    ),
    "no body": (
        bad(body=...), "missing_required_parameter", "body",
        "Missing required parameter: 'body'.",
    ),
    "null body": (
        bad(body=None), "missing_required_parameter", "body",
        "Missing required parameter: 'body'.",
    ),
    "empty object": (
        b"{}", "missing_required_parameter", "custom_id",
        "Missing required parameter: 'custom_id'.",
    ),
    "number custom_id": (bad(custom_id=5), "invalid_type", "custom_id", None),
    "array custom_id": (bad(custom_id=["x"]), "invalid_type", "custom_id", None),
    "string body": (bad(body="{}"), "invalid_type", "body", None),
    "array body": (bad(body=[]), "invalid_type", "body", None),
    "empty custom_id": (bad(custom_id=""), "invalid_value", "custom_id", None),
    "long custom_id": (bad(custom_id="x" * 513), "invalid_value", "custom_id", None),
    "GET": (
        bad(method="GET"), "invalid_method", "method",
        "Invalid value: 'GET'. Supported values are: 'POST'.",
    ),
    "post": (bad(method="post"), "invalid_method", "method", None),
    "number method": (bad(method=5), "invalid_method", "method", None),
    "other url": (bad(url="/v1/embeddings"), "invalid_url", "url", URL),
    "whole url": (
        bad(url="https://api.openai.com/v1/chat/completions"), "invalid_url", "url", WHOLE_URL,
    ),
    "empty url": (bad(url=""), "invalid_url", "url", URL),
    "number url": (bad(url=5), "invalid_url", "url", URL),
    "no model": (
        bad_body(model=...), "invalid_request", "body.model", "Model parameter is required.",
    ),
    "null model": (
        bad_body(model=None), "invalid_request", "body.model", "Model parameter is required.",
    ),
    "no messages": (
        bad_body(messages=...), "invalid_request", "body.messages",
        "Messages parameter is required.",
    ),
    "null messages": (
        bad_body(messages=None), "invalid_request", "body.messages",
        "Messages parameter is required.",
    ),
    "stream": (bad_body(stream=True), "streaming_unsupported", "body.stream", STREAM),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD_LINES)
def test_7_2_bad_line(api, upstream, name):
    """16.10: its number, its code, and nothing is sent upstream."""
    text, code, param, message = BAD_LINES[name]
    mark = fresh()
    data = [line("a", mark), b"", text, line("b", mark)]
    batch = api.run(jsonl(data), until="failed")
    assert api.errors(batch) == [(code, param, 3)]
    if message is not None:
        assert batch["errors"]["data"][0]["message"] == message
    assert batch["request_counts"] == {"total": 0, "completed": 0, "failed": 0}
    assert batch["output_file_id"] is None and batch["error_file_id"] is None
    assert batch["failed_at"] is not None and batch["in_progress_at"] is None
    assert upstream.counts(mark) == {}


@pytest.mark.parametrize("member", ["method", "url"])
def test_1_short_lines_openai(oai, member):
    """16.13"""
    batch = oai.run([bad(**{member: ...})], until="failed")
    assert oai.errors(batch) == [("missing_required_parameter", member, 1)]
    message = f"Missing required parameter: '{member}'."
    assert batch["errors"]["data"][0]["message"] == message


def test_1_short_lines_kimi(kimi, upstream):
    """16.13, S25: both are taken from the batch."""
    mark = fresh()
    short = [members(str(n), body=body(f"{mark}-{n}")) for n in range(4)]
    for one in short[1:]:
        del one["method"]
    for one in short[2:]:
        del one["url"]
    batch = kimi.run([json.dumps(one).encode() for one in short])
    assert set(kimi.results(batch)[0]) == {"0", "1", "2", "3"}
    assert {r.path for r in upstream.having(mark.encode())} == {CHAT}


def test_1_option_strict_lines(serve):
    api = serve("kimi", {"validation.strict_lines": "true"})
    batch = api.run([bad("a"), bad("b", method=...), bad("c", url=...)], until="failed")
    assert api.errors(batch) == [
        ("missing_required_parameter", "method", 2),
        ("missing_required_parameter", "url", 3),
    ]


def test_7_2_first_fault_in_the_order_of_the_table(api):
    many = members(custom_id="x" * 600, method="GET", url="/v1/x", body={"stream": True})
    steps = [
        ({}, "invalid_value", "custom_id"),
        ({"custom_id": "x"}, "invalid_method", "method"),
        ({"method": "POST"}, "invalid_url", "url"),
        ({"url": CHAT}, "invalid_request", "body.model"),
        ({"body": {"stream": True, "model": "m-1"}}, "invalid_request", "body.messages"),
        ({"body": body("hi", stream=True)}, "streaming_unsupported", "body.stream"),
        ({"body": body("hi")}, "duplicate_custom_id", "custom_id"),
        ({"custom_id": "y", "body": body("hi", "m-2")}, "mismatched_model", "body.model"),
    ]
    lines, expected = [bad("x")], []
    for change, code, param in steps:
        many.update(change)
        lines.append(json.dumps(many).encode())
        expected.append((code, param, len(lines)))
    lines.append(json.dumps({"body": {}}).encode())
    expected.append(("missing_required_parameter", "custom_id", len(lines)))
    lines.append(json.dumps(members(5, body="x", method="GET")).encode())
    expected.append(("invalid_type", "custom_id", len(lines)))
    found = api.errors(api.run(lines, until="failed"))
    assert found == expected


def test_7_1_other_members_order_and_space_do_not_matter(api):
    mark = fresh()
    lines = [
        b' \t{ "body" : {"messages":[{"role":"user","content":"%s-1"}],"model":"m-1"} ,'
        b'"extra": {"custom_id": 5, "body": []}, "url": "/v1/chat/completions",'
        b'"method":"POST" , "custom_id" : "one" } \t' % mark.encode(),
        # names and values may be written with escapes
        rb'{"\u0063ustom_id": "t\u0077o", "m\u0065thod": "P\u004fST", "url":'
        rb' "\/v1\/chat\/completions", "b\u006fdy": {"mod\u0065l": "m\u002d1", "m\u0065ssages":'
        rb' [{"role": "user", "content": "%s-2"}]}}' % mark.encode(),
    ]
    output, _ = api.results(api.run(lines))
    assert set(output) == {"one", "two"}


@pytest.mark.parametrize("stream", ["false", "null"])
def test_16_13_stream_false_or_null(api, stream):
    text = json.dumps(body(fresh()))[:-1] + f', "stream": {stream}}}'
    api.results(api.run([raw_line("a", text.encode())]))


def test_7_1_nothing_else_of_a_body_is_judged(api, upstream):
    """Sampling parameters, media, tools: all of it passes through."""
    mark = fresh()
    more = {
        "temperature": 0.5,
        "top_p": 0.1,
        "n": 3,
        "presence_penalty": 1,
        "frequency_penalty": -1,
        "tools": [{"type": "function", "function": {"name": "f"}}],
        "response_format": {"type": "json_object"},
    }
    api.run([line("a", mark, **more)])
    assert json.loads(upstream.of(mark)[0].body) == body(mark, **more)


# ---- the form of the file ----


def variants(lines):
    """The same requests in other forms, with the physical number of each line."""
    numbers = list(range(1, len(lines) + 1))
    return {
        "plain": (jsonl(lines), numbers),
        "bom": (BOM + jsonl(lines), numbers),
        "crlf": (b"".join(one + b"\r\n" for one in lines), numbers),
        "no newline at the end": (jsonl(lines)[:-1], numbers),
        "blank lines": (b"\n\n" + b"\n \t\n\r\n".join(lines) + b"\n\n\n", [3 * n for n in numbers]),
        "all of it": (BOM + b"\r\n" + b"\r\n\r\n".join(lines), [2 * n for n in numbers]),
    }


FORMS = list(variants([b"{}"]))


@pytest.mark.parametrize("form", FORMS)
def test_16_11_forms_of_a_good_file(api, form):
    mark = fresh()
    lines = numbered(mark, 5)
    data, _ = variants(lines)[form]
    batch = api.run(data)
    assert batch["request_counts"] == {"total": 5, "completed": 5, "failed": 0}
    output, _ = api.results(batch)
    assert list(output) == [f"{mark}-{n}" for n in range(5)]
    for custom_id, one in output.items():
        assert output_text(one) == f"echo {custom_id}"


@pytest.mark.parametrize("form", FORMS)
def test_16_11_lines_are_physical(api, form):
    lines = [bad("a"), b"{", bad("b"), bad(""), b"[]"]
    data, numbers = variants(lines)[form]
    assert api.errors(api.run(data, until="failed")) == [
        ("invalid_json_line", None, numbers[1]),
        ("invalid_value", "custom_id", numbers[3]),
        ("invalid_request", None, numbers[4]),
    ]


@pytest.mark.parametrize("data", [b"\n", b"\r\n\r\n", b" \t \n\n", BOM, BOM + b"\n", b" "])
def test_7_2_blank_file(api, data):
    batch = api.run(data, until="failed")
    assert api.errors(batch) == [("empty_file", None, None)]
    assert batch["errors"]["data"][0]["message"] == (
        "The input file is empty. Please ensure that the batch contains at least one request."
    )


def test_7_2_every_bad_line_in_order(api):
    """16.10"""
    lines, expected = [], []
    for n in range(2500):
        if n % 3:
            lines.append(bad(str(n)))
        else:
            name = list(BAD_LINES)[n % len(BAD_LINES)]
            text, code, param, _ = BAD_LINES[name]
            if len(text) > 1000:
                text, code, param = b"{", "invalid_json_line", None
            lines.append(text)
            expected.append((code, param, n + 1))
    assert api.errors(api.run(lines, until="failed")) == expected


def test_7_2_at_most_a_thousand_and_one(api):
    """16.10: 1,500 bad lines, 1,001 entries."""
    lines = [bad("a")] + [b"{"] * 1500
    batch = api.run(lines, until="failed")
    found = api.errors(batch)
    assert found[:1000] == [("invalid_json_line", None, n) for n in range(2, 1002)]
    assert found[1000:] == [("too_many_errors", None, None)]
    message = batch["errors"]["data"][1000]["message"]
    assert "1500" in message.replace(",", "")
    exactly = api.run([b"{"] * 1000, until="failed")
    assert len(exactly["errors"]["data"]) == 1000


def test_7_2_a_file_is_judged_for_each_batch(oai):
    """The same file, another endpoint: what depends on the batch is judged by the batch."""
    file_id = oai.upload([line("a", fresh())])
    batch = oai.run(file_id, until="failed", endpoint="/v1/embeddings")
    assert oai.errors(batch) == [("invalid_url", "url", 1)]
    oai.run(file_id)


@pytest.mark.parametrize("value", [True, False, None])
def test_7_2_background(oai, value):
    """V13: nobody would fetch the answer of a request in the background."""
    lines = [line("a", fresh(), url="/v1/responses", background=value)]
    batch = oai.create(lines, endpoint="/v1/responses")
    if value:
        batch = oai.wait(batch, "failed")
        assert oai.errors(batch) == [("background_unsupported", "body.background", 1)]
    else:
        oai.wait(batch, "completed")


# ---- custom_id ----

SCRIPTS = {
    "latin": ("x" * 512, "x" * 513),
    "two bytes": ("é" * 256, "é" * 256 + "x"),
    "three bytes": ("世" * 170 + "xx", "世" * 171),
    "four bytes": ("😀" * 128, "😀" * 128 + "x"),
}


@pytest.mark.parametrize("escaped", [False, True])
@pytest.mark.parametrize("name", SCRIPTS)
def test_16_12_custom_id_of_512_bytes(api, name, escaped):
    fits, too_long = SCRIPTS[name]
    assert len(fits.encode()) == 512 and len(too_long.encode()) == 513

    def text(custom_id):
        return json.dumps(members(custom_id), ensure_ascii=escaped).encode()

    output, _ = api.results(api.run([text(fits)]))
    assert set(output) == {fits}
    batch = api.run([text("y"), text(too_long)], until="failed")
    assert api.errors(batch) == [("invalid_value", "custom_id", 2)]


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ('"a"', '"a"'),
        ('"a"', r'"\u0061"'),
        (r'"\u00e9"', '"é"'),
        (r'"\ud83d\ude00"', '"😀"'),
        (r'"a\/b"', '"a/b"'),
        (r'"\u000a\t"', r'"\n\u0009"'),
    ],
)
def test_16_12_duplicate_custom_id(api, first, second):
    def text(custom_id):
        return bad("ID").replace(b'"ID"', custom_id.encode())

    lines = [text(first), text('"other"'), text(second), text('"A"'), text(first)]
    batch = api.run(lines, until="failed")
    assert api.errors(batch) == [
        ("duplicate_custom_id", "custom_id", 3),
        ("duplicate_custom_id", "custom_id", 5),
    ]
    shown = json.loads(first)
    message = batch["errors"]["data"][0]["message"]
    assert message == (
        f"The custom_id '{shown}' for this request is a duplicate of another request. "
        "The custom_id parameter must be unique for each request in a batch."
    )


def test_7_1_custom_ids_that_only_look_alike(api):
    ids = ["a", "A", " a", "a ", "á", "a\u0301", "\\u0061", "1", "01", "1.0", "null", "\U0001f600"]
    output, _ = api.results(api.run([line(one, fresh()) for one in ids]))
    assert list(output) == ids


def test_16_12_duplicates_far_apart(api):
    """Among many, also the first and the last."""
    ids = [f"id-{n}" for n in range(6000)]
    ids[5999] = "id-0"
    ids[4000] = ids[3999]
    batch = api.run([line(one) for one in ids], until="failed")
    assert api.errors(batch) == [
        ("duplicate_custom_id", "custom_id", 4001),
        ("duplicate_custom_id", "custom_id", 6000),
    ]


# ---- models ----


def test_7_2_mismatched_model(api):
    models = ["m-1", "m-1", "m-2", "m-1", "m-3", "M-1"]
    lines = [line(str(n), model=model) for n, model in enumerate(models)]
    batch = api.run(lines, until="failed")
    assert api.errors(batch) == [("mismatched_model", "body.model", n) for n in (3, 5, 6)]
    assert batch["errors"]["data"][0]["message"] == (
        "The model 'm-2' for this request does not match the rest of the batch. "
        "Each batch must contain requests for a single model."
    )


def test_7_2_many_models(api):
    """More than any small table of models holds."""
    lines = [line(str(n), model=f"model-{n}") for n in range(400)]
    found = api.errors(api.run(lines, until="failed"))
    assert found == [("mismatched_model", "body.model", n) for n in range(2, 401)]


def test_7_1_one_model_however_it_is_written(api):
    text = line("a", fresh()).replace(b'"m-1"', rb'"m\u002d1"')
    assert api.run([line("b", fresh()), text])["model"] == "m-1"


# ---- limits ----


def test_7_2_too_many_tasks(serve, profile):
    api = serve(profile, {"limits.lines_per_file": 10})
    good = b"\n\n".join(numbered(fresh(), 10))
    assert api.run(good)["request_counts"]["total"] == 10
    batch = api.run(numbered(fresh(), 11), until="failed")
    assert api.errors(batch) == [("too_many_tasks", None, None)]


@pytest.fixture
def vendor(serve):
    """The profile `openai` with its vendor's figures."""
    return serve("openai", {"limits.vendor": "true"})


def test_3_3_openai_takes_50000_lines(oai, vendor):
    """The vendor's limit; a bad line keeps the good half from running."""
    lines = [b'{"custom_id":"%d"}' % n for n in range(50_001)]
    batch = vendor.run(lines, until="failed")
    assert ("too_many_tasks", None, None) in vendor.errors(batch)
    assert "(limits.lines_per_file)" in batch["errors"]["data"][0]["message"]
    batch = vendor.run(lines[:50_000], until="failed")
    assert ("too_many_tasks", None, None) not in vendor.errors(batch)
    batch = oai.run(lines, until="failed")  # any number by default
    assert ("too_many_tasks", None, None) not in oai.errors(batch)


def test_3_3_openai_takes_50000_inputs_to_embeddings(vendor):
    def embeddings(*counts):
        lines = []
        for n, count in enumerate(counts):
            one = members(str(n), url="/v1/embeddings")
            one["body"] = {"model": "m-1", "input": [fresh()] + ["x"] * (count - 1)}
            lines.append(json.dumps(one).encode())
        return lines

    full = vendor.run(embeddings(49_999, 1), endpoint="/v1/embeddings")
    assert full["request_counts"]["completed"] == 2
    over = vendor.run(embeddings(25_000, 25_001), endpoint="/v1/embeddings", until="failed")
    assert vendor.errors(over) == [("too_many_tasks", None, None)]


def test_3_3_line_over_the_limit(serve, profile):
    """`invalid_request` on that line; one of just the limit runs; the others are judged."""
    api = serve(profile, {"limits.line_bytes": 5000})
    mark = fresh()
    padding = 5000 - len(line("full", mark, pad=""))
    full = line("full", mark, pad="p" * padding)
    assert len(full) == 5000
    assert set(api.results(api.run([full]))[0]) == {"full"}
    over = line("over", mark, pad="p" * (padding + 1))
    huge = line("huge", mark, pad="p" * 3_000_000)
    no_json = b"x" * 10_000
    batch = api.run([line("a"), over, b"{", huge, no_json, line("a")], until="failed")
    assert api.errors(batch) == [
        ("invalid_request", None, 2),
        ("invalid_json_line", None, 3),
        ("invalid_request", None, 4),
        ("invalid_request", None, 5),
        ("duplicate_custom_id", "custom_id", 6),
    ]


def test_3_3_default_limit_of_a_line_is_16_mib(kimi):
    mark = fresh()
    empty = len(line("a", mark, pad=""))
    full = line("a", mark, pad="p" * ((16 << 20) - empty))
    assert len(full) == 16 << 20
    batch = kimi.run([full])
    assert batch["request_counts"]["completed"] == 1
    over = line("a", mark, pad="p" * ((16 << 20) - empty + 1))
    assert kimi.errors(kimi.run([over], until="failed")) == [("invalid_request", None, 1)]


def test_7_2_model_not_found(serve, own_upstream, tmp_path):
    config = tmp_path / "lowtide.yaml"
    config.write_text(
        "upstreams:\n"
        "  - name: main\n"
        f"    url: {own_upstream.url}\n"
        "    models: [served, also-served]\n"
    )
    api = serve("openai", upstream=False, args=["--config", str(config)])
    api.run([line("a", fresh(), model="also-served")])
    batch = api.run([line("a", model="other"), line("b", model="other")], until="failed")
    assert api.errors(batch) == [("model_not_found", "body.model", n) for n in (1, 2)]
    message = "The provided model 'other' is not supported by the Batch API."
    assert batch["errors"]["data"][0]["message"] == message


# ---- options ----


@pytest.mark.parametrize("limit", ["requests", "tokens"])
def test_7_2_enqueued_limits(serve, own_upstream, on_server, limit):
    """Only if configured; per organization and model; free again when a batch has ended."""
    most = 10 if limit == "requests" else 600
    api = serve("openai", {f"limits.enqueued_{limit}": most, "execution.concurrency": 32})
    mark, pad = fresh(), "word " * 200  # some 250 tokens a line, however they are estimated
    pad = "" if limit == "requests" else pad
    count = 8 if limit == "requests" else 1
    first = api.create(numbered(mark, count, f"hold:{mark}", pad=pad))
    own_upstream.wait_sent(mark, count)
    more = numbered(fresh(), 8, pad=pad)
    batch = api.run(more, until="failed")
    code = "request_limit_exceeded" if limit == "requests" else "token_limit_exceeded"
    assert api.errors(batch) == [(code, None, None)]
    message = batch["errors"]["data"][0]["message"]
    assert message.startswith(f"Enqueued {limit[:-1]} limit reached for m-1 in organization ")
    assert f"Limit: {10 if limit == 'requests' else 600} enqueued {limit}." in message
    api.run(numbered(fresh(), count, model="m-2", pad=pad))
    on_server(api.server).run(numbered(fresh(), count, pad=pad))
    own_upstream.release(mark)
    api.wait(first, "completed")
    api.run(numbered(fresh(), count, pad=pad))


def test_7_1_option_to_refuse_sampling(serve):
    """Kimi's rule, where it is configured."""
    api = serve(settings={"validation.refuse_sampling": "true"})
    names = ["temperature", "top_p", "n", "presence_penalty", "frequency_penalty"]
    lines = [line("good", fresh())] + [line(name, **{name: 1}) for name in names]
    found = api.errors(api.run(lines, until="failed"))
    assert [number for _, _, number in found] == [2, 3, 4, 5, 6]
    assert all(param.startswith("body") for _, param, _ in found)
