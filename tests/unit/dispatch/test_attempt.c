/* test_attempt.c: one line on its way: what is sent, and what each end of it makes of the line. */
#include "servers.h"

#define assert_body(outcome, text) assert_true(slice_is(buf_slice(&(outcome)->body), text))
#define assert_id(outcome, text) \
	assert_true(slice_is((struct slice){ (outcome)->custom_id, (outcome)->custom_id_n }, text))

/* ---- what is sent ---- */

static void a_line_goes_as_it_stands(void **state)
{
	static const char body[] = "{ \"b\" : 1.0e1,\t\"a\":\"\\u00e9 \xc3\xa9\",\"b\":2 }";
	struct world w;

	(void)state;
	servers_open(&w, 1);
	world_batch(&w, 1)->body = body;
	world_run(&w, 200);
	assert_int_equal(servers.n, 1);
	assert_string_equal(servers.requests[0].body, body);
	assert_string_equal(servers.requests[0].url, "http://a.test/v1/chat/completions");
	assert_false(servers.requests[0].fresh || servers.requests[0].look_up);
	world_close(&w);
}

static void a_priority_is_put_first(void **state)
{
	static const char *const rows[][2] = {
		{ "{\"model\":\"m\"}", "{\"priority\":-7,\"model\":\"m\"}" },
		{ "{ \"priority\":1}", "{\"priority\":-7, \"priority\":1}" },
		{ "{ }", "{\"priority\":-7 }" },
	};
	struct upstream_config config = server_config(0);
	struct world w;

	(void)state;
	config.has_priority = true;
	config.priority = -7;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		servers_open_with(&w, WORLD_CONFIG, &config, 1);
		world_batch(&w, 1)->body = rows[i][0];
		world_run(&w, 200);
		assert_string_equal(servers.requests[0].body, rows[i][1]);
		assert_id(w.batches[0].outcomes[0], "0");
		world_close(&w);
	}
}

/* What a line adds to the engine's gauges. */
static void a_line_is_as_many_as_its_body_says(void **state)
{
	struct world w;

	(void)state;
	servers_open(&w, 1);
	world_batch(&w, 3)->body = "{\"messages\":[],\"n\":4}";
	world_run(&w, 50);
	const struct slots *s = &w.dispatch->slots;
	assert_int_equal(s->sent, 3);
	assert_int_equal(s->sent_units, 12);
	assert_int_equal(w.dispatch->upstreams->slots.sent_units, 12);
	assert_int_equal(w.dispatch->models->lanes->slots.sent_units, 12);
	world_run(&w, 2000);
	assert_int_equal(w.ended, 3);
	assert_int_equal(s->sent_units, 0);
	world_close(&w);
}

/* ---- answers that end it ---- */

static void a_good_answer_ends_it_with_its_facts(void **state)
{
	const struct outcome *o;
	struct world w;

	(void)state;
	servers_open(&w, 1);
	servers.of[0].answer.headers[0] = (struct header){ SLICE("x-request-id"), SLICE("req_1") };
	servers.of[0].answer.piece = 7;
	world_batch(&w, 1);
	world_run(&w, 200);
	assert_int_equal(w.ended, 1);
	o = w.batches[0].outcomes[0];
	assert_int_equal(o->fault, OUTCOME_ANSWERED);
	assert_int_equal(o->http_status, 200);
	assert_int_equal(o->attempts, 1);
	assert_body(o, ANSWER_200);
	assert_true(o->scanned);
	assert_int_equal(o->facts.usage.input, 3);
	assert_int_equal(o->facts.usage.output, 2);
	assert_string_equal(o->request_id, "req_1");
	assert_id(o, "0");
	world_close(&w);
}

static void a_refusal_of_its_content_ends_it(void **state)
{
	static const int rows[] = { 400, 413, 422 };
	struct world w;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		servers_open(&w, 1);
		servers.of[0].answer.status = rows[i];
		servers.of[0].answer.body = "{\"error\":{\"message\":\"no\"}}";
		world_batch(&w, 1);
		world_run(&w, 5000);
		assert_int_equal(w.ended, 1);
		assert_int_equal(servers.n, 1);
		assert_int_equal(w.batches[0].outcomes[0]->fault, OUTCOME_ANSWERED);
		assert_int_equal(w.batches[0].outcomes[0]->http_status, rows[i]);
		assert_body(w.batches[0].outcomes[0], "{\"error\":{\"message\":\"no\"}}");
		world_close(&w);
	}
}

static void too_large_an_answer_ends_it(void **state)
{
	struct dispatch_config config = WORLD_CONFIG;
	struct upstream_config a = server_config(0);
	struct world w;

	(void)state;
	config.response_bytes_max = sizeof(ANSWER_200) - 2;
	servers_open_with(&w, config, &a, 1);
	servers.of[0].answer.piece = 10;
	world_batch(&w, 1);
	world_run(&w, 5000);
	assert_int_equal(servers.n, 1);
	assert_int_equal(w.batches[0].outcomes[0]->fault, OUTCOME_INVALID);
	assert_non_null(strstr(w.batches[0].outcomes[0]->message, "larger than the limit"));
	world_close(&w);
}

/* ---- ends of which the server was the cause, while it answers others well ---- */

static struct fake_answer ends[4]; /* of line 0, attempt by attempt, then of all to come */

static void choose_end(const struct request *rq, struct fake_answer *ret)
{
	unsigned nth = 0;

	if (rq->line != 0)
		return;
	while (servers_find(0, nth) != rq)
		nth++;
	*ret = ends[nth < ARRAY_LEN(ends) ? nth : ARRAY_LEN(ends) - 1];
}

static const struct fake_answer good = { .body = ANSWER_200, .after_ms = 150 },
				fails = { .status = 500, .after_ms = 150 },
				stale = { .how = EXCHANGE_STALE, .after_ms = 1 };

/* A batch of 40 lines, of which the first ends that way. */
static const struct outcome *line_ends(struct world *w, const struct fake_answer *how, size_t n)
{
	servers_open(w, 1);
	for (size_t i = 0; i < ARRAY_LEN(ends); i++)
		ends[i] = how[i < n ? i : n - 1];
	servers.of[0].choose = choose_end;
	world_batch(w, 40);
	world_run(w, 3000);
	assert_int_equal(w->batches[0].ended, 40);
	for (unsigned i = 1; i < 40; i++)
		assert_int_equal(w->batches[0].outcomes[i]->attempts, 1);
	return w->batches[0].outcomes[0];
}

static void a_fault_is_charged_and_tried_again_after_a_while(void **state)
{
	struct world w;

	(void)state;
	const struct outcome *o = line_ends(&w, &fails, 1);
	assert_int_equal(o->fault, OUTCOME_ANSWERED);
	assert_int_equal(o->http_status, 500);
	assert_int_equal(o->attempts, 2); /* max_attempts */
	uint64_t failed_ms = servers_find(0, 0)->at_ms + 150;
	assert_in_range(servers_find(0, 1)->at_ms, failed_ms + 187, failed_ms + 313 + 100);
	assert_true(servers_find(0, 1)->fresh);
	assert_null(servers_find(0, 2));
	world_close(&w);
}

static void a_fault_that_passes_is_none(void **state)
{
	const struct fake_answer how[] = { fails, good };
	struct world w;

	(void)state;
	const struct outcome *o = line_ends(&w, how, ARRAY_LEN(how));
	assert_int_equal(o->http_status, 200);
	assert_int_equal(o->attempts, 2);
	world_close(&w);
}

static void what_was_retried_is_shown_until_it_ends(void **state)
{
	struct flow_view v;
	struct world w;

	(void)state;
	servers_open(&w, 1);
	ends[0] = fails;
	ends[1] = ends[2] = ends[3] = (struct fake_answer){ .body = ANSWER_200, .after_ms = 2000 };
	servers.of[0].choose = choose_end;
	struct world_batch *b = world_batch(&w, 40);
	world_run(&w, 1000);
	flow_progress(b->flow, &v);
	assert_int_equal(v.retried, 1);
	world_run(&w, 3000);
	assert_int_equal(b->ended, 40);
	flow_progress(b->flow, &v);
	assert_int_equal(v.retried, 0);
	world_close(&w);
}

static void another_upstream_is_tried_first(void **state)
{
	struct upstream_config list[] = { server_config(0), server_config(1) };
	struct world w;

	(void)state;
	list[0].weight = 100; /* has always the better claim */
	servers_open_with(&w, WORLD_CONFIG, list, 2);
	for (size_t i = 0; i < ARRAY_LEN(ends); i++)
		ends[i] = fails;
	servers.of[0].choose = choose_end;
	world_batch(&w, 80);
	world_run(&w, 5000);
	assert_int_equal(servers_find(0, 0)->server, 0);
	assert_int_equal(servers_find(0, 1)->server, 1);
	assert_int_equal(w.batches[0].outcomes[0]->http_status, 200);
	world_close(&w);
}

static void a_dead_connection_is_excused_once(void **state)
{
	const struct fake_answer once[] = { stale, fails, good }, twice[] = { stale, stale, fails };
	struct world w;

	(void)state;
	const struct outcome *o = line_ends(&w, once, ARRAY_LEN(once));
	assert_int_equal(o->http_status, 200);
	assert_int_equal(o->attempts, 3);
	assert_true(servers_find(0, 1)->fresh);
	assert_int_equal(servers_find(0, 1)->at_ms, servers_find(0, 0)->at_ms + 1);
	world_close(&w);

	o = line_ends(&w, twice, ARRAY_LEN(twice));
	assert_int_equal(o->http_status, 500);
	assert_int_equal(o->attempts, 3);
	world_close(&w);
}

static void a_200_that_is_no_answer_is_a_fault(void **state)
{
	const struct fake_answer how = { .body = "{\"choices\":", .after_ms = 150 };
	struct world w;

	(void)state;
	const struct outcome *o = line_ends(&w, &how, 1);
	assert_int_equal(o->fault, OUTCOME_INVALID);
	assert_int_equal(o->http_status, 200);
	assert_int_equal(o->attempts, 2);
	world_close(&w);
}

static void no_answer_in_time_is_a_fault(void **state)
{
	struct world w;

	(void)state;
	servers_open(&w, 1);
	servers.of[0].answer.after_ms = 20000;
	for (size_t i = 0; i < ARRAY_LEN(ends); i++)
		ends[i] = (struct fake_answer){ .after_ms = FAKE_NEVER };
	servers.of[0].choose = choose_end;
	world_batch(&w, 30);
	world_run(&w, 59000);
	assert_null(w.batches[0].outcomes[0]);
	world_run(&w, 30000);
	assert_in_range(servers_find(0, 1)->at_ms, 30187, 40000); /* when a slot is free */
	assert_int_equal(w.batches[0].outcomes[0]->fault, OUTCOME_TIMEOUT);
	assert_int_equal(w.batches[0].outcomes[0]->attempts, 2);
	world_close(&w);
}

static void fail_first_lines(const struct request *rq, struct fake_answer *ret)
{
	if (rq->line == 0)
		*ret = fails;
}

/* 11.1, max_attempts: of one batch, while another's are as configured. */
static void a_batch_may_have_attempts_of_its_own(void **state)
{
	struct world w;

	(void)state;
	servers_open(&w, 1);
	servers.of[0].answer.after_ms = 100;
	servers.of[0].choose = fail_first_lines;
	struct world_batch *once = world_batch_as(&w, "m", 40, sys.now_s() + 86400,
						  &(struct flow_config){ .max_attempts = 1 });
	struct world_batch *usual = world_batch(&w, 40);
	world_run(&w, 10000);
	assert_int_equal(once->ended + usual->ended, 80);
	assert_int_equal(once->outcomes[0]->attempts, 1);
	assert_int_equal(usual->outcomes[0]->attempts, 2);
	assert_int_equal(once->outcomes[0]->http_status, 500);
	world_close(&w);
}

/* 11.1, line_timeout_s: exchanges are used again for lines of other batches. */
static void a_batch_may_have_a_time_out_of_its_own(void **state)
{
	struct world w;

	(void)state;
	servers_open(&w, 1);
	servers.of[0].answer.after_ms = 4000;
	struct world_batch *hasty = world_batch_as(
		&w, "m", 4, sys.now_s() + 86400, &(struct flow_config){ .line_timeout_ms = 1000 });
	struct world_batch *usual = world_batch(&w, 4);
	world_run(&w, 60000);
	assert_int_equal(usual->ended, 4);
	for (unsigned i = 0; i < 4; i++)
		assert_int_equal(usual->outcomes[i]->fault, OUTCOME_ANSWERED);
	for (unsigned i = 0; i < 4; i++)
		if (hasty->outcomes[i] != NULL)
			assert_int_equal(hasty->outcomes[i]->fault, OUTCOME_TIMEOUT);
	world_close(&w);
}

static void an_upstream_that_is_not_there_costs_no_attempt(void **state)
{
	struct flow_view v;
	struct world w;

	(void)state;
	servers_open(&w, 1);
	servers.of[0].unreachable = true;
	struct world_batch *b = world_batch(&w, 3);
	world_run(&w, 10000);
	assert_true(servers.n > 5);
	assert_int_equal(w.ended, 0);
	flow_progress(b->flow, &v);
	assert_int_equal(v.retried, 0);
	servers.of[0].unreachable = false;
	world_run(&w, 5000);
	assert_int_equal(w.ended, 3);
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(b->outcomes[i]->attempts, 1);
	world_close(&w);
}

/* ---- what we are the cause of ---- */

/* While the disk stands, at most 8 at once. */
static void a_slot_is_free_when_its_line_is_answered(void **state)
{
	struct upstream_config a = server_config(0);
	struct flow_view v;
	struct world w;

	(void)state;
	a.concurrency = 8;
	log_seen_begin();
	servers_open_with(&w, WORLD_CONFIG, &a, 1);
	w.disk_full = true;
	struct world_batch *b = world_batch(&w, 2 * UNSYNCED_MAX - 100);
	world_run(&w, 10000);
	assert_in_range(b->ended, 8 * 90, 8 * 100); /* no slower than on a disk that takes all */
	world_run(&w, 10000);
	/* those that were in flight when the bound was reached come on top */
	assert_in_range(b->ended, UNSYNCED_MAX, UNSYNCED_MAX + 7);
	assert_int_equal(servers.n, b->ended);
	assert_int_equal(w.dispatch->slots.sent, 0);
	assert_true(flow_is_busy(b->flow));
	flow_progress(b->flow, &v);
	assert_int_equal(v.running, b->ended);
	assert_int_equal(v.stall, STALL_PAUSED);
	assert_non_null(strstr(v.text, "1024 or more answered lines"));
	assert_int_equal(log_seen_count("dispatch.waits_for_disk", "not_durable="), 1);
	world_record(&w);
	world_run(&w, 30000);
	assert_int_equal(b->ended, b->lines);
	assert_int_equal(servers.n, b->lines);
	assert_false(flow_is_busy(b->flow));
	flow_progress(b->flow, &v);
	assert_int_equal(v.stall, STALL_NONE);
	world_close(&w);
	log_seen_end();
}

/* One bound for all upstreams and batches. */
static void what_is_not_durable_is_bounded_over_all_upstreams(void **state)
{
	struct world w;

	(void)state;
	servers_open(&w, 2);
	w.disk_full = true;
	for (unsigned i = 0; i < 2; i++)
		world_batch(&w, UNSYNCED_MAX - 300);
	world_run(&w, 60000);
	assert_in_range(w.ended, UNSYNCED_MAX, UNSYNCED_MAX + 7);
	assert_true(w.batches[0].ended > 0 && w.batches[1].ended > 0);
	assert_true(servers.of[0].lines > 0 && servers.of[1].lines > 0);
	world_record(&w);
	world_run(&w, 60000);
	assert_int_equal(w.ended, 2 * (UNSYNCED_MAX - 300));
	world_close(&w);
}

static void a_line_that_cannot_be_read_for_now_waits(void **state)
{
	static const int rows[] = { ENOMEM, EMFILE, ENFILE };
	struct world w;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		servers_open(&w, 1);
		struct world_batch *b = world_batch(&w, 5);
		b->unreadable = rows[i];
		world_run(&w, 5000);
		assert_int_equal(servers.n, 0);
		assert_int_equal(b->faults, 0);
		b->unreadable = 0;
		world_run(&w, 3000);
		assert_int_equal(b->ended, 5);
		for (unsigned n = 0; n < 5; n++)
			assert_int_equal(b->outcomes[n]->attempts, 1);
		world_close(&w);
	}
}

static void input_that_is_damaged_ends_its_batch_alone(void **state)
{
	struct world w;

	(void)state;
	servers_open(&w, 1);
	struct world_batch *damaged = world_batch(&w, 30), *sound = world_batch(&w, 30);
	world_run(&w, 50);
	assert_int_equal(servers.n, 4);
	damaged->unreadable = EIO;
	world_run(&w, 10000);
	assert_int_equal(damaged->faults, 1);
	assert_in_range(damaged->ended, 1, 4); /* those that had been sent */
	assert_int_equal(sound->ended, 30);
	world_close(&w);
}

static void fail_two_lines(const struct request *rq, struct fake_answer *ret)
{
	if (rq->line < 2)
		*ret = (struct fake_answer){ .status = 500, .after_ms = 50 };
}

static void nor_are_its_lines_sent_again(void **state)
{
	struct world w;

	(void)state;
	servers_open(&w, 1);
	servers.of[0].choose = fail_two_lines;
	struct world_batch *b = world_batch(&w, 4);
	world_run(&w, 150);
	assert_int_equal(b->ended, 2);
	b->unreadable = EIO;
	world_run(&w, 5000);
	assert_int_equal(b->faults, 1);
	b->unreadable = 0;
	world_run(&w, 5000);
	assert_int_equal(servers.n, 4);
	world_close(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_line_goes_as_it_stands),
		cmocka_unit_test(a_priority_is_put_first),
		cmocka_unit_test(a_line_is_as_many_as_its_body_says),
		cmocka_unit_test(a_good_answer_ends_it_with_its_facts),
		cmocka_unit_test(a_refusal_of_its_content_ends_it),
		cmocka_unit_test(too_large_an_answer_ends_it),
		cmocka_unit_test(a_fault_is_charged_and_tried_again_after_a_while),
		cmocka_unit_test(a_fault_that_passes_is_none),
		cmocka_unit_test(what_was_retried_is_shown_until_it_ends),
		cmocka_unit_test(another_upstream_is_tried_first),
		cmocka_unit_test(a_dead_connection_is_excused_once),
		cmocka_unit_test(a_200_that_is_no_answer_is_a_fault),
		cmocka_unit_test(no_answer_in_time_is_a_fault),
		cmocka_unit_test(a_batch_may_have_attempts_of_its_own),
		cmocka_unit_test(a_batch_may_have_a_time_out_of_its_own),
		cmocka_unit_test(an_upstream_that_is_not_there_costs_no_attempt),
		cmocka_unit_test(a_slot_is_free_when_its_line_is_answered),
		cmocka_unit_test(what_is_not_durable_is_bounded_over_all_upstreams),
		cmocka_unit_test(a_line_that_cannot_be_read_for_now_waits),
		cmocka_unit_test(input_that_is_damaged_ends_its_batch_alone),
		cmocka_unit_test(nor_are_its_lines_sent_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
