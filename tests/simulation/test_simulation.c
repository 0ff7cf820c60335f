/* test_simulation.c: the short form of `make simulate`: some thousand seeds hold, and show each
 * rule of the protocol that is broken. */
#include "unit.h"

#include "world.h"

#define SEEDS 2000u        /* that hold */
#define MUTANT_SEEDS 8000u /* of which one shows a mutant */

static struct world *w;

static int world_make(void **state)
{
	(void)state;
	w = calloc(1, sizeof(*w));
	return w != NULL ? 0 : -1;
}

static int world_free(void **state)
{
	(void)state;
	free(w);
	return 0;
}

static void test_seeds_hold(void **state)
{
	(void)state;
	for (uint64_t seed = 0; seed < SEEDS; seed++)
		if (!world_run(w, seed, MUTANT_NONE))
			fail_msg("%s: %s (make simulate ARGS='--from %llu --seeds 1 --trace')",
				 w->truth.broken, w->truth.detail, (unsigned long long)seed);
}

/* What a seed was shows nowhere in the next one. */
static void test_a_seed_is_a_run(void **state)
{
	struct figures first[20];
	(void)state;

	for (unsigned i = 0; i < ARRAY_LEN(first); i++) {
		assert_true(world_run(w, i, MUTANT_NONE));
		first[i] = w->figures;
	}
	for (unsigned i = ARRAY_LEN(first); i-- > 0;) {
		assert_true(world_run(w, i, MUTANT_NONE));
		assert_memory_equal(&w->figures, &first[i], sizeof(first[i]));
	}
}

/* Those that few seeds show: where to begin, which saves seconds and decides nothing. */
static const uint64_t shown_from[MUTANT_COUNT] = {
	[MUTANT_SETTLE_NODE] = 1600,
	[MUTANT_FINISH_EPOCH] = 500,
	[MUTANT_CLAIM_PIECES] = 4600,
	[MUTANT_MARGIN] = 5400,
};

static bool is_found(enum mutant m)
{
	for (uint64_t seed = shown_from[m]; seed < shown_from[m] + MUTANT_SEEDS; seed++)
		if (!world_run(w, seed, m))
			return true;
	return false;
}

static void test_every_mutant_is_found(void **state)
{
	unsigned survivors = 0;
	(void)state;

	for (unsigned m = MUTANT_NONE + 1; m < MUTANT_COUNT; m++) {
		if (is_found(m))
			continue;
		print_error("%s survives: %s\n", mutant_texts[m].word, mutant_texts[m].what);
		survivors++;
	}
	assert_int_equal(survivors, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_seeds_hold),
		cmocka_unit_test(test_a_seed_is_a_run),
		cmocka_unit_test(test_every_mutant_is_found),
	};

	return cmocka_run_group_tests(tests, world_make, world_free);
}
