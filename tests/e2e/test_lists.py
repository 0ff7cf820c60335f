"""Contract 10: lists of batches (files: test_files.py)."""

import re

import pytest
from support.api import check_batch, check_error
from support.jsonl import fresh, line


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
