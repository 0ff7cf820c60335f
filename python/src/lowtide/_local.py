"""A round of a map without a server: `lowtide run`."""

from __future__ import annotations

import contextlib
import json
import os
from pathlib import Path
from typing import Any, Callable, List, Mapping, Sequence, Union

from ._errors import LowtideError
from ._program import Process, last_words, log, setting_flags, upstream_flags
from ._progress import Progress

DRAIN_S = 30.0  # `run` takes 5 s for what is in flight, more where execution.drain says so


def progress_of(status: Mapping[str, Any]) -> Progress:
    return Progress(
        done=status["done"],
        total=status["total"],
        failed=status["failed"],
        running=status["running"],
        rows_per_s=status["lines_per_s"],
        eta_s=status["eta_s"],
        waiting=status["waiting"],
    )


class LocalRunner:
    def __init__(
        self,
        upstream: Union[str, Sequence[str]],
        api_key: Union[str, None],
        settings: Union[Mapping[str, Any], None],
        tell: Callable[[Progress], None],
    ) -> None:
        self._flags = [*upstream_flags(upstream), *setting_flags(settings)]
        self._env = {} if api_key is None else {"LOWTIDE_UPSTREAM_API_KEY": api_key}
        self._tell = tell

    def __call__(self, given: Path, round_: Path, key: str, lock_fd: int) -> None:
        out, errors = round_ / "out.jsonl", round_ / "errors.jsonl"
        if not _is_done(out):
            self._run(["run", str(given), "-o", str(out), "--errors", str(errors)], out, lock_fd)

    def _run(self, command: List[str], out: Path, lock_fd: int) -> None:
        findings: List[str] = []
        reader, writer = os.pipe()
        try:
            process = Process(
                [*command, "--stop-at-eof", "--status-fd", str(writer), *self._flags],
                self._env,
                keep=(lock_fd, writer),
                on_output=findings.append,
            )
        except BaseException:
            os.close(reader)
            raise
        finally:
            os.close(writer)
        with open(reader, encoding="utf-8") as statuses:
            try:
                for line in statuses:
                    with contextlib.suppress(ValueError):  # cut off: it was killed
                        self._tell(progress_of(json.loads(line)))
                process.wait()
            except BaseException:
                process.stop(DRAIN_S)
                log.warning("stopped; the same call goes on from there")
                raise
        process.close()
        if not _is_done(out):
            raise LowtideError("\n".join([last_words(list(process.lines)), *findings[:20]]))


def _is_done(out: Path) -> bool:
    """`run` removes its state last, when the results stand at their places."""
    return out.exists() and not (out.with_name(out.name + ".lowtide") / "run.json").exists()
