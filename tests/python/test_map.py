"""lowtide.map, local: `upstream=`."""

import json
import signal
import subprocess
import sys
import threading
import uuid

import lowtide
import pandas
import polars
import pyarrow
import pyarrow.parquet
import pytest
from conftest import wait_until
from support.upstream import Answer

COUNT = 20


def fresh():
    return "t" + uuid.uuid4().hex[:10]


def texts(mark, count=COUNT):
    return [f"{mark}-{n}" for n in range(count)]


def echoes(mark, count=COUNT):
    return [f"echo {mark}-{n}" for n in range(count)]


def ask(rows, server, prompt="{text}", **more):
    more = {"progress": False, "upstream": server.url, **more}
    return lowtide.map(rows, prompt, model="m-1", **more)


def rows_of(mark, count=COUNT):
    return [{"text": text, "n": n} for n, text in enumerate(texts(mark, count))]


# ---- kinds ----


def test_list(upstream):
    mark = fresh()
    rows = rows_of(mark)
    made = ask(rows, upstream)
    assert [one["answer"] for one in made] == echoes(mark)
    assert {one["answer_error"] for one in made} == {None}
    assert [{k: one[k] for k in ("text", "n")} for one in made] == rows
    assert "answer" not in rows[0], "what was handed in is changed"


def test_pandas(upstream):
    """The index, names that are numbers, and dtypes stay."""
    mark = fresh()
    frame = pandas.DataFrame({0: texts(mark), "n": range(COUNT)}, index=range(100, 100 + COUNT))
    made = ask(frame, upstream, "{0}")
    assert type(made) is pandas.DataFrame and list(made.columns) == [0, "n", "answer", "answer_error"]
    assert list(made["answer"]) == echoes(mark) and made["answer_error"].isna().all()
    pandas.testing.assert_frame_equal(made[[0, "n"]], frame)
    assert list(frame.columns) == [0, "n"]


def test_pandas_with_an_index_that_repeats(upstream):
    mark = fresh()
    frame = pandas.DataFrame({"text": texts(mark, 4)}, index=["a", "a", "b", "b"])
    assert list(ask(frame, upstream)["answer"]) == echoes(mark, 4)


def test_polars(upstream):
    mark = fresh()
    frame = polars.DataFrame({"text": texts(mark), "n": range(COUNT)})
    made = ask(frame, upstream)
    assert type(made) is polars.DataFrame and made.columns == ["text", "n", "answer", "answer_error"]
    assert made["answer"].to_list() == echoes(mark) and made["answer_error"].null_count() == COUNT
    assert made["answer"].dtype == made["answer_error"].dtype == polars.String
    assert made.select("text", "n").equals(frame)


def test_arrow(upstream):
    mark = fresh()
    table = pyarrow.table({"text": texts(mark), "n": list(range(COUNT))})
    made = ask(table, upstream)
    assert made.column_names == ["text", "n", "answer", "answer_error"]
    assert made["answer"].to_pylist() == echoes(mark) and made["answer_error"].null_count == COUNT
    assert made.select(["text", "n"]).equals(table)


@pytest.mark.parametrize("output", [None, "there.parquet"])
def test_parquet(upstream, tmp_path, output):
    """In several row groups, with nested and dictionary columns; the result's path is of the kind given."""
    mark = fresh()
    table = pyarrow.table(
        {
            "text": texts(mark),
            "kind": pyarrow.array(["a", "b"] * 10).dictionary_encode(),
            "more": [{"x": [1, n]} for n in range(COUNT)],
        }
    )
    path = tmp_path / "docs.parquet"
    pyarrow.parquet.write_table(table, path, row_group_size=7)
    to = tmp_path / (output or "docs.labelled.parquet")
    made = ask(str(path), upstream, output=output and to)
    assert made == str(to)
    assert ask(path, upstream, output=output and to) == to
    result = pyarrow.parquet.read_table(to)
    assert result.column_names == [*table.column_names, "answer", "answer_error"]
    assert result["answer"].to_pylist() == echoes(mark)
    assert result.select(table.column_names).to_pylist() == table.to_pylist()
    assert {one.name for one in tmp_path.iterdir()} == {"docs.parquet", to.name, "cache"}


def test_csv(upstream, tmp_path):
    """Quotes, line ends, an empty field and any script come back as they were."""
    mark = fresh()
    path = tmp_path / "docs.csv"
    odd = ['a "b", c', "two\nlines", "", "日本\u2028語"]
    lines = [f'{mark}-{n},"{value.replace(chr(34), chr(34) * 2)}"' for n, value in enumerate(odd)]
    path.write_text("text,odd\n" + "\r\n".join(lines) + "\n", newline="")
    made = ask(path, upstream)
    result = pandas.read_csv(made, keep_default_na=False)
    assert list(result["odd"]) == odd and list(result["answer"]) == echoes(mark, 4)
    assert list(result["answer_error"]) == [""] * 4


@pytest.mark.parametrize(
    "empty",
    [
        pandas.DataFrame({"text": []}),
        polars.DataFrame({"text": []}),
        pyarrow.table({"text": pyarrow.array([], pyarrow.string())}),
        [],
    ],
    ids=["pandas", "polars", "arrow", "list"],
)
def test_an_empty_table_comes_back_with_the_columns(upstream, empty):
    made = ask(empty, upstream)
    assert type(made) is type(empty) and len(made) == 0
    if not isinstance(made, list):
        names = made.column_names if isinstance(made, pyarrow.Table) else list(made.columns)
        assert names == ["text", "answer", "answer_error"]
    assert upstream.requests == []


# ---- what is asked ----


def bodies(upstream):
    return [json.loads(request.body) for request in upstream.requests]


def test_system_params_and_the_callable(upstream):
    rows = [{"a": 1, "b": "x"}]
    ask(rows, upstream, lambda row: f"{row['b']}{row['a']}", system="S", params={"max_tokens": 5})
    ask(rows, upstream, lambda row: [{"role": "user", "content": "m"}], system="S")
    first, second = bodies(upstream)
    system = {"role": "system", "content": "S"}
    assert first == {
        "model": "m-1", "max_tokens": 5, "messages": [system, {"role": "user", "content": "x1"}],
    }  # fmt: skip
    assert second["messages"] == [system, {"role": "user", "content": "m"}]


@pytest.mark.parametrize(
    "prompt, asked",
    [
        ("{a b} and {c}", "v and 7"),
        ('{{c}} {{"a": {{"b": {c}}}}}', '{c} {"a": {"b": 7}}'),
        ("{d}", '["x", {"y": 1}]'),
        ("{e}{a b}", "v"),
    ],
)
def test_templates(upstream, prompt, asked):
    """Columns with blanks; braces themselves; JSON of lists; missing values are empty."""
    ask([{"a b": "v", "c": 7, "d": ["x", {"y": 1}], "e": None}], upstream, prompt)
    assert bodies(upstream)[0]["messages"][0]["content"] == asked


@pytest.mark.parametrize(
    "end, left", [("", ""), ("\n", ""), ("\r\n", ""), ("\n\n", "\n"), (" ", " ")]
)
def test_the_line_end_of_a_file_is_no_part_of_the_prompt(upstream, end, left):
    """As `lowtide prepare --prompt @FILE` has it; what a callable returns stays as it is."""
    mark = fresh()
    ask([{"text": mark}], upstream, "{text}" + end, system="brief" + end)
    ask([{"text": mark}], upstream, lambda row: f"own {row['text']}{end}")
    asked = [[one["content"] for one in body["messages"]] for body in bodies(upstream)]
    assert asked == [[f"brief{left}", f"{mark}{left}"], [f"own {mark}{end}"]]


@pytest.mark.parametrize("kind", ["pandas", "polars", "list"])
def test_rows_without_a_value_are_not_asked(upstream, kind):
    mark = fresh()
    values = [f"{mark}-0", None, f"{mark}-2"]
    rows = {
        "pandas": lambda: pandas.DataFrame({"text": [values[0], float("nan"), values[2]]}),
        "polars": lambda: polars.DataFrame({"text": values}),
        "list": lambda: [{"text": values[0]}, {"other": 1}, {"text": values[2]}],
    }[kind]()
    made = ask(rows, upstream)
    column = [one["answer"] for one in made] if kind == "list" else list(made["answer"])
    errors = [one["answer_error"] for one in made] if kind == "list" else list(made["answer_error"])
    assert column == [f"echo {mark}-0", None, f"echo {mark}-2"]
    assert "not asked" in errors[1] and errors[0] is None
    assert upstream.sent(mark) == 2


def test_mixed_dtypes(upstream):
    """Numbers, times, booleans, NaT, pandas.NA and half a character beside texts."""
    mark = fresh()
    values = [1, 2.5, True, pandas.Timestamp("2026-11-30"), pandas.NaT, pandas.NA, "\ud800", b"by"]
    upstream.decide = lambda request: Answer()
    frame = pandas.DataFrame({"id": range(8), "value": pandas.Series(values, dtype=object)})
    made = ask(frame, upstream, mark + "-{id}|{value}")
    assert list(made["answer"]) == echoes(mark, 8)
    asked = {body["messages"][0]["content"] for body in bodies(upstream)}
    said = ["1", "2.5", "True", "2026-11-30 00:00:00", "", "", "?", "by"]
    assert asked == {f"{mark}-{n}|{value}" for n, value in enumerate(said)}


def test_ids_name_the_lines(upstream, own_cache):
    mark = fresh()
    ask([{"text": mark, "key": "k-1"}], upstream, id="key")
    (answers,) = own_cache.glob("*/answers.jsonl")
    assert json.loads(answers.read_text())["custom_id"] == "k-1"


@pytest.mark.parametrize(
    "message, answer, error",
    [
        ({"content": "plain"}, "plain", None),
        ({"content": None, "tool_calls": [{"id": 1}]}, '[{"id": 1}]', None),
        ({"content": None}, "", None),
        ({"content": [{"type": "text", "text": "x"}]}, '[{"type": "text", "text": "x"}]', None),
        ({"content": None, "refusal": "I will not"}, None, "refusal: I will not"),
    ],
)
def test_what_a_message_says(upstream, message, answer, error):
    """As `lowtide join` has it."""
    body = {"choices": [{"index": 0, "message": {"role": "assistant", **message}}]}
    upstream.everything = Answer(body=json.dumps(body).encode())
    (row,) = ask([{"text": "q"}], upstream)
    assert (row["answer"], row["answer_error"]) == (answer, error)


def test_several_choices_are_a_list(upstream):
    body = {"choices": [{"message": {"content": text}} for text in "ab"]}
    upstream.everything = Answer(body=json.dumps(body).encode())
    assert ask([{"text": "q"}], upstream, params={"n": 2})[0]["answer"] == '["a", "b"]'


def test_settings_and_the_key_reach_the_program(upstream):
    upstream.everything = Answer(delay=0.05)
    ask(rows_of(fresh(), 12), upstream, api_key="sk-u", settings={"execution.concurrency": 2})
    assert upstream.requests[0].header("Authorization") == "Bearer sk-u"
    assert upstream.peak == 2


# ---- going on ----


def test_the_second_call_asks_nothing(upstream, own_cache):
    mark = fresh()
    first = ask(rows_of(mark), upstream)
    upstream.stop()
    assert ask(rows_of(mark), upstream) == first
    upstream.start()
    ask(rows_of(mark), upstream, "{text} | ok")
    assert set(upstream.counts(mark).values()) == {2}, "another prompt is another job"
    assert (own_cache.stat().st_mode & 0o777) == 0o700


def test_failed_rows_are_marked_and_asked_again(upstream):
    """By each call once more, until they have an answer; the others are not."""
    mark = fresh()
    rows = rows_of(mark, 6)
    bad = {f"{mark}-1", f"{mark}-4"}
    for one in bad:
        upstream.on(one, Answer(400, b'{"error": {"message": "too rude", "code": "rude"}}'))
    made = ask(rows, upstream)
    assert [one["answer"] is None for one in made] == [False, True, False, False, True, False]
    assert "rude" in made[1]["answer_error"] and "too rude" in made[1]["answer_error"]
    upstream.on(f"{mark}-4", Answer())
    made = ask(rows, upstream)
    assert [one["answer"] is None for one in made] == [False, True, False, False, False, False]
    upstream.on(f"{mark}-1", Answer())
    made = ask(rows, upstream)
    assert [one["answer"] for one in made] == echoes(mark, 6)
    assert {one["answer_error"] for one in made} == {None}
    sent = upstream.counts(mark)
    assert (sent[f"{mark}-0"], sent[f"{mark}-4"], sent[f"{mark}-1"]) == (1, 2, 3)


def test_on_error_raise(upstream):
    mark = fresh()
    upstream.on(f"{mark}-1", Answer(400))
    with pytest.raises(lowtide.RowsFailed, match=r"1 of 3 rows .* row 1: .*400") as raised:
        ask(rows_of(mark, 3), upstream, on_error="raise")
    assert raised.value.failed == 1
    assert [one["answer"] for one in raised.value.result] == [f"echo {mark}-0", None, f"echo {mark}-2"]


SLOW = """
import lowtide
rows = [{{"text": f"{mark}-{{n}}"}} for n in range({count})]
rows += [{{"text": f"{mark}h-{{n}} | hold:gate"}} for n in range(20)]
try:
    lowtide.map(rows, "{{text}}", model="m-1", upstream={url!r}, settings={{"execution.concurrency": 8,
                "execution.drain": "1s"}})
except KeyboardInterrupt:
    print("interrupted")
"""


@pytest.mark.parametrize("sign", [signal.SIGKILL, signal.SIGINT])
def test_interrupted(upstream, script, own_cache, sign):
    """kill -9, or Ctrl-C, of the process of Python: the program ends, too, and the next call goes on."""
    mark = fresh()
    process = script(SLOW.format(mark=mark, count=50, url=upstream.url))
    upstream.wait_sent(f"{mark}h", 8)
    process.send_signal(sign)
    out, err = process.communicate(timeout=60)
    assert ("interrupted" in out) == (sign == signal.SIGINT)
    if sign == signal.SIGINT:
        assert "the same call goes on from there" in err
    upstream.wait_dropped(f"{mark}h", 8)
    upstream.release("gate")
    rows = rows_of(mark, 50) + [{"text": f"{mark}h-{n} | hold:gate"} for n in range(20)]
    made = ask([{"text": row["text"]} for row in rows], upstream)
    assert [one["answer"] for one in made] == echoes(mark, 50) + echoes(f"{mark}h", 20)
    assert set(upstream.counts(f"{mark}-").values()) == {1}, "an answered row was asked again"
    assert list(own_cache.glob("rendering-*")) == []


def test_killed_at_each_moment_of_gathering(upstream, own_cache, script):
    """A round that has ended is gathered again by the next call, whatever was done of it."""
    mark = fresh()
    rows = rows_of(mark, 5)
    upstream.on(f"{mark}-1", Answer(400, b"no"))
    first = ask(rows, upstream)
    for at in range(1, 20):
        process = script(
            "import lowtide, os, shutil\n"
            f"rows = {rows!r}\n"
            "from lowtide import _job\n"
            "left = [0]\n"
            "def dying(call):\n"
            "    def die(*a, **k):\n"
            "        left[0] += gathering[0]\n"
            f"        if left[0] == {at}:\n"
            "            os._exit(9)\n"
            "        return call(*a, **k)\n"
            "    return die\n"
            "gathering = [0]\n"
            "gather = _job.Job._gather\n"
            "def gather_dying(self):\n"
            "    gathering[0] = 1\n"
            "    gather(self)\n"
            "    gathering[0] = 0\n"
            "_job.Job._gather = gather_dying\n"
            "os.replace, os.unlink = dying(os.replace), dying(os.unlink)\n"
            "shutil.rmtree = dying(shutil.rmtree)\n"
            f"lowtide.map(rows, '{{text}}', model='m-1', upstream={upstream.url!r})\n"
        )
        process.communicate(timeout=60)
        again = ask(rows, upstream)
        assert again == first, at
        assert list(own_cache.glob("*/round/*")) == []
        if process.returncode == 0:
            break
    assert process.returncode == 0, "there are more moments"
    assert upstream.counts(mark)[f"{mark}-0"] == 1


def test_two_calls_at_once(upstream, monkeypatch):
    """The second waits, and is told who runs it."""
    monkeypatch.setattr("lowtide._job.LOCK_WAIT_S", 0.5)
    rows = [{"text": "q | hold:gate"}]
    first = threading.Thread(target=ask, args=(rows, upstream))
    first.start()
    upstream.wait_sent("q", 1)
    with pytest.raises(lowtide.LowtideError, match=r"another call \(process \d+\)"):
        ask(rows, upstream)
    upstream.release("gate")
    first.join()


def test_progress(upstream, capsys):
    seen = []
    mark = fresh()
    upstream.on(f"{mark}-3", Answer(400))
    ask(rows_of(mark), upstream, progress=seen.append)
    assert (seen[-1].done, seen[-1].total, seen[-1].failed) == (COUNT, COUNT, 1)
    ask(rows_of(mark), upstream, progress=seen.append)
    assert (seen[-1].done, seen[-1].total) == (COUNT, COUNT), "earlier rows count"
    assert capsys.readouterr().err == ""


def test_a_callable_that_raises_ends_the_call(upstream):
    def stop(progress):
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        ask(rows_of(fresh()), upstream, progress=stop)
    assert subprocess.run(["pgrep", "-f", "--", f"--upstream {upstream.url}"]).returncode == 1


# ---- mistakes ----


@pytest.mark.parametrize(
    "more, said",
    [
        ({"model": ""}, "model: the name of a model"),
        ({"upstream": None}, "where to"),
        ({"server": "http://127.0.0.1:8000"}, "one of them"),
        ({"prompt": "{text"}, "stands alone"),
        ({"prompt": '{"label": "x"}'}, "no column"),
        ({"prompt": "{txet}"}, "no column 'txet'; did you mean 'text'"),
        ({"id": "key"}, "id: there is no column 'key'"),
        ({"column": "text"}, "a column 'text' already"),
        ({"params": {"messages": []}}, "'messages' is an argument"),
        ({"on_error": "ignore"}, "'mark' or 'raise'"),
        ({"output": "x.parquet"}, "goes with a path"),
        ({"window": "12h"}, "window: goes with server"),
        ({"upstream": None, "server": "http://127.0.0.1:8000", "window": 12}, "such as '12h'"),
    ],
)
def test_arguments_that_cannot_be(upstream, more, said):
    call = {"prompt": "{text}", "model": "m", "upstream": upstream.url, **more}
    with pytest.raises(ValueError, match=said):
        lowtide.map([{"text": "a"}], **call)
    assert upstream.requests == []


def test_rows_of_no_known_kind(upstream, tmp_path):
    for rows in ({"text": ["a"]}, polars.LazyFrame({"text": ["a"]}), iter([])):
        with pytest.raises(TypeError, match="a list of dicts, a pandas or polars DataFrame"):
            ask(rows, upstream)
    with pytest.raises(TypeError, match="row 1 is a str"):
        ask([{"text": "a"}, "b"], upstream)
    with pytest.raises(FileNotFoundError):
        ask(tmp_path / "no.parquet", upstream)
    with pytest.raises(ValueError, match="has to end with"):
        ask(tmp_path / "x.xlsx", upstream)
    (tmp_path / "bad.parquet").write_bytes(b"no parquet at all")
    with pytest.raises(ValueError, match="cannot be read as Parquet"):
        ask(tmp_path / "bad.parquet", upstream)


def test_ids_that_repeat_or_are_missing(upstream):
    """The column, the first values that repeat, and their rows."""
    keys = ["k", "a", 7, "k", "k", "long" * 30, "7", "b", "k", "long" * 30, "a"]
    rows = [{"text": "x", "key": key} for key in keys]
    with pytest.raises(ValueError) as caught:
        ask(rows, upstream, id="key")
    assert str(caught.value) == (
        "id: each row needs a value of its own in the column 'key'; 'k' is in rows 0, 3, 4 and 1 "
        f"more; '7' is in rows 2 and 6; '{('long' * 30)[:59]}…' is in rows 5 and 9"
    )
    assert "duplicate_custom_id" in str(caught.value.__cause__)
    with pytest.raises(ValueError, match="row 1 has no value in the column 'key'"):
        ask([rows[0], {"text": "b", "key": None}], upstream, id="key")
    assert upstream.requests == []


def test_ids_of_rows_that_are_not_asked_are_nobodys(upstream):
    """Such a row gets no other row's answer, and needs no id."""
    mark = fresh()
    rows = [
        {"text": None, "key": "k"},
        {"text": f"{mark}-0", "key": "k"},
        {"text": None, "key": None},
        {"text": f"{mark}-1", "key": "l"},
    ]
    made = ask(rows, upstream, id="key")
    assert [one["answer"] for one in made] == [None, f"echo {mark}-0", None, f"echo {mark}-1"]
    assert "not asked" in made[0]["answer_error"]


@pytest.mark.parametrize("prompt", [lambda row: 5, lambda row: ["text"]])
def test_a_callable_that_returns_something_else(upstream, prompt):
    with pytest.raises(TypeError, match="for row 0 the callable returned"):
        ask([{"text": "a"}], upstream, prompt)


def test_params_that_are_no_json(upstream):
    for value in ({1, 2}, float("nan")):
        with pytest.raises((TypeError, ValueError), match="have to be JSON"):
            ask([{"text": "a"}], upstream, params={"x": value})


def test_an_upstream_that_is_no_url(upstream):
    with pytest.raises(lowtide.LowtideError, match="upstream"):
        ask([{"text": "a"}], upstream, upstream="localhost:8000")
    with pytest.raises(lowtide.LowtideError, match="execution.concurency"):
        ask([{"text": "a"}], upstream, settings={"execution.concurency": 8})


def test_an_upstream_that_is_down_is_waited_for_and_told(upstream, caplog):
    """The progress says why nothing moves, the log what the upstream said; then it goes on."""
    upstream.stop()
    seen = []

    def look(progress):
        seen.append(progress)
        if progress.waiting and upstream.requests == [] and not started:
            started.append(upstream.start())

    started = []
    made = ask([{"text": "a"}], upstream, progress=look)
    assert made[0]["answer"] == "echo a"
    assert any(one.waiting and "upstream" in one.waiting for one in seen)
    assert any("upstream" in record.getMessage() for record in caplog.records)


LARGE = """
import re, sys
from pathlib import Path
from lowtide._frames import Labelled, ParquetTable

table = ParquetTable(Path(sys.argv[1]), Path(sys.argv[1] + ".out.parquet"))
count = sum(1 for _ in table.rows(["text"]))
table.labelled(("answer", "answer_error"), (Labelled("x" * 100, None) for _ in range(count)))
print(count, re.search(r"VmHWM:\\s+(\\d+)", open("/proc/self/status").read())[1])
"""


HELD = """
import itertools, sys
from pathlib import Path
import pyarrow
from lowtide._frames import Labelled, ParquetTable

table = ParquetTable(Path(sys.argv[1]), Path(sys.argv[1] + ".out.parquet"))
for _ in table.rows(["text"]):
    pass
table.labelled(("answer", "answer_error"), itertools.repeat(Labelled("x", None), int(sys.argv[2])))
print(pyarrow.default_memory_pool().max_memory())
"""


def test_row_groups_that_were_read_are_not_kept(tmp_path):
    """pyarrow's own iterator keeps the bytes of each: 9 and 90 groups of 4 MB that do not compress."""
    peaks = []
    for groups in (9, 90):
        path = tmp_path / f"{groups}.parquet"
        table = pyarrow.table({"text": [uuid.uuid4().hex * 2 for _ in range(60_000)]})
        with pyarrow.parquet.ParquetWriter(path, table.schema, use_dictionary=False) as writer:
            for _ in range(groups):
                writer.write_table(table)
        command = [sys.executable, "-c", HELD, path, str(60_000 * groups)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        peaks.append(int(done.stdout) >> 20)
    assert peaks[1] - peaks[0] < 20, peaks


def test_a_large_parquet_file_goes_by_pieces(tmp_path):
    """Memory does not follow its size, though one row group is all of it: 40 MB and 400 MB of texts."""
    peaks = []
    for count in (40_000, 400_000):
        path = tmp_path / f"{count}.parquet"
        rows = [f"{n} " + "lorem ipsum " * 80 for n in range(count)]
        pyarrow.parquet.write_table(pyarrow.table({"text": rows}), path, row_group_size=count)
        done = subprocess.run(
            [sys.executable, "-c", LARGE, path], capture_output=True, text=True, check=True
        )
        # VmHWM: ru_maxrss would have this process's own, from before the exec
        read, peak = map(int, done.stdout.split())
        assert read == count
        peaks.append(peak / 1024)
    assert peaks[1] - peaks[0] < 150, peaks
