"""Members set in each body, attempts and time-outs of one batch (contract 11.1)."""

import json

import pytest
from support.api import check_error
from support.jsonl import fresh, line, numbered, raw_line
from support.upstream import Answer


def create(api, lines, **options):
    """By the official client: `lowtide` goes into the body as it is."""
    batch = api.sdk.batches.create(
        input_file_id=api.upload(lines), endpoint="/v1/chat/completions", completion_window="24h",
        extra_body={"lowtide": options},
    )  # fmt: skip
    return api.created(json.loads(batch.model_dump_json(warnings=False)))


def body_of(mark, more=b""):
    return b'{"temperature": 1.0,"x":[ 1 , 9007199254740993 ],"messages": [{"role":"user","content":"' + (
        mark.encode() + b'"}]' + more + b"}"
    )


def test_11_1_members_are_set_and_the_rest_keeps_its_bytes(serve, own_upstream):
    api, mark = serve(), fresh()
    lines = [  # the last has its model twice: it is set once
        raw_line("a", body_of(f"{mark}-a", b',"model":"m-1"')),  # two members replaced
        raw_line("b", body_of(f"{mark}-b")),  # no model at all: it is set
        raw_line("c", body_of(f"{mark}-c", b', "m\\u006fdel":"m-9","model" : "m-8" ')),
    ]
    batch = create(api, lines, override={"model": "m-2", "temperature": 0, "max_tokens": 7})
    done = api.wait(batch, "completed")
    assert done["model"] == "m-2"
    tail = b',"max_tokens":7'
    want = {
        "a": body_of(f"{mark}-a", b',"model":"m-2"' + tail),
        "b": body_of(f"{mark}-b", b',"model":"m-2"' + tail),
        "c": body_of(f"{mark}-c", b', "m\\u006fdel":"m-2"' + tail + b" "),
    }
    for name, expected in want.items():
        (sent,) = own_upstream.of(f"{mark}-{name}")
        assert sent.body == expected.replace(b'"temperature": 1.0', b'"temperature": 0')


def test_11_1_a_model_that_is_set_is_the_one_that_counts(serve, own_upstream, tmp_path):
    """It decides where lines go; what lines name themselves is not looked at."""
    config = tmp_path / "lowtide.yaml"
    config.write_text(
        f"upstreams: [{{name: up, url: '{own_upstream.url}', models: [m-1]}}]\n"
    )
    api, mark = serve(upstream=False, args=["--config", str(config)]), fresh()
    lines = [line("a", f"{mark}-a", model="m-7"), line("b", f"{mark}-b", model="m-8")]
    done = api.wait(create(api, lines, override={"model": "m-1"}), "completed")
    assert done["request_counts"] == {"total": 2, "completed": 2, "failed": 0}
    assert done["model"] == "m-1"
    failed = api.wait(create(api, lines, override={"model": "m-7"}), "failed")
    assert api.errors(failed) == [("model_not_found", "body.model", None)]
    assert own_upstream.sent(mark) == 2


def test_11_1_messages_may_be_set(serve, own_upstream):
    api, mark = serve(), fresh()
    messages = [{"role": "user", "content": f"{mark}-all"}]
    lines = [raw_line(str(n), b'{"model":"m-1"}') for n in range(3)]
    done = api.wait(create(api, lines, override={"messages": messages, "n": 2}), "completed")
    assert done["request_counts"]["completed"] == 3
    assert own_upstream.sent(f"{mark}-all") == 3


def test_11_1_an_override_outlives_a_restart(serve, own_upstream):
    api, mark = serve(settings={"execution.concurrency": 2}), fresh()
    batch = create(api, numbered(mark, 6, f"hold:{mark}"), override={"seed": 5})
    own_upstream.wait_sent(mark, 2)
    api.server.kill()
    own_upstream.release(mark)
    api.server.start()
    api.wait(batch, "completed")
    for n in range(6):
        assert all(json.loads(r.body)["seed"] == 5 for r in own_upstream.of(f"{mark}-{n}"))


REFUSED = [
    ({"stream": True}, "invalid_value"),
    ({"stream": 1}, "invalid_value"),
    ({"background": True}, "invalid_value"),
    ({"model": ""}, "invalid_value"),
    ({"model": ["m"]}, "invalid_type"),
    ([], "invalid_type"),
    ("{}", "invalid_type"),
    ({str(n): n for n in range(65)}, "object_above_max_properties"),
]


@pytest.mark.parametrize(("override", "code"), REFUSED)
def test_11_1_what_an_override_may_not_set(api, override, code):
    file_id = api.upload(numbered(fresh(), 1))
    response = api.create_raw(file_id, lowtide={"override": override})
    check_error(response, api.profile, 400, code, "lowtide.override")


def test_11_1_attempts_of_a_batch(serve, own_upstream):
    """Fewer than the configuration allows; more come to what it allows."""
    api = serve(settings={"execution.max_attempts": 2})
    for asked, sent in ((1, 1), (50, 2)):
        mark = fresh()
        with api.well():
            own_upstream.on(f"{mark}-0", Answer(status=500, delay=0.5))  # others are well meanwhile
            batch = create(api, numbered(mark, 1), max_attempts=asked)
            done = api.wait(batch, "completed")
        assert done["request_counts"]["failed"] == 1
        assert own_upstream.sent(mark) == sent


def test_11_1_a_time_out_of_a_batch(serve, own_upstream):
    """Its lines alone end by it; another batch's wait on."""
    api, mark, other = serve(), fresh(), fresh()
    with api.well():
        batch = create(api, numbered(mark, 1, "never"), max_attempts=1, line_timeout_s=1)
        usual = api.create(numbered(other, 1, "slow:3"))
        done = api.wait(batch, "completed")
        _, error = api.results(done)
        assert [one["error"]["code"] for one in error.values()] == ["request_timeout"]
        done = api.wait(usual, "completed")
    assert done["request_counts"]["completed"] == 1


@pytest.mark.parametrize("name", ["max_attempts", "line_timeout_s"])
@pytest.mark.parametrize(
    ("value", "code"),
    [(0, "integer_below_min_value"), (1.5, "invalid_type"), ("1", "invalid_type"), (True, "invalid_type")],
)  # fmt: skip
def test_11_1_integers_from_1(api, name, value, code):
    response = api.create_raw(api.upload(numbered(fresh(), 1)), lowtide={name: value})
    check_error(response, api.profile, 400, code, f"lowtide.{name}")
