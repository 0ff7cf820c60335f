"""Contract 2.1, 16.21, 13.1: another organization's objects do not exist."""

import json
import re

import httpx
import pytest
from support.api import check_error
from support.jsonl import fresh, line
from support.wire import wait_until


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


# ---- 13.1: what the figures tell ----


def metrics(api, key=None, **headers):
    headers |= {"Authorization": f"Bearer {key}"} if key else {}
    return httpx.get(f"{api.server.url}/metrics", headers=headers, trust_env=False)


def models_in(text):
    """{model: batches} of /metrics; no other series names a model that is not among them."""
    named = set(re.findall(r'\bmodel="([^"]*)"', text))
    counts = dict(re.findall(r'^lowtide_batches\{model="([^"]*)"\} (\d+)$', text, re.M))
    assert named == set(counts)
    return {model: int(n) for model, n in counts.items() if model != "(others)" or n != "0"}


def test_13_1_figures_show_an_organization_what_is_its_own(serve, on_server, own_upstream):
    """Two organizations with a model of each and one that both use, which the upstream lists."""
    own_upstream.models = ["m-listed"]
    a = serve()
    b, idle = on_server(a.server), on_server(a.server)
    boss = a.server.operator_key()
    wait_until(lambda: '"id":"m-listed"' in a.http.get("models").text, "models are known")
    gate = fresh()
    batches = [
        (api, api.create([line("x", f"{gate} | hold:{gate}", model=model)]))
        for api, model in ((a, "m-of-a"), (a, "m-listed"), (b, "m-of-b"), (b, "m-listed"), (b, "m-listed"))
    ]
    everything = {"m-of-a": 1, "m-of-b": 1, "m-listed": 3}
    wait_until(lambda: models_in(metrics(a, boss).text) == everything, "all of them run")

    views = {a: {"m-of-a": 1, "m-listed": 1}, b: {"m-of-b": 1, "m-listed": 2}, idle: {}}
    for api, own in views.items():
        assert models_in(metrics(api, api.key).text) == own
        shown = api.http.get("lowtide/scheduling").json()
        assert set(shown) == {"object", "at", "upstreams", "models"}
        assert {one["name"]: one["batches"] for one in shown["models"]} == own
        for one in shown["models"]:
            assert set(one) == {"name", "batches", "waiting_again"}
        assert len(shown["upstreams"]) == (1 if own else 0), "those of its models"
        for upstream in shown["upstreams"]:
            assert set(upstream) == {"name", "state", "lanes"}
            assert {lane["model"] for lane in upstream["lanes"]} <= set(own)
            for lane in upstream["lanes"]:
                assert set(lane) == {"model", "concurrency_limit", "reason"}
        for other in {"m-of-a", "m-of-b"} - set(own):
            assert other not in json.dumps(shown)

    shown = a.http.get("lowtide/scheduling", headers={"Authorization": f"Bearer {boss}"}).json()
    assert {one["name"]: one["batches"] for one in shown["models"]} == everything
    assert all("decisions" in lane for one in shown["upstreams"] for lane in one["lanes"])
    # without a key: what upstreams list, which GET /v1/models shows to all, and the rest as one
    for text in (metrics(a).text, metrics(a, Authorization="").text):
        assert models_in(text) == {"m-listed": 3, "(others)": 2}
    assert models_in(metrics(a, **{"x-api-key": b.key}).text) == views[b]
    assert metrics(a, "sk-wrong").status_code == 401
    assert not re.search(r"operator\.call .*path=/metrics", a.server.log())

    own_upstream.release(gate)
    for api, batch in batches:
        api.wait(batch, "completed")
