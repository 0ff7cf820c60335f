"""The work directory of a map: what was asked, what was answered, and what is still to do.

    BASE/HASH/            HASH: of the request lines and of where they go
      lock                held while a call, or a program that it has left behind, works here
      in.jsonl            every request line, in the order of the rows
      answers.jsonl       result lines with an answer, in that order } of the rounds that
      errors.jsonl        result lines of the last round without one } have ended
      rounds              how many that were
      round/              the round under way: its own out.jsonl, errors.jsonl and what its runner
                          keeps; `done` once the runner is through
      retry.jsonl         what a second or later round asks

The first round asks everything, each later one what has no answer yet. A kill at any moment leaves
what the next call goes on with: each file appears whole, by a rename, and `round/done` is written
before the round is gathered; gathering it twice comes to the same.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import shutil
import tempfile
import time
from pathlib import Path
from typing import Any, Iterable, Iterator, Protocol, Union

from ._errors import LowtideError
from ._frames import Labelled

LOCK_WAIT_S = 20.0  # a program that was left behind ends what it has in flight
STALE_S = 24 * 3600.0


class Runner(Protocol):
    """Runs a file of requests to its end, or goes on where it stopped."""

    def __call__(self, given: Path, round_: Path, key: str, lock_fd: int) -> None:
        """Leaves out.jsonl and errors.jsonl (or none) in `round_`. `key` names this round."""


def base_directory(given: Union[str, os.PathLike[str], None]) -> Path:
    if given is not None:
        base = Path(given)
    else:
        cache = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
        base = Path(cache) / "lowtide" / "map"
    base.mkdir(mode=0o700, parents=True, exist_ok=True)
    return base.resolve()


def write_whole(path: Path, text: str) -> None:
    """A crash leaves the old text or the new one."""
    new = path.with_name(path.name + ".new")
    with open(new, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    os.replace(new, path)


def _copy(given: Path, path: Path) -> None:
    """What is not there is copied as empty."""
    new = path.with_name(path.name + ".new")
    with open(given if given.exists() else os.devnull, "rb") as source, open(new, "wb") as file:
        shutil.copyfileobj(source, file)
    os.replace(new, path)


class _Results:
    """Result lines of a file, one at a time; a file that is not there has none."""

    def __init__(self, path: Path) -> None:
        self._file = open(path, "rb") if path.exists() else None  # noqa: SIM115
        self.line = b""
        self.custom_id: Any = None  # None: no more
        self.read = 0
        self.value: dict[str, Any] = {}
        self.next()

    def next(self) -> None:
        self.line = self._file.readline() if self._file is not None else b""
        self.value = json.loads(self.line) if self.line.strip() else {}
        self.custom_id = self.value.get("custom_id")
        self.read += self.custom_id is not None

    def close(self) -> None:
        if self._file is not None:
            self._file.close()


def _has_lines(path: Path) -> bool:
    return path.exists() and path.stat().st_size > 0


class Job:
    def __init__(self, directory: Path, asked: int) -> None:
        self.directory = directory
        self.asked = asked  # rows that ask something
        self._lock_fd = -1

    # ---- begin ----

    @classmethod
    def open(cls, base: Path, head: Any, lines: Iterable[bytes]) -> Job:
        """Writes the request lines; `head` says what else makes the job another one."""
        _sweep(base)
        digest = hashlib.sha256(json.dumps(head, sort_keys=True).encode() + b"\n")
        handle, name = tempfile.mkstemp(prefix="rendering-", dir=base)
        asked = 0
        try:
            with open(handle, "wb", buffering=1 << 20) as file:
                for line in lines:
                    digest.update(line)
                    file.write(line)
                    asked += 1
            job = cls(base / digest.hexdigest()[:32], asked)
            job.directory.mkdir(mode=0o700, exist_ok=True)
            job._lock()
            try:
                job._take(Path(name))
            except BaseException:
                job.close()
                raise
        finally:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(name)
        return job

    def _lock(self) -> None:
        """The descriptor goes to the programs that work here, so the lock is theirs, too."""
        path = self.directory / "lock"
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        end = time.monotonic() + LOCK_WAIT_S
        while True:
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() >= end:
                    pid = os.read(fd, 32).decode("ascii", "replace").strip()
                    os.close(fd)
                    raise LowtideError(
                        f"another call (process {pid}) runs the same rows and prompt: wait for "
                        f"it, or end it; both work in {self.directory}"
                    ) from None
                time.sleep(0.1)
        os.truncate(fd, 0)
        os.pwrite(fd, str(os.getpid()).encode(), 0)
        self._lock_fd = fd

    def _take(self, rendered: Path) -> None:
        """What an earlier call has left of the same lines stays: the program knows it by its time."""
        mine = self.directory / "in.jsonl"
        if not mine.exists() or mine.stat().st_size != rendered.stat().st_size:
            os.replace(rendered, mine)

    def close(self) -> None:
        os.close(self._lock_fd)

    def __enter__(self) -> Job:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # ---- rounds ----

    @property
    def _round(self) -> Path:
        return self.directory / "round"

    @property
    def _answers(self) -> Path:
        return self.directory / "answers.jsonl"

    @property
    def _errors(self) -> Path:
        return self.directory / "errors.jsonl"

    def _rounds(self) -> int:
        path = self.directory / "rounds"
        return int(path.read_text()) if path.exists() else 0

    def finish(self, runner: Runner) -> None:
        """One round: what has no answer is asked; nothing is, where all have one."""
        if (self._round / "done").exists():
            self._gather()
            if not _has_lines(self._errors):
                return
        given = self._to_ask()
        if given is None:
            return
        self._round.mkdir(mode=0o700, exist_ok=True)
        key = f"{self.directory.name}-{self._rounds()}"
        runner(given, self._round, key, self._lock_fd)
        (self._round / "done").touch()
        self._gather()

    def _to_ask(self) -> Path | None:
        if self.asked == 0:
            return None
        if not self._answers.exists():
            return self.directory / "in.jsonl"
        if not _has_lines(self._errors):
            return None
        retry = self.directory / "retry.jsonl"
        if not (self._round.exists() and retry.exists()):
            self._write_retry(retry)
        return retry

    def _write_retry(self, path: Path) -> None:
        new = path.with_name("retry.jsonl.new")
        answered = _Results(self._answers)
        with open(self.directory / "in.jsonl", "rb") as lines, open(new, "wb") as file:
            for line in lines:
                if json.loads(line)["custom_id"] == answered.custom_id:
                    answered.next()
                else:
                    file.write(line)
        answered.close()
        os.replace(new, path)

    def _gather(self) -> None:
        out, errors = self._round / "out.jsonl", self._round / "errors.jsonl"
        if self._answers.exists():
            self._merge(out)
        elif out.exists():
            os.replace(out, self._answers)
        else:
            self._answers.touch()
        _copy(errors, self._errors)
        write_whole(self.directory / "rounds", str(self._rounds() + 1))
        # By its name it goes whole: half of it would be taken for a round under way.
        gone = self.directory / "round.gone"
        shutil.rmtree(gone, ignore_errors=True)
        os.replace(self._round, gone)
        shutil.rmtree(gone)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.directory / "retry.jsonl")

    def _merge(self, out: Path) -> None:
        """The answers of this round among those of the earlier ones, in the order of the rows."""
        new = self._answers.with_name("answers.jsonl.new")
        both = [_Results(self._answers), _Results(out)]
        with open(self.directory / "in.jsonl", "rb") as lines, open(new, "wb") as file:
            for line in lines:
                custom_id = json.loads(line)["custom_id"]
                here = [one for one in both if one.custom_id == custom_id]
                if here:
                    file.write(here[0].line)
                for one in here:
                    one.next()
        for one in both:
            one.close()
        os.replace(new, self._answers)

    # ---- end ----

    def answered(self) -> int:
        if not self._answers.exists():
            return 0
        with open(self._answers, "rb") as file:
            return sum(1 for _ in file)

    def labels(self, custom_ids: Iterable[Union[str, None]]) -> Iterator[Labelled]:
        """For each row (None: it asks nothing) what it got, in constant memory: all files have the
        order of the rows."""
        answers, errors = _Results(self._answers), _Results(self._errors)
        found = 0
        try:
            for custom_id in custom_ids:
                if custom_id is None:
                    yield Labelled(None, NOT_ASKED)
                    continue
                if custom_id == answers.custom_id:
                    label = read_label(answers.value)
                    answers.next()
                elif custom_id == errors.custom_id:
                    label = read_label(errors.value)
                    errors.next()
                else:
                    break
                found += 1
                yield label
        finally:
            answers.close()
            errors.close()
        if found != self.asked:
            raise LowtideError(
                f"{self.asked - found} of {self.asked} rows have neither an answer nor an error in "
                f"{self.directory}: were its files changed? Remove it to begin anew"
            )


NOT_ASKED = "not asked: the columns of the prompt are empty in this row"


def _sweep(base: Path) -> None:
    """What calls that were killed while they wrote their request lines have left."""
    for path in base.glob("rendering-*"):
        with contextlib.suppress(FileNotFoundError):
            if time.time() - path.stat().st_mtime > STALE_S:
                path.unlink()


# What a cell of the answers or errors says is the same as `lowtide join` has (src/rows/answer_text.h).


def read_label(result: dict[str, Any]) -> Labelled:
    """Of a result line."""
    response = result.get("response") or {}
    body = response.get("body")
    if not 200 <= response.get("status_code", 0) < 300:
        return Labelled(None, _error_text(result.get("error"), response.get("status_code"), body))
    choices = body.get("choices") if isinstance(body, dict) else None
    if not choices:
        return Labelled(_json(body), None)
    refusal = (choices[0].get("message") or {}).get("refusal")
    values = [_choice_value(choice) for choice in choices]
    if values[0] is None and isinstance(refusal, str):
        return Labelled(None, f"refusal: {refusal}")
    if len(values) > 1:
        return Labelled(_json(values), None)
    value = "" if values[0] is None else values[0]
    return Labelled(value if isinstance(value, str) else _json(value), None)


def _choice_value(choice: dict[str, Any]) -> Any:
    message = choice.get("message") or {}
    return message.get("content") or message.get("tool_calls") or message.get("content")


def _error_text(error: Any, status: Any, body: Any) -> str:
    """"code: message", or "404 code: message" where an upstream said it."""
    said = error
    if not error and isinstance(body, dict):
        said = body.get("error") or {"message": body.get("message") or body.get("detail")}
    if not isinstance(said, dict):
        said = {"message": said or body}
    code, message = said.get("code"), said.get("message") or (None if error else body)
    parts = [] if error or not status else [str(status)]
    parts += [code] if isinstance(code, str) else []
    text = message if isinstance(message, str) or message is None else _json(message)
    return " ".join(parts) + (": " if parts and text else "") + (text or "") or "failed"


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
