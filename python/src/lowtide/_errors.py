"""What goes wrong. Wrong arguments are ValueError and TypeError, as everywhere."""

from __future__ import annotations

from typing import Any


class LowtideError(RuntimeError):
    """The program could not do it; the message is in the program's own words."""


class RowsFailed(LowtideError):
    """Rows have no answer, and `on_error="raise"` was asked for.

    The same call again asks only those rows again.
    """

    def __init__(self, message: str, result: Any, failed: int) -> None:
        super().__init__(message)
        #: What `on_error="mark"` would have returned.
        self.result = result
        #: How many rows have no answer.
        self.failed = failed
