/* test_several.c: steps of one call: all of them, several at a time, until one fails. */
#include "unit.h"

#include <pthread.h>

#include "base/several.h"

#define STEPS 100u

static struct {
	pthread_mutex_t lock;
	pthread_cond_t met;
	unsigned running, most, done[STEPS];
	size_t fails; /* this one; STEPS: none */
} w = { .lock = PTHREAD_MUTEX_INITIALIZER, .met = PTHREAD_COND_INITIALIZER };

static int reset(void **state)
{
	(void)state;
	w.running = w.most = 0;
	memset(w.done, 0, sizeof(w.done));
	w.fails = STEPS;
	return 0;
}

/* Each waits until SEVERAL have been at it at one time. */
static bool meet(void *ctx, size_t i, struct error *err)
{
	assert_ptr_equal(ctx, &w);
	(void)err;
	pthread_mutex_lock(&w.lock);
	w.running++;
	if (w.running > w.most)
		w.most = w.running;
	pthread_cond_broadcast(&w.met);
	while (w.most < SEVERAL)
		pthread_cond_wait(&w.met, &w.lock);
	w.running--;
	w.done[i]++;
	pthread_mutex_unlock(&w.lock);
	return true;
}

static bool fail_one(void *ctx, size_t i, struct error *err)
{
	(void)ctx;
	pthread_mutex_lock(&w.lock);
	w.done[i]++;
	pthread_mutex_unlock(&w.lock);
	return i != w.fails || fail(err, ERR_CONFLICT, "step %zu", i);
}

static void all_are_done_several_at_a_time(void **state)
{
	struct error err;

	(void)state;
	assert_true(several_do("unit", meet, &w, STEPS, &err));
	assert_int_equal(w.most, SEVERAL);
	for (size_t i = 0; i < STEPS; i++)
		assert_int_equal(w.done[i], 1);
}

static void none_and_one_are_fine(void **state)
{
	struct error err;

	(void)state;
	assert_true(several_do("unit", fail_one, NULL, 0, &err));
	assert_true(several_do("unit", fail_one, NULL, 1, &err));
	assert_int_equal(w.done[0], 1);
	assert_int_equal(w.done[1], 0);
}

static void behind_a_failure_none_begins(void **state)
{
	struct error err;
	unsigned done = 0;

	(void)state;
	w.fails = 3;
	assert_false(several_do("unit", fail_one, NULL, STEPS, &err));
	assert_int_equal(err.kind, ERR_CONFLICT);
	assert_string_equal(err.message, "step 3");
	for (size_t i = 0; i < STEPS; i++)
		done += w.done[i];
	assert_in_range(done, 4, STEPS);
	w.fails = 0;
	assert_false(several_do("unit", fail_one, NULL, 1, &err));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(all_are_done_several_at_a_time, reset),
		cmocka_unit_test_setup(none_and_one_are_fine, reset),
		cmocka_unit_test_setup(behind_a_failure_none_begins, reset),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
