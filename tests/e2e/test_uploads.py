"""Uploads in parts (contract 4, and the rules of 3.2 and 3.3 that hold for them)."""

import concurrent.futures
import hashlib
import os
import pathlib
import random
import re

import httpx
import pytest
from support import server as program
from support.api import check_error, check_file
from support.jsonl import fresh, jsonl, numbered
from support.wire import Multipart, Raw, request, wait_until

MB = 1 << 20
UPLOAD_ID = re.compile(r"upload_[0-9a-f]{32}")
PART_ID = re.compile(r"part_[0-9a-f]{32}")
UPLOAD_MEMBERS = {
    "id", "object", "bytes", "created_at", "filename", "purpose", "status", "expires_at", "file",
}  # fmt: skip


def check_upload(value, status):
    assert set(value) >= UPLOAD_MEMBERS, value
    assert UPLOAD_ID.fullmatch(value["id"]) and value["object"] == "upload", value
    assert value["status"] == status and value["purpose"] == "batch", value
    assert value["expires_at"] == value["created_at"] + 3600, value
    if status == "completed":
        assert check_file(value["file"])["bytes"] == value["bytes"]
    else:
        assert value["file"] is None, value
    return value


def create_raw(api, data_bytes=3, headers=None, **more):
    members = {
        "bytes": data_bytes,
        "filename": "in.jsonl",
        "mime_type": "application/jsonl",
        "purpose": "batch",
        **more,
    }
    return api.http.post("uploads", json=members, headers=headers)


def create(api, data_bytes, **more):
    response = create_raw(api, data_bytes, **more)
    assert response.status_code == 200, response.text
    return check_upload(response.json(), "pending")["id"]


def part_raw(api, upload, data):
    return api.http.post(f"uploads/{upload}/parts", files={"data": ("blob", data)})


def part(api, upload, data):
    response = part_raw(api, upload, data)
    assert response.status_code == 200, response.text
    made = response.json()
    assert set(made) == {"id", "object", "created_at", "upload_id"}, made
    assert PART_ID.fullmatch(made["id"]) and made["object"] == "upload.part", made
    assert made["upload_id"] == upload and type(made["created_at"]) is int, made
    return made["id"]


def complete_raw(api, upload, parts, **more):
    return api.http.post(f"uploads/{upload}/complete", json={"part_ids": parts, **more})


def complete(api, upload, parts, **more):
    response = complete_raw(api, upload, parts, **more)
    assert response.status_code == 200, response.text
    return check_upload(response.json(), "completed")["file"]["id"]


def cancel_raw(api, upload):
    return api.http.post(f"uploads/{upload}/cancel")


def check_not_pending(response, api, status):
    check_error(response, api.profile, 400, message=re.compile(f"is {status}"))


def pieces(data, count):
    """`data` cut at random places, some pieces perhaps empty."""
    cuts = sorted(random.Random(len(data)).choices(range(len(data) + 1), k=count - 1))
    return [data[a:b] for a, b in zip([0, *cuts], [*cuts, len(data)], strict=True)]


def stored(api):
    """Blobs of files and parts."""
    return {name for name in api.server.blobs() if name.startswith("files/")}


# ---- the official client ----


def check_runs(api, file_id, data, count):
    assert api.content(file_id) == data
    batch = api.wait(api.create(file_id), "completed")
    assert batch["request_counts"] == {"total": count, "completed": count, "failed": 0}


def test_4_python_upload_file_chunked(api, tmp_path):
    data = jsonl(numbered(fresh(), 300))
    path = tmp_path / "in.jsonl"
    path.write_bytes(data)
    digest = hashlib.md5(data).hexdigest()
    made = api.sdk.uploads.upload_file_chunked(
        file=path, mime_type="application/jsonl", purpose="batch", part_size=5000, md5=digest
    )
    assert (made.status, made.bytes, made.filename) == ("completed", len(data), "in.jsonl")
    assert made.file.id and made.file.purpose == "batch" and made.file.status == "processed"
    assert api.sdk.files.retrieve(made.file.id) == made.file
    check_runs(api, made.file.id, data, 300)


def test_4_python_upload_file_chunked_from_memory(api):
    data = jsonl(numbered(fresh(), 20))
    made = api.sdk.uploads.upload_file_chunked(
        file=data, filename="in.jsonl", bytes=len(data), mime_type="application/jsonl",
        purpose="batch",
    )  # fmt: skip
    check_runs(api, made.file.id, data, 20)


def test_4_python_each_call(api):
    sdk, data = api.sdk, jsonl(numbered(fresh(), 5))
    made = sdk.uploads.create(
        bytes=len(data), filename="a.jsonl", mime_type="text/plain", purpose="batch",
        expires_after={"anchor": "created_at", "seconds": 7200},
    )  # fmt: skip
    assert made.status == "pending" and made.file is None
    assert made.expires_at == made.created_at + 3600
    one = sdk.uploads.parts.create(made.id, data=data)
    assert one.object == "upload.part" and one.upload_id == made.id
    done = sdk.uploads.complete(made.id, part_ids=[one.id])
    assert done.file.expires_at == done.file.created_at + 7200
    other = sdk.uploads.create(bytes=1, filename="b", mime_type="x", purpose="batch")
    assert sdk.uploads.cancel(other.id).status == "cancelled"


# ---- the file is the list's bytes ----


def test_4_parts_in_any_order_and_twice(api):
    """Sent in another order, one sent twice, one that is not listed, one that is listed twice."""
    data = jsonl(numbered(fresh(), 100))
    cut = pieces(data, 7)
    whole = b"".join(cut[:3]) + cut[1] + b"".join(cut[3:])
    upload = create(api, len(whole))
    ids = {n: part(api, upload, cut[n]) for n in (4, 0, 6, 1, 5, 3, 2)}
    again = part(api, upload, cut[5])
    part(api, upload, b"not listed")
    order = [ids[0], ids[1], ids[2], ids[1], ids[3], ids[4], again, ids[6]]
    assert api.content(complete(api, upload, order)) == whole


@pytest.mark.parametrize("count", [1, 2, 9])
def test_4_parts_in_turn_are_not_copied(serve, count):
    """The upload's own blob becomes the file: the same inode, and nothing is left beside it."""
    api = serve()
    data = jsonl(numbered(fresh(), 60))
    upload = create(api, len(data))
    ids = [part(api, upload, one) for one in pieces(data, count)]
    (blob,) = stored(api)
    before = os.stat(api.server.data / blob)
    file_id = complete(api, upload, ids)
    assert stored(api) == {f"files/{file_id}.jsonl", f"files/{file_id}.index"}
    after = os.stat(api.server.data / f"files/{file_id}.jsonl")
    assert (before.st_ino, before.st_size) == (after.st_ino, after.st_size)
    check_runs(api, file_id, data, 60)


def test_4_what_is_copied_leaves_no_parts(serve):
    api = serve()
    data = jsonl(numbered(fresh(), 60))
    upload = create(api, len(data))
    ids = [part(api, upload, one) for one in reversed(pieces(data, 5))]
    file_id = complete(api, upload, ids[::-1])
    left = {f"files/{file_id}.jsonl", f"files/{file_id}.index"}
    wait_until(lambda: stored(api) == left, "the blobs of the parts go")
    check_runs(api, file_id, data, 60)


def half_a_part(api, upload, data):
    """A part of which the end has not been sent: (socket, what is left to send)."""
    form = Multipart().add('name="data"; filename="x"', data)
    path = f"/v1/uploads/{upload}/parts"
    text = request("POST", path, api.key, [f"Content-Type: {form.content_type}"], form.body())
    half = len(text) - len(data) // 2 - 50
    return Raw(api.server).send(text[:half]), text[half:]


def test_4_parts_at_the_same_time(serve):
    """While one is being sent the others lie beside it; all orders are whole."""
    api = serve()
    data = jsonl(numbered(fresh(), 4000))
    cut = pieces(data, 3)
    upload = create(api, len(data))
    raw, rest = half_a_part(api, upload, cut[0])
    wait_until(lambda: stored(api), "the first has begun")
    second, third = part(api, upload, cut[1]), part(api, upload, cut[2])
    status, _, body = raw.send(rest).answer()
    assert status == 200, body
    first = re.search(r"part_[0-9a-f]+", body.decode())[0]
    file_id = complete(api, upload, [first, second, third])
    left = {f"files/{file_id}.jsonl", f"files/{file_id}.index"}
    wait_until(lambda: stored(api) == left, "the blobs of the parts go")
    check_runs(api, file_id, data, 4000)


def test_4_a_part_that_breaks_off_leaves_nothing(serve):
    """Its bytes stood where the next part's then stand; what is behind the last is cut off."""
    api = serve()
    data = jsonl(numbered(fresh(), 3000))
    cut = pieces(data, 3)
    upload = create(api, len(data))
    ids = [part(api, upload, cut[0])]
    for one in cut[1:]:
        raw, _ = half_a_part(api, upload, b"x" * (3 * len(data)))
        wait_until(lambda: size_of(api) > len(data), "some of it is on disk")
        raw.reset()
        wait_until(lambda: size_of(api) <= len(data), "it is cut off")
        ids.append(part(api, upload, one))
    file_id = complete(api, upload, ids)
    left = {f"files/{file_id}.jsonl", f"files/{file_id}.index"}
    wait_until(lambda: stored(api) == left, "nothing is left beside it")
    check_runs(api, file_id, data, 3000)


def tmp(api):
    return {name for name in api.server.blobs() if name.startswith("tmp/")}


def size_of(api):
    return sum(os.stat(api.server.data / name).st_size for name in stored(api))


def test_4_no_parts_at_all(oai, kimi):
    """3.2: zero bytes are a file in the profile openai, and refused at once in kimi."""
    file_id = complete(oai, create(oai, 0), [])
    assert oai.content(file_id) == b""
    message = "File size is zero, please confirm and re-upload the file"
    check_error(create_raw(kimi, 0), "kimi", 400, message=message)


# ---- refusals leave it pending ----


def test_4_sizes_and_md5_must_agree(api):
    data = jsonl(numbered(fresh(), 10))
    upload = create(api, len(data))
    a, b, more = (part(api, upload, one) for one in (data[:100], data[100:], b"x"))
    wrong = hashlib.md5(b"x").hexdigest()
    for parts in ([a], [], [a, b, more], [b], [a, b, b]):
        response = complete_raw(api, upload, parts)
        check_error(response, api.profile, 400, "invalid_value", "part_ids")
    for parts in ([a, b], [b, a]):
        response = complete_raw(api, upload, parts, md5=wrong)
        check_error(response, api.profile, 400, "invalid_value", "md5")
    file_id = complete(api, upload, [a, b], md5=hashlib.md5(data).hexdigest().upper())
    assert api.content(file_id) == data


def test_4_unknown_parts(api):
    upload, other = create(api, 3), create(api, 3)
    ours, theirs = part(api, upload, b"{}\n"), part(api, other, b"{}\n")
    for given in (theirs, "part_" + "0" * 32, "", "x" * 5000, ours + "\0", ours[:-1]):
        response = complete_raw(api, upload, [given])
        check_error(response, api.profile, 400, "invalid_value", "part_ids")
    complete(api, upload, [ours])
    response = complete_raw(api, other, [ours])
    check_error(response, api.profile, 400, "invalid_value", "part_ids")


def test_4_complete_again_and_nothing_else(api):
    data = b"{}\n" * 20
    upload = create(api, 60)
    ids = [part(api, upload, one) for one in (data[:30], data[30:])]
    file_id = complete(api, upload, ids)
    assert complete(api, upload, ids) == file_id
    for response in (
        complete_raw(api, upload, ids[::-1]),
        complete_raw(api, upload, []),
        part_raw(api, upload, b"x"),
        cancel_raw(api, upload),
    ):
        check_not_pending(response, api, "completed")
    assert len(api.http.get("files").json()["data"]) == 1
    api.http.delete(f"files/{file_id}")
    response = complete_raw(api, upload, ids)
    check_error(response, api.profile, 404, param="id")


def test_4_cancelled_is_over(api):
    upload = create(api, 3)
    one = part(api, upload, b"{}\n")
    check_upload(cancel_raw(api, upload).json(), "cancelled")
    for response in (
        complete_raw(api, upload, [one]),
        part_raw(api, upload, b"x"),
        cancel_raw(api, upload),
    ):
        check_not_pending(response, api, "cancelled")
    assert api.http.get("files").json()["data"] == []


def test_4_cancelled_leaves_nothing_on_disk(serve):
    """Also where a part is being sent: it is refused, and what it wrote goes."""
    api = serve()
    upload = create(api, 3)
    part(api, upload, b"{}\n")
    raws = [half_a_part(api, upload, b"x" * 3_000_000) for _ in range(2)]
    wait_until(lambda: size_of(api) > 200_000 and tmp(api), "they have begun")
    assert cancel_raw(api, upload).status_code == 200
    wait_until(lambda: not stored(api), "the blob goes")
    for raw, rest in raws:
        assert raw.send(rest).answer()[0] == 400
    assert stored(api) == set()
    assert api.http.get("files").json()["data"] == []


def test_4_two_complete_at_once_make_one_file(api):
    data = jsonl(numbered(fresh(), 3000))
    for order in (1, -1):  # in place, and copied
        upload = create(api, len(data))
        cut = pieces(data, 4)[::order]
        ids = [part(api, upload, one) for one in cut][::order]
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            answers = list(pool.map(lambda _: complete_raw(api, upload, ids), range(8)))  # noqa: B023
        made = {one.json()["file"]["id"] for one in answers if one.status_code == 200}
        assert len(made) == 1
        for one in answers:
            if one.status_code != 200:
                check_error(one, api.profile, 409)
                assert int(one.headers["retry-after"]) >= 1
        assert api.content(made.pop()) == data
    assert len(api.http.get("files").json()["data"]) == 2


def test_4_completed_while_another_works(serve, failpoints, tmp_path):
    """409 with Retry-After, which the official client waits for: it gets the same file."""
    slow = tmp_path / "slow"
    api = serve(start=False)
    api.server.start(env={"LOWTIDE_FAILPOINTS": f"sys.sync=delay:1500:{slow}"})
    upload = create(api, 3)
    ids = [part(api, upload, b"{}\n")]
    slow.touch()
    sdk = api.sdk.with_options(max_retries=2)
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        calls = [pool.submit(complete_raw, api, upload, ids) for _ in range(2)]
        over, works = concurrent.futures.wait(calls, return_when=concurrent.futures.FIRST_COMPLETED)
        refused = over.pop().result()
        assert refused.status_code == 409 and int(refused.headers["Retry-After"]) >= 1
        slow.unlink()
        again = sdk.uploads.complete(upload, part_ids=ids)
        assert works.pop().result().json()["file"]["id"] == again.file.id


# ---- bad input ----

GOOD = {"bytes": 3, "filename": "in.jsonl", "mime_type": "text/plain", "purpose": "batch"}
BAD_CREATES = [
    *(({name: None}, name, "missing_required_parameter") for name in GOOD),
    ({"bytes": "3"}, "bytes", "invalid_type"),
    ({"bytes": 3.5}, "bytes", "invalid_type"),
    ({"bytes": [3]}, "bytes", "invalid_type"),
    ({"bytes": -1}, "bytes", "integer_below_min_value"),
    ({"filename": 3}, "filename", "invalid_type"),
    ({"filename": ""}, "filename", "missing_required_parameter"),
    ({"filename": "a/"}, "filename", "missing_required_parameter"),
    ({"filename": "a\0b"}, "filename", "invalid_value"),
    ({"filename": "a" * 600}, "filename", "invalid_value"),
    ({"mime_type": {}}, "mime_type", "invalid_type"),
    ({"purpose": "assistants"}, "purpose", "invalid_value"),
    ({"purpose": "batch\0"}, "purpose", "invalid_value"),
    ({"purpose": ""}, "purpose", "invalid_value"),
    ({"purpose": True}, "purpose", "invalid_type"),
    ({"expires_after": 3600}, "expires_after", "invalid_type"),
    ({"expires_after": {}}, "expires_after.anchor", "missing_required_parameter"),
    ({"expires_after": {"anchor": "x", "seconds": 3600}}, "expires_after.anchor", "invalid_value"),
    (
        {"expires_after": {"anchor": "created_at", "seconds": 3599}},
        "expires_after.seconds",
        "integer_below_min_value",
    ),
    (
        {"expires_after": {"anchor": "created_at", "seconds": "3600"}},
        "expires_after.seconds",
        "invalid_type",
    ),
]


@pytest.mark.parametrize(("change", "param", "code"), BAD_CREATES)
def test_4_bad_creates(api, change, param, code):
    check_error(create_raw(api, **{"data_bytes": 3, **{("data_bytes" if k == "bytes" else k): v
                for k, v in change.items()}}), api.profile, 400, code, param)  # fmt: skip


def test_4_good_creates(api):
    for more in (
        {"filename": "dir/a.JSONL"},
        {"filename": "noextension"},
        {"purpose": "batch-api"},
        {"mime_type": ""},
        {"expires_after": None},
        {"unknown": {"a": [1]}},
        {"expires_after": {"anchor": "created_at", "seconds": 2592000}},
    ):
        create(api, 3, **more)


def test_4_name_and_size_as_for_files(api):
    """3.2, 3.3."""
    message = "Invalid file format for Batch API. Must be .jsonl"
    check_error(create_raw(api, filename="a.txt"), api.profile, 400, message=message)
    message = re.compile(r"8GB.*\(limits\.upload_bytes\)")
    check_error(create_raw(api, (8 << 30) + 1), api.profile, 400, message=message)
    check_error(create_raw(api, 10**30), api.profile, 400, message=message)
    create(api, 8 << 30)


def test_4_no_limit_has_an_end(serve):
    """Sums of announced bytes stay integers, and no answer is a 500 for them."""
    api = serve(settings={"limits.upload_bytes": 0, "limits.org.bytes": 0})
    for _ in range(3):
        create(api, 1 << 53)
    for size in ((1 << 53) + 1, (1 << 63) - 1, 10**30):
        check_error(create_raw(api, size), api.profile, 400, "integer_above_max_value", "bytes")


BAD_COMPLETES = [
    ({}, "part_ids", "missing_required_parameter"),
    ({"part_ids": None}, "part_ids", "missing_required_parameter"),
    ({"part_ids": "part_x"}, "part_ids", "invalid_type"),
    ({"part_ids": {}}, "part_ids", "invalid_type"),
    ({"part_ids": ["x", 3]}, "part_ids[1]", "invalid_type"),
    ({"part_ids": [["x"]]}, "part_ids[0]", "invalid_type"),
    ({"part_ids": [None]}, "part_ids[0]", "invalid_type"),
    ({"part_ids": ["x"] * 16385}, "part_ids", "invalid_value"),
    ({"part_ids": [], "md5": 3}, "md5", "invalid_type"),
    ({"part_ids": [], "md5": ""}, "md5", "invalid_value"),
    ({"part_ids": [], "md5": "g" * 32}, "md5", "invalid_value"),
    ({"part_ids": [], "md5": "a" * 31 + "\0"}, "md5", "invalid_value"),
    ({"part_ids": [], "md5": "a" * 33}, "md5", "invalid_value"),
]


@pytest.mark.parametrize(("members", "param", "code"), BAD_COMPLETES)
def test_4_bad_completes(api, members, param, code):
    upload = create(api, 3)
    response = api.http.post(f"uploads/{upload}/complete", json=members)
    check_error(response, api.profile, 400, code, param)
    complete(api, upload, [part(api, upload, b"{}\n")], md5=None)


def test_4_bad_parts(api):
    upload = create(api, 3)
    path = f"uploads/{upload}/parts"
    missing = ("missing_required_parameter", "data")
    for response in (
        api.http.post(path),
        api.http.post(path, json={"data": "x"}),
        api.http.post(path, files={"file": ("x", b"y")}),
    ):
        check_error(response, api.profile, 400, *missing)
    twice = [("data", ("x", b"y")), ("data", ("x", b"z"))]
    response = api.http.post(path, files=twice)
    check_error(response, api.profile, 400, "invalid_value", "data")
    form = Multipart().add('name="data"; filename="x"', b"{}\n")
    headers = {"Content-Type": form.content_type}
    response = api.http.post(path, content=form.body(closed=False), headers=headers)
    check_error(response, api.profile, 400, message=re.compile("malformed"))
    response = api.http.post(path, content=b"x", headers={**headers, "Content-Encoding": "gzip"})
    check_error(response, api.profile, 415, "unsupported_media_type")
    # a field without a filename will do, among others that are not asked for
    form = Multipart().add('name="x"', b"1").add('name="data"', b"{}\n").add('name="y"', b"2")
    response = api.http.post(path, content=form.body(), headers={"Content-Type": form.content_type})
    assert response.status_code == 200, response.text
    file_id = complete(api, upload, [response.json()["id"]])
    assert api.content(file_id) == b"{}\n"


def test_4_a_part_of_more_than_64_mb_is_413(api):
    upload = create(api, 3)
    most = 64 * MB
    with Raw(api.server) as raw:  # at once, by its length
        head = request("POST", f"/v1/uploads/{upload}/parts", api.key, [
            f"Content-Type: {Multipart().content_type}", f"Content-Length: {most + MB}",
            "Expect: 100-continue"])  # fmt: skip
        assert raw.send(head).answer()[0] == 413
    form = Multipart().add('name="data"; filename="x"', b"x" * (most + 1))
    headers = {"Content-Type": form.content_type}
    text = form.body()

    def chunked():
        for at in range(0, len(text), MB):
            yield text[at : at + MB]

    for content in (text, chunked()):
        response = api.http.post(f"uploads/{upload}/parts", content=content, headers=headers)
        check_error(response, api.profile, 413, "request_too_large")
    part(api, upload, b"x" * most)


def test_2_3_no_such_upload(api):
    upload = "upload_" + "0" * 32
    for response in (
        part_raw(api, upload, b"x"),
        complete_raw(api, upload, []),
        cancel_raw(api, upload),
    ):
        message = f"No such Upload object: {upload}"
        check_error(response, api.profile, 404, param="id", message=message)


def test_3_2_first_line(serve):
    api = serve(settings={"validation.first_line": "true"})
    upload = create(api, 8)
    bad, good, rest = (part(api, upload, one) for one in (b"nope", b"{} \n", b"{}  "))
    for parts in ([bad, rest], [bad, good]):
        message = re.compile("first line is not a JSON object")
        check_error(complete_raw(api, upload, parts), "kimi", 400, message=message)
    complete(api, upload, [good, rest])


# ---- repeated calls (2.4) ----


def test_2_4_idempotency_key_of_create(api):
    key = {"Idempotency-Key": fresh()}
    first = create_raw(api, 3, headers=key)
    upload = first.json()["id"]
    part(api, upload, b"{}\n")
    assert create_raw(api, 3, headers=key).json() == first.json()
    assert create_raw(api, 4, headers=key).status_code == 422
    assert create(api, 3) != upload


def test_2_4_resent_create(api):
    name = fresh() + ".jsonl"
    first = create_raw(api, 3, filename=name).json()
    again = create_raw(api, 3, filename=name, headers={"x-stainless-retry-count": "1"}).json()
    assert again == first
    assert create(api, 3, filename=name) != first["id"]


# ---- quotas, limits (3.3, 13.1) ----


def check_quota(response):
    check_error(response, "kimi", 400, "file_quota_exceeded")


def test_3_3_its_bytes_are_reserved_until_it_ends(serve):
    """From its beginning on, across a restart, until it is cancelled or completed."""
    api = serve(settings={"limits.org.bytes": 1000, "retention.sweep": "1s"})
    upload = create(api, 600)
    check_quota(create_raw(api, 401))
    check_quota(api.upload_raw(b"x" * 401))
    api.server.kill()
    api.server.start()
    check_quota(create_raw(api, 401))
    rest = create(api, 400)
    assert cancel_raw(api, rest).status_code == 200
    file_id = complete(api, upload, [part(api, upload, b"{}" + b"\n" * 598)])
    check_quota(create_raw(api, 401))
    rest = create(api, 400)
    # parts beyond what was announced count, too
    ids = [part(api, rest, b"\n" * 400)]
    check_quota(part_raw(api, rest, b"\n"))
    api.http.delete(f"files/{file_id}")
    part(api, rest, b"\n" * 600)
    check_quota(part_raw(api, rest, b"\n"))
    complete(api, rest, ids)
    create(api, 600)


def test_3_3_the_number_of_files(serve):
    api = serve(settings={"limits.org.files": 2})
    create(api, 1)
    api.upload(b"{}\n")
    check_quota(create_raw(api, 1))
    check_quota(api.upload_raw(b"{}\n"))


def test_13_1_uploads_under_way(serve):
    """Pending ones, files that are being uploaded, and parts that are being sent."""
    api = serve(settings={"limits.org.uploads": 2})
    first, second = create(api, 3), create(api, 3)
    response = create_raw(api, 3)
    check_error(response, "kimi", 429, "rate_limit_exceeded", error_type="rate_limit_reached_error")
    assert int(response.headers["retry-after"]) >= 1
    assert api.upload_raw(b"{}\n").status_code == 429  # files count, too
    raws = [half_a_part(api, first, b"x" * 3_000_000) for _ in range(2)]
    wait_until(lambda: stored(api) and tmp(api), "both have begun")
    assert part_raw(api, second, b"x").status_code == 429
    for raw, rest in raws:
        assert raw.send(rest).answer()[0] == 200
    one = part(api, second, b"{}\n")
    complete(api, second, [one])
    create(api, 3)
    assert cancel_raw(api, first).status_code == 200
    assert api.upload_raw(b"{}\n").status_code == 200  # there is room again


def test_2_3_a_full_disk_is_507(serve, failpoints, tmp_path):
    full = tmp_path / "full"
    api = serve(start=False)
    api.server.start(env={"LOWTIDE_FAILPOINTS": f"blob.write=enospc:{full}"})
    data = b"{}\n" * 10
    upload = create(api, len(data))
    ids = [part(api, upload, one) for one in (data[10:], data[:10])]  # so that they are copied
    full.touch()
    response = complete_raw(api, upload, ids[::-1])
    check_error(response, "kimi", 507, "insufficient_storage")
    full.unlink()
    assert api.content(complete(api, upload, ids[::-1])) == data


# ---- expiry ----


def test_4_expired_after_an_hour(serve, failpoints, tmp_path):
    """The next sweep removes what came, and gives the room back."""
    later = tmp_path / "later"
    settings = {"limits.org.bytes": 150, "retention.sweep": "1s"}
    api = serve(start=False, settings=settings)
    ahead = {"LOWTIDE_FAILPOINTS": f"clock=3590:{later}"}
    api.server.start(env=ahead)
    upload = create(api, 100)
    ids = [part(api, upload, b"{}" + b"\n" * 98)]
    check_quota(create_raw(api, 51))
    later.touch()
    api.server.restart(env=ahead)
    assert part(api, upload, b"x")[:5] == "part_"  # ten seconds are left
    gone = {"LOWTIDE_FAILPOINTS": f"clock=3601:{later}"}
    api.server.restart(env=gone)
    for response in (
        complete_raw(api, upload, ids),
        part_raw(api, upload, b"x"),
        cancel_raw(api, upload),
    ):
        check_not_pending(response, api, "expired")
    wait_until(lambda: not stored(api), "its blobs go")
    create(api, 150)


# ---- restarts and kills ----


def test_4_restart_in_the_middle(serve):
    """kill -9 after each part; and while one is being sent."""
    api = serve()
    data = jsonl(numbered(fresh(), 500))
    cut = pieces(data, 4)
    upload = create(api, len(data))
    ids = []
    for n, one in enumerate(cut):
        ids.append(part(api, upload, one))
        if n in (2, 3):
            _held = half_a_part(api, upload, b"x" * 3_000_000)
            wait_until(lambda: size_of(api) > 400_000, "some of it is on disk")
        api.server.kill()
        api.server.start()
    file_id = complete(api, upload, ids)
    names = {f"files/{file_id}.jsonl", f"files/{file_id}.index"}
    assert {name for name in api.server.blobs() if not name.startswith("batches/")} == names
    check_runs(api, file_id, data, 500)


POINTS = ["part.before_row", "part.after_row"]


@pytest.mark.parametrize("beside", [False, True], ids=["in turn", "beside another"])
@pytest.mark.parametrize("name", POINTS)
def test_4_killed_in_a_part(serve, failpoints, name, beside):
    """The client has no answer and sends it again: the file is whole, whichever id it lists."""
    api = serve(start=False)
    data = jsonl(numbered(fresh(), 3000))
    cut = pieces(data, 3)
    api.server.start(env={"LOWTIDE_FAILPOINTS": f"{name}=kill@2"})
    upload = create(api, len(data))
    ids = [part(api, upload, cut[0])]
    if beside:
        _held = half_a_part(api, upload, b"x" * 3_000_000)
        wait_until(lambda: size_of(api) > 200_000 + len(cut[0]), "another is being sent")
    with pytest.raises(httpx.TransportError):
        part_raw(api, upload, cut[1])
    api.server.wait_killed()
    api.server.start()
    ids += [part(api, upload, one) for one in cut[1:]]
    file_id = complete(api, upload, ids)
    left = {f"files/{file_id}.jsonl", f"files/{file_id}.index"}
    wait_until(lambda: stored(api) == left, "nothing is left beside it")
    check_runs(api, file_id, data, 3000)


# point: whether the file is there afterwards
COMPLETING = {
    "ingest.before_rename": False,
    "ingest.after_rename": False,
    "upload.before_complete": False,
    "upload.after_complete": True,
}


@pytest.mark.parametrize("order", [1, -1], ids=["in place", "copied"])
@pytest.mark.parametrize("name", COMPLETING)
def test_4_killed_in_complete(serve, failpoints, name, order):
    """Complete again, with the same parts: one file, and no blob beside it."""
    api = serve(start=False)
    data = jsonl(numbered(fresh(), 300))
    upload_parts(api, data, order, {})
    upload, ids = api.pending
    api.server.kill()
    api.server.start(env={"LOWTIDE_FAILPOINTS": f"{name}=kill"})
    with pytest.raises(httpx.TransportError):
        complete_raw(api, upload, ids)
    api.server.wait_killed()
    api.server.start()
    assert len(api.http.get("files").json()["data"]) == COMPLETING[name]
    file_id = complete(api, upload, ids)
    assert [one["id"] for one in api.http.get("files").json()["data"]] == [file_id]
    left = {f"files/{file_id}.jsonl", f"files/{file_id}.index"}
    wait_until(lambda: stored(api) == left, "nothing is left beside it")
    check_runs(api, file_id, data, 300)


def upload_parts(api, data, order, env):
    """Starts the server and sends `data` in parts, in turn (1) or backwards (-1)."""
    api.server.start(env=env)
    upload = create(api, len(data))
    ids = [part(api, upload, one) for one in pieces(data, 4)[::order]][::order]
    api.pending = upload, ids


def test_4_cancelled_while_complete_copies(serve, failpoints, tmp_path):
    """The parts go under the copy: the answer is that of an upload that has ended."""
    slow = tmp_path / "slow"
    api = serve(start=False)
    data = jsonl(numbered(fresh(), 300))
    upload_parts(api, data, -1, {"LOWTIDE_FAILPOINTS": f"blob.write=delay:2000:{slow}"})
    upload, ids = api.pending
    slow.touch()
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        answer = pool.submit(complete_raw, api, upload, ids)
        wait_until(lambda: list((api.server.data / "tmp").iterdir()), "it copies")
        assert cancel_raw(api, upload).status_code == 200
        wait_until(lambda: not stored(api), "its parts go")
        slow.unlink()
        check_not_pending(answer.result(), api, "cancelled")
    wait_until(lambda: not stored(api), "nothing is left")


def test_4_killed_in_a_cancel(serve, failpoints):
    api = serve(start=False)
    upload_parts(api, b"{}\n" * 9, 1, {"LOWTIDE_FAILPOINTS": "upload.after_cancel=kill"})
    upload, ids = api.pending
    with pytest.raises(httpx.TransportError):
        cancel_raw(api, upload)
    api.server.wait_killed()
    api.server.start()
    check_not_pending(complete_raw(api, upload, ids), api, "cancelled")
    wait_until(lambda: not stored(api), "its blobs go")
    assert not [name for name in api.server.blobs() if name.startswith("lost/")]


# ---- memory ----


def peak(api):
    status = pathlib.Path(f"/proc/{api.server.process.pid}/status").read_text()
    return int(re.search(r"VmHWM:\s+(\d+) kB", status)[1]) << 10


@pytest.mark.parametrize("order", [1, -1], ids=["in place", "copied"])
def test_16_26_memory_does_not_grow_with_the_file(serve, order):
    """256 MB in parts of 32 MB. On the release build, where there is one: under a sanitizer memory
    says nothing, and 16 MB will do."""
    api = serve(start=False)
    release = program.ROOT / "build" / "lowtide"
    sanitized = "build-test" in str(program.BINARY)
    if sanitized and has_uploads(release):
        command = api.server.command
        api.server.command = lambda: [str(release), *command()[1:]]
        sanitized = False
    api.server.start()
    one = jsonl(numbered(fresh(), 1000)) * (12 if sanitized else 200)
    size = len(one)
    api.http.timeout = 600
    upload = create(api, 8 * size)
    ids = [part(api, upload, one) for _ in range(8)]
    before = peak(api)
    complete(api, upload, ids[::order])
    if not sanitized:
        assert before < 48 * MB and peak(api) < 48 * MB


def has_uploads(binary):
    return binary.is_file() and b"/v1/uploads/{id}/complete" in binary.read_bytes()
