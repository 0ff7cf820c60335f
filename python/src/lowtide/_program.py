"""The program that came with the module: where it is, what its environment is, and its processes."""

from __future__ import annotations

import contextlib
import importlib.util
import logging
import os
import re
import signal
import subprocess
import sys
import threading
from collections import deque
from pathlib import Path
from typing import IO, Any, Callable, Deque, Mapping, Sequence

from ._errors import LowtideError

log = logging.getLogger("lowtide")

PROGRAM = Path(__file__).parent / "bin" / "lowtide"

# Where the bundled libraries look for CA certificates (Debian's place), and where others keep them.
CA_FILE = "/etc/ssl/certs/ca-certificates.crt"
CA_FILES_ELSEWHERE = (
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
)

LINES_KEPT = 40  # of what a process said last
LOG_LINE = re.compile(r"\S+Z (debug|info|warn|error)\s+(.*)", re.DOTALL)
LEVELS = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warn": logging.WARNING,
    "error": logging.ERROR,
}


def ca_file() -> str | None:
    """The CA certificates of a machine that has none where the program looks; None: no need."""
    if os.path.exists(CA_FILE):
        return None
    for path in CA_FILES_ELSEWHERE:
        if os.path.exists(path):
            return path
    certifi = importlib.util.find_spec("certifi")
    if certifi is not None and certifi.origin is not None:
        path = os.path.join(os.path.dirname(certifi.origin), "cacert.pem")
        return path if os.path.exists(path) else None
    return None


def environment(more: Mapping[str, str] | None = None) -> dict[str, str]:
    env = dict(os.environ)
    if "SSL_CERT_FILE" not in env and "SSL_CERT_DIR" not in env:
        found = ca_file()
        if found is not None:
            env["SSL_CERT_FILE"] = found
    env.update(more or {})
    return env


def main() -> None:
    """The command `lowtide`."""
    os.execve(PROGRAM, ["lowtide", *sys.argv[1:]], environment())


def last_words(lines: Sequence[str]) -> str:
    """What a person needs of what a process said: its sentences, or else its last line."""
    said = [line[len("lowtide: ") :] for line in lines if line.startswith("lowtide: ")]
    if said:
        return " ".join(said)
    return "\n".join(line for line in lines if line.strip()) or "it said nothing"


class Process:
    """The program, running beside this process, and ending with it: its standard input is a pipe
    from here. It has a session of its own, so Ctrl-C reaches it only through `stop`.
    """

    def __init__(
        self,
        arguments: Sequence[str | Path],
        env: Mapping[str, str] | None = None,
        *,
        logger: logging.Logger = log,
        log_file: IO[str] | None = None,
        keep: Sequence[int] = (),
        on_output: Callable[[str], None] | None = None,
    ) -> None:
        """Lines of standard error go to `log_file`, else to `logger`. `keep`: descriptors that the
        process has, too."""
        self.lines: Deque[str] = deque(maxlen=LINES_KEPT)  # of standard error
        self._logger, self._log_file = logger, log_file
        try:
            self._popen = subprocess.Popen(
                [str(PROGRAM), *map(str, arguments)],
                env=environment(env),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                encoding="utf-8",
                errors="replace",
                start_new_session=True,
                pass_fds=keep,
            )
        except OSError as e:
            raise LowtideError(f"the program of this package cannot be started: {e}") from e
        self._readers = [
            self._read(self._popen.stdout, on_output or (lambda line: None)),
            self._read(self._popen.stderr, self._said),
        ]

    @staticmethod
    def _read(stream: IO[str] | None, take: Callable[[str], None]) -> threading.Thread:
        def read() -> None:
            assert stream is not None
            for line in stream:
                take(line.rstrip("\n"))

        thread = threading.Thread(target=read, name="lowtide-reader", daemon=True)
        thread.start()
        return thread

    def _said(self, line: str) -> None:
        self.lines.append(line)
        if self._log_file is not None:
            self._log_file.write(line + "\n")
            self._log_file.flush()
            return
        found = LOG_LINE.match(line)
        if found:
            self._logger.log(LEVELS[found[1]], "%s", found[2])
        elif line.strip():
            self._logger.info("%s", line)

    @property
    def pid(self) -> int:
        return self._popen.pid

    def poll(self) -> int | None:
        return self._popen.poll()

    def wait(self, seconds: float | None = None) -> int | None:
        """The exit code, when all that it said has been read; None: it still runs."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            code = self._popen.wait(seconds)
            for reader in self._readers:
                reader.join(10)
            return code
        return None

    def stop(self, seconds: float) -> int:
        """As Ctrl-C: it ends what is in flight. After `seconds`, or at a second Ctrl-C, it is
        killed; what it keeps on disk is good at any moment."""
        try:
            with contextlib.suppress(ProcessLookupError):
                self._popen.send_signal(signal.SIGINT)
            code = self.wait(seconds)
        except BaseException:
            self._popen.kill()
            self.close()
            raise
        if code is None:
            self._popen.kill()
            code = self.wait()
        self.close()
        assert code is not None
        return code

    def close(self) -> None:
        """To be called when it has ended."""
        self.wait()
        for stream in (self._popen.stdin, self._popen.stdout, self._popen.stderr):
            if stream is not None:
                with contextlib.suppress(OSError):
                    stream.close()


def call(
    *arguments: str | Path,
    env: Mapping[str, str] | None = None,
    given: str = "",
    good: Sequence[int] = (0,),
) -> str:
    """Runs a command to its end; what it wrote on standard output."""
    try:
        done = subprocess.run(
            [str(PROGRAM), *map(str, arguments)],
            env=environment(env),
            input=given,
            capture_output=True,
            text=True,
            encoding="utf-8",
            errors="replace",
        )
    except OSError as e:
        raise LowtideError(f"the program of this package cannot be started: {e}") from e
    if done.returncode not in good:
        raise LowtideError(last_words(done.stderr.splitlines()))
    return done.stdout


def setting_flags(settings: Mapping[str, Any] | None) -> list[str]:
    """`--set` for each: {"execution.concurrency": 8}."""
    flags = []
    for key, value in (settings or {}).items():
        text = str(value).lower() if isinstance(value, bool) else str(value)
        flags += ["--set", f"{key}={text}"]
    return flags


def upstream_flags(upstream: str | Sequence[str]) -> list[str]:
    flags = []
    for url in [upstream] if isinstance(upstream, str) else upstream:
        flags += ["--upstream", url]
    return flags
