"""Who is next, and what a batch says of its turn: contract 11.2."""

import time

from support.jsonl import fresh, line, numbered
from support.server import run as run_program
from support.wire import wait_until

PAUSE = 0.05


def batches_known(api):
    """How many have lines to send, of all organizations: a batch is in progress a moment before."""
    key = {"Authorization": f"Bearer {api.server.operator_key()}"}
    models = api.http.get("lowtide/scheduling", headers=key).json()["models"]
    return sum(model["batches"] for model in models)


def test_11_2_members_while_it_runs_and_after(serve, own_upstream):
    api = serve(settings={"execution.concurrency": 4})
    batch = api.create(numbered(fresh(), 400, f"slow:{PAUSE}"))
    moving = api.wait(batch, lambda b: b["lowtide"]["eta_at"] and b["lowtide"]["rate_per_s"] > 0)
    ours = moving["lowtide"]
    assert ours["queue_position"] == 0 and ours["at_risk"] is False
    assert 20 < ours["rate_per_s"] < 90, "four at a time, 50 ms each: 80 a second"
    assert time.time() - 2 <= ours["eta_at"] <= time.time() + 60
    final = api.wait(batch, "completed")["lowtide"]
    assert final["queue_position"] is None and final["eta_at"] is None
    assert final["at_risk"] is False and final["stall_reason"] is None


def test_11_2_the_eta_is_true(serve, own_upstream):
    """Half way, the expected end is right within a quarter."""
    api = serve(settings={"execution.concurrency": 4})
    batch = api.create(numbered(fresh(), 1200, f"slow:{PAUSE}"))
    began = time.time()
    half = api.wait(batch, lambda b: b["request_counts"]["completed"] >= 700)
    now, eta = time.time(), half["lowtide"]["eta_at"]
    api.wait(batch, "completed")
    took = time.time() - now
    assert eta is not None
    assert abs((eta - now) - took) <= max(2, 0.25 * (time.time() - began)), (eta - now, took)


def test_11_2_at_risk_is_said_early(serve, own_upstream):
    """A batch that cannot make its window says so long before the end."""
    api = serve(settings={"execution.concurrency": 1, "limits.window_min": "1s"})
    batch = api.create(numbered(fresh(), 5000, f"slow:{PAUSE}"), completion_window="60s")
    risky = api.wait(batch, lambda b: b["lowtide"]["at_risk"], seconds=25)
    assert risky["lowtide"]["eta_at"] > risky["expires_at"]
    api.cancel(batch)
    api.wait(batch, "cancelled")


def test_the_earlier_window_goes_first(serve, own_upstream):
    """Of two batches alike of one organization, the one that is due first."""
    api = serve(settings={"execution.concurrency": 2})
    gate, late, soon = fresh(), fresh(), fresh()
    block = api.create(numbered(gate, 2, f"hold:{gate}"), completion_window="12h")
    own_upstream.wait_sent(gate, 2)
    second = api.create(numbered(late, 100), completion_window="7d")
    first = api.create(numbered(soon, 100), completion_window="1d")
    for batch in (first, second):
        api.wait(batch, "in_progress")
    wait_until(lambda: api.get(second["id"])["lowtide"]["queue_position"] >= 1, "it waits")
    own_upstream.release(gate)
    for batch in (block, first, second):
        api.wait(batch, "completed")
    order = [r.marker for r in own_upstream.requests if r.marker.startswith((late, soon))]
    assert all(marker.startswith(soon) for marker in order[:90])


def test_a_small_batch_of_another_organization_is_quick(serve, own_upstream):
    api = serve(settings={"execution.concurrency": 4})
    huge = api.create(numbered(fresh(), 5000, f"slow:{PAUSE}"))
    own_upstream.wait_sent("", 50)
    other = type(api)(api.server, api.server.new_key())
    began = time.monotonic()
    other.run(numbered(fresh(), 40, f"slow:{PAUSE}"))
    assert time.monotonic() - began < 2.5 * 40 * PAUSE / 4 + 1.5
    other.close()
    api.cancel(huge)
    api.wait(huge, "cancelled")


def test_weights_of_organizations(serve, own_upstream):
    """`lowtide org weight`: three times the tokens."""
    api = serve(settings={"execution.concurrency": 4})
    other = type(api)(api.server, api.server.new_key("heavy"))
    run_program("org", "weight", "heavy", "3", *api.server.place())
    gate, light, heavy = fresh(), fresh(), fresh()
    block = api.create(numbered(gate, 4, f"hold:{gate}"))
    own_upstream.wait_sent(gate, 4)
    first = api.create(numbered(light, 400))
    second = other.create(numbered(heavy, 400))
    api.wait(first, "in_progress")
    other.wait(second, "in_progress")
    wait_until(lambda: batches_known(api) == 3, "all wait for their turn")
    own_upstream.release(gate)
    api.wait(block, "completed")
    api.wait(first, "completed")
    other.wait(second, "completed")
    order = [r.marker for r in own_upstream.requests if r.marker.startswith((light, heavy))]
    share = sum(marker.startswith(heavy) for marker in order[:200]) / 200
    assert 0.65 <= share <= 0.85, share
    other.close()


def test_lines_of_a_prefix_follow_each_other(serve, own_upstream):
    """Shuffled lines of 16 long prefixes: those of one are sent one after another; results stay in
    input order."""
    api = serve(settings={"execution.concurrency": 4})
    mark = fresh()
    lines = []
    for n in range(160):
        prefix = f"document {n * 7 % 16} " * 200
        messages = [
            {"role": "system", "content": prefix},
            {"role": "user", "content": f"{mark}-{n} | slow:0.01"},
        ]
        one = line(f"{mark}-{n}", "x", messages=messages)
        lines.append(one)
    batch = api.run(lines)
    order = [int(r.marker.rsplit("-", 1)[1]) * 7 % 16 for r in own_upstream.requests]
    # Nobody says which engine it is: a few prefixes side by side, each until it is done.
    for at in range(160):
        begun_and_not_done = set(order[: at + 1]) & set(order[at:])
        assert len(begun_and_not_done) <= 5, order
    ids = [one.split(b'"custom_id":"')[1].split(b'"')[0].decode()
           for one in api.content(batch["output_file_id"]).splitlines()]  # fmt: skip
    assert ids == [f"{mark}-{n}" for n in range(160)]
