"""Contract 2.1 and 2.3: unknown paths, methods, content types, sizes, ids in paths."""

import json
import re
import time

import httpx
import pytest
from support.api import ANY, check_error
from support.jsonl import fresh, line

ROUTES = [
    ("files", {"GET", "POST"}),
    ("files/file-abc", {"GET", "DELETE"}),
    ("files/file-abc/content", {"GET"}),
    ("uploads", {"POST"}),
    ("uploads/upload_abc/parts", {"POST"}),
    ("uploads/upload_abc/complete", {"POST"}),
    ("uploads/upload_abc/cancel", {"POST"}),
    ("batches", {"GET", "POST"}),
    ("batches/batch_abc", {"GET"}),
    ("batches/batch_abc/results", {"GET"}),
    ("batches/batch_abc/cancel", {"POST"}),
    ("lowtide/orgs", {"GET"}),
    ("lowtide/orgs/x", {"GET", "POST"}),
    ("lowtide/history", {"GET"}),
    ("batches/batch_abc/lines", {"GET"}),
    ("lowtide/orgs/x/suspend", {"POST"}),
    ("lowtide/keys", {"GET", "POST"}),
    ("lowtide/keys/key_x", {"DELETE"}),
    ("batches/batch_abc/hold", {"POST"}),
    ("batches/batch_abc/resume", {"POST"}),
    ("webhook_endpoints", {"GET", "POST"}),
    ("webhook_endpoints/we_abc", {"GET", "POST", "DELETE"}),
    ("webhook_endpoints/we_abc/rotate_secret", {"POST"}),
    ("webhook_endpoints/we_abc/test", {"POST"}),
    ("webhook_endpoints/we_abc/deliveries", {"GET"}),
    ("webhook_endpoints/we_abc/deliveries/wh_abc/replay", {"POST"}),
    ("batches/batch_abc/events", {"GET"}),
    ("lowtide/events", {"GET"}),
    ("batches/batch_abc/retry", {"POST"}),
    ("batches/estimate", {"GET", "POST"}),
]
GOOD = {"endpoint": "/v1/chat/completions", "completion_window": "24h"}


@pytest.mark.parametrize("method", ["GET", "POST", "DELETE", "PUT"])
@pytest.mark.parametrize("path", ["x", "filess", "files/a/b", "batches/a/b", "batches/a/cancel/b", "uploads/a"])
def test_2_3_unknown_path(api, method, path):
    response = api.http.request(method, path)
    message = f"Invalid URL ({method} /v1/{path})"
    check_error(response, api.profile, 404, message=message)


@pytest.mark.parametrize("path", ["files/", "batches/", "/v1//files", "/v1/files//content", "/v1"])
def test_2_1_no_redirects(api, path):
    response = api.http.get(api.server.url + path if path.startswith("/") else path)
    check_error(response, api.profile, 404, param=ANY)


@pytest.mark.parametrize(("path", "allowed"), ROUTES)
def test_2_3_other_methods_are_405_with_allow(api, path, allowed):
    for method in {"GET", "POST", "PUT", "DELETE", "PATCH"} - allowed:
        response = api.http.request(method, path)
        check_error(response, api.profile, 405, "method_not_supported")
        given = {m.strip() for m in response.headers["allow"].split(",")}
        assert given - {"HEAD", "OPTIONS"} == allowed
    if len(allowed) == 1:
        response = api.http.request("PATCH", path)
        message = f"Only {next(iter(allowed))} requests are accepted."
        check_error(response, api.profile, 405, "method_not_supported", message=message)


TYPES_READ = [
    None,
    "application/json",
    "application/json; charset=utf-8",
    "Application/JSON",
    "text/plain",
    "application/x-www-form-urlencoded",
    "application/octet-stream",
    "application/vnd.api+json",
]


@pytest.mark.parametrize("content_type", TYPES_READ)
def test_2_1_these_types_are_read_as_json(api, content_type):
    file_id = api.upload([line("a", fresh())])
    text = json.dumps({**GOOD, "input_file_id": file_id}).encode()
    headers = {"Content-Type": content_type} if content_type else {}
    response = api.http.post("batches", content=text, headers=headers)
    assert response.status_code == 200, response.text
    api.created(response.json())


TYPES_REFUSED = [
    "multipart/form-data; boundary=x",
    "multipart/mixed",
    "application/xml",
    "text/xml",
    "image/png",
    "audio/wav",
    "video/mp4",
]


@pytest.mark.parametrize("content_type", TYPES_REFUSED)
def test_2_1_these_types_are_415(api, content_type):
    text = json.dumps({**GOOD, "input_file_id": "file-x"}).encode()
    for path in ("batches", "uploads", "uploads/upload_x/complete"):
        response = api.http.post(path, content=text, headers={"Content-Type": content_type})
        check_error(response, api.profile, 415, "unsupported_media_type")


def test_2_3_json_over_one_mebibyte_is_413(api):
    text = json.dumps({**GOOD, "input_file_id": "file-x", "padding": "p" * (1 << 20)}).encode()
    check_error(api.http.post("batches", content=text), api.profile, 413, "request_too_large")

    def pieces():
        for at in range(0, len(text), 65536):
            yield text[at : at + 65536]

    response = api.http.post("batches", content=pieces())  # chunked: no length given
    check_error(response, api.profile, 413, "request_too_large")


def test_2_1_json_just_under_one_mebibyte_is_read(api):
    members = {**GOOD, "input_file_id": api.upload([line("a", fresh())]), "padding": ""}
    members["padding"] = "p" * ((1 << 20) - len(json.dumps(members)))
    text = json.dumps(members).encode()
    assert len(text) == 1 << 20
    response = api.http.post("batches", content=text)
    assert response.status_code == 200, response.text
    api.created(response.json())


NOT_JSON = [
    b"{",
    b"{'input_file_id': 'file-x'}",
    b"input_file_id=file-x",
    b'{"a": 1} trailing',
    b'{"a": "\xff\xfe"}',
    b'{"a": NaN}',
    b"\x00",
    b"[" * 100_000,
    b'{"a":' * 100_000,
    b'{"metadata": ' + b"[" * 3000 + b"]" * 3000 + b"}",
]


@pytest.mark.parametrize("text", NOT_JSON, ids=lambda text: repr(text[:12]))
def test_5_2_body_not_json(api, text):
    for path in ("batches", "uploads", "uploads/upload_x/complete"):
        response = api.http.post(path, content=text)
        message = "We could not parse the JSON body of your request."
        check_error(response, api.profile, 400, message=message)


@pytest.mark.parametrize("text", [b"", b"[]", b"null", b'"text"', b"12"])
def test_5_2_body_no_object(api, text):
    check_error(api.http.post("batches", content=text), api.profile, 400, code=ANY, param=ANY)


def test_2_1_unknown_members_are_ignored(api):
    file_id = api.upload([line("a", fresh())])
    batch = api.create(file_id, model="m", priority=3, x={"y": [1, {"z": None}]})
    assert batch["input_file_id"] == file_id


IDS = [
    "file-" + "0" * 24,
    "x",
    "batch_" + "0" * 32,
    "a" * 2000,
    "..",
    "%2e%2e%2fmeta.db",
    "..%2f..%2f..%2fetc%2fpasswd",
    "file-%00",
    "%00",
    "%ff%fe",
    "'%20OR%201=1--",
    "file-%F0%9F%98%80",
    "%25s%25n",
    "*",
]


@pytest.mark.parametrize("given", IDS)
def test_2_2_ids_in_paths_are_opaque(api, given):
    """What is not found is 404, whatever it looks like."""
    for method, path in (
        ("GET", f"files/{given}"),
        ("GET", f"files/{given}/content"),
        ("DELETE", f"files/{given}"),
        ("GET", f"batches/{given}"),
        ("POST", f"batches/{given}/cancel"),
        ("GET", f"batches/{given}/results"),
        ("POST", f"batches/{given}/hold"),
        ("POST", f"batches/{given}/resume"),
        ("GET", f"webhook_endpoints/{given}"),
        ("POST", f"webhook_endpoints/{given}/test"),
        ("GET", f"webhook_endpoints/{given}/deliveries"),
        ("POST", f"webhook_endpoints/{given}/deliveries/{given}/replay"),
        ("POST", f"uploads/{given}/cancel"),
        ("POST", f"uploads/{given}/complete"),
        ("POST", f"uploads/{given}/parts"),
        ("POST", f"batches/{given}/retry"),
    ):
        url = httpx.URL(api.server.base_url + "/" + path)
        more = {"json": {"part_ids": []}} if path.endswith("/complete") else {}
        if path.endswith("/parts"):
            more = {"files": {"data": ("x", b"y")}}
        response = api.http.request(method, url, **more)
        assert response.status_code == 404, response.text
        check_error(response, api.profile, 404, param=ANY)


def test_2_3_no_such_file(api):
    for method, path in (("GET", ""), ("GET", "/content"), ("DELETE", "")):
        response = api.http.request(method, f"files/file-x{path}")
        message = "No such File object: file-x"
        check_error(response, api.profile, 404, param="id", message=message)


def test_2_3_no_such_batch(api):
    calls = (("GET", ""), ("POST", "/cancel"), ("POST", "/hold"), ("POST", "/resume"), ("POST", "/retry"))
    for method, path in calls:
        response = api.http.request(method, f"batches/batch_x{path}")
        message = "No batch found with id 'batch_x'."
        check_error(response, api.profile, 404, message=message)


def test_2_1_times_are_integers_of_now(api):
    before = int(time.time())
    batch = api.create([line("a", fresh())])
    assert before <= batch["created_at"] <= time.time() + 1
    assert before <= api.file(batch["input_file_id"])["created_at"] <= time.time() + 1


def test_2_2_ids_are_random(api):
    """Nothing may depend on how ids sort."""
    ids = [api.upload([line("a")]) for _ in range(12)]
    assert len(set(ids)) == 12
    assert ids != sorted(ids) and ids != sorted(ids, reverse=True)
    assert not re.match(r"file-(.{6}).*", ids[0])[1] == re.match(r"file-(.{6}).*", ids[1])[1]
