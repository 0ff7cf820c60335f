"""Rows E2, E3, E4, E11 of faults-seen: what waits for nothing is not behind what waits.

Each test makes something wait (a second an fsync, a lock for good, long lists) and asks meanwhile for
what needs none of it. The limits are those of a busy machine, and far below what is waited for: before,
each of these calls waited as long as the fault itself.
"""

import concurrent.futures
import contextlib
import json
import sqlite3
import statistics
import threading
import time

import httpx
import pytest
from support.jsonl import CHAT, line
from support.wire import Raw, request

MEDIAN_S = 0.05
MOST_S = 0.5


class Probe:
    """Asks for everything that waits for nothing, again and again, on a thread of its own."""

    def __init__(self, api):
        self.api = api
        self.times = {}
        self.stop = threading.Event()
        self.fault = None

    def calls(self, http):
        base = self.api.server.url
        body = {"model": "m", "messages": [{"role": "user", "content": "probe"}]}
        return {
            "/healthz": lambda: http.get(f"{base}/healthz"),
            "/readyz": lambda: http.get(f"{base}/readyz"),
            "/metrics": lambda: http.get(f"{base}/metrics"),
            "models": lambda: http.get("models"),
            "online": lambda: http.post(CHAT.removeprefix("/v1/"), json=body),
        }

    def run(self):
        try:
            with httpx.Client(
                base_url=self.api.server.base_url + "/", trust_env=False, timeout=60,
                headers={"Authorization": f"Bearer {self.api.key}"},
            ) as http:  # fmt: skip
                calls = self.calls(http)
                while not self.stop.is_set():
                    for name, call in calls.items():
                        began = time.monotonic()
                        response = call()
                        took = time.monotonic() - began
                        assert response.status_code == 200, (name, response.text)
                        self.times.setdefault(name, []).append(took)
                    time.sleep(0.01)
        except Exception as fault:  # told by the thread of the test
            self.fault = fault

    def median(self):
        return max(statistics.median(times) for times in self.times.values())

    def most(self):
        """All but one in twenty: a busy machine has its own moments."""
        return max(sorted(times)[len(times) * 19 // 20] for times in self.times.values())

    def told(self):
        return {
            name: f"median {statistics.median(t) * 1e3:.1f} ms, most {max(t) * 1e3:.1f} ms of {len(t)}"
            for name, t in self.times.items()
        }


@contextlib.contextmanager
def probed(api):
    probe = Probe(api)
    thread = threading.Thread(target=probe.run)
    thread.start()
    try:
        yield probe
    finally:
        probe.stop.set()
        thread.join()
    if probe.fault:
        raise probe.fault


def quick_meanwhile(api, fault):
    """fault() runs while the calls are probed; they are as quick as without it."""
    with probed(api) as quiet:
        time.sleep(0.5)
    with probed(api) as probe:
        fault()
    print(probe.told())
    assert probe.median() < max(MEDIAN_S, 5 * quiet.median()), (probe.told(), quiet.told())
    assert probe.most() < MOST_S + 2 * quiet.most(), (probe.told(), quiet.told())
    return probe


def at_once(n, call):
    with concurrent.futures.ThreadPoolExecutor(n) as pool:
        return [one.result() for one in [pool.submit(call, i) for i in range(n)]]


def slow(tmp_path, **points):
    """The environment that makes each of the named failpoints wait, and the file that switches it on."""
    flag = tmp_path / "slow"
    named = ",".join(f"{n.replace('_', '.')}=delay:{ms}:{flag}" for n, ms in points.items())
    return {"LOWTIDE_FAILPOINTS": named}, flag


def upload_alone(api, data):
    """On a connection of its own."""
    with httpx.Client(trust_env=False, timeout=120) as http:
        return http.post(
            f"{api.server.base_url}/files", data={"purpose": "batch"},
            headers={"Authorization": f"Bearer {api.key}"},
            files={"file": ("in.jsonl", data, "application/jsonl")},
        )  # fmt: skip


def test_e2_each_fsync_takes_a_second_and_ten_uploads_end(serve, tmp_path, failpoints):
    env, flag = slow(tmp_path, sys_sync=1000, store_commit=1000)
    api = serve(start=False)
    api.server.start(env=env)
    api.http.get("models")

    def fault():
        flag.touch()
        answers = at_once(10, lambda i: upload_alone(api, b'{"a":1}\n'))
        flag.unlink()
        assert [a.status_code for a in answers] == [200] * 10, [a.text for a in answers]

    began = time.monotonic()
    quick_meanwhile(api, fault)
    assert time.monotonic() - began > 3, "nothing was slow"


def test_e11_each_write_of_an_upload_takes_long(serve, tmp_path, failpoints):
    env, flag = slow(tmp_path, blob_write=200)
    api = serve(start=False)
    api.server.start(env=env)
    data = b'{"a":1}\n' * (1 << 14)  # more than is collected for one piece

    def fault():
        flag.touch()
        answers = at_once(12, lambda i: upload_alone(api, data))
        flag.unlink()
        assert [a.status_code for a in answers] == [200] * 12, [a.text for a in answers]

    began = time.monotonic()
    quick_meanwhile(api, fault)
    assert time.monotonic() - began > 1, "nothing was slow"


@pytest.mark.meta_db
def test_e3_another_process_holds_the_write_lock(serve):
    api = serve()
    file_id = api.upload([line("a")])
    batch = api.run([line("b")])
    other = sqlite3.connect(api.server.data / "meta.db", isolation_level=None)

    def create(_):
        members = {"input_file_id": file_id, "endpoint": CHAT, "completion_window": "24h"}
        return httpx.post(
            f"{api.server.base_url}/batches", json=members, timeout=60, trust_env=False,
            headers={"Authorization": f"Bearer {api.key}"},
        )  # fmt: skip

    def fault():
        other.execute("BEGIN IMMEDIATE")
        began = time.monotonic()
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            waiting = pool.submit(at_once, 20, create)
            time.sleep(1)
            began_get = time.monotonic()
            api.get(batch["id"])  # reads go on
            assert time.monotonic() - began_get < 2
            answers = waiting.result()
        assert 4 < time.monotonic() - began < 20, "5 s, and then a quarter of one each"
        for answer in answers:
            assert answer.status_code == 503, answer.text
            assert answer.json()["error"]["type"] == "server_error"
            assert 1 <= int(answer.headers["retry-after"]) <= 60

    try:
        quick_meanwhile(api, fault)
    finally:
        other.execute("ROLLBACK")
        other.close()
    assert create(0).status_code == 200
    assert api.server.log().count("store.locked") == 1, api.server.log()


@pytest.mark.meta_db
def test_e4_many_list_many_files(serve):
    api = serve()
    api.server.stop()
    db = sqlite3.connect(api.server.data / "meta.db")
    (org,) = db.execute("SELECT id FROM org").fetchone()
    db.executemany(
        "INSERT INTO file (id, org, purpose, bytes, created_at, sha256, filename, sequence)"
        " VALUES (?, ?, 'batch', 9, ?, ?, 'in.jsonl', ?)",
        ((f"file-{n:024d}", org, 1_700_000_000 + n // 3, "a" * 64, n + 1) for n in range(20000)),
    )
    db.commit()
    db.close()
    api.server.start()

    def list_files(_):
        with Raw(api.server, timeout=120) as raw:  # cheap: it shares a processor with the probe
            return raw.send(request("GET", "/v1/files?limit=10000", api.key)).answer()

    def fault():
        for status, _, body in at_once(32, list_files):
            assert status == 200 and len(body) > 1_000_000, body[:300]

    quick_meanwhile(api, fault)
    listed = json.loads(list_files(0)[2])
    ids = [one["id"] for one in listed["data"]]
    assert len(set(ids)) == 10000 and listed["has_more"]
    assert (listed["first_id"], listed["last_id"]) == (ids[0], ids[-1])
