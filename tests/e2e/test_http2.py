"""HTTP/2's own ways of saying no (faults-seen T5, T6, T9)."""

import threading
import time

import pytest
from support.http2 import Http2Upstream
from support.jsonl import fresh, numbered
from support.relay import Relay
from support.tls import Authority, Nginx
from support.wire import wait_until

BOTH_CLIENTS = True


@pytest.fixture
def ca(tmp_path):
    return Authority(tmp_path)


@pytest.fixture
def serve_alone(serve, ca, tmp_path):
    """serve_alone(upstream, **execution): its requests are lines only, as streams are counted here.

    Asking for metrics takes a stream, and makes libcurl look at its connections now and then.
    """

    def make(upstream, **execution):
        path = tmp_path / "lowtide.yaml"
        path.write_text(f"upstreams: [{{url: '{upstream.url}', metrics: none}}]\n")
        settings = {f"execution.{name}": value for name, value in execution.items()}
        settings["tls.ca_file"] = ca.cert
        return serve(upstream=False, settings=settings, args=["--config", str(path)])

    return make


@pytest.fixture
def speak(ca):
    """speak(decide): an upstream that decides what becomes of each request."""
    made = []

    def make(decide):
        made.append(Http2Upstream(ca.server(), decide))
        return made[-1]

    yield make
    for one in made:
        one.close()


def test_a_cold_upstream_gets_one_connection(serve, own_upstream, ca, tmp_path):
    """T9: 64 lines at once, before anybody knows that one connection carries them all."""
    own_upstream.models = ["m-1"]
    front = Nginx(tmp_path / "nginx", own_upstream, ca.server())
    try:
        api = serve(
            upstream=front, settings={"tls.ca_file": ca.cert, "execution.concurrency": 64}
        )
        time.sleep(4.5)  # the connection that asked for the models is too old now, and no new one due
        batch = api.run(numbered(fresh(), 64, "slow:0.3"))
        assert batch["request_counts"]["completed"] == 64
        assert {one[2] for one in front.served()} == {"HTTP/2.0"}
        assert len(front.connections()) == 1
    finally:
        front.close()


def test_a_cold_upstream_without_http2_gets_many(serve, own_upstream, ca, tmp_path):
    """Who waited for the first connection does not wait for its answer, nor for one another."""
    own_upstream.models = ["m-1"]
    front = Nginx(tmp_path / "nginx", own_upstream, ca.server(), http2=False)
    try:
        api = serve(
            upstream=front, settings={"tls.ca_file": ca.cert, "execution.concurrency": 32}
        )
        mark = fresh()
        time.sleep(4.5)
        api.create(numbered(mark, 32, "hold:many"))
        own_upstream.wait_sent(mark, 32, seconds=20)
        own_upstream.release("many")
        api.wait(api.batches[-1], "completed")
    finally:
        front.close()


# ---- more lines than one connection takes streams ----


@pytest.fixture
def narrow(own_upstream, ca, tmp_path):
    """nginx that takes 16 streams a connection."""
    own_upstream.models = ["m-1"]
    more = "http2_max_concurrent_streams 16;"
    front = Nginx(tmp_path / "nginx", own_upstream, ca.server(), more=more)
    yield front
    front.close()


def test_a_full_connection_gets_one_beside_it(serve_alone, narrow, http_client):
    """And not one for each line that finds no room: 64 lines, four connections."""
    api = serve_alone(narrow, concurrency=64)
    batch = api.run(numbered(fresh(), 256, "slow:0.2"))
    assert batch["request_counts"]["completed"] == 256
    assert {one[2] for one in narrow.served()} == {"HTTP/2.0"}
    # libcurl sends before it knows how many a connection takes: what was refused may need another
    assert len(narrow.connections()) in ([4] if http_client == "auto" else range(4, 9))


class Gate(Relay):
    """A relay whose new connections go nowhere while `open` is not set."""

    def __init__(self, port):
        super().__init__(lambda: self.open.wait(60) and port)
        self.open = threading.Event()
        self.open.set()
        self.url = self.url.replace("http:", "https:")


def shut(api, gate):
    """The connections so far. The last of them is fresh, and no other comes to stand."""
    api.run(numbered(fresh(), 1))
    gate.open.clear()
    return gate.connections


@pytest.fixture
def gate(narrow):
    made = Gate(narrow.port)
    yield made
    made.open.set()
    made.close()


def test_lines_that_wait_for_a_connection_can_be_cancelled(serve_alone, gate, own_upstream):
    """16 are sent, one makes a connection that does not come to stand, 23 wait for that."""
    api = serve_alone(gate, concurrency=40)
    mark = fresh()
    before = shut(api, gate)
    batch = api.create(numbered(mark, 40, "hold:many"))
    own_upstream.wait_sent(mark, 16, seconds=20)
    wait_until(lambda: gate.connections > before, "the second connection")
    time.sleep(0.3)  # the others find no room
    assert gate.connections == before + 1
    api.cancel(batch)
    assert api.wait(batch, "cancelled", seconds=5)["request_counts"]["completed"] == 0
    gate.open.set()
    own_upstream.release("many")
    assert api.run(numbered(fresh(), 40))["request_counts"]["completed"] == 40


def test_a_connection_beside_another_that_cannot_be_made(serve_alone, gate, own_upstream):
    """Nobody waits for it longer than for the first; no line loses an attempt by it."""
    api = serve_alone(gate, concurrency=40, max_attempts=1)
    mark = fresh()
    before = shut(api, gate)
    batch = api.create(numbered(mark, 40, "hold:many"))
    own_upstream.wait_sent(mark, 16, seconds=20)
    wait_until(lambda: gate.connections > before, "the second connection")
    assert gate.connections == before + 1
    # its 10 s are over, and the others do not wait so long one after the other
    wait_until(lambda: gate.connections > before + 15, "connections of the others", 20)
    gate.open.set()
    own_upstream.release("many")
    assert api.wait(batch, "completed")["request_counts"]["completed"] == 40


# ---- the end of a connection ----


@pytest.mark.parametrize("how", ["leave", "leave-0", "leave-slowly", "notify"])
def test_a_farewell_without_an_end_of_the_connection(serve_alone, speak, how):
    """T5: GOAWAY and close_notify, no FIN. All lines on it go elsewhere within seconds."""
    upstream = speak(
        lambda connection, number, path: "ok" if connection > 1 else how if number == 19 else "wait"
    )
    api = serve_alone(upstream, concurrency=20)
    batch = api.run(numbered(fresh(), 40))  # and not after the line's timeout, 10 min
    assert batch["request_counts"]["completed"] == 40
    assert upstream.connections >= 2


@pytest.mark.parametrize("every", [1, 2], ids=["all", "every other"])
def test_streams_that_are_refused(serve_alone, speak, every):
    """T6: never processed is no attempt: with one attempt a line nothing is lost.

    Of every other stream, too: the upstream is well then, so that it would be the line's fault.
    """
    until = []

    def decide(connection, number, path):
        if not until:
            until.append(time.monotonic() + 4)  # from the first request on
        refused = number % every == 0 and time.monotonic() < until[0]
        return "refuse" if refused else "ok"

    upstream = speak(decide)
    api = serve_alone(upstream, concurrency=10, max_attempts=1)
    batch = api.run(numbered(fresh(), 40))
    assert batch["request_counts"]["completed"] == 40
    assert upstream.sent("refuse") > 0


@pytest.mark.parametrize("how", ["leave", "leave-0", "notify"])
def test_a_farewell_costs_no_attempt(serve_alone, speak, how):
    upstream = speak(
        lambda connection, number, path: "ok" if connection > 1 else how if number == 19 else "wait"
    )
    api = serve_alone(upstream, concurrency=20, max_attempts=1)
    batch = api.run(numbered(fresh(), 40))
    assert batch["request_counts"]["completed"] == 40
