/* The paces of batches: steps of one second, then of two, and whose place is taken. */
#include "unit.h"

#include <stdio.h>
#include <stdlib.h>

#include "history/paces.h"

#define START_MS UINT64_C(1000000)

static struct paces *paces;

static int setup(void **state)
{
	(void)state;
	paces = calloc(1, sizeof(*paces));
	return paces == NULL;
}

static int teardown(void **state)
{
	(void)state;
	free(paces);
	return 0;
}

static uint64_t lines_of(const struct batch_pace *pace)
{
	uint64_t n = 0;

	for (unsigned i = 0; i < PACE_STEPS; i++)
		n += pace->lines[i];
	return n;
}

static void nothing_is_known_of_others(void **state)
{
	(void)state;
	assert_null(paces_find(paces, "a", START_MS));
	assert_null(paces_find(paces, "", START_MS));
	paces_add(paces, "a", START_MS, 1);
	assert_null(paces_find(paces, "b", START_MS));
	assert_null(paces_find(paces, "", START_MS));
}

static void a_step_is_a_second(void **state)
{
	(void)state;
	paces_add(paces, "a", START_MS, 5);
	paces_add(paces, "a", START_MS + 999, 2);
	paces_add(paces, "a", START_MS + 3000, 4);
	const struct batch_pace *pace = paces_find(paces, "a", START_MS + 3500);
	assert_int_equal(pace->since_ms, START_MS - 1000);
	assert_int_equal(pace->step_ms, 1000);
	assert_int_equal(pace_steps(pace, START_MS + 3500), 4);
	assert_int_equal(pace->lines[1], 7);
	assert_int_equal(pace->lines[2] + pace->lines[3], 0);
	assert_int_equal(pace->lines[4], 4); /* of a step that is not over */
}

static void steps_last_longer_and_lose_no_line(void **state)
{
	(void)state;
	for (unsigned s = 0; s < 10 * PACE_STEPS; s++) {
		uint64_t now_ms = START_MS + (uint64_t)s * 1000;
		paces_add(paces, "a", now_ms, 3);
		const struct batch_pace *pace = paces_find(paces, "a", now_ms);
		unsigned steps = pace_steps(pace, now_ms);
		assert_true(steps < PACE_STEPS);
		assert_true(s < PACE_STEPS || steps >= PACE_STEPS / 2);
		assert_int_equal(lines_of(pace), 3 * (s + 1));
		for (unsigned i = 1; i < steps; i++)
			assert_int_equal(pace->lines[i], 3 * pace->step_ms / 1000);
	}
	const struct batch_pace *later = paces_find(paces, "a",
						    START_MS + 400 * UINT64_C(86400000));
	assert_int_equal(lines_of(later), 30 * PACE_STEPS);
}

static void what_does_not_fit_stays_at_its_most(void **state)
{
	(void)state;
	paces_add(paces, "a", START_MS, UINT64_MAX);
	paces_add(paces, "a", START_MS, 1);
	const struct batch_pace *pace = paces_find(paces, "a", START_MS + PACE_STEPS * 1000);
	assert_int_equal(pace->lines[0], UINT32_MAX);
}

static void the_one_idle_longest_loses_its_place(void **state)
{
	char name[32];

	(void)state;
	for (unsigned i = 0; i < PACES; i++) {
		snprintf(name, sizeof(name), "batch-%u", i);
		paces_add(paces, name, START_MS + i, 1);
	}
	paces_add(paces, "batch-0", START_MS + PACES, 1);
	paces_add(paces, "new", START_MS + PACES + 1, 1);
	assert_non_null(paces_find(paces, "batch-0", START_MS + 1000));
	assert_null(paces_find(paces, "batch-1", START_MS + 1000));
	assert_non_null(paces_find(paces, "batch-2", START_MS + 1000));
	assert_int_equal(lines_of(paces_find(paces, "new", START_MS + 1000)), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(nothing_is_known_of_others, setup, teardown),
		cmocka_unit_test_setup_teardown(a_step_is_a_second, setup, teardown),
		cmocka_unit_test_setup_teardown(steps_last_longer_and_lose_no_line, setup,
						teardown),
		cmocka_unit_test_setup_teardown(what_does_not_fit_stays_at_its_most, setup,
						teardown),
		cmocka_unit_test_setup_teardown(the_one_idle_longest_loses_its_place, setup,
						teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
