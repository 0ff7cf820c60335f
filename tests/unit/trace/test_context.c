/* test_context.c: W3C Trace Context. */
#include "unit.h"

#include "trace/context.h"

#define TRACE "4bf92f3577b34da6a3ce929d0e0e4736"
#define PARENT "00f067aa0ba902b7"
#define GIVEN "00-" TRACE "-" PARENT "-01"
#define BATCH "batch_0102030405060708090a0b0c0d0e0f10"

static void what_is_well_formed_is_read(void **state)
{
	static const char *const good[] = {
		GIVEN, "00-" TRACE "-" PARENT "-ff", /* flags that we do not know */
		"01-" TRACE "-" PARENT "-01",        /* a later version */
		"cc-" TRACE "-" PARENT "-01-x-y-z",  /* with more behind it */
	};
	struct trace_context c;
	char again[TRACEPARENT_BYTES + 1];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(good); i++) {
		assert_true(trace_context_read(slice_of(good[i]), &c));
		assert_true(c.sampled && trace_context_is_set(&c));
		trace_context_write(&c, again);
		assert_string_equal(again, GIVEN);
	}
	assert_true(trace_context_read(slice_of("00-" TRACE "-" PARENT "-02"), &c));
	assert_false(c.sampled);
	trace_context_write(&c, again);
	assert_string_equal(again, "00-" TRACE "-" PARENT "-00");
}

static void what_is_malformed_is_none(void **state)
{
	static const char *const bad[] = {
		"",
		"00",
		TRACE,
		"00-" TRACE "-" PARENT "-0",
		"00-" TRACE "-" PARENT "-0g",
		"00-" TRACE "-" PARENT "-01-",  /* version 00 has no more */
		"01-" TRACE "-" PARENT "-01.x", /* what follows begins with a dash */
		"ff-" TRACE "-" PARENT "-01",
		"0G-" TRACE "-" PARENT "-01",
		"00-4BF92F3577B34DA6A3CE929D0E0E4736-" PARENT "-01",
		"00-00000000000000000000000000000000-" PARENT "-01",
		"00-" TRACE "-0000000000000000-01",
		"00_" TRACE "-" PARENT "-01",
		"00-" TRACE "_" PARENT "-01",
		"00-" TRACE "-" PARENT "_01",
		" 00-" TRACE "-" PARENT "-01",
	};
	struct trace_context c;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		char *copy = malloc(strlen(bad[i]) + 1); /* for ASan: it ends where it ends */
		size_t n = strlen(bad[i]);
		memcpy(copy, bad[i], n + 1);
		if (trace_context_read((struct slice){ copy, n }, &c))
			fail_msg("read: %s", bad[i]);
		assert_false(c.sampled || trace_context_is_set(&c));
		free(copy);
	}
	assert_false(trace_context_read((struct slice){ NULL, 0 }, &c));
}

static void ids_are_random_below_a_parent(void **state)
{
	struct trace_context parent, none = { 0 };

	(void)state;
	assert_true(trace_context_read(SLICE(GIVEN), &parent));
	struct trace_context a = trace_context_new(&parent), b = trace_context_new(&parent);
	assert_memory_equal(a.trace_id, parent.trace_id, TRACE_ID_BYTES);
	assert_true(a.sampled && memcmp(a.span_id, b.span_id, SPAN_ID_BYTES) != 0 &&
		    memcmp(a.span_id, parent.span_id, SPAN_ID_BYTES) != 0);
	parent.sampled = false;
	assert_false(trace_context_new(&parent).sampled);
	a = trace_context_new(NULL);
	b = trace_context_new(&none);
	assert_true(a.sampled && b.sampled && trace_context_is_set(&b));
	assert_true(memcmp(a.trace_id, b.trace_id, TRACE_ID_BYTES) != 0);
}

/* The same before and after a restart. */
static void ids_of_a_batch_are_its_own(void **state)
{
	struct trace_context parent;
	char text[TRACEPARENT_BYTES + 1];

	(void)state;
	struct trace_context c = trace_context_of(BATCH, NULL);
	trace_context_write(&c, text);
	assert_string_equal(text, "00-0102030405060708090a0b0c0d0e0f10-0808080808080818-01");
	assert_true(trace_context_read(SLICE(GIVEN), &parent));
	c = trace_context_of(BATCH, &parent);
	trace_context_write(&c, text);
	assert_string_equal(text, "00-" TRACE "-0808080808080818-01");
	c = trace_context_of("batch_00000000000000000000000000000000", NULL);
	trace_context_write(&c, text);
	assert_true(trace_context_read(slice_of(text), &parent)); /* no id is all zero */
	c = trace_context_of("no-such-id", NULL);
	assert_true(c.sampled && trace_context_is_set(&c));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_well_formed_is_read),
		cmocka_unit_test(what_is_malformed_is_none),
		cmocka_unit_test(ids_are_random_below_a_parent),
		cmocka_unit_test(ids_of_a_batch_are_its_own),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
