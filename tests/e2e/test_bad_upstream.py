"""Upstreams that are rude, slow, silent, huge or gone: a clear error for the line concerned,
nothing lost for the others (contract 8.2, 9, 11.2)."""

import time

import pytest
from support.jsonl import fresh, line, numbered
from support.upstream import Answer
from support.wire import wait_until


BOTH_CLIENTS = True


def run_among_good(api, bad):
    """A bad line amid good ones: (what became of it, seconds)."""
    mark = fresh()
    lines = numbered(mark, 20)
    lines.insert(10, line("bad", f"{mark}-bad | {bad}"))
    began = time.monotonic()
    with api.well():
        batch = api.run(lines)
    took = time.monotonic() - began
    output, error = api.results(batch)
    assert len(output) == 20 and list(error) == ["bad"]
    return error["bad"], took


@pytest.fixture
def strict(serve):
    return serve(
        settings={
            "execution.max_attempts": 1,
            "execution.line_timeout": "3s",
            "execution.response_bytes": 100_000,
        }
    )


@pytest.mark.parametrize("step", ["reset", "close", "garbage", "cut", "cutchunk"])
def test_9_no_connection(strict, step):
    one, _ = run_among_good(strict, step)
    assert one["response"] is None and one["error"]["code"] == "upstream_error"
    assert "127.0.0.1" not in one["error"]["message"], "the upstream's address is told"


@pytest.mark.parametrize("step", ["never", "slow:30", "drip:30"])
def test_9_line_timeout(strict, step):
    one, took = run_among_good(strict, step)
    assert one["response"] is None and one["error"]["code"] == "request_timeout"
    assert 3 <= took < 25


@pytest.mark.parametrize("step", ["text", "empty"])
def test_9_no_json(strict, step):
    one, _ = run_among_good(strict, step)
    assert one["response"] is None and one["error"]["code"] == "invalid_upstream_response"


@pytest.mark.parametrize("step", ["huge:200000", "huge:50000000", "endless"])
def test_9_huge_answer(strict, step):
    """Over execution.response_bytes: the line fails, memory does not."""
    one, took = run_among_good(strict, step)
    assert one["response"] is None and one["error"]["message"]
    assert one["error"]["code"] in ("invalid_upstream_response", "upstream_error")
    assert took < 25


def test_9_answer_of_just_under_the_limit(strict):
    mark = fresh()
    output, _ = strict.results(strict.run([line("a", f"{mark} | huge:90000")]))
    assert len(output["a"]["response"]["body"]["padding"]) > 89_000


def test_8_2_large_answers_side_by_side(api):
    """Several megabytes each, all in flight at once."""
    mark = fresh()
    batch = api.run(numbered(mark, 16, "huge:3000000"))
    output, _ = api.results(batch)
    assert all(len(one["response"]["body"]["padding"]) > 2_900_000 for one in output.values())


def test_8_2_deep_answer(strict, own_upstream):
    """An answer nested deeper than anyone needs: no success, or passed on; never a crash."""
    mark = fresh()
    api, upstream = strict, own_upstream
    deep = b'{"a":' + b"[" * 500_000 + b"]" * 500_000 + b"}"
    upstream.on(mark, Answer(body=deep))
    upstream.on(mark + "b", Answer(body=b'{"a":' + b"[" * 200 + b"]" * 200 + b"}"))
    with api.well():
        batch = api.run([line("deep", mark), line("fair", mark + "b")])
    assert batch["request_counts"]["total"] == 2
    content = api.content(batch["output_file_id"])
    assert b'"fair"' in content
    api.http.get(f"files/{batch['error_file_id']}/content")


def test_upstream_down_and_back(serve, own_upstream):
    """Connection refused spends no attempt: the batch waits and says why; then it goes on."""
    api = serve(settings={"execution.max_attempts": 2, "execution.concurrency": 4})
    mark = fresh()
    lines = numbered(mark, 30)
    own_upstream.stop()
    batch = api.create(lines)
    waiting = api.wait(batch, lambda b: b["lowtide"]["stall_reason"] == "upstream_down")
    assert waiting["status"] == "in_progress"
    time.sleep(2.5)  # longer than two attempts with their backoff would last
    waiting = api.get(batch["id"])
    assert waiting["request_counts"]["failed"] == 0
    assert waiting["lowtide"]["stall_reason"] == "upstream_down"
    own_upstream.start()
    batch = api.wait(batch, "completed", seconds=60)
    output, error = api.results(batch)
    assert len(output) == 30 and not error


def test_upstream_goes_down_in_the_middle(serve, own_upstream):
    api = serve(settings={"execution.concurrency": 4})
    mark = fresh()
    lines = numbered(mark, 60, "slow:0.02")
    lines += [line(f"{mark}-h{n}", f"{mark}-h{n} | hold:{mark}") for n in range(4)]
    batch = api.create(lines)
    own_upstream.wait_sent(f"{mark}-h", 4)
    done = api.wait(batch, lambda b: b["request_counts"]["completed"] == 60)
    assert done["lowtide"]["stall_reason"] is None
    own_upstream.stop()  # resets the four
    api.wait(batch, lambda b: b["lowtide"]["stall_reason"] == "upstream_down")
    own_upstream.release(mark)
    own_upstream.start()
    batch = api.wait(batch, "completed", seconds=60)
    output, _ = api.results(batch)
    assert len(output) == 64
    sent = own_upstream.counts(mark)
    assert all(sent[f"{mark}-{n}"] == 1 for n in range(60)), "a finished line was sent again"


def test_upstream_down_does_not_flood_the_log_or_the_cpu(serve, own_upstream):
    api = serve()
    own_upstream.stop()
    batch = api.create(numbered(fresh(), 500))
    api.wait(batch, lambda b: b["lowtide"]["stall_reason"] == "upstream_down")
    before = cpu_seconds(api.server.process.pid)
    began = time.monotonic()
    while time.monotonic() - began < 2:
        api.get(batch["id"])
        time.sleep(0.2)
    assert cpu_seconds(api.server.process.pid) - before < 1.0
    assert len(api.server.log().splitlines()) < 100
    own_upstream.start()
    api.wait(batch, "completed")


def cpu_seconds(pid):
    with open(f"/proc/{pid}/stat") as stat:
        fields = stat.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / 100


def test_upstream_that_was_never_there(serve, own_upstream):
    """A wrong address: the server starts, takes batches, and says what is wrong."""

    class Nowhere:
        url = "http://no-such-host.invalid:9/v1"

    api = serve(upstream=Nowhere())
    batch = api.create([line("a", fresh())])
    api.wait(batch, lambda b: b["lowtide"]["stall_reason"] == "upstream_down")
    api.cancel(batch)
    api.wait(batch, "cancelled")


def test_errors_of_one_batch_do_not_touch_another(serve):
    api = serve(settings={"execution.max_attempts": 2, "execution.line_timeout": "2s"})
    with api.well():
        bad = api.create(numbered(fresh(), 10, "reset"))
        good = api.run(numbered(fresh(), 50))
        assert good["request_counts"]["completed"] == 50
        assert api.wait(bad, "completed")["request_counts"]["failed"] == 10


def test_server_without_a_batch_is_quiet(serve, own_upstream):
    api = serve()
    api.run([line("a", fresh())])
    before = cpu_seconds(api.server.process.pid)
    time.sleep(1.5)
    assert cpu_seconds(api.server.process.pid) - before < 0.3
    wait_until(lambda: own_upstream.in_flight == 0, "nothing in flight")


def test_8_2_lines_that_kill_the_connection_end_and_block_nobody(serve, own_upstream):
    """Queries of death: each attempt is reset. They fail when their attempts are spent; the
    upstream, which answers everybody else, does not count as down for good."""
    api = serve(settings={"execution.max_attempts": 2})
    mark = fresh()
    deadly = api.create(numbered(mark, 60, "reset"))
    own_upstream.wait_sent(mark, 4)
    good = api.create(numbered(fresh(), 200))
    good = api.wait(good, "completed", seconds=60)
    assert good["request_counts"]["completed"] == 200
    with api.well():
        deadly = api.wait(deadly, "completed", seconds=90)
    _, error = api.results(deadly)
    assert {one["error"]["code"] for one in error.values()} == {"upstream_error"}
