"""Contract 11.3: long polls and server-sent events."""

import collections
import contextlib
import json
import queue
import threading
import time

import httpx
import pytest
from support import server as program
from support.api import ANY, FINAL, Watch, check_batch, check_error, reachable
from support.events import Events
from support.jsonl import fresh, line, numbered
from support.wire import Raw, request

ORG = "lowtide/events"


def held(api, mark, count=4):
    """A batch whose lines wait at the upstream until release(mark)."""
    batch = api.create(numbered(mark, count, f"hold:{mark}"))
    api.server.upstream.wait_sent(mark, 1)
    return batch


def later(call):
    """Calls in a thread; returns what gives the result."""
    found = queue.Queue()
    threading.Thread(target=lambda: found.put(call()), daemon=True).start()
    return lambda seconds=90: found.get(timeout=seconds)


def check_all(events):
    """What holds of every look at a batch (16.3 to 16.7)."""
    watch = Watch()
    for one in events:
        assert one.name == "batch"
        watch.see(one.data)


def passed(statuses):
    """Without `finalizing`, which a batch of few lines enters and leaves in one change."""
    return [status for status in statuses if status != "finalizing"]


def check_order(statuses):
    for a, b in zip(statuses, statuses[1:]):
        assert b in reachable(a), statuses


# ---- long poll ----


@pytest.mark.parametrize(
    ("wait", "code"),
    [
        ("61", "integer_above_max_value"),
        ("-1", "integer_below_min_value"),
        ("99999999999999999999", "integer_above_max_value"),
        ("x", "invalid_type"),
        ("1.5", "invalid_type"),
        ("", "invalid_type"),
    ],
)
def test_11_3_wait_out_of_range(api, wait, code):
    batch = api.run([line("a", fresh())])
    response = api.http.get(f"batches/{batch['id']}", params={"wait": wait})
    check_error(response, api.profile, 400, code, "wait")


def test_11_3_wait_of_a_final_batch_answers_at_once(api):
    batch = api.run([line("a", fresh())])
    began = time.monotonic()
    assert api.http.get(f"batches/{batch['id']}?wait=60").json() == batch
    assert time.monotonic() - began < 30


def test_11_3_wait_answers_when_the_status_differs(api):
    mark = fresh()
    batch = held(api, mark)
    answer = later(lambda: api.sdk.batches.retrieve(batch["id"], extra_query={"wait": 30}))
    with Events(api, f"batches/{batch['id']}/events") as seen:
        seen.next()
    api.server.upstream.release(mark)
    found = answer()
    assert found.status in reachable("in_progress") - {"in_progress"}
    api.wait(batch, "completed")


def test_11_3_wait_ends_when_time_is_up(api):
    mark = fresh()
    batch = held(api, mark)
    for wait in (0, 1):
        began = time.monotonic()
        response = api.http.get(f"batches/{batch['id']}", params={"wait": wait})
        assert time.monotonic() - began >= wait
        assert api.watch.see(response.json())["status"] == "in_progress"
        assert response.headers["content-type"] == "application/json"
    api.server.upstream.release(mark)
    api.wait(batch, "completed")


def test_11_3_wait_sees_a_cancel(api):
    batch = held(api, fresh())
    answer = later(lambda: api.http.get(f"batches/{batch['id']}?wait=60").json())
    while not (one := api.get(batch["id"]))["lowtide"]["running"]:
        assert one["status"] == "in_progress"
    api.cancel(batch)
    assert check_batch(answer())["status"] in ("cancelling", "cancelled")


def test_11_3_cancel_does_not_wait(api):
    batch = held(api, fresh())
    began = time.monotonic()
    response = api.http.post(f"batches/{batch['id']}/cancel?wait=60")
    assert response.json()["status"] in ("cancelling", "cancelled")
    assert time.monotonic() - began < 30


def test_11_3_many_waits_hold_no_worker(api):
    """More long polls than all workers and HTTP threads together; other calls go on."""
    mark = fresh()
    batch = held(api, mark)
    answers = [
        later(
            lambda: httpx.get(
                f"{api.server.base_url}/batches/{batch['id']}?wait=60",
                headers={"Authorization": f"Bearer {api.key}"}, timeout=90, trust_env=False,
            )  # fmt: skip
        )
        for _ in range(64)
    ]
    for _ in range(20):
        began = time.monotonic()
        assert api.get(batch["id"])["status"] == "in_progress"
        assert time.monotonic() - began < 30
    api.server.upstream.release(mark)
    for answer in answers:
        assert answer().json()["status"] in reachable("in_progress") - {"in_progress"}


# ---- the events of a batch ----


def test_11_3_events_one_at_once_one_a_status_change_then_the_end(api):
    mark = fresh()
    batch = held(api, mark)
    with Events(api, f"batches/{batch['id']}/events") as seen:
        response = seen.response
        assert response.headers["content-type"].startswith("text/event-stream")
        assert response.headers["cache-control"] == "no-cache"
        assert response.headers["x-request-id"].startswith("req_")
        first = seen.next()
        assert first.name == "batch" and first.data["status"] == "in_progress"
        assert first.data["request_counts"]["total"] == 4
        api.server.upstream.release(mark)
        seen.rest()
        assert seen.ended, "it broke off"
        assert passed(seen.statuses()) == ["in_progress", "completed"]
        check_all(seen.events)
        ids = [int(one.id) for one in seen.events if one.own]
        assert ids == sorted(set(ids)), "ids grow with each change of state"
        assert seen.events[-1].data == api.get(batch["id"])


def test_11_3_events_of_a_final_batch(api):
    batch = api.run([line("a", fresh())])
    with Events(api, f"batches/{batch['id']}/events") as seen:
        assert [one.data for one in seen.rest()] == [batch]
        assert seen.ended


def test_11_3_events_of_a_cancelled_and_of_a_failed_batch(api):
    batch = held(api, fresh())
    with Events(api, f"batches/{batch['id']}/events") as seen:
        seen.next()
        api.cancel(batch)
        seen.rest()
        assert seen.statuses() == ["in_progress", "cancelling", "cancelled"]
        check_all(seen.events)
    bad = api.create([b"{"] * 1500)
    with Events(api, f"batches/{bad['id']}/events") as seen:
        last = seen.rest()[-1].data
    assert last["status"] == "failed" and len(last["errors"]["data"]) == 1001
    assert last == api.get(bad["id"])


def test_11_3_counts_at_most_once_a_second(serve):
    """Forty slow lines, four at a time: their counts come a second apart, and grow."""
    api = serve(settings={"execution.concurrency": 4})
    batch = api.create(numbered(fresh(), 40, "slow:0.4"))
    with Events(api, f"batches/{batch['id']}/events") as seen:
        seen.rest()
    counts = [one for one in seen.events if not one.own]
    assert len(counts) >= 2, "no counts in between"
    for a, b in zip(counts, counts[1:]):
        assert b.at - a.at > 0.8
        assert b.data["request_counts"]["completed"] >= a.data["request_counts"]["completed"]
    done = [one.data["request_counts"]["completed"] for one in counts]
    assert len(set(done)) > 1 and 0 < done[-1] < 41
    check_all(seen.events)


def test_11_3_a_comment_every_15_seconds(api):
    mark = fresh()
    batch = held(api, mark)
    with Events(api, f"batches/{batch['id']}/events") as seen:
        began = seen.next().at
        seen.comment()
        assert 13 < time.monotonic() - began < 25
        api.server.upstream.release(mark)
        assert seen.rest()[-1].data["status"] == "completed"


def test_11_3_many_listeners_see_the_same(api):
    mark = fresh()
    batch = held(api, mark)
    streams = [Events(api, f"batches/{batch['id']}/events") for _ in range(40)]
    for one in streams:
        assert one.next().data["status"] == "in_progress"
    api.server.upstream.release(mark)
    for one in streams:
        one.rest()
        assert passed(one.statuses()) == ["in_progress", "completed"]
    assert len({json.dumps(one.events[-1].data) for one in streams}) == 1


def test_11_3_events_head_and_unknown(api):
    batch = api.run([line("a", fresh())])
    for path in (f"batches/{batch['id']}/events", ORG):
        response = api.http.head(path)
        assert response.status_code == 200 and response.content == b""
        assert response.headers["content-type"].startswith("text/event-stream")
    check_error(api.http.get("batches/batch_none/events"), api.profile, 404, param=ANY)
    response = api.http.head(f"batches/{batch['id']}?wait=60")
    assert response.status_code == 200


# ---- the events of an organization ----


def newest(events):
    """The last object of each batch."""
    return {one.data["id"]: one.data for one in events}


def test_11_3_org_stream_shows_all_batches_of_the_organization(api):
    mark = fresh()
    done = api.run([line("a", fresh())])
    open_one = held(api, mark)
    with Events(api, ORG) as seen:
        first = seen.next()
        assert first.data["id"] == open_one["id"], "it begins with what has not ended"
        other = api.create([line("b", fresh())])
        seen.until(lambda e: e.data["id"] == other["id"] and e.data["status"] == "completed")
        api.server.upstream.release(mark)
        seen.until(lambda e: e.data["id"] == open_one["id"] and e.data["status"] == "completed")
        by_batch = collections.defaultdict(list)
        check_all(seen.events)
        for one in seen.events:
            by_batch[one.data["id"]].append(one.data["status"])
        assert done["id"] not in by_batch
        assert passed(by_batch[other["id"]]) == ["validating", "in_progress", "completed"]
        ids = [int(one.id) for one in seen.events if one.own]
        assert ids == sorted(set(ids))
        for one in seen.events:
            if not one.own:
                assert one.data["status"] == "in_progress", "counts have no id"


def test_11_3_last_event_id_goes_on_without_a_gap(api):
    mark = fresh()
    open_one = held(api, mark)
    with Events(api, ORG) as seen:
        seen.next()
        api.run([line("a", fresh())])
        seen.until(lambda e: e.data["status"] == "completed")
    last = seen.last_id
    missed = [api.run([line("a", fresh())]) for _ in range(12)]
    api.server.upstream.release(mark)
    missed.append(api.wait(open_one, "completed"))
    with Events(api, ORG, {"Last-Event-ID": last}) as seen:
        wanted = {one["id"]: one for one in missed}
        seen.until(lambda e: set(newest(seen.events)) >= set(wanted))
        assert newest(seen.events) == wanted, "each with its newest object, and no others"
        assert all(int(one.id) > int(last) for one in seen.events)
        late = api.run([line("a", fresh())])
        seen.until(lambda e: e.data == late)


@pytest.mark.parametrize("end", ["stop", "kill"])
def test_11_3_last_event_id_survives_a_restart(serve, own_upstream, end):
    api = serve(settings={"execution.concurrency": 8})
    mark = fresh()
    open_one = held(api, mark)
    with Events(api, ORG) as seen:
        seen.next()
        before = api.run([line("a", fresh())])
        seen.until(lambda e: e.data == before)
    last = seen.last_id
    missed = api.run([line("a", fresh())])
    getattr(api.server, end)()
    own_upstream.release(mark)
    api.server.start()
    with Events(api, ORG, {"Last-Event-ID": last}) as seen:
        ended = api.wait(open_one, "completed")
        seen.until(lambda e: e.data == ended)
        found = newest(seen.events)
        assert found[missed["id"]] == missed and before["id"] not in found


@pytest.mark.parametrize("failpoint", ["batch.before_in_progress", "batch.before_final"])
def test_11_3_a_change_that_a_kill_undid_is_told_when_it_is_made(
    serve, own_upstream, failpoints, failpoint
):
    """Killed between writing the change and its commit: the number is not used up, or is another."""
    api = serve(start=False)
    api.server.start(env={"LOWTIDE_FAILPOINTS": f"{failpoint}=kill"})
    with contextlib.suppress(httpx.HTTPError):  # it may be killed before it has answered
        api.create([line("a", fresh())])
    api.server.wait_killed()
    api.server.start()
    with Events(api, ORG, {"Last-Event-ID": "0"}) as seen:
        last = seen.until(lambda e: e.data["status"] == "completed")
        assert last.data == api.http.get("batches").json()["data"][0]
        check_order(seen.statuses())
        ids = [int(one.id) for one in seen.events if one.own]
        assert ids == sorted(set(ids))


def test_11_3_an_id_from_elsewhere_begins_anew(api):
    mark = fresh()
    batch = held(api, mark)
    with Events(api, ORG, {"Last-Event-ID": "900719925474"}) as seen:
        assert seen.next().data["id"] == batch["id"]
    for given in ("x", "-1", "1.5", "99999999999999999999999"):
        response = api.http.get(ORG, headers={"Last-Event-ID": given})
        check_error(response, api.profile, 400, ANY, "Last-Event-ID")
    api.server.upstream.release(mark)


def test_16_21_events_of_others(api, on_server):
    other = on_server(api.server)
    mark = fresh()
    batch = held(api, mark)
    check_error(other.http.get(f"batches/{batch['id']}/events"), api.profile, 404, param=ANY)
    response = other.http.get(f"batches/{batch['id']}?wait=60")
    check_error(response, api.profile, 404, param=ANY)
    with Events(other, ORG) as seen:
        seen.comment()  # it is heard
        api.server.upstream.release(mark)
        api.wait(batch, "completed")
        own = other.run([line("a", fresh())])
        seen.until(lambda e: e.data == own)
        assert set(newest(seen.events)) == {own["id"]}
    with Events(other, ORG, {"Last-Event-ID": "0"}) as seen:
        seen.until(lambda e: e.data == own)
        assert set(newest(seen.events)) == {own["id"]}


# ---- edges ----


def test_13_1_listeners_of_an_organization_are_bounded(serve):
    api = serve(settings={"limits.org.listeners": 2})
    mark = fresh()
    batch = held(api, mark)
    one, two = Events(api, ORG), Events(api, f"batches/{batch['id']}/events")
    for path in (ORG, f"batches/{batch['id']}/events", f"batches/{batch['id']}?wait=1"):
        response = api.http.get(path)
        check_error(response, api.profile, 429, "rate_limit_exceeded", error_type=(
            "rate_limit_reached_error" if api.profile == "kimi" else "requests"))  # fmt: skip
        assert "limits.org.listeners" in response.text
        assert 1 <= int(response.headers["retry-after"]) <= 60
    assert api.http.get(f"batches/{batch['id']}?wait=0").status_code == 200
    one.close()
    two.close()
    end = time.monotonic() + 60
    while (three := Events(api, ORG)).response.status_code == 429:
        assert time.monotonic() < end, "clients that went away are still counted"
        time.sleep(0.05)
    assert three.next().data["id"] == batch["id"]
    three.close()


def test_11_3_a_listener_that_does_not_read_gets_the_newest_later(serve):
    """Batches with long metadata fill what the sockets hold; none of it queues in the server."""
    api = serve(settings={"limits.memory": "16MB"})
    metadata = {f"k{n}": "x" * 500 for n in range(16)}
    file_id = api.upload([line("a", "hi")])
    with Raw(api.server, receive_bytes=4096, timeout=90) as slow:
        slow.send(request("GET", f"/v1/{ORG}", api.key))
        assert slow._more()
        made = [api.create(file_id, metadata=metadata) for _ in range(300)]
        ended = {b["id"]: api.wait(b, "completed") for b in made}
        text, found = b"", {}
        while found != ended:
            assert slow._more(), f"{len(found)} of {len(ended)}"
            text += slow.buffer
            slow.buffer = b""
            *whole, text = text.split(b"\n")
            for one in whole:
                if one.startswith(b"data: "):
                    value = json.loads(one[6:])
                    found[value["id"]] = value


def test_11_3_a_drain_ends_streams_and_answers_waits(serve):
    api = serve(settings={"execution.drain": "60s"})
    mark = fresh()
    batch = held(api, mark)
    answer = later(lambda: api.http.get(f"batches/{batch['id']}?wait=60"))
    with Events(api, ORG) as one, Events(api, f"batches/{batch['id']}/events") as two:
        one.next()
        two.next()
        api.server.signal_term()
        one.rest()
        two.rest()
        assert one.ended and two.ended, "a stream broke off"
    response = answer()
    assert response.status_code == 200 and response.json()["status"] == "in_progress"
    api.server.upstream.release(mark)
    api.server.wait_exit()


def own_key(api, org):
    """A second key of `org`: its id for the operator, and the headers that send it."""
    key = api.server.new_key(org)
    return key, {"Authorization": f"Bearer {key}"}


def wait_later(api, batch, headers):
    url = f"{api.server.base_url}/batches/{batch['id']}?wait=60"
    return later(lambda: httpx.get(url, headers=headers, timeout=90, trust_env=False))


@pytest.mark.parametrize("by", ["command", "operator"])
def test_13_1_streams_and_waits_end_with_their_key(serve, by):
    api = serve()
    key, headers = own_key(api, "default")
    batch = held(api, fresh())
    path = f"batches/{batch['id']}/events"
    answer = wait_later(api, batch, headers)
    with Events(api, ORG, headers) as one, Events(api, path, headers) as two, Events(api, path) as other:
        for stream in (one, two, other):
            stream.next()
        if by == "command":
            program.run("key", "revoke", *api.server.place(), stdin=key)
        else:
            boss = {"Authorization": f"Bearer {api.server.operator_key()}"}
            url = f"{api.server.base_url}/lowtide/keys"
            known = httpx.get(url, headers=boss, trust_env=False).json()["data"]
            (name,) = (k["id"] for k in known if key.startswith(k["hint"].rstrip("…")))
            assert httpx.delete(f"{url}/{name}", headers=boss, trust_env=False).status_code == 200
        began = time.monotonic()
        one.rest()
        two.rest()
        assert one.ended and two.ended, "a stream broke off"
        refused = answer()
        assert refused.status_code == 401 and "Incorrect API key" in refused.text
        assert time.monotonic() - began < 10, "not before the next comment"
        api.cancel(batch)
        assert other.rest()[-1].data["status"] == "cancelled"


def test_13_1_streams_and_waits_end_with_the_suspension_of_their_organization(serve, on_server):
    api = serve()
    batch = held(api, fresh())
    boss = on_server(api.server, api.server.operator_key())
    answer = wait_later(api, batch, {"Authorization": f"Bearer {api.key}"})
    with Events(api, ORG) as seen, Events(boss, ORG + "?org=default") as watcher:
        seen.next()
        watcher.next()
        program.run("org", "suspend", "default", *api.server.place())
        began = time.monotonic()
        seen.rest()
        assert seen.ended, "it broke off"
        check_error(answer(), api.profile, 403)
        assert time.monotonic() - began < 10
        program.run("org", "resume", "default", *api.server.place())
        api.cancel(batch)
        watcher.until(lambda e: e.data["status"] == "cancelled")


def test_11_3_listeners_that_go_away_leave_nothing(api):
    batch = held(api, fresh())
    for _ in range(3):
        for path in (ORG, f"batches/{batch['id']}/events"):
            with Events(api, path) as seen:
                seen.next()
        with Raw(api.server) as raw:
            raw.send(request("GET", f"/v1/batches/{batch['id']}?wait=60", api.key))
            raw.reset()
    api.cancel(batch)
    with Events(api, f"batches/{batch['id']}/events") as seen:
        assert seen.rest()[-1].data["status"] in FINAL
