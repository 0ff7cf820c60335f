/* A budget of tokens (contract 11.1, token_budget): what answers took and what is in flight stays below
 * it, in virtual time. */
#include "servers.h"

#include "dispatch/spending.h"

#define BODY "{\"model\":\"m\",\"messages\":[],\"max_tokens\":%u,\"batch\":0,\"line\":0}"
/* 100 bytes, as the world says */
#define SMALL                                                                           \
	"{\"max_tokens\":2,\"line\":0,\"x\":\"0123456789012345678901234567890123456789" \
	"01234567890123456789012345678901\"}"
#define TOOK 5u /* tokens of an answer, see ANSWER_200 */

static struct spending spending;

static struct world_batch *batch_of_budget(struct world *w, const char *model, unsigned lines,
					   const char *body)
{
	struct world_batch *b = world_batch_as(w, model, lines, sys.now_s() + 86400,
					       &(struct flow_config){ .spending = &spending });

	b->body = body;
	return b;
}

/* With 4 slots; an answer takes 100 ms. */
static void open_world(struct world *w)
{
	servers_open(w, 1);
	servers.of[0].answer.after_ms = 100;
}

static void a_budget_that_is_enough_changes_nothing(void **state)
{
	struct world w;

	(void)state;
	open_world(&w);
	spending_begin(&spending, 1000000, 0);
	struct world_batch *b = batch_of_budget(&w, "m", 40, NULL);
	world_run(&w, 10000);
	assert_int_equal(b->ended, 40);
	assert_int_equal(spending.spent, 40 * TOOK);
	assert_int_equal(spending.in_flight + spending.expected, 0);
	assert_int_equal(b->spent, 0);
	world_close(&w);
}

static void sending_ends_before_the_budget_is_passed(void **state)
{
	struct world w;

	(void)state;
	for (unsigned budget = 57; budget < 400; budget += 37) {
		open_world(&w);
		spending_begin(&spending, budget, 0);
		struct world_batch *b = batch_of_budget(&w, "m", 200, SMALL);
		world_run(&w, 30000);
		assert_true(spending.spent <= budget);
		assert_int_equal(b->ended, spending.spent / TOOK);
		/* not one that would have fitted is left: a line is expected to take 9 at most */
		assert_true(spending.spent + 10 > budget);
		assert_int_equal(b->spent, 1);
		unsigned sent = servers.n;
		world_run(&w, 30000);
		assert_int_equal(servers.n, sent);
		world_close(&w);
	}
}

/* Nothing is known of the model: what the body allows is expected, or the line goes alone. */
static void what_is_not_known_is_expected_to_be_all_that_is_allowed(void **state)
{
	char body[200];
	struct world w;

	(void)state;
	snprintf(body, sizeof(body), BODY, 1000u);
	open_world(&w);
	spending_begin(&spending, 2500, 0);
	(void)batch_of_budget(&w, "m", 40, body);
	world_run(&w, 50);
	assert_int_equal(servers.n, 2);
	world_run(&w, 20000); /* then it is known */
	assert_int_equal(w.batches[0].ended, 40);
	world_close(&w);
	open_world(&w);
	spending_begin(&spending, 2500, 0);
	(void)batch_of_budget(&w, "m", 40, NULL);
	world_run(&w, 50);
	assert_int_equal(servers.n, 1);
	world_run(&w, 20000);
	assert_int_equal(w.batches[0].ended, 40);
	world_close(&w);
	open_world(&w); /* not even one fits */
	spending_begin(&spending, 900, 0);
	struct world_batch *b = batch_of_budget(&w, "m", 40, body);
	world_run(&w, 1000);
	assert_int_equal(servers.n, 0);
	assert_int_equal(b->spent, 1);
	world_close(&w);
}

/* 11.2: the end is that of what the budget lets run. */
static void the_end_is_that_of_the_budget(void **state)
{
	struct flow_view v;
	struct world w;

	(void)state;
	open_world(&w);
	servers.of[0].answer.after_ms = 1000;
	spending_begin(&spending, 600, 0);
	struct world_batch *b = batch_of_budget(&w, "m", 2000, SMALL);
	world_run(&w, 16500);
	flow_progress(b->flow, &v);
	int64_t eta_s = v.eta_at - sys.now_s();
	assert_true(v.eta_at > 0);
	uint64_t at_ms = world_ms();
	while (b->spent == 0)
		world_run(&w, 1000);
	int64_t took_s = (int64_t)(world_ms() - at_ms) / 1000;
	assert_in_range(eta_s + 5, took_s, took_s + 10);
	world_close(&w);
}

/* 8.3: lines that fail take nothing, and are tried again within the budget. */
static void a_line_that_fails_gives_its_tokens_back(void **state)
{
	struct world w;

	(void)state;
	open_world(&w);
	servers.of[0].answer =
		(struct fake_answer){ .status = 400, .body = "{\"error\":{}}", .after_ms = 50 };
	spending_begin(&spending, 100, 60);
	struct world_batch *b = batch_of_budget(&w, "m", 20, NULL);
	world_run(&w, 20000);
	assert_int_equal(b->ended, 20);
	assert_int_equal(spending.spent, 60);
	assert_int_equal(b->spent, 0);
	world_close(&w);
}

static void the_flows_of_a_batch_share_it(void **state)
{
	struct world w;

	(void)state;
	open_world(&w);
	spending_begin(&spending, 200, 0);
	struct world_batch *a = batch_of_budget(&w, "m", 40, SMALL),
			   *b = batch_of_budget(&w, "n", 40, SMALL);
	world_run(&w, 30000);
	assert_true(spending.spent <= 200 && spending.spent > 185);
	assert_int_equal(a->ended + b->ended, spending.spent / TOOK);
	assert_true(a->ended > 0 && b->ended > 0);
	assert_int_equal(a->spent + b->spent, 1);
	world_close(&w);
}

static void a_flow_that_waits_can_be_held_and_dropped(void **state)
{
	struct world w;

	(void)state;
	open_world(&w);
	spending_begin(&spending, 50, 0);
	struct world_batch *b = batch_of_budget(&w, "m", 40, NULL);
	world_run(&w, 50); /* one is in flight, another waits for it */
	flow_suspend(b->flow, true);
	world_run(&w, 5000);
	unsigned sent = servers.n;
	assert_int_equal(b->ended, sent);
	flow_suspend(b->flow, false);
	world_run(&w, 150);
	assert_true(servers.n > sent);
	world_drop(&w, b);
	assert_null(spending.waiting);
	assert_int_equal(spending.in_flight, 0);
	world_close(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_budget_that_is_enough_changes_nothing),
		cmocka_unit_test(sending_ends_before_the_budget_is_passed),
		cmocka_unit_test(what_is_not_known_is_expected_to_be_all_that_is_allowed),
		cmocka_unit_test(the_end_is_that_of_the_budget),
		cmocka_unit_test(a_line_that_fails_gives_its_tokens_back),
		cmocka_unit_test(the_flows_of_a_batch_share_it),
		cmocka_unit_test(a_flow_that_waits_can_be_held_and_dropped),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
