/* test_memory.c: what lines may take of the memory budget: none is sent for whose answer there is
 * no room, and an answer for which there is none is not read on. */
#include "servers.h"

#define LIMIT (1u << 20)
#define ANSWER_BYTES (64u << 10)

static struct budget budget;
static char long_answer[ANSWER_BYTES + 1];

/* Upstream a answers ANSWER_BYTES after 100 ms, in pieces; durable ones take no room. */
static void world_begin(struct world *w)
{
	static const char head[] = "{\"choices\":[{\"message\":{\"content\":\"", tail[] = "\"}}]}";
	struct dispatch_config config = WORLD_CONFIG;
	struct upstream_config a = server_config(0);

	memset(long_answer, 'x', ANSWER_BYTES);
	memcpy(long_answer, head, sizeof(head) - 1);
	memcpy(long_answer + ANSWER_BYTES - (sizeof(tail) - 1), tail, sizeof(tail));
	budget_init(&budget, LIMIT);
	config.budget = &budget;
	servers_open_with(w, config, &a, 1);
	servers.of[0].answer = (struct fake_answer){
		.body = long_answer, .after_ms = 100, .piece = 8u << 10, .gap_ms = 1
	};
	w->forgets = true;
}

/* Others take it all, or give it back. */
static void others_take(void)
{
	budget_charge(budget_use(&budget, BUDGET_ONLINE), LIMIT);
}

static void others_give(void)
{
	budget_give(budget_use(&budget, BUDGET_ONLINE), LIMIT);
}

static void without_room_one_line_goes_at_a_time(void **state)
{
	struct world w;

	(void)state;
	world_begin(&w);
	others_take();
	world_batch(&w, 20);
	world_run(&w, 90);
	assert_int_equal(servers.n, 1);
	world_run(&w, 900);
	assert_in_range(servers.n, 5, 10);
	unsigned n = servers.n;
	others_give();
	world_run(&w, 1);
	assert_true(servers.n >= n + 3);
	world_run(&w, 2000);
	assert_int_equal(w.ended, 20);
	world_close(&w);
	assert_int_equal(budget.bytes, 0);
}

static void nor_that_while_an_answer_is_not_durable(void **state)
{
	struct world w;

	(void)state;
	world_begin(&w);
	others_take();
	w.disk_full = true;
	world_batch(&w, 20);
	world_run(&w, 60000);
	assert_int_equal(servers.n, 1);
	assert_int_equal(w.ended, 1);
	world_record(&w);
	world_run(&w, 150);
	assert_int_equal(w.ended, 2);
	others_give();
	world_run(&w, 2000);
	assert_int_equal(w.ended, 20);
	world_close(&w);
}

/* Their slots are free, their room is not: the bound of unsynced lines does not come first. */
static void answers_that_are_not_durable_fill_the_budget(void **state)
{
	struct world w;

	(void)state;
	world_begin(&w);
	w.disk_full = true;
	world_batch(&w, 100);
	world_run(&w, 60000);
	unsigned n = w.ended;
	assert_in_range(n, LIMIT / ANSWER_BYTES / 2, LIMIT / ANSWER_BYTES);
	assert_int_equal(servers.n, n);
	assert_true(budget.bytes <= LIMIT);
	world_record(&w);
	world_run(&w, 10000);
	assert_int_equal(w.ended, 100);
	world_close(&w);
	assert_int_equal(budget.bytes, 0);
}

static void how_large_answers_are_is_learnt(void **state)
{
	struct world w;

	(void)state;
	world_begin(&w);
	/* room for four lines whose answers are not known, but not for four such answers */
	budget.limit = 4 * (4 * (64u << 10)) / 3;
	world_batch(&w, 30);
	world_run(&w, 50);
	assert_int_equal(servers.n, 4);
	world_run(&w, 3000);
	assert_in_range(servers_count(0, 1000, 1100), 1, 2);
	world_run(&w, 10000);
	assert_int_equal(w.ended, 30);
	world_close(&w);
}

static void an_answer_is_paused_and_goes_on(void **state)
{
	struct world w;

	(void)state;
	world_begin(&w);
	w.disk_full = true;
	struct world_batch *b = world_batch(&w, 4);
	world_run(&w, 50);
	assert_int_equal(servers.n, 4);
	others_take();
	world_run(&w, 20000);
	assert_in_range(b->ended, 1, 2); /* the first of its kind, and the one that may go over */
	w.forgets = false;
	others_give();
	world_run(&w, 100);
	assert_int_equal(b->ended, 4);
	for (unsigned i = 0; i < 4; i++) {
		assert_int_equal(b->outcomes[i]->attempts, 1);
		assert_true(slice_is(buf_slice(&b->outcomes[i]->body), long_answer));
	}
	world_close(&w);
}

static void one_at_a_time_goes_over_the_limit(void **state)
{
	uint64_t most = 0;
	struct world w;

	(void)state;
	world_begin(&w);
	world_batch(&w, 4);
	world_run(&w, 50);
	others_take();
	for (int i = 0; i < 1000; i++) {
		world_run(&w, 1);
		most = budget.bytes > most ? budget.bytes : most;
	}
	assert_int_equal(w.ended, 4);
	assert_int_equal(servers.n, 4);
	uint64_t requests = 4 * (EXCHANGE_BYTES + 4096);
	assert_in_range(most, LIMIT + ANSWER_BYTES, LIMIT + requests + 2 * ANSWER_BYTES);
	others_give();
	world_close(&w);
}

static void our_want_of_memory_is_no_fault_of_the_line(void **state)
{
	struct scheduling_view v;
	struct world w;

	(void)state;
	world_begin(&w);
	w.disk_full = true;
	struct world_batch *b = world_batch(&w, 4);
	world_run(&w, 50);
	others_take();
	world_run(&w, 100000); /* line_timeout_ms, three times */
	unsigned ended = b->ended;
	assert_in_range(ended, 1, 2);
	world_view(&w, &v);
	assert_int_equal(v.upstreams[0].trips, 0);
	assert_int_equal(v.upstreams[0].broken, 0);
	scheduling_view_done(&v);
	others_give();
	world_record(&w);
	world_run(&w, 2000);
	assert_int_equal(b->ended, 4);
	for (unsigned i = 0; i < 4; i++)
		assert_int_equal(b->outcomes[i]->http_status, 200);
	world_close(&w);
}

static void what_is_dropped_gives_its_room_back(void **state)
{
	struct world w;

	(void)state;
	world_begin(&w);
	struct world_batch *b = world_batch(&w, 20);
	world_run(&w, 50);
	others_take();
	world_run(&w, 53); /* some are paused */
	world_drop(&w, b);
	others_give();
	struct world_batch *next = world_batch(&w, 8);
	world_run(&w, 1000);
	assert_int_equal(next->ended, 8);
	world_close(&w);
	assert_int_equal(budget.bytes, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(without_room_one_line_goes_at_a_time),
		cmocka_unit_test(nor_that_while_an_answer_is_not_durable),
		cmocka_unit_test(answers_that_are_not_durable_fill_the_budget),
		cmocka_unit_test(how_large_answers_are_is_learnt),
		cmocka_unit_test(an_answer_is_paused_and_goes_on),
		cmocka_unit_test(one_at_a_time_goes_over_the_limit),
		cmocka_unit_test(our_want_of_memory_is_no_fault_of_the_line),
		cmocka_unit_test(what_is_dropped_gives_its_room_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
