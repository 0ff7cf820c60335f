/* Memory runs out: the file stays as it was, and an organization without rings is counted in all. */
#include "memory_fault.h"

#include "base/log.h"
#include "history/history.h"
#include "history/history_file.h"

static char *dir;

static int setup(void **state)
{
	(void)state;
	log_set_level(LOG_OFF);
	dir = scratch_dir_new();
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	scratch_dir_remove(dir);
	return 0;
}

static bool load(struct rings *r, struct error *err)
{
	int64_t at;
	bool found;

	return history_load(dir, r, &at, &found, err) && found;
}

static void opening(void **state)
{
	struct history *h;
	struct error err;

	(void)state;
	assert_true(history_open(dir, &h, &err));
	history_lines(h, "org-1", 5, 5);
	history_lines(h, "org-2", 5, 5);
	history_close(h);
	for (struct memory_sweep s = MEMORY_SWEEP; memory_sweep_next(&s);) {
		struct rings r;

		memory_fail(&s);
		bool ok = history_open(dir, &h, &err);
		memory_restore(&s);
		if (ok)
			history_close(h);
		else
			assert_no_memory(&err);
		assert_true(rings_init(&r));
		assert_true(load(&r, &err));
		assert_int_equal(r.count, 3);
		rings_done(&r);
	}
}

static void counting(void **state)
{
	(void)state;
	for (struct memory_sweep s = MEMORY_SWEEP; memory_sweep_next(&s);) {
		const struct sums five = { .lines = 5 };
		struct rings_rate rates[HOUR_STEPS];
		struct rings r;

		assert_true(rings_init(&r));
		memory_fail(&s);
		bool first = rings_add(&r, "org-1", &five);
		bool second = rings_add(&r, "org-2", &five);
		memory_restore(&s);
		assert_int_equal(r.count, 1u + first + second);
		rings_tick(&r, 1);
		(void)rings_read(&r, NULL, RINGS_HOUR, rates);
		assert_true(rates[HOUR_STEPS - 1].lines_per_s == 1);
		rings_done(&r);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(opening, setup, teardown),
		cmocka_unit_test_setup_teardown(counting, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
