"""Contract 9: result files."""

import json
import random

from support.api import output_text, parse_results
from support.jsonl import fresh, line, numbered


def test_9_lines_of_both_files(api):
    mark = fresh()
    batch = api.run([line("good", mark), line("bad", f"{mark}b | status:400")])
    (good,) = api.lines(batch["output_file_id"])
    assert good["custom_id"] == "good" and good["error"] is None
    assert good["response"]["status_code"] == 200
    assert output_text(good) == f"echo {mark}"
    (bad,) = api.lines(batch["error_file_id"])
    assert bad["custom_id"] == "bad" and bad["error"] is None
    assert bad["response"]["status_code"] == 400
    assert set(bad["response"]["body"]["error"]) == {"message", "type", "param", "code"}


def test_9_purpose_size_and_owner_of_result_files(api):
    mark = fresh()
    batch = api.run([line("a", mark), line("b", f"{mark}b | status:400")])
    for member in ("output_file_id", "error_file_id"):
        made = api.file(batch[member])
        assert made["purpose"] == "batch_output"
        assert made["bytes"] == len(api.content(batch[member])) > 0
        assert batch["created_at"] <= made["created_at"]


def test_9_input_order_whatever_the_order_of_ending(api, upstream):
    """Several segments, some lines slow, some retried, some bad."""
    rng = random.Random(9)
    mark = fresh()
    scripts = ["ok", "ok", "ok", "slow:0.05", "status:400", "slow:0.3"]
    lines, good, bad = [], [], []
    for n in range(3000):
        script = rng.choice(scripts) if n % 10 == 0 else "ok"
        if n in (0, 1, 1023, 1024, 2047, 2048, 2999):
            script = "status:500 then ok"
        lines.append(line(f"{mark}-{n}", f"{mark}-{n} | {script}"))
        (bad if script == "status:400" else good).append(f"{mark}-{n}")
    batch = api.run(lines)
    output, error = api.results(batch)
    assert list(output) == good and list(error) == bad
    for custom_id, one in output.items():
        assert output_text(one) == f"echo {custom_id}"
    assert batch["usage"]["total_tokens"] == 10 * len(good)
    assert set(upstream.answered(mark)) == set(good + bad)


def test_9_custom_id_with_its_escapes_as_they_were(api):
    given = [r'"caf\u00e9"', '"café2"', r'"a\/b"', r'"\ud83d\ude00"', r'"q\"\\\n"', '"😀2"', '" "']
    lines = [line("ID", fresh()).replace(b'"ID"', one.encode()) for one in given]
    batch = api.run(lines)
    content = api.content(batch["output_file_id"])
    for one, text in zip(given, content.split(b"\n"), strict=False):
        key, value = text.split(b'"custom_id":', 1)
        assert value.strip().startswith(one.encode()), text
    assert [one["custom_id"] for one in parse_results(content)] == [json.loads(g) for g in given]


def test_9_custom_id_that_looks_like_a_result(api):
    custom_id = '","response":null,"error":{"code":"x"}}\n{"id":"'
    output, _ = api.results(api.run([line(custom_id, fresh())]))
    assert set(output) == {custom_id}


def test_9_no_file_without_lines(api):
    before = len(api.http.get("files").json()["data"])
    batch = api.run(numbered(fresh(), 2))
    assert batch["output_file_id"] and batch["error_file_id"] is None
    batch = api.run(numbered(fresh(), 2, "status:400"))
    assert batch["error_file_id"] and batch["output_file_id"] is None
    assert len(api.http.get("files").json()["data"]) == before + 4


def test_6_a_final_state_is_shown_only_once_its_files_can_be_read(api):
    for _ in range(10):
        batch = api.create(numbered(fresh(), 60))
        while True:
            looked = api.get(batch["id"])
            if looked["status"] == "completed":
                break
        assert len(api.lines(looked["output_file_id"])) == 60


def test_6_result_files_do_not_exist_before_the_end(api, upstream):
    mark = fresh()
    batch = api.create([*numbered(mark, 5), line("held", f"{mark}h | hold:{mark}")])
    api.wait(batch, lambda b: b["request_counts"]["completed"] == 5)
    listed = api.http.get("files").json()["data"]
    assert [one["purpose"] for one in listed] == ["batch"]
    upstream.release(mark)
    api.wait(batch, "completed")


def test_9_result_files_are_files(api):
    """Range, delete and list work on them as on any."""
    batch = api.run(numbered(fresh(), 3))
    file_id = batch["output_file_id"]
    whole = api.content(file_id)
    part = api.http.get(f"files/{file_id}/content", headers={"Range": "bytes=10-29"})
    assert part.status_code == 206 and part.content == whole[10:30]
    assert file_id in {one["id"] for one in api.http.get("files").json()["data"]}
    assert api.http.delete(f"files/{file_id}").json()["deleted"] is True
    assert api.http.get(f"files/{file_id}").status_code == 404


def test_16_7_counts_never_fall_at_the_end(api):
    """Looked at as fast as can be while batches end: each look is compared with the last."""
    for n in range(25):
        batch = api.create(numbered(fresh(), 80, "status:400" if n % 2 else "ok"))
        while api.get(batch["id"])["status"] != "completed":
            pass
