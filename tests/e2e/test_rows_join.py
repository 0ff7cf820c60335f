"""`lowtide join`: answers beside the rows, in their order, failures marked."""

import csv
import json

import pytest
from support import server as program


def answered(custom_id, text):
    body = {"choices": [{"index": 0, "message": {"role": "assistant", "content": text}}]}
    return {"id": "b", "custom_id": custom_id, "error": None,
            "response": {"status_code": 200, "request_id": "r", "body": body}}  # fmt: skip


def failed(custom_id, code="request_timeout", message="too slow"):
    return {"id": "b", "custom_id": custom_id, "response": None,
            "error": {"code": code, "message": message}}  # fmt: skip


def write(path, *results):
    path.write_text("".join(json.dumps(one) + "\n" for one in results))


def join(directory, *args, out="labelled.csv", **more):
    return program.run("join", "out.jsonl", *args, "-o", out, cwd=directory, **more)


def table(path):
    with open(path, newline="", encoding="utf-8-sig") as f:
        return list(csv.reader(f))


def test_csv(tmp_path):
    (tmp_path / "docs.csv").write_bytes(b'\xef\xbb\xbfid,text\r\n1,"a\n"\r\n2,b\r\n3,"c ""d"""')
    write(tmp_path / "out.jsonl", answered("row-3", 'x, "y"\n'), answered("row-1", "中"))
    write(tmp_path / "err.jsonl", failed("row-2"))
    done = join(tmp_path, "docs.csv", "--errors", "err.jsonl", expect=1)
    assert done.stdout == "3 rows: 2 answered, 1 failed\n"
    assert (tmp_path / "labelled.csv").read_bytes() == (
        b"\xef\xbb\xbfid,text,answer,answer_error\r\n"
        b'1,"a\n",\xe4\xb8\xad,\r\n'
        b"2,b,,request_timeout: too slow\r\n"
        b'3,"c ""d""","x, ""y""\n",\r\n'
    )


def test_all_answered(tmp_path):
    (tmp_path / "docs.csv").write_text("id;text\nx;a\ny;b\n")
    write(tmp_path / "out.jsonl", answered("y", "2"), answered("x", "1"))
    join(tmp_path, "docs.csv", "--id", "id", "--column", "label")
    text = (tmp_path / "labelled.csv").read_text()
    assert text == "id;text;label;label_error\nx;a;1;\ny;b;2;\n"


def test_jsonl(tmp_path):
    docs = '{"id": 1, "a": [1]}\r\n\n  { }\n{"x": 1.50 }'
    (tmp_path / "docs.jsonl").write_text(docs, newline="")
    write(tmp_path / "out.jsonl", answered("row-1", "é\n"), answered("row-3", ""))
    join(tmp_path, "docs.jsonl", out="labelled.jsonl", expect=1)
    assert (tmp_path / "labelled.jsonl").read_bytes().decode() == (
        '{"id": 1, "a": [1],"answer":"\\u00e9\\n","answer_error":null}\r\n'
        '{ "answer":null,"answer_error":"missing: the results have no line of this row"}\n'
        '{"x": 1.50 ,"answer":"","answer_error":null}\n'
    )


@pytest.mark.parametrize("out", ["labelled.csv", "labelled.jsonl"])
def test_texts(tmp_path, out):
    (tmp_path / "docs").mkdir()
    for name in ("b.txt", "a,1.txt"):
        (tmp_path / "docs" / name).write_text(name)
    write(tmp_path / "out.jsonl", answered("row-1", "A"), answered("row-2", "B"))
    join(tmp_path, "docs", out=out)
    if out.endswith("csv"):
        assert table(tmp_path / out) == [["file", "answer", "answer_error"],
                                         ["docs/a,1.txt", "A", ""], ["docs/b.txt", "B", ""]]  # fmt: skip
        return
    rows = [json.loads(one) for one in (tmp_path / out).read_text().splitlines()]
    assert rows[0] == {"file": "docs/a,1.txt", "answer": "A", "answer_error": None}


def test_bytes_that_are_not_utf_8_stay(tmp_path):
    (tmp_path / "docs.csv").write_bytes(b"id,text\n1,\xff\x00\xe9\n")
    write(tmp_path / "out.jsonl", answered("row-1", "ok"))
    join(tmp_path, "docs.csv")
    assert (tmp_path / "labelled.csv").read_bytes().splitlines()[1] == b"1,\xff\x00\xe9,ok,"


def test_an_answer_is_taken_before_an_error_of_before(tmp_path):
    (tmp_path / "docs.csv").write_text("text\na\nb\n")
    write(tmp_path / "out.jsonl", answered("row-1", "1"), failed("row-2"), answered("row-2", "2"),
          failed("row-1"))  # fmt: skip
    join(tmp_path, "docs.csv")
    assert [row[1] for row in table(tmp_path / "labelled.csv")[1:]] == ["1", "2"]


def test_lines_that_belong_to_no_row(tmp_path):
    (tmp_path / "docs.csv").write_text("text\na\n")
    write(tmp_path / "out.jsonl", answered("row-1", "1"), answered("row-2", "2"))
    done = join(tmp_path, "docs.csv")
    assert "1 lines of the results belong to no row" in done.stderr


MISTAKES = {
    "strange results": ([answered("a", "1")], "text\na\n", [], "belongs to a row"),
    "two answers": ([answered("row-1", "1"), answered("row-1", "2")], "text\na\n", [],
                    "out.jsonl:2"),
    "column there": ([answered("row-1", "1")], "answer\na\n", [], "--column"),
    "error there": ([answered("row-1", "1")], "answer_error\na\n", [], "--column"),
    "same ids": ([answered("x", "1")], "id\nx\nx\n", ["--id", "id"], "row 2"),
    "no such id": ([answered("x", "1")], "id\nx\n", ["--id", "key"], "'key'"),
    "no result line": ([{"custom_id": "row-1"}], "text\na\n", [], "out.jsonl:1"),
}  # fmt: skip


@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistakes(tmp_path, mistake):
    results, docs, args, word = MISTAKES[mistake]
    (tmp_path / "docs.csv").write_text(docs)
    write(tmp_path / "out.jsonl", *results)
    done = join(tmp_path, "docs.csv", *args, expect=2)
    assert word in done.stderr and len(done.stderr.strip().splitlines()) == 1
    left = {one.name for one in tmp_path.iterdir()}
    assert left == {"docs.csv", "out.jsonl"}, "nothing is left behind"


def test_ending_of_another_kind(tmp_path):
    (tmp_path / "docs.csv").write_text("text\na\n")
    write(tmp_path / "out.jsonl", answered("row-1", "1"))
    done = join(tmp_path, "docs.csv", out="labelled.jsonl", expect=2)
    assert "labelled.jsonl" in done.stderr and "CSV" in done.stderr


def test_results_that_are_cut_off(tmp_path):
    (tmp_path / "docs.csv").write_text("text\na\n")
    text = json.dumps(answered("row-1", "1"))
    (tmp_path / "out.jsonl").write_text(text + "\n" + text[:60])
    assert "out.jsonl:2" in join(tmp_path, "docs.csv", expect=2).stderr
