"""Contract 3.1 to 3.3: upload, get, list, delete, limits, expiry."""

import concurrent.futures
import os
import re
import time

import pytest
from support.api import ANY, check_error, check_file
from support.jsonl import fresh, jsonl, line
from support.rows import change_rows
from support.wire import Multipart, Raw, request, wait_until

DATA = jsonl([line("a"), line("b")])
DAY = 86400


def post(api, form, **headers):
    return api.http.post(
        "files", content=form.body(), headers={"Content-Type": form.content_type, **headers}
    )


# ---- 3.1, 3.2: the form ----


def test_3_1_file_object(api):
    answer = api.upload_raw(DATA, filename="requests.jsonl")
    assert answer.status_code == 200
    made = check_file(answer.json())
    assert made["bytes"] == len(DATA)
    assert made["filename"] == "requests.jsonl"
    assert made["purpose"] == "batch"
    month = made["created_at"] + 30 * DAY if api.profile == "openai" else None
    assert made["expires_at"] == month
    assert api.file(made["id"]) == made


@pytest.mark.parametrize(
    "content_type",
    ["application/jsonl", "application/octet-stream", "application/json", "text/plain", None],
)
def test_3_2_any_type_of_the_part(api, content_type):
    form = Multipart().add('name="purpose"', b"batch")
    head = [f"Content-Type: {content_type}"] if content_type else []
    form.add('name="file"; filename="in.jsonl"', DATA, *head)
    assert api.content(check_file(post(api, form).json())["id"]) == DATA


def test_3_1_fields_in_any_order(api):
    form = Multipart().add('name="file"; filename="in.jsonl"', DATA)
    form.add('name="unknown"', b"ignored")
    form.add('name="expires_after[seconds]"', b"3600")
    form.add('name="purpose"', b"batch")
    form.add('name="expires_after[anchor]"', b"created_at")
    made = check_file(post(api, form).json())
    assert made["expires_at"] == made["created_at"] + 3600
    assert api.content(made["id"]) == DATA


def test_3_1_upload_in_chunks_of_unknown_length(api):
    form = Multipart().add('name="purpose"', b"batch")
    form.add('name="file"; filename="in.jsonl"', DATA)

    def pieces():
        for at in range(0, len(form.body()), 7):
            yield form.body()[at : at + 7]

    headers = {"Content-Type": form.content_type}
    answer = api.http.post("files", content=pieces(), headers=headers)
    assert api.content(check_file(answer.json())["id"]) == DATA


def test_3_1_bytes_that_look_like_a_boundary(api):
    """Nothing in the content is taken for the form's own text."""
    form = Multipart().add('name="purpose"', b"batch")
    data = (
        b"\r\n--\r\n--b-\r\n" + b"\r\n--" + form.boundary[:-1].encode() + b"\r\n\r\n\x00\xff--\r\n"
    )
    form.add('name="file"; filename="in.jsonl"', data)
    assert api.content(check_file(post(api, form).json())["id"]) == data


def test_3_1_quoted_boundary(api):
    form = Multipart().add('name="purpose"', b"batch")
    form.add('name="file"; filename="in.jsonl"', DATA)
    headers = {"Content-Type": f'multipart/form-data; boundary="{form.boundary}"'}
    answer = api.http.post("files", content=form.body(), headers=headers)
    assert answer.status_code == 200, answer.text


def test_3_2_upload_waits_for_100_continue(api):
    """curl asks before it sends anything large."""
    form = Multipart().add('name="purpose"', b"batch")
    form.add('name="file"; filename="in.jsonl"', DATA)
    head = [f"Content-Type: {form.content_type}", f"Content-Length: {len(form.body())}"]
    with Raw(api.server) as raw:
        raw.send(request("POST", "/v1/files", api.key, [*head, "Expect: 100-continue"]))
        while b"\r\n\r\n" not in raw.buffer:
            assert raw._more()
        assert raw.buffer.startswith(b"HTTP/1.1 100"), raw.buffer
        status, _, body = raw.send(form.body()).answer()
        assert status == 200, body


@pytest.mark.parametrize("purpose", ["batch", "batch-api"])
def test_3_2_purposes_taken(api, purpose):
    assert api.file(api.upload(DATA, purpose=purpose))["purpose"] == "batch"


@pytest.mark.parametrize(
    "purpose", ["fine-tune", "assistants", "batch_output", "Batch", "b" * 5000]
)
def test_3_2_other_purposes(api, purpose):
    answer = api.upload_raw(DATA, purpose=purpose)
    message = "Invalid purpose: only 'batch' accepted"
    check_error(answer, api.profile, 400, "invalid_value", "purpose", message)


@pytest.mark.parametrize(
    "filename", ["in.jsonl", "a.JSONL", "upload", "file", "data", "täglich ☃.jsonl"]
)
def test_3_2_names_taken(api, filename):
    """W8: the extension in any case."""
    assert api.file(api.upload(DATA, filename=filename))["filename"] == filename


@pytest.mark.parametrize("filename", ["in.json", "in.txt", "in.jsonl.gz", "in.csv", "in.jsonl.bak"])
def test_3_2_names_refused(api, filename):
    answer = api.upload_raw(DATA, filename=filename)
    message = "Invalid file format for Batch API. Must be .jsonl"
    check_error(answer, api.profile, 400, message=message)
    assert api.http.get("files").json()["data"] == []


PATH_LIKE = [
    "../../../../tmp/lowtide-escape.jsonl",
    "/tmp/lowtide-escape.jsonl",
    "..\\..\\lowtide-escape.jsonl",
    "a/b/c.jsonl",
    "..",
    ".jsonl",
    "-rf .jsonl",
    'quo"te.jsonl',
    "per%00cent%2f.jsonl",
    "x" * 300 + ".jsonl",
]


@pytest.mark.parametrize("filename", PATH_LIKE, ids=lambda name: name[:20])
def test_3_2_names_are_only_names(api, filename):
    answer = api.upload_raw(DATA, filename=filename)
    assert answer.status_code in (200, 400), answer.text
    assert not os.path.exists("/tmp/lowtide-escape.jsonl")
    outside = {p.name for p in api.server.directory.iterdir()}
    assert all(name == "data" or name.startswith("std") for name in outside), outside
    if answer.status_code == 200:
        made = check_file(answer.json())
        assert "/" not in made["filename"], made
        got = api.http.get(f"files/{made['id']}/content")
        assert got.content == DATA
        assert got.headers["content-disposition"].startswith("attachment")


@pytest.mark.parametrize(
    "name", [b"a\x00b.jsonl", b"\xff\xfe.jsonl", b"a\tb.jsonl", b"\x1b[2J.jsonl"]
)
def test_3_2_names_of_odd_bytes(api, name):
    form = Multipart().add('name="purpose"', b"batch")
    form.add('name="file"; filename="NAME"', DATA)
    body = form.body().replace(b"NAME", name)
    headers = {"Content-Type": form.content_type}
    answer = api.http.post("files", content=body, headers=headers)
    assert answer.status_code in (200, 400), answer.text
    if answer.status_code == 200:
        got = api.http.get(f"files/{check_file(answer.json())['id']}/content")
        assert got.content == DATA


def test_3_2_form_without_file(api):
    form = Multipart().add('name="purpose"', b"batch")
    check_error(post(api, form), api.profile, 400, "missing_required_parameter", "file")


def test_3_2_file_without_filename(api):
    form = Multipart().add('name="purpose"', b"batch").add('name="file"', DATA)
    check_error(post(api, form), api.profile, 400, "missing_required_parameter", "file")


def test_3_2_form_without_purpose(api):
    form = Multipart().add('name="file"; filename="in.jsonl"', DATA)
    check_error(post(api, form), api.profile, 400, "missing_required_parameter", "purpose")
    assert api.http.get("files").json()["data"] == []


def test_3_2_not_multipart(api):
    for headers in (
        {"Content-Type": "application/json"},
        {"Content-Type": "multipart/form-data"},
        {"Content-Type": "application/x-www-form-urlencoded"},
        {},
    ):
        answer = api.http.post("files", content=b'{"purpose": "batch"}', headers=headers)
        check_error(answer, api.profile, 400, "missing_required_parameter", "file")


def test_3_2_no_body_at_all(api):
    answer = api.http.post("files")
    check_error(answer, api.profile, 400, "missing_required_parameter", "file")


def test_3_2_form_that_is_not_closed(api):
    """Whatever was cut off at the end, it is no whole file."""
    form = Multipart().add('name="purpose"', b"batch")
    form.add('name="file"; filename="in.jsonl"', DATA)
    for body in (form.body(closed=False), form.body()[:-20], b"", b"--", b"no boundary at all"):
        headers = {"Content-Type": form.content_type}
        answer = api.http.post("files", content=body, headers=headers)
        check_error(answer, api.profile, 400, code=ANY, param=ANY)
    assert api.http.get("files").json()["data"] == []


def test_3_2_two_files_in_a_form(api):
    form = Multipart().add('name="purpose"', b"batch")
    form.add('name="file"; filename="one.jsonl"', DATA)
    form.add('name="file"; filename="two.jsonl"', DATA + DATA)
    answer = post(api, form)
    assert answer.status_code in (200, 400), answer.text
    if answer.status_code == 200:
        made = check_file(answer.json())
        assert api.content(made["id"]) == (DATA if made["bytes"] == len(DATA) else DATA + DATA)


def test_3_1_many_uploads_at_once(api):
    """Each client gets its own bytes back."""
    sizes = [0, 1, 1000, 65536, 1_000_000, 3_000_000] * 4
    given = [os.urandom(size) + b"\n" for size in sizes]
    with concurrent.futures.ThreadPoolExecutor(12) as pool:
        ids = list(pool.map(api.upload, given))
        assert list(pool.map(api.content, ids)) == given
    assert len(set(ids)) == len(given)


# ---- 3.2, 3.3: sizes and quotas ----


def test_3_2_zero_bytes_kimi(kimi):
    message = "File size is zero, please confirm and re-upload the file"
    check_error(kimi.upload_raw(b""), "kimi", 400, code=ANY, param=ANY, message=message)


def test_3_2_zero_bytes_openai(oai):
    file_id = oai.upload(b"")
    assert oai.file(file_id)["bytes"] == 0 and oai.content(file_id) == b""
    batch = oai.run(file_id, until="failed")
    assert oai.errors(batch) == [("empty_file", None, None)]


def test_3_2_too_large(serve, profile):
    api = serve(profile, {"limits.file_bytes": 2 << 20})
    exact = (b"x" * 1023 + b"\n") * 2048
    assert api.content(api.upload(exact)) == exact
    before = api.server.blobs()
    answer = api.upload_raw(exact + b"x")
    if profile == "kimi":
        message = (
            "File size is too large, max file size is 2MB, please confirm and re-upload the file "
            "(limits.file_bytes)"
        )
    else:
        message = "File is too large. The limit is 2MB (limits.file_bytes)."
    check_error(answer, profile, 400, code=ANY, param=ANY, message=message)
    form = Multipart().add('name="purpose"', b"batch")
    form.add('name="file"; filename="in.jsonl"', exact * 3)

    def pieces():  # no Content-Length: seen only while it comes in
        for at in range(0, len(form.body()), 1 << 16):
            yield form.body()[at : at + (1 << 16)]

    headers = {"Content-Type": form.content_type}
    answer = api.http.post("files", content=pieces(), headers=headers)
    check_error(answer, profile, 400, code=ANY, param=ANY, message=message)
    wait_until(lambda: api.server.blobs() == before, "nothing is left of a refused upload")


def answer_to_length(api, length):
    """The length says so before a byte has come in; the client may still send it all."""
    form = Multipart().add('name="purpose"', b"batch")
    head = [
        f"Content-Type: {form.content_type}",
        f"Content-Length: {length}",
        "Expect: 100-continue",
    ]
    with Raw(api.server) as raw:
        return raw.send(request("POST", "/v1/files", api.key, head)).answer()


def test_3_3_limit_of_the_vendor(serve, profile):
    limit = {"kimi": 100, "openai": 200}[profile]
    status, _, body = answer_to_length(serve(profile, {"limits.vendor": "true"}), (limit + 1) << 20)
    assert status == 400 and f"{limit}MB".encode() in body, body


def test_3_3_limit_of_our_own_is_8_gib(api):
    status, _, body = answer_to_length(api, (8 << 30) + (1 << 20))
    assert status == 400 and b"8GB" in body and b"limits.file_bytes" in body, body


def test_3_2_file_quota(serve, profile):
    api = serve(profile, {"limits.org.files": 3})
    ids = [api.upload(DATA) for _ in range(3)]
    message = ANY
    if profile == "kimi":
        message = (
            "The number of files you have uploaded exceeded the max file count 3, "
            "please delete previous uploaded files (limits.org.files)"
        )
    before = api.server.blobs()
    answer = api.upload_raw(DATA)
    check_error(answer, profile, 400, "file_quota_exceeded", param=ANY, message=message)
    wait_until(lambda: api.server.blobs() == before, "nothing is left of a refused upload")
    api.http.delete(f"files/{ids[0]}")
    api.upload(DATA)
    check_error(api.upload_raw(DATA), profile, 400, "file_quota_exceeded", param=ANY)


def test_3_2_byte_quota(serve, profile):
    api = serve(profile, {"limits.org.bytes": 5000})
    api.upload(b"x" * 3000)
    answer = api.upload_raw(b"x" * 2001)
    check_error(answer, profile, 400, "file_quota_exceeded", param=ANY)
    api.upload(b"x" * 2000)


def test_3_2_quota_is_per_organization(serve, on_server):
    api = serve(settings={"limits.org.files": 1})
    api.upload(DATA)
    assert api.upload_raw(DATA).status_code == 400
    on_server(api.server).upload(DATA)


# ---- 3.1: expiry ----


@pytest.mark.parametrize("seconds", [3600, 86400, 2592000])
def test_3_1_expires_after(api, seconds):
    fields = {"expires_after[anchor]": "created_at", "expires_after[seconds]": str(seconds)}
    made = api.upload_raw(DATA, **fields).json()
    assert made["expires_at"] == made["created_at"] + seconds


@pytest.mark.parametrize("seconds", ["3599", "2592001", "0", "-3600", "1e4", "3600.5", "soon", ""])
def test_3_1_expires_after_out_of_range(api, seconds):
    fields = {"expires_after[anchor]": "created_at", "expires_after[seconds]": seconds}
    answer = api.upload_raw(DATA, **fields)
    check_error(answer, api.profile, 400, code=ANY, param=ANY)
    assert "expires_after" in answer.json()["error"]["param"]


def test_3_1_expires_after_other_anchor(api):
    fields = {"expires_after[anchor]": "last_used_at", "expires_after[seconds]": "3600"}
    answer = api.upload_raw(DATA, **fields)
    check_error(answer, api.profile, 400, code=ANY, param=ANY)
    assert "expires_after" in answer.json()["error"]["param"]


@pytest.mark.meta_db
def test_3_2_an_expired_file_is_gone_and_its_batch_runs_on(serve, own_upstream):
    """3.2, 16.15"""
    api = serve(settings={"retention.sweep": "1s", "execution.concurrency": 5})
    mark = fresh()
    used = api.upload([line(f"{mark}-{n}", f"{mark}-{n} | hold:{mark}") for n in range(5)])
    spare = api.upload(DATA)
    batch = api.create(used)
    own_upstream.wait_sent(mark, 5)
    api.server.stop()
    change_rows(api.server.data, [used, spare], expires_at=int(time.time()) - 10)
    api.server.start()
    for file_id in (used, spare):
        check_error(api.http.get(f"files/{file_id}"), "kimi", 404, param="id")
        check_error(api.http.get(f"files/{file_id}/content"), "kimi", 404, param="id")
    assert api.http.get("files").json()["data"] == []
    wait_until(
        lambda: not any(spare in name for name in api.server.blobs()), "the bytes are removed"
    )
    assert any(used in name for name in api.server.blobs())
    own_upstream.release(mark)
    api.results(api.wait(batch, "completed"))
    wait_until(
        lambda: not any(used in name for name in api.server.blobs()), "the bytes are removed"
    )


def test_3_2_retention_by_configuration(serve):
    """Files that expire by themselves, while the server runs; batches keep their ids."""
    settings = {
        "retention.input_files": "4s",
        "retention.result_files": "2s",
        "retention.sweep": "1s",
    }
    api = serve(settings=settings)
    before = api.server.blobs()
    batch = api.run([line("a", fresh())])
    made, output = api.file(batch["input_file_id"]), api.file(batch["output_file_id"])
    assert made["expires_at"] == made["created_at"] + 4
    assert output["expires_at"] == output["created_at"] + 2
    for one in (output, made):
        wait_until(
            lambda one=one: api.http.get(f"files/{one['id']}").status_code == 404, "it expired"
        )
        assert time.time() >= one["expires_at"]
    assert listed(api)["data"] == []
    wait_until(lambda: api.server.blobs() == before, "the bytes are removed")
    assert api.get(batch["id"])["output_file_id"] == output["id"]


def test_3_2_option_to_refuse_a_first_line(serve, profile):
    api = serve(profile, {"validation.first_line": "true"})
    before = api.server.blobs()
    for data in (b"{\n", b"no json\n" + DATA, b"\n\n\xff\n" + DATA):
        check_error(api.upload_raw(data), profile, 400, code=ANY, param=ANY)
    wait_until(lambda: api.server.blobs() == before, "nothing is left of a refused upload")
    api.upload(DATA + b"{\n")


# ---- 3.1: list ----


def listed(api, **query):
    answer = api.http.get("files", params=query)
    assert answer.status_code == 200, answer.text
    page = answer.json()
    assert set(page) == {"object", "data", "first_id", "last_id", "has_more"}
    assert page["object"] == "list"
    for one in page["data"]:
        check_file(one)
    assert page["first_id"] == (page["data"][0]["id"] if page["data"] else None)
    assert page["last_id"] == (page["data"][-1]["id"] if page["data"] else None)
    assert page["data"] or not page["has_more"]
    return page


def paged(api, limit, **query):
    found, after = [], {}
    while True:
        page = listed(api, limit=limit, **query, **after)
        assert len(page["data"]) <= limit
        found += [one["id"] for one in page["data"]]
        if not page["has_more"]:
            return found
        assert len(page["data"]) == limit
        after = {"after": page["last_id"]}


def test_10_empty_list(api):
    page = listed(api)
    assert page["data"] == [] and page["has_more"] is False


def test_10_files_page_once_each_in_any_size(api):
    """16.20, W6: many in one second, in the order of making, every limit, both orders."""
    newest_first = [api.upload(DATA, filename=f"{n}.jsonl") for n in range(13)][::-1]
    assert [one["id"] for one in listed(api)["data"]] == newest_first
    for limit in (1, 2, 3, 5, 12, 13, 14, 10000):
        assert paged(api, limit) == newest_first
        assert paged(api, limit, order="desc") == newest_first
        assert paged(api, limit, order="asc") == newest_first[::-1]


def test_10_a_deleted_file_stays_a_cursor(api):
    made = [api.upload(DATA) for _ in range(8)]
    order = [one["id"] for one in listed(api)["data"]]
    page = listed(api, limit=3)
    for file_id in (order[2], order[3]):  # the cursor itself, and the next in line
        assert api.http.delete(f"files/{file_id}").json()["deleted"] is True
    rest = listed(api, limit=100, after=page["last_id"])
    assert [one["id"] for one in rest["data"]] == order[4:]
    backwards = listed(api, order="asc", after=order[3])
    assert [one["id"] for one in backwards["data"]] == order[:2][::-1]
    assert len(made) == 8


def test_10_new_files_while_paging_do_not_disturb(api):
    """W6: a file made while a client pages is on no later page."""
    made = [api.upload(DATA) for _ in range(4)]
    page = listed(api, limit=2)
    for _ in range(8):
        api.upload(DATA)
        rest = listed(api, after=page["last_id"])["data"]
        assert [one["id"] for one in page["data"] + rest] == made[::-1]


@pytest.mark.parametrize("after", ["file-unknown", "batch_x", "x" * 3000, "%", "\x00"])
def test_5_2_unknown_after(api, after):
    answer = api.http.get("files", params={"after": after})
    check_error(answer, api.profile, 400, "invalid_value", "after")


@pytest.mark.parametrize(
    ("limit", "code"),
    [
        ("10001", "integer_above_max_value"),
        ("99999999999999999999", "integer_above_max_value"),
        ("0", "integer_below_min_value"),
        ("-1", "integer_below_min_value"),
        ("ten", "invalid_type"),
        ("1.5", "invalid_type"),
    ],
)
def test_5_2_limit(api, limit, code):
    message = re.compile("Invalid 'limit'" if code != "invalid_type" else ".")
    answer = api.http.get("files", params={"limit": limit})
    check_error(answer, api.profile, 400, code, "limit", message)


def test_3_1_order_has_two_values(api):
    answer = api.http.get("files", params={"order": "sideways"})
    check_error(answer, api.profile, 400, code=ANY, param="order")


def test_3_1_list_by_purpose(api):
    file_id = api.upload([line("a", fresh())])
    batch = api.run(file_id)
    assert [one["id"] for one in listed(api, purpose="batch")["data"]] == [file_id]
    made = [one["id"] for one in listed(api, purpose="batch_output")["data"]]
    assert made == [batch["output_file_id"]]
    assert listed(api, purpose="vision")["data"] == []
    assert paged(api, 1, purpose="batch") == [file_id]


# ---- 3.1, 3.2: delete ----


def test_3_1_delete(api):
    file_id = api.upload(DATA)
    answer = api.http.delete(f"files/{file_id}")
    assert answer.status_code == 200
    assert answer.json() == {"id": file_id, "object": "file", "deleted": True}
    for method, path in (("GET", ""), ("GET", "/content"), ("DELETE", "")):
        again = api.http.request(method, f"files/{file_id}{path}")
        message = f"No such File object: {file_id}"
        check_error(again, api.profile, 404, param="id", message=message)
    assert listed(api)["data"] == []
    wait_until(
        lambda: not any(file_id in name for name in api.server.blobs()), "the bytes are removed"
    )


def test_3_2_deleting_the_input_of_a_running_batch(api, upstream):
    """16.15"""
    mark = fresh()
    file_id = api.upload([line(f"{mark}-{n}", f"{mark}-{n} | hold:{mark}") for n in range(100)])
    batch = api.create(file_id)
    upstream.wait_sent(mark, 10)
    assert api.http.delete(f"files/{file_id}").status_code == 200
    assert api.http.get(f"files/{file_id}").status_code == 404
    upstream.release(mark)
    batch = api.wait(batch, "completed")
    assert len(api.results(batch)[0]) == 100
    assert batch["input_file_id"] == file_id


def test_3_2_batches_keep_the_ids_of_deleted_results(api):
    batch = api.run([line("a", fresh())])
    assert api.http.delete(f"files/{batch['output_file_id']}").status_code == 200
    assert api.http.get(f"files/{batch['output_file_id']}/content").status_code == 404
    assert api.get(batch["id"])["output_file_id"] == batch["output_file_id"]


def test_3_2_delete_right_after_create(api):
    """The batch was taken on; its bytes stay until it is done."""
    for _ in range(10):
        file_id = api.upload([line("a", fresh())])
        batch = api.create(file_id)
        assert api.http.delete(f"files/{file_id}").status_code == 200
        api.wait(batch, "completed")


# ---- cut off in the middle ----


def test_upload_cut_off_leaves_nothing(api):
    form = Multipart().add('name="purpose"', b"batch")
    form.add('name="file"; filename="in.jsonl"', DATA * 40_000)
    whole = request(
        "POST", "/v1/files", api.key, [f"Content-Type: {form.content_type}"], form.body()
    )
    before = api.server.blobs()
    for end in (0.1, 0.5, 0.9, 0.9999):
        for way in ("reset", "close"):
            raw = Raw(api.server).send(whole[: int(len(whole) * end)])
            wait_until(lambda: api.server.blobs() != before, "the upload has begun")
            raw.reset() if way == "reset" else raw.sock.close()
            wait_until(lambda: api.server.blobs() == before, f"nothing is left ({way}, {end})")
    assert listed(api)["data"] == []


def test_upload_cut_off_by_kill_leaves_nothing(serve):
    api = serve()
    form = Multipart().add('name="purpose"', b"batch")
    form.add('name="file"; filename="in.jsonl"', DATA * 40_000)
    whole = request(
        "POST", "/v1/files", api.key, [f"Content-Type: {form.content_type}"], form.body()
    )
    before = api.server.blobs()
    with Raw(api.server) as raw:
        raw.send(whole[: len(whole) // 2])
        wait_until(lambda: api.server.blobs() != before, "the upload has begun")
        api.server.kill()
    api.server.start()
    assert api.server.blobs() == before
    assert listed(api)["data"] == []
