/* The tokens that organizations took on a day (contract 13.1). */
#include "store_test.h"

#define TODAY (NOW / DAY)

static struct batch put_running(const struct org *org)
{
	struct batch b = put_batch(org, NOW);
	bool moved;

	MUST(store_batch_start(store, b.id, 10, 100, "m", "o", "e", NOW, &moved, &err));
	assert_true(moved);
	return b;
}

static uint64_t tokens_of(const struct org *org, int64_t day)
{
	uint64_t tokens;

	MUST(store_day_get(store, org->id, day, &tokens, &err));
	return tokens;
}

static struct merge_state counts(uint64_t counted, int64_t day, uint64_t more)
{
	return (struct merge_state){ .counted_tokens = counted, .day = day, .day_tokens = more };
}

static void a_merge_counts_in_its_transaction(void **state)
{
	struct batch b = put_running(&ours);
	struct merge_state m = counts(30, TODAY, 30), seen;
	bool moved;

	(void)state;
	MUST(store_merge_put(store, b.id, &m, &err));
	assert_int_equal(tokens_of(&ours, TODAY), 30);
	assert_int_equal(tokens_of(&theirs, TODAY), 0);
	m = counts(50, TODAY + 1, 20);
	MUST(store_merge_put(store, b.id, &m, &err));
	reopen();
	assert_int_equal(tokens_of(&ours, TODAY), 30);
	assert_int_equal(tokens_of(&ours, TODAY + 1), 20);
	MUST(store_merge_get(store, b.id, &seen, &err));
	assert_int_equal(seen.counted_tokens, 50);
	assert_int_equal(seen.day_tokens, 0);
	m = counts(40, TODAY + 1, 0); /* of a journal that lost a record */
	MUST(store_merge_put(store, b.id, &m, &err));
	MUST(store_merge_get(store, b.id, &seen, &err));
	assert_int_equal(seen.counted_tokens, 50);
	m = counts(60, TODAY + 1, 10);
	MUST(store_batch_move(store, b.id, 1u << BATCH_IN_PROGRESS, BATCH_FINALIZING, NOW, &moved,
			      &err));
	MUST(store_batch_finish(store, b.id, BATCH_COMPLETED, &m, NULL, NULL, NULL, NOW, &moved,
				&err));
	assert_true(moved);
	assert_int_equal(tokens_of(&ours, TODAY + 1), 30);
	MUST(store_batch_finish(store, b.id, BATCH_CANCELLED, &m, NULL, NULL, NULL, NOW, &moved,
				&err));
	assert_false(moved); /* a batch that is final takes none */
	assert_int_equal(tokens_of(&ours, TODAY + 1), 30);
	FAILS(store_merge_put(store, b.id, &m, &err), NOT_FOUND);
	assert_int_equal(tokens_of(&ours, TODAY + 1), 30);
}

static void online_answers_add(void **state)
{
	struct token_count list[2] = { { .tokens = 5 }, { .tokens = 7 } };

	(void)state;
	memcpy(list[0].id, ours.id, ID_SIZE);
	memcpy(list[1].id, theirs.id, ID_SIZE);
	MUST(store_day_add(store, TODAY, list, 2, &err));
	MUST(store_day_add(store, TODAY, list, 1, &err));
	assert_int_equal(tokens_of(&ours, TODAY), 10);
	assert_int_equal(tokens_of(&theirs, TODAY), 7);
	assert_int_equal(tokens_of(&ours, TODAY - 1), 0);
}

static void a_day_begins_and_old_ones_go(void **state)
{
	struct batch b = put_running(&ours);
	struct token_count of_org = { .tokens = 5 }, of_batch = { .tokens = 90 };
	struct merge_state seen;

	(void)state;
	memcpy(of_org.id, ours.id, ID_SIZE);
	memcpy(of_batch.id, b.id, ID_SIZE);
	for (int64_t day = TODAY - 40; day <= TODAY; day++)
		MUST(store_day_add(store, day, &of_org, 1, &err));
	MUST(store_day_begin(store, TODAY, false, &of_batch, 1, &err));
	assert_int_equal(tokens_of(&ours, TODAY - 40), 5);
	MUST(store_day_begin(store, TODAY, true, NULL, 0, &err));
	assert_int_equal(tokens_of(&ours, TODAY - 32), 0);
	assert_int_equal(tokens_of(&ours, TODAY - 31), 5);
	MUST(store_merge_get(store, b.id, &seen, &err));
	assert_int_equal(seen.counted_tokens, 90);
	of_batch.tokens = 80;
	MUST(store_day_begin(store, TODAY, false, &of_batch, 1, &err));
	MUST(store_merge_get(store, b.id, &seen, &err));
	assert_int_equal(seen.counted_tokens, 90);
}

static void who_took_any_or_has_a_limit_is_listed(void **state)
{
	struct token_count list = { .tokens = 5 };
	struct org_day *rows;
	bool limited;
	size_t n;

	(void)state;
	memcpy(list.id, ours.id, ID_SIZE);
	MUST(store_day_add(store, TODAY, &list, 1, &err));
	MUST(store_day_list(store, TODAY, false, &limited, &rows, &n, &err));
	assert_false(limited);
	assert_null(rows);
	MUST(store_day_list(store, TODAY, true, &limited, &rows, &n, &err));
	assert_true(limited);
	assert_int_equal(n, 1);
	assert_int_equal(rows[0].own, LIMIT_AS_CONFIGURED);
	free(rows);
	MUST(store_org_limit(store, "ours", LIMIT_TOKENS_PER_DAY, 100, &err));
	MUST(store_org_limit(store, "theirs", LIMIT_TOKENS_PER_DAY, 0, &err));
	MUST(store_day_list(store, TODAY, false, &limited, &rows, &n, &err));
	assert_true(limited);
	assert_int_equal(n, 3);
	uint64_t tokens = 0;
	int64_t limit = LIMIT_AS_CONFIGURED, none = LIMIT_AS_CONFIGURED;
	for (size_t i = 0; i < n; i++) {
		bool own = strcmp(rows[i].org, ours.id) == 0;
		tokens += rows[i].tokens;
		if (rows[i].own != LIMIT_AS_CONFIGURED)
			*(own ? &limit : &none) = rows[i].own;
	}
	assert_int_equal(tokens, 5);
	assert_int_equal(limit, 100);
	assert_int_equal(none, 0);
	free(rows);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_STORE(a_merge_counts_in_its_transaction),
		WITH_STORE(online_answers_add),
		WITH_STORE(a_day_begins_and_old_ones_go),
		WITH_STORE(who_took_any_or_has_a_limit_is_listed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
