"""Reaches into a stopped server's database: makes time pass, and many batches."""

import pathlib
import sqlite3


def change_rows(data, ids, **columns):
    """Sets columns of the rows whose id is in `ids`, in whichever table has them."""
    changed = 0
    with sqlite3.connect(pathlib.Path(data) / "meta.db") as db:
        tables = [row[0] for row in db.execute("SELECT name FROM sqlite_master WHERE type='table'")]
        for table in tables:
            names = {row[1] for row in db.execute(f"PRAGMA table_info({table})")}
            if "id" in names and set(columns) <= names:
                sets = ", ".join(f"{name} = ?" for name in columns)
                for one in ids:
                    changed += db.execute(
                        f"UPDATE {table} SET {sets} WHERE id = ?", (*columns.values(), one)
                    ).rowcount
    db.close()
    assert changed == len(ids), f"{changed} rows changed, not {len(ids)}"


MANY = """
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < :batches)
INSERT INTO batch (id, org, endpoint, input_file_id, input_missing, completion_window,
    output_expires_after_s, metadata, created_at, expires_at, status, sequence, changed)
SELECT printf('batch_%032x', i), (SELECT id FROM org), '/v1/chat/completions', 'file-x', 0, '24h', 0,
    json_object('half', (i % 2) || '', 'other', (i % 2) || '', 'all', 'x', 'rare', (i % 1000) || '',
        'one', i || ''),
    1750000000 + i, 1750086400 + i, iif(i % 10000 = 5, 5, 4 + 2 * (i % 2)), i, i
FROM n;
"""


def many_batches(data, batches):
    """Rows of batches without files of their own, all of the first organization: number 1 is the oldest."""
    with sqlite3.connect(pathlib.Path(data) / "meta.db") as db:
        db.execute(MANY, {"batches": batches})
        db.execute("INSERT INTO progress (batch) SELECT id FROM batch")
    db.close()
