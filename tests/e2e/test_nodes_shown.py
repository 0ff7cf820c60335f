"""What is shown of the nodes: GET /v1/lowtide/nodes, /metrics, `lowtide top`, the console."""

import json
import re

import httpx
import pytest
from support.api import Api
from support.jsonl import fresh, numbered
from support.nodes import Nodes, serving
from support.terminal import client
from support.wire import wait_until

MOVES = {"is_self", "lease_left_s"}


@pytest.fixture(scope="module")
def nodes(tmp_path_factory, cluster, store):
    with serving(Nodes(tmp_path_factory.mktemp("shown"), cluster, store)) as made:
        yield made


def listed(api):
    answer = api.http.get("lowtide/nodes")
    assert answer.status_code == 200, answer.text
    return answer.json()


def figures(api):
    text = httpx.get(f"{api.server.url}/metrics", trust_env=False).text
    return {name: float(value) for name, value in re.findall(r"^(lowtide_node\w*) (\S+)$", text, re.M)}


def upstreams_of(api):
    """That the node itself drives, as it says."""
    (me,) = (one for one in listed(api)["data"] if one["is_self"])
    return set(me["upstreams"])


def lasting(rows):
    return [{name: value for name, value in row.items() if name not in MOVES} for row in rows]


def alike(boss):
    """Once all have looked."""
    wait_until(lambda: all(lasting(listed(one)["data"]) == lasting(listed(boss[0])["data"]) for one in boss),
               "all nodes answer alike", 15)  # fmt: skip
    return listed(boss[0])["data"]


def test_one_machine(kimi):
    boss = Api(kimi.server, kimi.server.operator_key())
    assert listed(boss) == {"object": "list", "clustered": False, "fault": None, "data": []}
    assert figures(boss) == {}, "no values"
    assert kimi.http.get("lowtide/nodes").status_code == 403, "an organization's key"
    assert "NODE" not in client(kimi, "top", env={"LOWTIDE_API_KEY": boss.key}).stdout
    boss.close()


def test_every_node_answers_alike(nodes, boss):
    wait_until(lambda: all(upstreams_of(api) == nodes.driven(n) != set() for n, api in enumerate(boss)),
               "all have looked", 20)  # fmt: skip
    data = alike(boss)
    ids = [f"{nodes.number(n)[0]:016x}" for n in range(3)]
    assert [one["id"] for one in data] == sorted(ids)
    assert [one["is_leader"] for one in data] == [True, False, False]
    for n, api in enumerate(boss):
        seen = listed(api)
        assert seen["clustered"] is True and seen["fault"] is None
        assert [one["id"] for one in seen["data"] if one["is_self"]] == [ids[n]]
        (me,) = (one for one in seen["data"] if one["is_self"])
        assert me["address"].endswith(f":{nodes.server(n).port}")
        assert 5 < me["lease_left_s"] <= 15 and me["role"] == "driver" and not me["draining"]
        assert not any(one["version_differs"] or one["config_differs"] for one in seen["data"])
        own = figures(api)
        assert own["lowtide_nodes"] == 3 and 5 < own["lowtide_node_lease_seconds"] <= 14
        assert own["lowtide_node_leader"] == me["is_leader"]
        assert own["lowtide_node_upstreams_driven"] == len(me["upstreams"])
        assert own["lowtide_node_spans"] == own["lowtide_node_buried_total"] == 0


def test_spans_are_counted(nodes, boss):
    mark = fresh()
    batch = nodes.api(1).create(numbered(mark, 6, f"hold:{mark}"))
    wait_until(lambda: sum(figures(one)["lowtide_node_spans"] for one in boss) == 1, "one span is lent", 20)
    for one in nodes.upstreams:
        one.release(mark)
    nodes.api(1).wait(batch, "completed")
    wait_until(lambda: all(figures(one)["lowtide_node_spans"] == 0 for one in boss), "it is finished", 20)


def test_one_that_is_set_otherwise_leaves_and_is_shown(nodes, boss):
    """Of four nodes the odd one is marked, whichever answers; in `lowtide top`, too."""
    made = nodes.make()
    made.settings = {**made.settings, "execution.max_attempts": 2}
    made.start()
    odd = f":{made.port}"
    more = [*boss, Api(made, boss[0].key)]
    try:
        wait_until(lambda: len(listed(boss[0])["data"]) == 4, "there are four", 20)
        data = alike(more)
        assert [one["address"].endswith(odd) for one in data] == [one["config_differs"] for one in data]
        text = client(boss[2], "top", env={"LOWTIDE_API_KEY": boss[0].key}).stdout
        assert re.search(r"^NODE +ROLE +LEASE +VERSION +STATE +DRIVES$", text, re.M), text
        assert re.search(rf"^\S+{odd} .*config differs", text, re.M), text
        assert text.count("differs") == 1 and text.count("leads") == 1, text
        plain = client(boss[2], "top", "--output", "plain", env={"LOWTIDE_API_KEY": boss[0].key}).stdout
        assert len([row for row in plain.splitlines() if row.startswith("node\t")]) == 4, plain
        whole = json.loads(client(nodes.api(2), "top", "--output", "json").stdout)
        assert whole["nodes"] is None, "an organization's key"
    finally:
        made.signal_term()
        made.wait_exit()
        more[3].close()
    wait_until(lambda: len(listed(boss[0])["data"]) == 3, "it has left", 20)
    assert not any(one["config_differs"] for one in alike(boss))


def test_one_that_is_frozen_and_goes_on(nodes, boss):
    nodes.freeze(2)
    try:
        wait_until(lambda: len(listed(boss[0])["data"]) == 2, "others have buried it", 30)
        wait_until(lambda: figures(boss[1])["lowtide_nodes"] == 2, "the other knows, too", 20)
    finally:
        nodes.thaw(2)
    wait_until(lambda: figures(boss[2])["lowtide_node_buried_total"] == 1, "it knows", 20)
    wait_until(lambda: figures(boss[2])["lowtide_nodes"] == 3, "it goes on", 20)
    assert len(alike(boss)) == 3
    assert [figures(one)["lowtide_node_buried_total"] for one in boss] == [0, 0, 1]


def test_without_the_database_nobody_claims_to_know(nodes, boss, cluster):
    """/metrics says what a node can tell by itself, and is answered."""
    cluster.stop()
    try:
        wait_until(lambda: all(figures(one)["lowtide_node_lease_seconds"] == 0 for one in boss), "leases end", 30)
        for one in boss:
            assert "lowtide_nodes" not in figures(one) and figures(one)["lowtide_node_leader"] == 0
    finally:
        cluster.start()
    wait_until(lambda: all(figures(one).get("lowtide_nodes") == 3 for one in boss), "they are back", 30)
    assert len(alike(boss)) == 3
