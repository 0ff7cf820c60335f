/* test_window.c: lines that share a prefix follow each other. */
#include "schedule/sim.h"

#include "schedule/schedule_impl.h"

#define PREFIXES 64u
#define KIN 32u
#define CACHE 8u
#define LANES 4u

/* What a server has cached: the prefixes used last, CACHE of them, and those in flight. */
struct server {
	uint32_t in_flight[PREFIXES + 1];
	uint64_t used_at[PREFIXES + 1]; /* 0: not cached */
	uint64_t uses;
};

struct watch {
	struct server servers[LANES];
	unsigned sent, hits;
	bool opened[PREFIXES + 1], warm[PREFIXES + 1];
	unsigned opened_n, in_flight[PREFIXES + 1];
};

static void server_evict(struct server *s)
{
	for (;;) {
		unsigned cached = 0, oldest = 0;
		for (unsigned p = 1; p <= PREFIXES; p++) {
			if (s->used_at[p] == 0 || s->in_flight[p] > 0)
				continue;
			cached++;
			if (oldest == 0 || s->used_at[p] < s->used_at[oldest])
				oldest = p;
		}
		if (cached <= CACHE)
			return;
		s->used_at[oldest] = 0;
	}
}

static uint32_t prefix_of(const struct sim_slot *slot)
{
	return fake_of(&slot->line)->prefix[slot->line.record];
}

/* A second line of a prefix without an answer is only sent when no other prefix is left to open. */
static double watch_sent(struct sim *sim, const struct sim_slot *slot)
{
	struct watch *w = sim->ctx;
	struct server *s = &w->servers[slot->lane];
	uint32_t p = prefix_of(slot);
	if (w->in_flight[p] > 0 && !w->warm[p])
		assert_int_equal(w->opened_n, PREFIXES);
	w->opened_n += !w->opened[p];
	w->opened[p] = true;
	w->in_flight[p]++;
	w->sent++;
	w->hits += s->used_at[p] != 0;
	s->in_flight[p]++;
	server_evict(s);
	return 1000;
}

static void watch_answered(struct sim *sim, const struct sim_slot *slot)
{
	struct watch *w = sim->ctx;
	struct server *s = &w->servers[slot->lane];
	uint32_t p = prefix_of(slot);
	w->in_flight[p]--;
	w->warm[p] = true;
	s->in_flight[p]--;
	s->used_at[p] = ++s->uses;
	server_evict(s);
}

static struct fake *shuffled(uint64_t seed)
{
	struct fake *f = fake_new("a", PREFIXES * KIN);
	sim_seed = seed;
	f->b.prefixes = true;
	f->taken = calloc(f->lines, 1);
	f->prefix = calloc(f->lines, sizeof(*f->prefix));
	for (uint32_t i = 0; i < PREFIXES * KIN; i++) {
		uint32_t k = sim_random(i + 1);
		f->prefix[i] = f->prefix[k];
		f->prefix[k] = 1 + i % PREFIXES;
	}
	return f;
}

static void kin_find_their_prefix_cached(void **state)
{
	static const unsigned slots[] = { 1, 4, 16, 32 };
	(void)state;
	for (uint64_t seed = 1; seed <= 20; seed++)
		for (size_t i = 0; i < ARRAY_LEN(slots); i++)
			for (unsigned lanes = 1; lanes <= LANES && lanes <= slots[i]; lanes *= 2) {
				struct sim sim;
				struct watch w = { 0 };
				struct fake *f = shuffled(seed);
				sim_open(&sim, slots[i], lanes);
				sim.spread = true;
				sim.ctx = &w;
				sim.sent = watch_sent;
				sim.answered = watch_answered;
				schedule_add(sim.schedule, &f->b);
				while (sim_step(&sim))
					;
				assert_int_equal(w.sent, PREFIXES * KIN);
				/* each prefix once; at the end lanes help each other out */
				if (w.sent - w.hits > PREFIXES + slots[i] + 2 * lanes)
					fail_msg("%u slots, %u lanes: %u missed", slots[i], lanes,
						 w.sent - w.hits);
				sim_close(&sim, &f, 1);
			}
}

static struct schedule_line next(struct schedule *s, unsigned lane)
{
	struct schedule_line l;
	assert_true(schedule_next(s, fake_lane(lane), 0, &l));
	return l;
}

static struct fake *batch_of(const uint32_t *prefix, uint32_t n)
{
	struct fake *f = fake_new("a", n);
	f->b.prefixes = true;
	f->prefix = calloc(n, sizeof(*prefix));
	memcpy(f->prefix, prefix, n * sizeof(*prefix));
	return f;
}

static void close_with(struct schedule *s, struct fake *f)
{
	schedule_remove(s, &f->b);
	fake_free(f);
	schedule_close(s);
}

static void leader_first_and_kin_when_it_has_ended(void **state)
{
	(void)state;
	struct schedule *s = schedule_open(&fake_ops);
	struct fake *f = batch_of((uint32_t[]){ 9, 21, 9, 21, 9, 21, 0, 35, 35 }, 9);
	schedule_add(s, &f->b);
	struct schedule_line a = next(s, 0), b = next(s, 0);
	assert_int_equal(a.record, 0);
	assert_int_equal(b.record, 1);
	schedule_ended(s, &b, 1, 1);
	b = next(s, 0);
	assert_int_equal(b.record, 3); /* of its group, before a new group */
	struct schedule_line other = next(s, 1);
	assert_int_equal(other.record, 6); /* no shared prefix: in input order */
	assert_int_equal(other.group, SCHEDULE_NO_GROUP);
	assert_int_equal(next(s, 1).record, 7); /* not 2 or 5: those are of another lane's groups */
	schedule_put_off(s, &a);                /* no longer in flight: another leads */
	schedule_put_off(s, &a);
	struct schedule_line c = next(s, 0);
	assert_int_equal(c.record, 2);
	schedule_ended(s, &a, 1, 1);
	schedule_ended(s, &c, 1, 1);
	/* widened: rather a warm one of another lane's than a cold one of its own ... */
	assert_int_not_equal(next(s, 1).record, 8);
	assert_int_not_equal(next(s, 1).record, 8);
	assert_int_equal(next(s, 0).record, 8); /* ... and rather a cold one than none */
	assert_false(schedule_has_line(s));
	close_with(s, f);
}

/* Prefixes 4 to 7 share a shorter one, and so do 8 to 11: they stand together. */
static void groups_of_a_family_stand_together(void **state)
{
	(void)state;
	struct schedule *s = schedule_open(&fake_ops);
	static const uint32_t prefix[] = {
		4, 8, 5, 9, 6, 10, 7, 11, 11, 7, 10, 6, 9, 5, 8, 4, 4, 40
	};
	struct fake *f = batch_of(prefix, ARRAY_LEN(prefix));
	schedule_add(s, &f->b);
	for (int i = 0; i < 8; i++)
		assert_int_equal(prefix[next(s, 0).record] / 4, i < 4 ? 1 : 2);
	assert_int_equal(next(s, 0).record, 17); /* a prefix of one line is not shared */
	close_with(s, f);
}

static void lines_without_kin_keep_their_order(void **state)
{
	(void)state;
	struct schedule *s = schedule_open(&fake_ops);
	struct fake *f = fake_new("a", 40000);
	f->b.prefixes = true;
	f->prefix = calloc(f->lines, sizeof(*f->prefix));
	schedule_add(s, &f->b);
	for (uint32_t i = 0; i < 40000; i++) {
		if (i % 2 == 0)
			f->prefix[i] = 4 * i + 4; /* there is no other like it */
	}
	for (uint64_t i = 0; i < 40000; i++)
		assert_int_equal(next(s, (unsigned)i % 3).record, i);
	assert_false(schedule_has_line(s));
	close_with(s, f);
}

/* Stragglers of one window do not hold up the next, and are nothing to it when they end. */
static void next_window_does_not_wait(void **state)
{
	(void)state;
	struct schedule *s = schedule_open(&fake_ops);
	const uint32_t n = WINDOW_SEGMENTS * SEGMENT_LINES;
	struct fake *f = fake_new("a", 2 * n);
	f->b.prefixes = true;
	f->prefix = calloc(f->lines, sizeof(*f->prefix));
	struct schedule_line *given = calloc(n, sizeof(*given));
	for (uint32_t i = 0; i < 2 * n; i++)
		f->prefix[i] = 1 + i % 50;
	schedule_add(s, &f->b);
	for (uint32_t i = 0; i < n; i++) {
		given[i] = next(s, 0);
		assert_true(given[i].record < n);
	}
	bool opened[51] = { false };
	opened[f->prefix[next(s, 0).record]] = true;
	for (uint32_t i = 0; i < n; i++)
		schedule_ended(s, &given[i], 1, 1);
	for (uint32_t i = 1; i < 50; i++) { /* leaders: none follows a straggler */
		uint64_t record = next(s, 0).record;
		assert_true(record >= n);
		assert_false(opened[f->prefix[record]]);
		opened[f->prefix[record]] = true;
	}
	free(given);
	close_with(s, f);
}

static void windows_together_are_bounded(void **state)
{
	(void)state;
	enum { N = 300 };
	struct schedule *s = schedule_open(&fake_ops);
	struct fake *f[N];
	struct schedule_line l;
	unsigned most = 0, given = 0;
	for (int i = 0; i < N; i++) {
		char org[ID_SIZE];
		snprintf(org, sizeof(org), "org-%d", i);
		f[i] = fake_new(org, 2500);
		f[i]->b.prefixes = true;
		f[i]->taken = calloc(2500, 1);
		f[i]->prefix = calloc(2500, sizeof(*f[i]->prefix));
		for (uint32_t k = 0; k < 2500; k++)
			f[i]->prefix[k] = 1 + k % 7;
		schedule_add(s, &f[i]->b);
	}
	while (schedule_next(s, fake_lane(0), 0, &l)) {
		assert_int_equal(++fake_of(&l)->taken[l.record], 1);
		schedule_ended(s, &l, 100, l.tokens);
		if (s->window_segments > most)
			most = s->window_segments;
		given++;
	}
	assert_int_equal(given, N * 2500);
	assert_int_equal(most, WINDOW_SEGMENTS_ALL);
	assert_int_equal(s->window_segments, 0);
	for (int i = 0; i < N; i++) {
		schedule_remove(s, &f[i]->b);
		fake_free(f[i]);
	}
	schedule_close(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(kin_find_their_prefix_cached),
		cmocka_unit_test(leader_first_and_kin_when_it_has_ended),
		cmocka_unit_test(groups_of_a_family_stand_together),
		cmocka_unit_test(lines_without_kin_keep_their_order),
		cmocka_unit_test(next_window_does_not_wait),
		cmocka_unit_test(windows_together_are_bounded),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
