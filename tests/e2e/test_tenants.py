"""Contract 2.1, 16.21: another organization's objects do not exist."""

import pytest
from support.api import check_error
from support.jsonl import fresh, line


@pytest.fixture
def two(api, on_server):
    """(A with a file, a running batch and a finished one; B with nothing; what A has)"""
    mark = fresh()
    files = [api.upload([line("a", mark)]), api.upload([line("a", f"{mark} | never")])]
    done = api.run(files[0], metadata={"k": "secret"})
    running = api.create(files[1])
    api.wait(running, "in_progress")
    return api, on_server(api.server), [*files, done["output_file_id"]], [done, running]


def test_16_21_every_route_with_an_id(two):
    a, b, files, batches = two
    for file_id in files:
        for method, path in (
            ("GET", ""),
            ("GET", "/content"),
            ("DELETE", ""),
            ("HEAD", "/content"),
        ):
            response = b.http.request(method, f"files/{file_id}{path}")
            assert response.status_code == 404
            if method != "HEAD":
                message = f"No such File object: {file_id}"
                check_error(response, b.profile, 404, param="id", message=message)
        a.file(file_id)
    for batch in batches:
        calls = (("GET", ""), ("POST", "/cancel"), ("POST", "/hold"), ("POST", "/resume"), ("POST", "/retry"))
        for method, path in calls:
            response = b.http.request(method, f"batches/{batch['id']}{path}")
            message = f"No batch found with id '{batch['id']}'."
            check_error(response, b.profile, 404, message=message)
    assert a.get(batches[1]["id"])["status"] == "in_progress"


def test_16_21_uploads(two):
    """A's upload stays pending, and B cannot name A's parts either."""
    a, b, _, _ = two
    members = {"bytes": 3, "filename": "a.jsonl", "mime_type": "x", "purpose": "batch"}
    upload, other = (one.http.post("uploads", json=members).json()["id"] for one in (a, b))
    data = {"data": ("x", b"{}\n")}
    part = a.http.post(f"uploads/{upload}/parts", files=data).json()["id"]
    for path, more in (
        ("parts", {"files": data}),
        ("complete", {"json": {"part_ids": [part]}}),
        ("cancel", {}),
    ):
        response = b.http.post(f"uploads/{upload}/{path}", **more)
        message = f"No such Upload object: {upload}"
        check_error(response, b.profile, 404, param="id", message=message)
    response = b.http.post(f"uploads/{other}/complete", json={"part_ids": [part]})
    check_error(response, b.profile, 400, "invalid_value", "part_ids")
    response = a.http.post(f"uploads/{upload}/complete", json={"part_ids": [part]})
    assert response.status_code == 200, response.text


def test_16_21_lists_and_cursors(two):
    a, b, files, batches = two
    assert b.http.get("files").json()["data"] == []
    assert b.http.get("batches").json()["data"] == []
    for path, after in (("files", files[0]), ("batches", batches[0]["id"])):
        response = b.http.get(path, params={"after": after})
        check_error(response, b.profile, 400, "invalid_value", "after")
    assert len(a.http.get("files").json()["data"]) == 3
    assert len(a.http.get("batches").json()["data"]) == 2


def test_16_21_org_in_the_query_is_the_operators_alone(two):
    """13.1: an ordinary key gains nothing by it, whether the organization exists or not."""
    a, b, _, batches = two
    for org in ("default", "no such organization", ""):
        for batch in batches:
            for method, path in (("GET", ""), ("POST", "/cancel"), ("POST", "/hold"), ("POST", "/resume")):
                response = b.http.request(method, f"batches/{batch['id']}{path}", params={"org": org})
                check_error(response, b.profile, 404)
        assert b.http.get("batches", params={"org": org}).json()["data"] == []
    assert a.get(batches[1]["id"])["status"] == "in_progress"


def test_16_21_input_file(two):
    """As if it did not exist: refused (kimi), failed (openai)."""
    _, b, files, _ = two
    unknown = "file-" + "0" * 24
    for file_id in (files[0], unknown):
        response = b.create_raw(file_id)
        if b.profile == "kimi":
            check_error(response, "kimi", 400, "invalid_value", "input_file_id")
        else:
            batch = b.wait(b.created(response.json()), "failed")
            assert b.errors(batch) == [("invalid_request", "file_id", None)]


def test_two_keys_of_one_organization_share(api, on_server):
    org = "org-" + fresh()
    one, two = (on_server(api.server, api.server.new_key(org)) for _ in range(2))
    batch = one.run([line("a", fresh())])
    assert two.get(batch["id"]) == batch
    assert two.content(batch["output_file_id"]) == one.content(batch["output_file_id"])
