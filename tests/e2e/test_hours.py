"""When lines of a batch are sent (contract 11.1): not_before and hours. The server's clock is put forward
by a failpoint; how hours go by zones and summer times is in tests/unit/batch/test_opening.c."""

import json
import re
import shutil
import time

import pytest
from support.api import check_error
from support.jsonl import fresh, numbered

HOUR = 3600


def create(api, lines, **options):
    made = api.sdk.batches.create(
        input_file_id=api.upload(lines), endpoint="/v1/chat/completions", completion_window="24h",
        extra_body={"lowtide": options},
    )  # fmt: skip
    return api.created(json.loads(made.model_dump_json(warnings=False)))


def clock(at, zone_offset=0):
    return time.strftime("%H:%M", time.gmtime(at + zone_offset))


def waits(api, batch, message):
    seen = api.wait(
        batch, lambda b: b["lowtide"]["stall_reason"] == "held" and b["lowtide"]["running"] == 0
    )
    assert seen["status"] == "in_progress"
    assert re.search(message, seen["lowtide"]["stall_message"]), seen["lowtide"]
    return seen


@pytest.fixture
def ahead(serve, failpoints, tmp_path):
    """A server whose clock jumps two hours ahead with jump()."""
    flag = tmp_path / "ahead"
    api = serve(start=False)
    env = {"LOWTIDE_FAILPOINTS": f"clock={2 * HOUR}:{flag}"}
    api.server.start(env=env)
    api.jump = flag.touch
    api.start_again = lambda: api.server.start(env=env)
    return api


def test_11_1_not_before(ahead, own_upstream):
    mark, at = fresh(), int(time.time()) + HOUR
    batch = create(ahead, numbered(mark, 20), not_before=at)
    when = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(at))
    waits(ahead, batch, f"no line is sent before {when}")
    ahead.server.kill()
    ahead.start_again()
    waits(ahead, batch, "no line is sent before")
    ahead.run(numbered(fresh(), 20))  # others are not held up
    assert own_upstream.sent(mark) == 0
    eta = ahead.wait(batch, lambda b: b["lowtide"]["eta_at"] is not None)["lowtide"]["eta_at"]
    assert at <= eta <= at + HOUR, "the end counts it"
    ahead.jump()
    done = ahead.wait(batch, "completed")
    assert done["request_counts"]["completed"] == 20
    assert own_upstream.sent(mark) == 20


@pytest.mark.parametrize("zone", ["Etc/UTC", "Asia/Kolkata"])
def test_11_1_hours(ahead, own_upstream, zone):
    mark, now = fresh(), time.time()
    offset = {"Etc/UTC": 0, "Asia/Kolkata": 5 * HOUR + 1800}[zone]
    hours = f"{clock(now + 1.5 * HOUR, offset)}-{clock(now + 3 * HOUR, offset)} {zone}"
    batch = create(ahead, numbered(mark, 20), hours=hours)
    waits(ahead, batch, re.escape(hours))
    assert own_upstream.sent(mark) == 0
    ahead.jump()
    ahead.wait(batch, "completed")
    assert own_upstream.sent(mark) == 20


def test_11_1_hours_that_end_while_it_runs(ahead, own_upstream):
    """Those in flight end; the rest waits for the next day."""
    mark, now = fresh(), time.time()
    hours = f"{clock(now - HOUR)}-{clock(now + HOUR)} Etc/UTC"
    batch = create(ahead, numbered(mark, 500, f"hold:{mark}"), hours=hours)
    own_upstream.wait_sent(mark, 1)
    ahead.jump()
    ahead.wait(batch, lambda b: b["lowtide"]["stall_reason"] == "held")
    sent = own_upstream.sent(mark)
    own_upstream.release(mark)
    seen = waits(ahead, batch, "from .* on")
    ahead.run(numbered(fresh(), 20))
    assert own_upstream.sent(mark) <= sent + 1
    assert seen["request_counts"]["completed"] == len(own_upstream.counts(mark)) < 500


def test_11_1_open_hours_do_not_matter(api):
    now = time.time()
    hours = f"{clock(now - HOUR)}-{clock(now + HOUR)} Etc/UTC"
    done = api.wait(create(api, numbered(fresh(), 5), hours=hours, not_before=1), "completed")
    assert done["request_counts"]["completed"] == 5


@pytest.mark.parametrize(
    "hours",
    ["22-6", "22:00-22:00", "25:00-06:00", "22:00-06:00 Europe/Atlantis",
     "22:00-06:00 ../../../etc/passwd", "22:00-06:00 CEST9"],
)  # fmt: skip
def test_11_1_hours_that_are_none(api, hours):
    response = api.create_raw(api.upload(numbered(fresh(), 1)), lowtide={"hours": hours})
    check_error(response, api.profile, 400, "invalid_value", "lowtide.hours")


@pytest.mark.parametrize(
    ("value", "code"),
    [("now", "invalid_type"), (-1, "integer_below_min_value"), (1e30, "invalid_type")],
)
def test_11_1_not_before_is_a_time(api, value, code):
    response = api.create_raw(api.upload(numbered(fresh(), 1)), lowtide={"not_before": value})
    check_error(response, api.profile, 400, code, "lowtide.not_before")


def test_11_1_hours_of_a_zone_that_is_gone(serve, own_upstream, tmp_path):
    """After a restart without it the batch waits, says so, and can be cancelled."""
    zone = tmp_path / "zones" / "Lost"
    zone.parent.mkdir()
    shutil.copy("/usr/share/zoneinfo/Etc/UTC", zone)
    api, mark, now = serve(start=False), fresh(), time.time()
    api.server.start(env={"TZDIR": str(zone.parent)})
    hours = f"{clock(now + 2 * HOUR)}-{clock(now + 3 * HOUR)} Lost"
    batch = create(api, numbered(mark, 5), hours=hours)
    waits(api, batch, "from .* on")
    api.server.kill()
    zone.unlink()
    api.server.start(env={"TZDIR": str(zone.parent)})
    waits(api, batch, "the zone of its hours")
    api.cancel(batch)
    api.wait(batch, "cancelled")
    assert own_upstream.sent(mark) == 0
