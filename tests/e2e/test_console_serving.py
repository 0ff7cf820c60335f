"""The console's files: served at /console without a key, to browsers from / on, as its policy says."""

import gzip
import json
import os
import random
import re

import httpx
import pytest
from support.api import check_error
from support.server import BINARY
from support.wire import Raw

POLICY = {
    "default-src 'none'", "script-src 'self'", "style-src 'self'", "connect-src 'self'", "img-src 'self' data:",
    "base-uri 'none'", "form-action 'none'", "frame-ancestors 'none'",
}  # fmt: skip
BROWSER = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
MANIFEST = BINARY.parent.parent / "console" / "manifest.txt"


@pytest.fixture
def bare(kimi):
    """A client without a key, which follows no redirect and takes nothing packed unless it says so."""
    with httpx.Client(base_url=kimi.server.url, headers={"Accept-Encoding": "identity"}, trust_env=False) as made:
        if made.get("/console/").status_code == 404 and os.environ.get("CONSOLE") == "disabled":
            pytest.skip("built with -Dconsole=disabled")
        yield made


def paths():
    """Every path of the manifest."""
    lines = [line.split("#")[0].split() for line in MANIFEST.read_text().splitlines()]
    return [words[0] for words in lines if words]


def test_a_browser_is_led_to_the_console(bare):
    for path in ("/", "/console"):
        answer = bare.get(path, headers=BROWSER)
        assert answer.status_code == 302 and answer.headers["location"] == "console/"
        assert "accept" in answer.headers["vary"].lower()
        assert answer.next_request.url.path == "/console/"
    assert bare.head("/", headers=BROWSER).status_code == 302


@pytest.mark.parametrize("accept", ["*/*", "application/json", "text/html;q=0", ""])
def test_others_are_told_at_the_root_as_ever(bare, accept):
    answer = bare.get("/", headers={"Accept": accept})
    assert answer.status_code == 200 and answer.headers["content-type"].startswith("text/plain")
    assert "/v1" in answer.text


def test_every_file_is_there_with_its_headers(bare):
    assert "index.html" in paths()
    for path in ["", *paths()]:
        answer = bare.get(f"/console/{path}")
        assert answer.status_code == 200, path
        headers = answer.headers
        assert set(re.split(r"; ", headers["content-security-policy"])) == POLICY
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer"
        assert headers["cache-control"] == "no-cache" and headers["vary"] == "Accept-Encoding"
        assert re.fullmatch(r'"[0-9a-f]{32}"', headers["etag"])
        assert "content-encoding" not in headers and len(answer.content) == int(headers["content-length"])
        kinds = {"": "text/html", ".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}
        kind = kinds.get(os.path.splitext(path)[1])
        assert kind is None or headers["content-type"].split(";")[0] == (kind if path != "index.html" else "text/html")
        assert re.fullmatch(r"req_[0-9a-f]{32}", headers["x-request-id"])


def test_nothing_is_loaded_from_elsewhere(bare):
    """No file names another host but in comments and in words for people."""
    page = bare.get("/console/").text
    for link in re.findall(r'(?:src|href)="([^"]*)"', page):
        assert not re.match(r"[a-z]+:|//", link), link


def test_packed_for_who_takes_it(bare):
    plain = bare.get("/console/")
    with httpx.Client(base_url=bare.base_url, trust_env=False) as raw:
        request = raw.build_request("GET", "/console/", headers={"Accept-Encoding": "gzip, deflate, br"})
        answer = raw.send(request, stream=True)
        packed = b"".join(answer.iter_raw())
    assert answer.headers["content-encoding"] == "gzip"
    assert gzip.decompress(packed) == plain.content
    assert len(packed) == int(answer.headers["content-length"]) < len(plain.content)
    assert answer.headers["etag"] == plain.headers["etag"][:-1] + '-gzip"'


def test_what_a_browser_has_is_not_sent_again(bare):
    plain = bare.get("/console/")
    etag = plain.headers["etag"]
    for known in (etag, f"W/{etag}", etag[:-1] + '-gzip"', f'"x", {etag}', "*"):
        answer = bare.get("/console/", headers={"If-None-Match": known})
        assert answer.status_code == 304 and answer.content == b"", known
        assert answer.headers["etag"] == etag and "content-security-policy" in answer.headers
    assert bare.get("/console/", headers={"If-None-Match": '"x"'}).status_code == 200


def test_head_has_the_length_and_no_body(bare):
    answer, whole = bare.head("/console/"), bare.get("/console/")
    assert answer.status_code == 200 and answer.content == b""
    for name in ("content-length", "content-type", "etag", "content-security-policy"):
        assert answer.headers[name] == whole.headers[name]


@pytest.mark.parametrize("path", ["x", "index", "../index.html", "%2e%2e/%2e%2e/etc/passwd", "/", "a/b/c", "%00", "index.html/"])
def test_what_is_not_there_is_404(kimi, bare, path):
    with Raw(kimi.server) as raw:
        raw.send(f"GET /console/{path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        status, headers, body = raw.answer()
    assert status == 404
    assert set(json.loads(body)["error"]) == {"message", "type", "param", "code"}


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"])
def test_other_methods_are_405(kimi, bare, method):
    for path in ("/console", "/console/", "/console/index.html"):
        answer = bare.request(method, path)
        check_error(answer, kimi.profile, 405, "method_not_supported")
        assert answer.headers["allow"] == "GET, HEAD"


def test_files_need_no_key_and_count_for_nobody(serve, bare):
    api = serve("kimi", {"limits.org.calls_per_minute": 5})
    for _ in range(20):
        answer = httpx.get(f"{api.server.url}/console/", headers={"Authorization": f"Bearer {api.key}"}, trust_env=False)
        assert answer.status_code == 200
        assert not [name for name in answer.headers if name.startswith("x-ratelimit")]
    assert api.http.get("lowtide/limits").headers["x-ratelimit-remaining-requests"] == "4"


def test_below_a_path_of_a_proxy_it_leads_to_itself(bare):
    """Links are relative: a proxy may have this server below /lowtide/."""
    page = bare.get("/console/").text
    for link in re.findall(r'(?:src|href)="([^"]*)"', page):
        assert not link.startswith("/"), link


def test_any_path_and_headers_get_an_answer(kimi, bare):
    chance = random.Random(7)
    alphabet = [chr(c) for c in range(33, 127) if chr(c) != "#"] + ["/", "/", "..", "%2f", "%00", "console"]
    for _ in range(300):
        path = "".join(chance.choices(alphabet, k=chance.randrange(1, 40)))
        fields = {name: "".join(chance.choices(alphabet[:90], k=chance.randrange(0, 60)))
                  for name in ("Accept", "Accept-Encoding", "If-None-Match", "Range")}  # fmt: skip
        text = f"GET /console/{path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
        text += "".join(f"{name}: {value}\r\n" for name, value in fields.items()) + "\r\n"
        with Raw(kimi.server) as raw:
            raw.send(text.encode())
            answer = raw.rest()
        assert answer[:9] == b"HTTP/1.1 " and int(answer[9:12]) < 500, (text, answer[:200])
    assert kimi.server.alive()
