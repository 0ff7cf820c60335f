"""How far a map is, and how a person is told."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass, replace
from typing import Callable, Union


@dataclass(frozen=True)
class Progress:
    """How far a map is."""

    #: Rows that have ended, those of earlier calls included.
    done: int
    #: Rows that are asked.
    total: int
    #: Of `done`, those that failed in this call.
    failed: int = 0
    #: Rows that are at the model now.
    running: int = 0
    rows_per_s: float = 0.0
    #: Seconds to go; None: not known yet.
    eta_s: int | None = None
    #: Why nothing moves, in words; None: it moves.
    waiting: str | None = None

    def __str__(self) -> str:
        parts = [f"{self.done:,} of {self.total:,} rows"]
        if self.failed:
            parts.append(f"{self.failed:,} failed")
        if self.rows_per_s:
            parts.append(f"{self.rows_per_s:.3g} rows/s")
        if self.eta_s is not None and self.done < self.total:
            parts.append(f"{_span(self.eta_s)} to go")
        if self.waiting:
            parts.append(self.waiting)
        return "lowtide: " + ", ".join(parts)


ProgressOption = Union[bool, Callable[[Progress], object], None]


def _span(seconds: int) -> str:
    if seconds < 60:
        return f"{seconds} s"
    if seconds < 3600:
        return f"{seconds // 60} min"
    return f"{seconds // 3600} h {seconds // 60 % 60} min"


LINE_EVERY_S = 10.0


class Teller:
    """Tells of the progress: to a callable; or on standard error, where a terminal has one line that
    is written over, and anything else gets a line every ten seconds."""

    def __init__(self, option: ProgressOption, before: int) -> None:
        """`before`: rows that were answered by earlier calls."""
        self._option, self._before = option, before
        self._next_s = time.monotonic() + LINE_EVERY_S
        self._shown = 0  # characters of the line on the terminal

    def __call__(self, now: Progress) -> None:
        now = replace(now, done=now.done + self._before, total=now.total + self._before)
        if callable(self._option):
            self._option(now)
        elif self._option is not False:
            self._write(str(now))

    def _write(self, text: str) -> None:
        if sys.stderr is None:
            return
        if sys.stderr.isatty():
            sys.stderr.write("\r" + text.ljust(self._shown))
            sys.stderr.flush()
            self._shown = len(text)
        elif time.monotonic() >= self._next_s:
            print(text, file=sys.stderr)
            self._next_s = time.monotonic() + LINE_EVERY_S

    def end(self) -> None:
        """The line on a terminal stays above what comes next."""
        if self._shown:
            sys.stderr.write("\n")
            self._shown = 0
