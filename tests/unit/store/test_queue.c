/* What organizations have enqueued, and whose work waits (contract 13.1). */
#include "store_test.h"

static const struct org_queue none;

/* In progress with so many lines, of 10 tokens each. */
static struct batch put_lines(const struct org *org, uint64_t lines)
{
	struct batch b = put_batch(org, NOW);
	bool moved;

	MUST(store_batch_start(store, b.id, lines, lines * 10, "m", "o", "e", NOW, &moved, &err));
	assert_true(moved);
	return b;
}

static bool waits(const struct org_queue *configured, const char *id)
{
	struct queue_place *places;
	bool limited, found = false, ret = false;
	size_t n;

	MUST(store_queue(store, configured, &limited, &places, &n, &err));
	assert_true(limited || n == 0);
	for (size_t i = 0; i < n; i++) {
		assert_true(i == 0 || strcmp(places[i - 1].id, places[i].id) < 0);
		if (strcmp(places[i].id, id) != 0)
			continue;
		found = true;
		ret = places[i].waits;
	}
	assert_true(found || !limited);
	free(places);
	return ret;
}

static void ends(const char *id, uint64_t lines)
{
	struct merge_state m = { .counts.completed = lines };

	MUST(store_merge_put(store, id, &m, &err));
}

static void what_is_over_the_limit_waits_in_the_order_of_making(void **state)
{
	const struct org_queue most = { .requests = 100 };
	struct batch a = put_lines(&ours, 60), other = put_lines(&theirs, 90);
	struct batch b = put_lines(&ours, 50), c = put_lines(&ours, 10);

	(void)state;
	assert_false(waits(&none, b.id));
	assert_false(waits(&most, a.id));
	assert_true(waits(&most, b.id));
	assert_true(waits(&most, c.id)); /* it would fit, but overtakes nobody */
	assert_false(waits(&most, other.id));
	ends(a.id, 10);
	assert_false(waits(&most, b.id));
	assert_true(waits(&most, c.id));
	ends(b.id, 10);
	assert_false(waits(&most, c.id));
	assert_false(waits(&(struct org_queue){ .tokens = 1000 }, c.id));
	assert_true(waits(&(struct org_queue){ .tokens = 999 }, c.id));
}

static void the_first_never_waits(void **state)
{
	const struct org_queue most = { .requests = 5, .tokens = 5 };
	struct batch a = put_lines(&ours, 60), b = put_lines(&ours, 1);

	(void)state;
	assert_false(waits(&most, a.id));
	assert_true(waits(&most, b.id));
}

/* Its own limit outweighs the configured one, in both directions. */
static void an_organization_has_its_own(void **state)
{
	const struct org_queue most = { .requests = 10 };
	struct batch a = put_lines(&ours, 10), b = put_lines(&ours, 10);
	struct batch c = put_lines(&theirs, 10), d = put_lines(&theirs, 10);

	(void)state;
	MUST(store_org_limit(store, "ours", LIMIT_ENQUEUED_REQUESTS, 0, &err));
	assert_false(waits(&most, a.id) || waits(&most, b.id) || waits(&most, c.id));
	assert_true(waits(&most, d.id));
	MUST(store_org_limit(store, "ours", LIMIT_ENQUEUED_TOKENS, 150, &err));
	assert_true(waits(&none, b.id));
	assert_false(waits(&none, d.id));
	MUST(store_org_limit(store, "ours", LIMIT_ENQUEUED_TOKENS, LIMIT_AS_CONFIGURED, &err));
	assert_false(waits(&none, b.id));
}

static void what_is_enqueued_is_counted(void **state)
{
	struct batch a = put_lines(&ours, 60);
	struct org_queue queue;
	bool moved;

	(void)state;
	put_batch(&ours, NOW); /* validating: no lines yet */
	put_lines(&theirs, 5);
	ends(a.id, 15);
	MUST(store_org_queue(store, ours.id, &queue, &err));
	assert_int_equal(queue.batches, 2);
	assert_int_equal(queue.requests, 45);
	assert_int_equal(queue.tokens, 450);
	MUST(store_batch_fail(store, a.id, "[]", NOW, &moved, &err));
	MUST(store_org_queue(store, ours.id, &queue, &err));
	assert_int_equal(queue.batches, 1);
	assert_int_equal(queue.requests, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_STORE(what_is_over_the_limit_waits_in_the_order_of_making),
		WITH_STORE(the_first_never_waits),
		WITH_STORE(an_organization_has_its_own),
		WITH_STORE(what_is_enqueued_is_counted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
