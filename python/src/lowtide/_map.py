"""lowtide.map: a prompt for every row of a table."""

from __future__ import annotations

import os
from typing import Any, Dict, Iterator, List, Mapping, Optional, Sequence, TypeVar, Union, overload

from ._errors import LowtideError, RowsFailed
from ._frames import Labelled, Table, result_of, table_of
from ._ids import Ids
from ._job import Job, Runner, base_directory
from ._local import LocalRunner
from ._progress import ProgressOption, Teller
from ._prompt import Asker, Prompt, request_line
from ._remote import RemoteRunner
from ._server import Server

T = TypeVar("T")
Path = Union[str, "os.PathLike[str]"]


@overload
def map(
    rows: Sequence[Mapping[str, Any]],
    prompt: Prompt,
    *,
    model: str,
    upstream: Union[str, Sequence[str], None] = ...,
    server: Union[str, Server, None] = ...,
    window: Optional[str] = ...,
    system: Optional[str] = ...,
    params: Optional[Mapping[str, Any]] = ...,
    column: str = ...,
    id: Optional[str] = ...,
    api_key: Optional[str] = ...,
    work_dir: Optional[Path] = ...,
    on_error: str = ...,
    progress: ProgressOption = ...,
    output: None = ...,
    settings: Optional[Mapping[str, Any]] = ...,
) -> List[Dict[str, Any]]: ...
@overload
def map(
    rows: T,
    prompt: Prompt,
    *,
    model: str,
    upstream: Union[str, Sequence[str], None] = ...,
    server: Union[str, Server, None] = ...,
    window: Optional[str] = ...,
    system: Optional[str] = ...,
    params: Optional[Mapping[str, Any]] = ...,
    column: str = ...,
    id: Optional[str] = ...,
    api_key: Optional[str] = ...,
    work_dir: Optional[Path] = ...,
    on_error: str = ...,
    progress: ProgressOption = ...,
    output: Optional[Path] = ...,
    settings: Optional[Mapping[str, Any]] = ...,
) -> T: ...
def map(
    rows: Any,
    prompt: Prompt,
    *,
    model: str,
    upstream: Union[str, Sequence[str], None] = None,
    server: Union[str, Server, None] = None,
    window: Optional[str] = None,
    system: Optional[str] = None,
    params: Optional[Mapping[str, Any]] = None,
    column: str = "answer",
    id: Optional[str] = None,
    api_key: Optional[str] = None,
    work_dir: Optional[Path] = None,
    on_error: str = "mark",
    progress: ProgressOption = None,
    output: Optional[Path] = None,
    settings: Optional[Mapping[str, Any]] = None,
) -> Any:
    """Asks a model about every row, and returns the same kind of table with the answers beside.

    The same call again goes on where an earlier one was interrupted, also by kill -9: rows with an
    answer are not asked again, rows that failed are.

    Args:
        rows: A list of dicts, a pandas or polars DataFrame, a pyarrow Table, or the path of a
            Parquet, CSV or TSV file, which is read and written a piece at a time.
        prompt: A text in which `{column}` stands for the row's value (braces themselves are
            written twice, `{{` and `}}`), or a callable that makes a text or a list of messages of a row (a
            dict). A line end at the end of the text, as a file has it, is no part of it. Missing values (None, NaN) are empty. A row in which every column of the prompt
            is missing, or for which the callable returns None, is not asked.
        model: The model, as the upstream calls it.
        upstream: The base URL of an OpenAI-compatible server (or several), to which this process
            sends the rows: "http://127.0.0.1:8080/v1".
        server: Instead of `upstream`, a lowtide server that runs the rows as a batch: its URL, or a
            `lowtide.Server`.
        window: With `server`, the time within which the batch is to be done, such as "12h" or "3d";
            rows without an answer by then have an error. None: "24h". A batch that an earlier call
            has made keeps its own.
        system: A system message that comes first; its line end is left out likewise.
        params: More members of each request: {"temperature": 0, "max_tokens": 5}.
        column: The name of the column for the answers; errors are in `column` + "_error".
        id: The column whose values, each a different one, name the rows in the requests; None: their
            numbers.
        api_key: The key of the upstream or of the server; None: LOWTIDE_UPSTREAM_API_KEY, or what
            `lowtide login` has kept or LOWTIDE_API_KEY says.
        work_dir: Where work is kept, in a directory for each job; None: lowtide/map in the user's
            cache directory. It has the prompts and the answers.
        on_error: "mark": a row without an answer has None there, and the reason in the column of
            errors. "raise": RowsFailed, once all rows have ended, if there is such a row.
        progress: None or True: shown on standard error. False: not at all. A callable gets a
            `lowtide.Progress` every second or so.
        output: Where the result of a path goes; None: beside it, as NAME.labelled.SUFFIX.
        settings: With `upstream`, settings of lowtide: {"execution.concurrency": 8}.

    Returns:
        What `rows` was, with two columns more; of a path, the path of the result.

    Raises:
        ValueError, TypeError: Arguments that cannot be; nothing was asked.
        LowtideError: The program could not do it, in its own words.
        RowsFailed: See `on_error`.
    """
    _check(model, upstream, server, window, params, on_error, settings)
    table = table_of(rows, output)
    names = (column, f"{column}_error")
    for name in names:
        if name in table.columns:
            raise ValueError(f"column: there is a column '{name}' already; take another name")
    ids = Ids(table, id)
    asker = Asker(prompt, system, table.columns)
    target = server.url if isinstance(server, Server) else server
    head = [1, upstream if server is None else {"server": target}]
    lines = _lines(table, asker, ids, {**(params or {}), "model": model})
    with Job.open(base_directory(work_dir), head, lines) as job:
        teller = Teller(progress, job.answered())
        runner: Runner
        if server is None:
            assert upstream is not None
            runner = LocalRunner(upstream, api_key, settings, teller)
        else:
            key = server.api_key if isinstance(server, Server) else api_key
            runner = RemoteRunner(str(target), key, window, teller)
        try:
            job.finish(runner)
        except LowtideError as e:
            ids.check(e)
            raise
        finally:
            teller.end()
        counter = _Counter()
        made = result_of(rows, table.labelled(names, counter(job.labels(ids))))
    if counter.failed and on_error == "raise":
        raise RowsFailed(
            f"{counter.failed} of {counter.total} rows have no answer; row {counter.first[0]}: "
            f"{counter.first[1]}. The same call again asks only these again.",
            made,
            counter.failed,
        )
    return made


def _check(
    model: Any,
    upstream: Any,
    server: Any,
    window: Any,
    params: Optional[Mapping[str, Any]],
    on_error: str,
    settings: Any,
) -> None:
    if not isinstance(model, str) or not model:
        raise ValueError(f"model: the name of a model, as the upstream calls it; not {model!r}")
    if not upstream and not server:
        raise ValueError(
            "where to? upstream='http://127.0.0.1:8080/v1', an OpenAI-compatible server that this "
            "call sends the rows to; or server=, a lowtide server"
        )
    if upstream and server:
        raise ValueError("upstream and server: one of them")
    if window is not None and not server:
        raise ValueError("window: goes with server: it is its batch's")
    if window is not None and (not isinstance(window, str) or not window):
        raise ValueError(f"window: a text such as '12h', '24h' or '3d'; not {window!r}")
    if server and settings:
        raise ValueError("settings: go with upstream; a server has its own")
    if on_error not in ("mark", "raise"):
        raise ValueError(f"on_error: 'mark' or 'raise', not {on_error!r}")
    for name in ("model", "messages"):
        if name in (params or {}):
            raise ValueError(f"params: '{name}' is an argument of its own")


def _lines(table: Table, asker: Asker, ids: Ids, body: Mapping[str, Any]) -> Iterator[bytes]:
    keys = None if asker.keys is None else [*asker.keys, *ids.keys]
    for number, row in enumerate(table.rows(keys)):
        messages = asker(row, number)
        ids.note(messages is not None)
        if messages is not None:
            yield request_line(ids.of(row, number), {**body, "messages": messages}, number)


class _Counter:
    """Counts, on their way, the rows that have no answer."""

    def __init__(self) -> None:
        self.total = self.failed = 0
        self.first = (0, "")

    def __call__(self, labels: Iterator[Labelled]) -> Iterator[Labelled]:
        for label in labels:
            if label.error is not None:
                if not self.failed:
                    self.first = (self.total, label.error)
                self.failed += 1
            self.total += 1
            yield label
