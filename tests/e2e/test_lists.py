"""Contract 10: lists of batches (files: test_files.py)."""

import contextlib
import re
import sqlite3

import pytest
from support.api import check_batch, check_error
from support.jsonl import fresh, line
from support.wire import wait_until


def listed(api, **query):
    answer = api.http.get("batches", params=query)
    assert answer.status_code == 200, answer.text
    page = answer.json()
    assert set(page) == {"object", "data", "first_id", "last_id", "has_more"}
    assert page["object"] == "list"
    for one in page["data"]:
        check_batch(one)
    assert page["first_id"] == (page["data"][0]["id"] if page["data"] else None)
    assert page["last_id"] == (page["data"][-1]["id"] if page["data"] else None)
    assert page["data"] or not page["has_more"]
    return page


def test_10_empty(api):
    assert listed(api)["data"] == []


def test_10_pages_in_any_size(api):
    """16.20, W6: many in one second, in the order of making, newest first, each once."""
    file_id = api.upload([line("a", fresh())])
    made = [api.create(file_id)["id"] for _ in range(23)]
    page = listed(api)
    assert len(page["data"]) == 20 and page["has_more"] is True  # the default limit
    assert [one["id"] for one in listed(api, limit=100)["data"]] == made[::-1]
    for limit in (1, 2, 5, 11, 22, 23, 24, 100):
        found, after = [], {}
        while True:
            page = listed(api, limit=limit, **after)
            found += [one["id"] for one in page["data"]]
            if not page["has_more"]:
                break
            after = {"after": page["last_id"]}
        assert found == made[::-1], limit


def test_10_a_batch_made_while_paging_is_on_no_later_page(api):
    """W6: also one made in the same second as those of the page."""
    file_id = api.upload([line("a", fresh())])
    made = [api.create(file_id)["id"] for _ in range(4)]
    page = listed(api, limit=2)
    for _ in range(8):
        api.create(file_id)
        rest = listed(api, after=page["last_id"])
        assert [one["id"] for one in rest["data"]] == [made[1], made[0]]


def unjudged(api):
    """Batches that are validating: from the store, since the objects are large here."""
    path = f"file:{api.server.data}/meta.db?mode=ro"
    with contextlib.closing(sqlite3.connect(path, uri=True)) as db:
        return db.execute("SELECT count(*) FROM batch WHERE status = 0").fetchone()[0]


def peak_bytes(api):
    for text in open(f"/proc/{api.server.process.pid}/status"):
        if text.startswith("VmHWM:"):
            return int(text.split()[1]) << 10
    raise AssertionError("no VmHWM")


@pytest.mark.meta_db
def test_10_a_list_of_failed_batches_is_bounded(serve):
    """E8: 100 batches of 1,001 errors each, which quote custom_ids of 512 control characters. Each
    page is an ordinary one; it may have fewer than `limit`, and pagers go by `has_more`."""
    api = serve()
    bad = line("\x01" * 512, "x")
    file_id = api.upload([bad] * 1002)
    made = [api.create(file_id)["id"] for _ in range(100)]
    wait_until(lambda: unjudged(api) == 0, "all are judged", 90)
    before = peak_bytes(api)
    found, after = [], {}
    while True:
        answer = api.http.get("batches", params={"limit": 100, **after})
        assert answer.status_code == 200 and len(answer.content) < 3 << 20
        page = answer.json()
        if not found:  # later ones: the sanitizer keeps what is freed
            assert peak_bytes(api) - before < 32 << 20
        check_batch(page["data"][0])
        assert all(len(one["errors"]["data"]) == 1001 for one in page["data"])
        found += [one["id"] for one in page["data"]]
        if not page["has_more"]:
            break
        after = {"after": page["last_id"]}
    assert found == made[::-1]


def test_10_the_last_page_is_empty_after_the_last_item(api):
    batch = api.create([line("a", fresh())])
    page = listed(api, after=batch["id"])
    assert page["data"] == [] and page["has_more"] is False


@pytest.mark.parametrize(
    ("limit", "code"),
    [
        ("101", "integer_above_max_value"),
        ("0", "integer_below_min_value"),
        ("-5", "integer_below_min_value"),
        ("many", "invalid_type"),
        ("0x10", "invalid_type"),
    ],
)
def test_5_2_limit(api, limit, code):
    message = re.compile("Invalid 'limit'" if code != "invalid_type" else ".")
    answer = api.http.get("batches", params={"limit": limit})
    check_error(answer, api.profile, 400, code, "limit", message)


@pytest.mark.parametrize("after", ["batch_unknown", "file-x", "x" * 3000, "\x00", "'"])
def test_5_2_unknown_after(api, after):
    answer = api.http.get("batches", params={"after": after})
    check_error(answer, api.profile, 400, "invalid_value", "after")


def test_10_a_batch_shows_the_same_in_the_list(api):
    batch = api.run([line("a", fresh())], metadata={"k": "v"})
    assert listed(api)["data"] == [batch]
