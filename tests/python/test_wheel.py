"""The wheel: its tag, what is in it, and that it runs where nothing else is."""

import ast
import os
import pathlib
import re
import subprocess
import sys
import venv
import zipfile

import lowtide
import pytest
from conftest import HERE, ROOT
from lowtide import _program

PROGRAM = HERE / "bin" / "lowtide"
# What every machine with glibc and Python has: the C library's, zlib and Expat.
OF_THE_MACHINE = re.compile(r"(lib(c|expat|m|resolv|z)\.so\.\d+|ld-linux-x86-64\.so\.2|linux-vdso\.so\.1)")


def names(wheel):
    with zipfile.ZipFile(wheel) as archive:
        return archive.namelist()


def read(wheel, suffix):
    with zipfile.ZipFile(wheel) as archive:
        (name,) = [name for name in archive.namelist() if name.endswith(suffix)]
        return archive.read(name).decode()


def test_tag_and_metadata(wheel):
    version = re.search(r"version: '([^']+)'", (ROOT / "meson.build").read_text())[1]
    assert wheel.name == f"lowtide-{version}-py3-none-manylinux_2_36_x86_64.whl"
    about = read(wheel, ".dist-info/WHEEL")
    assert "Tag: py3-none-manylinux_2_36_x86_64" in about and "Root-Is-Purelib: false" in about
    metadata = read(wheel, ".dist-info/METADATA")
    assert "Requires-Python: >=3.9" in metadata and "Requires-Dist" not in metadata
    assert lowtide.__version__ == version


def test_contents(wheel):
    """The module and the program, and of each bundled library the license."""
    inside = names(wheel)
    assert {"lowtide/py.typed", "lowtide/bin/lowtide", "lowtide/__init__.py"} <= set(inside)
    tops = {name.partition("/")[0].partition("-")[0] for name in inside}
    assert tops == {"lowtide", "lowtide.libs"}, tops
    listed = dict(re.findall(r"^(\S+?)\.so\S*: .* license in (\S+)$", read(wheel, "/libraries.txt"), re.M))
    bundled = {
        re.sub(r"-[0-9a-f]{8}(?=\.|$)", "", pathlib.Path(name).name.partition(".so")[0])
        for name in inside
        if name.startswith("lowtide.libs/") and not name.endswith("/")
    }
    assert {"libcurl", "libnghttp2", "libpq", "libcrypto", "libsqlite3", "libjansson"} <= bundled
    assert bundled <= set(listed), bundled - set(listed)
    for license in set(listed.values()):
        assert any(name.endswith(f"licenses/{license}") for name in inside), license
    assert any(name.endswith(".dist-info/licenses/LICENSE") for name in inside)
    assert read(wheel, "/console.txt") == (ROOT / "console" / "licenses.txt").read_text()


def test_libraries_resolve_to_the_bundled_ones():
    assert os.access(PROGRAM, os.X_OK)
    loaded = subprocess.run(["ldd", PROGRAM], capture_output=True, text=True, check=True).stdout
    elsewhere = []
    for line in loaded.splitlines():
        name, _, path = line.strip().partition(" => ")
        path = pathlib.Path(path.partition(" (")[0])
        if (HERE.parent / "lowtide.libs") not in path.resolve().parents:
            elsewhere.append(pathlib.Path(name.partition(" (")[0]).name)
    assert all(OF_THE_MACHINE.fullmatch(name) for name in elsewhere), elsewhere


def test_in_a_bare_environment(wheel, tmp_path):
    """pip install of the one file: the command and the module, and nothing else is asked for."""
    venv.create(tmp_path / "bare", with_pip=True)
    python = tmp_path / "bare" / "bin" / "python"
    subprocess.run([python, "-m", "pip", "install", "-q", "--no-index", wheel], check=True)
    command = tmp_path / "bare" / "bin" / "lowtide"
    done = subprocess.run([command, "--version"], capture_output=True, text=True, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (0, f"lowtide {lowtide.__version__}\n"), done.stderr
    assert subprocess.run([command, "nonsense"], capture_output=True).returncode == 2
    subprocess.run(
        [python, "-c", "import lowtide; print(lowtide.map([], '{a}', model='m', upstream='http://h/v1'))"],
        check=True, env={"HOME": str(tmp_path)},
    )  # fmt: skip


# ---- CA certificates ----


def test_ca_certificates_of_this_machine_are_the_programs_own():
    assert _program.ca_file() is None or not os.path.exists(_program.CA_FILE)


def test_ca_certificates_elsewhere(monkeypatch, tmp_path):
    """Where Debian's file is not, those of the machine's own place, else certifi's; the user's wish first."""
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    monkeypatch.delenv("SSL_CERT_DIR", raising=False)
    monkeypatch.setattr(_program, "CA_FILE", str(tmp_path / "none"))
    monkeypatch.setattr(_program, "CA_FILES_ELSEWHERE", (str(tmp_path / "theirs"),))
    certifi = pytest.importorskip("certifi")
    assert _program.environment()["SSL_CERT_FILE"] == certifi.where()
    (tmp_path / "theirs").write_text("")
    assert _program.environment()["SSL_CERT_FILE"] == str(tmp_path / "theirs")
    monkeypatch.setenv("SSL_CERT_DIR", "/mine")
    assert "SSL_CERT_FILE" not in _program.environment()


# ---- types ----

USER = """
from __future__ import annotations
import lowtide

labelled = lowtide.map([{"text": "a"}], prompt="{text}", model="m", upstream="http://h/v1")
reveal_type(labelled)
reveal_type(lowtide.map("x.parquet", "{text}", model="m", server="http://h", output="y.parquet"))
with lowtide.Server(upstream="http://h/v1") as server:
    reveal_type(server.client.batches)
    lowtide.map([{"text": "a"}], lambda row: f"{row['text']}", model="m", server=server)
lowtide.map([{"text": "a"}], prompt=5, model="m")
"""


@pytest.fixture(scope="module")
def mypy(tmp_path_factory):
    cwd = tmp_path_factory.mktemp("mypy")

    def run(*arguments):
        command = [sys.executable, "-m", "mypy", "--strict", *arguments]
        return subprocess.run(command, cwd=cwd, capture_output=True, text=True)

    return run


def test_mypy_strict(mypy):
    done = mypy("-p", "lowtide")
    assert done.returncode == 0, done.stdout + done.stderr


def test_what_mypy_says_to_users(mypy, tmp_path):
    (tmp_path / "user.py").write_text(USER)
    said = mypy(tmp_path / "user.py").stdout
    assert 'type is "list[dict[str, Any]]"' in said, said
    assert 'type is "str"' in said and "Batches" in said
    assert "user.py:11: error: No overload variant" in said
    assert said.count(" error: ") == 1, said


def test_the_oldest_python_can_read_it():
    for path in HERE.glob("*.py"):
        ast.parse(path.read_text(), str(path), feature_version=(3, 9))
