"""What a row asks: a template or a callable, and the request line that is made of it."""

from __future__ import annotations

import difflib
import json
import re
from typing import Any, Callable, Hashable, List, Mapping, Optional, Sequence, Union

Message = Mapping[str, Any]
Row = Mapping[Any, Any]
Prompt = Union[str, Callable[[Row], Union[str, Sequence[Message], None]]]
Messages = Optional[List[Message]]

# As `lowtide prepare` has it: {column}, and {{ and }} for the braces themselves.
BRACE = re.compile(r"\{\{|\}\}|\{([^{}]*)\}|[{}]")


def is_missing(value: Any) -> bool:
    """None, NaN, NaT, pandas.NA."""
    if value is None:
        return True
    if isinstance(value, (str, bytes, bool, int, list, dict)):
        return False
    if type(value).__name__ == "NAType":
        return True
    try:
        return bool(value != value)
    except (TypeError, ValueError):  # arrays
        return False


def text_of(value: Any) -> str:
    """A value as it stands in a prompt; what is missing is empty."""
    if isinstance(value, str):
        return value
    if is_missing(value):
        return ""
    if isinstance(value, (bytes, bytearray)):
        return bytes(value).decode("utf-8", "replace")
    if hasattr(value, "tolist"):  # numpy
        value = value.tolist()
    if isinstance(value, (dict, list, tuple)):
        return json.dumps(value, ensure_ascii=False, default=str)
    return str(value)


def name_in(columns: Mapping[str, Hashable], name: str, what: str) -> Hashable:
    """The column's own key; ValueError, naming what there is, if there is no such column. An empty
    list of rows has no columns to compare with."""
    if name in columns or not columns:
        return columns.get(name, name)
    near = difflib.get_close_matches(name, columns, 1)
    hint = f"; did you mean '{near[0]}'?" if near else "."
    there = ", ".join(f"'{c}'" for c in list(columns)[:20]) or "none"
    more = ", …" if len(columns) > 20 else ""
    raise ValueError(f"{what}: there is no column '{name}'{hint} There are: {there}{more}.")


def without_line_end(text: str) -> str:
    """A text as a file has it, without the line end at its end: as `--prompt @FILE` reads it."""
    return text[: -1 - text.endswith("\r\n")] if text.endswith("\n") else text


class Template:
    """Of a prompt with {column}: the columns that it names, and the text for a row."""

    def __init__(self, text: str, columns: Mapping[str, Hashable]) -> None:
        self._parts: list[str] = [""]  # texts, and between two of them the value of a key
        self.keys: list[Hashable] = []
        end = 0
        for brace in BRACE.finditer(text):
            self._parts[-1] += text[end : brace.start()]
            end = brace.end()
            if brace[1] is not None:
                self.keys.append(name_in(columns, brace[1], f"prompt: {brace[0]}"))
                self._parts.append("")
            elif len(brace[0]) == 2:
                self._parts[-1] += brace[0][0]
            else:
                raise ValueError(
                    f"prompt: the brace in '{text[brace.start() : brace.start() + 40]}' stands "
                    "alone: a column is {column}, a brace as such is written twice, {{ or }}"
                )
        self._parts[-1] += text[end:]

    def __call__(self, row: Row) -> str | None:
        """None: every column that the prompt names is missing in this row, so it asks nothing."""
        values = [row.get(key) for key in self.keys]
        if values and all(is_missing(value) for value in values):
            return None
        texts = [part for pair in zip(self._parts, map(text_of, values)) for part in pair]
        return "".join(texts) + self._parts[-1]


class Asker:
    """The messages of a row."""

    def __init__(self, prompt: Prompt, system: str | None, columns: Mapping[str, Hashable]) -> None:
        self._system: list[Message] = (
            [{"role": "system", "content": without_line_end(system)}] if system is not None else []
        )
        self._ask: Callable[[Row], Union[str, Sequence[Message], None]]
        if isinstance(prompt, str):
            template = Template(without_line_end(prompt), columns)
            self.keys: list[Hashable] | None = template.keys  # None: all
            self._ask = template
        elif callable(prompt):
            self.keys, self._ask = None, prompt
        else:
            raise TypeError(
                "prompt: a text with {column}, or a callable that makes a text or a list of "
                f"messages of a row; not {type(prompt).__name__}"
            )

    def __call__(self, row: Row, number: int) -> Messages:
        """None: the row asks nothing."""
        asked = self._ask(row)
        if asked is None:
            return None
        if isinstance(asked, str):
            return [*self._system, {"role": "user", "content": asked}]
        if isinstance(asked, Sequence) and all(isinstance(one, Mapping) for one in asked):
            return [*self._system, *asked]
        raise TypeError(
            f"prompt: for row {number} the callable returned {type(asked).__name__}; it has to be "
            "a text, a list of messages, or None for a row that asks nothing"
        )


def request_line(custom_id: str, body: Mapping[str, Any], number: int) -> bytes:
    """One line of the input file. A lone surrogate, which is no character, becomes `?`."""
    try:
        text = json.dumps(
            {
                "custom_id": custom_id,
                "method": "POST",
                "url": "/v1/chat/completions",
                "body": body,
            },
            ensure_ascii=False,
            allow_nan=False,
        )
    except (TypeError, ValueError) as e:
        raise type(e)(f"row {number}: params and messages have to be JSON: {e}") from e
    return text.encode("utf-8", "replace") + b"\n"
