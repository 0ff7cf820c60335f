"""Tests of the installed wheel: `make python` puts it into build/python, beside pandas, polars, pyarrow."""

import os
import pathlib
import subprocess
import sys
import time

import lowtide
import pytest
from support.upstream import Upstream

ROOT = pathlib.Path(__file__).resolve().parents[2]
HERE = pathlib.Path(lowtide.__file__).parent


def pytest_configure(config):
    if ROOT in HERE.parents and (ROOT / "python") in HERE.parents:
        raise pytest.UsageError(f"{HERE} is not the installed wheel")


@pytest.fixture(scope="session")
def wheel():
    (path,) = (ROOT / "build" / "wheel").glob("*.whl")
    return path


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    """No test meets the work of another, or of the user; no setting of the caller's holds."""
    for name in [name for name in os.environ if name.startswith("LOWTIDE_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "lowtide" / "map"


@pytest.fixture
def upstream():
    made = Upstream()
    yield made
    made.close()


@pytest.fixture
def script(tmp_path):
    """script(text): a Python process of its own that runs it; ended with the test."""
    made = []

    def start(text, **popen):
        popen = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, **popen}
        made.append(subprocess.Popen([sys.executable, "-c", text], **popen))
        return made[-1]

    yield start
    for process in made:
        process.kill()
        process.communicate()


def wait_until(condition, what, seconds=60):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"after {seconds} s still not so: {what}"
        time.sleep(0.02)
