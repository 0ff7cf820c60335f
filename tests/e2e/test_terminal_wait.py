"""`lowtide wait`: each exit code, forms, a server started anew (issue 12)."""

import json
import re
import subprocess
import time

import pytest
from support import server as program
from support.jsonl import fresh, line, numbered
from support.relay import Relay
from support.server import clean_env
from support.terminal import Terminal, client, client_env


@pytest.fixture
def good(kimi):
    return kimi.run(numbered(fresh(), 2))


@pytest.fixture
def some_failed(kimi):
    mark = fresh()
    with kimi.well():
        return kimi.run([line(mark, mark), line(f"{mark}-bad", f"{mark}-bad | status:400")])


@pytest.fixture
def cancelled(kimi, upstream):
    mark = fresh()
    batch = kimi.create(numbered(mark, 2, f"hold:{mark}"))
    upstream.wait_sent(mark, 2)
    kimi.cancel(batch)
    upstream.release(mark)
    return kimi.wait(batch, "cancelled")


def start(api, *args, url=None):
    return subprocess.Popen(
        [str(program.BINARY), "wait", *args], text=True, env=clean_env(client_env(api, url)),
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


def test_exit_codes(kimi, good, some_failed, cancelled):
    bad = kimi.run([b"{"], until="failed")
    for code, ids in [
        (0, [good["id"]]),
        (0, [good["id"].removeprefix("batch_")]),
        (3, [some_failed["id"]]),
        (4, [cancelled["id"]]),
        (4, [bad["id"]]),
        (3, [some_failed["id"], good["id"]]),
        (4, [cancelled["id"], some_failed["id"], good["id"]]),
        (1, ["batch_nothing"]),
    ]:
        told = client(kimi, "wait", *ids, expect=code)
        assert told.stdout == "", told.stdout
        assert told.stderr


def test_of_several_one_that_is_not_there(kimi, good, some_failed):
    told = client(kimi, "wait", good["id"], "batch_no", some_failed["id"], expect=1).stderr.splitlines()
    assert [one for one in told if "batch_no" in one] == [told[1]]
    assert good["id"] in told[0] and some_failed["id"] in told[2]


def test_what_is_told_stands_below_the_bar(kimi, good, some_failed):
    shown = Terminal(["wait", good["id"], "batch_no", some_failed["id"]], client_env(kimi))
    assert shown.end() == 1
    told = [one for one in re.split(r"[\r\n]+", shown.text) if "lowtide: " in one]
    assert len(told) == 3 and all(one.startswith("lowtide: ") for one in told), shown.text
    shown.close()


def test_time_out_is_124(kimi, upstream, good):
    mark = fresh()
    batch = kimi.create(numbered(mark, 1, f"hold:{mark}"))
    begun = time.monotonic()
    told = client(kimi, "wait", "--timeout", "1s", batch["id"], good["id"], expect=124)
    assert 1 <= time.monotonic() - begun < 30
    assert "time is up" in told.stderr
    upstream.release(mark)
    client(kimi, "wait", batch["id"], "--timeout", "60")


def test_objects_for_scripts(kimi, good, some_failed):
    told = client(kimi, "wait", some_failed["id"], good["id"], "--output", "json", expect=3)
    assert [json.loads(one) for one in told.stdout.splitlines()] == [some_failed, good]
    told = client(kimi, "wait", good["id"], "--output", "plain")
    assert told.stdout.split("\t")[:2] == [good["id"], "completed"]


@pytest.mark.parametrize(
    "args", [["wait"], ["wait", "x", "--timeout", "soon"], ["wait", "x", "--timeout", "0"]]
)
def test_wrong_use_is_2(kimi, args):
    assert client(kimi, *args, expect=2).stderr


def test_a_server_that_is_started_anew_is_waited_for(serve, own_upstream):
    api = serve()
    relay = Relay(lambda: api.server.port)
    mark = fresh()
    batch = api.create(numbered(mark, 3, f"hold:{mark}"))
    own_upstream.wait_sent(mark, 3)
    waiting = start(api, batch["id"], url=relay.url)
    while relay.connections == 0:
        time.sleep(0.01)
    api.server.kill()
    relay.cut()
    assert waiting.stderr.readline().startswith("lowtide: ")
    own_upstream.release(mark)
    api.server.start()
    assert waiting.wait(120) == 0, waiting.stderr.read()
    relay.close()


def test_a_bar_on_a_terminal_and_ctrl_c(kimi, upstream):
    mark = fresh()
    batch = kimi.create(numbered(mark, 2, f"hold:{mark}"))
    upstream.wait_sent(mark, 2)
    shown = Terminal(["wait", batch["id"]], client_env(kimi))
    shown.shows(r"0/2")
    shown.type(b"\x03")
    assert shown.end() == 130
    shown.close()
    upstream.release(mark)
