"""What the program says of itself: `lowtide --help`, `lowtide help COMMAND`, `lowtide help settings`.

Man pages and completions are made of this alone, so a new subcommand, option or setting has its
page and its completion without another line anywhere.
"""

import os
import re
import subprocess
from dataclasses import dataclass, field

# argp's layout without wrapped lines, whatever the caller's environment says.
LAYOUT = "rmargin=9999,opt-doc-col=100,dup-args-note=0"

FILES = re.compile(r"FILE|DIR|DOCS|\bOUT|\bERR|\bIN\b|\.jsonl|\.csv")


@dataclass
class Option:
    short: str  # "c", or ""
    long: str
    argument: str  # "FILE"; "": takes none
    text: str

    @property
    def names(self):
        return [f"-{self.short}"] * bool(self.short) + [f"--{self.long}"] * bool(self.long)

    @property
    def words(self):
        """The values there are, where these are few words: kimi|openai."""
        return self.argument.split("|") if re.fullmatch(r"[a-z0-9-]+(\|[a-z0-9-]+)+", self.argument) else []

    @property
    def is_path(self):
        return bool(FILES.search(self.argument))

    @property
    def is_setting(self):
        return self.long == "set"


@dataclass
class Command:
    name: str
    about: str
    uses: list[str]  # what stands behind "lowtide NAME [OPTION...]" in each usage
    head: str  # text before the options
    tail: str  # and behind them
    options: list[Option] = field(default_factory=list)
    arguments: str = ""
    group: str = ""  # the heading that it stands below in `lowtide --help`

    @property
    def actions(self):
        """word -> whether files may follow: of `key create|list|revoke`, and the like."""
        found = {}
        for use in self.uses:
            words = use.split()
            if words and re.fullmatch(r"[a-z][a-z-]*(\|[a-z][a-z-]*)*", words[0]):
                for word in words[0].split("|"):
                    found[word] = found.get(word, False) or bool(FILES.search(use))
        first = self.arguments.split()[:1]
        if first and re.fullmatch(r"[a-z][a-z-]*(\|[a-z][a-z-]*)+", first[0]):
            for word in first[0].split("|"):
                found.setdefault(word, False)
        return found

    @property
    def takes_files(self):
        return not self.actions and any(FILES.search(use) for use in self.uses)


@dataclass
class Setting:
    key: str
    about: str
    facts: dict[str, str]  # allowed, default, variable, reload

    @property
    def words(self):
        allowed = self.facts.get("allowed", "")
        if allowed == "true or false":
            return ["true", "false"]
        found = re.match(r"one of: (.*)", allowed)
        if found:
            return found[1].split(", ")
        return re.findall(r", or (auto)$", allowed)

    @property
    def in_list(self):
        return "[]" in self.key


def said(program, *words):
    environment = {**os.environ, "ARGP_HELP_FMT": LAYOUT, "LC_ALL": "C.UTF-8"}
    done = subprocess.run(
        [program, *words], env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True
    )
    if done.returncode != 0:
        raise SystemExit(f"{program} {' '.join(words)}: exit {done.returncode}\n{done.stderr}")
    return done.stdout


def read_options(lines):
    """The options among `lines`, which are removed from it; what is left is text."""
    options, text = [], []
    for line in lines:
        found = re.match(r" {2,6}(?:-(\w), )?(?:-(\w)|--([\w-]+))(?:\[?=([^ ]+)\]?| ([A-Z|]+))?(?: {2,}(.*))?$", line)
        if found:
            both, only, name, long_argument, short_argument, about = found.groups()
            options.append(
                Option(both or only or "", name or "", long_argument or short_argument or "", about or "")
            )
        elif options and re.match(r" {20,}\S", line):  # the text of a long option
            options[-1].text = f"{options[-1].text} {line.strip()}".strip()
        else:
            text.append(line)
    return options, text


def read_command(program, name, arguments, about, group):
    lines = said(program, "help", name).splitlines()
    uses, rest = [], []
    for line in lines:
        found = re.match(rf"(?:Usage:|  or: )\s+lowtide {name}(?: (.*))?$", line)
        if found:
            uses.append(re.sub(r"^\[OPTION\.\.\.\] ?", "", found[1] or ""))
        else:
            rest.append(line)
    if not uses:
        raise SystemExit(f"lowtide help {name} shows no usage")
    first = next((n for n, line in enumerate(rest) if re.match(r" {2,6}-", line)), len(rest))
    options, tail = read_options(rest[first:])
    return Command(
        name, about, uses, "\n".join(rest[:first]).strip(), "\n".join(tail).strip(), options, arguments, group
    )


def split_list(text):
    """(name, arguments, about, group) of each subcommand that `lowtide --help` lists, and the text around."""
    found, around, group = [], [], ""
    lines = iter(text.splitlines())
    for line in lines:
        row = re.match(r"  lowtide ([a-z][a-z-]*)(?: (.*?))?(?: {2,}(\S.*))?$", line)
        if row and row[1] != "help":
            if around and around[-1].endswith(":"):
                group = around.pop()[:-1]
            about = row[3] or next(lines).strip()
            found.append((row[1], row[2] or "", about, group))
        else:
            around.append(line)
    return found, "\n".join(around)


def read_commands(program):
    rows, around = split_list(said(program, "--help"))
    if not rows:
        raise SystemExit("lowtide --help lists no subcommands")
    return [read_command(program, *row) for row in rows], around


def read_settings(program):
    """(what is said before the table, the settings)"""
    head, *entries = said(program, "help", "settings").strip().split("\n\n")
    settings = []
    for entry in entries:
        key, about, *facts = (line.strip() for line in entry.splitlines())
        settings.append(Setting(key, about, dict(re.split(r" {2,}", fact, maxsplit=1) for fact in facts)))
    return head, settings


def read_version(program):
    return said(program, "--version").split()[1]
