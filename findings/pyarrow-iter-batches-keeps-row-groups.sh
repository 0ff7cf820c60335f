#!/usr/bin/env bash
# pyarrow 26.0.1
#
# ParquetFile.iter_batches() over a file of several row groups keeps the bytes of each row group that it
# has passed until the iterator ends: who streams a file larger than memory, dropping each batch, ends
# with all of the file in memory. The cause is `pre_buffer`, which is True unless said otherwise: reads
# go through a cache that only grows (in steps of some 32 MiB). `use_threads=False`, `buffer_size` and a
# small `batch_size` change nothing; `pre_buffer=False`, `memory_map=True` and one call for each row group
# (`row_groups=[n]`, on one ParquetFile) do. Arrow's own count of what is allocated, 4,000,000 rows in 40
# row groups, 87 MiB:
#
#   as it is, use_threads=False,
#   buffer_size=65536, batch_size=1000      most in memory about the size of the file
#   pre_buffer=False, row group by row
#   group, memory_map=True                  most in memory under 5 MiB
#
# Exit status: 0 as above, 1 something else was seen, 2 it could not be tried (no network).
set -uo pipefail

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/venv" &&
    "$dir/venv/bin/pip" install -q --disable-pip-version-check pyarrow==26.0.1 || exit 2

cat >"$dir/see.py" <<'PY'
import os
import sys

import pyarrow
import pyarrow.parquet

GROUPS, ROWS, MIB = 40, 100_000, 1 << 20
pool = pyarrow.default_memory_pool()
schema = pyarrow.schema([("n", pyarrow.int64()), ("text", pyarrow.string())])
with pyarrow.parquet.ParquetWriter("t.parquet", schema, compression="none", use_dictionary=False) as out:
    for group in range(GROUPS):
        rows = range(group * ROWS, (group + 1) * ROWS)
        columns = {"n": list(rows), "text": [f"row {n}" for n in rows]}
        out.write_table(pyarrow.table(columns, schema))
    del columns
size = os.path.getsize("t.parquet")


def most(batches, **how):
    """The most that is allocated between two batches, none of which is kept."""
    before, highest, rows = pool.bytes_allocated(), 0, 0
    with pyarrow.parquet.ParquetFile("t.parquet", **how) as file:
        for batch in batches(file):
            rows += batch.num_rows
            del batch
            highest = max(highest, pool.bytes_allocated() - before)
    assert rows == GROUPS * ROWS
    return highest


def by_group(file):
    for group in range(file.num_row_groups):
        yield from file.iter_batches(row_groups=[group])


print(f"pyarrow {pyarrow.__version__}, {pool.backend_name}: {size / MIB:.1f} MiB in {GROUPS} row groups")
good = pyarrow.__version__ == "26.0.1"
for name, batches, how, kept in [
    ("as it is", lambda file: file.iter_batches(), {}, True),
    ("use_threads=False", lambda file: file.iter_batches(use_threads=False), {}, True),
    ("buffer_size=65536", lambda file: file.iter_batches(), {"buffer_size": 65536}, True),
    ("batch_size=1000", lambda file: file.iter_batches(batch_size=1000), {}, True),
    ("pre_buffer=False", lambda file: file.iter_batches(), {"pre_buffer": False}, False),
    ("group by group", by_group, {}, False),
    ("memory_map=True", lambda file: file.iter_batches(), {"memory_map": True}, False),
]:
    held = most(batches, **how)
    expected = held > 0.9 * size if kept else held < 5 * MIB
    good = good and expected
    print(f"{name:18} {held / MIB:5.1f} MiB" + ("" if expected else "   NOT AS EXPECTED"))
sys.exit(0 if good else 1)
PY
cd "$dir" && "$dir/venv/bin/python" see.py
