/* test_shares.c: a batch whose lines name several models (contract 11.1, mixed_models): a flow of
 * each model over the same span, and one batch to look at. */
#include "coordinator_unit.h"

#define LINE(id, model)                                                                   \
	"{\"custom_id\":\"" id "\",\"method\":\"POST\",\"url\":\"/v1/chat/completions\"," \
	"\"body\":{\"model\":\"" model "\",\"messages\":[]}}\n"

static const struct batch_options mixed = { .mixed_models = true };
static const struct batch_options mixed_skips = { .mixed_models = true, .skip_invalid = true };

/* Lines 0 and 3 are of a, 1 and 4 of b, 2 of c. */
static void batch_of_three_models(void)
{
	upload(LINE("0", "a") LINE("1", "b") LINE("2", "c") LINE("3", "a") LINE("4", "b"));
	batch_begin_as(&mixed);
	assert_int_equal(status(), BATCH_IN_PROGRESS);
	assert_int_equal(fake.open_n, 3);
}

static void assert_flow(const struct flow *f, const char *model, unsigned n, const uint64_t want[])
{
	uint64_t records[LINES_MAX] = { 0 };

	assert_string_equal(f->config.model, model);
	assert_int_equal(f->config.rest_lines, n);
	assert_true(f->config.rest_bytes > 0);
	assert_int_equal(fake_records_of(f, records), n);
	for (unsigned i = 0; i < n; i++)
		assert_int_equal(records[i], want[i]);
}

static void test_each_model_has_a_flow_of_its_lines(void **state)
{
	(void)state;
	batch_of_three_models();
	assert_flow(fake.open[0], "a", 2, (uint64_t[]){ 0, 3 });
	assert_flow(fake.open[1], "b", 2, (uint64_t[]){ 1, 4 });
	assert_flow(fake.open[2], "c", 1, (uint64_t[]){ 2 });
	struct batch b = row();
	assert_null(b.model);
	assert_int_equal(b.counts.total, 5);
	batch_done(&b);
}

static void answer_of(unsigned flow, uint64_t record, int http_status)
{
	fake_answer_of(fake.open[flow], record, http_status);
	all_recorded();
}

static void test_it_ends_with_its_last_line_in_input_order(void **state)
{
	(void)state;
	batch_of_three_models();
	answer_of(2, 2, 200);
	answer_of(1, 4, 404);
	answer_of(1, 1, 200);
	answer_of(0, 3, 200);
	assert_int_equal(view().row.counts.completed, 3);
	assert_int_equal(view().row.counts.failed, 1);
	assert_int_equal(view().causes.n, 1);
	assert_int_equal(fake.recorded, 4);
	assert_int_equal(status(), BATCH_IN_PROGRESS);
	answer_of(0, 0, 200);
	to_the_end();
	assert_int_equal(status(), BATCH_COMPLETED);
	assert_int_equal(fake.dropped, 3);
	assert_counts(4, 1, 0, 0);
	assert_in_order(result(false), "\"custom_id\":\"0\"", "\"custom_id\":\"1\"");
	assert_in_order(result(false), "\"custom_id\":\"2\"", "\"custom_id\":\"3\"");
}

static void test_after_a_restart_a_model_that_has_ended_has_no_flow(void **state)
{
	(void)state;
	batch_of_three_models();
	answer_of(0, 0, 200);
	answer_of(2, 2, 200);
	restart();
	assert_int_equal(fake.open_n, 2);
	assert_flow(fake.open[0], "a", 1, (uint64_t[]){ 3 });
	assert_flow(fake.open[1], "b", 2, (uint64_t[]){ 1, 4 });
	answer_of(0, 3, 200);
	answer_of(1, 1, 200);
	answer_of(1, 4, 200);
	to_the_end();
	assert_counts(5, 0, 0, 0);
}

static void test_a_cancel_drops_all_flows(void **state)
{
	(void)state;
	bool moved;

	batch_of_three_models();
	answer_of(1, 1, 200);
	MUST(store_batch_move(world.store, w.batch_id, 1u << BATCH_IN_PROGRESS, BATCH_CANCELLING,
			      sys.now_s(), &moved, &err));
	coordinator_end(w.c, EARLY_CANCELLED);
	to_the_end();
	assert_int_equal(fake.dropped, 3);
	assert_counts(1, 0, 0, 4);
}

static void test_one_model_is_one_flow(void **state)
{
	(void)state;
	upload(LINE("0", "a") LINE("1", "a"));
	batch_begin_as(&mixed);
	assert_int_equal(fake.open_n, 1);
	assert_string_equal(fake.flow->config.model, "a");
	struct batch b = row();
	assert_string_equal(b.model, "a");
	batch_done(&b);
}

static void test_without_the_option_two_models_fail_the_batch(void **state)
{
	(void)state;
	upload(LINE("0", "a") LINE("1", "b"));
	batch_begin();
	assert_int_equal(status(), BATCH_FAILED);
}

static void test_bad_lines_and_several_models(void **state)
{
	(void)state;
	upload(LINE("0", "a") "no JSON\n" LINE("1", "b") LINE("0", "b"));
	batch_begin_as(&mixed_skips);
	assert_int_equal(fake.open_n, 2);
	assert_flow(fake.open[0], "a", 1, (uint64_t[]){ 0 });
	assert_flow(fake.open[1], "b", 1, (uint64_t[]){ 2 });
	restart();
	assert_int_equal(view().row.counts.failed, 2);
	assert_int_equal(fake.open_n, 2);
	answer_of(0, 0, 200);
	answer_of(1, 2, 200);
	to_the_end();
	assert_counts(2, 2, 0, 0);
}

/* Over several segments a flow passes by those in which its model has no line. */
static void test_segments_without_a_line_of_the_model_are_passed_by(void **state)
{
	(void)state;
	AUTO(buf_free) struct buf text = BUF(8 << 20);
	const unsigned lines = 3 * SEGMENT_LINES + 5;

	for (unsigned i = 0; i < lines; i++)
		buf_printf(&text,
			   "{\"custom_id\":\"%u\",\"method\":\"POST\",\"url\":\"/v1/chat/"
			   "completions\",\"body\":{\"model\":\"%s\",\"messages\":[]}}\n",
			   i, i == lines - 1 ? "rare" : "m");
	buf_char(&text, '\0');
	assert_false(text.failed);
	upload(text.p);
	batch_begin_as(&mixed);
	assert_int_equal(fake.open_n, 2);
	assert_int_equal(fake.open[0]->config.rest_lines, lines - 1);
	assert_flow(fake.open[1], "rare", 1, (uint64_t[]){ lines - 1 });
}

/* ---- one batch to look at ---- */

static void show(unsigned flow, struct flow_view v, const char *text)
{
	snprintf(v.text, sizeof(v.text), "%s", text);
	fake.open[flow]->view = v;
	fake.open[flow]->has_view = true;
}

static void test_numbers_are_sums_and_the_end_is_the_last(void **state)
{
	(void)state;
	batch_of_three_models();
	show(0, (struct flow_view){ .running = 1, .retried = 2, .rate_per_s = 1.5, .eta_at = 100 },
	     "");
	show(1,
	     (struct flow_view){ .running = 2,
				 .rate_per_s = 2,
				 .eta_at = 300,
				 .at_risk = true,
				 .queue_position = 4 },
	     "");
	show(2, (struct flow_view){ .eta_at = 200, .queue_position = 2 }, "");
	struct batch_view v = view();
	assert_int_equal(v.running, 3);
	assert_int_equal(v.pending, 2);
	assert_int_equal(v.row.counts.retried, 2);
	assert_true(v.rate_per_s == 3.5);
	assert_int_equal(v.eta_at, 300);
	assert_true(v.at_risk);
	assert_int_equal(v.queue_position, 0);
	show(2, (struct flow_view){ .eta_at = 0 }, "");
	assert_int_equal(view().eta_at, 0); /* of one model it cannot be told */
	answer_of(2, 2, 200);
	assert_int_equal(view().eta_at, 300); /* which has no lines left */
}

static void test_what_stalls_one_model_stalls_the_batch_when_it_is_all_that_is_left(void **state)
{
	(void)state;
	batch_of_three_models();
	show(1, (struct flow_view){ .stall = STALL_DOWN }, "since then");
	assert_int_equal(view().stall, STALL_NONE); /* a and c move */
	show(0, (struct flow_view){ .stall = STALL_THROTTLED }, "slow");
	show(2, (struct flow_view){ .stall = STALL_REFUSED, .certificate = true }, "no");
	answer_of(0, 0, 200);
	struct batch_view v = view();
	assert_int_equal(v.stall, STALL_DOWN); /* most of what is left */
	assert_string_equal(v.stall_message, "model 'b' (2 other models wait, too): since then");
	assert_false(v.certificate);
	answer_of(0, 3, 200);
	answer_of(1, 1, 200);
	answer_of(1, 4, 200);
	v = view();
	assert_int_equal(v.stall, STALL_REFUSED);
	assert_string_equal(v.stall_message, "model 'c': no");
	assert_true(v.certificate);
}

static void test_what_is_enqueued_of_several_models_has_a_limit_too(void **state)
{
	(void)state;
	upload(LINE("0", "a") LINE("1", "b"));
	batch_insert_as(&mixed, w.batch_id);
	w.config.enqueued_requests_max = 1; /* of several models, too (7.2) */
	batch_take_up();
	struct batch b = row();
	assert_int_equal(b.status, BATCH_FAILED);
	assert_non_null(strstr(b.errors, "reached for batches of several models"));
	batch_done(&b);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_each_model_has_a_flow_of_its_lines),
		TEST(test_it_ends_with_its_last_line_in_input_order),
		TEST(test_after_a_restart_a_model_that_has_ended_has_no_flow),
		TEST(test_a_cancel_drops_all_flows),
		TEST(test_one_model_is_one_flow),
		TEST(test_without_the_option_two_models_fail_the_batch),
		TEST(test_bad_lines_and_several_models),
		TEST(test_segments_without_a_line_of_the_model_are_passed_by),
		TEST(test_numbers_are_sums_and_the_end_is_the_last),
		TEST(test_what_stalls_one_model_stalls_the_batch_when_it_is_all_that_is_left),
		TEST(test_what_is_enqueued_of_several_models_has_a_limit_too),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
