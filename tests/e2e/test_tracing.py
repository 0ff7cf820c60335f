"""tracing.endpoint: batches, lines and online requests as OpenTelemetry spans, over OTLP/HTTP."""

import concurrent.futures
import re
import time

import httpx
import pytest
from support import server as program
from support.collector import Collector
from support.jsonl import fresh, line, numbered
from support.nodes import Nodes, serving
from support.prometheus import parse_metrics
from support.upstream import Answer
from support.wire import wait_until

CHAT = "/v1/chat/completions"
TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
GIVEN = f"00-{TRACE}-{PARENT}-01"
UNSAMPLED = f"00-{TRACE}-{PARENT}-00"


def chat(content, **more):
    return {"model": "m-1", "messages": [{"role": "user", "content": content}], **more}


@pytest.fixture
def collector():
    made = Collector()
    yield made
    made.stop()
    made.check()


@pytest.fixture
def traced(serve, collector):
    """traced(...): a server that tells the collector of every line."""

    def make(settings=None, **more):
        settings = {"tracing.endpoint": collector.url, "tracing.sample": "1", **(settings or {})}
        return serve(settings=settings, **more)

    return make


def traceparents(upstream, mark):
    return [request.header("traceparent") for request in upstream.of(mark)]


def dropped(api):
    text = httpx.get(f"{api.server.url}/metrics", trust_env=False).text
    values = parse_metrics(text)
    return values['lowtide_trace_spans_total{result="dropped"}']


# ---- batches ----


def test_a_span_a_batch_with_its_phases(traced, collector):
    api = traced()
    before = time.time_ns()
    batch = api.run(numbered(fresh(), 5))
    (span,) = collector.wait(name="batch")
    assert span.trace == batch["id"].removeprefix("batch_") and span.parent == ""
    assert span.start == batch["created_at"] * 10**9
    assert before - 2 * 10**8 <= span.end <= time.time_ns() + 2 * 10**8
    said = span.attributes
    assert said["lowtide.batch.id"] == batch["id"] and said["gen_ai.request.model"] == "m-1"
    assert said["lowtide.batch.status"] == "completed" and said["gen_ai.operation.name"] == "chat"
    assert said["lowtide.lines.total"] == said["lowtide.lines.completed"] == 5
    assert said["gen_ai.usage.input_tokens"] == 35 and said["gen_ai.usage.output_tokens"] == 15
    phases = collector.wait(3, parent=span.id, kind="internal")
    phases = [one for one in phases if one.name != "line"]
    assert [one.name for one in phases] == ["validating", "in_progress", "finalizing"]
    assert phases[0].start == span.start and phases[2].end == span.end
    for one, after in zip(phases, phases[1:]):
        assert one.end == after.start and one.trace == span.trace


def test_the_resource_says_who(traced, collector):
    api = traced()
    api.run([line("a", fresh())])
    (span,) = collector.wait(name="batch")
    assert span.resource["service.name"] == "lowtide"
    assert re.fullmatch(r"\d+\.\d+\.\d+", span.resource["service.version"])
    assert re.fullmatch(r"[0-9a-f]{32}", span.resource["service.instance.id"])
    assert {path for path, _ in collector.requests} == {"/v1/traces"}
    assert {h["Content-Type"] for _, h in collector.requests} == {"application/json"}


@pytest.mark.parametrize("given", [GIVEN, GIVEN.replace("00-", "cc-", 1) + "-what-comes"])
def test_a_batch_is_below_the_clients_span(traced, collector, own_upstream, given):
    api = traced()
    mark = fresh()
    made = api.create_raw(api.upload([line("a", mark)]), headers={"traceparent": given})
    batch = api.wait(api.created(made.json()), "completed")
    (span,) = collector.wait(name="batch")
    assert span.trace == TRACE and span.parent == PARENT
    (one,) = collector.wait(name="line")
    assert one.trace == TRACE and one.parent == span.id
    assert traceparents(own_upstream, mark)[0].startswith(f"00-{TRACE}-")
    assert batch["metadata"] is None  # it shows nowhere else


@pytest.mark.parametrize("given", ["", "x", GIVEN.upper(), GIVEN[:-1], GIVEN + "0", "ff" + GIVEN[2:],
                                   GIVEN.replace(TRACE, "0" * 32), GIVEN.replace(PARENT, "0" * 16),
                                   GIVEN + "-x", "00_" + GIVEN[3:]])  # fmt: skip
def test_a_malformed_traceparent_counts_for_nothing(traced, collector, own_upstream, given):
    api = traced()
    made = api.create_raw(api.upload([line("a", fresh())]), headers={"traceparent": given})
    batch = api.wait(api.created(made.json()), "completed")
    (span,) = collector.wait(name="batch")
    assert span.trace == batch["id"].removeprefix("batch_") and span.parent == ""
    mark = fresh()
    api.http.post("chat/completions", json=chat(mark), headers={"traceparent": given})
    (span,) = collector.wait(kind="server")
    assert span.parent == "" and span.trace != TRACE
    assert traceparents(own_upstream, mark) == [f"00-{span.trace}-{span.id}-01"]


def test_what_the_client_does_not_record_is_not_recorded(traced, collector, own_upstream):
    api = traced()
    mark = fresh()
    headers = {"traceparent": UNSAMPLED, "tracestate": "a=b"}
    made = api.create_raw(api.upload([line("a", mark)]), headers=headers)
    api.wait(api.created(made.json()), "completed")
    assert traceparents(own_upstream, mark) == [None]
    mark = fresh()
    api.http.post("chat/completions", json=chat(mark), headers=headers)
    assert traceparents(own_upstream, mark) == [UNSAMPLED]  # passed on as it came
    assert own_upstream.of(mark)[0].header("tracestate") == "a=b"
    api.run([line("b", fresh())])
    collector.wait(name="batch")
    api.server.stop()
    assert not collector.of(trace=TRACE)


def test_batches_that_end_otherwise(traced, collector, own_upstream):
    api = traced(settings={"limits.window_min": "1s"})
    failed = api.run([b"no JSON"], until="failed")
    expired = api.run([line("a", f"{fresh()} | never")], until="expired", completion_window="2s")
    mark = fresh()
    batch = api.create([line("a", f"{mark} | never")])
    own_upstream.wait_sent(mark, 1)
    api.cancel(batch)
    cancelled = api.wait(batch, "cancelled")
    spans = {s.attributes["lowtide.batch.id"]: s for s in collector.wait(3, name="batch")}
    assert spans[failed["id"]].failed and not spans[cancelled["id"]].failed
    for one in (failed, expired, cancelled):
        assert spans[one["id"]].attributes["lowtide.batch.status"] == one["status"]
    phases = [s.name for s in collector.of(parent=spans[cancelled["id"]].id) if s.name != "line"]
    assert phases == ["validating", "in_progress", "cancelling"]
    assert [s.name for s in collector.of(parent=spans[failed["id"]].id)] == ["validating"]
    lines = collector.wait(2, name="line")
    assert {s.attributes["error.type"] for s in lines} == {"dropped"}


def test_a_batch_keeps_its_trace_across_a_kill(traced, collector, own_upstream):
    """The same span, of the same client's trace, though the process is another."""
    api = traced()
    mark = fresh()
    lines = [*numbered(mark, 3), line("last", f"{mark}-last | hold:gate")]
    made = api.create_raw(api.upload(lines), headers={"traceparent": GIVEN})
    batch = api.created(made.json())
    api.wait(batch, lambda seen: seen["request_counts"]["completed"] == 3)
    collector.wait(3, name="line")
    api.server.kill()
    own_upstream.release("gate")
    api.server.start()
    api.wait(batch, "completed")
    (span,) = collector.wait(name="batch")
    assert span.trace == TRACE and span.parent == PARENT
    lines = collector.wait(4, name="line")
    assert {one.parent for one in lines} == {span.id}
    assert len({one.resource["service.instance.id"] for one in lines}) == 2
    sent = traceparents(own_upstream, f"{mark}-last")
    assert len(sent) == 2 and all(one.startswith(f"00-{TRACE}-") for one in sent)


def test_a_batch_of_several_nodes_is_one_span(collector, tmp_path, cluster, store):
    """Lines that nodes send are below it; whoever ends the batch sends it, and nobody else."""
    settings = {"tracing.endpoint": collector.url, "tracing.sample": "50"}
    with serving(Nodes(tmp_path, cluster, store, count=2, upstreams=2, settings=settings)) as nodes:
        nodes.delay = 0.02
        batch = nodes.api(0).run(numbered(fresh(), 4 * 1024))
        (span,) = collector.wait(name="batch")
        sent = lambda: {one.resource["service.instance.id"] for one in collector.of(name="line")}  # noqa: E731
        wait_until(lambda: len(sent()) == 2, "both have sent some")
        lines = collector.wait(20, name="line")
        assert {one.parent for one in lines} == {span.id}
        assert span.attributes["lowtide.batch.id"] == batch["id"]
        assert span.attributes["lowtide.lines.completed"] == 4 * 1024
        phases = {one.name for one in collector.of(parent=span.id)} - {"line"}
        assert phases >= {"validating", "in_progress"}
        failed = nodes.api(1).run([b"no JSON"], until="failed")
        collector.wait(2, name="batch")
    spans = [one.attributes["lowtide.batch.id"] for one in collector.of(name="batch")]
    assert sorted(spans) == sorted([batch["id"], failed["id"]])


# ---- lines ----


def test_a_span_a_line_with_its_attempts(traced, collector, own_upstream):
    api = traced()
    mark = fresh()
    with api.well():
        batch = api.run([line("a", f"{mark} | status:500 then ok")])
    (span,) = collector.wait(name="line")
    (whole,) = collector.wait(name="batch")
    assert span.parent == whole.id and not span.failed
    assert span.attributes["lowtide.batch.id"] == batch["id"]
    assert span.attributes["lowtide.line.record"] == 0
    assert span.attributes["lowtide.line.attempts"] == 2
    assert span.attributes["gen_ai.usage.input_tokens"] == 7
    first, second = collector.wait(2, parent=span.id)
    for one in (first, second):
        assert one.kind == "client" and one.name == "chat m-1" and one.trace == span.trace
        assert span.start <= one.start <= one.end <= span.end
        assert one.attributes["http.request.method"] == "POST"
        assert one.attributes["url.full"] == own_upstream.url.removesuffix("/v1") + CHAT
        assert one.attributes["lowtide.upstream"] == "default"
    assert first.attributes["http.response.status_code"] == 500 and first.failed
    assert first.attributes["error.type"] == "500"
    assert second.attributes["http.response.status_code"] == 200 and not second.failed
    assert second.attributes["http.request.resend_count"] == 1
    assert second.attributes["gen_ai.usage.output_tokens"] == 3
    expected = [f"00-{one.trace}-{one.id}-01" for one in (first, second)]
    assert traceparents(own_upstream, mark) == expected


ENDS = [
    ("status:400", "400"), ("reset", "broken"), ("text", "invalid_answer"), ("slow:30", "timeout"),
]  # fmt: skip


@pytest.mark.parametrize(("script", "error"), ENDS, ids=[error for _, error in ENDS])
def test_how_attempts_fail(traced, collector, script, error):
    api = traced(settings={"execution.max_attempts": "1", "execution.line_timeout": "2s"})
    with api.well():
        api.run([line("a", f"{fresh()} | {script}")])
    (span,) = collector.wait(name="line")
    (attempt, *_) = collector.wait(parent=span.id)
    assert attempt.failed and attempt.attributes["error.type"] == error
    assert span.failed and span.attributes["error.type"] == error


def test_one_line_in_so_many(traced, collector, own_upstream):
    api = traced(settings={"tracing.sample": "10"})
    mark = fresh()
    api.run(numbered(mark, 95))
    collector.wait(name="batch")
    lines = collector.of(name="line")
    records = sorted(one.attributes["lowtide.line.record"] for one in lines)
    assert records == list(range(0, 95, 10))
    told = [n for n in range(95) if traceparents(own_upstream, f"{mark}-{n}")[0] is not None]
    assert told == records  # the others carry nothing


def test_no_lines(traced, collector):
    api = traced(settings={"tracing.sample": "0"})
    api.run(numbered(fresh(), 5))
    collector.wait(name="batch")
    api.server.stop()
    assert not collector.of(name="line")


# ---- online ----


def test_a_span_an_online_request(traced, collector, own_upstream):
    api = traced()
    mark = fresh()
    headers = {"traceparent": GIVEN, "tracestate": "vendor=1"}
    response = api.http.post("chat/completions", json=chat(mark), headers=headers)
    (span,) = collector.wait(kind="server")
    assert span.name == f"POST {CHAT}" and span.trace == TRACE and span.parent == PARENT
    said = span.attributes
    assert said["http.request.method"] == "POST" and said["http.route"] == CHAT
    assert said["http.response.status_code"] == 200 and said["gen_ai.request.model"] == "m-1"
    assert said["gen_ai.operation.name"] == "chat"
    assert said["lowtide.request.id"] == response.headers["x-request-id"]
    assert [name for name, _ in span.events] == ["answer_begins"]
    assert traceparents(own_upstream, mark) == [f"00-{TRACE}-{span.id}-01"]
    assert own_upstream.of(mark)[0].header("tracestate") == "vendor=1"


def test_a_streamed_answer_lasts_to_its_end(traced, collector):
    api = traced()
    body = chat(f"{fresh()} | stream:4:0.2", stream=True)
    response = api.http.post("chat/completions", json=body)
    assert response.text.endswith("data: [DONE]\n\n")
    (span,) = collector.wait(kind="server")
    assert span.end - span.start >= 0.5e9 and not span.failed
    assert span.events[0][1] - span.start < 0.5e9


@pytest.mark.parametrize(
    ("script", "status", "error"), [("status:404", 404, None), ("status:502", 502, "502"),
                                    ("reset", 502, "502"), ("streamcut", 200, "broken")]
)  # fmt: skip
def test_how_online_requests_fail(traced, collector, script, status, error):
    api = traced()
    try:
        api.http.post("chat/completions", json=chat(f"{fresh()} | {script}"))
    except httpx.HTTPError:
        assert script == "streamcut"
    (span,) = collector.wait(kind="server")
    assert span.attributes["http.response.status_code"] == status
    assert span.attributes.get("error.type") == error


def test_a_client_that_goes_away(traced, collector, own_upstream):
    api = traced()
    mark = fresh()
    with pytest.raises(httpx.TimeoutException):
        api.http.post("chat/completions", json=chat(f"{mark} | never"), timeout=0.5)
    (span,) = collector.wait(kind="server")
    assert span.attributes["error.type"] == "client_gone"


def test_other_calls_have_no_spans(traced, collector):
    api = traced()
    api.http.get("models")
    api.http.get("batches")
    api.http.post("chat/completions", json=chat(fresh()))
    collector.wait(kind="server")
    api.server.stop()
    assert len(collector.spans) == 1


# ---- never ----


def test_no_bodies_no_keys(traced, collector, own_upstream):
    api = traced()
    mark = fresh()
    lines = [line(f"id-{mark}", f"{mark} secret words"), line("b", f"{mark}-b | status:400")]
    api.run(lines, metadata={"job": mark})
    own_upstream.on(f"{mark}-o", Answer(status=500, body=mark.encode()))
    api.http.post("chat/completions", json=chat(f"{mark}-o"))
    collector.wait(name="batch")
    collector.wait(kind="server")
    api.server.stop()
    everything = b"".join(collector.bodies)
    assert mark.encode() not in everything and api.key.encode() not in everything
    assert b"secret" not in everything


# ---- a collector that is slow, wrong, or away ----


def work(api, mark):
    """A batch and online requests: how long the slowest of the latter took."""
    batch = api.create(numbered(mark, 50))
    slowest = 0
    for n in range(10):
        began = time.monotonic()
        response = api.http.post("chat/completions", json=chat(f"{mark}-o{n}"))
        assert response.status_code == 200
        slowest = max(slowest, time.monotonic() - began)
    api.wait(batch, "completed")
    return slowest


def test_a_collector_that_hangs_costs_nothing(traced, collector):
    collector.answer = "hang"
    api = traced()
    assert work(api, fresh()) < 2
    collector.wait_requests(1)
    assert work(api, fresh()) < 2
    began = time.monotonic()
    api.server.stop()
    assert time.monotonic() - began < 10  # of which two are for the collector


def test_a_collector_that_is_away_costs_nothing(traced, collector):
    collector.stop()
    api = traced()
    assert work(api, fresh()) < 2
    api.server.stop()
    assert "ERROR" not in api.server.log()


def test_what_is_refused_is_dropped_counted_and_told_once(traced, collector):
    collector.answer = 400
    api = traced()
    work(api, fresh())
    wait_until(lambda: dropped(api) >= 60, "drops", 30)
    work(api, fresh())
    wait_until(lambda: dropped(api) >= 120, "drops", 30)
    log = api.server.log()
    assert log.count("tracing.dropped") == 1 and 'said="HTTP 400"' in log
    assert collector.url in log


def test_what_cannot_be_taken_now_is_sent_again(traced, collector):
    collector.answer = 503
    api = traced()
    api.run(numbered(fresh(), 5))
    collector.wait_requests(2)
    collector.answer = 200
    collector.wait(name="batch")
    assert len(collector.of(name="line")) == 5 and dropped(api) == 0


def test_a_collector_that_comes_back(traced, collector):
    collector.stop()
    api = traced()
    api.run(numbered(fresh(), 5))
    collector.start()
    collector.wait(name="batch")
    assert len(collector.of(name="line")) == 5


def test_partial_success_is_counted(traced, collector):
    collector.body = b'{"partialSuccess": {"rejectedSpans": "2", "errorMessage": "two"}}'
    api = traced(settings={"tracing.sample": "0"})
    api.run([line("a", fresh())])
    wait_until(lambda: dropped(api) == 2, "two drops", 30)


def test_more_than_the_queue_holds(traced, collector):
    """Bounded: what is too much is dropped, and lines go on."""
    collector.answer = "hang"
    api = traced()
    batch = api.run(numbered(fresh(), 3000))
    assert batch["request_counts"]["completed"] == 3000
    wait_until(lambda: dropped(api) > 0, "drops", 30)
    wait_until(lambda: "tracing.dropped" in api.server.log(), "the log", 30)
    assert api.server.log().count("tracing.dropped") == 1


def test_what_waits_is_sent_at_the_end(traced, collector):
    api = traced()
    api.http.post("chat/completions", json=chat(fresh()))
    api.server.stop()
    assert len(collector.of(kind="server")) == 1


# ---- off ----


def test_without_an_endpoint_headers_pass_as_they_came(kimi, upstream):
    mark = fresh()
    kimi.http.post("chat/completions", json=chat(mark), headers={"traceparent": GIVEN})
    assert traceparents(upstream, mark) == [GIVEN]
    mark = fresh()
    made = kimi.create_raw(kimi.upload([line("a", mark)]), headers={"traceparent": GIVEN})
    kimi.wait(kimi.created(made.json()), "completed")
    assert traceparents(upstream, mark) == [None]


@pytest.mark.parametrize("path", ["", "/", "/v1/traces"])
def test_the_endpoint_with_and_without_its_path(serve, collector, path):
    api = serve(settings={"tracing.endpoint": collector.url + path})
    api.run([line("a", fresh())])
    collector.wait(name="batch")
    assert {path for path, _ in collector.requests} == {"/v1/traces"}


@pytest.mark.parametrize(("setting", "said"), [
    ("tracing.endpoint=collector:4318", "is not a URL with http or https"),
    ("tracing.sample=0.5", "is not a whole number"),
    ("tracing.sample=-1", "is not a whole number"),
])  # fmt: skip
def test_mistakes_in_settings(setting, said):
    done = program.run("serve", "--check", "--upstream", "http://127.0.0.1:9/v1", "--set", setting,
                       expect=2)  # fmt: skip
    assert f"--set {setting.partition('=')[0]}: " in done.stderr and said in done.stderr


def test_many_at_once(traced, collector, own_upstream):
    """Each request has a span of its own, and its upstream request that one's id."""
    api = traced()
    mark = fresh()
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        list(pool.map(lambda n: api.http.post("chat/completions", json=chat(f"{mark}-{n}")),
                      range(200)))  # fmt: skip
    spans = collector.wait(200, kind="server")
    assert len({one.id for one in spans}) == len(spans) == 200
    sent = {traceparents(own_upstream, f"{mark}-{n}")[0] for n in range(200)}
    assert sent == {f"00-{one.trace}-{one.id}-01" for one in spans}
