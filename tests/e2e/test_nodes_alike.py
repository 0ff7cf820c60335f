"""What nodes do at the moment, and did: every node tells the same, of all of them (issue 14).

A node tells the others once a second, and reads what they told when that is half a second old: so each
test waits until all say the same, while an upstream's gate holds the work as it is.
"""

import json
import re
import time

import pytest
from support.events import Events
from support.jsonl import fresh, numbered
from support.nodes import Nodes, serving
from support.terminal import client
from support.wire import wait_until

CONCURRENCY = 16
LINES = 6 * 1024  # six spans
ALIKE_S = 10  # some seconds of a busy machine; docs/many-machines.md says one


@pytest.fixture(scope="module")
def nodes(tmp_path_factory, cluster, store):
    settings = {"execution.concurrency": CONCURRENCY, "online.reserve": 0, "limits.window_min": "1s"}
    with serving(Nodes(tmp_path_factory.mktemp("alike"), cluster, store, settings=settings)) as made:
        yield made


def got(api, path):
    answer = api.http.get(path)
    assert answer.status_code == 200, answer.text
    return answer.json()


def timeless(value):
    """Without what is of the moment of the call."""
    if isinstance(value, dict):
        return {name: timeless(one) for name, one in value.items() if name not in ("at", "eta_at")}
    return [timeless(one) for one in value] if isinstance(value, list) else value


def alike(apis, path, until=lambda value: True, seconds=ALIKE_S):
    """What all answer, once that is the same and as it is to be."""
    found = []

    def same():
        time.sleep(0.1)
        found[:] = [timeless(got(one, path)) for one in apis]
        return all(one == found[0] for one in found) and until(found[0])

    try:
        wait_until(same, f"{path} is the same on each", seconds)
    except AssertionError as err:
        texts = [json.dumps(one, indent=1).splitlines() for one in found]
        rest = [set(one) - set(texts[n - 1]) for n, one in enumerate(texts)]
        raise AssertionError(f"{path}: {json.dumps(found[0])}; what differs: {rest}") from err
    return found[0]


def held(nodes, api, count=LINES, **more):
    """A batch whose lines the upstreams hold, as many as they take; and its gate."""
    mark = fresh()
    batch = api.create(numbered(mark, count, f"hold:{mark}"), **more)
    wait_until(lambda: nodes.in_flight() == CONCURRENCY * len(nodes.upstreams), "all hold lines", 90)
    return batch, mark


def ended(nodes, api, batch, mark):
    nodes.release(mark)
    done = api.wait(batch, "completed")
    wait_until(lambda: nodes.in_flight() == 0, "nothing is in flight", 20)
    return done


def back(upstream):
    """It listens again, unless somebody's connection has its port at the moment."""
    try:
        upstream.start()
    except OSError:
        return False
    return True


def lines_of(history):
    (series,) = (one for one in history["series"] if one["name"] == "lines_per_s")
    return round(sum(one or 0 for one in series["values"]) * history["step_s"])


def test_what_is_in_flight(nodes, boss, apis):
    all_of = CONCURRENCY * len(nodes.upstreams)
    batch, mark = held(nodes, apis[0])
    path = f"batches/{batch['id']}"
    seen = alike(apis, path, lambda one: one["lowtide"]["running"] == all_of)["lowtide"]
    assert seen["pending"] == LINES - all_of and seen["stall_reason"] is None
    assert seen["queue_position"] == 0 and seen["rate_per_s"] == 0
    (listed,) = alike(apis, "batches")["data"]
    assert listed["lowtide"] == seen
    for api in apis:
        with Events(api, f"batches/{batch['id']}/events") as events:
            events.until(lambda one: one.data["lowtide"]["running"] == all_of, 10)

    whole = alike(boss, "lowtide/scheduling",
                  lambda one: all(u["batch"] == CONCURRENCY for u in one["upstreams"]))  # fmt: skip
    assert len(whole["upstreams"]) == 3
    for one in whole["upstreams"]:
        assert one["state"] == "flows" and one["said"] is None
        (lane,) = (lane for lane in one["lanes"] if lane["model"] == "m-1")
        assert lane["in_flight"] == CONCURRENCY and lane["concurrency_limit"] == CONCURRENCY
    (model,) = (one for one in whole["models"] if one["name"] == "m-1")
    assert model["batches"] == 1, "however many nodes have spans of it"
    own = alike(apis, "lowtide/scheduling")
    assert [one["name"] for one in own["models"]] == ["m-1"] and own["models"][0]["batches"] == 1
    assert len(own["upstreams"]) == 3 and "online_requests" not in own
    others = nodes.of_org()
    assert alike(others, "lowtide/scheduling")["models"] == []
    for one in others:
        one.close()

    for api in boss:
        text = client(api, "top", "--output", "plain", env={"LOWTIDE_API_KEY": api.key}).stdout
        for one in whole["upstreams"]:
            assert re.search(rf"^upstream\t{one['name']}\tflows\t.*\b{CONCURRENCY}\b", text, re.M), text
            assert re.search(rf"^lane\t{one['name']}\tm-1\t.*\b{CONCURRENCY}\b", text, re.M), text
    ended(nodes, apis[1], batch, mark)


def test_a_batch_that_waits(nodes, apis):
    first, mark = held(nodes, apis[0], completion_window="1h")
    second = apis[1].create(numbered(fresh(), 3000))
    seen = alike(apis, f"batches/{second['id']}", lambda one: one["lowtide"]["queue_position"] == 1)
    assert seen["lowtide"]["running"] == 0
    listed = alike(apis, "batches")["data"]
    assert [one["lowtide"]["queue_position"] for one in listed] == [1, 0]
    ended(nodes, apis[2], first, mark)
    apis[0].wait(second, "completed")


def test_an_online_request(nodes, boss, apis):
    """Which another node has than the one that drives its upstream."""
    mark = fresh()
    with apis[0].http.stream("POST", f"{apis[0].server.url}/v1/chat/completions",
                             json={"model": "m-1", "stream": True, "messages":
                                   [{"role": "user", "content": f"{mark} | stream:2:60"}]}) as answer:  # fmt: skip
        assert answer.status_code == 200
        whole = alike(boss, "lowtide/scheduling", lambda one: one["online_requests"] == 1, 5)
        assert sum(one["online"] for one in whole["upstreams"]) == 1


def test_rate_and_end(nodes, apis):
    nodes.delay = 0.2
    mark = fresh()
    batch = apis[0].create(numbered(mark, 8 * 1024))

    def shown(api):
        return got(api, f"batches/{batch['id']}")["lowtide"]

    try:
        wait_until(lambda: all(shown(one)["eta_at"] is not None for one in apis), "all can tell", 40)
        time.sleep(4)  # of a rate over ten seconds
        seen = [shown(one) for one in apis]
        rates, ends = [one["rate_per_s"] for one in seen], [one["eta_at"] for one in seen]
        assert max(rates) - min(rates) < 0.25 * max(rates), rates
        assert max(ends) - min(ends) < 0.3 * (max(ends) - time.time()) + 3, ends
        assert max(rates) > 100, "of three upstreams with 80 a second each, on a busy machine"
    finally:
        nodes.delay = 0
    apis[1].wait(batch, "completed")


def test_an_upstream_that_is_down(nodes, boss, apis):
    batch, mark = held(nodes, apis[0])
    gone = nodes.upstreams[:1]
    gone[0].stop()
    try:
        whole = alike(boss, "lowtide/scheduling",
                      lambda one: [u["state"] for u in one["upstreams"]].count("down") == 1, 60)  # fmt: skip
        (one,) = (one for one in whole["upstreams"] if one["state"] == "down")
        assert one["name"] == "default" and one["said"] and one["batch"] == 0
        assert alike(apis, f"batches/{batch['id']}")["lowtide"]["stall_reason"] is None, "others go on"
        for one in nodes.upstreams[1:]:
            one.stop()
            gone.append(one)
        seen = alike(apis, f"batches/{batch['id']}",
                     lambda one: one["lowtide"]["stall_reason"] == "upstream_down", 40)  # fmt: skip
        assert seen["lowtide"]["stall_message"] and seen["lowtide"]["running"] == 0
    finally:
        for one in gone:
            wait_until(lambda one=one: back(one), "its port is free", 30)
        nodes.release(mark)
    apis[1].wait(batch, "completed", 120)


def test_history(nodes, boss, apis):
    batch, mark = held(nodes, apis[0])
    nodes.release(mark)
    apis[1].wait(batch, "completed")
    of_batch = f"lowtide/history?batch={batch['id']}"
    wait_until(lambda: all(lines_of(got(one, of_batch)) == LINES for one in apis), "all nodes told", ALIKE_S)
    pages = [got(one, of_batch) for one in apis]
    assert len({(one["from"], one["step_s"]) for one in pages}) == 1
    least = min(len(one["series"][0]["values"]) for one in pages)
    assert len({tuple(one["series"][0]["values"][:least]) for one in pages}) == 1
    for span in ("hour", "day"):
        path = f"lowtide/history?span={span}"
        alike(apis, path, lambda one: span == "day" or lines_of(one) == LINES, 30)
        whole = alike(boss, path)
        assert lines_of(whole) >= LINES or span == "day"
        assert whole["series"][0]["values"][-1] is not None, "nodes were there"
    assert lines_of(alike([nodes.of_org()[0]], "lowtide/history")) == 0


def test_an_idle_cluster_writes_nothing(nodes):
    def told():
        return (nodes.query("SELECT node, at FROM node_reports ORDER BY node"),
                nodes.query("SELECT count(*), max(at) FROM batch_paces"),
                nodes.query("SELECT count(*) FROM history_ticks"))  # fmt: skip

    def still():
        before = told()
        time.sleep(4)
        return told() == before

    wait_until(still, "nobody writes", 60)


def test_a_node_that_is_killed(nodes, boss, apis):
    """Its figures go with its lease, and what it added to the history stays."""
    first, mark = held(nodes, apis[0])
    ended(nodes, apis[0], first, mark)
    of_batch = f"lowtide/history?batch={first['id']}"
    wait_until(lambda: all(lines_of(got(one, of_batch)) == LINES for one in apis), "all nodes told", ALIKE_S)
    batch, mark = held(nodes, apis[0])
    path, all_of = f"batches/{batch['id']}", CONCURRENCY * 3
    alike(apis, path, lambda one: one["lowtide"]["running"] == all_of)
    (name,) = nodes.driven(2)
    driven = nodes.upstreams[0 if name == "default" else int(name[-1]) - 1]
    nodes.kill(2)
    driven.stop()  # who drives it next has nothing in flight there
    alive, chief = apis[:2], boss[:2]
    try:
        at = time.monotonic()
        alike(alive, path, lambda one: one["lowtide"]["running"] == 2 * CONCURRENCY, 25)
        assert time.monotonic() - at < 18, "a lease is 15 s, and a report is read anew within one"
        whole = alike(chief, "lowtide/scheduling", lambda one: "down" in [u["state"] for u in one["upstreams"]], 30)
        assert {u["name"]: u["batch"] for u in whole["upstreams"]}[name] == 0
        wait_until(lambda: back(driven), "its port is free", 30)
        assert all(lines_of(got(one, of_batch)) == LINES for one in alive)
    finally:
        nodes.revive()
        nodes.release(mark)
    apis[0].wait(batch, "completed", 120)
