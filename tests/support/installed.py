"""What `meson install` leaves below a DESTDIR, and what the program's own help lists."""

import re
import subprocess

import pytest
from support import server as program


def install(root, **environment):
    build = program.BINARY.parent
    if not (build / "build.ninja").exists():
        pytest.skip(f"{program.BINARY} is in no build directory of meson")
    done = subprocess.run(
        ["meson", "install", "-C", build, "--no-rebuild", "--quiet", "--destdir", root],
        capture_output=True, text=True, env=program.clean_env(environment),
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return root


def commands_of_help():
    """name -> what it does, of `lowtide --help`."""
    text = re.sub(r"(?m)^(  lowtide .*)\n {30,}", r"\1  ", program.run("--help").stdout)
    rows = re.findall(r"(?m)^  lowtide ([a-z]+)\b.*?(?: {2,}(\S.*))?$", text)
    found = {name: about for name, about in rows if name != "help"}
    assert "serve" in found and all(found.values()), text
    return found


def options_of_help(command):
    """["--data", ...] of `lowtide help COMMAND`."""
    text = program.run("help", command, env={"ARGP_HELP_FMT": ""}).stdout
    found = re.findall(r"(?m)^ {2,6}(?:-\w, )?(--[a-z][a-z0-9-]*)", text)
    assert "--help" in found, text
    return found


def completions(root):
    """shell -> its file."""
    share = root / "usr/local/share"
    return {
        "bash": share / "bash-completion/completions/lowtide",
        "zsh": share / "zsh/site-functions/_lowtide",
        "fish": share / "fish/vendor_completions.d/lowtide.fish",
    }
