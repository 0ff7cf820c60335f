"""SIGHUP: the configuration is read anew while batches run. Upstreams come, drain, go and come back
without a line lost; a broken file changes nothing and is told."""

import collections
import re
import signal
import time

import pytest
from support.jsonl import fresh, line, numbered

WIDTH = 4


class Config:
    """A file that a server runs with, and rewriting it under the server."""

    def __init__(self, path):
        self.path = path
        self.more = ""

    def write(self, *upstreams):
        """`upstreams`: (name, Upstream, further members ...)."""
        text = "upstreams:\n"
        for name, upstream, *members in upstreams:
            text += f"  - name: {name}\n    url: {upstream.url}\n"
            text += "".join(f"    {member}\n" for member in members)
        self.path.write_text(text + self.more)

    def reload(self, api, event="config.reloaded"):
        """Sends SIGHUP; the line of the log that says how it went."""
        before = len(self.lines(api))
        api.server.process.send_signal(signal.SIGHUP)
        end = time.monotonic() + 30
        while len(self.lines(api)) == before:
            assert api.server.alive() and time.monotonic() < end, api.server.tail()
            time.sleep(0.01)
        said = self.lines(api)[-1]
        assert event in said, said
        return said

    @staticmethod
    def lines(api):
        return re.findall(r".*config\.reload(?:ed|_failed) .*(?=\n)", api.server.log())


@pytest.fixture
def config(tmp_path):
    return Config(tmp_path / "lowtide.yaml")


@pytest.fixture
def start(serve, config):
    """start(settings): an Api on a server with that file and no other upstream."""

    def make(settings=None):
        settings = {"execution.concurrency": WIDTH, **(settings or {})}
        return serve(upstream=False, settings=settings, args=["--config", str(config.path)])

    return make


def more_of(upstream, mark, count=10):
    """Waits until it has been sent `count` more."""
    upstream.wait_sent(mark, upstream.sent(mark) + count)


def is_idle(upstream, mark):
    return all(r.answered or r.dropped for r in upstream.requests if r.marker.startswith(mark))


def settle(upstream, mark):
    """What had been sent when all of it had ended."""
    upstream.wait(lambda: is_idle(upstream, mark), f"{mark} has ended")
    return upstream.sent(mark)


def total(mark, *upstreams):
    counts = collections.Counter()
    for upstream in upstreams:
        counts.update(upstream.counts(mark))
    return counts


def test_upstreams_come_drain_go_and_come_back(start, config, new_upstream):
    """What drains ends what is in flight there, so every line is sent exactly once."""
    a, b = new_upstream(), new_upstream()
    config.write(("a", a))
    api = start()
    mark = fresh()
    batch = api.create(numbered(mark, 600, "slow:0.02"))
    more_of(a, mark)

    config.write(("a", a), ("b", b))
    assert "came=b" in config.reload(api)
    more_of(a, mark)
    more_of(b, mark)

    config.write(("a", a, "drain: true"), ("b", b))
    assert "changed=a" in config.reload(api)
    drained = settle(a, mark)
    more_of(b, mark)
    assert a.sent(mark) == drained, "a was sent a line while it drained"

    config.write(("b", b))
    assert "went=a" in config.reload(api)
    more_of(b, mark)
    assert a.sent(mark) == drained

    config.write(("a", a), ("b", b))
    assert "came=a" in config.reload(api)
    more_of(a, mark)

    batch = api.wait(batch, "completed")
    assert len(api.results(batch)[0]) == 600
    counts = total(mark, a, b)
    assert len(counts) == 600 and set(counts.values()) == {1}, "a line was sent twice"


def test_an_upstream_that_goes_ends_what_is_in_flight(start, config, new_upstream):
    a, b = new_upstream(), new_upstream()
    config.write(("a", a))
    api = start()
    mark = fresh()
    batch = api.create(numbered(mark, 100, f"hold:{mark}"))
    a.wait_sent(mark, WIDTH)
    config.write(("b", b))
    said = config.reload(api)
    assert "came=b" in said and "went=a" in said
    b.wait_sent(mark, WIDTH)
    a.release(mark)
    b.release(mark)
    batch = api.wait(batch, "completed")
    assert len(api.results(batch)[0]) == 100
    assert a.sent(mark) == WIDTH, "a was sent a line after it had gone"
    counts = total(mark, a, b)
    assert len(counts) == 100
    assert sum(counts.values()) <= 100 + WIDTH, "more than what was in flight was sent twice"


def test_an_upstream_that_is_down_is_replaced(start, config, new_upstream):
    """The same name at another URL: what it should have been from the start."""
    gone, good = new_upstream(), new_upstream()
    gone.stop()
    config.write(("main", gone))
    api = start()
    mark = fresh()
    batch = api.create(numbered(mark, 20))
    api.wait(batch, lambda b: b["lowtide"]["stall_reason"] == "upstream_down")
    config.write(("main", good))
    assert "changed=main" in config.reload(api)
    batch = api.wait(batch, "completed")
    assert len(api.results(batch)[0]) == 20 and good.sent(mark) == 20


def test_a_concurrency_limit_changes(start, config, new_upstream):
    a = new_upstream()
    config.write(("a", a, "concurrency: 2"))
    api = start()
    mark = fresh()
    batch = api.create(numbered(mark, 20, f"hold:{mark}"))
    a.wait_sent(mark, 2)
    config.write(("a", a, "concurrency: 7"))
    assert "changed=a" in config.reload(api)
    a.wait_sent(mark, 7)
    time.sleep(0.3)
    assert a.sent(mark) == 7
    a.release(mark)
    assert len(api.results(api.wait(batch, "completed"))[0]) == 20


def test_a_key_is_read_anew(start, config, new_upstream, tmp_path):
    a = new_upstream()
    key = tmp_path / "key"
    key.write_text("sk-first-of-two\n")
    config.write(("a", a, f"api_key_file: {key}"))
    api = start()
    first, second = fresh(), fresh()
    api.run([line("x", first)])
    key.write_text("sk-second-of-two\n")
    assert "changed=a" in config.reload(api)
    api.run([line("x", second)])
    assert a.of(first)[0].header("authorization") == "Bearer sk-first-of-two"
    assert a.of(second)[0].header("authorization") == "Bearer sk-second-of-two"
    assert "sk-" not in api.server.log()


BROKEN = {
    "unknown key": ("    wieght: 3\n", r"lowtide\.yaml:4: wieght: .* nearest: weight"),
    "odd value": ("    weight: 0\n", r"lowtide\.yaml:4: weight: '0' is not a whole number from 1"),
    "no yaml": ("  - [\n", r"lowtide\.yaml:\d: this is not YAML"),
    "no key": ("    api_key_env: NOT_SET_ANYWHERE\n", "NOT_SET_ANYWHERE is not set"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_file_changes_nothing(start, config, new_upstream, name):
    a = new_upstream()
    text, said = BROKEN[name]
    config.write(("a", a))
    api = start()
    mark = fresh()
    batch = api.create(numbered(mark, 100, "slow:0.02"))
    more_of(a, mark)
    config.path.write_text(config.path.read_text() + text)
    assert re.search(said, config.reload(api, "config.reload_failed"))
    batch = api.wait(batch, "completed")
    assert len(api.results(batch)[0]) == 100 and a.sent(mark) == 100


def test_no_file_and_no_upstream_change_nothing(start, config, new_upstream):
    a = new_upstream()
    config.write(("a", a))
    api = start()
    config.path.write_text("log:\n  level: info\n")
    assert "upstreams: there is none" in config.reload(api, "config.reload_failed")
    config.path.unlink()
    assert "lowtide.yaml: No such file" in config.reload(api, "config.reload_failed")
    api.run([line("x", fresh())])
    config.write(("a", a))
    assert 'came="" went="" changed=""' in config.reload(api)


def test_what_needs_a_restart_is_named(start, config, new_upstream):
    """Each time, against what the server runs with; not what flags decide anyway."""
    a = new_upstream()
    config.write(("a", a))
    api = start()
    config.more = (
        "limits:\n  line_bytes: 1MB\nexecution:\n  drain: 9s\n  line_timeout: 600s\n"
        "  max_concurrency: 99\n"
    )
    config.write(("a", a))
    for times in (1, 2):
        config.reload(api)
        named = re.findall(r"config\.restart_needed settings=(.*)", api.server.log())
        assert named == ["limits.line_bytes"] * times  # execution.drain is a flag's
    config.more = ""
    config.write(("a", a))
    config.reload(api)
    assert api.server.log().count("config.restart_needed") == 2


def test_the_level_of_the_log_changes(start, config, new_upstream):
    a = new_upstream()
    config.more = "log:\n  level: error\n"
    config.write(("a", a))
    api = start()
    assert "serve.started" not in api.server.log()
    config.more = "log:\n  level: info\n"
    config.write(("a", a))
    config.reload(api)
    api.server.stop()
    assert "serve.stopped" in api.server.log()


def test_many_reloads_in_the_middle_of_a_batch(start, config, new_upstream):
    a, b = new_upstream(), new_upstream()
    config.write(("a", a), ("b", b))
    api = start()
    mark = fresh()
    batch = api.create(numbered(mark, 400, "slow:0.01"))
    for n in range(20):
        config.write(("a", a, f"weight: {n + 1}"), ("b", b, f"priority: {n}"))
        api.server.process.send_signal(signal.SIGHUP)
        time.sleep(0.02)
    batch = api.wait(batch, "completed")
    assert len(api.results(batch)[0]) == 400
    counts = total(mark, a, b)
    assert len(counts) == 400 and set(counts.values()) == {1}
