#!/usr/bin/env python3
"""Checks the walls between the folders of src/, and inside them. `make check` runs it.

    scripts/walls.py [ROOT [BUILD]]

Each finding is a line: the place, the rule, and what to do. Exit status 1 if there is any.

The compiler holds the outer walls: src/meson.build gives a folder the headers of those that its meson.build
names. Here is what a compiler does not see: circles, names too many, headers that are private, words that
belong into one folder, struct tags with two meanings. Calls are taken from the object files in BUILD
(build-test), which must be up to date.
"""

import pathlib
import re
import subprocess
import sys
from collections import defaultdict

# Words that only the folders named may say: (pattern, folders, what to do).
WORDS = [
    (r"\bCURL|\bcurl_", ["client", "s3"], "libcurl stays behind client/client.h and s3/s3.h"),
    (r"\bNGHTTP2_|\bnghttp2_", ["client"], "libnghttp2 stays behind client/client.h"),
    (r"\bPQ[a-z]|\bPGconn|\bPGresult", ["store"], "libpq stays behind store/store.h"),
]

# What stands although a rule is against it, with the reason: an entry goes when the finding does, and an
# entry without a finding is one. Circles are named by folder and modules, words by file.
STANDING_CIRCLES = {}
STANDING_WORDS = {}

PRIVATE_HEADER = re.compile(r"_(impl|priv)\.h$")
INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]+"([^"]+)"', re.M)
STRUCT = re.compile(r"^(?:static |const |typedef )*(struct|union|enum) (\w+) *\{", re.M)
COMMENT = re.compile(r"/\*.*?\*/", re.S)


def line_of(text, at):
    return text.count("\n", 0, at) + 1


def without_comments(text):
    """The same text on the same lines, with comments as blanks."""
    return COMMENT.sub(lambda m: re.sub(r"[^\n]", " ", m[0]), text)


class Tree:
    """The sources of ROOT, what they include, and the calls that their object files show."""

    def __init__(self, root, build):
        self.root, self.src = root, root / "src"
        self.text = {p: without_comments(p.read_text())
                     for p in sorted(self.src.glob("*/*.[ch]"))}
        self.folders = sorted({p.parent.name for p in self.text})
        self.includes = {p: [] for p in self.text}  # path: [(line, path included)]
        for path, text in self.text.items():
            for match in INCLUDE.finditer(text):
                target = self.src / match[1]
                if target in self.text:
                    self.includes[path].append((line_of(text, match.start()), target))
        self.calls = {}  # (folder, caller's stem): {callee's stem: symbol}
        for folder in self.folders:
            self.read_calls(folder, build / "src" / folder / f"lib{folder}.a.p")

    def read_calls(self, folder, objects):
        symbols = {}
        for path in self.text:
            compiled = objects / (path.name + ".o")
            if path.parent.name == folder and path.suffix == ".c" and compiled.exists():
                symbols[path.stem] = nm(compiled)
        owner = {name: stem for stem, (defined, _) in symbols.items() for name in defined}
        for stem, (_, undefined) in symbols.items():
            self.calls[folder, stem] = {owner[name]: name for name in sorted(undefined)
                                        if owner.get(name, stem) != stem}

    def place(self, path, line=None):
        return f"{path.relative_to(self.root)}" + (f":{line}" if line else "")


def nm(compiled):
    """The names that an object file defines, and those that it needs."""
    defined, undefined = set(), set()
    out = subprocess.run(["nm", "-g", compiled], check=True, capture_output=True, text=True).stdout
    for line in out.splitlines():
        kind, name = line.split()[-2:]
        (undefined if kind in "Uwv" else defined).add(name)
    return defined, undefined


def circles(edges):
    """The strongly connected parts of more than one node (Tarjan), each sorted. edges: {node: {node: why}}"""
    index, low, stack, found = {}, {}, [], []

    def visit(node):
        index[node] = low[node] = len(index)
        stack.append(node)
        for to in edges.get(node, {}):
            if to not in index:
                visit(to)
            if to in stack:
                low[node] = min(low[node], low[to])
        if low[node] == index[node]:
            part = stack[stack.index(node):]
            del stack[stack.index(node):]
            if len(part) > 1:
                found.append(sorted(part))

    for node in sorted(edges):
        if node not in index:
            visit(node)
    return found


def circle_lines(edges, part):
    """One line for each arrow inside a circle."""
    return [f"    {node} -> {to}: {why}" for node in part
            for to, why in sorted(edges[node].items()) if to in part]


def folder_circles(tree):
    edges = {folder: {} for folder in tree.folders}
    for path, included in tree.includes.items():
        for line, target in included:
            if target.parent != path.parent:
                edges[path.parent.name].setdefault(
                    target.parent.name, f"{tree.place(path, line)} includes {target.parent.name}/{target.name}")
    for part in circles(edges):
        yield "\n".join([f"src/{part[0]}: folders in a circle: {', '.join(part)}. Turn an arrow round: what is "
                         "above hands an op or a value to what is below."] + circle_lines(edges, part))


def header_circles(tree):
    edges = {path: {target: f"line {line}" for line, target in included if target.parent == path.parent}
             for path, included in tree.includes.items() if path.suffix == ".h"}
    for part in circles(edges):
        names = ", ".join(path.name for path in part)
        yield (f"{tree.place(part[0])}: headers in a circle: {names}. Move the types that two of them share "
               "into a header below both.")


def module_circles(tree):
    standing = dict(STANDING_CIRCLES)
    for folder in tree.folders:
        edges = {stem: {callee: f"{stem}.c calls {symbol}()" for callee, symbol in calls.items()}
                 for (of, stem), calls in tree.calls.items() if of == folder}
        for part in circles(edges):
            if standing.pop((folder, *part), None) is None:
                yield "\n".join([f"src/{folder}: modules in a circle of calls: {', '.join(part)}. Move what two of "
                                 "them share into a module below both, or hand an op down."] + circle_lines(edges, part))
    for folder, *part in standing:
        yield f"scripts/walls.py: STANDING_CIRCLES: {folder}: {', '.join(part)}: this circle is gone; remove the entry."


def private_headers(tree):
    for path, included in tree.includes.items():
        for line, target in included:
            folder = target.parent.name
            if PRIVATE_HEADER.search(target.name) and path.parent.name != folder:
                yield (f"{tree.place(path, line)}: private header: {folder}/{target.name} belongs to {folder}/. "
                       f"Use a public header of {folder}/, or put there what is missing.")


def words(tree):
    standing = dict(STANDING_WORDS)
    for path, text in tree.text.items():
        for pattern, folders, what in WORDS:
            match = re.search(pattern, text)
            name = f"{path.parent.name}/{path.name}"
            if not match or path.parent.name in folders or standing.pop(name, None) is not None:
                continue
            yield f"{tree.place(path, line_of(text, match.start()))}: word of {folders[0]}/: {match[0]}: {what}."
    for name in standing:
        yield f"scripts/walls.py: STANDING_WORDS: {name}: is clean; remove the entry."


def tags(tree):
    seen = defaultdict(list)
    for path, text in tree.text.items():
        for match in STRUCT.finditer(text):
            seen[match[1], match[2]].append(tree.place(path, line_of(text, match.start())))
    for (kind, tag), places in sorted(seen.items()):
        if len(places) > 1:
            yield (f"{places[0]}: tag defined twice: {kind} {tag} is also at {', '.join(places[1:])}. Name the "
                   "private one by its module.")


def dependencies(text, call):
    """The folders in the `dependencies:` of one call of a meson.build, None if there is no such call."""
    at = text.find(call)
    if at < 0:
        return None
    depth, end = 0, at
    for end in range(at, len(text)):
        depth += (text[end] == "(") - (text[end] == ")")
        if depth == 0 and text[end] == ")":
            break
    listed = re.search(r"\bdependencies: *(\[[^]]*\]|\w+)", text[at:end])
    return set(re.findall(r"(\w+)_dep\b", listed[1])) if listed else set()


def reached(tree, folder):
    """The headers of a folder that others see: those that others include, and what these include of it."""
    todo = [target for path, included in tree.includes.items() for _, target in included
            if target.parent.name == folder != path.parent.name]
    seen = set()
    while todo:
        path = todo.pop()
        if path not in seen:
            seen.add(path)
            todo += [target for _, target in tree.includes[path] if target.parent == path.parent]
    return seen


def foreign(tree, folder, paths):
    """{other folder: where one of the paths includes it}"""
    found = {}
    for path in sorted(paths):
        for line, target in tree.includes[path]:
            if target.parent.name != folder:
                found.setdefault(target.parent.name, tree.place(path, line))
    return found


def names(tree):
    for folder in tree.folders:
        path = tree.src / folder / "meson.build"
        text = re.sub(r"#.*", "", path.read_text()) if path.exists() else ""
        for call, rule, used in [
            (f"{folder}_lib = static_library(", "names", foreign(
                tree, folder, [p for p in tree.text if p.parent.name == folder and p.name != "main.c"])),
            (f"{folder}_dep = declare_dependency(", "passes on", foreign(tree, folder, reached(tree, folder))),
        ]:
            listed = dependencies(text, call)
            if listed is None:
                yield f"{tree.place(path)}: wall: there is no `{call}…)`. Write it as the other folders do."
                continue
            listed &= set(tree.folders)
            for missing in sorted(used.keys() - listed):
                yield (f"{tree.place(path)}: wall: {call[:-1].split(' =')[0]} leaves out {missing}_dep, which "
                       f"{used[missing]} includes. Name it, or do without.")
            for spare in sorted(listed - used.keys()):
                yield (f"{tree.place(path)}: wall: {call[:-1].split(' =')[0]} {rule} {spare}_dep, which no "
                       f"{'file' if rule == 'names' else 'public header'} of {folder}/ includes. Take it out.")


RULES = [folder_circles, header_circles, module_circles, private_headers, words, tags, names]


def main(root=".", build=None):
    root = pathlib.Path(root).resolve()
    tree = Tree(root, pathlib.Path(build) if build else root / "build-test")
    findings = [finding for rule in RULES for finding in rule(tree)]
    for finding in findings:
        print(finding)
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
