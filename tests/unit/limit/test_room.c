/* test_room.c: what of the limit is left for lines beside online requests. */
#include "unit.h"

#include <math.h>

#include "limit/common.h"
#include "limit/limit_impl.h"

static const struct limit_config config = { .max = 1000, .reserve = -1 };

/* A limit of 64, found; lines take 2.6 s. */
static struct limit *found(uint64_t now_us)
{
	struct limit *l = limit_new(&config, now_us);

	assert_non_null(l);
	search_settle_at(&l->search, 64, now_us);
	l->engine.gauges_us = now_us; /* its metrics are there */
	l->traffic.latency_us = 2.6 * SECOND;
	return l;
}

/* Online requests, each gone at once, so many a second. */
static uint64_t come(struct limit *l, unsigned per_s, unsigned seconds, uint64_t now_us)
{
	for (unsigned i = 0; i < per_s * seconds; i++) {
		now_us += SECOND / per_s;
		limit_online_sent(l, 1, now_us);
		limit_online_gone(l, 1, now_us);
	}
	l->engine.gauges_us = now_us;
	return now_us;
}

static void the_reserve_follows_the_rate(void **state)
{
	struct limit *l = found(SECOND);
	uint64_t now_us = SECOND;

	(void)state;
	assert_int_equal(limit_reserve(l, now_us), 0);
	now_us = come(l, 1, 30, now_us);
	assert_in_range(limit_reserve(l, now_us), 4, 6); /* for a first burst */
	now_us = come(l, 10, 30, now_us);
	unsigned ten = limit_reserve(l, now_us);
	now_us = come(l, 15, 30, now_us);
	unsigned fifteen = limit_reserve(l, now_us);
	assert_true(ten < fifteen && fifteen >= 6 && fifteen <= 8);
	now_us = come(l, 100, 30, now_us); /* more than there are slots for */
	assert_int_equal(limit_reserve(l, now_us), 22);
	now_us = come(l, 1, 11 * 60, now_us);
	assert_in_range(limit_reserve(l, now_us), 4, 6);
	now_us += 11 * MINUTE;
	assert_int_equal(limit_reserve(l, now_us), 0);
	limit_free(l);
}

/* Others are known of a moment late. */
static void the_reserve_follows_others(void **state)
{
	struct limit *l = found(SECOND);

	(void)state;
	l->traffic.online_us = SECOND;
	l->engine.others.most = 2;
	assert_in_range(limit_reserve(l, SECOND), 8, 10);
	l->engine.others.most = 20;
	unsigned twenty = limit_reserve(l, SECOND);
	l->engine.others.most = 40;
	unsigned forty = limit_reserve(l, SECOND);
	assert_true(twenty < forty && forty >= 11 && forty <= 16);
	limit_free(l);
}

static void a_line_waits_for_the_prompt_of_an_online_request(void **state)
{
	struct limit *l = found(SECOND);
	uint64_t now_us = SECOND;

	(void)state;
	now_us = come(l, 1, 2, now_us);
	limit_tick(l, now_us);
	assert_int_equal(limit_room(l), 0);
	now_us += SECOND / 10; /* a line ends every 41 ms */
	limit_tick(l, now_us);
	assert_int_equal(limit_room(l), 2);
	now_us = come(l, 50, 20, now_us);
	/* One that comes before each line's turn does not stop them. */
	unsigned sent = 0;
	for (unsigned i = 0; i < 100; i++) {
		limit_online_sent(l, 1, now_us);
		limit_online_gone(l, 1, now_us);
		for (unsigned ms = 0; ms < 20; ms += 5) {
			now_us += 5 * SECOND / 1000;
			limit_tick(l, now_us);
			if (limit_room(l) == 0)
				continue;
			struct limit_mark m = limit_batch_sent(l, 1, now_us);
			limit_batch_gone(l, &m, now_us);
			sent++;
		}
	}
	assert_in_range(sent, 40, 120); /* in two seconds */
	limit_free(l);
}

/* A line of 50 units goes at once, and is paid for afterwards: no more units a second than lines. */
static void lines_of_many_units_are_paced_by_their_units(void **state)
{
	struct limit *l = found(SECOND);
	uint64_t now_us = come(l, 1, 10, SECOND);
	unsigned units = 0;

	(void)state;
	for (unsigned ms = 0; ms < 10000; ms += 10) {
		now_us += 10 * SECOND / 1000;
		l->engine.gauges_us = now_us;
		limit_tick(l, now_us);
		if (limit_room(l) == 0)
			continue;
		struct limit_mark m = limit_batch_sent(l, 50, now_us);
		limit_batch_gone(l, &m, now_us);
		units += 50;
	}
	assert_in_range(units, 100, 10 * 1.5 * 64 / 2.6 + 50);
	limit_free(l);
}

/* Nothing waits in a server that refuses beyond the limit that was found. */
static void the_margin_ends_where_it_refuses(void **state)
{
	struct limit *l = limit_new(&config, SECOND);

	(void)state;
	assert_non_null(l);
	search_settle_at(&l->search, 7, SECOND);
	assert_true(fabs(limit_in_force(l) - 9) < 1e-9);
	l->backoff.ceiling = 8;
	assert_true(fabs(limit_in_force(l) - 8) < 1e-9);
	l->backoff.ceiling = 5;
	assert_true(fabs(limit_in_force(l) - 7) < 1e-9);
	limit_free(l);
}

/* Long streams that were there before are no burst of now. */
static void those_that_were_there_are_no_burst(void **state)
{
	struct limit *l = found(SECOND), *other = found(SECOND);

	(void)state;
	limit_online_join(l, 100, 100, SECOND);
	for (unsigned i = 0; i < 100; i++)
		limit_online_sent(other, 1, SECOND);
	assert_int_equal(limit_state(l, SECOND).online, 100);
	limit_online_sent(l, 1, 11 * SECOND);
	limit_online_sent(other, 1, 11 * SECOND);
	assert_true(other->traffic.rate_most > 50 * l->traffic.rate_most);
	limit_free(l);
	limit_free(other);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_reserve_follows_the_rate),
		cmocka_unit_test(the_reserve_follows_others),
		cmocka_unit_test(a_line_waits_for_the_prompt_of_an_online_request),
		cmocka_unit_test(lines_of_many_units_are_paced_by_their_units),
		cmocka_unit_test(the_margin_ends_where_it_refuses),
		cmocka_unit_test(those_that_were_there_are_no_burst),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
