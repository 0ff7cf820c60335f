"""Contract 15: each fact of Kimi's reference page, one after another, in one walk."""

import httpx
import openai
from support.api import check_batch, output_text, parse_results
from support.jsonl import CHAT, fresh, jsonl, line, numbered
from support.upstream import Answer


def test_15_seed_checklist(kimi, quick, upstream):
    api, mark = kimi, fresh()
    base = api.server.base_url

    # S3, S25: a JSONL file with purpose=batch; a line is `custom_id` and `body`.
    short = b'{"custom_id": "request-%d", "body": {"model": "kimi", "messages": [{"role": "user", '
    short += b'"content": "%s-%d"}]}}'
    data = jsonl([short % (n, mark.encode(), n) for n in range(3)])
    sdk = openai.OpenAI(base_url=base, api_key=api.key, max_retries=0)
    file_id = sdk.files.create(file=("batch.jsonl", data), purpose="batch").id

    # S1, S2, S4, S5, S6, S7, S8: the TypeScript example, as it stands but for base, key, file id.
    response = httpx.post(
        f"{base}/batches",
        headers={"Authorization": f"Bearer {api.key}", "Content-Type": "application/json"},
        json={
            "input_file_id": file_id,
            "endpoint": "/v1/chat/completions",
            "completion_window": "24h",
            "metadata": {"job_name": "daily-analysis", "environment": "production"},
        },
        trust_env=False,
    )
    assert response.status_code == 200
    batch = api.created(response.json())
    assert batch["id"] and batch["status"] == "validating"  # S10, S12, S17
    assert batch["object"] == "batch"  # S11
    assert batch["input_file_id"] == file_id  # S13
    assert batch["metadata"] == {"job_name": "daily-analysis", "environment": "production"}
    assert set(batch["request_counts"]) == {"completed", "failed", "total"}  # S15
    assert type(batch["created_at"]) is int  # S16

    # S9: the Python example.
    second = sdk.batches.create(
        input_file_id=file_id, endpoint="/v1/chat/completions", completion_window="24h"
    )
    assert second.id != batch["id"] and second.status == "validating"
    api.wait(second.id, "completed")

    # S4, S5, S6: required; only this endpoint; from 12h to 7d.
    good = {"input_file_id": file_id, "endpoint": CHAT, "completion_window": "24h"}
    for member in good:
        less = {k: v for k, v in good.items() if k != member}
        assert api.http.post("batches", json=less).status_code == 400
    for window in ("12h", "1d", "3d", "7d"):
        api.create(file_id, completion_window=window)
    for window in ("11h", "8d", "1h", "forever"):
        assert api.create_raw(file_id, completion_window=window).status_code == 400
    assert api.create_raw(file_id, endpoint="/v1/embeddings").status_code == 400

    # S7: at most 16 pairs, keys of 64, values of 512 characters.
    full = {f"{n:064}": "值" * 512 for n in range(16)}
    assert api.create(file_id, metadata=full)["metadata"] == full
    for over in ({**full, "x": "y"}, {"k" * 65: "v"}, {"k": "v" * 513}):
        assert api.create_raw(file_id, metadata=over).status_code == 400

    # S14, S20: done, and the results can be downloaded; failed requests in the error file.
    batch = api.wait(batch["id"], "completed")
    results = parse_results(sdk.files.content(batch["output_file_id"]).read())
    assert [one["custom_id"] for one in results] == ["request-0", "request-1", "request-2"]
    assert output_text(results[0]) == f"echo {mark}-0"
    upstream.on(f"{mark}-bad", Answer(400, b'{"error": {"message": "no"}}'))
    failing = api.run([line("good", f"{mark}-good"), line("bad", f"{mark}-bad")])
    assert failing["output_file_id"] and failing["error_file_id"]
    assert [one["custom_id"] for one in api.lines(failing["error_file_id"])] == ["bad"]

    # S18: running; S23, S24: being cancelled, cancelled.
    running = api.create(numbered(f"{mark}h", 2, "never"))
    api.wait(running, "in_progress")
    assert api.cancel(running)["status"] in ("cancelling", "cancelled")
    api.wait(running, "cancelled")

    # S19: finalizing has its time; S21: validation failed; S22: past the window.
    assert batch["finalizing_at"] is not None
    failed = api.run([b"no json"], until="failed")
    assert failed["errors"]["data"]
    late = quick.create(numbered(f"{mark}q", 2, "never"), completion_window="1s")
    assert quick.wait(late, "expired")["expired_at"]

    # S26: batch work waits for nobody's online work here; counts say how far it is.
    assert check_batch(api.get(second.id))["lowtide"]["pending"] == 0

    # S27: 24h for ordinary work, 3d for large.
    day = api.create(file_id, completion_window="24h")
    assert day["expires_at"] - day["created_at"] == 86400

    # S28: the window cannot be changed; cancel and create again.
    for method in ("POST", "PATCH", "PUT"):
        changed = api.http.request(method, f"batches/{day['id']}", json={"completion_window": "3d"})
        assert changed.status_code == 405
    sdk.close()
