"""Contract 11.3: lists of batches by status, time and metadata; all joined by "and", paged as in
section 10."""

import json
import time

import pytest
from support.api import check_batch, check_error
from support.jsonl import fresh, line
from support.wire import wait_until


def ids(api, **query):
    """All pages of two, in order; each as a page has to be."""
    found, after = [], {}
    while True:
        answer = api.http.get("batches", params={"limit": 2, **query, **after})
        assert answer.status_code == 200, answer.text
        page = answer.json()
        assert page["data"] or not page["has_more"], page
        for one in page["data"]:
            check_batch(one)
        found += [one["id"] for one in page["data"]]
        if not page["has_more"]:
            assert len(set(found)) == len(found)
            return found
        assert page["last_id"] == found[-1]
        after = {"after": page["last_id"]}


@pytest.fixture
def several(api):
    """(file, batches by name): two done, one that runs, one failed, one cancelled."""
    mark = fresh()
    good = api.upload([line("a", mark)])
    hangs = api.upload([line("a", f"{mark} | never")])
    bad = api.upload([b"{"])
    made = {
        "done": api.create(good, metadata={"team": "a", "stage": "x"}),
        "also done": api.create(good, metadata={"team": "b"}),
        "runs": api.create(hangs, metadata={"team": "a"}),
        "failed": api.create(bad, metadata={"team": "a", "stage": "x"}),
        "cancelled": api.create(hangs),
    }
    api.wait(made["cancelled"], "in_progress")
    api.cancel(made["cancelled"])
    api.wait(made["cancelled"])
    for name, status in (("done", "completed"), ("also done", "completed"), ("failed", "failed"), ("runs", "in_progress")):
        api.wait(made[name], status)
    return {name: batch["id"] for name, batch in made.items()}


def test_11_3_filters(api, several):
    b = several
    newest_first = list(b.values())[::-1]
    assert ids(api) == newest_first
    for query, names in (
        ({"status": "completed"}, ["also done", "done"]),
        ({"status": "failed,cancelled"}, ["cancelled", "failed"]),
        ({"status": ["failed", "cancelled"]}, ["cancelled", "failed"]),
        ({"status[]": ["failed", "cancelled"]}, ["cancelled", "failed"]),
        ({"status": "expired"}, []),
        ({"status": "in_progress,completed,failed,cancelled,expired"}, list(b)[::-1]),
        ({"metadata[team]": "a"}, ["failed", "runs", "done"]),
        ({"metadata[team]": "a", "metadata[stage]": "x"}, ["failed", "done"]),
        ({"metadata[team]": "a", "status": "completed"}, ["done"]),
        ({"metadata[team]": "b", "metadata[stage]": "x"}, []),
        ({"metadata[team]": "A"}, []),
        ({"metadata[team]": ""}, []),
        ({"metadata[nothing]": "a"}, []),
        ({"metadata[team]": "a", "unknown": "1"}, ["failed", "runs", "done"]),
    ):
        assert ids(api, **query) == [b[name] for name in names], query
    # `after` may be a batch that is not asked for; an unknown one is refused as ever
    assert ids(api, status="completed", after=b["runs"]) == [b["also done"], b["done"]]
    assert ids(api, status="completed", after=b["also done"]) == [b["done"]]
    answer = api.http.get("batches", params={"status": "completed", "after": "batch_none"})
    check_error(answer, api.profile, 400, "invalid_value", "after")


def test_11_3_time_is_exclusive(api):
    file_id = api.upload([line("a", fresh())])
    first = api.create(file_id, metadata={"n": "1"})
    wait_until(lambda: time.time() >= first["created_at"] + 1, "another second")
    second = api.create(file_id)
    at = second["created_at"]
    for query, found in (
        ({"created_after": at - 1}, [second]),
        ({"created_after": at}, []),
        ({"created_before": at + 1}, [second, first]),
        ({"created_before": at}, [first]),
        ({"created_after": first["created_at"], "created_before": at}, []),
        ({"created_after": first["created_at"] - 1, "created_before": at}, [first]),
        ({"created_before": at + 1, "metadata[n]": "1"}, [first]),
        ({"created_after": at + 100, "created_before": 5}, []),
        ({"created_after": 0, "created_before": 2**63 - 1}, [second, first]),
        ({"created_before": 0}, []),
    ):
        assert ids(api, **query) == [one["id"] for one in found], query


def test_11_3_any_text(api):
    """Keys and values percent-encoded; compared as texts, not as JSON is written."""
    file_id = api.upload([line("a", fresh())])
    pairs = {"a b": "x&y=z", "[k]": "100%", "ä/?#": "线,+", "": "", "%00": "q'\"", "😀": "\n"}
    made = api.create(file_id, metadata=pairs)
    raw = json.dumps({"input_file_id": file_id, "endpoint": "/v1/chat/completions", "completion_window": "24h", "metadata": {}})
    api.created(api.http.post("batches", content=raw.replace('"metadata": {}', '"metadata": {"\\u0041": "\\ud83d\\ude00"}')).json())
    escaped = api.batches[-1]
    for key, value in pairs.items():
        assert ids(api, **{f"metadata[{key}]": value}) == [made["id"]], key
    assert ids(api, **{f"metadata[{key}]": value for key, value in pairs.items()}) == [made["id"]]
    assert ids(api, **{"metadata[A]": "😀"}) == [escaped]
    assert ids(api, **{"metadata[a b]": "x"}) == []


@pytest.mark.parametrize(
    ("query", "param", "code"),
    [
        ("status=done", "status", "invalid_value"),
        ("status=", "status", "invalid_value"),
        ("status", "status", "invalid_value"),
        ("status=failed,", "status", "invalid_value"),
        ("status=failed&status=no", "status", "invalid_value"),
        ("created_after=yesterday", "created_after", "invalid_type"),
        ("created_after=-1", "created_after", "integer_below_min_value"),
        ("created_before=1e9", "created_before", "invalid_type"),
        ("created_before=", "created_before", "invalid_type"),
        ("metadata=x", "metadata", "invalid_value"),
        ("metadata[a=x", "metadata", "invalid_value"),
        ("metadata[%ff]=x", "metadata", "invalid_value"),
        ("metadata[a]=%ff", "metadata.a", "invalid_value"),
        ("metadata[a]=" + "v" * 513, "metadata.a", "string_above_max_length"),
        (f"metadata[{'k' * 65}]=x", "metadata", "property_name_above_max_length"),
        ("&".join(f"metadata[{n}]=x" for n in range(17)), "metadata", "object_above_max_properties"),
    ],
)  # fmt: skip
def test_11_3_bad_values(api, query, param, code):
    check_error(api.http.get(f"batches?{query}"), api.profile, 400, code, param)


def test_16_21_filters_show_nothing_of_others(api, several, on_server):
    other = on_server(api.server)
    for query in ({"metadata[team]": "a"}, {"status": "completed"}, {"created_after": 1}):
        assert ids(other, **query) == []
        answer = other.http.get("batches", params={**query, "after": several["done"]})
        check_error(answer, api.profile, 400, "invalid_value", "after")


def test_11_3_statuses_change_while_paging(api):
    """Each at most once, none twice; what is shown has a status that was asked for."""
    file_id = api.upload([line("a", fresh())])
    made = [api.create(file_id)["id"] for _ in range(24)]
    seen = set()
    for status in ("validating,in_progress,finalizing", "completed"):
        while True:
            answer = api.http.get("batches", params={"status": status, "limit": 3})
            page = answer.json()
            assert all(one["status"] in status.split(",") for one in page["data"]), page
            assert page["data"] or not page["has_more"]
            found = ids(api, status=status)  # checks that none comes twice
            seen |= set(found)
            if status == "completed" and len(found) == len(made):
                assert found == made[::-1]
                break
            if status != "completed" and not found:
                break
            time.sleep(0.01)
    assert seen == set(made)


def test_11_3_survives_kill_9(serve):
    api = serve()
    file_id = api.upload([line("a", fresh())])
    made = [api.create(file_id, metadata={"n": str(n % 2)})["id"] for n in range(6)]
    api.server.kill()
    api.server.start()
    assert ids(api, **{"metadata[n]": "1"}) == made[1::2][::-1]
    wait_until(lambda: ids(api, status="completed") == made[::-1], "all are done")


# ---- the official clients (14) ----


def test_14_python_client(api, several):
    sdk = api.sdk.batches
    query = {"metadata": {"team": "a"}, "status": "completed,failed"}
    assert [one.id for one in sdk.list(limit=1, extra_query=query)] == [several["failed"], several["done"]]
    query = {"status": ["failed", "cancelled"]}
    assert [one.id for one in sdk.list(extra_query=query)] == [several["cancelled"], several["failed"]]
    created = {"created_after": 5, "created_before": int(time.time()) + 5}
    assert len(list(sdk.list(limit=2, extra_query=created))) == 5


def test_14_node_client(api, several):
    from test_clients import node

    node(api, "filters.mjs", several["failed"], several["done"])
