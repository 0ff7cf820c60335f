"""SIGTERM drains: no new lines, those in flight may finish and are recorded, exit 0. And who may
hold a data directory."""

import signal
import threading
import time

import httpx
import pytest
from support import server as program
from support.jsonl import fresh, line, numbered
from support.wire import Multipart, Raw, request


@pytest.mark.parametrize("sign", [signal.SIGTERM, signal.SIGINT])
def test_lines_in_flight_finish_and_are_recorded(serve, own_upstream, sign):
    api = serve(settings={"execution.concurrency": 4, "execution.drain": "60s"})
    mark = fresh()
    batch = api.create(numbered(mark, 30, f"hold:{mark}"))
    own_upstream.wait_sent(mark, 4)
    api.server.process.send_signal(sign)
    threading.Timer(1.0, own_upstream.release, [mark]).start()
    api.server.wait_exit()
    assert own_upstream.sent(mark) == 4, "lines were sent while draining"
    api.server.start()
    batch = api.wait(batch, "completed")
    assert len(api.results(batch)[0]) == 30
    assert set(own_upstream.counts(mark).values()) == {1}, "a finished line was sent again"


def test_drain_ends_in_time(serve, own_upstream):
    api = serve(settings={"execution.concurrency": 4, "execution.drain": "2s"})
    mark = fresh()
    batch = api.create(numbered(mark, 10, "never x1 then ok"))
    own_upstream.wait_sent(mark, 4)
    began = time.monotonic()
    api.server.stop()
    assert time.monotonic() - began < 12
    api.server.start()
    batch = api.wait(batch, lambda b: b["request_counts"]["completed"] >= 4)
    api.cancel(batch)


def test_idle_server_stops_at_once(serve):
    api = serve(settings={"execution.drain": "60s"})
    api.run([line("a", fresh())])
    began = time.monotonic()
    api.server.stop()
    assert time.monotonic() - began < 5


def test_drain_does_not_wait_for_retries_or_pauses(serve, own_upstream):
    """A line that waits for its next attempt is not in flight."""
    api = serve(settings={"execution.drain": "60s", "execution.concurrency": 5})
    mark = fresh()
    api.create(numbered(mark, 5, "503:60"))
    own_upstream.wait_sent(mark, 5)
    began = time.monotonic()
    api.server.stop()
    assert time.monotonic() - began < 10


def test_not_ready_while_draining(serve, own_upstream):
    """2.3: 503 with Retry-After, or nobody listens any more. What was said before holds."""
    api = serve(settings={"execution.drain": "60s"})
    mark = fresh()
    file_id = api.upload(numbered(mark, 2, f"hold:{mark}"))
    api.create(file_id)
    own_upstream.wait_sent(mark, 2)
    api.server.signal_term()
    end = time.monotonic() + 20
    while True:
        try:
            response = httpx.get(f"{api.server.url}/readyz", trust_env=False)
        except httpx.TransportError:
            break
        if response.status_code == 503:
            break
        assert time.monotonic() < end
    try:
        response = api.create_raw(file_id)
        assert response.status_code == 503
        assert 1 <= int(response.headers["retry-after"]) <= 60
        assert response.json()["error"]["type"] == "server_error"
    except httpx.TransportError:
        pass
    own_upstream.release(mark)
    api.server.wait_exit()


def test_stop_in_the_middle_of_an_upload_and_a_download(serve):
    api = serve()
    file_id = api.upload(b"x" * 30_000_000)
    form = Multipart().add('name="purpose"', b"batch")
    form.add('name="file"; filename="in.jsonl"', b"y" * 1_000_000)
    data = request(
        "POST", "/v1/files", api.key, [f"Content-Type: {form.content_type}"], form.body()
    )
    with Raw(api.server) as up, Raw(api.server) as down:
        up.send(data[: len(data) // 2])
        down.send(request("GET", f"/v1/files/{file_id}/content", api.key))
        assert down.sock.recv(1000)
        api.server.stop()
    api.server.start()
    assert not [name for name in api.server.blobs() if name.startswith("tmp/")]
    assert len(api.http.get("files").json()["data"]) == 1


def test_restart_in_the_middle_of_everything(serve, own_upstream):
    """Several batches in several states, stopped and started three times."""
    api = serve(settings={"execution.concurrency": 8})
    marks = [fresh() for _ in range(4)]
    batches = [api.create(numbered(mark, 200, "slow:0.01")) for mark in marks]
    for _ in range(3):
        seen = api.get(batches[0]["id"])["request_counts"]["completed"]
        api.wait(
            batches[0],
            lambda b, seen=seen: (
                b["status"] == "completed" or b["request_counts"]["completed"] > seen + 20
            ),
        )
        api.server.restart()
    for mark, batch in zip(marks, batches, strict=True):
        assert len(api.results(api.wait(batch, "completed"))[0]) == 200
        assert set(own_upstream.counts(mark).values()) == {1}, "drained, yet sent again"


def test_a_second_server_on_the_same_data_is_refused(serve, own_upstream):
    api = serve()
    done = program.run(
        "serve", "--listen", "127.0.0.1:0", "--data", api.server.data,
        "--upstream", own_upstream.url, expect=None,
    )  # fmt: skip
    assert done.returncode not in (0, None) and done.stderr.strip()
    assert "lock" in done.stderr or "in use" in done.stderr or "another" in done.stderr
    api.run([line("a", fresh())])


def test_an_address_in_use_is_a_clear_error(serve, own_upstream, tmp_path):
    api = serve()
    done = program.run(
        "serve", "--listen", f"127.0.0.1:{api.server.port}", "--data", tmp_path / "other",
        "--upstream", own_upstream.url, expect=None,
    )  # fmt: skip
    assert done.returncode != 0 and str(api.server.port) in done.stderr
