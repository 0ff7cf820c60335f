"""Rows E9, E12, E15 of faults-seen, and contract 13.1: what one organization may have at once, and what
happens at the edge."""

import contextlib
import resource
import time
import uuid

import httpx
from support import server as program
from support.api import Api, check_error
from support.jsonl import CHAT, fresh, line
from support.wire import Raw, request, wait_until

MB = 1 << 20


def form_head(api, boundary, headers):
    """A form that streams its file: the head of the request, and what stands before the file's bytes."""
    part = (
        f'--{boundary}\r\nContent-Disposition: form-data; name="purpose"\r\n\r\nbatch\r\n'
        f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="a.jsonl"\r\n\r\n'
    ).encode()
    typed = [f"Content-Type: multipart/form-data; boundary={boundary}", *headers]
    return request("POST", "/v1/files", api.key, typed), part


@contextlib.contextmanager
def unfinished(api, n, mb_sent, announced=None):
    """n uploads that have sent so much and then send no more."""
    with contextlib.ExitStack() as stack:
        raws = []
        for _ in range(n):
            raw = stack.enter_context(Raw(api.server))
            chunked = announced is None
            length = "Transfer-Encoding: chunked" if chunked else f"Content-Length: {announced}"
            head, part = form_head(api, uuid.uuid4().hex, [length])
            raw.send(head)
            for piece in [part] + [b'{"a":1}\n' * (MB // 8)] * mb_sent:
                raw.send(b"%x\r\n%b\r\n" % (len(piece), piece) if chunked else piece)
            raws.append(raw)
        yield raws


def bytes_in_tmp(api):
    total = 0
    for path in (api.server.data / "tmp").iterdir():
        with contextlib.suppress(FileNotFoundError):  # it may go while we look
            total += path.stat().st_size
    return total


def settled(look, seconds=10):
    """What look() gives once it has not changed for half a second."""
    before, since, end = look(), time.monotonic(), time.monotonic() + seconds
    while time.monotonic() < end and time.monotonic() - since < 0.5:
        time.sleep(0.05)
        now = look()
        if now != before:
            before, since = now, time.monotonic()
    return before


def test_e9_unfinished_uploads_count_against_the_quota(serve):
    api = serve(settings={"limits.org.bytes": "10MB"})
    for announced in (None, 64 * MB):
        with unfinished(api, 6, 4, announced):
            assert settled(lambda: bytes_in_tmp(api)) <= 10 * MB
            if announced is None:  # two of them fit
                refused = api.upload_raw(b"x" * (4 * MB))
                check_error(refused, "kimi", 400, code="file_quota_exceeded")
        # what was reserved is let go with its connection
        wait_until(lambda: bytes_in_tmp(api) == 0, "tmp is empty")
    file_id = wait_until(
        lambda: (r := api.upload_raw(b"x" * (9 * MB))).status_code == 200 and r.json()["id"],
        "nothing is reserved",
    )
    check_error(api.upload_raw(b"x" * (2 * MB)), "kimi", 400, code="file_quota_exceeded")
    assert api.http.delete(f"files/{file_id}").status_code == 200
    api.upload(b"x" * (9 * MB))  # what just fits does, one after another


def test_e9_files_under_way_count_too(serve):
    api = serve(settings={"limits.org.files": 3})
    api.upload(b"{}")
    with unfinished(api, 2, 2):  # of each up to 0.6 MB waits to be written
        wait_until(lambda: bytes_in_tmp(api) > 2 * MB, "both have begun")
        check_error(api.upload_raw(b"{}"), "kimi", 400, code="file_quota_exceeded")
    wait_until(lambda: api.upload_raw(b"{}").status_code == 200, "they are gone")


def test_2_4_a_repeated_upload_is_answered_though_the_quota_is_used_up(serve):
    """What counts from the first byte must not refuse the call that filled the quota when it comes again."""
    api = serve(settings={"limits.org.bytes": "3MB"})
    data = b'{"a":1}\n' * (5 * MB // 16)  # 2.5 MB: the second does not fit
    for headers in ({"Idempotency-Key": fresh()}, None):
        first = api.upload_raw(data, headers=headers)
        assert first.status_code == 200, first.text
        again = headers or {"x-stainless-retry-count": "1"}
        assert api.upload_raw(data, headers=again).json() == first.json()
        other = data[:-8] + b'{"a":2}\n'
        if headers:
            check_error(
                api.upload_raw(other, headers=again), "kimi", 422, code="idempotency_key_reused"
            )
        new = {"x-stainless-retry-count": "1"}
        refused = api.upload_raw(other, headers=new)
        check_error(refused, "kimi", 400, code="file_quota_exceeded")
        assert bytes_in_tmp(api) == 0
        assert api.http.delete(f"files/{first.json()['id']}").status_code == 200


def check_limited(response, profile, setting):
    """Contract 2.3 and 13.1."""
    error_type = "rate_limit_reached_error" if profile == "kimi" else "requests"
    error = check_error(
        response, profile, 429, code="rate_limit_exceeded", error_type=error_type
    )
    assert setting in error["message"], error
    assert 1 <= int(response.headers["retry-after"]) <= 60


def test_13_1_uploads_at_once(serve, profile):
    api = serve(profile, settings={"limits.org.uploads": 2})
    other = Api(api.server, api.server.new_key())
    with unfinished(api, 1, 1):
        wait_until(lambda: bytes_in_tmp(api) > 0, "the first has begun")
        one = settled(lambda: bytes_in_tmp(api))
        with unfinished(api, 1, 1):
            # An upload that asks whether they have would take the second one's place.
            wait_until(lambda: bytes_in_tmp(api) > one, "both have begun")
            check_limited(api.upload_raw(b"{}"), profile, "limits.org.uploads")
            other.upload(b"{}")
    wait_until(lambda: api.upload_raw(b"{}").status_code == 200, "they are gone")
    other.close()


def test_13_1_open_batches(serve, profile):
    api = serve(profile, settings={"limits.org.open_batches": 1})
    upstream = api.server.upstream
    file_id = api.upload([line("a", "a | hold:gate")])
    first = api.create(file_id)
    check_limited(api.create_raw(file_id), profile, "limits.org.open_batches")
    upstream.release("gate")
    api.wait(first)
    api.wait(api.create(api.upload([line("b")])))


def test_13_1_online_requests_at_once(serve, profile):
    api = serve(profile, settings={"limits.org.online": 1})
    body = {"model": "m", "messages": [{"role": "user", "content": "a | hold:gate"}]}
    quick = {"model": "m", "messages": [{"role": "user", "content": "b"}]}

    def ask():
        return api.http.post(CHAT.removeprefix("/v1/"), json=quick)

    with Raw(api.server) as raw:
        raw.send(request("POST", CHAT, api.key, body=httpx.Request("POST", "http://x", json=body).content))
        api.server.upstream.wait_sent("a", 1)
        check_limited(ask(), profile, "limits.org.online")
        api.server.upstream.release("gate")
        assert raw.answer()[0] == 200
    for _ in range(20):  # one by one: what has been answered counts no more
        assert ask().status_code == 200


def descriptors(pid, soft):
    """Sets how many a process may have; gives how many it might."""
    before, hard = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (soft, hard))
    return before


def test_13_1_limits_of_one_organization(serve):
    """`lowtide org limit`, beside a running server."""
    api = serve(settings={"limits.org.open_batches": 5})
    other = Api(api.server, api.server.new_key("others"))
    org_command(api, "limit", "default", "open_batches=1")
    org_command(api, "limit", "default", "bytes=1MB")
    assert org_command(api, "limit", "default").stdout == "bytes=1048576\nopen_batches=1\n"
    time.sleep(0.05)  # the server asks every 10 ms whether another process has changed anything
    api.create([line("a", "a | hold:gate")])
    file_id = api.upload([line("b")])
    check_limited(api.create_raw(file_id), "kimi", "limits.org.open_batches")
    check_error(api.upload_raw(b"x" * MB), "kimi", 400, code="file_quota_exceeded")
    other.upload(b"x" * MB)
    for _ in range(2):
        other.create([line("a", "a | hold:gate")])
    org_command(api, "limit", "default", "open_batches=default")
    time.sleep(0.05)
    api.create(file_id)
    api.server.upstream.release("gate")
    other.close()
    for wrong in ("open_batches", "open_batches=-1", "open_batches=many", "poems=3"):
        program.run("org", "limit", "default", wrong, *api.server.place(), expect=2)


def test_out_of_descriptors_is_503(serve):
    """An upload that finds no descriptor for its file is told to come again, and it is logged once."""
    api = serve()
    api.upload(b"{}")
    pid = api.server.process.pid
    before = descriptors(pid, 8)  # those below are its own for good
    answers = [api.upload_raw(b"{}") for _ in range(5)]
    descriptors(pid, before)
    for response in answers:
        check_error(response, "kimi", 503)
        assert 1 <= int(response.headers["retry-after"]) <= 60
    assert api.server.log().count("http.out_of_files") == 1, api.server.log()
    api.upload(b"{}")


def test_out_of_descriptors_for_connections_is_logged_once(serve):
    api = serve()
    api.http.get("files")
    pid = api.server.process.pid
    before = descriptors(pid, 8)
    for _ in range(3):
        with Raw(api.server) as raw:
            raw.send(request("GET", "/healthz"))
            time.sleep(0.3)
    descriptors(pid, before)
    wait_until(lambda: httpx.get(f"{api.server.url}/healthz").status_code == 200, "it goes on")
    assert api.server.log().count("http.accept_paused") == 1, api.server.log()


# ---- E15 ----


def org_command(api, *words):
    return program.run("org", *words, *api.server.place())


def refused(api):
    """Waits until the key is refused, and looks at how (contract 2.3)."""
    wait_until(lambda: api.http.get("files").status_code == 403, "refused", seconds=5)
    online = {"model": "m", "messages": []}
    for response in (
        api.http.get("files"),
        api.http.get("models"),
        api.http.post("chat/completions", json=online),
        api.upload_raw(b"{}"),
    ):
        error = check_error(response, api.profile, 403)
        assert "suspended" in error["message"], error


def test_e15_a_suspended_organization_stops_and_goes_on(serve, profile):
    """Its lines in flight end, it gets no new ones, nor are lines sent again; others go on."""
    api = serve(profile, settings={"execution.concurrency": 2})
    upstream = api.server.upstream
    other = Api(api.server, api.server.new_key("others"))
    ids = [fresh() for _ in range(8)]
    steps = [" | hold:gate", " | status:500 then ok"] + [" | slow:0.3"] * 6
    batch = api.create([line(i, i + step) for i, step in zip(ids, steps)])
    api.wait(batch, until=lambda b: b["lowtide"]["running"] > 0)
    org_command(api, "suspend", "default")
    refused(api)
    assert " suspended " in org_command(api, "list").stdout

    time.sleep(2)  # a server looks every second
    upstream.release("gate")
    other.run([line("theirs")])
    requests = settled(lambda: len(upstream.requests), seconds=5)
    time.sleep(1.5)
    assert len(upstream.requests) == requests, "a line was sent all the same"

    org_command(api, "resume", "default")
    wait_until(lambda: api.http.get("files").status_code == 200, "goes on", seconds=5)
    assert api.wait(batch)["request_counts"]["completed"] == 8
    assert " suspended " not in org_command(api, "list").stdout
    other.close()


def test_e15_held_is_told_and_lasts_over_a_restart(serve):
    api = serve()
    batch = api.create([line(fresh(), f"{n} | hold:gate") for n in range(3)])
    api.wait(batch, until=lambda b: b["lowtide"]["running"] == 3)
    org_command(api, "suspend", "default")
    refused(api)
    api.server.restart()
    api.server.upstream.release("gate")
    before = len(api.server.upstream.requests)
    time.sleep(1.5)
    assert len(api.server.upstream.requests) == before
    wait_until(lambda: "batch.started" in api.server.log(), "it is taken up")
    org_command(api, "resume", "default")
    wait_until(lambda: api.http.get("files").status_code == 200, "goes on", seconds=5)
    api.wait(batch)


def test_e15_the_operator_cancels(serve):
    api = serve(settings={"execution.concurrency": 2})
    lines = [line(fresh(), f"{n} | slow:0.2") for n in range(50)]
    batches = [api.create(lines), api.create([line(fresh(), f"x{n} | slow:0.2") for n in range(50)])]
    api.wait(batches[0], until=lambda b: b["request_counts"]["completed"] > 0)
    org_command(api, "suspend", "default", "--cancel")
    refused(api)
    wait_until(lambda: api.server.log().count("batch.ended") == 2, "both are cancelled", seconds=20)
    org_command(api, "resume", "default")
    wait_until(lambda: api.http.get("files").status_code == 200, "goes on", seconds=5)
    for batch in batches:
        assert api.get(batch["id"])["status"] == "cancelled"
    api.run([line(fresh())])  # what is made later is not


def test_e15_usage(serve):
    api = serve()
    done = program.run("org", "suspend", "nobody", *api.server.place(), expect=1)
    assert "nobody" in done.stderr
    program.run("org", "resume", "default", "--cancel", *api.server.place(), expect=2)
