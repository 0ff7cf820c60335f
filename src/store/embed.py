#!/usr/bin/env python3
"""Writes .sql files into a C header, each as `static const char text_NAME[]`.

    embed.py [--postgres] OUTPUT.h FILE.sql ...

The statements' comments go along: they cost nothing and show up in a debugger.

--postgres: in PostgreSQL's words. Parameters are $1 there, what names an index or an order of
joining is SQLite's alone, and a file of that name in the folder postgres beside it counts instead.
"""
import pathlib
import re
import sys


def c_string(line: str) -> str:
    return '"' + line.replace("\\", "\\\\").replace('"', '\\"').replace("?", "\\?") + '\\n"'


def of_postgres(path: pathlib.Path) -> str:
    own = path.parent / "postgres" / path.name
    if own.exists():
        return own.read_text(encoding="utf-8")
    text = path.read_text(encoding="utf-8")
    text = re.sub(r" INDEXED BY \w+", "", text)
    text = re.sub(r"\bCROSS JOIN(?= \w+ ON\b)", "JOIN", text)
    return re.sub(r"\?(\d+)", r"$\1", text)


def main() -> None:
    names = sys.argv[1:]
    postgres = names[0] == "--postgres"
    output, *inputs = map(pathlib.Path, names[postgres:])
    parts = ["/* Made by embed.py. */\n"]
    for path in inputs:
        text = of_postgres(path) if postgres else path.read_text(encoding="utf-8")
        lines = "\n".join("\t" + c_string(line) for line in text.splitlines())
        parts.append(f"static const char text_{path.stem}[] =\n{lines};\n")
    output.write_text("\n".join(parts), encoding="utf-8")


main()
