#!/usr/bin/env python3
"""Writes .sql files into a C header, each as `static const char text_NAME[]`.

    embed.py OUTPUT.h FILE.sql ...

The statements' comments go along: they cost nothing and show up in a debugger.
"""
import pathlib
import sys


def c_string(line: str) -> str:
    return '"' + line.replace("\\", "\\\\").replace('"', '\\"').replace("?", "\\?") + '\\n"'


def main() -> None:
    output, *inputs = map(pathlib.Path, sys.argv[1:])
    parts = ["/* Made by embed.py. */\n"]
    for path in inputs:
        lines = path.read_text(encoding="utf-8").splitlines()
        text = "\n".join("\t" + c_string(line) for line in lines)
        parts.append(f"static const char text_{path.stem}[] =\n{text};\n")
    output.write_text("\n".join(parts), encoding="utf-8")


main()
