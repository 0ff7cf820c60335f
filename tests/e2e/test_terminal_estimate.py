"""`lowtide estimate`: of a file here and of one that is there, and what is left of it (issue 12)."""

import json
import re

import pytest
from support.jsonl import fresh, jsonl, line, numbered
from support.terminal import client


@pytest.fixture
def given(tmp_path):
    path = tmp_path / "in.jsonl"
    path.write_bytes(jsonl(numbered(fresh(), 3)))
    return path


def files(api):
    return api.http.get("files").json()["data"]


def test_in_each_form_and_the_file_is_gone(kimi, given):
    text = client(kimi, "estimate", given).stdout
    assert re.search(r"^lines +3$", text, re.M) and re.search(r"^models +m-1$", text, re.M)
    assert re.search(r"^tokens in +\d+$", text, re.M) and "file" not in text
    whole = json.loads(client(kimi, "estimate", given, "--output", "json").stdout)
    assert whole["object"] == "batch.estimate" and whole["lines"] == 3 and whole["errors"] == []
    plain = client(kimi, "estimate", given, "--output", "plain", "--window", "3d").stdout
    assert plain.startswith("3\t") and plain.count("\t") == 8
    assert files(kimi) == []


def test_keep(kimi, given):
    whole = json.loads(client(kimi, "estimate", given, "--keep", "--output", "json").stdout)
    assert [one["id"] for one in files(kimi)] == [whole["file_id"]]
    again = json.loads(client(kimi, "estimate", whole["file_id"], "--output", "json").stdout)
    assert again["lines"] == 3
    assert [one["id"] for one in files(kimi)] == [whole["file_id"]], "it was not ours to delete"


def test_lines_that_cannot_run_are_told(kimi, given):
    given.write_bytes(jsonl([line("a"), b"{", line("a")]))
    told = client(kimi, "estimate", given, expect=1)
    assert re.search(r"^errors +line 2: invalid_json_line: ", told.stdout, re.M), told.stdout
    assert re.search(r"^ +line 3: duplicate_custom_id: ", told.stdout, re.M)
    assert files(kimi) == []


def test_the_endpoint_is_that_of_the_file(oai, given):
    given.write_bytes(jsonl([line("a", url="/v1/embeddings")]))
    assert json.loads(client(oai, "estimate", given, "--output", "json").stdout)["errors"] == []
    told = client(oai, "estimate", given, "--endpoint", "/v1/chat/completions", expect=1)
    assert "invalid_url" in told.stdout


def test_standard_input(kimi):
    text = jsonl(numbered(fresh(), 2)).decode()
    assert json.loads(client(kimi, "estimate", "-", "--output", "json", stdin=text).stdout)["lines"] == 2


def test_wrong_use_and_what_the_server_refuses(kimi, given, tmp_path):
    assert "which file?" in client(kimi, "estimate", expect=2).stderr
    assert "is a second" in client(kimi, "estimate", given, given, expect=2).stderr
    assert client(kimi, "estimate", tmp_path / "nothing", expect=2).stderr.count("\n") == 1
    assert client(kimi, "estimate", tmp_path, expect=2).stderr.count("\n") == 1
    told = client(kimi, "estimate", given, "--window", "1h", expect=2)
    assert "1h" in told.stderr and told.stdout == "" and files(kimi) == []
    told = client(kimi, "estimate", "file-nothing", expect=2)
    assert "file-nothing" in told.stderr
