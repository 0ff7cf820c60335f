#!/usr/bin/env python3
"""Makes build/wheel/lowtide-VERSION-py3-none-manylinux_2_36_x86_64.whl of build/lowtide.

hatchling packs module, program and licenses (build/wheel/tree); auditwheel puts the shared libraries
beside the program and names the oldest C library that they run on: Debian 12's.
"""

import os
import pathlib
import re
import shutil
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[1]
WORK = ROOT / "build" / "wheel"
TREE = WORK / "tree"
PLATFORM = "manylinux_2_36_x86_64"

LIBC = "libc6"  # the machine's own, always
COMMON = re.compile(r"/usr/share/common-licenses/([A-Za-z0-9.-]*[A-Za-z0-9])")


def output(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def run(*command, **more):
    done = subprocess.run(command, capture_output=True, text=True, **more)
    if done.returncode != 0:
        sys.exit(f"wheel: {' '.join(map(str, command))}\n{done.stdout}{done.stderr}")


def libraries(program):
    """{name: path} of what the program loads."""
    found = dict(re.findall(r"^\s*(\S+) => (/\S+)", output("ldd", program), re.MULTILINE))
    if not found:
        sys.exit(f"wheel: {program} loads no shared library")
    return found


def package_of(path):
    """The Debian package of a library: /lib and /usr/lib are one, and dpkg knows either name."""
    names = {path, f"/usr{path}", path.removeprefix("/usr")}
    found = subprocess.run(["dpkg-query", "-S", *names], capture_output=True, text=True).stdout
    if not found:
        sys.exit(f"wheel: {path} is of no Debian package: whose license has it?")
    return found.partition(":")[0]


def add_licenses(program):
    """licenses/PACKAGE for each library's package, the common licenses that they name,
    licenses/libraries.txt, which says what is of which, and the console's licenses/console.txt."""
    licenses = TREE / "licenses"
    licenses.mkdir()
    listed = []
    for name, path in sorted(libraries(program).items()):
        package = package_of(path)
        if package == LIBC:
            continue
        version = output("dpkg-query", "-W", "-f", "${Version}", package)
        listed.append(f"{name}: Debian's {package} {version}, license in {package}\n")
        shutil.copyfile(f"/usr/share/doc/{package}/copyright", licenses / package)
    (licenses / "libraries.txt").write_text("".join(listed))
    shutil.copyfile(ROOT / "console" / "licenses.txt", licenses / "console.txt")
    texts = [path.read_text(errors="replace") for path in licenses.iterdir()]
    for name in sorted(set(COMMON.findall("\n".join(texts)))):
        if os.path.isfile(f"/usr/share/common-licenses/{name}"):
            shutil.copyfile(f"/usr/share/common-licenses/{name}", licenses / name)


def make_tree():
    shutil.rmtree(WORK, ignore_errors=True)
    shutil.copytree(ROOT / "python", TREE, ignore=shutil.ignore_patterns("__pycache__", ".*"))
    for name in ("meson.build", "LICENSE"):
        shutil.copyfile(ROOT / name, TREE / name)
    program = TREE / "bin" / "lowtide"
    program.parent.mkdir()
    run("strip", "--strip-debug", "-o", program, ROOT / "build" / "lowtide")
    add_licenses(program)


def main():
    make_tree()
    bin_directory = pathlib.Path(sys.executable).parent
    # What is zipped has the time of the last commit, so two builds of it are alike.
    epoch = output("git", "-C", ROOT, "log", "-1", "--format=%ct").strip()
    path = f"{bin_directory}{os.pathsep}{os.environ['PATH']}"  # auditwheel calls patchelf
    env = {**os.environ, "SOURCE_DATE_EPOCH": epoch, "PATH": path}
    run(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", WORK / "plain", cwd=TREE,
        env=env)
    (plain,) = (WORK / "plain").glob("*.whl")
    run(sys.executable, "-m", "auditwheel", "repair", "--plat", PLATFORM, "--only-plat", "-w", WORK,
        plain, env=env)
    shutil.rmtree(WORK / "plain")
    (made,) = WORK.glob("*.whl")
    print(f"{made.relative_to(ROOT)}: {made.stat().st_size / 1e6:.1f} MB")


main()
