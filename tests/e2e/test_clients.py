"""Contract 14, 16.24: the official clients, unchanged."""

import json
import os
import pathlib
import shutil
import subprocess

import openai
import pytest
from support.api import output_text, parse_results
from support.jsonl import fresh, jsonl, line, numbered

NODE_TESTS = pathlib.Path(__file__).resolve().parents[1] / "node"


# ---- openai-python ----


def test_16_24_python_upload_to_delete(api, tmp_path):
    sdk, mark = api.sdk, fresh()
    path = tmp_path / "in.jsonl"
    path.write_bytes(jsonl(numbered(mark, 7)))
    made = sdk.files.create(file=path.open("rb"), purpose="batch")
    assert (made.object, made.status, made.bytes) == ("file", "processed", path.stat().st_size)
    assert sdk.files.wait_for_processing(made.id).status == "processed"
    assert sdk.files.retrieve(made.id) == made
    batch = sdk.batches.create(
        input_file_id=made.id,
        endpoint="/v1/chat/completions",
        completion_window="24h",
        metadata={"job": "nightly"},
    )
    assert batch.status == "validating" and batch.metadata == {"job": "nightly"}
    api.wait(batch.id, "completed")
    batch = sdk.batches.retrieve(batch.id)
    assert batch.request_counts.completed == batch.request_counts.total == 7
    assert batch.model == "m-1" and batch.usage.total_tokens == 70
    assert batch.errors is None and batch.error_file_id is None
    content = sdk.files.content(batch.output_file_id)
    results = [json.loads(text) for text in content.text.splitlines()]
    assert [one["custom_id"] for one in results] == [f"{mark}-{n}" for n in range(7)]
    content.write_to_file(tmp_path / "out.jsonl")
    assert (tmp_path / "out.jsonl").read_bytes() == content.read()
    assert [one.id for one in sdk.batches.list()] == [batch.id]
    assert {one.id for one in sdk.files.list()} == {made.id, batch.output_file_id}
    for file_id in (made.id, batch.output_file_id):
        gone = sdk.files.delete(file_id)
        assert gone.deleted is True and gone.object == "file" and gone.id == file_id
    assert list(sdk.files.list()) == []


def test_14_python_forms_of_a_file(api):
    sdk, data = api.sdk, jsonl([line("a")])
    for given in (data, ("in.jsonl", data), ("in.jsonl", data, "application/jsonl")):
        made = sdk.files.create(file=given, purpose="batch")
        assert sdk.files.content(made.id).read() == data


def test_14_python_streamed_content(api, tmp_path):
    batch = api.run(numbered(fresh(), 2000))
    with api.sdk.files.with_streaming_response.content(batch["output_file_id"]) as response:
        response.stream_to_file(tmp_path / "out.jsonl")
    content = (tmp_path / "out.jsonl").read_bytes()
    assert len(parse_results(content)) == 2000
    with api.sdk.files.with_streaming_response.content(batch["output_file_id"]) as response:
        lines = [json.loads(text) for text in response.iter_lines()]
    assert len(lines) == 2000 and output_text(lines[0])


def test_14_python_auto_paging(api):
    file_id = api.upload([line("a", fresh())])
    batches = {api.create(file_id)["id"] for _ in range(11)}
    files = {file_id} | {api.upload([line("a")]) for _ in range(6)}
    found = [one.id for one in api.sdk.batches.list(limit=4)]
    assert len(found) == 11 and set(found) == batches
    found = [one.id for one in api.sdk.files.list(limit=2, order="asc", purpose="batch")]
    assert len(found) == 7 and set(found) == files
    page = api.sdk.batches.list(limit=4)
    assert page.has_more and len(page.get_next_page().data) == 4


def test_14_python_cancel(api):
    batch = api.create(numbered(fresh(), 3, "never"))
    api.wait(batch, "in_progress")
    assert api.sdk.batches.cancel(batch["id"]).status in ("cancelling", "cancelled")
    api.wait(batch, "cancelled")
    after = api.sdk.batches.retrieve(batch["id"])
    assert after.cancelled_at >= after.cancelling_at
    assert len(parse_results(api.sdk.files.content(after.error_file_id).read())) == 3


def test_2_4_python_cancel_of_a_finished_batch(api):
    """The client is told not to try again; what litellm matches is in the text."""
    batch = api.run([line("a", fresh())])
    sdk = api.sdk.with_options(max_retries=2)
    kind = openai.BadRequestError if api.profile == "kimi" else openai.ConflictError
    with pytest.raises(kind, match="Cannot cancel a batch with status 'completed'") as caught:
        sdk.batches.cancel(batch["id"])
    assert caught.value.request_id.startswith("req_")
    assert caught.value.response.request.headers["x-stainless-retry-count"] == "0"


def test_14_python_failed_batch(api):
    """inspect-ai maps errors.data to requests; curator reads request_counts."""
    batch = api.run([line("a"), b"{", line("b")], until="failed")
    batch = api.sdk.batches.retrieve(batch["id"])
    (error,) = batch.errors.data
    assert (error.code, error.line, error.param) == ("invalid_json_line", 2, None)
    assert batch.request_counts.total == 0


def test_14_python_typed_errors(api):
    sdk = api.sdk
    with pytest.raises(openai.NotFoundError):
        sdk.files.retrieve("file-none")
    with pytest.raises(openai.NotFoundError):
        sdk.batches.retrieve("batch_none")
    with pytest.raises(openai.BadRequestError) as caught:
        sdk.files.create(file=("in.jsonl", b"{}"), purpose="fine-tune")
    assert (caught.value.param, caught.value.code) == ("purpose", "invalid_value")
    with pytest.raises(openai.BadRequestError) as caught:
        sdk.batches.list(limit=1000).data  # noqa: B018
    assert caught.value.code == "integer_above_max_value"
    with pytest.raises(openai.AuthenticationError) as caught:
        sdk.with_options(api_key="sk-wrong").files.list()
    assert caught.value.code == "invalid_api_key"


def test_14_python_expires_after(api):
    """Vercel's SDK sends it too."""
    policy = {"anchor": "created_at", "seconds": 7200}
    made = api.sdk.files.create(
        file=("in.jsonl", jsonl([line("a", fresh())])), purpose="batch", expires_after=policy
    )
    assert made.expires_at == made.created_at + 7200
    batch = api.sdk.batches.create(
        input_file_id=made.id,
        endpoint="/v1/chat/completions",
        completion_window="24h",
        output_expires_after=policy,
    )
    batch = api.wait(batch.id, "completed")
    output = api.sdk.files.retrieve(batch["output_file_id"])
    assert output.expires_at == output.created_at + 7200


def test_14_python_async_client(api):
    import asyncio

    async def go():
        async with openai.AsyncOpenAI(base_url=api.server.base_url, api_key=api.key) as sdk:
            data = jsonl([line("a", fresh())])
            made = await sdk.files.create(file=("in.jsonl", data), purpose="batch")
            batch = await sdk.batches.create(
                input_file_id=made.id,
                endpoint="/v1/chat/completions",
                completion_window="24h",
            )
            while (await sdk.batches.retrieve(batch.id)).status != "completed":
                await asyncio.sleep(0.02)
            return [one.id async for one in sdk.batches.list()], batch.id

    listed, batch_id = asyncio.run(go())
    assert listed == [batch_id]


def test_14_python_client_of_azure(kimi):
    """`api-key` in place of Authorization (2.1)."""
    import httpx

    response = httpx.get(f"{kimi.server.base_url}/files", headers={"api-key": kimi.key})
    assert response.status_code == 200


# ---- openai (npm) ----


def node(api, name, *args):
    modules = pathlib.Path(os.environ.get("LOWTIDE_NODE_MODULES") or NODE_TESTS / "node_modules")
    if shutil.which("node") is None:
        pytest.skip("no node on this machine")
    if not (modules / "openai").is_dir():
        pytest.fail(f"no openai package in {modules}: npm install in tests/node")
    done = subprocess.run(
        ["node", str(NODE_TESTS / name), *args],
        env={
            **os.environ,
            "OPENAI_BASE_URL": api.server.base_url,
            "OPENAI_API_KEY": api.key,
            "LOWTIDE_NODE_MODULES": str(modules),
            "LOWTIDE_PROFILE": api.profile,
        },
        capture_output=True, text=True, timeout=150,
    )  # fmt: skip
    assert done.returncode == 0, f"{name}:\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"


@pytest.mark.parametrize(
    "name",
    [
        "upload_to_delete.mjs",
        "uploads.mjs",
        "paging.mjs",
        "cancel.mjs",
        "streamed_content.mjs",
        "errors.mjs",
    ],
)
def test_16_24_node(api, name):
    node(api, name)
