"""Contract 2.4: repeated calls make one object."""

import concurrent.futures

import openai
import pytest
from support.api import check_error
from support.jsonl import fresh, jsonl, line
from support.proxy import LosingProxy
from support.wire import Multipart, Raw, request, wait_until


def test_2_4_same_key_same_create(api):
    file_id = api.upload([line("a", fresh())])
    headers = {"Idempotency-Key": fresh()}
    first = api.create(file_id, headers=headers)
    again = api.create_raw(file_id, headers=headers)
    assert again.status_code == 200 and again.json()["id"] == first["id"]
    api.wait(first, "completed")
    later = api.create_raw(file_id, headers=headers)
    assert later.json()["id"] == first["id"]
    assert len(api.http.get("batches").json()["data"]) == 1


def test_2_4_same_content_however_it_is_written(api):
    """Order of members and white space are not content."""
    file_id = api.upload([line("a", fresh())])
    headers = {"Idempotency-Key": fresh(), "Content-Type": "application/json"}
    text = '{"input_file_id": "%s", "endpoint": "/v1/chat/completions", "completion_window": "24h"}'
    first = api.http.post("batches", content=text % file_id, headers=headers)
    other = '{"completion_window":"24h","endpoint":"/v1/chat/completions","input_file_id":"%s"}'
    again = api.http.post("batches", content=other % file_id, headers=headers)
    assert first.status_code == again.status_code == 200, again.text
    assert first.json()["id"] == again.json()["id"]
    api.created(first.json())


@pytest.mark.parametrize("change", ["file", "metadata", "output_expires_after"])
def test_2_4_other_content_is_422(api, change):
    file_id = api.upload([line("a", fresh())])
    headers = {"Idempotency-Key": fresh()}
    api.create(file_id, headers=headers)
    other = {
        "file": {"input_file_id": api.upload([line("b", fresh())])},
        "metadata": {"input_file_id": file_id, "metadata": {"k": "v"}},
        "output_expires_after": {
            "input_file_id": file_id,
            "output_expires_after": {"anchor": "created_at", "seconds": 3600},
        },
    }[change]
    response = api.create_raw(headers=headers, **other)
    check_error(response, api.profile, 422, "idempotency_key_reused")
    assert response.headers["x-should-retry"] == "false"
    assert len(api.http.get("batches").json()["data"]) == 1


def test_2_4_a_hundred_times_at_once_makes_one_batch(api):
    """16.22"""
    file_id = api.upload([line("a", fresh())])
    headers = {"Idempotency-Key": fresh()}
    with concurrent.futures.ThreadPoolExecutor(24) as pool:
        calls = [pool.submit(api.create_raw, file_id, headers=headers) for _ in range(100)]
        answers = [call.result() for call in calls]
    ids = set()
    for answer in answers:
        if answer.status_code == 409:
            check_error(answer, api.profile, 409)
            assert answer.headers["retry-after"] == "1"
        else:
            assert answer.status_code == 200, answer.text
            ids.add(answer.json()["id"])
    assert len(ids) == 1
    listed = api.http.get("batches").json()["data"]
    assert [one["id"] for one in listed] == list(ids)
    api.wait(listed[0]["id"])


def test_2_4_without_a_key_two_creates_make_two_batches(api):
    file_id = api.upload([line("a", fresh())])
    assert api.create(file_id)["id"] != api.create(file_id)["id"]


def test_2_4_counts_per_api_key_and_route(api, on_server):
    org = "org-" + fresh()
    one, two = (on_server(api.server, api.server.new_key(org)) for _ in range(2))
    headers = {"Idempotency-Key": fresh()}
    file_id = one.upload([line("a", fresh())], headers=headers)
    first = one.create(file_id, headers=headers)
    second = two.create(file_id, headers=headers)
    assert first["id"] != second["id"]


def test_2_4_only_2xx_answers_are_kept(api):
    file_id = api.upload([line("a", fresh())])
    headers = {"Idempotency-Key": fresh()}
    refused = api.create_raw(file_id, completion_window="99d", headers=headers)
    assert refused.status_code == 400
    api.create(file_id, headers=headers)


def test_2_4_upload_with_a_key(api):
    headers = {"Idempotency-Key": fresh()}
    data = jsonl([line("a", fresh())])
    first = api.upload(data, headers=headers)
    assert api.upload(data, headers=headers) == first
    assert len(api.http.get("files").json()["data"]) == 1
    seconds = {"expires_after[anchor]": "created_at", "expires_after[seconds]": "3600"}
    for other in (
        api.upload_raw(data + b"\n", headers=headers),
        api.upload_raw(data, filename="other.jsonl", headers=headers),
        api.upload_raw(data, headers=headers, **seconds),
    ):
        check_error(other, api.profile, 422, "idempotency_key_reused")
        assert other.headers["x-should-retry"] == "false"
    assert len(api.http.get("files").json()["data"]) == 1


def test_2_4_a_repeated_upload_leaves_no_second_copy(serve):
    api = serve()
    headers = {"Idempotency-Key": fresh()}
    data = jsonl([line("a", fresh())])
    api.upload(data, headers=headers)
    before = api.server.blobs()
    api.upload(data, headers=headers)
    wait_until(lambda: api.server.blobs() == before, "no second copy")


def half_an_upload(api, headers):
    form = Multipart().add('name="purpose"', b"batch")
    lines = [line(str(n), f"{fresh()} {'x' * 1000}") for n in range(2000)]  # too many to stay in memory
    form.add('name="file"; filename="in.jsonl"', jsonl(lines))
    head = [f"Content-Type: {form.content_type}", *(f"{k}: {v}" for k, v in headers.items())]
    whole = request("POST", "/v1/files", api.key, head, form.body())
    raw = Raw(api.server)
    raw.send(whole[:-40])
    return raw, whole[-40:]


def test_2_4_first_still_running_is_409(api):
    headers = {"Idempotency-Key": fresh()}
    raw, rest = half_an_upload(api, headers)
    with raw:
        wait_until(
            lambda: any(name.startswith("tmp/") for name in api.server.blobs()),
            "the first upload has begun",
        )
        response = api.upload_raw([line("a", "x")], headers=headers)
        check_error(response, api.profile, 409)
        assert response.headers["retry-after"] == "1"
        status, _, body = raw.send(rest).answer()
        assert status == 200, body


def test_2_4_a_first_call_that_was_cut_off_frees_the_key(api):
    headers = {"Idempotency-Key": fresh()}
    raw, _ = half_an_upload(api, headers)
    raw.reset()
    wait_until(
        lambda: api.upload_raw([line("a", "x")], headers=headers).status_code == 200,
        "the key is free again",
    )


def test_2_4_holds_across_a_restart(serve):
    api = serve()
    data = jsonl([line("a", fresh())])
    headers = {"Idempotency-Key": fresh()}
    file_id = api.upload(data, headers=headers)
    batch = api.create(file_id, headers=headers)
    api.server.restart()
    assert api.upload(data, headers=headers) == file_id
    assert api.create_raw(file_id, headers=headers).json()["id"] == batch["id"]
    again = api.create_raw(file_id, metadata={"k": "v"}, headers=headers)
    check_error(again, api.profile, 422, "idempotency_key_reused")


def test_2_4_retry_guard_on_create(api):
    file_id = api.upload([line("a", fresh())])
    resent = {"x-stainless-retry-count": "1"}
    first = api.create(file_id, headers={"x-stainless-retry-count": "0"})
    assert api.create_raw(file_id, headers=resent).json()["id"] == first["id"]
    two = {"x-stainless-retry-count": "2"}
    assert api.create_raw(file_id, headers=two).json()["id"] == first["id"]
    other = api.create(file_id, metadata={"k": "v"}, headers=resent)
    assert other["id"] != first["id"]
    assert len(api.http.get("batches").json()["data"]) == 2


def test_2_4_retry_guard_knows_no_call_of_another_key(api, on_server):
    org = "org-" + fresh()
    one, two = (on_server(api.server, api.server.new_key(org)) for _ in range(2))
    file_id = one.upload([line("a", fresh())])
    first = one.create(file_id)
    assert two.create(file_id, headers={"x-stainless-retry-count": "1"})["id"] != first["id"]


def test_2_4_retry_guard_on_upload(api):
    data = jsonl([line("a", fresh())])
    resent = {"x-stainless-retry-count": "1"}
    first = api.upload(data)
    assert api.upload(data, headers=resent) == first
    assert api.upload(data + b"\n", headers=resent) != first
    assert api.upload(data) != first


def test_2_4_sdk_that_lost_an_answer_makes_one_batch(api):
    """16.22: the official client resends by itself."""
    file_id = api.upload([line("a", fresh())])
    proxy = LosingProxy(api.server)
    client = openai.OpenAI(base_url=proxy.url, api_key=api.key, max_retries=2)
    try:
        batch = client.batches.create(
            input_file_id=file_id, endpoint="/v1/chat/completions", completion_window="24h"
        )
    finally:
        client.close()
        proxy.close()
    assert proxy.lost == 1
    listed = api.http.get("batches").json()["data"]
    assert [one["id"] for one in listed] == [batch.id]


def test_2_4_sdk_that_lost_an_answer_makes_one_file(api):
    proxy = LosingProxy(api.server)
    client = openai.OpenAI(base_url=proxy.url, api_key=api.key, max_retries=2)
    try:
        made = client.files.create(file=("in.jsonl", jsonl([line("a")])), purpose="batch")
    finally:
        client.close()
        proxy.close()
    assert proxy.lost == 1
    assert [one["id"] for one in api.http.get("files").json()["data"]] == [made.id]


def test_2_4_long_and_odd_keys(api):
    file_id = api.upload([line("a", fresh())])
    for key in ("k" * 255, 'a b;c="d"', "'; drop table batches; --"):
        headers = {"Idempotency-Key": key}
        first = api.create_raw(file_id, headers=headers)
        assert first.status_code == 200, first.text
        api.created(first.json())
        assert api.create_raw(file_id, headers=headers).json()["id"] == first.json()["id"]
    too_long = api.create_raw(file_id, headers={"Idempotency-Key": "k" * 3000})
    assert too_long.status_code in (200, 400), too_long.text
    if too_long.status_code == 200:
        api.created(too_long.json())
