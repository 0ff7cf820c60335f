/* test_org_look.c: what the operator sets reaches batches within a look; while nothing is set and nothing
 * changes the database is asked next to nothing. */
#include "coordinator_unit.h"

#include "pipeline/org_look.h"

#define LOOKS_A_S 10

static struct batch_table table;
static struct org_look orgs;

static struct {
	unsigned suspended, queue, days;
	bool fails;
} asked;

bool __real_store_orgs_suspended(struct store *s, const char *org_id, char (**ret)[ID_SIZE],
				 size_t *ret_n, struct error *e);
bool __wrap_store_orgs_suspended(struct store *s, const char *org_id, char (**ret)[ID_SIZE],
				 size_t *ret_n, struct error *e);
bool __real_store_queue(struct store *s, const struct org_queue *configured, bool *ret_limited,
			struct queue_place **ret, size_t *ret_n, struct error *e);
bool __wrap_store_queue(struct store *s, const struct org_queue *configured, bool *ret_limited,
			struct queue_place **ret, size_t *ret_n, struct error *e);
bool __real_store_day_list(struct store *s, int64_t day, bool configured, bool *ret_limited,
			   struct org_day **ret, size_t *ret_n, struct error *e);
bool __wrap_store_day_list(struct store *s, int64_t day, bool configured, bool *ret_limited,
			   struct org_day **ret, size_t *ret_n, struct error *e);

/* Of all organizations: a batch that begins asks of its own. */
bool __wrap_store_orgs_suspended(struct store *s, const char *org_id, char (**ret)[ID_SIZE],
				 size_t *ret_n, struct error *e)
{
	asked.suspended += org_id == NULL;
	if (asked.fails)
		return fail(e, ERR_UNAVAILABLE, "the database is away");
	return __real_store_orgs_suspended(s, org_id, ret, ret_n, e);
}

bool __wrap_store_queue(struct store *s, const struct org_queue *configured, bool *ret_limited,
			struct queue_place **ret, size_t *ret_n, struct error *e)
{
	asked.queue++;
	return __real_store_queue(s, configured, ret_limited, ret, ret_n, e);
}

bool __wrap_store_day_list(struct store *s, int64_t day, bool configured, bool *ret_limited,
			   struct org_day **ret, size_t *ret_n, struct error *e)
{
	asked.days++;
	return __real_store_day_list(s, day, configured, ret_limited, ret, ret_n, e);
}

static int look_setup(void **state)
{
	setup(state);
	batch_table_init(&table);
	org_look_init(&orgs, &w.env, &table);
	MUST(org_look_begin(&orgs, &err));
	org_look_start(&orgs);
	return 0;
}

static int look_teardown(void **state)
{
	if (w.c != NULL)
		batch_table_remove(&table, w.c);
	batch_table_done(&table);
	org_look_done(&orgs);
	return teardown(state);
}

/* With the looks that are due. */
static void seconds_pass(unsigned seconds)
{
	for (unsigned i = 0; i < seconds * LOOKS_A_S; i++) {
		world_sys.ms += 1000 / LOOKS_A_S;
		turns_take();
	}
	world_sys.s += seconds;
}

static void suspend(bool suspended, bool cancel)
{
	MUST(store_org_suspend(world.store, "ours", suspended ? sys.now_s() : 0, cancel, &err));
}

static void next_to_nothing_is_asked_for_nothing(void **state)
{
	(void)state;
	seconds_pass(10);
	memset(&asked, 0, sizeof(asked));
	seconds_pass(60);
	assert_in_range(asked.suspended, 1, 13);
	assert_in_range(asked.queue, 1, 13);
	assert_in_range(asked.days, 1, 13);
}

static void a_change_is_seen_at_the_next_look(void **state)
{
	(void)state;
	batch_of_lines(2);
	assert_true(batch_table_add(&table, w.c));
	seconds_pass(7);
	suspend(true, false);
	world_sys.ms += 1000 / LOOKS_A_S;
	turns_take();
	assert_true(fake.suspended);
	memset(&asked, 0, sizeof(asked));
	seconds_pass(10); /* a batch of it may come at any time */
	assert_in_range(asked.suspended, 90, 110);
	suspend(false, false);
	world_sys.ms += 1000 / LOOKS_A_S;
	turns_take();
	assert_false(fake.suspended);
}

static void what_was_not_answered_is_asked_again(void **state)
{
	(void)state;
	batch_of_lines(2);
	assert_true(batch_table_add(&table, w.c));
	seconds_pass(7);
	asked.fails = true;
	suspend(true, false);
	seconds_pass(1);
	assert_false(fake.suspended);
	asked.fails = false;
	world_sys.ms += 1000 / LOOKS_A_S;
	turns_take();
	assert_true(fake.suspended);
}

static void a_limit_of_an_organization_is_heeded(void **state)
{
	(void)state;
	seconds_pass(7);
	memset(&asked, 0, sizeof(asked));
	MUST(store_org_limit(world.store, "ours", LIMIT_ENQUEUED_REQUESTS, 1, &err));
	seconds_pass(10);
	assert_true(w.env.queue_limited);
	assert_in_range(asked.queue, 20, 30); /* places change as batches come and go */
	MUST(store_org_limit(world.store, "ours", LIMIT_ENQUEUED_REQUESTS, LIMIT_AS_CONFIGURED,
			     &err));
	seconds_pass(1);
	assert_false(w.env.queue_limited);
}

#define WITH_LOOKS(test) cmocka_unit_test_setup_teardown(test, look_setup, look_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_LOOKS(next_to_nothing_is_asked_for_nothing),
		WITH_LOOKS(a_change_is_seen_at_the_next_look),
		WITH_LOOKS(what_was_not_answered_is_asked_again),
		WITH_LOOKS(a_limit_of_an_organization_is_heeded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
