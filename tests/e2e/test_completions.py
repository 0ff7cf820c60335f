"""Completions in real shells: bash and zsh on a terminal, as a person presses Tab; fish by `complete -C`.

Each subcommand and option that the program's help lists is offered by each shell.
"""

import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import termios
import time

import pytest
from support.installed import commands_of_help, completions, install, options_of_help

WAIT_SECONDS = 30
# What a terminal is told beside text: other places, of which each begins a line here; colours and modes.
MOVES = re.compile(r"\x1b\[[0-9;]*[A-HJK]")
CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\x1b[=>]|[\r\x07\0]")


class Shell:
    """An interactive shell on a wide terminal."""

    def __init__(self, command, directory, **environment):
        process, self.terminal = pty.fork()
        if process == 0:
            os.chdir(directory)
            keep = {name: os.environ[name] for name in ("PATH",)}
            os.execvpe(command[0], command, {**keep, "TERM": "vt100", "LC_ALL": "C.UTF-8", **environment})
        self.process, self.calls = process, 0
        fcntl.ioctl(self.terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 500, 250, 0, 0))

    def read_until(self, keys, *expected):
        """Types `keys` and waits until each of `expected` (patterns) has been shown; what was shown."""
        shown, missing = "", list(expected)
        os.write(self.terminal, keys.encode())
        end = time.monotonic() + WAIT_SECONDS
        while missing:
            left = end - time.monotonic()
            assert left > 0, f"{keys!r}: not shown: {missing}\n{shown}"
            if select.select([self.terminal], [], [], left)[0]:
                told = os.read(self.terminal, 65536).decode(errors="replace")
                shown += CONTROL.sub("", MOVES.sub("\n", told))
            missing = [pattern for pattern in missing if not re.search(pattern, shown)]
        return shown

    def clear(self):
        """Ctrl-U clears the line, whatever was typed; a command of its own tells that the shell reads again."""
        self.calls += 1
        return self.read_until(f"\x15echo m$(({self.calls}+0))m\n", rf"m{self.calls}m\n(?s:.*)ready> \n*$")

    def type(self, keys, *expected):
        self.clear()
        return self.read_until(keys, *expected)

    def close(self):
        os.close(self.terminal)
        os.waitpid(self.process, 0)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    return completions(install(tmp_path_factory.mktemp("installed")))


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    """Where the shells are: with a file to complete."""
    path = tmp_path_factory.mktemp("work")
    (path / "requests-of-today.jsonl").touch()
    return path


@pytest.fixture(scope="module")
def bash(files, directory, tmp_path_factory):
    rc = tmp_path_factory.mktemp("bash") / "rc"
    rc.write_text(
        f"source {files['bash']}; PS1='ready> '\n"
        "bind 'set show-all-if-ambiguous on'; bind 'set page-completions off'\n"
        "bind 'set completion-query-items 0'; bind 'set enable-bracketed-paste off'\n"
    )
    shell = Shell(["bash", "--noprofile", "--rcfile", str(rc), "-i"], directory, HISTFILE="")
    yield shell
    shell.close()


@pytest.fixture(scope="module")
def zsh(files, directory, tmp_path_factory):
    home = tmp_path_factory.mktemp("zsh")
    (home / ".zshrc").write_text(
        f"fpath=({files['zsh'].parent} $fpath)\n"
        "autoload -Uz compinit; compinit -u -D\n"
        "LISTMAX=0; PROMPT='ready> '; unset zle_bracketed_paste; unsetopt prompt_sp prompt_cr; bindkey -e\n"
        "zstyle ':completion:*' list-prompt ''; zstyle ':completion:*' menu no\n"
    )
    shell = Shell(["zsh", "-i"], directory, ZDOTDIR=str(home), HOME=str(home))
    yield shell
    shell.close()


@pytest.fixture(scope="module")
def fish(files, directory, tmp_path_factory):
    """fish(line): what it offers there, word -> description."""
    home = tmp_path_factory.mktemp("fish")

    def complete(line):
        done = subprocess.run(
            ["fish", "--no-config", "-c", f"source {files['fish']}; complete -C '{line}'"],
            capture_output=True, text=True, cwd=directory, timeout=60,
            env={"PATH": os.environ["PATH"], "HOME": str(home), "LC_ALL": "C.UTF-8", "TERM": "dumb"},
        )  # fmt: skip
        assert (done.returncode, done.stderr) == (0, ""), done.stderr
        return dict((row.split("\t", 1) + [""])[:2] for row in done.stdout.splitlines())

    return complete


def shown(*words):
    return [rf"(?<![\w-]){re.escape(word)}(?![\w-])" for word in words]


# ---- every subcommand and option ----


def test_every_subcommand(bash, zsh, fish):
    commands = commands_of_help()
    bash.type("lowtide \t", *shown(*commands, "help"))
    zsh.type("lowtide \t", *shown(*commands, "help"))
    offered = fish("lowtide ")
    assert set(offered) == {*commands, "help"}
    for name, about in commands.items():
        assert offered[name] and offered[name][:10] == about.replace("`", "")[:10]


def test_every_option_of_every_subcommand(bash, zsh, fish):
    for name in commands_of_help():
        options = options_of_help(name)
        bash.type(f"lowtide {name} --\t", *shown(*options))
        zsh.type(f"lowtide {name} --\t", *shown(*options))
        assert set(options) <= set(fish(f"lowtide {name} --")), name


def test_help_goes_on_with_a_subcommand(bash, zsh, fish):
    bash.type("lowtide help \t", *shown("serve", "run", "settings"))
    zsh.type("lowtide help \t", *shown("serve", "run", "settings"))
    assert {"serve", "run", "settings"} <= set(fish("lowtide help "))


# ---- words, files, settings ----


def test_a_word_is_completed(bash, zsh):
    bash.type("lowtide ser\t", r"lowtide serve $")
    zsh.type("lowtide ser\t", r"lowtide serve $")


@pytest.mark.parametrize("line", ["lowtide serve --profile ", "lowtide serve --profile="])
def test_an_option_of_few_words(bash, zsh, fish, line):
    for shell in (bash, zsh):
        text = shell.type(line + "\t", *shown("kimi", "openai"))
        assert "requests-of-today" not in text
    offered = {word.removeprefix("--profile=") for word in fish(line)}
    assert offered == {"kimi", "openai"}


@pytest.mark.parametrize("line", ["lowtide check req", "lowtide serve --config req", "lowtide serve -c req"])
def test_files(bash, zsh, fish, line):
    whole = line.replace("req", "requests-of-today.jsonl")
    bash.type(line + "\t", re.escape(whole))
    zsh.type(line + "\t", re.escape(whole))
    assert "requests-of-today.jsonl" in fish(line)


def test_where_no_file_belongs_none_is_offered(bash, zsh, fish):
    for line in ("lowtide serve --upstream ", "lowtide key "):
        assert "requests-of-today.jsonl" not in fish(line)
        for shell in (bash, zsh):
            shell.type(line + "\t")
            assert "requests-of-today" not in shell.clear()


def test_actions(bash, zsh, fish):
    for line in ("lowtide key ", "lowtide org "):
        bash.type(line + "\t", *shown("create", "list"))
        zsh.type(line + "\t", *shown("create", "list"))
        assert {"create", "list"} <= set(fish(line))


def test_settings_and_their_values(bash, zsh, fish):
    bash.type("lowtide serve --set execution.\t", r"execution\.concurrency=", r"execution\.drain=")
    bash.type("lowtide serve --set execution.dr\t", r"--set execution\.drain=$")
    bash.type("lowtide serve --set log.level=\t", *shown("debug", "warn"))
    bash.type("lowtide serve --set log.level=deb\t", r"log\.level=debug $")
    bash.type("lowtide serve --set=log.level=deb\t", r"log\.level=debug $")
    zsh.type("lowtide serve --set execution.\t", r"execution\.concurrency", r"execution\.drain")
    zsh.type("lowtide serve --set execution.dr\t", r"--set execution\.drain=$")
    zsh.type("lowtide serve --set log.level=\t", *shown("debug", "warn"))
    zsh.type("lowtide serve --set log.level=deb\t", r"log\.level=debug $")
    assert {"execution.concurrency=", "execution.drain="} <= set(fish("lowtide serve --set execution."))
    assert set(fish("lowtide serve --set log.level=d")) == {"log.level=debug"}
