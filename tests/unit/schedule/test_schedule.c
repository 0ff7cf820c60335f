/* test_schedule.c: turns, leases, and that no line is given twice or never. */
#include "unit.h"

#include "schedule/schedule.h"

struct fake {
	struct schedule_entry entry;
	uint64_t lines, lease_at;
	unsigned taken[4096];
	bool done_already[4096];
};

static bool fake_lease(void *batch, struct lease *ret)
{
	struct fake *f = batch;
	if (f->lease_at * SEGMENT_LINES >= f->lines)
		return false;
	uint64_t first = f->lease_at * SEGMENT_LINES, rest = f->lines - first;
	*ret = (struct lease){ .segment = f->lease_at++,
			       .first = first,
			       .lines = rest < SEGMENT_LINES ? (uint32_t)rest : SEGMENT_LINES };
	for (uint32_t i = 0; i < ret->lines; i++)
		if (f->done_already[first + i])
			bit_set(ret->done, i);
	return true;
}

static struct fake *fake_new(uint64_t lines)
{
	struct fake *f = calloc(1, sizeof(*f));
	assert_non_null(f);
	f->lines = lines;
	f->entry.batch = f;
	f->entry.lease_next = fake_lease;
	return f;
}

static void small_batch_does_not_wait_behind_a_large_one(void **state)
{
	(void)state;
	struct schedule s = { 0 };
	struct fake *large = fake_new(4000), *small = fake_new(3);
	void *batch;
	uint64_t record;
	schedule_add(&s, &large->entry);
	schedule_add(&s, &small->entry);
	unsigned turns = 0, small_lines = 0;
	while (small_lines < 3) {
		assert_true(schedule_next(&s, &batch, &record));
		small_lines += batch == small;
		turns++;
	}
	assert_true(turns <= 6);
	free(large);
	free(small);
}

static void every_line_once_and_done_ones_never(void **state)
{
	(void)state;
	struct schedule s = { 0 };
	struct fake *f[3] = { fake_new(2500), fake_new(1), fake_new(1024) };
	void *batch;
	uint64_t record, n = 0;
	for (unsigned i = 0; i < 2500; i += 3)
		f[0]->done_already[i] = true;
	for (int i = 0; i < 3; i++) {
		schedule_add(&s, &f[i]->entry);
		schedule_add(&s, &f[i]->entry); /* again: nothing */
	}
	while (schedule_next(&s, &batch, &record)) {
		((struct fake *)batch)->taken[record]++;
		if (++n % 7 == 0) { /* out and in again keeps the lease */
			schedule_remove(&s, &f[0]->entry);
			schedule_add(&s, &f[0]->entry);
		}
	}
	for (int b = 0; b < 3; b++) {
		for (uint64_t i = 0; i < f[b]->lines; i++)
			assert_int_equal(f[b]->taken[i], f[b]->done_already[i] ? 0 : 1);
		free(f[b]);
	}
	assert_null(s.turn);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(small_batch_does_not_wait_behind_a_large_one),
		cmocka_unit_test(every_line_once_and_done_ones_never),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
