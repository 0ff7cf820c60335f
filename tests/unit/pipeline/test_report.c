/* What nodes tell one another: written, read, and what another version's or a broken one is. */
#include "unit.h"

#include "pipeline/report.h"

static struct report_batch batch_of(const char *id, int64_t position, uint64_t running)
{
	struct report_batch b;

	report_batch_init(&b, id);
	b.queue_position = position;
	b.running = running;
	return b;
}

static struct report_text text_of(const char *scheduling, const char *batches, uint64_t format)
{
	return (struct report_text){ 7, 1000, format, strdup(scheduling), strdup(batches) };
}

static struct report read_one(const char *batches)
{
	struct report_text text = text_of("online\t1\t2\n", batches, REPORT_FORMAT);
	struct report r;
	struct error err;

	if (!report_read(&text, &r, &err))
		fail_msg("%s", err.message);
	assert_null(text.scheduling);
	return r;
}

static void refused(const char *scheduling, const char *batches, uint64_t format)
{
	struct report_text text = text_of(scheduling, batches, format);
	struct report r;
	struct error err;

	assert_false(report_read(&text, &r, &err));
	assert_int_equal(err.kind, ERR_INVALID);
	assert_null(text.batches); /* freed, as ASan would tell */
}

static void what_is_written_is_read(void **state)
{
	struct report_batch of[] = { batch_of("batch-2", 3, 5), batch_of("batch-1", 0, 16) };
	AUTO(buf_free) struct buf text = BUF(10000);

	(void)state;
	of[1].retried = 9;
	of[1].rate_per_s = 12.5;
	of[1].stall = STALL_DOWN;
	of[1].at_risk = of[1].certificate = true;
	snprintf(of[1].message, sizeof(of[1].message), "model 'm':\tdown\n100%%");
	report_batches_write(&text, of, 2);
	buf_char(&text, '\0');
	struct report r = read_one(text.p);
	assert_true(r.node == 7 && r.since == 1000 && r.batch_n == 2);
	assert_true(r.view.online_requests == 1 && r.view.online_waiting == 2);
	const struct report_batch *b = report_find(&r, "batch-1");
	assert_non_null(b);
	assert_true(b->running == 16 && b->retried == 9 && b->rate_per_s == 12.5);
	assert_true(b->stall == STALL_DOWN && b->at_risk && b->certificate &&
		    b->queue_position == 0);
	assert_string_equal(b->message, "model 'm':\tdown\n100%");
	assert_int_equal(report_find(&r, "batch-2")->queue_position, 3);
	assert_null(report_find(&r, "batch-3"));
	report_done(&r);
}

static void of_another_version(void **state)
{
	struct report r = read_one("later\tx\nbatch\tb\t0\t5\t0\t0\t0\t0\t0\tm\tmore\t1\n");

	(void)state;
	assert_int_equal(report_find(&r, "b")->running, 5);
	report_done(&r);
	refused("online\t0\t0\n", "", REPORT_FORMAT + 1);
	refused("online\t0\t0\n", "batch\tb\t0\t5\n", REPORT_FORMAT);
	refused("online\t0\t0\n", "batch\tb\t-1\t5\t0\t0\t0\t0\t0\tm\n", REPORT_FORMAT);
	refused("online\t0\t0\n", "batch\tb\t0\t5\t0\t0\t99\t0\t0\tm\n",
		REPORT_FORMAT); /* a stall */
	refused("online\t0\t0\n", "batch\t\t0\t5\t0\t0\t0\t0\t0\tm\n", REPORT_FORMAT);
	refused("online\t0\t0\n", "batch\tb\t0\t5\t0\tnan\t0\t0\t0\tm\n", REPORT_FORMAT);
	refused("online\t0\t0\n", "batch\tb\t4294967296\t5\t0\t0\t0\t0\t0\tm\n", REPORT_FORMAT);
	refused("online\tx\t0\n", "batch\tb\t0\t5\t0\t0\t0\t0\t0\tm\n", REPORT_FORMAT);
	refused("lane\tm\n", "", REPORT_FORMAT);
	r = read_one("");
	assert_null(report_find(&r, "b"));
	report_done(&r);
}

static void stall_set(struct report_batch *b, enum batch_stall stall, const char *message)
{
	b->stall = stall;
	snprintf(b->message, sizeof(b->message), "%s", message);
}

static void sums_are_the_same_in_any_order(void **state)
{
	struct report_batch of[] = { batch_of("b", 2, 3), batch_of("b", 1, 4),
				     batch_of("b", 4, 5) };
	static const unsigned orders[][3] = { { 0, 1, 2 }, { 2, 1, 0 }, { 1, 0, 2 }, { 1, 2, 0 } };

	(void)state;
	stall_set(&of[0], STALL_DOWN, "a");
	stall_set(&of[1], STALL_DOWN, "b");
	stall_set(&of[2], STALL_THROTTLED, "c");
	of[2].at_risk = true;
	for (size_t i = 0; i < ARRAY_LEN(orders); i++) {
		struct report_batch all;
		report_batch_init(&all, "b");
		report_batch_add(&all, &all); /* of no span: nothing */
		assert_int_equal(all.queue_position, -1);
		for (unsigned k = 0; k < 3; k++)
			report_batch_add(&all, &of[orders[i][k]]);
		assert_true(all.running == 12 && all.queue_position == 1 && all.at_risk);
		assert_int_equal(all.stall, STALL_DOWN);
		assert_string_equal(all.message, "b");
		struct report_batch flows = batch_of("b", 9, 0);
		report_batch_add(&all, &flows);
		assert_int_equal(all.stall, STALL_NONE);
		assert_string_equal(all.message, "");
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_written_is_read),
		cmocka_unit_test(of_another_version),
		cmocka_unit_test(sums_are_the_same_in_any_order),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
