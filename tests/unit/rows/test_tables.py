"""Random tables go out as requests and come back with answers: every row once, byte for byte.

Python's csv and json modules are the judges. `rows_tables` (tables.c) does the work of the two
commands, thousands of tables a process. The answers come in any order, some as errors.
"""

import csv
import io
import json
import pathlib
import random
import subprocess
import sys
import tempfile

TABLES = 10_000
AT_ONCE = 500
CHARACTERS = [
    *'abc ,;\t"\'\n\r\\{}=',
    "\r\n", '""', '","', "\0", "é", "ß", "中文", "日本", "한글", "עברית", "العربية", "हिन्दी", "🙂",
    "\u2028", "\u0085", "\ufeff", "\x01", "\x7f", "e\u0301", "nul\0l", "  ",
]  # fmt: skip
csv.field_size_limit(1 << 30)


def text(chance):
    longest = chance.choice([0, 1, 3, 8, 8, 40])
    return "".join(chance.choice(CHARACTERS) for _ in range(chance.randint(0, longest)))


def result(chance, custom_id, answer):
    """A line of a result file; None as the answer: one of the error file."""
    body = {"choices": [{"index": 0, "message": {"role": "assistant", "content": answer}}]}
    ascii_only = chance.random() < 0.5
    line = {"id": "batch_req_1", "custom_id": custom_id, "response": None, "error": None}
    if answer is None:
        line["error"] = {"code": "request_timeout", "message": "no, not\n\"now\""}
    else:
        line["response"] = {"status_code": 200, "request_id": "r", "body": body}
    return json.dumps(line, ensure_ascii=ascii_only).encode() + b"\n"


class Table:
    def __init__(self, chance, directory, kind):
        self.chance, self.directory, self.kind = chance, directory, kind
        directory.mkdir()
        width = chance.randint(1, 6)
        # distinct, and none of them "c", "id" or those of the answers
        self.names = [f"{text(chance)}{n}" for n in range(width)]
        self.at = chance.randrange(width)
        self.names[self.at] = "c"
        self.rows = [[text(chance) for _ in self.names] for _ in range(chance.randint(1, 12))]
        self.names.insert(0, "id")
        for n, row in enumerate(self.rows):
            row.insert(0, f"{n}{text(chance)}")
        if kind == "jsonl":
            self.write_jsonl()
        else:
            self.write_csv()

    def write_csv(self):
        to = io.StringIO(newline="")
        self.delimiter = "\t" if self.kind == "tsv" else self.chance.choice(",;\t")
        writer = csv.writer(
            to,
            delimiter=self.delimiter,
            lineterminator=self.chance.choice(["\r\n", "\n"]),
            quoting=self.chance.choice([csv.QUOTE_ALL, csv.QUOTE_NONNUMERIC]),
        )
        if self.chance.random() < 0.5:
            # few quotes; a CR or a quote in front, which that misses, is quoted all the same
            writer = FewQuotes(to, writer.dialect)
        writer.writerow(self.names)
        writer.writerows(self.rows)
        text = to.getvalue()
        if self.chance.random() < 0.2:
            text = text.rstrip("\r\n") if not text.rstrip("\r\n").endswith(self.delimiter) else text
        mark = "\ufeff" if self.chance.random() < 0.2 else ""
        (self.directory / "docs").write_bytes((mark + text).encode())

    def write_jsonl(self):
        self.rows = [dict(zip(self.names, row)) for row in self.rows]
        for row in self.rows:
            row["n"] = self.chance.choice([None, True, 1.5, 10**30, [1, {"c": 2}], {"c": []}])
        separators = self.chance.choice([None, (",", ":")])
        ascii_only = self.chance.random() < 0.5
        end = self.chance.choice(["\n", "\r\n", "\n\n"])
        (self.directory / "docs").write_bytes(
            end.join(
                json.dumps(row, ensure_ascii=ascii_only, separators=separators)
                for row in self.rows
            ).encode()
        )

    def id_of(self, n, by_column):
        row = self.rows[n]
        if by_column:
            return row["id"] if self.kind == "jsonl" else row[0]
        return f"row-{n + 1}"

    def answer(self, by_column):
        """Checks the requests, and makes the results."""
        lines = [json.loads(one) for one in (self.directory / "in.jsonl").read_bytes().splitlines()]
        assert len(lines) == len(self.rows)
        self.answers, results = [], {True: [], False: []}
        for n, (line, row) in enumerate(zip(lines, self.rows)):
            assert line["custom_id"] == self.id_of(n, by_column)
            (message,) = line["body"]["messages"]
            value = row["c"] if self.kind == "jsonl" else row[self.at + 1]
            assert message["content"] == value, (self.directory, n)
            answer = None if self.chance.random() < 0.1 else text(self.chance)
            self.answers.append(answer)
            results[answer is not None].append(result(self.chance, line["custom_id"], answer))
        for name, good in (("out", True), ("err", False)):
            self.chance.shuffle(results[good])
            (self.directory / f"{name}.jsonl").write_bytes(b"".join(results[good]))

    def judge(self):
        error = 'request_timeout: no, not\n"now"'
        got = (self.directory / "labelled").read_bytes()
        if self.kind == "jsonl":
            rows = [json.loads(line) for line in got.split(b"\n") if line.strip()]
            for row, mine, answer in zip(rows, self.rows, self.answers, strict=True):
                assert row.pop("answer") == answer
                assert row.pop("answer_error") == (error if answer is None else None)
                assert row == mine
            return
        table = csv.reader(
            io.StringIO(got.decode("utf-8-sig"), newline=""), delimiter=self.delimiter, strict=True
        )
        assert next(table) == [*self.names, "answer", "answer_error"]
        for row, mine, answer in zip(table, self.rows, self.answers, strict=True):
            assert row == [*mine, answer or "", error if answer is None else ""], self.directory


class FewQuotes:
    """Quotes what has to be, and no more; but also what makes the delimiter of a header unsure."""

    def __init__(self, to, dialect):
        self.to, self.delimiter, self.end = to, dialect.delimiter, dialect.lineterminator

    def field(self, text):
        if any(c in text for c in ',;\t"\r\n'):
            return '"' + text.replace('"', '""') + '"'
        return text

    def writerow(self, row):
        self.to.write(self.delimiter.join(self.field(one) for one in row) + self.end)

    def writerows(self, rows):
        for row in rows:
            self.writerow(row)


def run(helper, what, kind, by_column, tables):
    names = [str(one.directory) for one in tables]
    done = subprocess.run(
        [helper, what, kind, "id" if by_column else "-", *names], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


def main(helper):
    chance = random.Random(12)
    for part in range(TABLES // AT_ONCE):
        kind = ["csv", "csv", "tsv", "jsonl"][part % 4]
        by_column = part // 4 % 2 == 1
        with tempfile.TemporaryDirectory() as scratch:
            tables = [Table(chance, pathlib.Path(scratch) / str(n), kind) for n in range(AT_ONCE)]
            run(helper, "prepare", kind, by_column, tables)
            for one in tables:
                one.answer(by_column)
            run(helper, "join", kind, by_column, tables)
            for one in tables:
                one.judge()
    print(f"{TABLES} tables came back as they were")


if __name__ == "__main__":
    main(sys.argv[1])
