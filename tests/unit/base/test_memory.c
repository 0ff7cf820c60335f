/* Memory runs out in what everything else is built on. */
#include "memory_fault.h"

#include "base/buf.h"
#include "base/worker.h"

/* All of what is appended at once, or nothing; and the buffer says that it was not for want of
 * room. */
static void buffers(void **state)
{
	char many[300];

	(void)state;
	memset(many, 'x', sizeof(many));
	many[sizeof(many) - 1] = '\0';
	for (struct memory_sweep s = MEMORY_SWEEP; memory_sweep_next(&s);) {
		struct buf b = BUF(1 << 20);
		size_t n = 0;
		memory_fail(&s);
		for (int i = 0; i < 8; i++) {
			buf_printf(&b, "%s%d", many, i);
			buf_json_string(&b, slice_of("\xff\n\"text"));
			buf_u64(&b, UINT64_MAX);
			if (!b.failed)
				n = b.n;
		}
		memory_restore(&s);
		assert_true(b.failed == s.fired && b.no_memory == s.fired);
		assert_true(b.failed ? b.n >= n : b.n == 8 * (300 + 13 + 20));
		size_t before = b.n;
		buf_text(&b, "more"); /* of a failed one nothing grows */
		assert_int_equal(b.n, s.fired ? before : before + 4);
		buf_clear(&b);
		assert_false(b.failed || b.no_memory);
		buf_text(&b, many);
		assert_int_equal(b.n, sizeof(many) - 1);
		buf_free(&b);
	}
}

static void no_room_is_something_else(void **state)
{
	struct buf b = BUF(10);

	(void)state;
	buf_text(&b, "eleven bytes");
	assert_true(b.failed);
	assert_false(b.no_memory);
	buf_free(&b);
}

static void workers(void **state)
{
	(void)state;
	for (struct memory_sweep s = MEMORY_SWEEP; memory_sweep_next(&s);) {
		struct workers *w = NULL;
		struct error err;
		memory_fail(&s);
		bool ok = workers_open("test", 3, &w, &err);
		memory_restore(&s);
		assert_true(ok == !s.fired);
		if (!ok)
			assert_no_memory(&err);
		else
			workers_close(w);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(buffers),
		cmocka_unit_test(no_room_is_something_else),
		cmocka_unit_test(workers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
