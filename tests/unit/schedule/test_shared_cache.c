/* test_shared_cache.c: batches against servers with one prefix cache for all slots, in virtual time:
 * which prompts are computed again, by the order that lines are sent in. */
#include "schedule/sim.h"

#define PREFIXES_MAX 2048u
#define DECODE_MS 300.0
#define PROMPT_MS 75.0 /* to compute a prefix; one after another */
#define QUESTION_MS 2.0

/* A prefix is in the cache once it was computed, while lines that have it run, and after that until
 * `room` others are newer. */
struct server {
	unsigned room;
	bool of_slots; /* instead each slot keeps the prefix that it had last */
	uint32_t slot_has[SIM_SLOTS_MAX];
	double computed_ms[PREFIXES_MAX + 1]; /* INFINITY: not cached */
	unsigned in_flight[PREFIXES_MAX + 1];
	uint64_t used_at[PREFIXES_MAX + 1];
	uint64_t uses;
	double busy_ms; /* until then it computes prompts */
};

struct run {
	struct server servers[4];
	unsigned lines, computed, expected; /* prefixes; those that lines were said to find */
	double took_ms;
	unsigned left[PREFIXES_MAX + 1], open, open_most; /* prefixes that are begun */
	bool begun[PREFIXES_MAX + 1];
};

static uint32_t prefix_of(const struct sim_slot *slot)
{
	return fake_of(&slot->line)->prefix[slot->line.record];
}

static void server_drop(struct server *s)
{
	for (;;) {
		unsigned idle = 0, oldest = 0;
		for (unsigned p = 1; p <= PREFIXES_MAX; p++) {
			if (s->computed_ms[p] == INFINITY || s->in_flight[p] > 0)
				continue;
			idle++;
			if (oldest == 0 || s->used_at[p] < s->used_at[oldest])
				oldest = p;
		}
		if (idle <= s->room)
			return;
		s->computed_ms[oldest] = INFINITY;
	}
}

static double run_sent(struct sim *sim, const struct sim_slot *slot)
{
	struct run *r = sim->ctx;
	struct server *s = &r->servers[slot->lane];
	uint32_t p = prefix_of(slot), *had = &s->slot_has[slot - sim->slot];
	bool cached = s->of_slots ? *had == p : s->computed_ms[p] <= sim->now_ms;
	r->lines++;
	r->open += !r->begun[p];
	r->begun[p] = true;
	if (r->open > r->open_most)
		r->open_most = r->open;
	r->open -= --r->left[p] == 0;
	r->expected += slot->line.cached_tokens > 0;
	s->in_flight[p]++;
	*had = p;
	if (p == 0)
		cached = true;
	r->computed += !cached;
	s->busy_ms = fmax(s->busy_ms, sim->now_ms) + QUESTION_MS + (cached ? 0 : PROMPT_MS);
	if (!cached && s->computed_ms[p] > s->busy_ms)
		s->computed_ms[p] = s->busy_ms;
	return s->busy_ms - sim->now_ms + DECODE_MS;
}

static void run_answered(struct sim *sim, const struct sim_slot *slot)
{
	struct run *r = sim->ctx;
	struct server *s = &r->servers[slot->lane];
	uint32_t p = prefix_of(slot);
	s->in_flight[p]--;
	s->used_at[p] = ++s->uses;
	server_drop(s);
}

/* All lines of the batch; no slot stays free while there are any. */
static struct run run_all(struct fake *f, unsigned slots, unsigned lanes, const struct run *as,
			  bool ordered)
{
	static struct sim sim;
	struct run r = *as;
	for (unsigned l = 0; l < lanes; l++)
		for (unsigned p = 0; p <= PREFIXES_MAX; p++)
			r.servers[l].computed_ms[p] = INFINITY;
	for (uint64_t i = 0; i < f->lines; i++)
		r.left[f->prefix[i]]++;
	sim_open(&sim, slots, lanes);
	for (unsigned l = 0; l < lanes; l++)
		if (!r.servers[l].of_slots)
			sim.lane[l].cache = SCHEDULE_CACHE_SHARED;
	sim.ctx = &r;
	sim.sent = run_sent;
	sim.answered = run_answered;
	f->b.prefixes = ordered;
	schedule_add(sim.schedule, &f->b);
	while (sim_step(&sim)) {
		unsigned left = (unsigned)(f->lines - f->given);
		if (left > 0)
			assert_int_equal(sim.busy, slots - 1);
	}
	r.took_ms = sim.now_ms;
	assert_int_equal(r.lines, f->lines);
	sim_close(&sim, &f, 1);
	return r;
}

/* `sizes`: lines of each prefix; shuffled. */
static struct fake *shuffled(const unsigned *sizes, unsigned n, uint64_t seed)
{
	uint32_t lines = 0;
	for (unsigned p = 0; p < n; p++)
		lines += sizes[p];
	struct fake *f = fake_new("a", lines);
	f->taken = calloc(lines, 1);
	f->prefix = calloc(lines, sizeof(*f->prefix));
	f->body_bytes = 6000;
	sim_seed = seed;
	uint32_t i = 0;
	for (unsigned p = 0; p < n; p++)
		for (unsigned k = 0; k < sizes[p]; k++, i++) {
			uint32_t at = sim_random(i + 1);
			f->prefix[i] = f->prefix[at];
			f->prefix[at] = 4 * (p + 1); /* no two share a shorter one */
		}
	return f;
}

static struct fake *even(unsigned prefixes, unsigned each, uint64_t seed)
{
	unsigned sizes[PREFIXES_MAX / 4];
	for (unsigned p = 0; p < prefixes; p++)
		sizes[p] = each;
	return shuffled(sizes, prefixes, seed);
}

/* ---- prompts computed, against input order ---- */

static void a_cache_of_8_is_enough_for_64_slots(void **state)
{
	const struct run as = { .servers = { { .room = 8 } } };
	(void)state;
	for (uint64_t seed = 1; seed <= 20; seed++) {
		struct run order = run_all(even(64, 16, seed), 64, 1, &as, false);
		struct run r = run_all(even(64, 16, seed), 64, 1, &as, true);
		/* each once, and those of the first turn, in which nothing is cached */
		assert_in_range(r.computed, 64, 128);
		assert_in_range(r.open_most, 4, 6); /* that fill the slots */
		assert_true(order.computed > 8 * 64);
		if (r.took_ms > 0.3 * order.took_ms)
			fail_msg("%.0f ms, in input order %.0f", r.took_ms, order.took_ms);
	}
}

/* A running line holds its prefix: hardly any has to be kept that none holds. */
static void a_small_cache_is_enough(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= 5; seed++)
		for (unsigned slots = 1; slots <= 64; slots *= 2)
			for (unsigned room = 1; room <= 4; room++) {
				const struct run as = { .servers = { { .room = room } } };
				struct run r = run_all(even(64, 16, seed), slots, 1, &as, true);
				if (r.computed > 64 + slots)
					fail_msg("%u slots, room for %u: %u computed", slots, room,
						 r.computed);
			}
}

static void sizes_may_differ(void **state)
{
	unsigned sizes[51] = { 900 };
	const struct run as = { .servers = { { .room = 8 } } };
	(void)state;
	for (unsigned p = 1; p <= 50; p++)
		sizes[p] = 2;
	for (unsigned slots = 4; slots <= 64; slots *= 2) {
		struct run order = run_all(shuffled(sizes, 51, 7), slots, 1, &as, false);
		struct run r = run_all(shuffled(sizes, 51, 7), slots, 1, &as, true);
		if (r.computed > 51 + slots || r.computed > 0.7 * order.computed)
			fail_msg("%u slots: %u computed of %u", slots, r.computed, order.computed);
	}
}

/* Two upstreams, of which one has a cache for each slot. */
static void kinds_may_differ(void **state)
{
	const struct run as = { .servers = { { .room = 8 }, { .of_slots = true } } };
	(void)state;
	for (uint64_t seed = 1; seed <= 20; seed++) {
		struct run r = run_all(even(64, 16, seed), 16, 2, &as, true);
		/* one after another, kin go to whichever slot is free */
		struct run order = run_all(even(64, 16, seed), 16, 2, &as, false);
		if (r.computed > order.computed / 2)
			fail_msg("%u computed of %u", r.computed, order.computed);
	}
}

static void lanes_help_each_other_out(void **state)
{
	unsigned sizes[1] = { 900 };
	const struct run as = { .servers = { { .room = 4 }, { .room = 4 }, { .room = 4 } } };
	(void)state;
	struct run r = run_all(shuffled(sizes, 1, 3), 12, 3, &as, true);
	assert_in_range(r.computed, 3, 12); /* each lane's slots at the start */
	r = run_all(even(4, 300, 3), 12, 3, &as, true);
	assert_in_range(r.computed, 4, 12 + 4);
}

/* ---- one line after another ---- */

static const struct schedule_lane *shared_lane(unsigned number, unsigned slots, unsigned prefixes)
{
	static struct schedule_lane lane;
	lane = (struct schedule_lane){ .number = number, .slots = slots, .prefixes = prefixes };
	return &lane;
}

static struct schedule_line next(struct schedule *s, const struct schedule_lane *lane)
{
	struct schedule_line l;
	assert_true(schedule_next(s, lane, 0, &l));
	return l;
}

/* Groups of `each` lines: record / each is the group. */
static struct fake *blocks(unsigned groups, unsigned each)
{
	struct fake *f = fake_new("a", (uint64_t)groups * each);
	f->b.prefixes = true;
	f->prefix = calloc(f->lines, sizeof(*f->prefix));
	for (unsigned i = 0; i < f->lines; i++)
		f->prefix[i] = 4 * (i / each + 1);
	return f;
}

static void close_with(struct schedule *s, struct fake *f)
{
	schedule_remove(s, &f->b);
	fake_free(f);
	schedule_close(s);
}

static void kin_follow_all_at_once(void **state)
{
	(void)state;
	struct schedule *s = schedule_open(&fake_ops);
	struct fake *f = blocks(20, 8);
	schedule_add(s, &f->b);
	const struct schedule_lane *lane = shared_lane(0, 8, SCHEDULE_PREFIXES_ANY);
	struct schedule_line a = next(s, lane), b = next(s, lane);
	assert_int_equal(a.record, 0);
	assert_int_equal(a.cached_tokens, 0);
	assert_int_equal(b.record, 8); /* 7 left of the first: too few for 8 slots */
	schedule_ended(s, &b, 1000, 300);
	for (unsigned i = 1; i < 8; i++) {
		struct schedule_line l = next(s, lane);
		while (l.record % 8 == 0) /* leaders of the next, in time */
			l = next(s, lane);
		assert_int_equal(l.record, 8 + i);
		assert_int_equal(l.cached_tokens, PREFIX_BYTES(2) / 4);
	}
	close_with(s, f);
}

/* It goes again minutes later, maybe to another upstream: nothing is expected of the cache. */
static void of_a_line_that_was_put_off_nothing_is_expected(void **state)
{
	(void)state;
	struct schedule *s = schedule_open(&fake_ops);
	struct fake *f = blocks(1, 9);
	schedule_add(s, &f->b);
	const struct schedule_lane *lane = shared_lane(0, 2, SCHEDULE_PREFIXES_ANY);
	struct schedule_line a = next(s, lane);
	schedule_ended(s, &a, 1000, 300);
	a = next(s, lane);
	assert_int_not_equal(a.cached_tokens, 0);
	schedule_put_off(s, &a);
	assert_int_equal(a.group, SCHEDULE_NO_GROUP);
	assert_int_equal(a.cached_tokens, 0);
	close_with(s, f);
}

static void another_leads_where_the_leader_fails(void **state)
{
	(void)state;
	struct schedule *s = schedule_open(&fake_ops);
	struct fake *f = blocks(1, 9);
	schedule_add(s, &f->b);
	const struct schedule_lane *lane = shared_lane(0, 2, SCHEDULE_PREFIXES_ANY);
	struct schedule_line a = next(s, lane);
	schedule_put_off(s, &a);
	a = next(s, lane);
	assert_int_equal(a.record, 1);
	schedule_ended(s, &a, 1000, 300);
	a = next(s, lane);
	assert_int_equal(a.record, 2);
	assert_int_not_equal(a.cached_tokens, 0);
	close_with(s, f);

	s = schedule_open(&fake_ops);
	f = blocks(2, 9);
	schedule_add(s, &f->b);
	struct schedule_line well = next(s, shared_lane(1, 2, 1));
	assert_int_equal(well.record, 0);
	a = next(s, shared_lane(0, 2, 1));
	assert_int_equal(a.record, 9);
	schedule_ended(s, &well, 1000, 300); /* answers tell what they took */
	schedule_ended(s, &a, 1000, 0);      /* this one has failed */
	a = next(s, shared_lane(0, 2, 1));
	assert_int_equal(a.record, 10);
	assert_int_equal(a.cached_tokens, 0);
	close_with(s, f);
}

static void prefixes_open_are_bounded(void **state)
{
	(void)state;
	for (unsigned most = 1; most <= 3; most++) {
		struct schedule *s = schedule_open(&fake_ops);
		struct fake *f = blocks(40, 3);
		bool open[40] = { false };
		unsigned given[40] = { 0 }, opened = 0;
		schedule_add(s, &f->b);
		for (unsigned i = 0; i < 120; i++) {
			uint64_t group = next(s, shared_lane(0, 64, most)).record / 3;
			opened += !open[group];
			open[group] = true;
			opened -= ++given[group] == 3;
			assert_in_range(opened, 0, most);
		}
		assert_false(schedule_has_line(s));
		close_with(s, f);
	}
}

/* Those that share a shorter prefix are opened one after another. */
static void groups_of_a_family_stand_together(void **state)
{
	(void)state;
	for (unsigned slots = 1; slots <= 16; slots *= 2) {
		struct schedule *s = schedule_open(&fake_ops);
		struct fake *f = even(64, 6, slots);
		bool open[65] = { false }, family_open[17] = { false };
		unsigned family = 0;
		for (unsigned i = 0; i < f->lines; i++)
			f->prefix[i] = f->prefix[i] / 4 + 3; /* 4 to 67: 16 families of 4 */
		f->b.prefixes = true;
		schedule_add(s, &f->b);
		for (unsigned i = 0; i < f->lines; i++) {
			struct schedule_line l = next(s, shared_lane(0, slots, 1 + i % 5));
			uint32_t p = f->prefix[l.record] - 4;
			schedule_ended(s, &l, 100, 300);
			if (open[p])
				continue;
			open[p] = true;
			if (p / 4 == family && family_open[family])
				continue;
			assert_false(family_open[p / 4]);
			family = p / 4;
			family_open[family] = true;
		}
		close_with(s, f);
	}
}

/* Lines that share no prefix go where kin would have to wait. */
static void others_fill_the_slots_meanwhile(void **state)
{
	(void)state;
	struct schedule *s = schedule_open(&fake_ops);
	struct fake *f = blocks(2, 10);
	for (unsigned i = 10; i < 20; i++)
		f->prefix[i] = 0;
	schedule_add(s, &f->b);
	const struct schedule_lane *lane = shared_lane(0, 8, SCHEDULE_PREFIXES_ANY);
	struct schedule_line a = next(s, lane);
	assert_int_equal(a.record, 0);
	assert_int_equal(next(s, lane).record, 10);
	assert_int_equal(next(s, lane).record, 11);
	schedule_ended(s, &a, 1000, 300);
	for (unsigned i = 1; i < 10; i++)
		assert_int_equal(next(s, lane).record, i);
	assert_int_equal(next(s, lane).record, 12);
	close_with(s, f);
}

/* A lane that is taken for another kind in the middle of a window. */
static void kind_may_change(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= 50; seed++) {
		struct schedule *s = schedule_open(&fake_ops);
		struct fake *f = even(40, 12, seed);
		struct schedule_line flying[16], l;
		unsigned n = 0;
		f->b.prefixes = true;
		schedule_add(s, &f->b);
		for (;;) {
			struct schedule_lane lane = { .number = sim_random(3),
						      .slots = sim_random(20),
						      .cache = sim_random(2)
								       ? SCHEDULE_CACHE_SHARED
								       : SCHEDULE_CACHE_OF_SLOTS,
						      .prefixes = sim_random(5) };
			bool sends = n == 0 || (n < ARRAY_LEN(flying) && sim_random(2));
			if (sends && schedule_next(s, &lane, 0, &l)) {
				assert_int_equal(++f->taken[l.record], 1);
				f->given++;
				flying[n++] = l;
				continue;
			}
			if (n == 0)
				break;
			unsigned i = sim_random(n);
			if (sim_random(4) == 0)
				schedule_put_off(s, &flying[i]);
			schedule_ended(s, &flying[i], 100, sim_random(2) * 300);
			flying[i] = flying[--n];
		}
		assert_int_equal(f->given, f->lines);
		close_with(s, f);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_cache_of_8_is_enough_for_64_slots),
		cmocka_unit_test(a_small_cache_is_enough),
		cmocka_unit_test(sizes_may_differ),
		cmocka_unit_test(kinds_may_differ),
		cmocka_unit_test(lanes_help_each_other_out),
		cmocka_unit_test(kin_follow_all_at_once),
		cmocka_unit_test(of_a_line_that_was_put_off_nothing_is_expected),
		cmocka_unit_test(another_leads_where_the_leader_fails),
		cmocka_unit_test(prefixes_open_are_bounded),
		cmocka_unit_test(groups_of_a_family_stand_together),
		cmocka_unit_test(others_fill_the_slots_meanwhile),
		cmocka_unit_test(kind_may_change),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
