"""Three nodes that serve from one schema and one bucket (issue 14): whatever is made, changed and read
through whichever of them, it is as with one. Nodes that die: test_nodes_lost.py.
"""

import concurrent.futures
import itertools
import json
import re
import time

import httpx
import pytest
from support import server as program
from support.api import FINAL, output_text
from support.events import Events
from support.jsonl import fresh, jsonl, line, numbered
from support.nodes import Nodes, serving
from support.receiver import Receiver
from support.wire import wait_until

CONCURRENCY = 16


def configured(urls):
    """Three upstreams for all that tests send, and one for each of the models far-0 to far-2."""
    models = [["m-0", "m-1", "m-2"]] * 3 + [["far-0"], ["far-1"], ["far-2"]]
    upstreams = [{"name": f"u-{n}", "url": url, "models": some}
                 for n, (url, some) in enumerate(zip(urls, models, strict=True))]  # fmt: skip
    return f"upstreams: {json.dumps(upstreams)}\n"


@pytest.fixture(scope="module")
def nodes(tmp_path_factory, cluster, store):
    settings = {"execution.concurrency": CONCURRENCY, "online.reserve": 0, "limits.window_min": "1s",
                "webhooks.allow_private": "true"}  # fmt: skip
    with serving(Nodes(tmp_path_factory.mktemp("nodes"), cluster, store, upstreams=6, config=configured,
                       settings=settings)) as made:  # fmt: skip
        yield made


def same(apis, path, status=200):
    """What all nodes answer, which is one and the same."""
    found = [one.http.get(path) for one in apis]
    assert {one.status_code for one in found} == {status}, [one.text for one in found]
    texts = {one.text if status == 200 else str(status) for one in found}
    assert len(texts) == 1, f"{path}: {texts}"
    return found[0]


def call(api, batch, verb):
    response = api.http.post(f"batches/{batch['id']}/{verb}")
    assert response.status_code == 200, response.text
    return api.watch.see(response.json())


# ---- what each node answers ----


def test_made_watched_and_read_through_three(nodes, apis):
    """And all upstreams are sent to, each by one node: no more lines at once than its limit."""
    a, b, c = apis
    mark, count = fresh(), 6 * 1024
    for one in nodes.upstreams:
        one.peak = 0
    nodes.delay = 0.02
    batch = a.create(numbered(mark, count))
    done = b.wait(batch, "completed")
    nodes.delay = 0
    assert nodes.check(done, mark, count, apis=apis, by=2) == 0
    sent_to = [one for one in nodes.upstreams if one.sent(mark) > 0]
    assert len(sent_to) >= 2 and sent_to == [one for one in nodes.upstreams[:3] if one in sent_to]
    assert all(one.peak <= CONCURRENCY for one in nodes.upstreams)
    for path in (f"batches/{batch['id']}", "batches", "files", f"files/{done['output_file_id']}",
                 f"files/{done['output_file_id']}/content", f"files/{done['input_file_id']}/content",
                 "lowtide/limits"):  # fmt: skip
        same(apis, path)
    tag = {one.http.head(f"files/{done['output_file_id']}/content").headers.get("etag") for one in apis}
    assert len(tag) == 1
    whole = c.content(done["output_file_id"])
    for one, (start, end) in zip(apis, ((0, 99), (len(whole) // 3, len(whole) // 2), (5, len(whole) - 1))):
        part = one.http.get(f"files/{done['output_file_id']}/content",
                            headers={"Range": f"bytes={start}-{end}"})  # fmt: skip
        assert part.status_code == 206 and part.content == whole[start : end + 1]


def test_results_are_the_same_on_each(nodes, apis):
    mark = fresh()
    batch = apis[0].run(numbered(mark, 20))
    lines = same(apis, f"batches/{batch['id']}/results").text.splitlines()
    assert sorted(json.loads(one)["custom_id"] for one in lines) == sorted(f"{mark}-{n}" for n in range(20))


def test_what_one_node_writes_all_read_at_once(nodes, apis):
    ring = itertools.cycle(apis)
    mark = fresh()
    ids = []
    for n in range(6):
        data = jsonl(numbered(f"{mark}-{n}", 3))
        ids.append(next(ring).upload(data))
        for other in apis:
            assert other.file(ids[-1])["bytes"] == len(data) and other.content(ids[-1]) == data
            assert [one["id"] for one in other.http.get("files").json()["data"]] == ids[::-1]
    gone = ids.pop(0)
    assert next(ring).http.delete(f"files/{gone}").json()["deleted"] is True
    for other in apis:
        assert other.http.get(f"files/{gone}").status_code == 404
        assert other.http.get(f"files/{gone}/content").status_code == 404
        assert gone not in other.http.get("files").text
    headers = {"Idempotency-Key": mark}
    made = [one.create_raw(ids[0], headers=headers).json()["id"] for one in (*apis, *apis)]
    assert len(set(made)) == 1, "one batch, whichever node is asked again"
    apis[0].wait(made[0], "completed")
    same(apis, "batches")


def test_held_resumed_and_cancelled_through_others(nodes, apis):
    a, b, c = apis
    mark, count = fresh(), 3 * 1024
    nodes.delay = 0.05
    batch = a.create(numbered(mark, count))
    nodes.wait_acknowledged(batch, 300)
    call(b, batch, "hold")
    for one in apis:
        assert one.get(batch["id"])["lowtide"]["stall_reason"] == "held"
    c.wait(batch, lambda seen: seen["lowtide"]["running"] == 0 and not nodes.in_flight(), 10)
    before = nodes.settled(mark)
    time.sleep(2.5)  # a look of each node
    assert nodes.sent(mark) == before, "nothing is sent while it is held"
    call(c, batch, "resume")
    assert {one.get(batch["id"])["lowtide"]["held_by"] for one in apis} == {None}
    nodes.wait_acknowledged(batch, before + 100)
    call(b, batch, "cancel")
    assert all(one.get(batch["id"])["status"] in ("cancelling", "cancelled") for one in apis)
    done = a.wait(batch, "cancelled", 15)
    nodes.delay = 0
    output, error = b.results(done)
    assert len(output) + len(error) == count
    assert {one["error"]["code"] for one in error.values()} == {"batch_cancelled"}
    assert list(output) == sorted(output, key=lambda one: int(one.rsplit("-", 1)[1]))
    assert set(nodes.counts(mark).values()) == {1}
    same(apis, f"batches/{batch['id']}")


def test_followed_on_another_node(nodes, apis):
    """Events and long polls see what happens elsewhere, without waiting for a look."""
    a, b, c = apis
    mark = fresh()
    with Events(b, "lowtide/events") as all_of_b, concurrent.futures.ThreadPoolExecutor(2) as pool:
        batch = a.create(numbered(mark, 40, f"hold:{mark}"))
        with Events(c, f"batches/{batch['id']}/events") as seen:
            seen.until(lambda one: one.data["status"] == "in_progress", 10)
            polls = [pool.submit(lambda one=one: one.http.get(f"batches/{batch['id']}?wait=30"))
                     for one in (b, c)]  # fmt: skip
            time.sleep(0.3)
            began = time.monotonic()
            call(a, batch, "cancel")
            for one in polls:
                assert one.result().json()["status"] in ("cancelling", "cancelled")
            assert time.monotonic() - began < 1.5, "they are told"
            seen.until(lambda one: one.data["status"] == "cancelled", 15)
        all_of_b.until(lambda one: one.data["status"] == "cancelled" and one.data["id"] == batch["id"], 15)
    wait_until(lambda: not nodes.in_flight(), "what was in flight was dropped", 10)  # no gate was opened


def test_counts_that_move_are_seen_on_each(nodes, apis):
    nodes.delay = 0.1
    mark, count = fresh(), 6 * 1024  # for as long as all have to look
    with Events(apis[2], "lowtide/events") as events:
        batch = apis[0].create(numbered(mark, count))
        shown = [set(), set(), set()]

        def moves():
            for n, one in enumerate(apis):
                shown[n].add(one.get(batch["id"])["request_counts"]["completed"])
            return all(len(some) >= 5 for some in shown)

        wait_until(moves, "all show counts that move", 30)
        told = set()

        def tells(one):
            told.add(one.data["request_counts"]["completed"])
            return len(told) >= 3

        events.until(tells, 15)
        nodes.delay = 0
        apis[1].wait(batch, "completed")
        events.until(lambda one: one.data["status"] == "completed", 15)
    assert set(nodes.counts(mark).values()) == {1}


def figure(api, name):
    text = httpx.get(f"{api.server.url}/metrics", trust_env=False).text
    return int(re.search(rf"^{re.escape(name)} (\d+)$", text, re.M)[1])


def test_online_requests_are_known_to_whoever_drives(nodes, apis):
    """Whichever node they go through: the one that sends lines there counts them all, and leaves them room."""
    mark = fresh()
    body = {"model": "far-0", "messages": [{"role": "user", "content": f"{mark} | hold:{mark}"}]}
    with concurrent.futures.ThreadPoolExecutor(6) as pool:
        calls = [pool.submit(one.http.post, "chat/completions", json=body) for one in apis * 2]
        own = 'lowtide_upstream_in_flight{upstream="u-3",kind="online"}'
        wait_until(lambda: [figure(one, own) for one in apis] == [2, 2, 2], "each has its own", 20)
        theirs = "lowtide_node_online_elsewhere"
        wait_until(lambda: sorted(figure(one, theirs) for one in apis) == [0, 0, 4],
                   "its driver knows of those of both others", 20)  # fmt: skip
        nodes.upstreams[3].release(mark)
        assert {one.result().status_code for one in calls} == {200}
    wait_until(lambda: not any(figure(one, theirs) for one in apis), "none is in flight", 10)


def test_keys(nodes):
    """One made beside the nodes is known to all; one that is revoked is forgotten by all, at once."""
    key = nodes.server(1).new_key("the-others")
    headers = {"Authorization": f"Bearer {key}"}
    look = lambda: {one.http.get("files", headers=headers).status_code for one in nodes.apis}  # noqa: E731
    assert look() == {200}
    program.run("key", "revoke", key, *nodes.server(2).place())
    wait_until(lambda: look() == {401}, "it is revoked on all", 2)


def test_an_upload_in_parts_through_all(nodes, apis):
    a, b, c = apis
    data = jsonl(line(f"{n}", "x" * 400) for n in range(16000))  # 8 MB
    upload = a.sdk.uploads.create(bytes=len(data), filename="in.jsonl", mime_type="application/jsonl",
                                  purpose="batch")  # fmt: skip
    cuts = [0, 1_000_000, 6_000_000, 6_000_001, len(data)]
    parts = [api.sdk.uploads.parts.create(upload_id=upload.id, data=data[start:end]).id
             for api, start, end in zip(itertools.cycle((b, a, c)), cuts, cuts[1:])]  # fmt: skip
    done = c.sdk.uploads.complete(upload_id=upload.id, part_ids=parts)
    for one in apis:
        assert one.content(done.file.id) == data
    again = b.sdk.uploads.create(bytes=10, filename="in.jsonl", mime_type="application/jsonl",
                                 purpose="batch")  # fmt: skip
    c.sdk.uploads.parts.create(upload_id=again.id, data=b"0123456789")
    assert a.sdk.uploads.cancel(again.id).status == "cancelled"
    assert b.http.post(f"uploads/{again.id}/parts", files={"data": ("blob", b"x")}).status_code == 400
    wait_until(lambda: not [one for one in nodes.keys() if again.id in one], "its part is gone", 10)


# ---- batches of each kind, as on one machine ----


def test_the_end_of_a_window(nodes, apis):
    """Lines that ran stand in the output, all others in the error file, whoever had them."""
    mark, count = fresh(), 4 * 1024
    nodes.delay = 0.05
    batch = apis[0].create(numbered(mark, count), completion_window="4s")
    done = apis[1].wait(batch, "expired", 25)
    nodes.delay = 0
    output, error = apis[2].results(done)
    assert done["request_counts"]["completed"] == len(output) > 0
    assert done["lowtide"]["expired"] == len(error) > 0 and len(output) + len(error) == count
    assert {one["error"]["code"] for one in error.values()} == {"batch_expired"}
    assert done["expired_at"] <= done["expires_at"] + 5
    assert set(nodes.counts(mark).values()) == {1}
    assert set(output) <= set(nodes.counts(mark))


def test_bad_lines_that_are_left_out(nodes, apis):
    mark = fresh()
    good = numbered(mark, 3000)
    lines = good[:1500] + [b"{", line(f"{mark}-0", "again")] * 2 + good[1500:] + [b"nothing"]
    batch = apis[0].create(lines, lowtide={"on_invalid_line": "skip"})
    done = apis[1].wait(batch, "completed", 30)
    assert done["request_counts"] == {"total": 3005, "completed": 3000, "failed": 5}
    output, error = apis[2].lines(done["output_file_id"]), apis[2].lines(done["error_file_id"])
    assert [one["custom_id"] for one in output] == [f"{mark}-{n}" for n in range(3000)]
    assert [one["error"]["line"] for one in error] == [1501, 1502, 1503, 1504, 3005]
    assert done["lowtide"]["top_errors"][0]["code"] in ("invalid_json_line", "duplicate_custom_id")
    assert sum(one["count"] for one in done["lowtide"]["top_errors"]) == 5
    assert nodes.counts(mark) == {f"{mark}-{n}": 1 for n in range(3000)}


def test_a_canary(nodes, apis):
    mark, count = fresh(), 3000
    batch = apis[0].create(numbered(mark, count), lowtide={"canary": 5})
    held = apis[1].wait(batch, lambda seen: seen["lowtide"]["stall_reason"] == "held", 20)
    assert held["request_counts"]["completed"] == 5 and held["lowtide"]["held_by"] == "canary"
    assert {one.get(batch["id"])["lowtide"]["held_by"] for one in apis} == {"canary"}
    assert nodes.settled(mark) == 5
    call(apis[2], batch, "resume")
    done = apis[1].wait(batch, "completed", 30)
    assert nodes.check(done, mark, count, apis=apis) == 0


def test_a_budget_of_tokens(nodes, apis):
    """An answer is 10 tokens."""
    mark, count, budget = fresh(), 3000, 1000
    batch = apis[0].create(numbered(mark, count, max_tokens=10), lowtide={"token_budget": budget})
    done = apis[1].wait(batch, "completed", 30)
    output, error = apis[2].results(done)
    assert done["usage"]["total_tokens"] == 10 * len(output) <= budget
    assert budget - 60 < done["usage"]["total_tokens"] and len(output) + len(error) == count
    assert {one["error"]["code"] for one in error.values()} == {"token_budget_exceeded"}
    assert nodes.sent(mark) == len(output)


def test_in_the_order_of_completion(nodes, apis):
    mark, count = fresh(), 3000
    lines = [line(f"{mark}-0", f"{mark}-0 | hold:{mark}"), *numbered(mark, count)[1:]]
    batch = apis[0].create(lines, lowtide={"output_order": "completion"})
    apis[1].wait(batch, lambda seen: seen["request_counts"]["completed"] == count - 1, 30)
    nodes.release(mark)
    done = apis[1].wait(batch, "completed", 30)
    output, error = apis[2].results(done)
    ids = list(output)
    assert set(ids) == {f"{mark}-{n}" for n in range(count)} and not error
    assert ids[-1] == f"{mark}-0", "the line that was last stands last"
    assert set(nodes.counts(mark).values()) == {1}


def test_members_that_are_set(nodes, apis):
    mark, count = fresh(), 2500
    batch = apis[0].create(numbered(mark, count), lowtide={"override": {"model": "m-2", "max_tokens": 7}})
    done = apis[1].wait(batch, "completed", 30)
    assert done["model"] == "m-2"
    assert nodes.check(done, mark, count, apis=apis) == 0
    assert all(b'"max_tokens":7' in one.body and b'"m-2"' in one.body for one in nodes.requests(mark))


def test_several_models(nodes, apis):
    mark, count = fresh(), 2500
    lines = [line(f"{mark}-{n}", f"{mark}-{n}", model=f"m-{n % 3}") for n in range(count)]
    batch = apis[0].create(lines, lowtide={"mixed_models": True})
    done = apis[1].wait(batch, "completed", 30)
    assert nodes.check(done, mark, count, apis=apis) == 0
    output, _ = apis[2].results(done)
    for n, one in enumerate(output.values()):
        assert output_text(one) == f"echo {mark}-{n}"
        assert one["response"]["body"]["model"] == f"m-{n % 3}"


def test_models_that_different_nodes_drive(nodes, apis):
    """Each of the batch's spans has lines for all of them."""
    wait_until(lambda: all(len(nodes.driven(n)) == 2 for n in range(3)), "upstreams are spread", 30)
    mark, count = fresh(), 2500
    lines = [line(f"{mark}-{n}", f"{mark}-{n}", model=f"far-{n % 3}") for n in range(count)]
    batch = apis[0].create(lines, lowtide={"mixed_models": True})
    done = apis[1].wait(batch, "completed", 60)
    assert nodes.check(done, mark, count, apis=apis) == 0
    for n, one in enumerate(nodes.upstreams[3:]):
        assert one.sent(mark) == len(range(n, count, 3))


def test_nothing_but_bad_lines(nodes, apis):
    """Contract 11.1: without a good line it fails, as without the option."""
    batch = apis[0].create([b"{"] * 1500, lowtide={"on_invalid_line": "skip"})
    done = apis[1].wait(batch, "failed", 30)
    assert done["request_counts"] == {"total": 0, "completed": 0, "failed": 0}
    assert {code for code, _, _ in apis[2].errors(done)} == {"invalid_json_line", "too_many_errors"}
    same(apis, f"batches/{batch['id']}")


def test_lines_that_fail(nodes, apis):
    """Errors of upstreams stand in the error file, in order, and are told by cause over all spans."""
    mark, count = fresh(), 3000
    lines = [line(f"{mark}-{n}", f"{mark}-{n}" + (" | status:400" if n % 7 == 0 else ""))
             for n in range(count)]  # fmt: skip
    with apis[0].well():
        done = apis[1].wait(apis[0].create(lines), "completed", 30)
    output, error = apis[2].results(done)
    assert list(error) == [f"{mark}-{n}" for n in range(0, count, 7)]
    assert len(output) + len(error) == count and done["request_counts"]["failed"] == len(error)
    (top,) = done["lowtide"]["top_errors"]
    assert top["count"] == len(error), top


# ---- once, not once a node ----


def test_webhooks_are_delivered_once(nodes, apis):
    receiver = Receiver()
    try:
        given = {"name": "a", "url": receiver.url, "event_types": ["batch.completed", "batch.cancelled"]}
        made = apis[0].http.post("webhook_endpoints", json=given).json()
        assert same(apis, "webhook_endpoints").json()["data"][0]["id"] == made["id"]
        batches = [apis[n % 3].create(numbered(fresh(), 1500 if n < 3 else 10)) for n in range(6)]
        for n, one in enumerate(batches):
            apis[(n + 1) % 3].wait(one, "completed", 30)
        receiver.wait(6)
        time.sleep(3)  # looks of all nodes
        assert sorted(one.batch for one in receiver.requests) == sorted(one["id"] for one in batches)
        log = wait_until(lambda: [one for one in deliveries(apis[2], made) if one["next_at"] is None],
                         "they are in the log")  # fmt: skip
        assert {one["attempts"] for one in log} == {1}
        same(apis, f"webhook_endpoints/{made['id']}/deliveries")
    finally:
        receiver.close()


def deliveries(api, made):
    return api.http.get(f"webhook_endpoints/{made['id']}/deliveries").json()["data"]


def test_what_a_final_batch_leaves(nodes, apis):
    """No rows of spans and pieces; its result files are whole. Its parts, of which somebody may be reading a
    page, are the sweep's."""
    mark, count = fresh(), 3 * 1024
    before = nodes.keys("files/part-")
    done = apis[1].wait(apis[0].create(numbered(mark, count)), FINAL, 30)
    one = f"batch = '{done['id']}'"
    assert nodes.query(f"SELECT count(*) FROM spans WHERE {one}") == [("0",)]
    assert nodes.query(f"SELECT count(*) FROM journal_pieces WHERE {one}") == [("0",)]
    parts = nodes.keys("files/part-") - before
    assert parts
    assert nodes.check(done, mark, count, apis=apis) == 0
    apis[2].http.delete(f"files/{done['output_file_id']}").raise_for_status()
    wait_until(lambda: not nodes.keys(f"files/{done['output_file_id']}"), "its bytes are gone", 10)
    restarted(nodes)
    names = {part.removeprefix("files/").split(".")[0] for part in parts}
    wait_until(lambda: names <= marked(nodes), "they are marked", 20)
    assert parts <= nodes.keys("files/part-")
    an_hour_goes(nodes, names)
    restarted(nodes)
    wait_until(lambda: not parts & nodes.keys("files/part-"), "they are gone", 40)


def restarted(nodes):
    """All at once: whoever leads then sweeps at once."""
    for one in nodes.servers:
        one.signal_term()
    for one in nodes.servers:
        one.wait_exit()
    nodes.revive()


def marked(nodes):
    return {name for (name,) in nodes.query("SELECT name FROM garbage")}


def an_hour_goes(nodes, names):
    """For these, which are marked."""
    listed = ", ".join(f"'{one}'" for one in names)
    nodes.query(f"UPDATE garbage SET seen = seen - interval '1 hour' WHERE name IN ({listed})")


def test_the_sweep(nodes):
    """Chunks that no row names are marked, and go an hour later; those of a batch that goes on stay."""
    api, mark, count = nodes.api(0), fresh(), 3 * 1024
    api.run(numbered(fresh(), 50))  # whose chunks no row names any more
    nodes.delay = 0.05
    batch = nodes.in_the_middle(mark, count, 500)
    call(api, batch, "hold")
    nodes.settled(mark)
    restarted(nodes)
    live = {chunk for _, chunk, _, _ in nodes.pieces(batch)}
    dead = nodes.keys("chunks/") - live
    assert live and dead
    restarted(nodes)
    wait_until(lambda: dead <= marked(nodes), "they are marked", 20)
    assert not live & marked(nodes) and dead <= nodes.keys("chunks/")
    due = set(sorted(dead)[:40])
    an_hour_goes(nodes, due)
    restarted(nodes)
    wait_until(lambda: not due & nodes.keys("chunks/"), "they are gone", 40)
    assert dead - due <= nodes.keys("chunks/")
    seen = nodes.acknowledged(batch)
    call(nodes.api(1), batch, "resume")
    nodes.delay = 0
    done = nodes.api(2).wait(batch, "completed", 40)
    assert nodes.check(done, mark, count, seen) == 0
