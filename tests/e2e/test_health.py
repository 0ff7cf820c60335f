"""`lowtide health`: what a container asks to know whether its server lives."""

import socket
import threading

import pytest
from support import server as program
from support.jsonl import fresh, numbered
from support.wire import wait_until


def health(*args, **more):
    return program.run("health", *args, **more)


def test_a_server_that_lives(serve):
    server = serve().server
    done = health("--listen", f"127.0.0.1:{server.port}")
    assert f"127.0.0.1:{server.port} is alive" in done.stdout
    health("--ready", env={"LOWTIDE_LISTEN": f"127.0.0.1:{server.port}"})
    # a server on all addresses is asked on loopback
    health("--listen", f"0.0.0.0:{server.port}")


def test_a_server_on_ipv6(serve):
    server = serve(start=False).server
    server.args += ["--listen", "[::1]:0"]
    server.start(wait=False)
    wait_until(lambda: "listens on http://[::1]:" in server.stdout(), "listens")
    port = server.stdout().split("http://[::1]:")[1].split("/")[0]
    assert "is alive" in health("--listen", f"[::]:{port}").stdout


def test_nothing_listens():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    done = health("--listen", f"127.0.0.1:{port}", expect=1)
    assert "cannot be reached: Connection refused" in done.stderr and done.stdout == ""


def test_a_server_that_drains_is_alive_and_not_ready(serve, own_upstream):
    api = serve(settings={"execution.drain": "60s"})
    mark = fresh()
    api.create(numbered(mark, 1, f"hold:{mark}"))
    own_upstream.wait_sent(mark, 1)
    listen = f"127.0.0.1:{api.server.port}"
    api.server.signal_term()
    wait_until(lambda: health("--ready", "--listen", listen, expect=None).returncode == 1, "not ready")
    assert "answered with status 503" in health("--ready", "--listen", listen, expect=1).stderr
    health("--listen", listen)
    own_upstream.release(mark)
    api.server.wait_exit()


@pytest.mark.parametrize("answer", [b"", b"SSH-2.0-OpenSSH_9.2\r\n", b"HTTP/1.1 2", b"\0" * 4000])
def test_something_else_listens(answer):
    def serve_one(listening):
        connection, _ = listening.accept()
        with connection:
            connection.recv(4096)
            connection.sendall(answer)

    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=serve_one, args=[listening])
        thread.start()
        port = listening.getsockname()[1]
        done = health("--listen", f"127.0.0.1:{port}", expect=1)
        thread.join()
    assert "no answer in HTTP" in done.stderr or "Connection reset" in done.stderr, done.stderr


def test_a_wrong_call():
    assert "numeric address" in health("--listen", "example.com:80", expect=2).stderr
