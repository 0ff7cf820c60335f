"""https upstreams: whom lowtide trusts, what it shows of itself, what it costs (faults-seen T1 to T4)."""

import json
import os
import pathlib
import signal
import ssl

import pytest
from support import server as program
from support.http2 import Http2Upstream
from support.jsonl import fresh, jsonl, numbered
from support.tls import Authority, Nginx
from support.wire import wait_until

BOTH_CLIENTS = True
MACHINE = pathlib.Path("/etc/ssl/certs/ca-certificates.crt")


@pytest.fixture
def ca(tmp_path):
    return Authority(tmp_path)


@pytest.fixture
def front(tmp_path, own_upstream, ca):
    """front(pair, ...): nginx before the scripted upstream."""
    made = []

    def make(pair=None, **more):
        made.append(
            Nginx(tmp_path / f"nginx-{len(made)}", own_upstream, pair or ca.server(), **more)
        )
        return made[-1]

    yield make
    for one in made:
        one.close()


def config_of(tmp_path, *upstreams):
    path = tmp_path / "lowtide.yaml"
    path.write_text("upstreams: " + json.dumps(upstreams) + "\n")
    return path


def cpu_seconds(process):
    fields = pathlib.Path(f"/proc/{process.pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def assert_refused(api, batch, words):
    """It waits for the operator, no line has failed, and it says why."""

    def told(seen):
        ours = seen["lowtide"]
        return ours["stall_reason"] == "upstream_refused" and words in ours["stall_message"]

    seen = api.wait(batch, told)
    assert seen["request_counts"]["failed"] == 0, seen
    wait_until(lambda: words in api.server.log(), "the log says it, too")  # once it lasts


# ---- whom it trusts (T2) ----


def test_a_ca_that_is_named_for_all(serve, front, ca):
    api = serve(upstream=front(), settings={"tls.ca_file": ca.cert})
    batch = api.run(numbered(fresh(), 50))
    assert batch["request_counts"]["completed"] == 50


def test_a_ca_that_is_named_for_one(serve, front, ca, tmp_path):
    """Beside another upstream that is judged by the other CA: each by its own."""
    other = Authority(tmp_path, "another CA")
    one, two = front(ca.server()), front(other.server())
    path = config_of(
        tmp_path,
        {"name": "a", "url": one.url, "tls": {"ca_file": str(ca.cert)}, "models": ["m-1"]},
        {"name": "b", "url": two.url, "tls": {"ca_file": str(other.cert)}, "models": ["m-2"]},
    )
    api = serve(upstream=False, args=["--config", str(path)])
    for model, nginx in (("m-1", one), ("m-2", two)):
        batch = api.run(numbered(fresh(), 10, model=model))
        assert batch["request_counts"]["completed"] == 10
        assert len(nginx.connections()) >= 1


@pytest.mark.parametrize("variable", ["SSL_CERT_FILE", "SSL_CERT_DIR"])
def test_the_variables_of_openssl(serve, front, ca, tmp_path, variable):
    place = ca.cert
    if variable == "SSL_CERT_DIR":
        from support.tls import openssl

        place = tmp_path / "hashed"
        place.mkdir()
        (place / "ca.pem").write_bytes(ca.cert.read_bytes())
        openssl("rehash", place)
    api = serve(upstream=front(), env={variable: str(place)})
    batch = api.run(numbered(fresh(), 10))
    assert batch["request_counts"]["completed"] == 10


def test_run_takes_them_too(front, ca, tmp_path):
    lines = tmp_path / "in.jsonl"
    lines.write_bytes(b"".join(one + b"\n" for one in numbered(fresh(), 5)))
    nginx = front(client_ca=ca.cert)
    pair = ca.client()
    program.run(
        "run", lines, "-o", tmp_path / "out.jsonl", "--upstream", nginx.url,
        "--set", f"tls.ca_file={ca.cert}", "--set", f"tls.cert_file={pair.cert}",
        "--set", f"tls.key_file={pair.key}",
    )  # fmt: skip
    assert len((tmp_path / "out.jsonl").read_bytes().splitlines()) == 5


# ---- what it shows of itself (T2, T4) ----


@pytest.mark.parametrize("http2", [True, False])
def test_a_client_certificate(serve, front, ca, tmp_path, http2):
    pair = ca.client()
    both = tmp_path / "both.pem"
    both.write_bytes(pair.cert.read_bytes() + pair.key.read_bytes())
    nginx = front(http2=http2, client_ca=ca.cert)
    for settings in (
        {"tls.cert_file": pair.cert, "tls.key_file": pair.key},
        {"tls.cert_file": both},
    ):
        api = serve(upstream=nginx, settings={"tls.ca_file": ca.cert, **settings})
        batch = api.run(numbered(fresh(), 10))
        assert batch["request_counts"]["completed"] == 10


def test_a_reload_takes_new_certificates(serve, front, ca, tmp_path):
    """A CA and a pair in the same files: what they hold counts, and no line is lost."""
    new = Authority(tmp_path, "the new CA")
    first, second = ca.client(), new.client()
    held = {name: tmp_path / name for name in ("ca", "cert", "key")}

    def place(authority, pair):
        held["ca"].write_bytes(authority.cert.read_bytes())
        held["cert"].write_bytes(pair.cert.read_bytes())
        held["key"].write_bytes(pair.key.read_bytes())

    both = tmp_path / "clients.pem"
    both.write_bytes(ca.cert.read_bytes() + new.cert.read_bytes())
    place(ca, first)
    nginx = front(client_ca=both)
    api = serve(upstream=nginx, settings={f"tls.{k}_file": v for k, v in held.items()})
    assert api.run(numbered(fresh(), 10))["request_counts"]["completed"] == 10

    nginx.use(new.server())
    waiting = api.create(numbered(fresh(), 1))
    assert_refused(api, waiting, "certificate")
    place(new, second)
    api.server.process.send_signal(signal.SIGHUP)
    batch = api.wait(waiting, "completed")
    assert batch["request_counts"]["completed"] == 1
    assert "config.reloaded" in api.server.log()


def test_a_reload_with_a_bad_certificate_changes_nothing(serve, front, ca, tmp_path):
    held = tmp_path / "held.pem"
    held.write_bytes(ca.cert.read_bytes())
    api = serve(upstream=front(), settings={"tls.ca_file": held})
    held.write_text("not one")
    api.server.process.send_signal(signal.SIGHUP)
    wait_until(lambda: "config.reload_failed" in api.server.log(), "the reload to be refused")
    assert "tls.ca_file" in api.server.log()
    assert api.run(numbered(fresh(), 10))["request_counts"]["completed"] == 10


# ---- who is refused, and is told why (T3, T4; contract 8.3, 11.2) ----


@pytest.mark.parametrize(
    "fault, words",
    [
        ("unknown CA", "unable to get local issuer certificate"),
        ("another host", "target host name '127.0.0.1'"),
        ("expired", "certificate has expired"),
    ],
)
def test_a_certificate_that_is_not_trusted(serve, front, ca, tmp_path, fault, words):
    trusted = Authority(tmp_path, "another CA") if fault == "unknown CA" else ca
    host = "models.example.com" if fault == "another host" else "127.0.0.1"
    nginx = front(ca.server(host, expired=fault == "expired"))
    api = serve(upstream=nginx, settings={"tls.ca_file": trusted.cert})
    batch = api.create(numbered(fresh(), 1))
    assert_refused(api, batch, words)
    nginx.use(trusted.server())
    api.server.process.send_signal(signal.SIGHUP)
    assert api.wait(batch, "completed")["request_counts"]["completed"] == 1


def test_t3_a_refused_certificate_ends_run(front, ca, tmp_path):
    """No waiting mends it; the next call goes on."""
    nginx = front(ca.server())
    lines = tmp_path / "in.jsonl"
    lines.write_bytes(jsonl(numbered(fresh(), 3)))
    run = ["run", lines, "-o", tmp_path / "out.jsonl", "--upstream", nginx.url]
    done = program.run(*run, expect=1)
    assert "a certificate is refused" in done.stderr and "certificate" in done.stderr
    assert not (tmp_path / "out.jsonl").exists()
    program.run(*run, "--set", f"tls.ca_file={ca.cert}")
    assert len((tmp_path / "out.jsonl").read_text().splitlines()) == 3


def test_a_client_certificate_that_is_missing_at_nginx(serve, front, ca, own_upstream):
    """nginx answers with a page and 400."""
    api = serve(upstream=front(client_ca=ca.cert), settings={"tls.ca_file": ca.cert})
    assert_refused(api, api.create(numbered(fresh(), 5)), "400")
    assert own_upstream.sent() == 0


@pytest.mark.parametrize("shown", [False, True], ids=["missing", "of another CA"])
def test_a_client_certificate_that_is_refused_by_an_alert(serve, ca, tmp_path, shown):
    """TLS 1.3: the alert comes after the handshake, as the answer to a request."""
    upstream = Http2Upstream(ca.server())
    upstream.context.verify_mode = ssl.CERT_REQUIRED
    upstream.context.load_verify_locations(ca.cert)
    pair = Authority(tmp_path, "another CA").client()
    own = {"tls.cert_file": pair.cert, "tls.key_file": pair.key} if shown else {}
    try:
        api = serve(upstream=upstream, settings={"tls.ca_file": ca.cert, **own})
        batch = api.create(numbered(fresh(), 5))
        assert_refused(api, batch, "alert unknown ca" if shown else "alert certificate required")
    finally:
        upstream.close()


# ---- mistakes are told at the start ----


def test_what_is_wrong_is_told_at_the_start(ca, tmp_path):
    pair, other = ca.client(), ca.client()
    cut = tmp_path / "cut.pem"
    cut.write_bytes(ca.cert.read_bytes()[:200])
    sealed = tmp_path / "sealed.key"
    from support.tls import openssl

    openssl("pkey", "-in", pair.key, "-aes256", "-passout", "pass:x", "-out", sealed)
    for settings, wanted in (
        ({"ca_file": "/nowhere/ca.pem"}, "cannot read /nowhere/ca.pem: No such file"),
        ({"ca_file": tmp_path}, "is no file"),
        ({"ca_file": pair.key}, "holds no CA certificate in PEM form"),
        ({"ca_file": cut}, "damaged or cut off"),
        ({"cert_file": pair.cert}, "holds no private key"),
        ({"key_file": pair.key}, "tls.cert_file is missing"),
        ({"cert_file": pair.cert, "key_file": other.key}, "not the certificate's"),
        ({"cert_file": pair.cert, "key_file": sealed}, "protected by a passphrase"),
    ):
        flags = [f"--set=tls.{key}={value}" for key, value in settings.items()]
        done = program.run(
            "serve", "--check", "--upstream", "https://127.0.0.1:1/v1", *flags, expect=2
        )
        assert wanted in done.stderr and "tls." in done.stderr, (settings, done.stderr)
        path = config_of(
            tmp_path,
            {"url": "https://127.0.0.1:1/v1", "tls": {k: str(v) for k, v in settings.items()}},
        )
        done = program.run("serve", "--check", "--config", path, expect=2)
        assert wanted in done.stderr and "lowtide.yaml:1" in done.stderr, (settings, done.stderr)
    path = config_of(tmp_path, {"url": "http://127.0.0.1:1/v1", "tls": {"ca_file": str(ca.cert)}})
    done = program.run("serve", "--check", "--config", path, expect=2)
    assert "is not https" in done.stderr
    path = config_of(tmp_path, {"url": "https://127.0.0.1:1/v1", "tls": {"ca": str(ca.cert)}})
    done = program.run("serve", "--check", "--config", path, expect=2)
    assert "tls.ca_file" in done.stderr


# ---- what it costs (T1) ----


@pytest.mark.skipif(not MACHINE.exists(), reason="no bundle of CA certificates on this machine")
@pytest.mark.parametrize("named", [True, False], ids=["named", "of the machine"])
def test_a_new_connection_does_not_parse_all_cas(serve, front, ca, tmp_path, named):
    """300 lines, each on a connection of its own; parsing the bundle takes tens of ms a time."""
    bundle = tmp_path / "bundle.pem"
    bundle.write_bytes(MACHINE.read_bytes() + ca.cert.read_bytes())
    nginx = front(http2=False, more="keepalive_requests 1;")
    how = (
        {"settings": {"tls.ca_file": bundle}} if named else {"env": {"SSL_CERT_FILE": str(bundle)}}
    )
    api = serve(upstream=nginx, **how)
    before = cpu_seconds(api.server.process)
    batch = api.run(numbered(fresh(), 300))
    used = cpu_seconds(api.server.process) - before
    assert batch["request_counts"]["completed"] == 300
    assert len(nginx.connections()) == 300
    assert used / 300 < 0.012, f"{used * 1000 / 300:.1f} ms of CPU a line"
