"""The custom_id of each row that asks something."""

from __future__ import annotations

from typing import Any, Dict, Iterator, List, Mapping, Optional, Set

from ._frames import Table
from ._prompt import is_missing, name_in, text_of

VALUES_TOLD = 3  # of those that repeat
ROWS_TOLD = 3  # of each


class Ids:
    def __init__(self, table: Table, column: Optional[str]) -> None:
        self._table = table
        self._key = None if column is None else name_in(table.columns, column, "id")
        self._named = column is not None
        self._asked = bytearray()  # of each row: whether it asks something

    def of(self, row: Mapping[Any, Any], number: int) -> str:
        if not self._named:
            return f"row-{number + 1}"  # as `lowtide prepare` names them
        value = row.get(self._key)
        if is_missing(value) or text_of(value) == "":
            raise ValueError(f"id: row {number} has no value in the column '{self._key}'")
        return text_of(value)

    @property
    def keys(self) -> List[Any]:
        return [self._key] if self._named else []

    def note(self, asked: bool) -> None:
        """Of the next row."""
        self._asked.append(asked)

    def __iter__(self) -> Iterator[Optional[str]]:
        """None for a row that asks nothing: its value may be another row's."""
        for number, row in enumerate(self._table.rows(self.keys)):
            yield self.of(row, number) if self._asked[number] else None

    def check(self, cause: Exception) -> None:
        """ValueError if `cause` is that rows have the same id: the program finds such rows in little
        memory, and only a call that is refused has to remember every id."""
        if not self._named or "custom_id" not in str(cause):
            return
        rows = self._repeated()
        if rows:
            raise ValueError(
                f"id: each row needs a value of its own in the column '{self._key}'; "
                + "; ".join(_told(value, numbers) for value, numbers in rows.items())
            ) from cause

    def _repeated(self) -> Dict[str, List[int]]:
        """The first values that repeat, and their rows."""
        seen: Set[str] = set()
        rows: Dict[str, List[int]] = {}
        for one in self:
            if one is not None and one in seen:
                rows[one] = []
                if len(rows) == VALUES_TOLD:
                    break
            elif one is not None:
                seen.add(one)
        for number, one in enumerate(self if rows else ()):
            if one is not None and one in rows:
                rows[one].append(number)
        return rows


def _told(value: str, numbers: List[int]) -> str:
    shown = value if len(value) <= 60 else value[:59] + "…"
    more = len(numbers) - ROWS_TOLD
    if more > 0:
        return f"'{shown}' is in rows {', '.join(map(str, numbers[:ROWS_TOLD]))} and {more} more"
    said = ", ".join(map(str, numbers[:-1]))
    return f"'{shown}' is in rows {said} and {numbers[-1]}"
