"""An edge to everything: descriptors, memory, waiting requests, labels, log lines (rows E of faults-seen.md)."""

import concurrent.futures
import contextlib
import json
import os
import re
import threading
import time

import pytest
from support import server as program
from support.api import check_error
from support.jsonl import fresh, jsonl, numbered, raw_line
from support.upstream import Answer
from support.wire import Multipart, Raw, request, wait_until

MB = 1 << 20
SANITIZED = "build-test" in str(program.BINARY)  # memory is then the sanitizer's


def with_descriptors(api, most):
    """The server gets no more than so many descriptors, soft and hard."""
    command = api.server.command

    def limited():
        return ["prlimit", f"--nofile={most}:{most}", *command()]

    api.server.command = limited
    api.server.start()
    return api


def descriptors(api):
    return len(os.listdir(f"/proc/{api.server.process.pid}/fd"))


def events(api, name):
    return re.findall(rf"^\S+ +\w+ +{re.escape(name)}( .*)?$", api.server.log(), re.M)


# ---- E1: descriptors of batches ----


def test_e1_queued_batches_hold_no_descriptors(serve, own_upstream):
    """200 batches at 256 descriptors, five each before: all are taken, and all are done."""
    api = with_descriptors(serve(start=False, settings={"execution.concurrency": 8}), 256)
    mark = fresh()
    own_upstream.everything = Answer(gate="e1")
    batches = [api.create(numbered(f"{mark}-{n}", 3)) for n in range(200)]
    for batch in batches:
        api.wait(batch, "in_progress")
    own_upstream.wait(lambda: own_upstream.in_flight == 8, "8 in flight")
    assert descriptors(api) < 120
    own_upstream.everything = None
    own_upstream.release("e1")
    for batch in batches:
        api.results(api.wait(batch, "completed"))
    assert descriptors(api) < 120
    assert not events(api, "http.accept_paused") and not events(api, "batch.paused")


def test_e1_a_batch_goes_on_after_its_files_were_closed(serve, own_upstream):
    """More batches in flight at once than may have their files open; kill -9 in the middle."""
    api = with_descriptors(serve(start=False, settings={"execution.concurrency": 60}), 256)
    mark = fresh()
    batches = [
        api.create(numbered(f"{mark}-{n}", 20, script="slow:0.02")) for n in range(40)
    ]
    own_upstream.wait(lambda: len(own_upstream.answered(mark)) > 200, "200 answers")
    seen = api.http.get("batches", params={"limit": 100}).json()["data"]
    api.server.kill()
    again = len(own_upstream.answered(mark)) + 60  # and those in flight
    again -= sum(batch["request_counts"]["completed"] for batch in seen)
    api.server.start()
    for batch in batches:
        output, error = api.results(api.wait(batch, "completed"))
        assert len(output) == 20 and not error
    answered = own_upstream.answered(mark)
    twice = sum(n - 1 for n in answered.values())
    assert twice <= again, f"{twice} lines ran again"


@pytest.mark.meta_db
def test_e1_uploads_beyond_the_descriptors_are_503(serve):
    """Uploads under way have taken them all; a batch beside them waits, and does not fail."""
    api = with_descriptors(serve(start=False), 128)
    file_id = api.upload(numbered(fresh(), 3))
    form = Multipart().add('name="purpose"', b"batch")
    # too much to stay in memory
    form.add('name="file"; filename="in.jsonl"', jsonl(numbered(fresh(), 1000)) + b'{"custom_id":"')
    length = len(form.body()) + 1000
    head = request(
        "POST", "/v1/files", api.key,
        [f"Content-Type: {form.content_type}", f"Content-Length: {length}"],
    )  # fmt: skip
    began = [Raw(api.server).send(head + form.body(closed=False)) for _ in range(45)]
    wait_until(lambda: descriptors(api) >= 127, "all are taken")
    response = api.upload_raw(numbered(fresh(), 1))
    check_error(response, api.profile, 503, None)
    assert int(response.headers["retry-after"]) > 0
    batch = api.create(file_id)
    time.sleep(0.3)
    assert api.get(batch["id"])["status"] in ("validating", "in_progress")
    for raw in began:
        raw.reset()
    api.wait(batch, "completed")
    api.upload(numbered(fresh(), 1))


# ---- memory ----


def release(api):
    """The server is the release build where there is one: under a sanitizer memory says nothing."""
    other = program.ROOT / "build" / "lowtide"
    if SANITIZED and other.is_file():
        command = api.server.command
        api.server.command = lambda: [str(other), *command()[1:]]
    api.server.start()
    return api


def is_sanitized(api):
    return "build-test" in str(api.server.command()[0])


def peak(api):
    status = open(f"/proc/{api.server.process.pid}/status").read()
    return int(re.search(r"VmHWM:\s+(\d+) kB", status)[1]) << 10


def metrics(api, key=None):
    headers = {"Authorization": f"Bearer {key}"} if key else None
    return api.http.get(f"{api.server.url}/metrics", headers=headers).text


def charged(api):
    """What is charged to the budget, by use."""
    found = re.findall(r'^lowtide_memory_bytes\{use="(\w+)"\} (\d+)$', metrics(api), re.M)
    return {use: int(n) for use, n in found}


def check_all_given_back(api):
    """Nothing is on its way any more: what is still charged are a few idle handles."""
    def given_back():
        held = charged(api)
        idle = held.pop("requests")
        return not any(held.values()) and idle < 8 * MB

    wait_until(given_back, f"all memory is given back: {charged(api)}")


def completion_of(size):
    return b'{"id":"x","choices":[{"message":{"content":"' + b"a" * (size - 70) + b'"}}]}'


def test_e6_large_answers_of_many_lines(serve, own_upstream):
    """64 answers of 2 MB at once, and room for 24 MB of them: 145 MiB before. No line is lost."""
    settings = {"execution.concurrency": 64, "limits.memory": "32MB"}
    api = release(serve(start=False, settings=settings))
    own_upstream.everything = Answer(body=completion_of(2_000_000))
    batch = api.create(numbered(fresh(), 100))
    most = 0
    while api.get(batch["id"])["status"] != "completed":
        most = max(most, sum(charged(api).values()))
        time.sleep(0.01)
    assert most <= 34 * MB
    output = api.get(batch["id"])["output_file_id"]
    assert api.file(output)["bytes"] > 200_000_000
    assert api.get(batch["id"])["request_counts"]["completed"] == 100
    if not is_sanitized(api):
        assert peak(api) < 80 * MB
    check_all_given_back(api)


def test_e6_answers_of_unknown_length_do_not_wait_for_each_other(serve, own_upstream):
    """All are half there when memory is full. They end one after another; one is larger than all of it."""
    settings = {"execution.concurrency": 8, "limits.memory": "2MB", "execution.patience": "1s"}
    api = serve(settings=settings)
    mark = fresh()
    lines = numbered(mark, 7, script="stream:4000") + numbered(f"{mark}-x", 1, script="stream:16000")
    api.create(lines)
    wait_until(lambda: charged(api)["answers"] > MB, "memory is full")
    wait_until(lambda: len(own_upstream.answered(mark)) == 8, "all were read to their end", 60)


def test_e5_large_bodies_of_online_requests(serve, own_upstream):
    """40 of 4 MiB and room for 7. Those that find none in two seconds are told to come back."""
    api = release(serve(start=False, settings={"limits.memory": "32MB"}))
    own_upstream.everything = Answer(gate="e5")
    body = json.dumps(
        {"model": "m-1", "messages": [{"role": "user", "content": "x" * (4 * MB - 200)}]}
    ).encode()
    answers = []

    def one():
        with Raw(api.server) as raw:
            raw.send(request("POST", "/v1/chat/completions", api.key, (), body))
            answers.append(raw.answer())

    clients = [threading.Thread(target=one) for _ in range(40)]
    for client in clients:
        client.start()
    wait_until(lambda: len(answers) >= 30, "those without room are answered")
    assert charged(api)["online"] <= 34 * MB
    batch = api.create(numbered(fresh(), 3))
    api.wait(batch, "in_progress")
    own_upstream.release("e5")
    for client in clients:
        client.join()
    good = [one for one in answers if one[0] == 200]
    refused = [one for one in answers if one[0] == 503]
    assert len(good) + len(refused) == 40 and len(good) >= 5 and len(refused) >= 30
    for _, headers, text in refused:
        assert int(headers["retry-after"]) > 0
        assert json.loads(text)["error"]["type"] == "server_error"
    assert len(events(api, "http.no_memory")) == 1
    api.wait(batch, "completed")
    if not is_sanitized(api):
        assert peak(api) < 80 * MB
    check_all_given_back(api)


def test_e5_bodies_that_fit_one_after_another_all_pass(serve):
    """They wait for each other for a while; on a slow machine some are told to come back."""
    api = serve(settings={"limits.memory": "8MB"})
    text = "x" * (4 * MB)

    def one(n):
        body = {"model": "m-1", "messages": [{"role": "user", "content": f"{n} {text}"}]}
        for attempt in range(10):
            status = api.http.post("chat/completions", json=body).status_code
            if status != 503:
                break
        return status, attempt

    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(one, range(8)))
    assert [status for status, _ in answers] == [200] * 8
    assert sum(attempt == 0 for _, attempt in answers) >= 3
    check_all_given_back(api)


def test_a_body_larger_than_all_memory_still_passes(serve):
    """Alone; chunked, so that its length is not known either. Likewise a line of a file."""
    api = serve(settings={"limits.memory": "1MB"})
    text = json.dumps(
        {"model": "m-1", "messages": [{"role": "user", "content": "x" * (3 * MB)}]}
    ).encode()

    def pieces():
        for at in range(0, len(text), 100_000):
            yield text[at : at + 100_000]

    done = api.http.post("chat/completions", content=pieces())
    assert done.status_code == 200, done.text
    batch = api.run([raw_line("a", text), raw_line("b", text)])
    assert batch["request_counts"]["completed"] == 2
    check_all_given_back(api)


def test_lines_of_many_uploads_that_are_not_whole(serve, own_upstream):
    """Uploads that stand in the middle of long lines: those without room wait, and are refused at last; the
    bodies of other calls pass (JSON is in the budget, too)."""
    api = release(serve(start=False, settings={"limits.memory": "8MB"}))
    form = Multipart().add('name="purpose"', b"batch")
    form.add('name="file"; filename="in.jsonl"', b'{"custom_id":"' + b"x" * (3 * MB))
    head = request(
        "POST", "/v1/files", api.key,
        [f"Content-Type: {form.content_type}", f"Content-Length: {len(form.body()) + 10 * MB}"],
    )  # fmt: skip
    began = {Raw(api.server): head + form.body(closed=False) for _ in range(8)}
    for raw in began:
        raw.sock.setblocking(False)

    def full():
        for raw, rest in began.items():
            with contextlib.suppress(BlockingIOError):
                began[raw] = rest[raw.sock.send(rest) :]
        return charged(api)["uploads"] >= 4 * MB

    wait_until(full, "memory is full")
    time.sleep(1)
    assert charged(api)["uploads"] <= 9 * MB
    if not is_sanitized(api):
        assert peak(api) < 60 * MB
    for one in began:
        one.reset()
    batch = api.run(numbered(fresh(), 3))
    assert batch["request_counts"]["completed"] == 3
    check_all_given_back(api)


# ---- online requests that wait, and those that are not read ----


def test_e7_online_requests_that_wait(serve, own_upstream):
    settings = {"execution.max_concurrency": 2, "online.max_waiting": 5, "online.reserve": 0}
    api = serve(settings=settings)
    own_upstream.everything = Answer(gate="e7")

    def one(_):
        return api.http.post("chat/completions", json={"model": "m-1", "messages": []})

    with concurrent.futures.ThreadPoolExecutor(12) as pool:
        answers = [pool.submit(one, n) for n in range(12)]
        wait_until(lambda: sum(a.done() for a in answers) == 5, "five are refused")
        assert "lowtide_online_waiting 5\n" in metrics(api)
        own_upstream.release("e7")
        answers = [a.result() for a in answers]
    refused = [a for a in answers if a.status_code != 200]
    assert len(refused) == 5
    for a in refused:
        check_error(a, api.profile, 503, None)
        assert int(a.headers["retry-after"]) > 0
    assert "lowtide_online_waiting 0\n" in metrics(api)


def unread(api, mark, receive_bytes=4096):
    """An online request whose client reads nothing of an answer without end."""
    body = json.dumps(
        {"model": "m-1", "stream": True, "messages": [{"role": "user", "content": f"{mark} | endless"}]}
    ).encode()
    raw = Raw(api.server, receive_bytes=receive_bytes)
    return raw.send(request("POST", "/v1/chat/completions", api.key, (), body))


def test_e10_streams_that_nobody_reads(serve, own_upstream):
    """They take every slot, but not for ever."""
    settings = {"execution.max_concurrency": 4, "online.client_timeout": "4s"}
    api = serve(settings=settings)
    mark = fresh()
    clients = [unread(api, f"{mark}-s{n}") for n in range(4)]
    own_upstream.wait_sent(f"{mark}-s", 4)
    batch = api.create(numbered(mark, 6))
    stalled = api.wait(batch, lambda b: b["lowtide"]["stall_reason"] == "online")
    assert stalled["lowtide"]["running"] == 0 and stalled["lowtide"]["stall_message"]
    api.wait(batch, "completed", seconds=30)
    own_upstream.wait_dropped(f"{mark}-s", 4)
    assert len(events(api, "online.client_reads_nothing")) == 1
    for one in clients:
        assert not one.rest().endswith(b"0\r\n\r\n"), "a cut stream looks whole"
        one.sock.close()


def test_e10_a_client_that_reads_slowly_is_not_cut_off(serve, own_upstream):
    api = serve(settings={"online.client_timeout": "2s"})
    mark = fresh()
    with unread(api, mark, receive_bytes=32768) as raw:
        for _ in range(20):
            time.sleep(0.2)
            assert len(raw.sock.recv(16384)) > 0
        assert not own_upstream.of(mark)[0].dropped
        # nothing comes for longer than the time: that is the upstream's business
        quiet = fresh()
        done = api.http.post(
            "chat/completions",
            json={"model": "m-1", "messages": [{"role": "user", "content": f"{quiet} | slow:2.5"}]},
        )
        assert done.status_code == 200


# ---- log lines, labels ----


def test_e13_many_batches_held_up_are_one_line(serve, failpoints, tmp_path):
    full = tmp_path / "full"
    full.touch()
    api = serve(start=False)
    api.server.start(env={"LOWTIDE_FAILPOINTS": f"results.write=enospc:{full}"})
    batches = [api.create(numbered(fresh(), 2)) for _ in range(40)]
    for batch in batches:
        api.wait(batch, lambda b: b["lowtide"]["stall_reason"] == "paused" or b["status"] == "finalizing")
    wait_until(lambda: len(events(api, "batch.paused")) >= 1, "it is told")
    assert len(events(api, "batch.paused")) <= 3
    full.unlink()
    for batch in batches:
        api.wait(batch, "completed")
    assert len(events(api, "batch.resumed")) <= 3


def test_e14_model_names_that_clients_invent(serve, own_upstream):
    own_upstream.models = ["m-known"]
    api = serve()
    wait_until(lambda: '"id":"m-known"' in api.http.get("models").text, "models are known")
    own_upstream.everything = Answer(gate="e14")
    mark = fresh()
    names = ["(others)", "m-known", *(f"{mark}-{n}" for n in range(80))]
    batches = [api.create(numbered(f"{mark}{n}", 1, model=name)) for n, name in enumerate(names)]
    for batch in batches:
        api.wait(batch, "in_progress")
    wait_until(lambda: own_upstream.in_flight >= 10, "lines are sent")

    boss = api.server.operator_key()

    def counted():
        return re.findall(r'^lowtide_batches\{model="([^"]*)"\} (\d+)$', metrics(api, boss), re.M)

    wait_until(lambda: sum(int(n) for _, n in counted()) == len(names), "all batches are counted")
    text = metrics(api, boss)
    for series in re.findall(r"^# TYPE (lowtide_\w+) ", text, re.M):
        labels = re.findall(rf'^{series}\{{.*model="([^"]*)"', text, re.M)
        assert len(set(labels)) <= 34, series
    counts = counted()
    assert len(counts) == len(dict(counts)), "a label stands twice"
    assert sum(int(n) for _, n in counts) == len(names)
    assert dict(counts)["m-known"] == "1" and int(dict(counts)["(others)"]) >= 48
    told = api.http.get("lowtide/scheduling", headers={"Authorization": f"Bearer {boss}"}).json()
    assert len(told["models"]) <= 34 and len(told["upstreams"][0]["lanes"]) <= 33
    assert sum(one["batches"] for one in told["models"]) == len(names)
    own_upstream.everything = None
    own_upstream.release("e14")
    for batch in batches:
        api.wait(batch, "completed")
