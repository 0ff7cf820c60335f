"""`lowtide files`, `login`, `logout`."""

import json
import os
import pty
import stat

import pytest
from support.api import FILE_ID
from support.client import Client, sentence
from support.jsonl import fresh, jsonl, line, numbered
from support.terminal import read_all


@pytest.fixture
def client(kimi, tmp_path):
    return Client(tmp_path, kimi.server.base_url, kimi.key)


@pytest.fixture
def given(tmp_path):
    path = tmp_path / "in.jsonl"
    path.write_bytes(jsonl(numbered(fresh(), 3)))
    return path


# ---- files ----


def test_a_file_from_upload_to_delete(client, kimi, given, tmp_path):
    done = client("files", "upload", given)
    file_id = done.stdout.strip()
    assert FILE_ID.fullmatch(file_id) and done.stdout.count("\n") == 1 and done.stderr == ""
    assert file_id in client("files", "list").stdout
    assert json.loads(client("files", "show", file_id, "--output", "json").stdout) == kimi.file(file_id)
    plain = client("files", "list", "--output", "plain").stdout.rstrip("\n").split("\t")
    assert plain[:4] == [file_id, "in.jsonl", str(given.stat().st_size), "batch"]
    assert client("files", "content", file_id).stdout.encode() == given.read_bytes()
    out = tmp_path / "copy.jsonl"
    client("files", "content", file_id, "-o", out)
    assert out.read_bytes() == given.read_bytes()
    other = client("files", "upload", "-", stdin=given.read_text()).stdout.strip()
    assert client("files", "delete", file_id, other).stdout == ""
    assert json.loads(client("files", "list", "--output", "json").stdout) == []


def test_mistakes_with_files(client, tmp_path):
    assert "No such File object" in sentence(client("files", "show", "file-x", expect=1))
    assert "No such File object" in sentence(client("files", "delete", "file-x", expect=1))
    assert "No such File object" in sentence(client("files", "content", "file-x", expect=1))
    given = tmp_path / "in.jsonl"
    given.write_bytes(jsonl(numbered(fresh(), 1)))
    file_id = client("files", "upload", given).stdout.strip()
    told = client("files", "delete", "file-x", file_id, "file-y", expect=1).stderr.splitlines()
    assert [name in one for name, one in zip(("file-x", "file-y"), told)] == [True, True] and len(told) == 2
    assert client("files", "list", "--output", "plain").stdout == ""
    wrong = client("files", "delete", "file-x", "file-y", expect=1, env={"LOWTIDE_API_KEY": "sk-wrong"})
    assert "key" in sentence(wrong), "told once: no id is to blame"
    for args, said in (
        ([], "list, upload, show, content or delete"), (["move"], "no action 'move'"),
        (["list", "x"], "one word too many"), (["show"], "lowtide files list"),
        (["upload"], "which file?"), (["show", "a", "b"], "one file at a time"),
        (["show", "a", "-o", "b"], "-o goes with"),
    ):  # fmt: skip
        assert said in client("files", *args, expect=2).stderr


# ---- login ----


def plain_client(client):
    """Without anything in the environment."""
    for name in ("LOWTIDE_URL", "LOWTIDE_API_KEY"):
        client.env.pop(name)
    return client


def test_login_keeps_what_the_server_takes(client, kimi, given, tmp_path):
    url = kimi.server.base_url
    plain_client(client)
    done = client("login", url, stdin=kimi.key + "\n")
    assert done.stdout == "" and kimi.key not in done.stderr and "takes the key" in done.stderr
    kept = tmp_path / "config" / "lowtide" / "login.json"
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    assert stat.S_IMODE(kept.parent.stat().st_mode) == 0o700
    client("submit", given)
    os.chmod(kept, 0o644)
    assert f"chmod 600 {kept}" in sentence(client("submit", given, expect=2))
    os.chmod(kept, 0o600)
    assert "are forgotten" in client("logout").stderr
    assert not kept.exists()
    assert "no server was kept" in client("logout").stderr


def test_login_does_not_keep_what_is_wrong(client, kimi, tmp_path):
    url = kimi.server.base_url
    plain_client(client)
    assert "does not take this API key" in sentence(client("login", url, stdin="sk-wrong\n", expect=1))
    assert "no API key" in sentence(client("login", url, stdin="\n", expect=2))
    assert "no API key" in sentence(client("login", url, stdin="", expect=2))
    assert "nothing listens" in sentence(client("login", "http://127.0.0.1:9", stdin="sk-1\n", expect=1))
    assert "is no server's URL" in sentence(client("login", "localhost", stdin="sk-1\n", expect=2))
    assert "which server?" in client("login", expect=2).stderr
    assert not (tmp_path / "config" / "lowtide" / "login.json").exists()


def test_an_operators_key_is_one(client, kimi, tmp_path):
    plain_client(client)
    client("login", kimi.server.base_url, stdin=kimi.server.operator_key() + "\n")


def test_login_at_a_terminal_shows_no_key(client, kimi):
    plain_client(client)
    master, slave = pty.openpty()
    call = client.start("login", kimi.server.base_url, stdin=slave, stdout=slave, stderr=slave)
    os.close(slave)
    shown = b""
    while b"not shown): " not in shown:
        shown += os.read(master, 1000)
    os.write(master, kimi.key.encode() + b"\n")
    shown += read_all(master)
    assert call.wait(60) == 0
    assert b"takes the key" in shown and kimi.key.encode() not in shown


def test_ctrl_c_at_the_question_for_the_key(client, kimi, tmp_path):
    plain_client(client)
    master, slave = pty.openpty()
    call = client.start("login", kimi.server.base_url, stdin=slave, stdout=slave, stderr=slave)
    os.close(slave)
    shown = b""
    while b"not shown): " not in shown:
        shown += os.read(master, 1000)
    os.write(master, b"sk-half\x03")
    shown += read_all(master)
    assert call.wait(60) == 2
    assert b"nothing is kept" in shown
    assert not (tmp_path / "config" / "lowtide" / "login.json").exists()


