/* test_limit.c: the concurrency limit against simulated engines, in virtual time. */
#include "unit.h"

#include <math.h>
#include <time.h>

#include "base/attr.h"
#include "limit/limit.h"

#define MS UINT64_C(1000)
#define SECOND (1000 * MS)
#define NEVER UINT64_MAX

/* Time passes, and then there is room. */
static unsigned room_now(struct limit *l, uint64_t now_us)
{
	limit_tick(l, now_us);
	return limit_room(l);
}

/* ---- chance ---- */

static uint64_t chance;

static double chance_part(void)
{
	chance ^= chance << 13;
	chance ^= chance >> 7;
	chance ^= chance << 17;
	return (double)(chance >> 11) / 9007199254740992.0;
}

static double chance_between(double low, double high)
{
	return low + (high - low) * chance_part();
}

static void chance_seed(uint64_t seed)
{
	const char *shift = getenv("LIMIT_SHIFT"); /* other chances for all tests */
	seed += shift != NULL ? 1000 * strtoul(shift, NULL, 10) : 0;
	chance = (seed + 1) * 0x9E3779B97F4A7C15;
	for (int i = 0; i < 8; i++)
		chance_part();
}

/* ---- the engine: continuous batching, a queue without end ---- */

struct engine {
	unsigned slots; /* sequences running at most */
	double base_ms, sequence_ms, prefill_ms_token;
	unsigned prompt, output;
	double best_per_s; /* work, at the best fixed limit; where a test needs it */
};

static const struct engine engine_a = { 64, 30, 0.05, 0.05, 200, 60, 1940 };
static const struct engine engine_b = { 128, 11, 0.04, 0.08, 200, 60, 3390 };
static const struct engine engine_c = { 4, 40, 8, 8, 60, 4, 0 };
static const struct engine engine_s = { 64, 4, 0.02, 0.002, 200, 60, 0 }; /* small */
static const struct engine engine_flat = { 1024, 0, 1, 0.1, 100, 60, 0 }; /* as fast with 1 */

enum kind { BATCH, ONLINE, DIRECT };

struct request {
	enum kind kind;
	unsigned prompt_left, output_left, prompt, output;
	uint64_t sent_us, refused_at_us; /* NEVER: it is served */
	struct limit_mark mark;
	bool long_unseen; /* its usage tells nothing of its length */
};

#define REQUESTS 4096
#define BUCKETS 4096 /* seconds */

struct sim {
	/* set by the scenario */
	struct engine engine;
	struct limit_config config;
	bool gauges;
	double lie_waiting; /* < 0: none */
	double online_per_s, direct_per_s;
	double refuse_part;
	unsigned refuse_above; /* 0: never */
	unsigned long_every;   /* one line in so many is 60 times longer */
	bool long_unseen;
	double mixed; /* lengths from 1/mixed to mixed times; 0: all the same */
	uint64_t down_from_us, down_until_us;
	double slower; /* from slower_from_us on, prompts this many times longer */
	uint64_t slower_from_us;
	uint64_t idle_from_us, idle_until_us; /* the source has no lines */

	/* its course */
	struct limit *w;
	uint64_t now_us, step_end_us, look_us, poll_us, tick_us, online_at_us, direct_at_us,
		paused_until_us;
	struct request *queue[REQUESTS], *running[REQUESTS], *refusing[REQUESTS];
	unsigned queued, runs, refusals;
	unsigned batch, online, batch_most, total_most;
	double limit_most;
	struct gauges seen; /* those of a moment ago */

	/* what it showed */
	float limit[BUCKETS * 10], work[BUCKETS * 10], taken[BUCKETS * 10];
	uint64_t refused, sent, answered;
	double ttft_ms[100000];
	unsigned ttfts;
};

static bool is_in(uint64_t t, uint64_t from, uint64_t until)
{
	return t >= from && t < until;
}

static void sim_send(struct sim *s, enum kind kind)
{
	struct request *r = calloc(1, sizeof(*r));
	double factor = s->mixed > 0 && kind == BATCH
				? exp(chance_between(-log(s->mixed), log(s->mixed)))
				: 1;
	assert_non_null(r);
	r->kind = kind;
	r->prompt = s->engine.prompt;
	if (kind == BATCH && s->slower > 0 && s->now_us >= s->slower_from_us)
		r->prompt = (unsigned)(r->prompt * s->slower);
	r->output = (unsigned)fmax(1, s->engine.output * factor);
	if (kind == BATCH && s->long_every > 0 && chance_part() * s->long_every < 1) {
		r->output *= 60;
		r->long_unseen = s->long_unseen;
	}
	r->prompt_left = r->prompt;
	r->output_left = r->output;
	r->sent_us = s->now_us;
	r->refused_at_us = NEVER;
	if (kind == ONLINE) {
		limit_online_sent(s->w, 1, s->now_us);
		s->online++;
	}
	if (kind == BATCH) {
		r->mark = limit_batch_sent(s->w, 1, s->now_us);
		s->batch++;
		s->sent++;
		bool refuse = chance_part() < s->refuse_part ||
			      is_in(s->now_us, s->down_from_us, s->down_until_us);
		if (s->refuse_above > 0 && s->queued + s->runs >= s->refuse_above)
			refuse = true;
		if (refuse)
			r->refused_at_us = s->now_us + 5 * MS;
	}
	if (r->refused_at_us != NEVER)
		s->refusing[s->refusals++] = r;
	else
		s->queue[s->queued++] = r;
	assert_true(s->queued < REQUESTS && s->refusals < REQUESTS);
	s->batch_most = s->batch > s->batch_most ? s->batch : s->batch_most;
	s->total_most = s->batch + s->online > s->total_most ? s->batch + s->online : s->total_most;
	assert_true(s->batch + s->online <= s->config.max);
}

static void sim_end(struct sim *s, struct request *r)
{
	struct limit_answer a = { r->prompt, r->output, 800 };
	if (r->long_unseen)
		a = (struct limit_answer){ 0, 0, 800 };
	if (s->long_unseen && !r->long_unseen)
		a = (struct limit_answer){ 0, 0, 800 };
	if (r->kind == BATCH) {
		s->batch--;
		s->answered++;
		s->work[s->now_us / (100 * MS)] += (float)r->output + (float)r->prompt / 10;
		limit_batch_answered(s->w, &r->mark, &a, s->now_us);
	} else if (r->kind == ONLINE) {
		s->online--;
		limit_online_gone(s->w, 1, s->now_us);
	}
	free(r);
}

static void sim_step_end(struct sim *s)
{
	unsigned kept = 0;
	for (unsigned i = 0; i < s->runs; i++) {
		struct request *r = s->running[i];
		if (r->prompt_left > 0) {
			s->running[kept++] = r;
			continue;
		}
		if (r->output_left == r->output && r->kind == ONLINE)
			limit_online_first(s->w, r->sent_us, s->now_us);
		if (r->output_left == r->output && r->kind != BATCH)
			s->ttft_ms[s->ttfts++ % ARRAY_LEN(s->ttft_ms)] =
				(double)(s->now_us - r->sent_us) / MS;
		if (--r->output_left > 0)
			s->running[kept++] = r;
		else
			sim_end(s, r);
	}
	s->runs = kept;
}

static void sim_step_begin(struct sim *s)
{
	const struct engine *e = &s->engine;
	unsigned budget = 2048, taken = 0, prefill = 0;
	while (s->runs < e->slots && taken < s->queued)
		s->running[s->runs++] = s->queue[taken++];
	memmove(s->queue, s->queue + taken, (s->queued - taken) * sizeof(struct request *));
	s->queued -= taken;
	for (unsigned i = 0; i < s->runs && budget > 0; i++) {
		struct request *r = s->running[i];
		unsigned n = r->prompt_left < budget ? r->prompt_left : budget;
		r->prompt_left -= n;
		budget -= n;
		prefill += n;
	}
	if (s->runs == 0) {
		s->step_end_us = NEVER;
		return;
	}
	double ms = e->base_ms + e->sequence_ms * s->runs + e->prefill_ms_token * prefill;
	s->step_end_us = s->now_us + (uint64_t)(ms * MS);
}

static void sim_poll(struct sim *s)
{
	if (s->gauges) {
		limit_gauges(s->w, &s->seen, s->now_us - 20 * MS, s->now_us);
		s->poll_us = s->now_us + 250 * MS;
	}
}

/* 20 ms before they arrive. */
static void sim_look(struct sim *s)
{
	s->seen = (struct gauges){ .kind = GAUGES_VLLM,
				   .waiting = s->lie_waiting >= 0 ? s->lie_waiting : s->queued,
				   .running = s->runs,
				   .cache = 0.3 };
	s->look_us = s->poll_us + 230 * MS;
}

static void sim_refusals(struct sim *s)
{
	unsigned kept = 0;
	for (unsigned i = 0; i < s->refusals; i++) {
		struct request *r = s->refusing[i];
		if (r->refused_at_us > s->now_us) {
			s->refusing[kept++] = r;
			continue;
		}
		s->batch--;
		if (s->down_until_us > 0 &&
		    is_in(s->now_us, s->down_from_us, s->down_until_us + 10 * MS)) {
			limit_batch_gone(s->w, &r->mark, s->now_us);
			s->paused_until_us = s->down_until_us + 500 * MS;
		} else {
			s->refused++;
			limit_batch_refused(s->w, &r->mark, s->now_us);
		}
		free(r);
	}
	s->refusals = kept;
}

static void sim_source(struct sim *s)
{
	if (s->paused_until_us != 0) {
		if (s->now_us < s->paused_until_us)
			return;
		s->paused_until_us = 0;
		limit_reopened(s->w, s->now_us);
		unsigned gate = room_now(s->w, s->now_us);
		assert_true(gate <= fmax(4, s->limit_most / (s->refuse_part > 0 ? 2 : 4) + 1));
	}
	if (is_in(s->now_us, s->idle_from_us, s->idle_until_us))
		return;
	unsigned room;
	while ((room = room_now(s->w, s->now_us)) > 0) {
		assert_true(room <= s->config.max);
		for (; room > 0; room--)
			sim_send(s, BATCH);
	}
}

static double next_arrival(double per_s)
{
	return per_s > 0 ? -log(1 - chance_part()) / per_s * SECOND : (double)(NEVER / 2);
}

static void sim_arrivals(struct sim *s, bool direct)
{
	uint64_t *at = direct ? &s->direct_at_us : &s->online_at_us;
	double rate = direct ? s->direct_per_s : s->online_per_s;
	if (*at == 0 && rate > 0)
		*at = s->now_us + (uint64_t)next_arrival(rate);
	if (*at == 0 || s->now_us < *at)
		return;
	if (rate > 0 && (direct || s->batch + s->online < s->config.max))
		sim_send(s, direct ? DIRECT : ONLINE);
	*at = rate > 0 ? s->now_us + (uint64_t)next_arrival(rate) : 0;
}

static uint64_t least(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static void sim_tick(struct sim *s)
{
	struct limit_state state = limit_state(s->w, s->now_us);
	size_t i = s->now_us / (100 * MS);
	assert_true(state.limit >= 1 && state.limit <= s->config.max);
	s->limit[i] = (float)state.limit;
	s->limit_most = fmax(s->limit_most, state.limit);
	s->taken[i] = (float)(s->batch + s->online);
	s->tick_us += 100 * MS;
}

static void sim_init(struct sim *s)
{
	s->w = limit_new(&s->config, s->now_us);
	assert_non_null(s->w);
	s->step_end_us = s->poll_us = s->look_us = NEVER;
	if (s->gauges) {
		s->poll_us = s->now_us + 250 * MS;
		s->look_us = s->now_us + 230 * MS;
	}
	s->tick_us = s->now_us;
}

static void sim_run(struct sim *s, uint64_t until_us)
{
	assert_true(until_us <= BUCKETS * SECOND);
	while (s->now_us < until_us) {
		sim_arrivals(s, false);
		sim_arrivals(s, true);
		sim_source(s);
		if (s->step_end_us == NEVER && s->queued > 0)
			sim_step_begin(s);
		uint64_t next = least(s->step_end_us, s->tick_us);
		next = least(next, s->look_us);
		next = least(next, s->poll_us);
		if (s->online_at_us > 0)
			next = least(next, s->online_at_us);
		if (s->direct_at_us > 0)
			next = least(next, s->direct_at_us);
		for (unsigned i = 0; i < s->refusals; i++)
			next = least(next, s->refusing[i]->refused_at_us);
		s->now_us = next > s->now_us ? next : s->now_us;
		if (s->now_us == s->step_end_us) {
			sim_step_end(s);
			sim_source(s);
			sim_step_begin(s);
		}
		sim_refusals(s);
		if (s->now_us >= s->tick_us)
			sim_tick(s);
		if (s->now_us >= s->look_us)
			sim_look(s);
		if (s->now_us >= s->poll_us)
			sim_poll(s);
	}
}

static void sim_free(struct sim *s)
{
	for (unsigned i = 0; i < s->runs; i++)
		free(s->running[i]);
	for (unsigned i = 0; i < s->queued; i++)
		free(s->queue[i]);
	for (unsigned i = 0; i < s->refusals; i++)
		free(s->refusing[i]);
	limit_free(s->w);
	free(s);
}

static struct sim *sim_new(const struct engine *e, bool gauges)
{
	struct sim *s = calloc(1, sizeof(*s));
	assert_non_null(s);
	s->engine = *e;
	s->gauges = gauges;
	s->config = (struct limit_config){ .max = 1024, .reserve = -1 };
	s->lie_waiting = -1;
	s->mixed = 1.2;
	return s;
}

/* ---- measures ---- */

static double mean(const float *per_tick, uint64_t from_us, uint64_t until_us)
{
	double sum = 0;
	size_t a = from_us / (100 * MS), b = until_us / (100 * MS);
	for (size_t i = a; i < b; i++)
		sum += per_tick[i];
	return sum / (double)(b - a);
}

/* Seconds with so many in flight. */
static double seconds_above(const struct sim *s, double n, uint64_t until_us)
{
	double seconds = 0;
	for (size_t i = 0; i < until_us / (100 * MS); i++)
		seconds += s->taken[i] > n ? 0.1 : 0;
	return seconds;
}

/* How often the limit turned round by more than `part`. */
static unsigned reversals(const struct sim *s, uint64_t from_us, uint64_t until_us, double part)
{
	unsigned n = 0;
	double top = s->limit[from_us / (100 * MS)], bottom = top;
	int way = 0;
	for (size_t i = from_us / (100 * MS); i < until_us / (100 * MS); i++) {
		double x = s->limit[i];
		top = fmax(top, x);
		bottom = fmin(bottom, x);
		if (way >= 0 && x < top * (1 - part) - 0.01) {
			n += way > 0;
			way = -1;
			bottom = x;
		} else if (way <= 0 && x > bottom * (1 + part) + 0.01) {
			n += way < 0;
			way = 1;
			top = x;
		}
	}
	return n;
}

static int double_compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;
	return (x > y) - (x < y);
}

static double quantile(double *x, unsigned n, double part)
{
	qsort(x, n, sizeof(x[0]), double_compare);
	return x[(unsigned)(part * (n - 1))];
}

/* ---- scenarios ---- */

static unsigned online_seeds(void)
{
	const char *wanted = getenv("LIMIT_ONLINE_SEEDS");
	return wanted != NULL ? (unsigned)strtoul(wanted, NULL, 10) : 9;
}

static double fixed_rate(const struct sim *like, unsigned fixed, uint64_t from_us,
			 uint64_t until_us)
{
	struct sim *s = malloc(sizeof(*s));
	assert_non_null(s);
	*s = *like;
	s->config.fixed = fixed;
	s->gauges = false;
	chance_seed(7);
	sim_init(s);
	sim_run(s, until_us);
	double rate = mean(s->work, from_us, until_us);
	sim_free(s);
	return rate;
}

static double best_fixed(const struct sim *like, uint64_t from_us, uint64_t until_us,
			 unsigned *ret_at)
{
	double best = 0;
	for (unsigned n = 1; 2 * n <= 3 * like->engine.slots && n <= 256; n += 1 + n * 19 / 128) {
		double rate = fixed_rate(like, n, from_us, until_us);
		if (rate > best) {
			best = rate;
			*ret_at = n;
		}
	}
	return best;
}

static void explain(const struct sim *s, const char *name, uint64_t until_us)
{
	if (getenv("LIMIT_TRACE") == NULL)
		return;
	printf("# %s\n", name);
	for (uint64_t t = 0; t < until_us; t += t < 20 * SECOND ? SECOND : 5 * SECOND)
		printf("%3.0f s limit %.1f taken %.0f work/s %.0f\n", (double)t / SECOND,
		       s->limit[t / (100 * MS)], s->taken[t / (100 * MS)],
		       10 * mean(s->work, t, t + SECOND));
}

/* What is measured, unless LIMIT_LOOSE only wants to see it. */
static void holds(bool as_it_should)
{
	assert_true(as_it_should || getenv("LIMIT_LOOSE") != NULL);
}

static void alone(const char *name, const struct engine *e, bool gauges, double mixed,
		  double least_part)
{
	struct sim *s = sim_new(e, gauges);
	s->mixed = mixed;
	unsigned at = 0;
	uint64_t until = 180 * SECOND;
	double best = best_fixed(s, 10 * SECOND, 60 * SECOND, &at);
	chance_seed(7);
	sim_init(s);
	sim_run(s, until);
	explain(s, name, until);
	double early = mean(s->work, 10 * SECOND, 60 * SECOND) / best;
	double late = mean(s->work, 60 * SECOND, until) / best;
	unsigned flaps = reversals(s, 60 * SECOND, until, 0.15);
	double beyond = seconds_above(s, 1.4 * e->slots, 60 * SECOND);
	printf("%-12s gauges %d: best fixed %u, 10..60 s %.3f, later %.3f, limit %.1f, "
	       "turns of 15 %%: %u, of 3 %%: %u in 2 min; at most %u in flight, %.1f s far beyond\n",
	       name, gauges, at, early, late, s->limit[until / (100 * MS) - 1], flaps,
	       reversals(s, 60 * SECOND, until, 0.03), s->total_most, beyond);
	holds(early >= least_part);
	holds(late >= least_part);
	holds(flaps <= 6);
	if (e == &engine_a && mixed > 0)
		holds(s->total_most <= 2.5 * e->slots && beyond <= (gauges ? 1 : 25));
	sim_free(s);
}

static void alone_as_fast_as_the_best_fixed(void **state)
{
	(void)state;
	for (int gauges = 0; gauges < 2; gauges++) {
		alone("A", &engine_a, gauges, 1.2, 0.95);
		alone("B", &engine_b, gauges, 1.2, 0.95);
		alone("C", &engine_c, gauges, 1.2, 0.95);
		/* All answers end together: latency tells less of the engine than of that. */
		alone("A lockstep", &engine_a, gauges, 0, 0.95);
		alone("B lockstep", &engine_b, gauges, 0, 0.95);
		/* The sweep's best is the chance of where its waves end. */
		alone("flat", &engine_flat, gauges, 1.2, 0.9);
	}
}

/* Online traffic of the phases of bench/scheduling: twice a burst between quiet times. */
static const struct {
	uint64_t until_us;
	double per_s;
} phases[] = { { 30 * SECOND, 1 },
	       { 60 * SECOND, 15 },
	       { 150 * SECOND, 1 },
	       { 180 * SECOND, 15 },
	       { 270 * SECOND, 1 } };

struct course {
	double p50, p99;   /* of the time to first token */
	double late;       /* p99 from the second burst on */
	double part;       /* batch work, of what online traffic leaves; from second 10 on */
	double part_quiet; /* from 90 s to 150 s */
};

static struct course online_run(const struct engine *e, bool gauges, bool direct, bool batch,
				unsigned fixed, uint64_t seed)
{
	struct sim *s = sim_new(e, gauges);
	struct course c;
	double *rate = direct ? &s->direct_per_s : &s->online_per_s;
	unsigned late = 0;
	s->config.fixed = fixed;
	s->mixed = 2.2;
	if (!batch)
		s->idle_until_us = NEVER;
	chance_seed(seed);
	sim_init(s);
	for (size_t i = 0; i < ARRAY_LEN(phases); i++) {
		late = i == 3 ? s->ttfts : late;
		*rate = phases[i].per_s;
		s->online_at_us = s->direct_at_us = 0;
		sim_run(s, phases[i].until_us);
	}
	if (batch && fixed == 0)
		explain(s, direct ? "direct" : "through", s->now_us);
	c.late = quantile(s->ttft_ms + late, s->ttfts - late, 0.99);
	c.p50 = quantile(s->ttft_ms, s->ttfts, 0.5);
	c.p99 = quantile(s->ttft_ms, s->ttfts, 0.99);
	double best = e->best_per_s, each = e->output + e->prompt / 10.0;
	c.part = 10 * mean(s->work, 10 * SECOND, s->now_us) / (best - (60 * 15 + 200) * each / 260);
	c.part_quiet = 10 * mean(s->work, 90 * SECOND, 150 * SECOND) / (best - each);
	sim_free(s);
	return c;
}

/* For the median of the seeds: one seed's p99 is eleven requests of 1,100. */
struct online_bounds {
	double p99, late, part;
};

#define ONLINE_SEEDS 100

static void online(const char *name, const struct engine *e, bool gauges, bool direct,
		   struct online_bounds bounds)
{
	double p99[ONLINE_SEEDS], late[ONLINE_SEEDS], part[ONLINE_SEEDS];
	unsigned n = online_seeds();

	assert_true(n > 0 && n <= ONLINE_SEEDS);
	for (unsigned seed = 0; seed < n; seed++) {
		struct course without = online_run(e, gauges, direct, false, 0, 11 + seed);
		struct course c = online_run(e, gauges, direct, true, 0, 11 + seed);
		p99[seed] = c.p99 / without.p99;
		late[seed] = c.late / without.late;
		part[seed] = c.part;
		printf("%-2s %s gauges %d: TTFT p99 %.0f ms alone, x %.2f, late x %.2f, p50 x %.2f; "
		       "batch %.2f of the room, %.2f between\n",
		       name, direct ? "direct" : "through", gauges, without.p99, p99[seed],
		       late[seed], c.p50 / without.p50, c.part, c.part_quiet);
	}
	struct online_bounds middle = { quantile(p99, n, 0.5), quantile(late, n, 0.5),
					quantile(part, n, 0.5) };
	printf("%-2s %s gauges %d: median of %u: x %.2f, late x %.2f, %.2f of the room\n", name,
	       direct ? "direct" : "through", gauges, n, middle.p99, middle.late, middle.part);
	holds(middle.p99 <= bounds.p99);
	holds(middle.late <= bounds.late);
	holds(middle.part >= bounds.part);
}

static void online_does_not_notice(void **state)
{
	(void)state;
	online("A", &engine_a, true, false, (struct online_bounds){ 1.12, 1.15, 0.84 });
	/* At the start the search goes beyond the knee once, until two answers were late. */
	online("A", &engine_a, false, false, (struct online_bounds){ 1.2, 1.15, 0.78 });
	online("A", &engine_a, true, true, (struct online_bounds){ 1.25, 1.25, 0.78 });
	/* By latency alone those of the first burst have waited before it is known. */
	online("A", &engine_a, false, true, (struct online_bounds){ 45, 1.25, 0.2 });
	/* B spends two thirds of its time on prompts: its users are noticed. */
	online("B", &engine_b, true, false, (struct online_bounds){ 1.9, 1.9, 0.95 });
	online("B", &engine_b, true, true, (struct online_bounds){ 3.2, 3.2, 0.95 });
}

/* Without metrics: room for others is kept for ten minutes, then given up slowly. */
static void others_are_remembered(void **state)
{
	(void)state;
	struct sim *s = sim_new(&engine_a, false);
	s->mixed = 2.2;
	chance_seed(11);
	sim_init(s);
	sim_run(s, 60 * SECOND);
	s->direct_per_s = 15;
	sim_run(s, 90 * SECOND);
	s->direct_per_s = 0;
	s->direct_at_us = 0;
	sim_run(s, 2700 * SECOND);
	explain(s, "remembered", s->now_us);
	double before = mean(s->limit, 40 * SECOND, 60 * SECOND);
	double kept = mean(s->limit, 100 * SECOND, 600 * SECOND);
	double back = mean(s->limit, 2500 * SECOND, 2700 * SECOND);
	printf("others: limit %.1f, for ten minutes %.1f, then %.1f, at last %.1f\n", before, kept,
	       mean(s->limit, 900 * SECOND, 1200 * SECOND), back);
	holds(before > 50 && kept < 30 && back > 50);
	sim_free(s);
}

static void long_lines_cost_nothing(void **state)
{
	(void)state;
	for (int gauges = 0; gauges < 2; gauges++)
		for (int unseen = 0; unseen < 2; unseen++) {
			struct sim *s = sim_new(&engine_a, gauges);
			unsigned at;
			s->long_every = 50;
			s->long_unseen = unseen;
			double best = best_fixed(s, 60 * SECOND, 240 * SECOND, &at);
			chance_seed(7);
			sim_init(s);
			sim_run(s, 240 * SECOND);
			explain(s, "long", 240 * SECOND);
			printf("long lines, gauges %d, unseen %d: best fixed %u, %.3f, limit %.1f\n",
			       gauges, unseen, at, mean(s->work, 60 * SECOND, 240 * SECOND) / best,
			       s->limit[2399]);
			holds(mean(s->work, 60 * SECOND, 240 * SECOND) / best >=
			      (gauges ? 0.97 : 0.93));
			sim_free(s);
		}
}

static void long_lines_among_equal_ones(void **state)
{
	(void)state;
	for (int gauges = 0; gauges < 2; gauges++) {
		struct sim *s = sim_new(&engine_s, gauges);
		unsigned at;
		s->mixed = 0;
		s->long_every = 50;
		s->long_unseen = true;
		double best = best_fixed(s, 20 * SECOND, 90 * SECOND, &at);
		chance_seed(7);
		sim_init(s);
		sim_run(s, 120 * SECOND);
		explain(s, "long and equal", 120 * SECOND);
		double part = mean(s->work, 20 * SECOND, 90 * SECOND) / best;
		double limit = mean(s->limit, 20 * SECOND, 120 * SECOND);
		printf("long and equal, gauges %d: best fixed %u, %.3f, limit %.1f\n", gauges, at,
		       part, limit);
		holds(part >= 0.95 && limit <= 2 * engine_s.slots);
		sim_free(s);
	}
}

static void refusals(void **state)
{
	(void)state;
	for (int gauges = 0; gauges < 2; gauges++) {
		struct sim *s = sim_new(&engine_a, gauges);
		s->refuse_part = 0.3;
		chance_seed(7);
		sim_init(s);
		sim_run(s, 120 * SECOND);
		explain(s, "random", 120 * SECOND);
		printf("30 %% refused, gauges %d: limit %.1f, mean %.1f, work/s %.0f\n", gauges,
		       s->limit[1199], mean(s->limit, 30 * SECOND, 120 * SECOND),
		       10 * mean(s->work, 30 * SECOND, 120 * SECOND));
		holds(mean(s->limit, 30 * SECOND, 120 * SECOND) > 30);
		sim_free(s);

		s = sim_new(&engine_a, gauges);
		s->refuse_above = 20;
		chance_seed(7);
		sim_init(s);
		sim_run(s, 30 * SECOND);
		uint64_t refused = s->refused;
		sim_run(s, 300 * SECOND);
		explain(s, "limit", 300 * SECOND);
		printf("limit 20, gauges %d: limit %.1f, taken %.1f, refused %llu + %llu of %llu\n",
		       gauges, s->limit[2999], mean(s->taken, 60 * SECOND, 300 * SECOND),
		       (unsigned long long)refused, (unsigned long long)(s->refused - refused),
		       (unsigned long long)s->answered);
		holds(mean(s->taken, 60 * SECOND, 300 * SECOND) > 18);
		holds(s->refused < s->answered / 50);
		sim_free(s);
	}
}

static void follows_the_workload(void **state)
{
	(void)state;
	for (int gauges = 0; gauges < 2; gauges++) {
		struct sim *s = sim_new(&engine_a, gauges);
		unsigned at;
		s->slower = 8;
		s->slower_from_us = 0;
		double best = best_fixed(s, 20 * SECOND, 60 * SECOND, &at);
		s->slower_from_us = 60 * SECOND;
		chance_seed(7);
		sim_init(s);
		sim_run(s, 240 * SECOND);
		explain(s, "slower", 240 * SECOND);
		printf("slower, gauges %d: best %u, %.3f after a minute, limit %.1f\n", gauges, at,
		       mean(s->work, 120 * SECOND, 240 * SECOND) / best, s->limit[2399]);
		holds(mean(s->work, 120 * SECOND, 240 * SECOND) / best > 0.95);
		sim_free(s);
	}
}

static void gauges_that_lie(void **state)
{
	(void)state;
	struct sim *s = sim_new(&engine_a, true);
	unsigned at;
	double best = best_fixed(s, 20 * SECOND, 60 * SECOND, &at);
	s->lie_waiting = 1000;
	chance_seed(7);
	sim_init(s);
	sim_run(s, 300 * SECOND);
	explain(s, "lie", 300 * SECOND);
	printf("lie: %.3f, limit %.1f\n", mean(s->work, 30 * SECOND, 300 * SECOND) / best,
	       s->limit[2999]);
	holds(mean(s->work, 30 * SECOND, 300 * SECOND) / best > 0.8);
	sim_free(s);
}

static void outages(void **state)
{
	(void)state;
	for (int gauges = 0; gauges < 2; gauges++) {
		struct sim *s = sim_new(&engine_a, gauges);
		s->down_from_us = 40 * SECOND;
		s->down_until_us = 100 * SECOND;
		chance_seed(7);
		sim_init(s);
		sim_run(s, 180 * SECOND);
		explain(s, "outage", 180 * SECOND);
		printf("outage, gauges %d: %.3f of before\n", gauges,
		       mean(s->work, 110 * SECOND, 180 * SECOND) /
			       mean(s->work, 20 * SECOND, 40 * SECOND));
		holds(mean(s->work, 110 * SECOND, 180 * SECOND) >
		      0.95 * mean(s->work, 20 * SECOND, 40 * SECOND));
		sim_free(s);
	}
}

static void max_and_fixed_are_kept(void **state)
{
	(void)state;
	struct limit_config config = { .max = 10, .reserve = 2 };
	struct limit *w = limit_new(&config, 1);
	assert_non_null(w);
	assert_int_equal(room_now(w, 1), 2);
	config.fixed = 8;
	limit_configure(w, &config, 1);
	assert_int_equal(room_now(w, 1), 6);
	limit_online_sent(w, 1, 1);
	limit_online_sent(w, 1, 1);
	assert_int_equal(room_now(w, 1), 4); /* 8 - 2 - 2 */
	for (int i = 0; i < 8; i++)
		limit_online_sent(w, 1, 1);
	assert_int_equal(room_now(w, 1), 0);
	assert_int_equal(limit_state(w, 1).reason, LIMIT_FIXED);
	limit_free(w);
}

/* `max` is of requests: a line of 16 is one of them, and so are eight. */
static void max_counts_requests_of_many_units(void **state)
{
	const struct limit_config config = { .max = 8, .reserve = 0 };
	const struct limit_answer a = { 100, 50 * 16, 500 };
	struct limit *w = limit_new(&config, 1);
	struct limit_mark marks[64];
	unsigned n = 0;

	(void)state;
	assert_non_null(w);
	for (uint64_t now_us = SECOND; now_us < 120 * SECOND; now_us += SECOND / 10) {
		for (unsigned i = 0; i < n; i++)
			limit_batch_answered(w, &marks[i], &a, now_us);
		for (n = 0; room_now(w, now_us) > 0 && n < 64; n++)
			marks[n] = limit_batch_sent(w, 16, now_us);
	}
	assert_in_range(n, 7, 8);
	limit_free(w);
}

/* A fixed limit with most of it kept free: what is left, however little. */
static void fixed_keeps_its_reserve(void **state)
{
	(void)state;
	const struct limit_config config = { .fixed = 64, .max = 100, .reserve = 60 };
	struct limit *w = limit_new(&config, 1);
	assert_non_null(w);
	assert_int_equal(room_now(w, 1), 4);
	limit_free(w);
}

/* After a pause lines come back, whatever online requests leave of a quarter of the limit. */
static void gate_opens_beside_online_requests(void **state)
{
	(void)state;
	const struct limit_config config = { .fixed = 16, .max = 100, .reserve = 0 };
	struct limit *w = limit_new(&config, 1);
	assert_non_null(w);
	for (int i = 0; i < 5; i++)
		limit_online_sent(w, 1, 1);
	limit_reopened(w, 1);
	assert_in_range(room_now(w, 1), 1, 4);
	limit_free(w);
}

/* Lines that run for minutes do not leave a fixed limit half empty for minutes after an outage. */
static void slow_start_ends_without_an_answer(void **state)
{
	(void)state;
	const struct limit_config config = { .fixed = 32, .max = 100, .reserve = 0 };
	struct limit *w = limit_new(&config, 1);
	assert_non_null(w);
	limit_reopened(w, 1);
	for (unsigned s = 1; s <= 12; s++)
		for (unsigned room = room_now(w, s * SECOND); room > 0; room--)
			limit_batch_sent(w, 1, s * SECOND);
	struct limit_state now = limit_state(w, 12 * SECOND);
	assert_int_equal(now.batch, 32);
	assert_int_equal(now.reason, LIMIT_FIXED);
	limit_reopened(w, 13 * SECOND);
	assert_int_equal(limit_state(w, 13 * SECOND).reason, LIMIT_SLOW_START);
	limit_free(w);
}

/* Lines that are answered after 100 ms whatever is in flight: the limit grows around what is
 * kept. */
static void grows_beside_a_reserve(void **state)
{
	(void)state;
	const struct limit_config config = { .max = 100, .reserve = 16 };
	struct limit *w = limit_new(&config, 1);
	const struct limit_answer a = { 100, 50, 500 };
	struct limit_mark marks[100];
	unsigned n = 0;
	assert_non_null(w);
	for (uint64_t now_us = SECOND; now_us < 60 * SECOND; now_us += SECOND / 10) {
		for (unsigned i = 0; i < n; i++)
			limit_batch_answered(w, &marks[i], &a, now_us);
		n = 0;
		for (unsigned room = room_now(w, now_us); room > 0; room--)
			marks[n++] = limit_batch_sent(w, 1, now_us);
	}
	assert_in_range(n, 40, 84);
	limit_free(w);
}

/* Without lines nothing is learnt of the limit. */
static void half_empty_lane_teaches_nothing(void **state)
{
	(void)state;
	const struct limit_config config = { .max = 1000, .reserve = -1 };
	struct limit *w = limit_new(&config, 0);
	const struct limit_answer a = { 100, 50, 500 };
	assert_non_null(w);
	for (uint64_t now = 0; now < 600 * SECOND; now += SECOND) {
		assert_true(room_now(w, now) >= 3);
		struct limit_mark m = limit_batch_sent(w, 1, now);
		limit_batch_answered(w, &m, &a, now + SECOND / 2);
	}
	assert_true(limit_state(w, 600 * SECOND).limit <= 4);
	limit_free(w);
}

/* 0.5 ms an answer, 20,000 a second: as many as come; and it costs next to nothing. */
static void fast_upstream_is_cheap(void **state)
{
	(void)state;
	enum { RATE = 20000, SECONDS = 30, FLIGHT = 1024 };
	const struct limit_config config = { .max = FLIGHT, .reserve = -1 };
	struct limit *w = limit_new(&config, 0);
	const struct limit_answer a = { 100, 50, 500 };
	struct limit_mark marks[FLIGHT];
	unsigned head = 0, tail = 0, late = 0;
	struct timespec began, ended;
	assert_non_null(w);
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &began);
	for (uint64_t i = 0; i < (uint64_t)RATE * SECONDS; i++) {
		uint64_t now = i * 50;
		while (head != tail && marks[head % FLIGHT].sent_us + 500 <= now) {
			limit_batch_answered(w, &marks[head % FLIGHT], &a, now);
			head++;
		}
		if (room_now(w, now) > 0)
			marks[tail++ % FLIGHT] = limit_batch_sent(w, 1, now);
		else
			late += now > SECOND;
	}
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ended);
	double ns = ((double)(ended.tv_sec - began.tv_sec) * 1e9 + (double)ended.tv_nsec -
		     (double)began.tv_nsec) /
		    ((double)RATE * SECONDS);
	printf("fast: %.0f ns a line, %u of %d late, limit %.0f\n", ns, late, RATE * SECONDS,
	       limit_state(w, SECONDS * SECOND).limit);
	assert_true(late < RATE * SECONDS / 100);
	assert_true(ns < 20000); /* with the sanitizers, on a busy machine */
	limit_free(w);
}

/* 2 ms an answer, any number at once, and 40 us of our own for each: 25,000 a second is what we can
 * do. What is above 2 ms is our own doing, and nobody else's. Returns lines a second at the end. */
static double own_speed(bool told, double *ret_limit)
{
	enum { SECONDS = 20, FLIGHT = 1024, OWN_US = 40 };
	const struct limit_config config = { .max = FLIGHT, .reserve = -1 };
	struct limit *w = limit_new(&config, 0);
	const struct limit_answer a = { 100, 50, 500 };
	struct limit_mark marks[FLIGHT] = { 0 };
	unsigned head = 0, tail = 0, ended = 0;
	uint64_t now = 0;

	assert_non_null(w);
	limit_busy(w, told);
	while (now < SECONDS * SECOND) {
		while (room_now(w, now) > 0)
			marks[tail++ % FLIGHT] = limit_batch_sent(w, 1, now);
		uint64_t due = marks[head % FLIGHT].sent_us + 2 * MS;
		now = (due > now ? due : now) + OWN_US;
		limit_batch_answered(w, &marks[head++ % FLIGHT], &a, now);
		ended += now > (SECONDS - 5) * SECOND;
	}
	*ret_limit = limit_state(w, now).limit;
	limit_free(w);
	return ended / 5.0;
}

static void a_busy_machine_is_no_queue(void **state)
{
	double limit, told = own_speed(true, &limit);

	(void)state;
	printf("busy: %.0f lines/s, limit %.0f\n", told, limit);
	assert_true(told > 0.98 * 25000 && limit > 51);
	assert_true(own_speed(false, &limit) <= told);
}

/* Whatever the engine and its troubles: the limits hold (the simulation looks at each step), and it
 * neither collapses nor fails to come near what the engine gives. */
static void holds_for_any_engine(void **state)
{
	(void)state;
	const char *wanted = getenv("LIMIT_SEEDS");
	unsigned seeds = wanted != NULL ? (unsigned)strtoul(wanted, NULL, 10) : 1500;
	unsigned poor = 0;
	for (unsigned seed = 1; seed <= seeds; seed++) {
		chance_seed(seed);
		struct engine e = { .slots = (unsigned)exp(chance_between(log(2), log(256))),
				    .base_ms = chance_between(5, 40),
				    .sequence_ms = chance_between(0, 0.2),
				    .prefill_ms_token = chance_between(0, 0.05),
				    .prompt = (unsigned)chance_between(20, 400),
				    .output = (unsigned)chance_between(4, 60) };
		struct sim *s = sim_new(&e, chance_part() < 0.5);
		uint64_t until = 30 * SECOND;
		s->mixed = chance_between(1, 4);
		s->config.max = (unsigned)chance_between(1, 600);
		if (chance_part() < 0.3)
			s->config.max = (unsigned)chance_between(1, 5);
		bool troubled = chance_part() < 0.6;
		if (troubled) {
			s->refuse_part = chance_part() < 0.4 ? chance_between(0, 0.5) : 0;
			s->refuse_above = chance_part() < 0.3 ? (unsigned)chance_between(2, 100)
							      : 0;
			s->online_per_s = chance_part() < 0.5 ? chance_between(0, 20) : 0;
			s->direct_per_s = chance_part() < 0.3 ? chance_between(0, 5) : 0;
			s->long_every = chance_part() < 0.3 ? 50 : 0;
			s->long_unseen = chance_part() < 0.5;
			s->lie_waiting = chance_part() < 0.1 ? chance_between(0, 1000) : -1;
			s->down_from_us = 10 * SECOND;
			s->down_until_us = chance_part() < 0.3 ? 15 * SECOND : 0;
		}
		sim_init(s);
		sim_run(s, until);
		assert_true(s->answered > 0 || s->online_per_s > 0);
		double limit = mean(s->limit, 20 * SECOND, until);
		bool limited = s->config.max < e.slots;
		if (!troubled && !limited) {
			double latency = e.output * (e.base_ms + e.sequence_ms * e.slots) +
					 e.slots * e.prompt * e.prefill_ms_token;
			poor += latency < 2000 && limit < 0.35 * e.slots &&
				e.prefill_ms_token * e.prompt < e.base_ms / 10;
		}
		if (s->refuse_part > 0 && s->refuse_above == 0 && s->online_per_s == 0 &&
		    s->direct_per_s == 0 && s->lie_waiting < 0 && s->config.max >= 4 &&
		    e.slots >= 8)
			assert_true(limit > 1.2);
		sim_free(s);
	}
	printf("%u seeds, %u far below what the engine runs\n", seeds, poor);
	assert_true(poor <= seeds / 200);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(max_and_fixed_are_kept),
		cmocka_unit_test(max_counts_requests_of_many_units),
		cmocka_unit_test(fixed_keeps_its_reserve),
		cmocka_unit_test(gate_opens_beside_online_requests),
		cmocka_unit_test(slow_start_ends_without_an_answer),
		cmocka_unit_test(grows_beside_a_reserve),
		cmocka_unit_test(half_empty_lane_teaches_nothing),
		cmocka_unit_test(fast_upstream_is_cheap),
		cmocka_unit_test(a_busy_machine_is_no_queue),
		cmocka_unit_test(alone_as_fast_as_the_best_fixed),
		cmocka_unit_test(online_does_not_notice),
		cmocka_unit_test(others_are_remembered),
		cmocka_unit_test(long_lines_cost_nothing),
		cmocka_unit_test(long_lines_among_equal_ones),
		cmocka_unit_test(refusals),
		cmocka_unit_test(follows_the_workload),
		cmocka_unit_test(gauges_that_lie),
		cmocka_unit_test(outages),
		cmocka_unit_test(holds_for_any_engine),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
