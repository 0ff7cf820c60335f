"""lowtide.Server."""

import json
import logging
import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request

import lowtide
import pytest
from conftest import wait_until


def batch_line(text):
    body = {"model": "m-1", "messages": [{"role": "user", "content": text}]}
    line = {"custom_id": "a", "method": "POST", "url": "/v1/chat/completions", "body": body}
    return json.dumps(line).encode() + b"\n"


def start_batch(server, text="q1"):
    file = server.client.files.create(file=("in.jsonl", batch_line(text)), purpose="batch")
    return server.client.batches.create(
        input_file_id=file.id, endpoint="/v1/chat/completions", completion_window="24h"
    )


def wait_batch(server, batch_id, status="completed"):
    wait_until(lambda: server.client.batches.retrieve(batch_id).status == status, status)
    return server.client.batches.retrieve(batch_id)


def test_a_batch_by_the_official_client(upstream):
    with lowtide.Server(upstream=upstream.url, settings={"execution.concurrency": 2}) as server:
        batch = wait_batch(server, start_batch(server).id)
        assert "echo q1" in server.client.files.content(batch.output_file_id).text
        url = server.url
        assert url.startswith("http://127.0.0.1:") and url.endswith("/v1")
    with pytest.raises(urllib.error.URLError):
        urllib.request.urlopen(url, timeout=5)
    for name in ("url", "api_key", "client"):
        with pytest.raises(RuntimeError, match="does not run"):
            getattr(server, name)


def test_a_data_directory_goes_on(upstream, tmp_path):
    """With its batches, by another key; the key of the first is revoked."""
    settings = {"execution.drain": "0s"}
    with lowtide.Server(upstream.url, tmp_path / "data", settings) as server:
        batch, key = start_batch(server, "q1 | hold:gate"), server.api_key
        upstream.wait_sent("q1", 1)
    upstream.release("gate")
    with lowtide.Server(upstream.url, tmp_path / "data", settings) as server:
        wait_batch(server, batch.id)
        request = urllib.request.Request(f"{server.url}/files", headers={"Authorization": f"Bearer {key}"})
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(request)
        assert refused.value.code == 401
        refused.value.close()


def test_a_directory_of_its_own_goes(upstream, monkeypatch, tmp_path):
    monkeypatch.setenv("TMPDIR", str(tmp_path / "t"))
    (tmp_path / "t").mkdir()
    monkeypatch.setattr("tempfile.tempdir", None)
    with lowtide.Server(upstream.url) as server:
        assert len(list((tmp_path / "t").iterdir())) == 1 and server.api_key.startswith("sk-")
    assert list((tmp_path / "t").iterdir()) == []


@pytest.mark.parametrize("to", ["file", "logger"])
def test_the_log(upstream, tmp_path, caplog, to):
    caplog.set_level(logging.INFO, "lowtide.server")
    path = tmp_path / "log" if to == "file" else None
    with lowtide.Server(upstream.url, log_file=path):
        pass
    told = path.read_text() if path else "\n".join(r.getMessage() for r in caplog.records)
    assert "serve.started" in told and "serve.stopped" in told
    assert bool(caplog.records) == (to == "logger")


@pytest.mark.parametrize(
    "more, said",
    [
        ({"settings": {"execution.concurency": 8}}, "nearest: .*execution.concurrency|execution.concurency"),
        ({"upstream": "127.0.0.1:1"}, "upstream"),
        ({"data_dir": "/proc/no/such"}, "/proc/no"),
    ],
)
def test_a_start_that_fails_says_why(upstream, more, said):
    server = lowtide.Server(**{"upstream": upstream.url, **more})
    with pytest.raises(lowtide.LowtideError, match=said):
        server.start()
    server.stop()


def test_a_data_directory_that_another_has(upstream, tmp_path):
    with lowtide.Server(upstream.url, tmp_path / "data") as server:
        with pytest.raises(lowtide.LowtideError, match=str(tmp_path / "data")):
            lowtide.Server(upstream.url, tmp_path / "data").start()
        assert server.client.batches.list().data == []


def test_no_upstream():
    with pytest.raises(ValueError, match="upstream"):
        lowtide.Server(upstream="")


def test_without_openai(upstream, monkeypatch):
    monkeypatch.setitem(sys.modules, "openai", None)
    with lowtide.Server(upstream.url) as server:
        with pytest.raises(ImportError, match="pip install openai"):
            server.client  # noqa: B018
        assert server.url


def test_a_server_that_was_killed_is_told(upstream):
    with lowtide.Server(upstream.url) as server:
        os.kill(server._process.pid, signal.SIGKILL)
        server._process.wait()
        with pytest.raises(lowtide.LowtideError, match="the server has ended"):
            server.url  # noqa: B018


def test_it_ends_with_the_process_of_python(upstream, script, tmp_path):
    """kill -9 leaves no server behind."""
    process = script(
        "import lowtide, time\n"
        f"server = lowtide.Server({upstream.url!r}, {str(tmp_path / 'data')!r}).start()\n"
        "print(server._process.pid, flush=True)\n"
        "time.sleep(600)\n"
    )
    pid = int(process.stdout.readline())
    process.kill()

    def gone():
        return subprocess.run(["ps", "-o", "stat=", str(pid)], capture_output=True).stdout[:1] in (b"", b"Z")

    wait_until(gone, "the server has ended")
    with lowtide.Server(upstream.url, tmp_path / "data") as server:
        assert server.client.batches.list().data == []


def test_the_end_of_a_program_stops_it(upstream, script, tmp_path):
    (tmp_path / "t").mkdir()
    process = script(
        f"import lowtide, tempfile; tempfile.tempdir = {str(tmp_path / 't')!r}\n"
        f"lowtide.Server({upstream.url!r}).start()\n"
    )
    assert process.wait(timeout=60) == 0
    assert list((tmp_path / "t").iterdir()) == []


def test_an_exception_in_the_block_stops_it(upstream):
    with pytest.raises(ZeroDivisionError), lowtide.Server(upstream.url) as server:
        pid = server._process.pid
        raise ZeroDivisionError
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
