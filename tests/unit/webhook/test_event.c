/* Events as they are sent (12). */
#include "unit.h"

#include "webhook/event.h"

static void the_body(void **state)
{
	const struct event e = { "evt_1", "batch_2", BATCH_EXPIRED, 1750861210 };
	AUTO(buf_free) struct buf to = BUF(512);

	(void)state;
	event_write(&to, &e);
	assert_true(slice_is(buf_slice(&to),
			     "{\"object\":\"event\",\"id\":\"evt_1\",\"type\":\"batch.expired\","
			     "\"created_at\":1750861210,\"data\":{\"id\":\"batch_2\"}}"));
}

static void types(void **state)
{
	AUTO(buf_free) struct buf to = BUF(512);
	unsigned all = 0;

	(void)state;
	for (int s = 0; s < BATCH_STATUS_COUNT; s++) {
		const char *name = event_type_name((enum batch_status)s);
		assert_int_equal(name != NULL, batch_is_final((enum batch_status)s));
		if (name != NULL)
			assert_int_equal(event_type_of(slice_of(name)), 1u << s);
		all |= name != NULL ? 1u << s : 0;
	}
	assert_int_equal(event_type_of(SLICE("batch.complete")), 0);
	assert_int_equal(event_type_of(SLICE("")), 0);
	event_types_write(&to, all);
	assert_true(slice_is(buf_slice(&to), "[\"batch.completed\",\"batch.failed\",\"batch."
					     "expired\",\"batch.cancelled\"]"));
	buf_clear(&to);
	event_types_write(&to, 1u << BATCH_FAILED);
	assert_true(slice_is(buf_slice(&to), "[\"batch.failed\"]"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_body),
		cmocka_unit_test(types),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
