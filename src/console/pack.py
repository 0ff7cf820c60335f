#!/usr/bin/env python3
"""Packs the console's files into one: the bytes of each, and the same compressed by gzip.

    pack.py OUTPUT.h OUTPUT.bin OUTPUT.d MANIFEST
    pack.py --check MANIFEST       says what is missing, and exits 1

A line of the manifest is a path below /console/ and a file, relative to the manifest; `#` begins a
comment. The header is the table that console.c compiles in, the other file what its entries point to.
"""
import gzip
import hashlib
import pathlib
import re
import sys

TYPES = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".ico": "image/x-icon",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".mjs": "text/javascript; charset=utf-8",
    ".png": "image/png",
    ".svg": "image/svg+xml",
    ".txt": "text/plain; charset=utf-8",
}
PATH = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]*(/[A-Za-z0-9_-][A-Za-z0-9._-]*)*")


def manifest_read(path: pathlib.Path) -> dict[str, pathlib.Path]:
    """The file of each path."""
    files: dict[str, pathlib.Path] = {}
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        words = line.split("#")[0].split()
        if not words:
            continue
        if len(words) != 2 or not PATH.fullmatch(words[0]):
            sys.exit(f"{path}:{number}: a line is a path, such as app.js or lib/htm.js, and a file")
        if words[0] in files:
            sys.exit(f"{path}:{number}: {words[0]} is there twice")
        if pathlib.PurePath(words[0]).suffix not in TYPES:
            sys.exit(f"{path}:{number}: {words[0]} ends in none of {', '.join(TYPES)}")
        files[words[0]] = path.parent / words[1]
    if "index.html" not in files:
        sys.exit(f"{path}: there is no index.html, which /console/ is")
    return files


def check(files: dict[str, pathlib.Path]) -> None:
    missing = [str(file) for file in files.values() if not file.is_file()]
    if missing:
        print(f"{missing[0]} is missing" + (f", and {len(missing) - 1} more" if missing[1:] else ""))
        sys.exit(1)


def pack(files: dict[str, pathlib.Path], header: pathlib.Path, packed: pathlib.Path) -> None:
    rows, parts, at = [], [], 0
    for path, file in files.items():
        plain = file.read_bytes()
        small = gzip.compress(plain, 9, mtime=0)
        if len(small) >= len(plain):
            small = b""
        kind = TYPES[pathlib.PurePath(path).suffix]
        etag = hashlib.sha256(plain).hexdigest()[:32]
        rows.append(f'\t{{ "{path}", "{kind}", "\\"{etag}\\"", {at}, {len(plain)}, {len(small)} }},\n')
        parts += [plain, small]
        at += len(plain) + len(small)
    packed.write_bytes(b"".join(parts))
    header.write_text(
        "/* Made by pack.py. */\n"
        f'#define CONSOLE_BYTES_FILE "{packed.resolve()}"\n'
        f"static const struct packed packed[] = {{\n{''.join(rows)}}};\n",
        encoding="utf-8",
    )


def main() -> None:
    files = manifest_read(pathlib.Path(sys.argv[-1]))
    check(files)
    if sys.argv[1] == "--check":
        return
    header, packed, depends = map(pathlib.Path, sys.argv[1:4])
    pack(files, header, packed)
    depends.write_text(f"{header}: {' '.join(map(str, files.values()))}\n", encoding="utf-8")


main()
