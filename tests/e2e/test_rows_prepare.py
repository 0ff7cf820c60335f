"""`lowtide prepare`: documents become requests; what cannot is said in one sentence."""

import json
import subprocess

import pytest
from support import server as program

PROMPT = ["--model", "m-1", "--prompt", "Label: {text}"]


def prepare(directory, *args, **more):
    return program.run("prepare", *args, "-o", "in.jsonl", cwd=directory, **more)


def lines(directory):
    return [json.loads(one) for one in (directory / "in.jsonl").read_bytes().splitlines()]


def contents(directory):
    return [one["body"]["messages"][-1]["content"] for one in lines(directory)]


def test_csv(tmp_path):
    (tmp_path / "docs.csv").write_bytes(b'id,text\r\na,"x, ""y""\nz"\r\nb,\xe4\xb8\xad\x00\r\n')
    done = prepare(tmp_path, "docs.csv", *PROMPT)
    assert done.stdout == "2 requests: in.jsonl\n"
    assert lines(tmp_path) == [
        {
            "custom_id": f"row-{n + 1}",
            "method": "POST",
            "url": "/v1/chat/completions",
            "body": {"model": "m-1", "messages": [{"role": "user", "content": f"Label: {text}"}]},
        }
        for n, text in enumerate(['x, "y"\nz', "中\0"])
    ]
    program.run("check", "in.jsonl", cwd=tmp_path)


def test_id_system_and_params(tmp_path):
    (tmp_path / "docs.tsv").write_text("key\ttext\nk 1\tone\nk2\ttwo\n")
    (tmp_path / "prompt.txt").write_text("{{\"is\": '{text}'}}\n")
    (tmp_path / "system.txt").write_bytes(b"You see {key}.\r\n")
    prepare(
        tmp_path, "docs.tsv", "--model", "m-1", "--prompt", "@prompt.txt",
        "--system", "@system.txt", "--id", "key", "--param", "temperature=0",
        "--param", "stop=end", "--param", 'response_format={"type":\n "json_object"}',
        "--param", "seed=9223372036854775808",
    )  # fmt: skip
    assert lines(tmp_path)[0]["custom_id"] == "k 1"
    assert lines(tmp_path)[0]["body"] == {
        "model": "m-1",
        "messages": [
            {"role": "system", "content": "You see k 1."},
            {"role": "user", "content": '{"is": \'one\'}'},
        ],
        "temperature": 0,
        "stop": "end",
        "response_format": {"type": "json_object"},
        "seed": 9223372036854775808,
    }


@pytest.mark.parametrize(
    "endpoint, body",
    [
        ("/v1/completions", {"model": "m-1", "prompt": "Label: a"}),
        ("/v1/embeddings", {"model": "m-1", "input": "Label: a"}),
        ("/v1/responses", {"model": "m-1", "input": "Label: a"}),
        ("/v1/messages", {"model": "m-1", "messages": [{"role": "user", "content": "Label: a"}]}),
    ],
)
def test_endpoints(tmp_path, endpoint, body):
    (tmp_path / "docs.csv").write_text("text\na\n")
    prepare(tmp_path, "docs.csv", *PROMPT, "--endpoint", endpoint)
    assert lines(tmp_path)[0]["url"] == endpoint and lines(tmp_path)[0]["body"] == body


def test_jsonl(tmp_path):
    rows = [{"text": 'a\n"é\ud83d\ude00'.encode("utf-16", "surrogatepass").decode("utf-16")},
            {"text": 1.50}, {"text": None}, {"text": {"a": [1]}, "x": 2}]  # fmt: skip
    (tmp_path / "docs.jsonl").write_text("\n\n".join(json.dumps(row) for row in rows))
    prepare(tmp_path, "docs.jsonl", *PROMPT)
    assert contents(tmp_path) == ['Label: a\n"é😀', "Label: 1.5", "Label: ", 'Label: {"a": [1]}']


def test_directory_of_texts(tmp_path):
    (tmp_path / "docs" / "sub").mkdir(parents=True)
    (tmp_path / "docs" / "b.txt").write_text("bee\n")
    (tmp_path / "docs" / "a.md").write_bytes(b"\xef\xbb\xbfay")
    (tmp_path / "docs" / "sub" / "c").write_text("")
    (tmp_path / "docs" / ".hidden").write_text("no")
    prepare(tmp_path, "docs", "--model", "m-1", "--prompt", "{file}: {text}")
    assert contents(tmp_path) == ["docs/a.md: ay", "docs/b.txt: bee\n", "docs/sub/c: "]


def test_several_tables_and_standard_input(tmp_path):
    (tmp_path / "a.csv").write_text("text;n\na;1\n")
    (tmp_path / "b.csv").write_text("text;n\nb;2\n")
    prepare(tmp_path, "a.csv", "b.csv", *PROMPT)
    assert contents(tmp_path) == ["Label: a", "Label: b"]
    done = program.run("prepare", "-", "--format", "csv", *PROMPT, "-o", "-", cwd=tmp_path,
                       stdin="text\nc\n")  # fmt: skip
    assert json.loads(done.stdout)["body"]["messages"][0]["content"] == "Label: c"
    assert done.stderr == "1 requests\n"


def test_encodings(tmp_path):
    (tmp_path / "docs.csv").write_bytes("text\ncafé €\n".encode("cp1252"))
    prepare(tmp_path, "docs.csv", *PROMPT, "--encoding", "windows-1252")
    assert contents(tmp_path) == ["Label: café €"]
    (tmp_path / "docs.csv").write_bytes("text\tn\r\n中文\t1\r\n".encode("utf-16"))
    prepare(tmp_path, "docs.csv", *PROMPT, "--encoding", "utf-16", "--force")
    assert contents(tmp_path) == ["Label: 中文"]
    (tmp_path / "docs.csv").write_bytes(b"text\na\xffb\n")
    prepare(tmp_path, "docs.csv", *PROMPT, "--invalid-utf8", "replace", "--force")
    assert contents(tmp_path) == ["Label: a\ufffdb"]


# what is there, what is asked, and what the sentence has to say
MISTAKES = {
    "no such column": (b"id,review\n1,a\n", [], ["'text'", "id, review"]),
    "ragged": (b"id,text\n1,a\n2,b,c\n", [], ["docs.csv: row 2 (line 3)", "3 fields", "has 2"]),
    "empty": (b"", [], ["docs.csv: the document is empty"]),
    "no rows": (b"id,text\n", [], ["there are no rows"]),
    "open quote": (b'id,text\n1,"a\n2,b\n', [], ["row 1 (line 2)", "field 2", "missing"]),
    "quote": (b'id,text\n1,"a" b\n', [], ["row 1", "field 2", "behind its closing quote"]),
    "not utf-8": (b"id,text\n1,a\n2,\xe9\n", [], ["row 2", "'text'", "0xE9", "--encoding"]),
    "two delimiters": (b"id,text;n\n1,a\n", [], ["--delimiter"]),
    "same ids": (b"id,text\n1,a\n2,b\n1,c\n", ["--id", "id"],
                 ["row 3 (line 4)", "'1'", "row 1 (line 2)"]),
    "empty id": (b"id,text\n,a\n", ["--id", "id"], ["row 1", "'id'", "empty"]),
    "long id": (b"id,text\n" + b"x" * 513 + b",a\n", ["--id", "id"], ["513", "512"]),
    "utf-16": (b"\xff\xfet\0e\0", [], ["UTF-16"]),
    "parquet": (b"PAR1....", [], ["Parquet", "lowtide.map"]),
    "same columns": (b"text,text\n1,a\n", [], ["2 columns", "'text'"]),
    "brace": (b"text\na\n", ["--system", "{text"], ["--system", "{{"]),
    "param": (b"text\na\n", ["--param", "model=x"], ["--model"]),
    "params": (b"text\na\n", ["--param", "a=1", "--param", "a=2"], ["twice"]),
    "encoding": (b"text\na\n", ["--encoding", "klingon"], ["klingon", "iconv -l"]),
    "endpoint": (b"text\na\n", ["--endpoint", "/v1/rerank"], ["/v1/rerank", "/v1/embeddings"]),
}  # fmt: skip


@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistakes(tmp_path, mistake):
    given, args, words = MISTAKES[mistake]
    (tmp_path / "docs.csv").write_bytes(given)
    done = prepare(tmp_path, "docs.csv", *PROMPT, *args, expect=2)
    assert done.stdout == "" and len(done.stderr.strip().splitlines()) == 1
    for word in words:
        assert word in done.stderr, done.stderr
    assert [one.name for one in tmp_path.iterdir()] == ["docs.csv"], "nothing is left behind"


@pytest.mark.parametrize("line, word", [("[1]", "not an object"), ('{"a": 1}', "'text'"),
                                        ('{"text": "a', "column"), ('{"text": NaN}', "column")])  # fmt: skip
def test_mistakes_of_jsonl(tmp_path, line, word):
    (tmp_path / "docs.jsonl").write_text('{"text": "a"}\n' + line + "\n")
    done = prepare(tmp_path, "docs.jsonl", *PROMPT, expect=2)
    assert "docs.jsonl: row 2 (line 2): " in done.stderr and word in done.stderr


def test_documents_of_two_kinds(tmp_path):
    (tmp_path / "a.csv").write_text("text\na\n")
    (tmp_path / "b.txt").write_text("b")
    done = prepare(tmp_path, "a.csv", "b.txt", *PROMPT, expect=2)
    assert "a.csv" in done.stderr and "b.txt" in done.stderr and "--format" in done.stderr


def test_other_header(tmp_path):
    (tmp_path / "a.csv").write_text("text,n\na,1\n")
    (tmp_path / "b.csv").write_text("n,text\n1,a\n")
    done = prepare(tmp_path, "a.csv", "b.csv", *PROMPT, expect=2)
    assert "b.csv" in done.stderr and "a.csv: text, n" in done.stderr


def test_output_is_not_overwritten(tmp_path):
    (tmp_path / "docs.csv").write_text("text\na\n")
    (tmp_path / "in.jsonl").write_text("mine")
    done = prepare(tmp_path, "docs.csv", *PROMPT, expect=2)
    assert "--force" in done.stderr and (tmp_path / "in.jsonl").read_text() == "mine"


@pytest.mark.parametrize("args", [[], ["docs.csv"], ["docs.csv", "--prompt", "{text}"],
                                  ["docs.csv", "--prompt", "all the same", "--model", "m"]])  # fmt: skip
def test_words_that_are_missing(tmp_path, args):
    (tmp_path / "docs.csv").write_text("text\na\n")
    program.run("prepare", *args, "-o", "in.jsonl", cwd=tmp_path, expect=2)


def test_a_pipe_that_closes_early(tmp_path):
    (tmp_path / "docs.csv").write_text("text\n" + "a\n" * 300_000)
    command = f"{program.BINARY} prepare docs.csv --model m --prompt '{{text}}' -o - | head -c 9"
    done = subprocess.run(["sh", "-c", command], cwd=tmp_path, env=program.clean_env(),
                          capture_output=True, timeout=60)  # fmt: skip
    assert done.stdout == b'{"custom_'
