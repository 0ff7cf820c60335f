"""A full or failing disk: uploads are refused with a clear error, a running batch pauses, says so,
and goes on when there is room. Nothing is lost and the server stays up."""

import contextlib
import os
import subprocess

import pytest
from support.api import ANY, check_error
from support.jsonl import fresh, jsonl, line, numbered
from support.wire import wait_until

MB = 1 << 20
UNSYNCED = 1024  # lines that were answered and are not durable: then nothing more is sent


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 8 MB of its own; `resize(bytes)` changes that."""
    mount = tmp_path / "disk"
    mount.mkdir()
    options = ["-t", "tmpfs", "-o", "size=8m,mode=0755", "lowtide-test", str(mount)]
    done = subprocess.run(["mount", *options], capture_output=True, text=True)
    if done.returncode != 0:
        pytest.skip(f"needs a mount, which this user may not make: {done.stderr.strip()}")

    class Disk:
        path = mount

        def resize(self, size):
            subprocess.run(["mount", "-o", f"remount,size={size}", str(mount)], check=True)

        def free(self):
            stat = os.statvfs(mount)
            return stat.f_bavail * stat.f_frsize

        def fill(self):
            with open(mount / "filler", "wb", buffering=0) as filler:
                with contextlib.suppress(OSError):
                    while filler.write(b"\0" * 4096):
                        pass

        def clear(self):
            (mount / "filler").unlink()

    yield Disk()
    subprocess.run(["umount", "-l", str(mount)], check=True)


@pytest.fixture
def on_disk(small_disk, serve):
    """serve(), with the data directory on the small disk. It is stopped before the disk goes."""
    made = []

    def make(**more):
        made.append(serve(data=small_disk.path / "data", **more))
        return made[-1]

    yield make
    for api in made:
        small_disk.resize("64m")
        api.close()
        api.server.dispose()


def no_room(response, profile):
    check_error(response, profile, response.status_code, code=ANY, param=ANY)
    assert response.status_code in (500, 507), response.text
    assert "/" not in response.json()["error"]["message"], "a path is told"


@pytest.mark.parametrize("profile", ["kimi", "openai"])
def test_upload_to_a_full_disk(on_disk, small_disk, profile):
    api = on_disk(profile=profile)
    kept = api.upload([line("a", fresh())])
    before = api.server.blobs()
    no_room(api.upload_raw(b"x" * (20 * MB)), profile)
    wait_until(lambda: api.server.blobs() == before, "nothing is left of it")
    assert [one["id"] for one in api.http.get("files").json()["data"]] == [kept]
    api.run(kept)
    big = b"y" * (3 * MB)
    assert api.content(api.upload(big)) == big


def test_batch_pauses_on_a_full_disk_and_goes_on(on_disk, small_disk, own_upstream):
    api = on_disk(settings={"execution.concurrency": 8})
    mark = fresh()
    batch = api.create([*numbered(mark, 10), *numbered(mark + "h", 60, f"hold:{mark}")])
    own_upstream.wait_sent(mark + "h", 8)
    api.wait(batch, lambda b: b["request_counts"]["completed"] == 10)
    small_disk.fill()
    own_upstream.release(mark)
    paused = api.wait(batch, lambda b: b["lowtide"]["stall_reason"] == "paused")
    assert paused["status"] == "in_progress"
    wait_until(lambda: "No space" in api.server.log() or "full" in api.server.log(), "the log says")
    assert api.http.get("files").status_code == 200
    no_room(api.upload_raw(b"x" * MB), "kimi")
    small_disk.clear()
    batch = api.wait(batch, "completed", seconds=60)
    output, error = api.results(batch)
    assert len(output) == 70 and not error
    assert set(own_upstream.counts(mark).values()) == {1}, "a line was sent again"


def test_results_that_do_not_fit(on_disk, small_disk, own_upstream):
    """The disk fills up by the batch's own results; then it gets larger."""
    api = on_disk(settings={"execution.concurrency": 8})
    mark = fresh()
    batch = api.create(numbered(mark, 1500, "huge:8000"))  # 12 MB of answers
    api.wait(batch, lambda b: b["lowtide"]["stall_reason"] == "paused")
    small_disk.resize("64m")
    batch = api.wait(batch, "completed", seconds=90)
    output, _ = api.results(batch)
    assert len(output) == 1500
    assert set(own_upstream.counts(mark).values()) == {1}, "a line was sent again"


def test_killed_while_the_disk_is_full(on_disk, small_disk, own_upstream):
    api = on_disk(settings={"execution.concurrency": 8})
    mark = fresh()
    batch = api.create([*numbered(mark, 10), *numbered(mark + "h", 30, f"hold:{mark}")])
    api.wait(batch, lambda b: b["request_counts"]["completed"] == 10)
    own_upstream.wait_sent(mark + "h", 8)
    small_disk.fill()
    own_upstream.release(mark)
    api.wait(batch, lambda b: b["lowtide"]["stall_reason"] == "paused")
    api.server.kill()
    small_disk.clear()
    api.server.start()
    batch = api.wait(batch, "completed", seconds=60)
    assert len(api.results(batch)[0]) == 40
    sent = own_upstream.counts(mark)
    assert all(sent[f"{mark}-{n}"] == 1 for n in range(10)), "a finished line was sent again"


# ---- the same by failpoints, where nobody may mount ----


@pytest.mark.parametrize("fault", ["enospc", "eio"])
@pytest.mark.parametrize("point", ["journal.write", "results.write"])
def test_batch_pauses_while_writes_fail(serve, own_upstream, failpoints, tmp_path, point, fault):
    """A journal that cannot be written stops the sending, too; result files that cannot, do not."""
    flag, limit, count = tmp_path / "flag", 8, 1500
    api = serve(
        settings={"execution.concurrency": limit},
        env={"LOWTIDE_FAILPOINTS": f"{point}={fault}:{flag}"},
    )
    mark = fresh()
    flag.touch()
    batch = api.create(numbered(mark, count))
    api.wait(batch, lambda b: b["lowtide"]["stall_reason"] == "paused")
    if point == "journal.write":
        own_upstream.wait_sent(mark, UNSYNCED)
        assert own_upstream.settled(mark) < UNSYNCED + limit
    else:
        own_upstream.wait_sent(mark, count)
    flag.unlink()
    batch = api.wait(batch, "completed", seconds=60)
    output, _ = api.results(batch)
    assert len(output) == 1500
    assert set(own_upstream.counts(mark).values()) == {1}, "a line was sent again"


@pytest.mark.parametrize("fault", ["enospc", "eio"])
def test_upload_while_writes_fail(serve, failpoints, tmp_path, fault):
    flag = tmp_path / "flag"
    api = serve(env={"LOWTIDE_FAILPOINTS": f"blob.write={fault}:{flag}"})
    before = api.server.blobs()
    flag.touch()
    no_room(api.upload_raw(jsonl([line("a")])), "kimi")
    wait_until(lambda: api.server.blobs() == before, "nothing is left of it")
    flag.unlink()
    api.upload([line("a")])


def test_cancel_lets_others_go_on_while_paused(serve, own_upstream, failpoints, tmp_path):
    """What a cancelled batch has answered and cannot write is given up, and stands in the way of no
    other batch: that is sent, though it cannot be written either."""
    flag, limit = tmp_path / "flag", 8
    api = serve(
        settings={"execution.concurrency": limit},
        env={"LOWTIDE_FAILPOINTS": f"journal.write=enospc:{flag}"},
    )
    first, second = fresh(), fresh()
    flag.touch()
    cancelled = api.create(numbered(first, 1500))
    own_upstream.wait_sent(first, UNSYNCED)
    sent = own_upstream.settled(first)
    other = api.create(numbered(second, 100))
    api.wait(other, lambda b: b["lowtide"]["stall_reason"] == "paused")
    assert own_upstream.settled(second) == 0
    api.cancel(cancelled)
    own_upstream.wait_sent(second, 100)
    assert own_upstream.sent(first) == sent, "sent although cancelled"
    flag.unlink()
    api.results(api.wait(cancelled, "cancelled", seconds=30))
    api.results(api.wait(other, "completed", seconds=30))
    assert set(own_upstream.counts(second).values()) == {1}, "a line was sent again"


def test_cancel_and_expiry_while_paused(serve, failpoints, tmp_path):
    """Even then a batch ends, once there is room."""
    flag = tmp_path / "flag"
    env = {"LOWTIDE_FAILPOINTS": f"journal.write=enospc:{flag}"}
    api = serve(settings={"limits.window_min": "1s"}, env=env)
    flag.touch()
    cancelled = api.create(numbered(fresh(), 50))
    expired = api.create(numbered(fresh(), 50), completion_window="3s")
    for batch in (cancelled, expired):
        api.wait(batch, lambda b: b["lowtide"]["stall_reason"] == "paused")
    api.cancel(cancelled)
    flag.unlink()
    batch = api.wait(cancelled, "cancelled", seconds=30)
    api.results(batch)
    batch = api.wait(expired, {"expired", "completed"}, seconds=30)
    api.results(batch)
