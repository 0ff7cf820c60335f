"""Contract 13: `/v1/models` and `/v1/models/{id}`, and Kimi's calls, over all upstreams."""

import re

import pytest
from support.api import ANY, check_error
from support.jsonl import body, fresh
from support.wire import wait_until


def check_model(value):
    assert set(value) >= {"id", "object", "created", "owned_by"}, value
    assert value["object"] == "model" and type(value["created"]) is int, value


def test_13_models_join_what_the_upstreams_serve(serve, new_upstream):
    one, two = new_upstream(), new_upstream()
    one.models = ["m-1", "org/m-2"]
    two.models = ["m-1", "m-3"]
    api = serve(upstream=one, args=["--upstream", two.url])

    def listed():
        response = api.http.get("models")
        assert response.status_code == 200, response.text
        assert response.json()["object"] == "list"
        ids = [model["id"] for model in response.json()["data"]]
        return ids if len(ids) == 3 else None

    assert wait_until(listed, "both upstreams' models", 20) == ["m-1", "m-3", "org/m-2"]
    for model in api.http.get("models").json()["data"]:
        check_model(model)
        assert api.http.get(f"models/{model['id']}").json() == model
    assert api.http.get("models/org%2Fm-2").json()["id"] == "org/m-2"
    assert {model.id for model in api.sdk.models.list()} == {"m-1", "m-3", "org/m-2"}
    assert api.sdk.models.retrieve("m-3").id == "m-3"


# What vLLM and llama.cpp say of a model beside OpenAI's four members (V9), with
# numbers that a parser would round.
VLLM_MORE = (
    '"root": "/models/qwen", "parent": null, "max_model_len": 40960, '
    '"permission": [{"id": "modelperm-1", "allow_sampling": true}]'
)
LLAMACPP_MORE = '"meta": {"n_params": 9223372036854775808, "scale": 1.0, "n\\u0061me": "\\u00e9"}'


def entry(model, more, owner="engine"):
    """As an engine writes it, with an escape where nobody would."""
    known = '"object": "model", "created": 5, "own\\u0065d_by"'
    return f'{{"id": "{model}", {known}: "{owner}", {more}}}'


def test_13_what_engines_say_of_a_model_is_passed_on(serve, new_upstream):
    """V9: byte for byte, of the first upstream that has the model."""
    one, two = new_upstream(), new_upstream()
    one.models = [entry("m-1", VLLM_MORE)]
    two.models = [entry("m-1", '"max_model_len": 7'), entry("m-2", LLAMACPP_MORE)]
    api = serve(upstream=one, args=["--upstream", two.url])

    def listed():
        models = api.http.get("models").json()["data"]
        both = len(models) == 2 and "root" in models[0]  # the second may have answered first
        return models if both else None

    first, second = wait_until(listed, "both upstreams' models", 20)
    assert first["root"] == "/models/qwen" and first["max_model_len"] == 40960
    assert first["parent"] is None and first["owned_by"] == "engine" and first["created"] == 5
    assert list(first)[:4] == ["id", "object", "created", "owned_by"] and len(first) == 8
    text = api.http.get("models").text
    for more in (VLLM_MORE, LLAMACPP_MORE):
        for member in re.split(r', (?="(?:root|parent|max_model_len|permission)")', more):
            name, _, value = member.partition(": ")
            assert f"{name}:{value}" in text
    assert api.http.get("models/m-2").json() == second
    assert api.sdk.models.retrieve("m-1").max_model_len == 40960


@pytest.mark.parametrize("name", ["no-such-model", "org", "m-1/x", "%F0%9F%98%80", "a" * 2000])
def test_13_unknown_model(api, name):
    response = api.http.get(f"models/{name}")
    message = re.compile("^The model '.*' does not exist or you do not have access to it")
    check_error(response, api.profile, 404, "model_not_found", ANY, message)


def test_13_models_with_slashes_by_both_ways(serve, own_upstream):
    """As engines name them: the path of what they serve."""
    own_upstream.models = ["/models/qwen", "org/sub/m:8b", "a b", "m%1"]
    api = serve()

    def listed():
        return len(api.http.get("models").json()["data"]) == 4

    wait_until(listed, "the models", 20)
    for path, name in [
        ("models//models/qwen", "/models/qwen"),
        ("models/%2Fmodels%2Fqwen", "/models/qwen"),
        ("models/org/sub/m:8b", "org/sub/m:8b"),
        ("models/org%2Fsub%2Fm%3A8b", "org/sub/m:8b"),
        ("models/a%20b", "a b"),
        ("models/m%251", "m%1"),
    ]:
        response = api.http.get(path)
        assert response.status_code == 200, (path, response.text)
        assert response.json()["id"] == name
    assert api.sdk.models.retrieve("org/sub/m:8b").id == "org/sub/m:8b"
    check_error(api.http.get("models/org/sub"), "kimi", 404, "model_not_found", ANY)


def test_13_models_other_methods(api):
    for path in ("models", "models/m-1", "models/org/m-2"):
        response = api.http.post(path, json={})
        check_error(response, api.profile, 405, "method_not_supported")
        assert response.headers["allow"] == "GET, HEAD"


def test_13_kimi_calls(serve, own_upstream):
    """Passed on if configured, else unknown."""
    plain, passing = serve(), serve(settings={"online.kimi_calls": "true"})
    calls = [("POST", "tokenizers/estimate-token-count"), ("GET", "users/me/balance")]
    for method, path in calls:
        check_error(plain.http.request(method, path), "kimi", 404)
    mark = fresh()
    response = passing.http.post("tokenizers/estimate-token-count", json=body(mark))
    assert response.status_code == 200
    assert own_upstream.of(mark)[0].path == "/v1/tokenizers/estimate-token-count"
    passing.http.get("users/me/balance")
    assert "/v1/users/me/balance" in [r.path for r in own_upstream.other_requests]


def test_13_kimi_calls_carry_query_and_errors(serve, own_upstream):
    """What the upstream answers is the answer, whatever it is."""
    api = serve(settings={"online.kimi_calls": "true"})
    mark = fresh()
    response = api.http.post(
        "tokenizers/estimate-token-count?a=1", json=body(f"{mark} | status:418")
    )
    assert response.status_code == 418 and "scripted 418" in response.text
    assert own_upstream.of(mark)[0].path == "/v1/tokenizers/estimate-token-count?a=1"
    assert api.http.get("users/me/balance").status_code == 404  # the scripted upstream has none
    for method, path in [("GET", "tokenizers/estimate-token-count"), ("POST", "users/me/balance")]:
        response = api.http.request(method, path)
        check_error(response, "kimi", 405, "method_not_supported")
