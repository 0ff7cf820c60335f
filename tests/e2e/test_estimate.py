"""Contract 11.2 `cost`, 11.3 estimate: prices, tokens and times."""

import json
import time

import pytest
from support.api import ANY, check_error
from support.jsonl import CHAT, fresh, line, numbered
from support.server import run

PRICES = """
prices:
  - model: m-1
    input: 2
    cached_input: 0.5
    output: 10
    currency: EUR
  - model: m-dollar
    input: 1
    output: 1
    currency: USD
"""
MEMBERS = {
    "object", "lines", "models", "input_tokens", "output_tokens", "cost", "starts_at", "eta_at",
    "at_risk", "errors",
}  # fmt: skip


def with_prices(serve, tmp_path, text=PRICES, settings=None):
    path = tmp_path / "lowtide.yaml"
    path.write_text(text)
    return serve(settings=settings, args=["--config", str(path)])


def ask(api, lines, window="24h", endpoint=CHAT, **more):
    file_id = lines if isinstance(lines, str) else api.upload(lines)
    members = {"input_file_id": file_id, "endpoint": endpoint, "completion_window": window, **more}
    response = api.http.post("batches/estimate", json=members)
    assert response.status_code == 200, response.text
    value = response.json()
    assert set(value) == MEMBERS and value["object"] == "batch.estimate", value
    return value


# ---- cost ----


def test_11_2_cost_of_the_answers_so_far(serve, tmp_path):
    """Each answer has 7 tokens of prompt and 3 of answer: 7 x 2 + 3 x 10 millionths."""
    api = with_prices(serve, tmp_path, settings={"execution.concurrency": 8})
    batch = api.create(numbered(fresh(), 100, model="m-1"))
    done = api.wait(batch, "completed")
    assert done["lowtide"]["cost"] == {"amount": 0.0044, "currency": "EUR"}
    assert api.http.get("batches").json()["data"][0] == done
    other = api.run(numbered(fresh(), 3, model="m-other"))
    assert other["lowtide"]["cost"] is None


def test_11_2_cost_is_null_without_prices(api):
    assert api.run([line("a", fresh())])["lowtide"]["cost"] is None


def test_11_2_prices_are_read_again_at_sighup(serve, tmp_path):
    api = with_prices(serve, tmp_path)
    batch = api.run(numbered(fresh(), 10, model="m-1"))
    assert batch["lowtide"]["cost"] == {"amount": 0.00044, "currency": "EUR"}
    path = tmp_path / "lowtide.yaml"
    path.write_text(PRICES.replace("output: 10", "output: 20"))
    api.server.reload()
    end = time.monotonic() + 60
    while (now := api.http.get(f"batches/{batch['id']}").json()["lowtide"]["cost"]) == batch[
        "lowtide"
    ]["cost"]:
        assert time.monotonic() < end
        time.sleep(0.02)
    assert now == {"amount": 0.00074, "currency": "EUR"}


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ("input: -1", "input"),
        ("input: 1e3", "input"),
        ("input: 0.1234567", "input"),
        ("input: x", "input"),
        ("currency: eur", "three capital letters"),
        ("currency: EURO", "three capital letters"),
        ("model: m-2", "no output"),
    ],
)
def test_prices_that_are_wrong_name_line_and_setting(tmp_path, wrong, said):
    path = tmp_path / "lowtide.yaml"
    good = ["model: m-1", "input: 1", "output: 1", "currency: EUR"]
    key = wrong.split(":")[0]
    entry = [wrong if one.startswith(key) else one for one in good]
    if said == "no output":
        entry = [one for one in entry if not one.startswith("output")]
    path.write_text("prices:\n  - " + "\n    ".join(entry) + "\n")
    done = run(
        "serve", "--check", "--config", path, "--upstream", "http://127.0.0.1:9/v1", expect=None
    )
    assert done.returncode != 0 and f"{path}:" in done.stderr and said in done.stderr


def test_prices_of_one_model_twice(tmp_path):
    path = tmp_path / "lowtide.yaml"
    path.write_text(PRICES + PRICES.split("prices:\n")[1])
    done = run(
        "serve", "--check", "--config", path, "--upstream", "http://127.0.0.1:9/v1", expect=None
    )
    assert done.returncode != 0 and "m-1" in done.stderr and "on line 3" in done.stderr


# ---- estimate ----


def test_11_3_estimate_makes_nothing(api):
    file_id = api.upload(numbered(fresh(), 5))
    ask(api, file_id)
    assert api.http.get("batches").json()["data"] == []
    assert [one["id"] for one in api.http.get("files").json()["data"]] == [file_id]


def test_11_3_tokens_before_any_line_has_run(serve, tmp_path):
    """4 bytes a token, and max_tokens; 512 where a line has none."""
    api = with_prices(serve, tmp_path)
    lines = [line(f"l-{n}", "x" * 400, max_tokens=100) for n in range(40)]
    value = ask(api, lines)
    size = len(json.dumps(json.loads(lines[0])["body"], ensure_ascii=False))
    assert value["lines"] == 40 and value["models"] == ["m-1"] and value["errors"] == []
    assert abs(value["input_tokens"] - 40 * size / 4) <= 1
    assert value["output_tokens"] == 4000
    amount = (value["input_tokens"] * 2 + 4000 * 10) / 1e6
    assert value["cost"] == {"amount": pytest.approx(amount, abs=1e-6), "currency": "EUR"}
    assert value["starts_at"] is value["eta_at"] is None and value["at_risk"] is False
    assert ask(api, numbered(fresh(), 2))["output_tokens"] == 1024
    limited = ask(api, numbered(fresh(), 2), lowtide={"override": {"max_tokens": 9}})
    assert limited["output_tokens"] == 18


def test_11_3_several_models(serve, tmp_path):
    api = with_prices(serve, tmp_path)
    lines = [line("a", "x", max_tokens=10), line("b", "x", model="m-dollar", max_tokens=20)]
    value = ask(api, lines, lowtide={"mixed_models": True})
    assert value["models"] == ["m-1", "m-dollar"] and value["output_tokens"] == 30
    assert value["cost"] is None, "two currencies"
    value = ask(api, lines)
    assert [one["code"] for one in value["errors"]] == ["mismatched_model"]


def test_11_3_errors_are_those_of_the_batch(api):
    lines = [line("a", fresh()), b"{", line("a", fresh()), line("b", fresh())]
    file_id = api.upload(lines)
    value = ask(api, file_id)
    batch = api.wait(api.create(file_id), "failed")
    assert value["errors"] == batch["errors"]["data"] and len(value["errors"]) == 2
    value = ask(api, file_id, lowtide={"on_invalid_line": "skip"})
    assert value["lines"] == 2 and len(value["errors"]) == 2


def test_11_3_estimate_refuses_as_create_does(api, on_server):
    file_id = api.upload([line("a", fresh())])
    good = {"input_file_id": file_id, "endpoint": CHAT, "completion_window": "24h"}
    for wrong, code, param in (
        ({"endpoint": "/v1/x"}, "invalid_value", "endpoint"),
        ({"completion_window": "1h"}, "invalid_value", "completion_window"),
        ({"input_file_id": 7}, "invalid_type", "input_file_id"),
        ({"endpoint": None}, "missing_required_parameter", "endpoint"),
        ({"lowtide": {"canary": 0}}, ANY, "lowtide.canary"),
    ):
        members = {**good, **wrong}
        for path in ("batches/estimate", "batches"):
            response = api.http.post(path, json=members)
            check_error(response, api.profile, 400, code, param)
    response = api.http.post("batches/estimate", content=b"[")
    check_error(response, api.profile, 400, param=None)
    other = on_server(api.server)
    missing = other.http.post("batches/estimate", json=good)
    if api.profile == "kimi":
        check_error(missing, api.profile, 400, "invalid_value", "input_file_id")
    else:
        assert [one["code"] for one in missing.json()["errors"]] == ["invalid_request"]


def test_11_3_within_ten_percent_once_fifty_lines_have_run(serve, tmp_path):
    """The demo's shape: the same kind of lines, as many at once as the upstream takes."""
    api = with_prices(serve, tmp_path, settings={"execution.concurrency": 8, "online.reserve": 0})
    api.run(numbered(fresh(), 50, "slow:0.2"))
    file_id = api.upload(numbered(fresh(), 400, "slow:0.2"))
    value = ask(api, file_id)
    assert value["starts_at"] is not None and not value["at_risk"]
    assert value["output_tokens"] == 1200
    began = time.monotonic()
    asked = time.time()
    done = api.wait(api.create(file_id), "completed")
    took = time.monotonic() - began
    expected = value["eta_at"] - asked
    # a second for the granularity of Unix seconds, another for upload, checks and files
    assert abs(expected - took) <= 0.1 * took + 2, (expected, took)
    usage = done["usage"]
    assert abs(value["input_tokens"] - usage["input_tokens"]) <= 0.1 * usage["input_tokens"]
    assert abs(value["output_tokens"] - usage["output_tokens"]) <= 0.1 * usage["output_tokens"]
    cost = done["lowtide"]["cost"]["amount"]
    assert abs(value["cost"]["amount"] - cost) <= 0.1 * cost


def test_11_3_at_risk_and_behind_others(serve, tmp_path):
    """What is ahead in the organization's queue delays the start; a short window is at risk."""
    settings = {"execution.concurrency": 4, "online.reserve": 0, "limits.window_min": "1s"}
    api = with_prices(serve, tmp_path, settings=settings)
    api.run(numbered(fresh(), 50, "slow:0.1"))
    file_id = api.upload(numbered(fresh(), 400, "slow:0.1"))
    alone = ask(api, file_id)
    assert ask(api, file_id, window="2s")["at_risk"] is True
    later = int(time.time()) + 5000
    held = ask(api, file_id, lowtide={"not_before": later})
    assert held["starts_at"] == later and held["eta_at"] >= later + 5
    batch = api.create(file_id, completion_window="12h")
    api.wait(batch, lambda b: b["lowtide"]["eta_at"] is not None)
    behind = ask(api, file_id)
    assert behind["starts_at"] > alone["starts_at"]
    assert behind["eta_at"] > alone["eta_at"] + 3
    api.cancel(batch)


def test_11_3_hours_and_canary_count(serve, own_upstream):
    """Outside its hours nothing is sent; after a canary nobody knows how long a person takes."""
    settings = {"execution.concurrency": 4, "online.reserve": 0}
    api = serve(settings=settings)
    api.run(numbered(fresh(), 50, "slow:0.1"))
    file_id = api.upload(numbered(fresh(), 400, "slow:0.1"))
    now, hour = int(time.time()), 3600
    begin = (now + 2 * hour) // 60 * 60

    def clock(at):
        return time.strftime("%H:%M", time.gmtime(at))

    closed = ask(api, file_id, lowtide={"hours": f"{clock(begin)}-{clock(begin + hour)} Etc/UTC"})
    assert closed["starts_at"] == begin
    assert begin + 5 <= closed["eta_at"] <= begin + 60 and closed["at_risk"] is False
    # a minute a day and more work than fits into it: the rest waits for the next days
    many = api.upload(numbered(fresh(), 6000, "slow:0.1"))
    short = ask(api, many, lowtide={"hours": f"{clock(begin)}-{clock(begin + 60)} Etc/UTC"})
    assert short["starts_at"] == begin
    assert short["eta_at"] >= begin + 24 * hour and short["at_risk"] is True
    held = ask(api, file_id, lowtide={"canary": 10})
    assert held["starts_at"] is not None
    assert held["eta_at"] is None and held["at_risk"] is False
    whole = ask(api, file_id, lowtide={"canary": 400})
    assert whole["eta_at"] is not None, "no more lines than its canary: it is not held"
