/* What is known of each id, on disk: every id is found, and none that is not there, while it
 * grows. */
#include "unit.h"

#include <inttypes.h>

#include "base/slice.h"
#include "rows/id_table.h"

#define IDS 20000u /* twenty times what it begins with */

static char *scratch;

static struct slice id_of(unsigned n, char to[static 32])
{
	return (struct slice){ to, (size_t)snprintf(to, 32, "id%c%u", n % 2 == 0 ? '\0' : 'x', n) };
}

static void finds_each_and_no_other(void **state)
{
	struct id_table *t;
	struct id_entry e;
	struct error err;
	char text[32];
	bool known;

	(void)state;
	assert_true(id_table_open(scratch, 0, &t, &err));
	for (unsigned i = 0; i < IDS; i++) {
		assert_true(id_table_add(t, id_of(i, text), i, i + 1, &known, &e, &err));
		assert_false(known);
	}
	for (unsigned i = 0; i < IDS; i++) {
		assert_true(id_table_find(t, id_of(i, text), &known, &e, &err));
		assert_true(known && e.a == i && e.b == i + 1);
		assert_true(id_table_find(t, id_of(i + IDS, text), &known, &e, &err));
		assert_false(known);
	}
	assert_true(id_table_find(t, SLICE(""), &known, &e, &err));
	assert_false(known);
	id_table_close(t);
	assert_int_equal(scratch_count(scratch, ""), 0); /* its file has no name */
}

static void says_what_is_there(void **state)
{
	struct id_table *t;
	struct id_entry e;
	struct error err;
	bool known;

	(void)state;
	assert_true(id_table_open(scratch, 1000, &t, &err));
	assert_true(id_table_add(t, SLICE("a"), 1, 2, &known, &e, &err));
	assert_true(id_table_add(t, SLICE("a"), 3, 4, &known, &e, &err));
	assert_true(known && e.a == 1 && e.b == 2);
	assert_true(id_table_set(t, 5, 6, &err));
	assert_true(id_table_find(t, SLICE("a"), &known, &e, &err));
	assert_true(known && e.a == 5 && e.b == 6);
	id_table_close(t);
}

/* A disk that is full is said, whichever write meets it. */
static void says_when_the_disk_is_full(void **state)
{
	bool fired = true;

	(void)state;
	for (int nth = 1; fired; nth += 97) {
		struct id_table *t;
		struct id_entry e;
		struct error err = { 0 };
		char text[32];
		bool known, good;

		sys_fail_nth(nth, ENOSPC);
		good = id_table_open(scratch, 0, &t, &err);
		assert_true(good);
		for (unsigned i = 0; i < 1000 && good; i++)
			good = id_table_add(t, id_of(i, text), i, 0, &known, &e, &err);
		fired = sys_restore();
		assert_int_equal(good, !fired);
		assert_true(good || err.kind == ERR_NO_SPACE);
		id_table_close(t);
	}
}

static int begin(void **state)
{
	(void)state;
	scratch = scratch_dir_new();
	return 0;
}

static int done(void **state)
{
	(void)state;
	scratch_dir_remove(scratch);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(finds_each_and_no_other),
		cmocka_unit_test(says_what_is_there),
		cmocka_unit_test(says_when_the_disk_is_full),
	};

	return cmocka_run_group_tests(tests, begin, done);
}
