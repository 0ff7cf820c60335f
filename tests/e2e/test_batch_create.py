"""Contract 1, 5.1, 5.2: what a create takes and refuses."""

import re

import pytest
from support.api import ANY, check_error
from support.jsonl import CHAT, fresh, line, numbered

OPENAI_ENDPOINTS = [
    "/v1/chat/completions",
    "/v1/completions",
    "/v1/embeddings",
    "/v1/responses",
    "/v1/moderations",
    "/v1/rerank",
    "/v1/score",
    "/v1/messages",
]
MEMBERS = ["input_file_id", "endpoint", "completion_window"]


@pytest.fixture
def file_id(api):
    return api.upload([line("a", fresh())])


def create(api, file_id, **change):
    """A create with members changed; a value of ... leaves the member out."""
    members = {"input_file_id": file_id, "endpoint": CHAT, "completion_window": "24h", **change}
    response = api.http.post("batches", json={k: v for k, v in members.items() if v is not ...})
    if response.status_code == 200:
        api.created(response.json())
    return response


# ---- missing, wrong type ----


@pytest.mark.parametrize("member", MEMBERS)
def test_5_2_member_missing_or_null(api, file_id, member):
    for value in (..., None):
        response = create(api, file_id, **{member: value})
        message = f"Missing required parameter: '{member}'."
        check_error(response, api.profile, 400, "missing_required_parameter", member, message)


@pytest.mark.parametrize("member", MEMBERS)
@pytest.mark.parametrize("value", [5, 1.5, True, [], {}], ids=repr)
def test_5_2_member_of_wrong_type(api, file_id, member, value):
    response = create(api, file_id, **{member: value})
    message = re.compile(f"Invalid type for '{member}'")
    check_error(response, api.profile, 400, "invalid_type", member, message)


@pytest.mark.parametrize("value", ["text", 5, True, ["a"]], ids=repr)
def test_5_2_metadata_of_wrong_type(api, file_id, value):
    response = create(api, file_id, metadata=value)
    check_error(response, api.profile, 400, "invalid_type", "metadata")


@pytest.mark.parametrize(
    ("value", "name"), [([], "an array"), ({}, "an object"), (5, ""), (None, ""), (False, "")]
)
def test_5_2_metadata_value_of_wrong_type(api, file_id, value, name):
    response = create(api, file_id, metadata={"good": "x", "tags": value})
    message = re.compile("Invalid type for 'metadata.tags': expected a string, but got " + name)
    check_error(response, api.profile, 400, "invalid_type", "metadata.tags", message)


# ---- endpoint, window ----


@pytest.mark.parametrize(
    "endpoint", ["/v1/x", "", "/v1/chat/completions/", "chat/completions", "/v1/images/generations",
                 "/v1/images/edits", "/v1/videos", "http://127.0.0.1/v1/chat/completions"]
)  # fmt: skip
def test_5_2_endpoint(api, file_id, endpoint):
    response = create(api, file_id, endpoint=endpoint)
    message = re.compile(
        re.escape(f"Invalid value: '{endpoint}'. Supported values are: '/v1/chat/completions'")
    )
    check_error(response, api.profile, 400, "invalid_value", "endpoint", message)


@pytest.mark.parametrize("endpoint", OPENAI_ENDPOINTS)
def test_1_endpoints_of_openai(oai, upstream, endpoint):
    mark = fresh()
    lines = [line("a", mark, url=endpoint), line("b", mark + "b", url=endpoint)]
    batch = oai.run(lines, endpoint=endpoint)
    assert batch["endpoint"] == endpoint
    assert batch["request_counts"] == {"total": 2, "completed": 2, "failed": 0}
    assert upstream.of(mark)[0].path == endpoint
    assert set(oai.results(batch)[0]) == {"a", "b"}


@pytest.mark.parametrize("endpoint", OPENAI_ENDPOINTS[1:])
def test_1_endpoints_of_kimi(kimi, endpoint):
    """F14: the refusal says which setting takes it."""
    response = create(kimi, kimi.upload([line("a")]), endpoint=endpoint)
    message = re.compile("Supported values are: '/v1/chat/completions'.*profile: openai")
    check_error(response, "kimi", 400, "invalid_value", "endpoint", message)


@pytest.mark.parametrize("window", ["12h", "24h", "1d", "3d", "7d", "168h", "13h", "100h"])
def test_16_16_windows_of_kimi(kimi, window):
    batch = kimi.create([line("a", fresh())], completion_window=window)
    assert batch["completion_window"] == window  # and expires_at by check_batch


@pytest.mark.parametrize(
    "window", ["11h", "8d", "169h", "0d", "1.5d", "24", "24H", "-1d", "1w", "", "24h ", " 24h",
               "024h", "+24h", "h", "d7", "24hh", "1d12h", "86400s", "1440m",
               "99999999999999999999h"]
)  # fmt: skip
def test_16_16_windows_refused(api, file_id, window):
    response = create(api, file_id, completion_window=window)
    check_error(response, api.profile, 400, "invalid_value", "completion_window")


def test_5_2_text_of_the_window_refusal(kimi, oai):
    message = "Invalid value: '1h'. Supported values are: '24h'."
    response = create(oai, oai.upload([line("a")]), completion_window="1h")
    check_error(response, "openai", 400, "invalid_value", "completion_window", message)
    message = re.compile("12h.*7d")
    response = create(kimi, kimi.upload([line("a")]), completion_window="1h")
    check_error(response, "kimi", 400, "invalid_value", "completion_window", message)


@pytest.mark.parametrize("window", ["12h", "1d", "3d", "7d", "48h"])
def test_16_16_openai_takes_24h_alone(oai, window):
    response = create(oai, oai.upload([line("a")]), completion_window=window)
    check_error(response, "openai", 400, "invalid_value", "completion_window")


@pytest.mark.parametrize("window", ["1s", "90s", "10m", "1h", "7d"])
def test_short_windows_when_the_least_is_lowered(quick, window):
    """The issue: `limits.window_min` below 12 hours allows s and m."""
    assert quick.create([line("a", fresh())], completion_window=window)["status"] == "validating"


@pytest.mark.parametrize("window", ["0s", "8d", "999999m", "1.5s", "s", "10M"])
def test_short_windows_still_have_bounds(quick, window):
    response = create(quick, quick.upload([line("a")]), completion_window=window)
    check_error(response, "kimi", 400, "invalid_value", "completion_window")


def test_window_max_from_configuration(serve):
    api = serve(settings={"limits.window_max": "2d"})
    file_id = api.upload([line("a", fresh())])
    check_error(
        create(api, file_id, completion_window="49h"), "kimi", 400, "invalid_value",
        "completion_window",
    )  # fmt: skip
    assert create(api, file_id, completion_window="48h").status_code == 200


# ---- metadata ----


def metadata(api, file_id, value):
    return create(api, file_id, metadata=value)


def test_16_17_metadata_is_echoed_exactly(api, file_id):
    given = {
        "job_name": "daily-analysis",
        "": "empty key",
        "empty value": "",
        "ключ": "значение ☃ 😀",
        'q"uo\\te': "a\nb\tc\u0001/",
        "1": "18446744073709551616",
    }
    batch = create(api, file_id, metadata=given).json()
    assert batch["metadata"] == given
    assert api.get(batch["id"])["metadata"] == given


@pytest.mark.parametrize("given", [None, ..., {}], ids=["null", "absent", "empty"])
def test_5_1_metadata_absent_or_null(api, file_id, given):
    batch = create(api, file_id, metadata=given).json()
    assert batch["metadata"] == ({} if given == {} else None)


@pytest.mark.parametrize("letter", ["a", "é", "世", "😀"])
def test_16_17_metadata_limits_in_characters(api, file_id, letter):
    """16 pairs, 64, 512 pass; one more of each fails; never in bytes."""
    full = {letter * 62 + f"{n:02}": letter * 512 for n in range(16)}
    batch = metadata(api, file_id, full)
    assert batch.status_code == 200, batch.text
    assert batch.json()["metadata"] == full
    check_error(
        metadata(api, file_id, {**full, "k": "v"}), api.profile, 400,
        "object_above_max_properties", "metadata",
    )  # fmt: skip
    check_error(
        metadata(api, file_id, {letter * 65: "v"}), api.profile, 400,
        "property_name_above_max_length", "metadata",
    )  # fmt: skip
    check_error(
        metadata(api, file_id, {"k": letter * 513}), api.profile, 400,
        "string_above_max_length", "metadata.k",
    )  # fmt: skip


# ---- input file ----


def test_5_2_file_of_another_purpose(api, file_id):
    batch = api.run(file_id)
    response = create(api, batch["output_file_id"])
    check_error(response, api.profile, 400, "invalid_value", "input_file_id")


def missing_ids(api, other):
    """Ids that name no file here: never was, deleted, another organization's."""
    deleted = api.upload([line("a")])
    api.http.delete(f"files/{deleted}")
    return ["file-" + "A" * 24, "x", "../meta.db", deleted, other.upload([line("a")])]


def test_5_2_missing_file_kimi(kimi, on_server):
    for missing in missing_ids(kimi, on_server(kimi.server)):
        check_error(create(kimi, missing), "kimi", 400, "invalid_value", "input_file_id")
    assert kimi.http.get("batches").json()["data"] == []


def test_7_2_missing_file_openai(oai, on_server):
    for missing in missing_ids(oai, on_server(oai.server)):
        batch = oai.wait(oai.create(missing), "failed")
        assert oai.errors(batch) == [("invalid_request", "file_id", None)]
        message = batch["errors"]["data"][0]["message"]
        start = f"Cannot find file {missing}, or organization "
        assert message.startswith(start) and message.endswith(" does not have access to it.")


def test_1_missing_file_by_option(serve):
    api = serve("openai", {"validation.missing_file": "refuse"})
    check_error(create(api, "file-x"), "openai", 400, "invalid_value", "input_file_id")
    api = serve("kimi", {"validation.missing_file": "fail"})
    batch = api.wait(api.create("file-x"), "failed")
    assert api.errors(batch) == [("invalid_request", "file_id", None)]


# ---- output_expires_after ----


@pytest.mark.parametrize("seconds", [3600, 2592000])
def test_5_1_output_expires_after(api, seconds):
    mark = fresh()
    lines = [line("a", mark), line("b", f"{mark}b | status:400")]
    policy = {"anchor": "created_at", "seconds": seconds}
    batch = api.run(lines, output_expires_after=policy)
    for member in ("output_file_id", "error_file_id"):
        made = api.file(batch[member])
        assert made["expires_at"] == made["created_at"] + seconds


def test_1_results_expire_by_profile(api):
    made = api.file(api.run([line("a", fresh())])["output_file_id"])
    month = made["created_at"] + 30 * 86400 if api.profile == "openai" else None
    assert made["expires_at"] == month


@pytest.mark.parametrize(
    "policy",
    [
        "soon",
        5,
        [],
        {"anchor": "created_at"},
        {"seconds": 3600},
        {"anchor": "created_at", "seconds": 3599},
        {"anchor": "created_at", "seconds": 2592001},
        {"anchor": "created_at", "seconds": 3600.5},
        {"anchor": "created_at", "seconds": "3600"},
        {"anchor": "created_at", "seconds": None},
        {"anchor": "completed_at", "seconds": 3600},
        {"anchor": 5, "seconds": 3600},
    ],
    ids=repr,
)
def test_5_1_output_expires_after_refused(api, file_id, policy):
    response = create(api, file_id, output_expires_after=policy)
    check_error(response, api.profile, 400, code=ANY, param=ANY)
    assert response.json()["error"]["param"].startswith("output_expires_after")


# ---- the batch object, 5.3 ----


def test_5_3_object_of_a_new_batch(api, file_id):
    batch = create(api, file_id, metadata={"k": "v"}).json()
    for name in ("in_progress_at", "finalizing_at", "completed_at", "failed_at", "expired_at"):
        assert batch[name] is None
    for name in ("cancelling_at", "cancelled_at", "output_file_id", "error_file_id", "errors"):
        assert batch[name] is None
    assert batch["model"] is None
    assert batch["endpoint"] == CHAT and batch["completion_window"] == "24h"
    assert batch["input_file_id"] == file_id


def test_5_3_object_of_a_completed_batch(api):
    batch = api.run(numbered(fresh(), 3, model="some-model"), metadata={"k": "v"})
    assert batch["model"] == "some-model"
    assert batch["in_progress_at"] <= batch["finalizing_at"] <= batch["completed_at"]
    for name in ("failed_at", "expired_at", "cancelling_at", "cancelled_at"):
        assert batch[name] is None
    assert batch["usage"] == {
        "input_tokens": 21,
        "input_tokens_details": {"cached_tokens": 0},
        "output_tokens": 9,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": 30,
    }
    assert batch["lowtide"]["retried"] == 0


def test_5_3_a_final_object_survives_a_restart(serve, profile):
    api = serve(profile)
    mark = fresh()
    batch = api.run([line("a", mark), line("b", f"{mark}b | status:404")], metadata={"k": "ä"})
    failed = api.run([b"{"], until="failed")
    files = [api.content(batch[m]) for m in ("output_file_id", "error_file_id")]
    api.server.restart()
    assert api.get(batch["id"]) == batch  # Watch compares it too
    assert api.get(failed["id"]) == failed
    assert [api.content(batch[m]) for m in ("output_file_id", "error_file_id")] == files
