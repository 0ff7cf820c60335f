"""A budget of tokens (contract 11.1, token_budget). An answer of the scripted upstream is 10 tokens."""

import json

import pytest
from support.api import check_error
from support.jsonl import fresh, numbered

EACH = 10


def create(api, lines, **options):
    made = api.sdk.batches.create(
        input_file_id=api.upload(lines), endpoint="/v1/chat/completions", completion_window="24h",
        extra_body={"lowtide": options},
    )  # fmt: skip
    return api.created(json.loads(made.model_dump_json(warnings=False)))


def check_spent(api, batch, lines, budget):
    """Completed; what is left is in the error file; and the budget was kept and used."""
    output, error = api.results(batch)
    used = batch["usage"]["total_tokens"]
    assert used == EACH * len(output) <= budget, batch
    assert len(output) + len(error) == lines
    assert {one["error"]["code"] for one in error.values()} == {"token_budget_exceeded"}
    assert batch["request_counts"]["failed"] == len(error)
    assert batch["lowtide"]["top_errors"][0]["code"] == "token_budget_exceeded"
    assert batch["finalizing_at"] is not None
    return used


def test_11_1_sending_ends_before_the_budget_is_passed(serve, own_upstream):
    api, mark, budget = serve(), fresh(), 1000
    batch = create(api, numbered(mark, 2000, max_tokens=10), token_budget=budget)
    done = api.wait(batch, "completed")
    used = check_spent(api, done, 2000, budget)
    assert used > budget - 60, "hardly any of it is left"
    assert own_upstream.sent(mark) == used // EACH


def test_11_1_a_budget_that_is_enough(api):
    done = api.wait(create(api, numbered(fresh(), 40), token_budget=10000), "completed")
    assert done["request_counts"] == {"total": 40, "completed": 40, "failed": 0}


def test_11_1_a_budget_for_nothing(serve, own_upstream):
    api, mark = serve(), fresh()
    done = api.wait(create(api, numbered(mark, 5, max_tokens=500), token_budget=1), "completed")
    assert done["request_counts"] == {"total": 5, "completed": 0, "failed": 5}
    assert done["output_file_id"] is None
    assert own_upstream.sent(mark) == 0


@pytest.mark.parametrize("point", [None, "journal.after_sync", "batch.before_final", "results.after_sync"])
def test_11_1_a_budget_across_kills(serve, own_upstream, failpoints, point):
    """What was used before counts: by what was merged, and by the journal."""
    api, mark, budget = serve(start=False), fresh(), 2000
    env = {"LOWTIDE_FAILPOINTS": f"{point}=kill@1"} if point else None
    api.server.start(env=env)
    batch = create(api, numbered(mark, 3000, "slow:0.01", max_tokens=10), token_budget=budget)
    if point:
        api.server.wait_killed()
    else:
        own_upstream.wait_sent(mark, 40)
        api.server.kill()
    own_upstream.settled(mark)
    api.server.start()
    done = api.wait(batch, "completed")
    used = check_spent(api, done, 3000, budget)
    assert used > budget - 200


@pytest.mark.parametrize(
    ("value", "code"), [(0, "integer_below_min_value"), ("5", "invalid_type"), (2.5, "invalid_type")]
)
def test_11_1_a_budget_is_a_number_from_1(api, value, code):
    response = api.create_raw(api.upload(numbered(fresh(), 1)), lowtide={"token_budget": value})
    check_error(response, api.profile, 400, code, "lowtide.token_budget")
