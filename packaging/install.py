#!/usr/bin/env python3
"""The part of `meson install` that asks the program: man pages, completions; and the configuration,
which is only put where there is none.

meson sets MESON_INSTALL_DESTDIR_PREFIX and DESTDIR.
"""

import argparse
import os
import pathlib

import completions
import described
import pages


def destination(directory):
    """`directory` of an installation, absolute or below the prefix, below DESTDIR."""
    if os.path.isabs(directory):
        return pathlib.Path(os.environ.get("DESTDIR", "") + directory)
    return pathlib.Path(os.environ["MESON_INSTALL_DESTDIR_PREFIX"]) / directory


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o644)
    if not os.environ.get("MESON_INSTALL_QUIET"):
        print(f"Installing {path}")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("program")
    parser.add_argument("mandir")
    parser.add_argument("datadir")
    parser.add_argument("config_from")
    parser.add_argument("config_to")
    options = parser.parse_args()

    program = os.path.abspath(options.program)
    version = described.read_version(program)
    commands, around = described.read_commands(program)
    head, settings = described.read_settings(program)
    man = destination(options.mandir)
    for name, text in pages.pages(commands, around, head, settings, version).items():
        write(man / f"man{name[-1]}" / name, text)
    share = destination(options.datadir)
    write(share / "bash-completion/completions/lowtide", completions.bash(commands, settings))
    write(share / "zsh/site-functions/_lowtide", completions.zsh(commands, settings))
    write(share / "fish/vendor_completions.d/lowtide.fish", completions.fish(commands, settings))
    config = destination(options.config_to) / "lowtide.yaml"
    if not config.exists():
        write(config, pathlib.Path(options.config_from).read_text())


if __name__ == "__main__":
    main()
