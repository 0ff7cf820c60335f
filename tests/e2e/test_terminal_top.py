"""`lowtide top`: what the operator's key sees, and what an organization's does (issue 12)."""

import json
import re

import pytest
from support.api import Api
from support.jsonl import fresh, numbered
from support.terminal import Terminal, client, client_env


@pytest.fixture
def running(kimi, upstream):
    mark = fresh()
    batch = kimi.create(numbered(mark, 4, f"hold:{mark}"))
    upstream.wait_sent(mark, 4)
    yield batch
    upstream.release(mark)


@pytest.fixture
def operator(kimi):
    return {"LOWTIDE_API_KEY": kimi.server.operator_key()}


def test_an_operator_sees_everything(kimi, running, operator):
    text = client(kimi, "top", env=operator).stdout
    assert re.search(r"^UPSTREAM +STATE +BATCH +ONLINE", text, re.M), text
    assert re.search(r"^default +flows +4 +0", text, re.M), text
    assert re.search(r"^m-1 +default +4 +0 +32 +\w+", text, re.M), text
    assert re.search(r"^ORGANIZATION +WEIGHT", text, re.M) and "\x1b" not in text
    plain = [row.split("\t") for row in client(kimi, "top", "--output", "plain", env=operator).stdout.splitlines()]
    assert {"upstream", "lane", "model", "org"} <= {row[0] for row in plain}
    lane = next(row for row in plain if row[:3] == ["lane", "default", "m-1"])
    assert lane[3] == "4", plain
    widths = {}
    for row in plain:
        assert len(row) == widths.setdefault(row[0], len(row)), row
    whole = json.loads(client(kimi, "top", "--once", "--output", "json", env=operator).stdout)
    assert whole["scheduling"]["object"] == "lowtide.scheduling"
    assert all("limits" in one for one in whole["orgs"][:50]) and whole["limits"] is None


def test_no_organization_is_left_out(serve):
    """Of the first 50 their use is asked for; the others are shown without."""
    api = serve()
    boss = Api(api.server, api.server.operator_key())
    names = {f"o-{n:02}" for n in range(55)}
    for name in names:
        boss.http.post("lowtide/keys", json={"org": name}).raise_for_status()
    text = client(api, "top", "--output", "plain", env={"LOWTIDE_API_KEY": boss.key}).stdout
    rows = [row.split("\t") for row in text.splitlines() if row.startswith("org\t")]
    assert names <= {row[1] for row in rows} and {row[5] for row in rows} == {"0", "-"}
    boss.close()


def test_an_organization_sees_its_own(kimi, running):
    text = client(kimi, "top").stdout
    assert re.search(r"^default +flows ", text, re.M), text
    assert re.search(r"^LIMIT +USE +RESETS$", text, re.M) and "ORGANIZATION" not in text
    assert re.search(r"^open_batches +1\b", text, re.M), text
    whole = json.loads(client(kimi, "top", "--output", "json").stdout)
    assert whole["orgs"] is None and whole["limits"][0]["name"] == "files"


def test_a_live_screen_until_ctrl_c(kimi, running, operator):
    shown = Terminal(["top"], {**client_env(kimi), **operator}, columns=100, rows=40)
    shown.shows(r"^default +flows +4 ")
    shown.type(b"\x03")
    assert shown.end() == 130
    assert all(len(one) < 100 for one in shown.lines())
    shown.close()
    once = Terminal(["top", "--once"], {**client_env(kimi), **operator}, columns=100)
    assert once.end() == 0
    once.close()


def test_wrong_use_and_no_server(kimi):
    assert client(kimi, "top", "x", expect=2).stderr
    assert client(kimi, "top", expect=1, env={"LOWTIDE_API_KEY": "sk-wrong"}).stderr.count("\n") == 1
    assert client(kimi, "top", expect=1, url="http://127.0.0.1:9").stderr.count("\n") == 1
