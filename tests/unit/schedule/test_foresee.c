/* What would become of a batch that could be added (contract 11.3, estimate): alone, behind its own
 * organization's, beside another's, behind what is late. */
#include "unit.h"

#include "schedule/schedule_impl.h"

static struct schedule schedule = { .line_ms = 1000, .line_tokens = 100, .output_tokens = 75 };
static struct schedule_org ours = { .id = "ours", .weight = 1 };
static struct schedule_org theirs = { .id = "theirs", .weight = 1, .all_next = &ours };
static struct schedule_batch batches[2];
static struct schedule_batch *all[2] = { &batches[0], &batches[1] };

/* 100 lines of 100 bytes: a second each. */
static const struct schedule_asked asked = {
	.org = "ours", .org_weight = 1, .expires_at = 100000, .lines = 100, .bytes = 10000
};

static void assert_about(double value, double expected)
{
	if (value < expected * 0.999 - 0.001 || value > expected * 1.001 + 0.001)
		fail_msg("%f, not %f", value, expected);
}

static void foresee(double slots, double start_s, double end_s)
{
	double start, end;

	assert_true(schedule_foresee(&schedule, &asked, slots, &start, &end));
	assert_about(start, start_s);
	assert_about(end, end_s);
}

static int empty(void **state)
{
	(void)state;
	schedule.n = 0;
	schedule.all = all;
	schedule.orgs = &theirs;
	schedule.line_ms = 1000;
	theirs.weight = 1;
	memset(batches, 0, sizeof(batches));
	return 0;
}

static void add(struct schedule_org *org, uint64_t lines, int64_t deadline_ms, bool late)
{
	struct schedule_batch *b = &batches[schedule.n++];

	*b = (struct schedule_batch){ .in = org,
				      .rest_lines = lines,
				      .each_ms = 1000,
				      .effective_deadline_ms = deadline_ms,
				      .late = late };
	memcpy(b->org, org->id, sizeof(b->org));
}

static void alone_it_has_all_slots(void **state)
{
	(void)state;
	foresee(10, 0, 10);
	foresee(1000, 0, 1); /* no line is shorter than a line */
}

static void slots_of_a_rate_give_that_rate(void **state)
{
	(void)state;
	schedule.line_ms = 400;
	double slots = schedule_slots_of(&schedule, 4);
	assert_about(slots, 1.6);
	foresee(slots, 0, 25);
	schedule.line_ms = 0;
	assert_about(schedule_slots_of(&schedule, 4), 0);
}

static void nothing_can_be_told_before_a_line_has_ended(void **state)
{
	double start, end;

	(void)state;
	schedule.line_ms = 0;
	assert_false(schedule_foresee(&schedule, &asked, 10, &start, &end));
}

static void it_waits_for_its_own_organization_s(void **state)
{
	(void)state;
	add(&ours, 200, 0, false);
	foresee(10, 20, 30);
	add(&ours, 500, INT64_MAX, false); /* a later deadline goes behind */
	foresee(10, 20, 30);
}

static void it_shares_with_others_by_weight(void **state)
{
	(void)state;
	add(&theirs, 1000, 0, false);
	foresee(10, 0, 20);
	theirs.weight = 3;
	foresee(10, 0, 40);
	batches[0].rest_lines = 50; /* they end before */
	foresee(10, 0, 15);
}

static void late_ones_go_before_and_suspended_ones_do_not(void **state)
{
	(void)state;
	add(&theirs, 100, 0, true);
	foresee(10, 10, 20);
	batches[0].suspended = true;
	foresee(10, 0, 10);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(alone_it_has_all_slots, empty),
		cmocka_unit_test_setup(slots_of_a_rate_give_that_rate, empty),
		cmocka_unit_test_setup(nothing_can_be_told_before_a_line_has_ended, empty),
		cmocka_unit_test_setup(it_waits_for_its_own_organization_s, empty),
		cmocka_unit_test_setup(it_shares_with_others_by_weight, empty),
		cmocka_unit_test_setup(late_ones_go_before_and_suspended_ones_do_not, empty),
	};

	return cmocka_run_group_tests_name("schedule/foresee", tests, NULL, NULL);
}
