"""`lowtide run` of documents: the whole job in one command, also after a kill; and submit's options."""

import contextlib
import csv
import json
import signal
import sqlite3
import subprocess

import pytest
from support import server as program
from support.api import parse_results
from support.journal import records
from support.jsonl import fresh, jsonl, numbered
from support.upstream import Answer
from support.wire import wait_until


@pytest.fixture
def docs(tmp_path):
    """docs(mark, n, script): a table of n rows; returns (its path, the output's)."""

    def make(mark, n, script=""):
        path = tmp_path / "docs.csv"
        with open(path, "w", newline="") as f:
            writer = csv.writer(f)
            writer.writerow(["id", "text", "more"])
            writer.writerows([f"k{i}", f"{mark}-{i} {script}", 'a,"b"\n'] for i in range(n))
        return path, tmp_path / "labelled.csv"

    return make


def run_args(places, upstream, *more):
    given, out = places
    return ["run", given, "-o", out, "--prompt", "{text}", "--upstream", upstream.url, *more]


def start(places, upstream, *more):
    args = [str(program.BINARY), *map(str, run_args(places, upstream, *more))]
    return subprocess.Popen(args, env=program.clean_env(), stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE, text=True)  # fmt: skip


def rows(path):
    with open(path, newline="") as f:
        return list(csv.DictReader(f))


MODEL = ["--model", "m-1"]


def test_one_command(docs, upstream):
    mark = fresh()
    places = docs(mark, 50)
    done = program.run(*run_args(places, upstream, *MODEL, "--id", "id"))
    got = rows(places[1])
    assert [row["id"] for row in got] == [f"k{i}" for i in range(50)]
    assert [row["answer"] for row in got] == [f"echo {mark}-{i}" for i in range(50)]
    assert {row["more"] for row in got} == {'a,"b"\n'}
    assert {row["answer_error"] for row in got} == {""}
    assert "50 completed" in done.stdout and str(places[1]) in done.stdout
    assert {one.name for one in places[0].parent.iterdir()} == {"docs.csv", "labelled.csv"}
    assert set(upstream.counts(mark).values()) == {1}


def test_rows_that_fail_are_marked(docs, upstream):
    mark = fresh()
    places = docs(mark, 3, "| status:400")
    with open(places[0], "a") as f:
        f.write(f"good,{mark}-good,x\n")
    errors = places[0].parent / "err.jsonl"
    done = program.run(*run_args(places, upstream, *MODEL, "--errors", errors), expect=1)
    assert [row["answer_error"][:3] for row in rows(places[1])] == ["400", "400", "400", ""]
    assert len(parse_results(errors.read_bytes())) == 3
    assert "3 failed" in done.stdout


def test_the_model_may_be_left_out_where_there_is_one(docs, own_upstream):
    own_upstream.models = ["only"]
    mark = fresh()
    places = docs(mark, 3)
    done = program.run(*run_args(places, own_upstream))
    assert "model: only" in done.stderr
    assert {json.loads(one.body)["model"] for one in own_upstream.of(f"{mark}-0")} == {"only"}
    assert len(rows(places[1])) == 3


def test_the_model_has_to_be_named_where_there_are_two(docs, own_upstream):
    own_upstream.models = ["one", "two"]
    mark = fresh()
    done = program.run(*run_args(docs(mark, 3), own_upstream), expect=2)
    assert "one, two" in done.stderr and "--model" in done.stderr
    assert own_upstream.sent(mark) == 0


@pytest.mark.parametrize("sign", [signal.SIGKILL, signal.SIGINT])
@pytest.mark.parametrize("model", [MODEL, []])
def test_goes_on_where_it_stopped(docs, own_upstream, sign, model):
    own_upstream.models = ["only"]
    mark = fresh()
    places = docs(mark, 100)
    with open(places[0], "a") as f:
        for i in range(10):
            f.write(f"h{i},{mark}h-{i} | hold:{mark},x\n")
    settings = ["--set", "execution.concurrency=8", "--set", "execution.drain=1s"]
    process = start(places, own_upstream, *model, *settings)
    own_upstream.wait_sent(mark + "h", 8)
    wait_until(lambda: len(records(places[0].parent)) == 100, "the 100 are in the journal")
    process.send_signal(sign)
    _, text = process.communicate(timeout=60)
    program.check_report(text, "run")
    assert process.returncode != 0 and not places[1].exists()
    own_upstream.release(mark)
    program.run(*run_args(places, own_upstream, *model, *settings))
    assert [row["answer"] for row in rows(places[1])][:2] == [f"echo {mark}-0", f"echo {mark}-1"]
    assert len(rows(places[1])) == 110
    sent = own_upstream.counts(mark)
    assert all(sent[f"{mark}-{i}"] == 1 for i in range(100)), "a finished row was sent again"


POINTS = ["ingest.after_rename", "batch.after_insert", "journal.torn_write", "batch.before_final",
          "batch.after_final"]  # fmt: skip


@pytest.mark.parametrize("point", POINTS)
def test_killed_at_a_point(docs, own_upstream, failpoints, point):
    mark = fresh()
    places = docs(mark, 200)
    args = run_args(places, own_upstream, *MODEL)
    died = program.run(*args, env={"LOWTIDE_FAILPOINTS": f"{point}=kill"}, expect=None)
    assert died.returncode == -signal.SIGKILL, died.stderr
    durable = records(places[0].parent)
    program.run(*args)
    assert [row["answer"] for row in rows(places[1])] == [f"echo {mark}-{i}" for i in range(200)]
    sent = own_upstream.counts(mark)
    assert all(sent[f"{mark}-{i}"] == 1 for i in durable), "a row on disk was sent again"
    assert {one.name for one in places[0].parent.iterdir()} == {"docs.csv", "labelled.csv"}


@pytest.mark.parametrize("change", ["documents", "prompt", "rows"])
def test_other_documents_do_not_mix(docs, own_upstream, change):
    mark = fresh()
    places = docs(mark, 20, f"| hold:{mark}")
    process = start(places, own_upstream, *MODEL)
    own_upstream.wait_sent(mark, 1)
    process.kill()
    process.communicate(timeout=60)
    args = run_args(places, own_upstream, *MODEL)
    if change == "documents":
        docs(fresh(), 20)
    elif change == "rows":
        docs(mark, 21, f"| hold:{mark}")
    else:
        args[args.index("{text}")] = "Now: {text}"
    done = program.run(*args, expect=2)
    assert "not what this run began with" in done.stderr
    assert ("row 21" if change == "rows" else "row 1") in done.stderr
    own_upstream.release(mark)


def test_limit(docs, upstream):
    mark = fresh()
    places = docs(mark, 30)
    program.run(*run_args(places, upstream, *MODEL, "--limit", "4"))
    assert len(rows(places[1])) == 4 and upstream.sent(mark) == 4


def test_canary(docs, own_upstream):
    """N rows, spread; their answers are shown; the rest runs without them, once each."""
    mark = fresh()
    places = docs(mark, 40)
    done = program.run(*run_args(places, own_upstream, *MODEL, "--canary", "4"))
    first = set(own_upstream.counts(mark))
    assert first == {f"{mark}-{i}" for i in (5, 15, 25, 35)}
    for i in (5, 15, 25, 35):
        assert f"row-{i + 1}\n" in done.stdout and f"echo {mark}-{i}\n" in done.stdout
    assert "without --canary" in done.stdout and not places[1].exists()
    again = program.run(*run_args(places, own_upstream, *MODEL, "--canary", "4"))
    assert again.stdout.count("echo") == 4 and own_upstream.sent(mark) == 4
    program.run(*run_args(places, own_upstream, *MODEL))
    assert len(rows(places[1])) == 40
    assert set(own_upstream.counts(mark).values()) == {1}


def test_options_of_submit_with_a_file_of_requests(tmp_path, own_upstream):
    mark = fresh()
    (tmp_path / "in.jsonl").write_bytes(jsonl([*numbered(mark, 20), b"{"]))
    args = ["run", tmp_path / "in.jsonl", "-o", tmp_path / "out.jsonl",
            "--upstream", own_upstream.url, "--skip-bad-lines", "--token-budget", "1000000",
            "--window", "12h", "--metadata", "job=night", "--metadata", "who=me", "--wait",
            "--hours", "00:00-23:59"]  # fmt: skip
    done = program.run(*args, "--canary", "3", expect=None)
    assert done.returncode == 0 and own_upstream.sent(mark) == 3
    with contextlib.closing(sqlite3.connect(tmp_path / "out.jsonl.lowtide" / "meta.db")) as db:
        (metadata,) = db.execute("SELECT metadata FROM batch").fetchone()
    assert json.loads(metadata) == {"job": "night", "who": "me"}
    other = program.run(*args[:-1], "01:00-02:00", expect=2)
    assert "--hours" in other.stderr
    program.run(*args, expect=1)
    assert len(parse_results((tmp_path / "out.jsonl").read_bytes())) == 20
    (bad,) = parse_results((tmp_path / "out.errors.jsonl").read_bytes())
    assert bad["error"]["code"] == "invalid_json_line"


@pytest.mark.parametrize("pair, word", [("night", "KEY=VALUE"), (f"{'k' * 65}=v", "maximum length 64")])
def test_metadata_that_cannot_be(tmp_path, upstream, pair, word):
    mark = fresh()
    (tmp_path / "in.jsonl").write_bytes(jsonl(numbered(mark, 1)))
    done = program.run("run", "in.jsonl", "-o", "o.jsonl", "--upstream", upstream.url, "--metadata", pair,
                       cwd=tmp_path, expect=2)  # fmt: skip
    assert word in done.stderr and upstream.sent(mark) == 0
    assert not (tmp_path / "o.jsonl.lowtide").exists()


def test_requests_take_no_options_of_documents(tmp_path, upstream):
    (tmp_path / "in.jsonl").write_bytes(jsonl(numbered(fresh(), 1)))
    done = program.run("run", "in.jsonl", "-o", "o.jsonl", "--upstream", upstream.url, "--model", "m",
                       cwd=tmp_path, expect=2)  # fmt: skip
    assert "--prompt is missing" in done.stderr


@pytest.mark.parametrize("out, word", [("docs.csv", "into the documents"), ("o.jsonl", "CSV")])
def test_places(docs, upstream, out, word):
    places = docs(fresh(), 2)
    before = places[0].read_bytes()
    done = program.run(*run_args((places[0], places[0].parent / out), upstream, *MODEL, "--force"),
                       expect=2)  # fmt: skip
    assert word in done.stderr and places[0].read_bytes() == before


def test_again_when_done(docs, upstream):
    mark = fresh()
    places = docs(mark, 2)
    program.run(*run_args(places, upstream, *MODEL))
    done = program.run(*run_args(places, upstream, *MODEL), expect=2)
    assert "--force" in done.stderr and upstream.sent(mark) == 2
    program.run(*run_args(places, upstream, *MODEL, "--force"))
    assert upstream.sent(mark) == 4


def test_to_standard_output(docs, upstream):
    mark = fresh()
    places = docs(mark, 3)
    done = program.run("run", places[0], "-o", "-", "--prompt", "{text}", *MODEL,
                       "--upstream", upstream.url)  # fmt: skip
    got = list(csv.DictReader(done.stdout.splitlines(keepends=True)))
    assert [row["answer"] for row in got] == [f"echo {mark}-{i}" for i in range(3)]


# ---- --retry-failed ----


def half_labelled(tmp_path, kind, mark):
    """Documents and the labelled file of an earlier run, of which the second row has failed. Answers
    have what has to be quoted, in JSONL kinds of JSON."""
    texts = [f"{mark}-{i}" for i in range(4)]
    answers = ['a,"b"\nc', None, "", "é 4"]
    errors = [None, "404: gone", None, None]
    out = tmp_path / ("labelled.jsonl" if kind in ("jsonl", "texts as jsonl") else f"labelled.{kind[:3]}")
    if kind in ("csv", "tsv"):
        given, tab = tmp_path / f"docs.{kind}", {"csv": ",", "tsv": "\t"}[kind]
        for path, more in ((given, []), (out, ["answer", "answer_error"])):
            with open(path, "w", newline="") as f:
                writer = csv.writer(f, delimiter=tab)
                writer.writerow(["text", *more])
                writer.writerows(
                    [t, a or "", e or ""][: 1 + len(more)] for t, a, e in zip(texts, answers, errors)
                )
    elif kind == "jsonl":
        given = tmp_path / "docs.jsonl"
        answers[2], answers[3] = [{"id": 1}], 7
        given.write_text("".join(json.dumps({"text": t}) + "\n" for t in texts))
        rows_ = [{"text": t, "answer": a, "answer_error": e} for t, a, e in zip(texts, answers, errors)]
        out.write_text("".join(json.dumps(row) + "\n" for row in rows_))
    else:
        given = tmp_path / "texts"
        given.mkdir()
        names = []
        for i, text in enumerate(texts):
            (given / f"{i}.txt").write_text(text)
            names.append(str(given / f"{i}.txt"))
        if kind == "texts as jsonl":
            rows_ = [{"file": n, "answer": a, "answer_error": e} for n, a, e in zip(names, answers, errors)]
            out.write_text("".join(json.dumps(row) + "\n" for row in rows_))
        else:
            out = tmp_path / "labelled.csv"
            with open(out, "w", newline="") as f:
                writer = csv.writer(f)
                writer.writerow(["file", "answer", "answer_error"])
                writer.writerows([n, a or "", e or ""] for n, a, e in zip(names, answers, errors))
    return (given, out), answers


def answers_of(path):
    if path.suffix == ".jsonl":
        return [(row["answer"], row["answer_error"]) for row in map(json.loads, open(path))]
    with open(path, newline="") as f:
        made = csv.DictReader(f, delimiter="\t" if path.suffix == ".tsv" else ",")
        return [(row["answer"], row["answer_error"] or None) for row in made]


KINDS = ["csv", "tsv", "jsonl", "texts", "texts as jsonl"]


@pytest.mark.parametrize("kind", KINDS)
def test_retry_failed(tmp_path, upstream, kind):
    """Only the row without an answer is asked; the others stay as they are."""
    mark = fresh()
    places, answers = half_labelled(tmp_path, kind, mark)
    done = program.run(*run_args(places, upstream, *MODEL, "--retry-failed"))
    answers[1] = f"echo {mark}-1"
    assert answers_of(places[1]) == [(answer, None) for answer in answers]
    assert upstream.counts(mark) == {f"{mark}-1": 1}
    assert "4 completed" in done.stdout, done.stdout
    before = places[1].read_bytes()
    program.run(*run_args(places, upstream, *MODEL, "--retry-failed"))
    assert places[1].read_bytes() == before and upstream.sent(mark) == 1


def test_retry_failed_of_a_whole_run(docs, own_upstream):
    """With --id, after --limit, and what fails again."""
    mark = fresh()
    places = docs(mark, 12)
    own_upstream.on(f"{mark}-3", Answer(400, b'{"error": {"message": "too rude"}}'))
    args = run_args(places, own_upstream, *MODEL, "--id", "id")
    program.run(*args, "--limit", "8", expect=1)
    assert "--retry-failed" in program.run(*args, expect=2).stderr
    program.run(*args, "--retry-failed", expect=1)
    made = rows(places[1])
    assert [row["answer"] for row in made] == ["" if i == 3 else f"echo {mark}-{i}" for i in range(12)]
    assert "too rude" in made[3]["answer_error"] and made[5]["more"] == 'a,"b"\n'
    own_upstream.on(f"{mark}-3", Answer())
    program.run(*args, "--retry-failed")
    assert rows(places[1])[3]["answer"] == f"echo {mark}-3"
    assert own_upstream.counts(mark) == {f"{mark}-{i}": 3 if i == 3 else 1 for i in range(12)}


@pytest.mark.parametrize("kind", KINDS)
def test_retry_failed_of_other_documents(tmp_path, upstream, kind):
    """Answers do not come beside rows that they are not of."""
    mark = fresh()
    places, _ = half_labelled(tmp_path, kind, mark)
    before = places[1].read_bytes()
    if places[0].is_dir():
        (places[0] / "2.txt").unlink()
    else:
        whole = places[0].read_text().splitlines(keepends=True)
        places[0].write_text("".join([*whole[:-2], whole[-1]]))
    done = program.run(*run_args(places, upstream, *MODEL, "--retry-failed"), expect=2)
    assert "row 3 of" in done.stderr and "is not that of" in done.stderr
    assert places[1].read_bytes() == before and upstream.sent(mark) == 0
    assert not [one for one in tmp_path.iterdir() if one.name.endswith(".lowtide")]


def test_retry_failed_where_nothing_was(docs, upstream):
    places = docs(fresh(), 2)
    assert str(places[1]) in program.run(
        *run_args(places, upstream, *MODEL, "--retry-failed"), expect=2
    ).stderr
    places[1].write_text("id,text,more\n")
    assert "no column 'answer'" in program.run(
        *run_args(places, upstream, *MODEL, "--retry-failed"), expect=2
    ).stderr
