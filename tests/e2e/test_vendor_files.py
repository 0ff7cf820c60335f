"""Contract 7.1, 3.2, 2.1: files of other vendors run as they are, on the server and at the terminal."""

import json
import re

import openai
import pytest
from support import server as program
from support.api import check_error
from support.jsonl import CHAT, fresh, jsonl, line

NAMES = ["chat/completions", "completions", "embeddings", "responses", "moderations", "rerank",
         "score", "messages"]  # fmt: skip
WAYS = ["/", "/v1/", "/v4/", "/openai/v1/"]


def vendor_line(custom_id, url, **body):
    """One line as the vendors' pages show it; `body` is the request's own."""
    members = {"custom_id": custom_id, "method": "POST", "url": url, "body": body}
    return json.dumps(members).encode()


def asking(mark, model="m-1", **more):
    messages = [
        {"role": "system", "content": "You are an AI assistant that helps people."},
        {"role": "user", "content": mark},
    ]
    return {"model": model, "messages": messages, **more}


def azure(mark):
    return [vendor_line(f"task-{n}", "/chat/completions", **asking(f"{mark}-{n}")) for n in range(3)]


def zhipu(mark):
    return [vendor_line(f"request-{n}", "/v4/chat/completions",
                        **asking(f"{mark}-{n}", temperature=0.1)) for n in range(3)]  # fmt: skip


def gateway(mark):
    return [vendor_line(f"q-{n}", "/openai/v1/chat/completions",
                        **asking(f"{mark}-{n}", max_tokens=50)) for n in range(3)]  # fmt: skip


def aliyun(mark):
    """With thinking switched off, members that lowtide does not know, CRLF and a BOM."""
    lines = [vendor_line(str(n), CHAT, **asking(f"{mark}-{n}", enable_thinking=False))
             for n in range(3)]  # fmt: skip
    return [b"\xef\xbb\xbf" + lines[0] + b"\r", lines[1] + b"\r", b"", lines[2] + b"\r"]


VENDORS = {
    "azure": (azure, "/chat/completions"),
    "zhipu": (zhipu, "/v4/chat/completions"),
    "gateway": (gateway, "/openai/v1/chat/completions"),
    "aliyun": (aliyun, CHAT),
}


@pytest.mark.parametrize("vendor", VENDORS)
def test_7_1_a_vendors_file_runs_as_it_is(api, upstream, vendor):
    """Under the endpoint that its own page names, and under ours."""
    make, endpoint = VENDORS[vendor]
    for given in {endpoint, CHAT}:
        mark = fresh()
        file_id = api.upload(make(mark), filename="Batch Input.JSONL")
        batch = api.run(file_id, endpoint=given)
        assert batch["endpoint"] == given  # echoed
        assert batch["request_counts"] == {"total": 3, "completed": 3, "failed": 0}
        for n in range(3):
            assert [r.path for r in upstream.of(f"{mark}-{n}")] == [CHAT]


@pytest.mark.parametrize("vendor", VENDORS)
def test_7_1_check_and_run_take_it_too(tmp_path, upstream, vendor):
    mark = fresh()
    path = tmp_path / "in.JSONL"
    path.write_bytes(jsonl(VENDORS[vendor][0](mark)))
    program.run("check", path)
    out = tmp_path / "out.jsonl"
    program.run("run", path, "-o", out, "--upstream", upstream.url)
    assert len(out.read_bytes().splitlines()) == 3
    for n in range(3):
        assert [r.path for r in upstream.of(f"{mark}-{n}")] == [CHAT]


@pytest.mark.parametrize("way", WAYS)
def test_7_1_run_takes_the_endpoint_in_each_way(tmp_path, upstream, way):
    mark = fresh()
    path, out = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    path.write_bytes(jsonl([line("a", mark)]))
    program.run("run", path, "-o", out, "--upstream", upstream.url, "--endpoint",
                f"{way}chat/completions")  # fmt: skip
    assert upstream.of(mark)[0].path == CHAT and json.loads(out.read_bytes())["custom_id"] == "a"


@pytest.mark.parametrize("name", NAMES)
def test_7_1_each_endpoint_in_each_way(oai, upstream, name):
    """One batch an endpoint; each line writes the url in another way, and so does the batch."""
    mark = fresh()
    path = f"/v1/{name}"
    lines = [
        line(str(n), f"{mark}-{n}", url=path).replace(
            b'"url": "%s"' % path.encode(), b'"url": "%s%s"' % (way.encode(), name.encode())
        )
        for n, way in enumerate(WAYS)
    ]
    file_id = oai.upload(lines)
    for way in WAYS:
        batch = oai.run(file_id, endpoint=f"{way}{name}")
        assert batch["endpoint"] == f"{way}{name}"
        assert batch["request_counts"]["completed"] == len(WAYS)
    for n in range(len(WAYS)):
        assert [r.path for r in upstream.of(f"{mark}-{n}")] == [path] * len(WAYS)


@pytest.mark.parametrize("endpoint", ["/v4/embeddings", "/openai/v1/responses", "/rerank"])
def test_7_1_aliases_hold_by_profile(kimi, endpoint):
    made = kimi.create_raw(kimi.upload([line("a")]), endpoint=endpoint)
    wanted = re.compile("taken where the server is set to profile: openai")
    check_error(made, "kimi", 400, "invalid_value", "endpoint", wanted)


@pytest.mark.parametrize("url", ["/v4/embeddings", "/openai/chat/completions", "/v2/chat/completions",
                                 "chat/completions", "/V1/chat/completions"])  # fmt: skip
def test_7_1_what_is_no_alias(api, url):
    text = line("a", fresh()).replace(b'"url": "%s"' % CHAT.encode(), b'"url": "%s"' % url.encode())
    batch = api.run([text], until="failed")
    assert api.errors(batch) == [("invalid_url", "url", 1)]


WHOLE = [
    ("https://api.openai.com/v1/chat/completions", CHAT),
    ("http://127.0.0.1:8000/v1/chat/completions", CHAT),
    ("https://api.groq.com/openai/v1/chat/completions", CHAT),
    ("https://open.bigmodel.cn/v4/chat/completions", CHAT),
    ("HTTPS://api.example.com/chat/completions", CHAT),
]


@pytest.mark.parametrize(("whole", "path"), WHOLE)
def test_7_1_a_whole_url_is_refused(api, tmp_path, whole, path):
    """With the form that is wanted: as endpoint, as url, and by `check`."""
    wanted = re.compile(f"Write the path alone: '{path}'")
    text = line("a", fresh(), url=CHAT).replace(
        b'"url": "%s"' % CHAT.encode(), b'"url": "%s"' % whole.encode()
    )
    made = api.create_raw(api.upload([line("a", fresh())]), endpoint=whole)
    check_error(made, api.profile, 400, "invalid_value", "endpoint", wanted)
    batch = api.run([text], until="failed")
    assert api.errors(batch) == [("invalid_url", "url", 1)]
    assert wanted.search(batch["errors"]["data"][0]["message"])
    file = tmp_path / "in.jsonl"
    file.write_bytes(jsonl([text]))
    done = program.run("check", file, expect=1)
    assert wanted.search(done.stdout), done.stdout


def test_7_1_a_whole_url_of_nothing_known(api):
    whole = "https://api.openai.com/v1/images/generations"
    made = api.create_raw(api.upload([line("a", fresh())]), endpoint=whole)
    wanted = re.compile("Write a path alone, without a host")
    check_error(made, api.profile, 400, "invalid_value", "endpoint", wanted)


# ---- names (3.2) ----


@pytest.mark.parametrize("name", ["in.jsonl", "IN.JSONL", "in.JsonL", "täglich ☃.JSONL"])
def test_3_2_names_in_any_case(api, tmp_path, name):
    file_id = api.upload([line("a", fresh())], filename=name)
    assert api.file(file_id)["filename"] == name  # as given
    (tmp_path / name).write_bytes(jsonl([line("a")]))
    program.run("check", tmp_path / name)


@pytest.mark.parametrize("name", ["in.json", "in.jsonl.gz", "in.JSONLX", "in.csv"])
def test_3_2_other_names(api, tmp_path, name):
    message = "Invalid file format for Batch API. Must be .jsonl"
    check_error(api.upload_raw([line("a")], filename=name), api.profile, 400, message=message)
    (tmp_path / name).write_bytes(jsonl([line("a")]))
    assert message in program.run("check", tmp_path / name, expect=1).stdout


# ---- Azure's client class ----


def test_7_1_azures_client(kimi):
    """`api-key`, and a query `api-version` on each call."""
    client = openai.AzureOpenAI(
        base_url=kimi.server.base_url, api_key=kimi.key, api_version="2024-10-21", max_retries=0,
        http_client=openai.DefaultHttpxClient(trust_env=False),
    )  # fmt: skip
    with client:
        file = client.files.create(
            file=("batch.JSONL", jsonl(azure(fresh()))), purpose="batch",
            extra_body={"expires_after": {"seconds": 1209600, "anchor": "created_at"}},
        )  # fmt: skip
        batch = client.batches.create(
            input_file_id=file.id, endpoint="/chat/completions", completion_window="24h"
        )
        kimi.batches.append(batch.id)
        ended = kimi.wait(batch.id)
        content = client.files.content(ended["output_file_id"]).read()
    assert ended["endpoint"] == "/chat/completions" and len(content.splitlines()) == 3


# ---- codings and types (2.1) ----


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "zstd", "compress"])
@pytest.mark.parametrize("path", ["files", "batches", "batches/batch_x/cancel"])
def test_2_1_coded_bodies_are_415(api, path, coding):
    """Whatever the call reads itself, with the word what to do."""
    kind = "multipart/form-data; boundary=x" if path == "files" else "application/json"
    headers = {"Content-Encoding": coding, "Content-Type": kind}
    response = api.http.post(path, content=b"\x28\xb5\x2f\xfd", headers=headers)
    wanted = re.compile(f"'{coding}'.*send the body as it is, without a coding")
    check_error(response, api.profile, 415, "unsupported_media_type", None, wanted)
    assert response.headers["accept-encoding"] == "identity"


@pytest.mark.parametrize("kind", ["multipart/mixed", "application/xml", "text/XML; charset=utf-8",
                                  "image/png", "audio/wav", "video/mp4"])  # fmt: skip
def test_2_1_types_that_are_no_json_are_415(api, kind):
    response = api.http.post("batches", content=b"{}", headers={"Content-Type": kind})
    wanted = re.compile("reads application/json")
    check_error(response, api.profile, 415, "unsupported_media_type", None, wanted)
