/* Closing waits for all that is handled, and for a while for what is sent. */
#include "unit.h"

#include "base/clock.h"
#include "base/worker.h"
#include "http/answers.h"

static void no_answer_begins_once_the_server_closes(void **state)
{
	struct answers a;

	(void)state;
	answers_init(&a);
	assert_true(answers_begin(&a));
	answers_ended(&a);
	assert_int_equal(answers_close(&a, 0), 0);
	assert_false(answers_begin(&a));
	answers_done(&a);
}

static void *end_later(void *arg)
{
	usleep(50000);
	answers_ended(arg);
	return NULL;
}

static void closing_waits_for_what_is_handled(void **state)
{
	struct answers a;
	struct error err;
	pthread_t worker;
	uint64_t began_ms = clock_ms();

	(void)state;
	answers_init(&a);
	assert_true(answers_begin(&a));
	assert_true(thread_start(&worker, "worker", end_later, &a, &err));
	assert_int_equal(answers_close(&a, 0), 0);
	assert_in_range(clock_ms() - began_ms, 49, 20000);
	pthread_join(worker, NULL);
	answers_done(&a);
}

static void *send_later(void *arg)
{
	usleep(50000);
	answers_sent(arg);
	return NULL;
}

static void closing_waits_for_clients_that_read_and_leaves_those_that_do_not(void **state)
{
	struct answers a;
	struct error err;
	pthread_t loop;

	(void)state;
	answers_init(&a);
	for (int i = 0; i < 2; i++) {
		assert_true(answers_begin(&a));
		answers_to_client(&a);
	}
	assert_int_equal(answers_close(&a, 20), 2);
	answers_sent(&a);
	assert_int_equal(answers_close(&a, 20), 1);
	assert_true(thread_start(&loop, "loop", send_later, &a, &err));
	assert_int_equal(answers_close(&a, 20000), 0);
	pthread_join(loop, NULL);
	answers_done(&a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(no_answer_begins_once_the_server_closes),
		cmocka_unit_test(closing_waits_for_what_is_handled),
		cmocka_unit_test(closing_waits_for_clients_that_read_and_leaves_those_that_do_not),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
