"""log.format: json: one JSON object a line, with the events and fields of the text."""

import json
import re
import signal

from support import server as program
from support.jsonl import fresh, line, numbered
from support.wire import wait_until

TIME = re.compile(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
JSON = {"log.format": "json", "log.level": "debug"}


def parse(log):
    """Every line, each an object of the form that the header log.h draws."""
    events = [json.loads(one) for one in log.splitlines()]
    for one in events:
        assert list(one)[:3] == ["time", "level", "event"], one
        assert TIME.fullmatch(one["time"]), one
        assert one["level"] in ("debug", "info", "warn", "error"), one
        assert re.fullmatch(r"[a-z_]+(\.[a-z_]+)+", one["event"]), one
        assert all(type(value) in (str, int) for value in one.values()), one
    return events


def text_fields(text):
    """{event: names of its fields} of the text's lines."""
    found = {}
    for one in text.splitlines():
        _, level, event, *rest = re.split(r" +", one, maxsplit=3)
        names = re.findall(r'([\w.]+)=(?:"(?:\\.|[^"\\])*"|\S*)', rest[0] if rest else "")
        found.setdefault(event, set()).update(names)
    return found


def run(serve, settings):
    """The log of a server's life: a batch, a refused upload, an upstream that fails once."""
    api = serve(settings=settings)
    mark = fresh()
    lines = [*numbered(mark, 20), line("bad", f"{mark}-x | status:500 then ok")]
    with api.well():
        api.run(lines)
    api.upload_raw([line("a")], filename="a\n\x1b[31m\"b\".csv")
    api.http.get("no/such/path")
    api.server.stop()
    return api.server.log()


def test_log_json_has_what_the_text_has(serve):
    text, log = run(serve, {"log.level": "debug"}), run(serve, JSON)
    events = parse(log)
    seen = {}
    for one in events:
        seen.setdefault(one["event"], set()).update(list(one)[3:])
    fields = text_fields(text)
    once = {"serve.started", "batch.started", "serve.draining", "serve.stopped", "http.request"}
    assert once <= set(seen) and once <= set(fields), set(fields) ^ set(seen)
    for event in once:
        assert seen[event] == fields[event]
    (started,) = [one for one in events if one["event"] == "batch.started"]
    assert started["lines"] == 21 and started["batch"].startswith("batch_")


def test_log_json_never_has_bodies_or_keys(serve):
    api = serve(settings=JSON)
    mark = fresh()
    api.run([line("a", f"{mark} secret words")])
    api.http.post("chat/completions", json={"model": "m-1", "messages": [{"content": mark}]})
    api.server.stop()
    assert mark not in api.server.log() and api.key not in api.server.log()
    parse(api.server.log())


def test_log_format_at_a_reload(tmp_path, serve, own_upstream):
    """SIGHUP: both ways, without a line lost between."""
    config = tmp_path / "lowtide.yaml"

    def write(kind):
        config.write_text(f"log:\n  format: {kind}\nupstreams:\n  - url: {own_upstream.url}\n")

    write("text")
    api = serve(upstream=False, args=["--config", config])
    for times, kind in enumerate(("json", "text"), start=1):
        write(kind)
        api.server.process.send_signal(signal.SIGHUP)
        wait_until(lambda: api.server.log().count("config.reloaded") == times, "a reload", 20)
    api.server.stop()
    lines = api.server.log().splitlines()
    (reloaded,) = [json.loads(one) for one in lines if one.startswith("{")]
    assert reloaded["event"] == "config.reloaded" and reloaded["upstreams"] == 1


def test_log_format_mistake(tmp_path):
    done = program.run("serve", "--check", "--upstream", "http://127.0.0.1:9/v1", "--set",
                       "log.format=xml", expect=2)  # fmt: skip
    assert "--set log.format: 'xml' is not one of: text, json" in done.stderr
