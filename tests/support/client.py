"""Commands that ask a server, each with directories of its own."""

import json
import os
import subprocess

from . import server as program


class Client:
    """`lowtide COMMAND` as a user whose home is `home`."""

    def __init__(self, home, url, key):
        self.home = home
        self.env = {
            "HOME": str(home),
            "XDG_CONFIG_HOME": str(home / "config"),
            "XDG_STATE_HOME": str(home / "state"),
            "LOWTIDE_URL": url,
            "LOWTIDE_API_KEY": key,
            "no_proxy": "*",
        }

    def at(self, url):
        """The same user, by way of a proxy."""
        other = Client(self.home, url, self.env["LOWTIDE_API_KEY"])
        return other

    def __call__(self, *args, expect=0, stdin=None, timeout=120, env=None):
        return program.run(*args, env={**self.env, **(env or {})}, expect=expect, stdin=stdin, timeout=timeout)

    def start(self, *args, **popen):
        popen = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "stdin": subprocess.DEVNULL, **popen}
        return subprocess.Popen(
            [str(program.BINARY), *map(str, args)], env=program.clean_env(self.env), text=True, **popen
        )

    def kept(self):
        """What calls that are not done have left."""
        state = self.home / "state" / "lowtide"
        return [name for name in os.listdir(state) if name.endswith(".json")] if state.is_dir() else []

    def age(self, seconds):
        """As if what calls that are not done have left were older."""
        for name in self.kept():
            path = self.home / "state" / "lowtide" / name
            left = json.loads(path.read_text())
            path.write_text(json.dumps({**left, "keyed_at": left["keyed_at"] - seconds}))


def sentence(done):
    """What was said on standard error, which is one sentence and no trace of anything else."""
    said = done.stderr.strip()
    assert said.startswith("lowtide: ") and "\n" not in said, said
    return said
