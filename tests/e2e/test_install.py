"""`make install`: what it brings, and that each subcommand, option and setting has its page.

Installs what stands in the build directory of the program under test, below a DESTDIR.
"""

import os
import re
import shutil
import stat
import subprocess

import pytest
from support import server as program
from support.installed import commands_of_help, install, options_of_help


@pytest.fixture(scope="session")
def root(tmp_path_factory):
    return install(tmp_path_factory.mktemp("installed"))


@pytest.fixture(scope="session")
def pages(root):
    """file name -> path"""
    return {path.name: path for path in (root / "usr/local/share/man").rglob("*.[15]")}


@pytest.fixture(scope="session")
def commands():
    return commands_of_help()


def test_what_is_installed(root):
    found = {str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()}
    pages = {name for name in found if "/share/man/" in name}
    assert found - pages == {
        "usr/local/bin/lowtide",
        "usr/local/etc/lowtide/lowtide.yaml",
        "usr/local/lib/systemd/system/lowtide.service",
        "usr/local/lib/sysusers.d/lowtide.conf",
        "usr/local/share/bash-completion/completions/lowtide",
        "usr/local/share/doc/lowtide/lowtide.example.yaml",
        "usr/local/share/fish/vendor_completions.d/lowtide.fish",
        "usr/local/share/zsh/site-functions/_lowtide",
    }
    for name in found - {"usr/local/bin/lowtide"}:
        path = root / name
        assert str(root) not in path.read_text(), f"{name} names the place it was made in"
        assert stat.S_IMODE(path.stat().st_mode) == 0o644, name


# ---- man pages ----


def test_every_subcommand_has_a_page(pages, commands):
    expected = {"lowtide.1", "lowtide.yaml.5"} | {f"lowtide-{name}.1" for name in commands}
    assert set(pages) == expected


def words(path):
    """The page's text as a person reads it, on lines that are never filled anew."""
    shown = subprocess.run(
        ["man", "-l", path], capture_output=True, text=True, check=True,
        env={**os.environ, "MANWIDTH": "1000", "LC_ALL": "C.UTF-8", "MANOPT": "", "MAN_KEEP_FORMATTING": ""},
    )  # fmt: skip
    return re.sub(r".\x08|\x1b\[[0-9;]*m", "", shown.stdout)


def test_every_option_is_on_its_page(pages, commands):
    for name in commands:
        text = words(pages[f"lowtide-{name}.1"])
        for option in options_of_help(name):
            assert re.search(rf"(?m)^ +(-\w, )?{option}\b", text), f"lowtide-{name}(1): {option}"
        assert "EXIT STATUS" in text or "xit code" not in text, name


def test_the_first_page_names_every_subcommand(pages, commands):
    text = words(pages["lowtide.1"])
    for name, about in commands.items():
        assert f"lowtide {name}" in text and about in text and f"lowtide-{name}(1)" in text


def test_every_setting_is_on_its_page(pages):
    text = words(pages["lowtide.yaml.5"])
    entries = program.run("help", "settings").stdout.strip().split("\n\n")[1:]
    assert len(entries) > 80
    for entry in entries:
        key, about, *facts = (line.strip() for line in entry.splitlines())
        assert re.search(rf"(?m)^ +{re.escape(key)}", text), key
        assert about.replace("`", "") in text, key
        for fact in facts:
            assert re.sub(r"^\w+ +", "", fact).replace("`", "") in text, f"{key}: {fact}"


def test_nothing_is_wrong_with_the_pages(pages):
    for path in pages.values():
        lint = subprocess.run(["mandoc", "-T", "lint", "-W", "warning", path], capture_output=True, text=True)
        assert (lint.returncode, lint.stdout + lint.stderr) == (0, "")
        shown = subprocess.run(
            ["man", "--warnings=w", "-l", path], capture_output=True, text=True,
            env={**os.environ, "MANWIDTH": "80", "LC_ALL": "C.UTF-8"},
        )  # fmt: skip
        assert (shown.returncode, shown.stderr) == (0, ""), path


# ---- configuration, unit, user ----


def test_a_configuration_that_is_there_stays(tmp_path):
    root = install(tmp_path)
    config = root / "usr/local/etc/lowtide/lowtide.yaml"
    config.write_text("# mine\n")
    install(tmp_path)
    assert config.read_text() == "# mine\n"


def test_the_configuration_is_valid(root, tmp_path):
    config = root / "usr/local/etc/lowtide/lowtide.yaml"
    done = program.run("serve", "--check", "--config", config, cwd=tmp_path)
    assert "configuration is valid" in done.stdout
    assert "/var/lib/lowtide" in done.stdout and list(tmp_path.iterdir()) == []


@pytest.fixture
def unit(root, tmp_path):
    """The unit with its program and configuration where they are here."""
    text = (root / "usr/local/lib/systemd/system/lowtide.service").read_text()
    assert "ExecStart=/usr/local/bin/lowtide serve --config /usr/local/etc/lowtide/lowtide.yaml" in text
    path = tmp_path / "lowtide.service"
    path.write_text(text.replace("/usr/local/", f"{root}/usr/local/"))
    return path


def systemd(*words):
    done = subprocess.run(list(words), capture_output=True, text=True, env={**os.environ, "SYSTEMD_COLORS": "0"})
    return done.returncode, done.stdout + done.stderr


def test_systemd_takes_the_unit(unit):
    assert systemd("systemd-analyze", "verify", "--man=no", str(unit)) == (0, "")


def test_the_unit_is_hardened(unit):
    """`systemd-analyze security` counts from 0 (closed) to 10 (open): less than 2 here."""
    code, text = systemd("systemd-analyze", "security", "--offline=yes", "--threshold=20", str(unit))
    assert code == 0, text


def test_the_user_is_made(root, tmp_path):
    config = tmp_path / "usr/lib/sysusers.d/lowtide.conf"
    config.parent.mkdir(parents=True)
    (tmp_path / "etc").mkdir()
    shutil.copy(root / "usr/local/lib/sysusers.d/lowtide.conf", config)
    code, text = systemd("systemd-sysusers", f"--root={tmp_path}", "lowtide.conf")
    assert code == 0, text
    [entry] = [row for row in (tmp_path / "etc/passwd").read_text().splitlines() if row.startswith("lowtide:")]
    assert entry.split(":")[5:] == ["/var/lib/lowtide", "/usr/sbin/nologin"]


def test_a_page_says_its_date_as_it_is_told(tmp_path):
    """The same sources give the same bytes: SOURCE_DATE_EPOCH."""
    root = install(tmp_path, SOURCE_DATE_EPOCH="86400")
    page = root / "usr/local/share/man/man1/lowtide.1"
    assert "1970-01-02" in page.read_text().splitlines()[0]
