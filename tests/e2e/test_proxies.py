"""Upstreams behind a proxy that the environment names (faults-seen T3, T9; README, "Behind a proxy")."""

import signal

import pytest
from support.forward import ForwardProxy
from support.jsonl import fresh, numbered
from support.tls import Authority, Nginx, free_port


class At:
    """The same upstream by another name."""

    def __init__(self, url):
        self.url = url


@pytest.fixture
def proxy():
    """proxy(refuse=STATUS)."""
    made = []

    def make(**more):
        made.append(ForwardProxy(**more))
        return made[-1]

    yield make
    for one in made:
        one.close()


def test_a_plain_upstream_behind_a_proxy(serve, own_upstream, proxy):
    one = proxy()
    named = At(f"http://model.test:{own_upstream.port}/v1")
    api = serve(upstream=named, env={"http_proxy": one.url})
    batch = api.run(numbered(fresh(), 20))
    assert batch["request_counts"]["completed"] == 20
    assert any(line.startswith("POST http://model.test:") for line in one.seen)


@pytest.mark.parametrize("variable", ["https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"])
def test_an_https_upstream_behind_a_proxy(serve, own_upstream, proxy, tmp_path, variable):
    """Its certificate is for the name that only the proxy can look up."""
    ca, one = Authority(tmp_path), proxy()
    front = Nginx(tmp_path / "nginx", own_upstream, ca.server("model.test"))
    try:
        named = At(f"https://model.test:{front.port}/v1")
        api = serve(
            upstream=named, env={variable: one.url}, settings={"tls.ca_file": ca.cert}
        )
        batch = api.run(numbered(fresh(), 20))
        assert batch["request_counts"]["completed"] == 20
        assert set(one.seen) == {f"CONNECT model.test:{front.port} HTTP/1.1"}
    finally:
        front.close()


@pytest.mark.parametrize(
    "host, spared",
    [
        ("0.0.0.0", "*"),  # which is this machine, but not by a loopback address
        ("0.0.0.0", "example.com,0.0.0.0"),
        ("0.0.0.0", "example.com 0.0.0.0/8"),
        ("127.0.0.1", None),
        ("localhost", None),
    ],
)
def test_what_is_reached_without_the_proxy(serve, own_upstream, host, spared):
    """The proxy that is named does not exist."""
    env = {"http_proxy": f"http://127.0.0.1:{free_port()}"}
    if spared is not None:
        env["NO_PROXY"] = spared
    api = serve(upstream=At(f"http://{host}:{own_upstream.port}/v1"), env=env)
    batch = api.run(numbered(fresh(), 5))
    assert batch["request_counts"]["completed"] == 5


# ---- proxies that refuse (contract 8.3, 11.2) ----


def assert_stalled(api, batch, reason, *words):
    """It waits, says why, with the proxy's name but not its password, and no line has failed."""

    def told(seen):
        ours = seen["lowtide"]
        return ours["stall_reason"] == reason and all(w in ours["stall_message"] for w in words)

    seen = api.wait(batch, told)
    assert "secret-word" not in seen["lowtide"]["stall_message"] + api.server.log()
    assert seen["request_counts"]["failed"] == 0, seen


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize(
    "refuse, reason",
    [(407, "upstream_refused"), (403, "upstream_refused"), (502, "upstream_down")],
)
def test_a_proxy_that_refuses(serve, own_upstream, proxy, tmp_path, scheme, refuse, reason):
    """The operator's for 407 and 403, an outage for 502; once it lets through, all lines run."""
    ca, one = Authority(tmp_path), proxy(refuse=refuse)
    front = Nginx(tmp_path / "nginx", own_upstream, ca.server("model.test"))
    try:
        port = front.port if scheme == "https" else own_upstream.port
        named = At(f"{scheme}://model.test:{port}/v1")
        env = {f"{scheme}_proxy": one.url}
        api = serve(upstream=named, env=env, settings={"tls.ca_file": ca.cert})
        batch = api.create(numbered(fresh(), 1))
        assert_stalled(api, batch, reason, f"by way of the proxy {one.name}: ", str(refuse))
        one.refuse = None
        api.server.process.send_signal(signal.SIGHUP)
        assert api.wait(batch, "completed")["request_counts"]["completed"] == 1
    finally:
        front.close()


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_proxy_that_is_down(serve, scheme):
    port = free_port()
    env = {f"{scheme}_proxy": f"http://someone:secret-word@127.0.0.1:{port}"}
    api = serve(upstream=At(f"{scheme}://model.test/v1"), env=env)
    batch = api.create(numbered(fresh(), 5))
    assert_stalled(api, batch, "upstream_down", f"http://127.0.0.1:{port}: ", "onnect")
    api.cancel(batch)
