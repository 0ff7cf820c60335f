"""Contract 13.1: the operator's keys: organizations, their keys and batches; suspended organizations."""

import re
import time

import httpx
import pytest
from support import server as program
from support.api import Api, check_batch, check_error
from support.jsonl import fresh, line
from support.wire import wait_until


@pytest.fixture
def boss(api, on_server):
    """An operator's key on api's server."""
    return on_server(api.server, api.server.operator_key())


def org_of(api, boss):
    """The name of the organization of api's key."""
    keys = boss.http.get("lowtide/keys").json()["data"]
    return next(key["org"] for key in keys if api.key.startswith(key["hint"].rstrip("…")))


def forbidden(response, profile, pattern="operator"):
    check_error(response, profile, 403, message=re.compile(pattern))


ROUTES = [
    ("GET", "lowtide/orgs"),
    ("GET", "lowtide/orgs/x"),
    ("POST", "lowtide/orgs/x"),
    ("POST", "lowtide/orgs/x/suspend"),
    ("POST", "lowtide/orgs/x/resume"),
    ("GET", "lowtide/keys"),
    ("POST", "lowtide/keys"),
    ("DELETE", "lowtide/keys/key_x"),
]


@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_13_1_these_calls_are_for_the_operator(api, method, path):
    forbidden(api.http.request(method, path), api.profile)
    with httpx.Client(base_url=api.server.base_url + "/", trust_env=False) as bare:
        assert bare.request(method, path).status_code == 401


def test_13_1_the_operator_has_no_files_and_sends_nothing(api, boss):
    file_id = api.upload([line("a", fresh())])
    org = org_of(api, boss)
    for method, path in (
        ("GET", "files"),
        ("GET", f"files/{file_id}"),
        ("GET", f"files/{file_id}/content"),
        ("DELETE", f"files/{file_id}"),
        ("POST", "batches"),
        ("POST", "chat/completions"),
        ("POST", "embeddings"),
    ):
        for query in ("", f"?org={org}"):
            body = {"json": {"model": "m-1"}} if method == "POST" else {}
            forbidden(boss.http.request(method, path + query, **body), api.profile)
    forbidden(boss.upload_raw([line("a", "x")]), api.profile)
    api.file(file_id)
    assert boss.http.get("models").status_code == 200


def test_13_1_batches_of_every_organization(api, boss, on_server):
    file_id = api.upload([line("a", f"{fresh()} | never")])
    batch = api.create(file_id, metadata={"k": "v"})
    api.wait(batch, "in_progress")
    other = on_server(api.server)
    org, other_org = org_of(api, boss), org_of(other, boss)
    mine = {"org": org}

    found = boss.http.get("batches", params={**mine, "metadata[k]": "v", "status": "in_progress"})
    assert [check_batch(one)["id"] for one in found.json()["data"]] == [batch["id"]]
    assert boss.http.get("batches", params={"org": other_org}).json()["data"] == []
    assert boss.http.get(f"batches/{batch['id']}", params=mine).json()["id"] == batch["id"]
    held = boss.http.post(f"batches/{batch['id']}/hold", params=mine)
    assert held.status_code == 200, held.text
    api.wait(batch, lambda b: b["lowtide"]["stall_reason"] == "held")
    assert boss.http.post(f"batches/{batch['id']}/resume", params=mine).status_code == 200

    # without an organization, with none that is there, with another one
    for call in ("hold", "resume", "cancel"):
        path = f"batches/{batch['id']}/{call}"
        for query in ({}, {"org": ""}):
            answer = boss.http.post(path, params=query)
            check_error(answer, api.profile, 400, "missing_required_parameter", "org")
        answer = boss.http.post(path, params={"org": "nobody " + fresh()})
        check_error(answer, api.profile, 404, param="org")
        check_error(boss.http.post(path, params={"org": other_org}), api.profile, 404)
    check_error(boss.http.get("batches"), api.profile, 400, "missing_required_parameter", "org")
    answer = boss.http.get("batches", params={"org": other_org, "after": batch["id"]})
    check_error(answer, api.profile, 400, "invalid_value", "after")

    # another organization's key gains nothing by ?org=
    check_error(other.http.get(f"batches/{batch['id']}", params=mine), api.profile, 404)
    assert other.http.get("batches", params=mine).json()["data"] == []

    assert boss.http.post(f"batches/{batch['id']}/cancel", params=mine).status_code == 200
    api.wait(batch, "cancelled")


def test_13_1_keys(api, boss, on_server):
    name = "org-" + fresh()
    answer = boss.http.post("lowtide/keys", json={"org": name})
    assert answer.status_code == 200, answer.text
    made = answer.json()
    assert set(made) == {"id", "object", "org", "operator", "hint", "created_at", "revoked_at", "key"}
    assert made["org"] == name and made["operator"] is False and made["revoked_at"] is None
    assert re.fullmatch(r"sk-[A-Za-z0-9]{48}", made["key"]) and made["hint"][:-1] in made["key"]
    user = on_server(api.server, made["key"])
    user.run([line("a", fresh())])

    page = boss.http.get("lowtide/keys", params={"org": name}).json()
    assert page["object"] == "list" and page["has_more"] is False
    assert page["data"] == [{k: v for k, v in made.items() if k != "key"}]
    assert page["first_id"] == page["last_id"] == made["id"]
    answer = boss.http.get("lowtide/keys", params={"org": "nobody " + fresh()})
    check_error(answer, api.profile, 404, param="org")
    assert made["key"] not in api.server.log()

    second = boss.http.post("lowtide/keys", json={"operator": True, "org": None}).json()
    assert second["operator"] is True and second["org"] == "operator"
    deputy = on_server(api.server, second["key"])
    assert deputy.http.get("lowtide/orgs").status_code == 200
    deleted = deputy.http.delete(f"lowtide/keys/{made['id']}")
    assert deleted.json() == {"id": made["id"], "object": "key", "deleted": True}
    assert user.http.get("files").status_code == 401
    for unknown in ("key_none", "x", made["hint"]):
        check_error(boss.http.delete(f"lowtide/keys/{unknown}"), api.profile, 404)
    assert deputy.http.delete(f"lowtide/keys/{second['id']}").status_code == 200
    assert deputy.http.get("lowtide/orgs").status_code == 401


@pytest.mark.parametrize(
    ("body", "code", "param"),
    [
        (b"", None, None),
        (b"[]", None, None),
        (b"{", None, None),
        (b"{}", "missing_required_parameter", "org"),
        (b'{"org": null}', "missing_required_parameter", "org"),
        (b'{"org": 5}', "invalid_type", "org"),
        (b'{"org": ""}', "invalid_value", "org"),
        (b'{"org": "a\\u0000b"}', "invalid_value", "org"),
        (b'{"org": "a\\nb"}', "invalid_value", "org"),
        (b'{"org": "%s"}' % (b"x" * 128), "invalid_value", "org"),
        (b'{"org": "a", "operator": "yes"}', "invalid_type", "operator"),
    ],
)
def test_13_1_bad_keys(api, boss, body, code, param):
    check_error(boss.http.post("lowtide/keys", content=body), api.profile, 400, code, param)


def test_13_1_organizations(api, boss):
    name = org_of(api, boss)
    page = boss.http.get("lowtide/orgs").json()
    assert page["object"] == "list" and page["has_more"] is False
    row = next(one for one in page["data"] if one["name"] == name)
    assert set(row) == {"id", "object", "name", "created_at", "suspended_at", "weight", "keys"}
    assert row["object"] == "org" and row["weight"] == 1 and row["keys"] == 1
    assert row["suspended_at"] is None
    one = boss.http.get(f"lowtide/orgs/{name}").json()
    assert {k: one[k] for k in row} == row
    program.run("org", "weight", name, "3", *api.server.place())
    assert boss.http.get(f"lowtide/orgs/{name}").json()["weight"] == 3
    check_error(boss.http.get("lowtide/orgs/nobody"), api.profile, 404)
    for call in ("suspend", "resume"):
        path = f"lowtide/orgs/nobody/{call}"
        check_error(boss.http.post(path), api.profile, 404)
        check_error(boss.http.post(path, content=b"["), api.profile, 400)
        answer = boss.http.post(path, json={"cancel": 1})
        check_error(answer, api.profile, 400, "invalid_type", "cancel")


def online(api):
    body = {"model": "m-1", "messages": [{"role": "user", "content": fresh()}]}
    return api.http.post("chat/completions", json=body)


def test_13_1_suspend_and_resume(api, boss, own_upstream, serve):
    """Its keys answer 403, no line is sent, its batches say why; at once, and across a kill."""
    api = serve(profile=api.profile, settings={"execution.concurrency": 2})
    boss = Api(api.server, api.server.operator_key())
    other = Api(api.server, api.server.new_key("other"))
    batch = api.create([line(str(n), f"{fresh()} | slow:0.05") for n in range(200)])
    api.wait(batch, lambda b: b["request_counts"]["completed"] > 3)
    answer = boss.http.post("lowtide/orgs/default/suspend")
    assert answer.status_code == 200 and answer.json()["suspended_at"] >= batch["created_at"]
    check_error(api.http.get("batches"), api.profile, 403, message=re.compile("'default' is suspended"))
    forbidden(online(api), api.profile, "suspended")
    assert online(other).status_code == 200
    path, mine = f"batches/{batch['id']}", {"org": "default"}

    def held():
        seen = boss.http.get(path, params=mine).json()
        if seen["lowtide"]["stall_reason"] != "held" or seen["lowtide"]["running"]:
            return None
        assert "suspended" in seen["lowtide"]["stall_message"]
        return seen["request_counts"]["completed"]

    done = wait_until(held, "the batch says that it is held, and nothing is in flight")
    sent = len(own_upstream.requests)
    api.server.kill()
    api.server.start()
    wait_until(lambda: held() is not None, "held after the restart")
    assert held() == done < 200
    assert len(own_upstream.requests) == sent
    assert boss.http.post("lowtide/orgs/default/resume").json()["suspended_at"] is None
    assert api.http.get("files").status_code == 200
    boss.close()
    other.close()
    batch = api.wait(batch, "completed")
    assert batch["request_counts"]["completed"] == 200


def test_13_1_suspended_by_another_process_at_once(serve):
    """`lowtide org suspend` beside the server: its next call is refused."""
    api = serve()
    assert online(api).status_code == 200
    for _ in range(3):
        program.run("org", "suspend", "default", *api.server.place())
        time.sleep(0.02)  # the key cache asks every 10 ms
        forbidden(online(api), api.profile, "suspended")
        program.run("org", "resume", "default", *api.server.place())
        time.sleep(0.02)
        assert online(api).status_code == 200


def test_13_1_suspend_with_cancel(serve):
    api = serve()
    boss = Api(api.server, api.server.operator_key())
    batch = api.create([line("a", f"{fresh()} | never")])
    api.wait(batch, "in_progress")
    answer = boss.http.post("lowtide/orgs/default/suspend", json={"cancel": True})
    assert answer.status_code == 200
    path = f"batches/{batch['id']}?org=default"
    wait_until(lambda: boss.http.get(path).json()["status"] == "cancelled", "it is cancelled")
    boss.http.post("lowtide/orgs/default/resume")
    boss.close()


def test_13_1_each_call_is_in_the_log(serve):
    """Who, what, when; keys and bodies never."""
    api = serve()
    key = api.server.operator_key()
    boss = Api(api.server, key)
    batch = api.create([line("a", f"{fresh()} | never")])
    boss.http.get("lowtide/orgs")
    boss.http.post(f"batches/{batch['id']}/cancel?org=default")
    boss.http.get("files")
    boss.close()
    lines = [text for text in api.server.log().splitlines() if "operator.call" in text]
    assert len(lines) == 3, lines
    assert all(re.match(r"\d{4}-\d\d-\d\dT[\d:.]+Z info +operator.call key=key_", text) for text in lines)
    assert "method=GET path=/v1/lowtide/orgs " in lines[0] and "status=200" in lines[0]
    assert f"path=/v1/batches/{batch['id']}/cancel org=default status=200" in lines[1]
    assert "path=/v1/files " in lines[2] and "status=403" in lines[2]
    assert key not in api.server.log()


def test_13_1_a_revoked_operator(serve):
    api = serve()
    key = api.server.operator_key()
    boss = Api(api.server, key)
    assert boss.http.get("lowtide/orgs").status_code == 200
    listing = program.run("key", "list", *api.server.place()).stdout
    assert re.search(r"in force  operator  operator$", listing, re.M), listing
    program.run("key", "revoke", key, *api.server.place())
    wait_until(lambda: boss.http.get("lowtide/orgs").status_code == 401, "it is revoked")
    boss.close()


def test_13_1_operator_of_the_command_line(tmp_path):
    program.run("key", "create", "--data", tmp_path, "--init", expect=2)
    program.run("key", "list", "--operator", "--data", tmp_path, "--init", expect=2)
    key = program.run("key", "create", "--data", tmp_path, "--init", "--operator", "--org", "staff")
    assert re.fullmatch(r"sk-\w{48}\n", key.stdout)
    assert "operator  staff" in program.run("key", "list", "--data", tmp_path).stdout
