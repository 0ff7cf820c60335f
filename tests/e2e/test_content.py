"""Contract 3.1, 3.2: download: headers, Range, ETag, HEAD, gzip; byte for byte."""

import gzip
import random
import re

import httpx
import pytest
from support.api import ANY, check_error, check_headers
from support.jsonl import fresh, jsonl, line
from support.wire import Raw, request

random.seed(16)
BLOB = random.randbytes(300_000) + b"\r\n\x00\xef\xbb\xbf" + b"line\n" * 20_000


@pytest.fixture
def blob(api):
    """(api, path of the content) of a file with every byte value in it."""
    return api, f"files/{api.upload(BLOB)}/content"


def get(api, path, method="GET", **headers):
    headers = {k.replace("_", "-"): v for k, v in headers.items()}
    headers.setdefault("Accept-Encoding", "identity")
    return api.http.request(method, path, headers=headers)


def test_3_2_download(blob):
    api, path = blob
    got = get(api, path, Accept="application/binary")
    assert got.status_code == 200 and got.content == BLOB
    check_headers(got)
    assert got.headers["content-type"] == "application/octet-stream"
    assert got.headers["content-length"] == str(len(BLOB))
    assert got.headers["content-disposition"] == 'attachment; filename="in.jsonl"'
    assert re.fullmatch(r'"[^"]+"', got.headers["etag"])


def test_3_2_result_files_have_names(api):
    mark = fresh()
    batch = api.run([line("a", mark), line("b", f"{mark}b | status:400")])
    for member, end in (("output_file_id", "output"), ("error_file_id", "error")):
        got = api.http.get(f"files/{batch[member]}/content")
        name = f"{batch['id']}_{end}.jsonl"
        assert got.headers["content-disposition"] == f'attachment; filename="{name}"'
        assert api.file(batch[member])["filename"] == name


def test_16_15_reads_back_byte_for_byte_after_use_and_restart(serve):
    api = serve()
    data = b"\xef\xbb\xbf" + jsonl([line("ä", fresh())])[:-1] + b"\r\n\r\n  \n" + line("b", fresh())
    file_id = api.upload(data)
    assert api.content(file_id) == data
    api.run(file_id)
    assert api.content(file_id) == data
    api.server.restart()
    assert api.content(file_id) == data


RANGES = [
    ("bytes=0-0", 0, 1),
    ("bytes=0-9", 0, 10),
    ("bytes=100-", 100, None),
    ("bytes=-5", -5, None),
    ("bytes=299990-300100", 299_990, 300_101),
    ("bytes=5-99999999", 5, None),
    ("bytes=-99999999", 0, None),
    ("bytes=0-", 0, None),
    ("bytes= 1-2", 1, 3),
]


@pytest.mark.parametrize(("given", "start", "end"), RANGES)
def test_3_2_range(blob, given, start, end):
    api, path = blob
    got = get(api, path, Range=given)
    expected = BLOB[start:end]
    if given == "bytes= 1-2" and got.status_code == 200:
        return  # white space there is not of the grammar
    assert got.status_code == 206, got.headers
    assert got.content == expected
    assert got.headers["content-length"] == str(len(expected))
    first = start if start >= 0 else len(BLOB) + start
    last = first + len(expected) - 1
    assert got.headers["content-range"] == f"bytes {first}-{last}/{len(BLOB)}"


@pytest.mark.parametrize("given", ["bytes=9999999-", "bytes=9999999-99999999", "bytes=-0"])
def test_3_2_range_not_satisfiable(blob, given):
    api, path = blob
    got = get(api, path, Range=given)
    assert got.status_code == 416
    assert got.headers["content-range"] == f"bytes */{len(BLOB)}"
    check_error(got, api.profile, 416, code=ANY, param=ANY)


@pytest.mark.parametrize(
    "given", ["bytes=5-2", "bytes=a-b", "bytes", "lines=0-5", "bytes=", "bytes=-", "bytes=0-1,3-4"]
)
def test_3_2_range_that_is_none_is_ignored(blob, given):
    """RFC 9110 14.2; several ranges may be answered by the whole."""
    api, path = blob
    got = get(api, path, Range=given)
    assert got.status_code == 200 and got.content == BLOB


def test_3_2_if_range(blob):
    api, path = blob
    etag = get(api, path, "HEAD").headers["etag"]
    same = get(api, path, Range="bytes=1-3", If_Range=etag)
    assert same.status_code == 206 and same.content == BLOB[1:4]
    other = get(api, path, Range="bytes=1-3", If_Range='"other"')
    assert other.status_code == 200 and other.content == BLOB


def test_3_2_head(blob):
    api, path = blob
    whole = get(api, path)
    head = get(api, path, "HEAD")
    assert head.status_code == 200 and head.content == b""
    for name in ("content-length", "content-type", "etag", "content-disposition"):
        assert head.headers[name] == whole.headers[name]


def test_3_2_head_sends_no_body_on_the_wire(blob):
    """What follows on the connection is the next answer."""
    api, path = blob
    with Raw(api.server) as raw:
        raw.send(request("HEAD", f"/v1/{path}", api.key))
        raw.send(request("GET", "/v1/files", api.key))
        text = b""
        while b'"object"' not in text:
            assert raw._more(), raw.buffer
            text = raw.buffer
    heads = re.findall(rb"HTTP/1\.1 \d+", text)
    assert len(heads) == 2 and BLOB[:64] not in text


def test_3_2_head_of_no_file(api):
    got = api.http.head("files/file-x/content")
    assert got.status_code == 404 and got.content == b""
    check_headers(got)


def test_3_2_etag(blob):
    api, path = blob
    etag = get(api, path).headers["etag"]
    for given in (etag, f'"x", {etag}', "*", f"W/{etag}"):
        got = get(api, path, If_None_Match=given)
        assert got.status_code == 304 and got.content == b"", given
        assert got.headers["etag"] == etag
        assert got.headers["content-length"] == str(len(BLOB)), "RFC 9110, 8.6: that of the 200, or none"
    for given in ('"x"', '"x", "y"'):
        assert get(api, path, If_None_Match=given).content == BLOB


def test_3_2_etags_differ(api):
    one, two = (f"files/{api.upload(data)}/content" for data in (BLOB, BLOB + b"x"))
    assert get(api, one).headers["etag"] != get(api, two).headers["etag"]


def test_3_2_gzip_when_asked(blob):
    api, path = blob
    with api.http.stream("GET", path, headers={"Accept-Encoding": "gzip"}) as got:
        packed = b"".join(got.iter_raw())
    assert got.status_code == 200 and got.headers["content-encoding"] == "gzip"
    assert gzip.decompress(packed) == BLOB
    assert "accept-encoding" in got.headers["vary"].lower()
    assert got.headers.get("content-length", str(len(packed))) == str(len(packed))


@pytest.mark.parametrize("given", ["identity", "br", "gzip;q=0", "deflate, gzip;q=0.0", "notgzip"])
def test_3_2_no_gzip_when_not_asked(blob, given):
    api, path = blob
    got = get(api, path, Accept_Encoding=given)
    assert "content-encoding" not in got.headers and got.content == BLOB


def test_3_2_range_is_never_packed(blob):
    api, path = blob
    got = get(api, path, Accept_Encoding="gzip", Range="bytes=10-19")
    assert got.status_code == 206 and "content-encoding" not in got.headers
    assert got.content == BLOB[10:20]


def test_3_2_a_client_that_stops_reading_holds_nobody_up(api):
    file_id = api.upload(BLOB * 40)
    with Raw(api.server) as raw:
        raw.send(request("GET", f"/v1/files/{file_id}/content", api.key))
        raw.sock.recv(1000)
        assert api.content(file_id) == BLOB * 40
    with httpx.Client(trust_env=False) as client:
        assert client.get(f"{api.server.url}/healthz").status_code == 200


def test_16_15_large_file_with_one_long_line(api):
    """Nothing in the path of an upload holds a line or a file in memory."""
    data = b'{"custom_id": "' + b"x" * (20 << 20) + b'"}'
    assert api.content(api.upload(data)) == data
