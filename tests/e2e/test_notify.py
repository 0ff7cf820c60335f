"""lowtide as systemd's unit starts it: what it tells (sd_notify(3)), and no key in the journal."""

import os
import re
import signal
import socket
import time

import httpx
import pytest
from support import server as program
from support.api import Api
from test_reload import Config


class Manager:
    """The socket that systemd would give a unit of Type=notify."""

    def __init__(self, name):
        self.name = name
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(name.replace("@", "\0", 1) if name[0] == "@" else name)
        self.socket.settimeout(60)

    def next(self):
        """One datagram as name -> value."""
        return dict(line.split("=", 1) for line in self.socket.recv(4096).decode().split("\n"))

    def until(self, name):
        while name not in (told := self.next()):
            pass
        return told


@pytest.fixture
def manager(tmp_path):
    made = Manager(str(tmp_path / "notify"))
    yield made
    made.socket.close()


@pytest.fixture
def notified(serve, manager):
    """notified(more): a server with that manager, not started."""

    def make(manager=manager, **more):
        api = serve(start=False, **more)
        api.server.env["NOTIFY_SOCKET"] = manager.name
        return api.server

    return make


def test_ready_is_told_when_clients_are_taken(notified, manager):
    server = notified()
    server.start(wait=False)
    assert "opens" in manager.next()["STATUS"]
    told = manager.until("READY")
    assert told["READY"] == "1"
    port = int(re.search(r"listens on 127\.0\.0\.1, port (\d+)", told["STATUS"])[1])
    assert httpx.get(f"http://127.0.0.1:{port}/readyz", trust_env=False).status_code == 200
    server.stop()
    told = manager.until("STOPPING")
    assert told["STOPPING"] == "1"
    assert int(told["EXTEND_TIMEOUT_USEC"]) == 61_000_000  # execution.drain is 1s in these tests


def test_a_name_without_a_file(notified, tmp_path):
    manager = Manager(f"@lowtide-{os.getpid()}-{tmp_path.name}")
    server = notified(manager=manager)
    server.start()
    assert manager.until("READY")["READY"] == "1"
    manager.socket.close()


def test_a_start_that_fails_is_never_ready(notified, manager):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        server = notified(settings={})
        server.args += ["--listen", f"127.0.0.1:{taken.getsockname()[1]}"]
        server.start(wait=False)
        server.wait_exit(expect=1)
    manager.socket.setblocking(False)
    assert "READY" not in manager.next()
    with pytest.raises(BlockingIOError):
        manager.next()


def test_a_reload_begins_and_ends(notified, manager, own_upstream, tmp_path):
    config = Config(tmp_path / "lowtide.yaml")
    config.write(("a", own_upstream))
    server = notified(upstream=False, args=["--config", str(config.path)])
    server.start()
    manager.until("READY")
    for text, status in (("", "has read its configuration anew"), ("nonsense: 1\n", "mistake")):
        config.more = text
        config.write(("a", own_upstream))
        before = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
        server.process.send_signal(signal.SIGHUP)
        told = manager.next()
        after = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
        assert told["RELOADING"] == "1" and before <= int(told["MONOTONIC_USEC"]) <= after
        told = manager.next()
        assert told["READY"] == "1" and status in told["STATUS"], told


def test_a_socket_that_is_gone_stops_nothing(serve):
    api = serve(start=False)
    api.server.start(env={"NOTIFY_SOCKET": "/nowhere/notify"})
    assert "serve.not_notified" in api.server.log()
    assert api.http.get("files").status_code == 200


@pytest.mark.meta_db
def test_no_key_is_written_to_the_journal(serve):
    """Instead of the first key: the command that makes one, which works beside the server."""
    api = serve(start=False)
    server = api.server
    server.key = ""
    out = server.directory / "stdout.1"
    out.touch()  # as the journal's socket would be: known by device and inode
    stat = out.stat()
    server.start(env={"JOURNAL_STREAM": f"{stat.st_dev}:{stat.st_ino}"})
    assert "sk-" not in server.stdout() + server.log()
    assert program.run("key", "list", *server.place()).stdout == ""
    said = re.search(r"to make one: lowtide (key create .*)", server.stdout())[1].split()
    key = program.run(*said).stdout.strip()
    assert Api(server, key).http.get("files").status_code == 200
