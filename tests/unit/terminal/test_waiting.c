/* test_waiting.c: until batches have ended: how the server is asked, and the exit codes, on which
 * scripts depend. */
#include "world.h"

#include "terminal/waiting.h"

#define BATCH(status, total, completed, failed)                                        \
	"{\"id\":\"b\",\"status\":\"" status "\",\"request_counts\":{\"total\":" total \
	",\"completed\":" completed ",\"failed\":" failed "},\"lowtide\":{\"running\":1}}"
#define RUNNING BATCH("in_progress", "4", "1", "0")

static enum waiting_code run(struct world *w, uint64_t timeout_s, size_t count)
{
	static const char *const ids[] = { "batch_1", "batch_2" };
	struct waiting waiting = { .remote = w->remote, .timeout_s = timeout_s };
	enum waiting_code code;

	if (!waiting_run(&waiting, ids, count, &code, &w->err))
		fail_msg("%s", w->err.message);
	return code;
}

static void codes(void **state)
{
	(void)state;
	static const struct {
		const char *batch;
		enum waiting_code code;
	} rows[] = {
		{ BATCH("completed", "4", "4", "0"), 0 }, { BATCH("completed", "4", "3", "1"), 3 },
		{ BATCH("completed", "4", "0", "4"), 3 }, { BATCH("failed", "0", "0", "0"), 4 },
		{ BATCH("expired", "4", "4", "0"), 4 },   { BATCH("cancelled", "4", "1", "0"), 4 },
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct world w;
		world_open(&w, "k");
		world_says(&w, 200, rows[i].batch);
		assert_int_equal(run(&w, 0, 1), rows[i].code);
		assert_int_equal(w.asked_n, 1);
		world_close(&w);
	}
}

static void the_greatest_of_several(void **state)
{
	(void)state;
	struct world w;
	world_open(&w, "k");
	world_says(&w, 200, BATCH("cancelled", "4", "1", "0"));
	world_says(&w, 200, BATCH("completed", "4", "4", "0"));
	assert_int_equal(run(&w, 0, 2), WAITING_ENDED);
	assert_string_equal(w.asked[1].url, "http://127.0.0.1:8000/v1/batches/batch_2?wait=0");
	world_close(&w);
}

static void of_several_one_that_is_not_there_keeps_no_other_waiting(void **state)
{
	(void)state;
	struct world w;
	world_open(&w, "k");
	world_says(&w, 404, "{\"error\":{\"message\":\"No such batch\"}}");
	world_says(&w, 200, BATCH("cancelled", "4", "1", "0"));
	assert_int_equal(run(&w, 0, 2), WAITING_REFUSED);
	assert_int_equal(w.asked_n, 2);
	world_close(&w);
}

static void a_wrong_key_is_told_once(void **state)
{
	static const char *const ids[] = { "batch_1", "batch_2" };
	enum waiting_code code;

	(void)state;
	struct world w;
	world_open(&w, "k");
	world_says(&w, 401, "{\"error\":{\"message\":\"wrong key\"}}");
	struct waiting waiting = { .remote = w.remote };
	assert_false(waiting_run(&waiting, ids, 2, &code, &w.err));
	assert_int_equal(w.asked_n, 1);
	world_close(&w);
}

static void it_is_asked_with_wait(void **state)
{
	(void)state;
	struct world w;
	world_open(&w, "k");
	world_says(&w, 200, RUNNING);
	world_says(&w, 200, RUNNING)->after_ms = 60000;
	world_breaks(&w, EXCHANGE_UNREACHABLE, "refused"); /* the server is started anew */
	world_says(&w, 200, BATCH("completed", "4", "4", "0"))->after_ms = 7000;
	assert_int_equal(run(&w, 0, 1), WAITING_DONE);
	assert_string_equal(w.asked[1].url, "http://127.0.0.1:8000/v1/batches/batch_1?wait=60");
	assert_int_equal(w.asked_n, 4);
	world_close(&w);
}

static void a_server_that_does_not_wait_is_not_asked_at_once_again(void **state)
{
	(void)state;
	struct world w;
	world_open(&w, "k");
	for (int i = 0; i < 10; i++)
		world_says(&w, 200, RUNNING);
	world_says(&w, 200, BATCH("completed", "4", "4", "0"));
	uint64_t from = client_fake_now_ms();
	assert_int_equal(run(&w, 0, 1), WAITING_DONE);
	assert_int_equal(client_fake_now_ms() - from, 9000);
	world_close(&w);
}

static void time_is_up(void **state)
{
	(void)state;
	struct world w;
	world_open(&w, "k");
	world_says(&w, 200, RUNNING);
	uint64_t from = client_fake_now_ms();
	assert_int_equal(run(&w, 7, 2), WAITING_TIMEOUT);
	assert_int_equal(client_fake_now_ms() - from, 7000);
	world_close(&w);
}

static void what_ends_in_the_last_second_counts(void **state)
{
	(void)state;
	struct world w;
	world_open(&w, "k");
	world_says(&w, 200, RUNNING);
	world_says(&w, 200, RUNNING)->after_ms = 1500;
	world_says(&w, 200, BATCH("completed", "4", "4", "0"));
	assert_int_equal(run(&w, 2, 1), WAITING_DONE);
	assert_string_equal(w.asked[2].url, "http://127.0.0.1:8000/v1/batches/batch_1?wait=0");
	world_close(&w);
}

static void time_is_up_while_the_server_is_gone(void **state)
{
	(void)state;
	struct world w;
	world_open(&w, "k");
	world_says(&w, 200, RUNNING);
	world_breaks(&w, EXCHANGE_UNREACHABLE, "refused");
	uint64_t from = client_fake_now_ms();
	assert_int_equal(run(&w, 7, 2), WAITING_TIMEOUT);
	assert_int_equal(client_fake_now_ms() - from, 7000);
	world_close(&w);
}

static void time_is_up_though_nothing_is_answered(void **state)
{
	(void)state;
	struct world w;
	world_open(&w, "k");
	world_says(&w, 200, RUNNING);
	world_says(&w, 200, RUNNING)->after_ms = 3600000;
	uint64_t from = client_fake_now_ms();
	assert_int_equal(run(&w, 7, 1), WAITING_TIMEOUT);
	assert_in_range(client_fake_now_ms() - from, 7000, 12000);
	world_close(&w);
}

static void one_that_is_not_there_fails(void **state)
{
	(void)state;
	struct world w;
	static const char *const ids[] = { "batch_x" };
	enum waiting_code code;
	world_open(&w, "k");
	world_says(&w, 404, "{\"error\":{\"message\":\"No batch found with id 'batch_x'.\"}}");
	struct waiting waiting = { .remote = w.remote };
	assert_false(waiting_run(&waiting, ids, 1, &code, &w.err));
	assert_string_equal(w.err.message, "No batch found with id 'batch_x'");
	world_close(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(codes),
		cmocka_unit_test(the_greatest_of_several),
		cmocka_unit_test(of_several_one_that_is_not_there_keeps_no_other_waiting),
		cmocka_unit_test(a_wrong_key_is_told_once),
		cmocka_unit_test(it_is_asked_with_wait),
		cmocka_unit_test(a_server_that_does_not_wait_is_not_asked_at_once_again),
		cmocka_unit_test(time_is_up),
		cmocka_unit_test(what_ends_in_the_last_second_counts),
		cmocka_unit_test(time_is_up_while_the_server_is_gone),
		cmocka_unit_test(time_is_up_though_nothing_is_answered),
		cmocka_unit_test(one_that_is_not_there_fails),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
