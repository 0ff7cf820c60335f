"""`lowtide list`, `show`, `cancel`, `hold`, `resume`, `retry`: each form, each exit code (issue 12)."""

import json
import os
import re
import subprocess
import time

import pytest
from support import server as program
from support.jsonl import fresh, line, numbered
from support.relay import Relay
from support.server import clean_env
from support.terminal import Terminal, client, client_env

PLAIN = 18  # columns of a batch in plain


@pytest.fixture
def done(kimi):
    """A batch of three lines, one of which failed."""
    mark = fresh()
    with kimi.well():
        lines = [*numbered(mark, 2), line(f"{mark}-bad", f"{mark}-bad | status:400")]
        return kimi.run(lines, metadata={"job": mark, "by": "caf\u00e9"})


def test_list_in_each_form(kimi, done):
    other = kimi.run(numbered(fresh(), 1))
    whole = json.loads(client(kimi, "list", "--output", "json").stdout)
    assert [one["id"] for one in whole] == [other["id"], done["id"]]
    assert whole[1] == done
    plain = [row.split("\t") for row in client(kimi, "list", "--output=plain").stdout.splitlines()]
    assert all(len(row) == PLAIN for row in plain)
    assert plain[1][:5] == [done["id"], "completed", "3", "2", "1"]
    assert plain[1][9] == str(done["created_at"]) and plain[1][12] == "-"
    table = client(kimi, "list").stdout.splitlines()
    assert re.match(r"ID +STATUS +DONE +LINES +UNANSWERED +CREATED +ENDS +MODEL +METADATA$", table[0])
    assert table[2].startswith(f"{done['id']}  completed") and "100%" in table[2]
    assert "caf\u00e9" in table[2] and "\x1b" not in table[2]


def test_list_filters(kimi, done):
    mark = done["metadata"]["job"]
    kimi.run(numbered(fresh(), 1))

    def ids(*args):
        return client(kimi, "list", "--output", "plain", *args).stdout.split("\n")[:-1]

    assert len(ids()) == 2
    assert [row[:38] for row in ids("--metadata", f"job={mark}")] == [done["id"]]
    assert [row[:38] for row in ids("--metadata", "by=caf\u00e9")] == [done["id"]]
    assert ids("--metadata", f"job={mark}", "--metadata", "by=x=y") == []
    assert ids("--status", "failed,expired", "--status", "cancelled") == []
    assert len(ids("--status", "failed,completed")) == 2
    assert len(ids("--since", "1h")) == 2
    assert ids("--since", str(int(time.time()) + 1000)) == []
    assert len(ids("--limit", "1")) == 1
    assert len(ids("--limit", "0")) == 2


def test_list_pages_through_many(kimi):
    file_id = kimi.upload(numbered(fresh(), 1))
    made = [kimi.create(file_id)["id"] for _ in range(105)]
    shown = client(kimi, "list", "--limit", "0", "--output", "plain").stdout.splitlines()
    assert [row.split("\t")[0] for row in shown] == made[::-1]
    assert len(client(kimi, "list").stdout.splitlines()) == 21
    assert len(client(kimi, "list", "--limit", "103", "--output", "plain").stdout.splitlines()) == 103
    assert len(json.loads(client(kimi, "list", "--limit", "0", "--output", "json").stdout)) == 105


def test_an_empty_list(kimi):
    nothing = client(kimi, "list")
    assert nothing.stdout == "" and nothing.stderr == "no batches\n"
    assert client(kimi, "list", "--output", "json").stdout == "[]\n"
    assert client(kimi, "list", "--output", "plain").stdout == ""


def test_show_in_each_form(kimi, done):
    whole = json.loads(client(kimi, "show", done["id"], "--output", "json").stdout)
    assert whole == done
    plain = client(kimi, "show", done["id"], "--output", "plain").stdout
    assert plain.count("\n") == 1 and plain.split("\t")[:2] == [done["id"], "completed"]
    text = client(kimi, "show", done["id"].removeprefix("batch_")).stdout
    assert f"id             {done['id']}\n" in text
    assert "3 of 3 (100%), 2 completed, 1 failed" in text
    assert re.search(r"^top errors +1 times 400, such as line 3$", text, re.M)
    assert re.search(r"^metadata +job=.*\n +by=caf\u00e9$|^metadata +by=caf\u00e9\n +job=", text, re.M)
    assert f"lowtide retry {done['id']}" in text


def test_show_of_a_bad_input_names_its_lines(kimi):
    batch = kimi.run([line("a"), b"{", line("a")], until="failed")
    text = client(kimi, "show", batch["id"]).stdout
    assert re.search(r"^errors +line 2: invalid_json_line: ", text, re.M), text
    assert re.search(r"^ +line 3: duplicate_custom_id: ", text, re.M), text


def test_names_from_the_server_move_nothing(kimi):
    batch = kimi.run(numbered(fresh(), 1), metadata={"x": "\x1b[2J\u202e\u009b1m\tz"})
    for args in (["list"], ["show", batch["id"]]):
        for form in ("table", "plain", "json"):
            out = client(kimi, *args, "--output", form).stdout
            assert not set("\x1b\u202e\u009b") & set(out), (args, form)
    assert json.loads(client(kimi, "show", batch["id"], "--output=json").stdout) == batch
    assert client(kimi, "list", "--output=plain").stdout.count("\t") == PLAIN - 1


def test_hold_resume_cancel_retry(kimi, upstream):
    mark = fresh()
    batch = kimi.create(numbered(mark, 3, f"hold:{mark}"))
    upstream.wait_sent(mark, 3)
    held = client(kimi, "hold", batch["id"]).stdout
    assert re.search(r"^status +in_progress: held$", held, re.M), held
    assert re.search(r"^waits +\w+", held, re.M) and f"lowtide resume {batch['id']}" in held
    assert "held" not in client(kimi, "resume", batch["id"]).stdout
    gone = client(kimi, "cancel", batch["id"], "--output", "plain").stdout.split("\t")
    assert gone[0] == batch["id"] and gone[1] in ("cancelling", "cancelled")
    kimi.wait(batch, "cancelled")
    again = json.loads(client(kimi, "retry", batch["id"], "--output", "json").stdout)
    kimi.created(again)
    assert again["lowtide"]["retried_from"] == batch["id"]
    upstream.release(mark)
    assert kimi.wait(again, "completed")["request_counts"]["completed"] == 3


def test_what_the_server_refuses_is_one_sentence(kimi, done):
    for args, says in [
        (["cancel", done["id"]], "Cannot cancel a batch with status 'completed'"),
        (["show", "batch_nothing"], "No batch found with id 'batch_nothing'"),
        (["hold", "batch_" + "0" * 32], "No batch found"),
        (["list", "--org", "x"], ""),
    ]:
        end = 0 if not says else 1  # an organization of one's own key is not looked at
        told = client(kimi, *args, expect=end)
        assert says in told.stderr and told.stderr.count("\n") == bool(says), told.stderr
        assert not says or (told.stdout == "" and told.stderr.startswith("lowtide: "))


@pytest.mark.parametrize(
    "args, says",
    [
        (["show"], "which batch?"),
        (["show", "a", "b"], "one batch at a time"),
        (["list", "x"], "one word too many"),
        (["list", "--status", "running"], "none of validating"),
        (["list", "--since", "yesterday"], "is no time"),
        (["list", "--limit", "-1"], "not a whole number from 0 to"),
        (["list", "--metadata", "job"], "KEY=VALUE"),
        (["list", "--output", "yaml"], "none of table, json and plain"),
        (["cancel", "--frob", "x"], "unrecognized option"),
    ],
)
def test_wrong_use_is_2(kimi, args, says):
    told = client(kimi, *args, expect=2)
    assert says in told.stderr and told.stdout == ""


def test_a_wrong_key_is_told(kimi):
    told = client(kimi, "list", expect=1, env={"LOWTIDE_API_KEY": "sk-wrong"})
    assert told.stderr.count("\n") == 1 and re.search(r"key|authenti", told.stderr, re.I), told.stderr
    assert "sk-wrong" not in told.stderr


def test_nobody_there_is_told():
    told = program.run("list", "--url", "http://127.0.0.1:9", expect=1)
    assert told.stderr.count("\n") == 1 and "127.0.0.1:9" in told.stderr, told.stderr


def test_a_connection_that_breaks_is_made_again(kimi, done):
    relay = Relay(lambda: kimi.server.port)
    relay.down = True
    broken = subprocess.Popen(
        [str(program.BINARY), "show", done["id"], "--output", "plain"], text=True,
        env=clean_env(client_env(kimi, relay.url)), stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    while relay.connections == 0:
        time.sleep(0.01)
    relay.down = False
    out, err = broken.communicate(timeout=60)
    relay.close()
    assert broken.returncode == 0, err
    assert out.startswith(done["id"])


def test_an_operator_names_the_organization(kimi, done):
    env = {"LOWTIDE_API_KEY": kimi.server.operator_key()}
    told = client(kimi, "show", done["id"], env=env, expect=1)
    assert "org" in told.stderr
    org = program.run("key", "list", *kimi.server.place()).stdout
    hint = next(row for row in org.splitlines() if kimi.key[:7] in row)
    name = re.search(r"org-[0-9a-f]{12}", hint)[0]
    shown = client(kimi, "show", done["id"], "--org", name, "--output", "plain", env=env).stdout
    assert shown.startswith(done["id"])
    listed = client(kimi, "list", "--org", name, "--output", "plain", env=env).stdout
    assert listed.startswith(done["id"])


# ---- terminals and pipes ----


def on_terminal(api, *args, columns=80, **env):
    terminal = Terminal(args, client_env(api, **env), columns=columns)
    code = terminal.end()
    text, lines = terminal.text, terminal.lines()
    terminal.close()
    return code, text, lines


def test_a_table_fits_the_terminal_and_has_colour(kimi, done):
    code, text, lines = on_terminal(kimi, "list", columns=80)
    assert code == 0 and "\x1b[33mcompleted\x1b[0m" in text
    assert all(len(one) <= 80 for one in lines) and lines[1].startswith(done["id"])
    assert "METADATA" not in lines[0]
    _, _, wide = on_terminal(kimi, "list", columns=200)
    assert "METADATA" in wide[0]


def test_ids_stay_whole_however_narrow(kimi, done):
    narrow = Terminal(["list"], client_env(kimi), columns=20)
    assert narrow.end() == 0 and done["id"] in narrow.text
    narrow.close()


@pytest.mark.parametrize("env", [{"NO_COLOR": "1"}, {"TERM": "dumb"}])
def test_without_colour(kimi, done, env):
    code, text, lines = on_terminal(kimi, "list", **env)
    assert code == 0 and "\x1b" not in text and lines[1].startswith(done["id"])


def test_a_pipe_that_is_closed_ends_it_without_a_word(kimi):
    file_id = kimi.upload(numbered(fresh(), 1))
    for _ in range(30):
        kimi.create(file_id)
    for form in ("table", "json", "plain"):
        reader, writer = os.pipe()
        os.close(reader)
        done = subprocess.run(
            [str(program.BINARY), "list", "--output", form], stdout=writer, stderr=subprocess.PIPE,
            env=clean_env(client_env(kimi)), timeout=60,
        )  # fmt: skip
        os.close(writer)
        assert (done.returncode, done.stderr) == (-13, b""), form
    shell = subprocess.run(
        ["bash", "-c", f"{program.BINARY} list --output plain | head -1"],
        env=clean_env(client_env(kimi)), capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert shell.stdout.count("\n") == 1 and shell.stderr == ""


def test_a_full_disk_is_told(kimi, done):
    with open("/dev/full", "w") as full:
        told = subprocess.run(
            [str(program.BINARY), "list"], stdout=full, stderr=subprocess.PIPE, text=True,
            env=clean_env(client_env(kimi)), timeout=60,
        )  # fmt: skip
    assert told.returncode == 1
    assert told.stderr == "lowtide: standard output: No space left on device\n"
