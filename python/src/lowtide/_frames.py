"""The kinds of tables: their columns, their rows, and the same kind again with two columns more.

Libraries of frames are only looked for where they are loaded already, since somebody made the frame.
"""

from __future__ import annotations

import contextlib
import csv
import importlib
import itertools
import os
import sys
import tempfile
from pathlib import Path
from typing import Any, Hashable, Iterable, Iterator, List, Mapping, NamedTuple, Optional, Union

Row = Mapping[Any, Any]

ROWS_AT_ONCE = 4096  # of a table in columns: so many are Python objects at a time


class Labelled(NamedTuple):
    """What a row got: an answer, or why there is none."""

    answer: Optional[str]
    error: Optional[str]


class Table:
    """A table of one kind."""

    #: Columns by their names as texts; pandas may have numbers.
    columns: dict[str, Hashable]

    def rows(self, keys: list[Hashable] | None) -> Iterator[Row]:
        """Each row with at least these keys (None: all), in order; may be asked for again."""
        raise NotImplementedError

    def labelled(self, names: tuple[str, str], labels: Iterable[Labelled]) -> Any:
        """The same kind with the columns `names`, for the answers and for the errors."""
        raise NotImplementedError


def _two(labels: Iterable[Labelled]) -> tuple[list[str | None], list[str | None]]:
    answers, errors = [], []
    for label in labels:
        answers.append(label.answer)
        errors.append(label.error)
    return answers, errors


class ListTable(Table):
    """A list of dicts; they need not all have the same keys."""

    def __init__(self, rows: List[Row]) -> None:
        self._rows = rows
        self.columns = {}
        for number, row in enumerate(rows):
            if not isinstance(row, Mapping):
                raise TypeError(f"rows: row {number} is a {type(row).__name__}, not a dict")
            for key in row:
                self.columns.setdefault(str(key), key)

    def rows(self, keys: list[Hashable] | None) -> Iterator[Row]:
        return iter(self._rows)

    def labelled(self, names: tuple[str, str], labels: Iterable[Labelled]) -> Any:
        return [{**row, **dict(zip(names, label))} for row, label in zip(self._rows, labels)]


class PandasTable(Table):
    def __init__(self, frame: Any) -> None:
        self._frame = frame
        self.columns = {}
        for key in frame.columns:
            if str(key) in self.columns:
                raise ValueError(f"rows: the frame has two columns '{key}'")
            self.columns[str(key)] = key

    def rows(self, keys: list[Hashable] | None) -> Iterator[Row]:
        keys = list(self._frame.columns) if keys is None else list(dict.fromkeys(keys))
        if not keys or not len(self._frame):  # no tuples, whatever its length; no such columns
            yield from ({} for _ in range(len(self._frame)))
            return
        for values in self._frame[keys].itertuples(index=False, name=None):
            yield dict(zip(keys, values))

    def labelled(self, names: tuple[str, str], labels: Iterable[Labelled]) -> Any:
        made = self._frame.copy()
        series = sys.modules["pandas"].Series
        for name, values in zip(names, _two(labels)):
            made[name] = series(values, index=made.index, dtype=object)
        return made


class PolarsTable(Table):
    def __init__(self, frame: Any) -> None:
        self._frame = frame
        self.columns = {name: name for name in frame.columns}

    def rows(self, keys: list[Hashable] | None) -> Iterator[Row]:
        if keys == [] or not self._frame.height:
            return iter([{}] * self._frame.height)
        frame = self._frame if keys is None else self._frame.select(list(dict.fromkeys(keys)))
        rows: Iterator[Row] = frame.iter_rows(named=True)
        return rows

    def labelled(self, names: tuple[str, str], labels: Iterable[Labelled]) -> Any:
        polars = sys.modules["polars"]
        two = zip(names, _two(labels))
        return self._frame.with_columns(polars.Series(n, v, dtype=polars.String) for n, v in two)


class ArrowTable(Table):
    def __init__(self, table: Any) -> None:
        self._table = table
        self.columns = _arrow_columns(table.schema)

    def rows(self, keys: list[Hashable] | None) -> Iterator[Row]:
        return _arrow_rows(self._table.to_batches(ROWS_AT_ONCE), keys)

    def labelled(self, names: tuple[str, str], labels: Iterable[Labelled]) -> Any:
        arrow = sys.modules["pyarrow"]
        made = self._table
        for name, values in zip(names, _two(labels)):
            made = made.append_column(name, arrow.array(values, arrow.large_string()))
        return made


def _arrow_columns(schema: Any) -> dict[str, Hashable]:
    columns: dict[str, Hashable] = {}
    for name in schema.names:
        if name in columns:
            raise ValueError(f"rows: the table has two columns '{name}'")
        columns[name] = name
    return columns


def _arrow_rows(batches: Iterable[Any], keys: list[Hashable] | None) -> Iterator[Row]:
    for batch in batches:
        if keys == []:
            yield from ({} for _ in range(batch.num_rows))
        else:
            part = batch if keys is None else batch.select(list(dict.fromkeys(keys)))
            yield from part.to_pylist()


# ---- paths ----


def _batches(file: Any, size: int, keys: list[Hashable] | None = None) -> Iterator[Any]:
    """Of a Parquet file, one row group after the other: an iterator of pyarrow's over several keeps
    what it has read of each until its end."""
    for group in range(file.num_row_groups):
        yield from file.iter_batches(size, row_groups=[group], columns=keys)


@contextlib.contextmanager
def _replaced(path: Path) -> Iterator[str]:
    """A new file beside `path`, which takes its place when all has been written."""
    handle, name = tempfile.mkstemp(prefix=path.name + ".", suffix=".new", dir=path.parent)
    os.close(handle)
    try:
        yield name
        mask = os.umask(0)
        os.umask(mask)
        os.chmod(name, 0o666 & ~mask)
        os.replace(name, path)
    except BaseException:
        os.unlink(name)
        raise


class ParquetTable(Table):
    """Read and written by pieces of row groups; what was read stands in memory only so long."""

    def __init__(self, path: Path, output: Path) -> None:
        try:
            pyarrow = importlib.import_module("pyarrow")
            parquet = importlib.import_module("pyarrow.parquet")
        except ImportError as e:
            raise ImportError(f"{path}: Parquet files want pyarrow: pip install pyarrow") from e
        self._arrow, self._parquet = pyarrow, parquet
        self._path, self._output = path, output
        try:
            with self._open() as file:
                self._schema = file.schema_arrow
                self._count = file.metadata.num_rows
        except pyarrow.ArrowInvalid as e:
            raise ValueError(f"{path} cannot be read as Parquet: {e}") from e
        self.columns = _arrow_columns(self._schema)

    def _open(self) -> Any:
        return self._parquet.ParquetFile(self._path)

    def rows(self, keys: list[Hashable] | None) -> Iterator[Row]:
        if keys == []:
            yield from ({} for _ in range(self._count))
            return
        with self._open() as file:
            yield from _arrow_rows(_batches(file, ROWS_AT_ONCE, keys), keys)

    def _group_rows(self, file: Any) -> int:
        """Rows of a written group: some 32 MB, as it is in memory."""
        groups = range(file.num_row_groups)
        size = sum(int(file.metadata.row_group(group).total_byte_size) for group in groups)
        return max(1024, min(16384, (32 << 20) * int(self._count) // max(size, 1)))

    def labelled(self, names: tuple[str, str], labels: Iterable[Labelled]) -> Any:
        text = self._arrow.string()
        schema = self._schema
        for name in names:
            schema = schema.append(self._arrow.field(name, text))
        each = iter(labels)
        with _replaced(self._output) as new, self._open() as file:
            with self._parquet.ParquetWriter(new, schema) as writer:
                for batch in _batches(file, self._group_rows(file)):
                    two = _two(itertools.islice(each, batch.num_rows))
                    columns = [*batch.columns, *(self._arrow.array(v, text) for v in two)]
                    writer.write_batch(self._arrow.RecordBatch.from_arrays(columns, schema=schema))
            for _ in each:  # what ends behind the last label is done
                pass
        return self._output


class CsvTable(Table):
    """CSV with a head line, or TSV. Every value is a text."""

    def __init__(self, path: Path, output: Path) -> None:
        self._path, self._output = path, output
        self._tab = "\t" if path.suffix.lower() == ".tsv" else ","
        csv.field_size_limit(sys.maxsize)
        with open(path, newline="", encoding="utf-8-sig") as file:
            head = next(csv.reader(file, delimiter=self._tab), [])
        self._head = head
        if len(set(head)) != len(head):
            raise ValueError(f"{path}: two columns have the same name: {', '.join(head)}")
        self.columns = {name: name for name in head}

    def _lines(self) -> Iterator[list[str]]:
        with open(self._path, newline="", encoding="utf-8-sig") as file:
            reader = csv.reader(file, delimiter=self._tab)
            next(reader, None)
            for line in reader:
                if len(line) != len(self._head) and line:
                    raise ValueError(
                        f"{self._path}:{reader.line_num}: {len(line)} fields where the head has "
                        f"{len(self._head)}"
                    )
                if line:
                    yield line

    def rows(self, keys: list[Hashable] | None) -> Iterator[Row]:
        return (dict(zip(self._head, line)) for line in self._lines())

    def labelled(self, names: tuple[str, str], labels: Iterable[Labelled]) -> Any:
        each = iter(labels)
        with _replaced(self._output) as new, open(new, "w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file, delimiter=self._tab, lineterminator="\n")
            writer.writerow([*self._head, *names])
            writer.writerows([*line, *next(each)] for line in self._lines())
            for _ in each:
                pass
        return self._output


# ---- which ----

SUFFIXES = {".parquet": ParquetTable, ".pq": ParquetTable, ".csv": CsvTable, ".tsv": CsvTable}


def _path_table(given: Union[str, os.PathLike[str]], output: Any) -> Table:
    path = Path(given)
    kind = SUFFIXES.get(path.suffix.lower())
    if kind is None:
        raise ValueError(f"{path}: the name has to end with one of {', '.join(SUFFIXES)}")
    if not path.is_file():
        raise FileNotFoundError(f"{path}: there is no such file")
    to = path.with_name(f"{path.stem}.labelled{path.suffix}") if output is None else Path(output)
    if SUFFIXES.get(to.suffix.lower()) is not kind or to.suffix.lower() == ".tsv" != path.suffix:
        raise ValueError(f"output: {to} has to be of the kind of {path}: *{path.suffix}")
    if not to.parent.is_dir():
        raise FileNotFoundError(f"output: {to}: there is no directory {to.parent}")
    if to.exists() and to.samefile(path):
        raise ValueError(f"output: {to} is the file that is read")
    table: Table = kind(path, to)
    return table


def _frame_table(rows: Any) -> Optional[Table]:
    for module, name, kind in (
        ("pandas", "DataFrame", PandasTable),
        ("polars", "DataFrame", PolarsTable),
        ("pyarrow", "Table", ArrowTable),
    ):
        loaded = getattr(sys.modules.get(module), name, None)
        if loaded is not None and isinstance(rows, loaded):
            table: Table = kind(rows)
            return table
    return None


def table_of(rows: Any, output: Any) -> Table:
    """TypeError where `rows` is of no kind that we know."""
    if isinstance(rows, (str, os.PathLike)):
        return _path_table(rows, output)
    if output is not None:
        raise ValueError("output: goes with a path; of a table in memory the same kind is returned")
    table = _frame_table(rows)
    if table is not None:
        return table
    if isinstance(rows, (list, tuple)):
        return ListTable(list(rows))
    hint = ": collect() it first" if type(rows).__name__ == "LazyFrame" else ""
    raise TypeError(
        "rows: a list of dicts, a pandas or polars DataFrame, a pyarrow Table, or the path of a "
        f"Parquet or CSV file; not {type(rows).__module__}.{type(rows).__name__}{hint}"
    )


def result_of(rows: Any, made: Any) -> Any:
    """A path is returned as what it was given as."""
    return str(made) if isinstance(rows, str) else made


