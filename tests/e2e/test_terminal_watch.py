"""`lowtide watch`: a live screen, lines, objects; the server started anew in the middle (issue 12)."""

import json
import re
import signal
import subprocess

import pytest
from support import server as program
from support.jsonl import fresh, numbered
from support.relay import Relay
from support.server import clean_env
from support.terminal import Terminal, client, client_env


@pytest.fixture
def screen(request):
    made = []

    def start(api, *args, url=None, **more):
        made.append(Terminal(["watch", *args], client_env(api, url), **more))
        return made[-1]

    yield start
    for one in made:
        one.close()


def held_batch(api, upstream, count=4, **more):
    mark = fresh()
    batch = api.create(numbered(mark, count, f"hold:{mark}"), **more)
    upstream.wait_sent(mark, 1)
    return mark, batch


def test_a_screen_follows_batches_to_their_end(kimi, upstream, screen):
    one, first = held_batch(kimi, upstream, metadata={"job": "tonight"})
    two, second = held_batch(kimi, upstream)
    shown = screen(kimi, first["id"], second["id"].removeprefix("batch_"))
    shown.shows(rf"^{first['id']}  in_progress  job=tonight$")
    shown.shows(r"\[>? *\] +0%  0/4  0 failed .* ETA ")
    upstream.release(two)
    shown.shows(rf"^{second['id']}  completed  4 of 4 lines")
    client(kimi, "hold", first["id"])
    shown.shows(r"^  waits: .*held")
    assert shown.process.poll() is None
    client(kimi, "cancel", first["id"])
    upstream.release(one)
    assert shown.end() == 0
    lines = shown.lines()
    assert lines[0].startswith(f"{first['id']}  cancelled")
    assert lines[1].startswith(f"{second['id']}  completed") and lines[2:] == [""]


def test_without_ids_all_that_run_and_come(kimi, upstream, screen):
    one, first = held_batch(kimi, upstream)
    shown = screen(kimi)
    shown.shows(rf"^{first['id']}  in_progress")
    two, second = held_batch(kimi, upstream)
    shown.shows(rf"^{second['id']}  in_progress")
    upstream.release(one)
    shown.shows(rf"^{first['id']}  completed")
    upstream.release(two)
    assert shown.end() == 0
    assert shown.lines()[1].startswith(f"{second['id']}  completed")


def test_nothing_runs(kimi):
    told = client(kimi, "watch")
    assert told.stdout == "" and told.stderr == "nothing is running\n"


def test_what_has_ended_is_told_at_once(kimi):
    batch = kimi.run(numbered(fresh(), 2))
    told = client(kimi, "watch", batch["id"])
    assert re.fullmatch(rf"{batch['id']} completed: +2 of 2 lines( in \d+s)?\n", told.stdout)
    assert json.loads(client(kimi, "watch", batch["id"], "--output", "json").stdout) == batch
    assert client(kimi, "watch", batch["id"], "--output", "plain").stdout.startswith(batch["id"])


def test_ctrl_c_leaves_the_terminal_as_it_was(kimi, upstream, screen):
    mark, batch = held_batch(kimi, upstream)
    shown = screen(kimi, batch["id"])
    shown.shows(r"0/4")
    shown.type(b"\x03")
    assert shown.end() == 128 + signal.SIGINT
    assert "\x1b[?" not in shown.text, "a mode of the terminal was changed"
    upstream.release(mark)
    assert kimi.wait(batch, "completed")


def test_a_narrow_low_terminal(kimi, upstream, screen):
    marks = [held_batch(kimi, upstream, 1) for _ in range(4)]
    shown = screen(kimi, columns=30, rows=5)
    shown.shows(r"^… \d+ more lines$")
    for mark, _ in marks:
        upstream.release(mark)
    assert shown.end() == 0


def start(api, *args, url=None):
    return subprocess.Popen(
        [str(program.BINARY), "watch", *args], text=True, env=clean_env(client_env(api, url)),
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


def test_lines_where_there_is_no_terminal(kimi, upstream):
    mark, batch = held_batch(kimi, upstream)
    watching = start(kimi, batch["id"])
    assert watching.stdout.readline().startswith(f"{batch['id']} in_progress: 0/4 lines, 0 failed")
    upstream.release(mark)
    out, err = watching.communicate(timeout=60)
    assert watching.returncode == 0 and err == ""
    assert out.splitlines()[-1].startswith(f"{batch['id']} completed:  4 of 4 lines")
    assert "\x1b" not in out and "\r" not in out


def test_objects_as_they_change(kimi, upstream):
    mark, batch = held_batch(kimi, upstream)
    watching = start(kimi, batch["id"], "--output", "json")
    assert json.loads(watching.stdout.readline())["status"] == "in_progress"
    upstream.release(mark)
    out, err = watching.communicate(timeout=60)
    assert watching.returncode == 0 and err == ""
    assert json.loads(out.splitlines()[-1]) == kimi.get(batch["id"])


def test_a_server_that_is_started_anew_is_waited_for(serve, own_upstream, screen):
    api = serve()
    relay = Relay(lambda: api.server.port)
    mark, batch = held_batch(api, own_upstream)
    shown = screen(api, batch["id"], url=relay.url)
    shown.shows(r"0/4")
    api.server.kill()
    relay.cut()
    shown.shows(r"again|reach|answer|broke")  # the outage, in words
    api.server.start()
    own_upstream.release(mark)
    assert shown.end(120) == 0
    assert shown.lines()[0].startswith(f"{batch['id']}  completed  4 of 4 lines")
    assert len(shown.lines()) == 2, shown.lines()
    relay.close()


def test_a_stream_that_breaks_goes_on(kimi, upstream):
    relay = Relay(lambda: kimi.server.port)
    mark, batch = held_batch(kimi, upstream)
    watching = start(kimi, batch["id"], url=relay.url)
    assert "in_progress" in watching.stdout.readline()
    relay.cut()
    upstream.release(mark)
    out, _ = watching.communicate(timeout=60)
    relay.close()
    assert watching.returncode == 0 and "completed:  4 of 4" in out


def test_what_cannot_be_watched_is_told(kimi):
    told = client(kimi, "watch", "batch_nothing", expect=1)
    assert "No batch found with id 'batch_nothing'" in told.stderr
    told = client(kimi, "watch", expect=1, env={"LOWTIDE_API_KEY": "sk-wrong"})
    assert told.stderr.count("\n") == 1
    told = client(kimi, "watch", "", expect=1)
    assert "is no id of a batch" in told.stderr
