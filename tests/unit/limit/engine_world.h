/* engine_world.h: `struct limit` in front of the simulated engine of bench/engine, in virtual time.
 *
 * A closed loop of lines: whatever the limit has room for is sent, of each lane's endless supply.
 * What is sent reaches the engine half a round trip later, and its answer comes back as late.
 * Metrics are asked for every POLL_US, or, where they take long, twice a second, as dispatch/watch.c
 * has it; the answer is the engine's Prometheus text of the moment at which the question arrived,
 * read by gauges_read(), and delivered `metrics_ms` later. Beside the lines there may be online
 * requests, through us or straight to the engine.
 *
 * With `fixed` no limit is asked: so many sequences are kept in the engine, shared evenly by the
 * lanes. That is the reference that others are held against.
 *
 * With `latency_us` there is no engine: an upstream that answers anything after so long, in front of
 * which only our own time for each line, `own_us`, is a bound.
 *
 *	struct scenario s = SCENARIO(64);
 *	struct world *w = world_new(&s, 0);
 *	world_run(w, 60 * WORLD_S);
 *	struct world_result r = world_result(w);
 *	world_free(w); */
#pragma once

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/attr.h"
#include "base/buf.h"
#include "engine.h"
#include "limit/limit.h"
#include "metrics.h"

#define WORLD_MS UINT64_C(1000) /* us */
#define WORLD_S (1000 * WORLD_MS)
#define WORLD_NEVER UINT64_MAX
#define WORLD_POLL_US (250 * WORLD_MS)
#define WORLD_POLL_MOST_US (500 * WORLD_MS)
#define WORLD_POLL_PART 20u
#define WORLD_TICK_US (100 * WORLD_MS)
#define WORLD_TRIP_US (WORLD_MS / 2) /* one way */
#define WORLD_LANES_MAX 8u
#define WORLD_INPUTS_MAX 64u
#define WORLD_TICKS_MAX 12000u /* 20 minutes */
#define WORLD_TTFT_MAX 20000u
#define WORLD_TEXT_MAX (1u << 20)
#define WORLD_STEADY_S 10u /* from then on what a run gives is counted */

struct scenario {
	const char *name;
	struct sim_options engine;
	enum metrics_names names;
	bool no_metrics;
	double metrics_ms_low, metrics_ms_high;

	/* lines */
	unsigned lanes; /* model names; with loras of the engine, one each; 0 is 1 */
	unsigned tokens_low, tokens_high; /* of an answer */
	unsigned prompt_low, prompt_high; /* tokens of an input */
	unsigned n;                       /* answers of a line; 0 is 1 */
	unsigned inputs_low, inputs_high; /* of a line; 0: one */
	unsigned long_every;              /* one answer in so many is 60 times longer; 0: none */
	unsigned max;                     /* limit_config.max; 0: 4096 */

	uint64_t latency_us; /* of an upstream that takes any number; 0: it is the engine */
	uint64_t own_us;     /* that we take for each line, one after another */

	/* other requests: phases, each until a second, one after another; until_s 0: no more */
	struct world_phase {
		unsigned until_s;
		double online_per_s, direct_per_s;
	} phases[8];
	unsigned other_prompt, other_tokens;
	unsigned late_s; /* from then on their times are told apart too; 0: not */

	/* troubles; 0: never */
	enum metrics_lie lie;
	unsigned lie_s;
	unsigned slots_s, slots_then;
	unsigned down_s, down_until_s; /* restarted: what was in flight is lost */
	unsigned factor_s;
	double factor_then;
	unsigned idle_from_s, idle_until_s; /* there are no lines */
	unsigned lines_from_s;              /* nor before that */
};

/* Lines of about 11 tokens, as vLLM was measured with. */
#define SCENARIO(slots_)                                                                 \
	{                                                                                \
		.engine = { .slots = (slots_),                                           \
			    .step_us = 30000,                                            \
			    .seq_us = 50,                                                \
			    .prefill_us = 20,                                            \
			    .budget = 2048,                                              \
			    .slow_factor = 60 },                                         \
		.tokens_low = 6, .tokens_high = 16, .prompt_low = 20, .prompt_high = 60, \
		.other_prompt = 200, .other_tokens = 60                                  \
	}

enum world_kind { WORLD_BATCH, WORLD_ONLINE, WORLD_DIRECT };

struct world_request {
	struct world *world;
	enum world_kind kind;
	unsigned lane, n_seqs, n_inputs, prompt;
	uint64_t tokens, sent_us, due_us;
	struct limit_mark mark;
	struct limit_answer answer;
	bool refused, lost; /* 503; the engine went down */
	bool told;          /* its first token has come */
	struct world_request *next;
};

/* What is on its way, all for as long: first in, first out. */
struct world_way {
	struct world_request *first, **end;
};

struct world {
	struct scenario s;
	unsigned fixed; /* sequences; 0: the limit decides */
	struct sim sim;
	struct metrics metrics;
	struct limit *limits[WORLD_LANES_MAX]; /* of each lane: the same, where there are metrics */
	unsigned n_lanes, n_limits;
	uint64_t chance;
	uint64_t now_us, tick_us, poll_us, asked_us, text_us, gauges_us, online_us, direct_us,
		engine_us;
	struct world_way out, back;
	uint64_t free_us; /* until then we are busy with the last answer */
	struct gauges gauges;
	bool has_gauges; /* the text that is on its way could be read */
	unsigned batch[WORLD_LANES_MAX], online;
	unsigned seqs; /* of lines, between sending and answer */

	/* what it showed */
	float limit[WORLD_TICKS_MAX];
	size_t n_ticks;
	size_t waiting_most_early, waiting_most_late; /* before and after 30 s */
	struct sim_stats steady;                      /* at WORLD_STEADY_S */
	uint64_t lines, steady_lines, refused;
	double ttft_ms[WORLD_TTFT_MAX];
	unsigned n_ttft, n_ttft_early; /* before late_s */
};

struct world_result {
	double occupancy;     /* running sequences, of slots, from WORLD_STEADY_S on, as the rest */
	double per_step;      /* output tokens; with pooling, sequences */
	double per_s;         /* lines answered */
	size_t waiting_early; /* most that a step left in the queue, in the first 30 s */
	size_t waiting_late;
	double changes;   /* of the limit, by more than a tenth, a minute, after the first one */
	double limit;     /* in the end, of all lanes */
	double p50, p99;  /* ms to the first token of online and direct requests */
	double p99_late;  /* ... from late_s on */
	uint64_t refused; /* 503 */
};

/* ---- chance: xorshift ---- */

static inline double world_part(struct world *w)
{
	w->chance ^= w->chance << 13;
	w->chance ^= w->chance >> 7;
	w->chance ^= w->chance << 17;
	return (double)(w->chance >> 11) / 9007199254740992.0;
}

static inline unsigned world_between(struct world *w, unsigned low, unsigned high)
{
	return low + (unsigned)(world_part(w) * (high - low + 1));
}

static inline uint64_t world_after(struct world *w, double per_s)
{
	if (per_s <= 0)
		return WORLD_NEVER;
	return w->now_us + (uint64_t)(-log(1 - world_part(w)) / per_s * (double)WORLD_S);
}

/* ---- ways ---- */

static inline void world_send_later(struct world *w, struct world_way *way, struct world_request *r,
				    uint64_t later_us)
{
	r->due_us = w->now_us + WORLD_TRIP_US + later_us;
	r->next = NULL;
	*way->end = r;
	way->end = &r->next;
}

static inline void world_send(struct world *w, struct world_way *way, struct world_request *r)
{
	world_send_later(w, way, r, 0);
}

static inline struct world_request *world_take(struct world_way *way, uint64_t now_us)
{
	struct world_request *r = way->first;

	if (r == NULL || r->due_us > now_us)
		return NULL;
	way->first = r->next;
	if (way->first == NULL)
		way->end = &way->first;
	return r;
}

static inline uint64_t world_way_due(const struct world_way *way)
{
	return way->first != NULL ? way->first->due_us : WORLD_NEVER;
}

static inline void world_way_free(struct world_way *way)
{
	struct world_request *r;

	while ((r = world_take(way, WORLD_NEVER)) != NULL)
		free(r);
}

/* ---- the engine's callbacks ---- */

static inline void world_on_token(struct seq *s)
{
	struct world_request *r = s->job->owner;
	struct world *w = r->world;

	if (r->kind == WORLD_BATCH || r->told)
		return;
	r->told = true;
	if (r->kind == WORLD_ONLINE && w->fixed == 0)
		limit_online_first(w->limits[0], r->sent_us, w->now_us);
	if (w->n_ttft < WORLD_TTFT_MAX)
		w->ttft_ms[w->n_ttft++] = (double)(w->now_us + WORLD_TRIP_US - r->sent_us) /
					  (double)WORLD_MS;
}

static inline void world_on_end(struct sim_job *j)
{
	struct world_request *r = j->owner;

	r->answer = (struct limit_answer){ .prompt_tokens = j->prompt_tokens,
					   .output_tokens = j->asked * j->n_seqs,
					   .body_bytes = j->prompt_tokens * TOKEN_BYTES };
	world_send(r->world, &r->world->back, r);
}

static inline void world_on_lost(struct sim_job *j)
{
	struct world_request *r = j->owner;

	r->lost = true;
	world_send(r->world, &r->world->back, r);
}

/* ---- requests ---- */

static inline struct world_request *world_request_new(struct world *w, enum world_kind kind)
{
	const struct scenario *s = &w->s;
	struct world_request *r = calloc(1, sizeof(*r));

	assert_non_null(r);
	*r = (struct world_request){ .world = w, .kind = kind, .sent_us = w->now_us };
	if (kind != WORLD_BATCH) {
		r->prompt = s->other_prompt;
		r->tokens = s->other_tokens;
		r->n_inputs = r->n_seqs = 1;
		return r;
	}
	r->prompt = world_between(w, s->prompt_low, s->prompt_high);
	r->tokens = world_between(w, s->tokens_low, s->tokens_high);
	if (s->long_every > 0 && world_part(w) * s->long_every < 1)
		r->tokens *= 60;
	r->n_inputs = s->inputs_high > 0 ? world_between(w, s->inputs_low, s->inputs_high) : 1;
	r->n_seqs = r->n_inputs * (s->n > 0 ? s->n : 1);
	return r;
}

static inline void world_line_send(struct world *w, unsigned lane)
{
	struct world_request *r = world_request_new(w, WORLD_BATCH);

	r->lane = lane;
	if (w->fixed == 0)
		r->mark = limit_batch_sent(w->limits[lane], r->n_seqs, w->now_us);
	w->batch[lane]++;
	w->seqs += r->n_seqs;
	world_send(w, &w->out, r);
}

/* As dispatch has it: online requests keep `max`, and nothing else. */
static inline bool world_online_room(const struct world *w)
{
	const struct limit_state s = limit_state(w->limits[0], w->now_us);

	return s.batch + s.online < (w->s.max > 0 ? w->s.max : 4096);
}

static inline void world_other_send(struct world *w, enum world_kind kind)
{
	if (kind == WORLD_ONLINE && w->fixed == 0 && !world_online_room(w))
		return;
	if (kind == WORLD_ONLINE) {
		for (unsigned i = 0; i < w->n_limits && w->fixed == 0; i++)
			limit_online_sent(w->limits[i], 1, w->now_us);
		w->online++;
	}
	world_send(w, &w->out, world_request_new(w, kind));
}

/* The request reaches an upstream that takes any number. */
static inline void world_arrive_any(struct world *w, struct world_request *r)
{
	r->answer = (struct limit_answer){ .prompt_tokens = r->prompt,
					   .output_tokens = r->tokens,
					   .body_bytes = (uint64_t)r->prompt * TOKEN_BYTES };
	world_send_later(w, &w->back, r, w->s.latency_us);
}

/* The request reaches the engine. */
static inline void world_arrive(struct world *w, struct world_request *r)
{
	static char text[1u << 18]; /* never read: no prompt is hashed without a cache */
	struct slice inputs[WORLD_INPUTS_MAX];
	bool embeddings = w->s.engine.pooling;
	struct sim_ask ask = { .inputs = inputs,
			       .n_inputs = r->n_inputs,
			       .n = r->n_seqs / r->n_inputs,
			       .max_tokens = r->tokens,
			       .lora = w->s.engine.loras > 0 ? r->lane + 1 : 0,
			       .embeddings = embeddings };
	struct sim_job *job;

	assert_true(r->n_inputs <= WORLD_INPUTS_MAX);
	for (unsigned i = 0; i < r->n_inputs; i++)
		inputs[i] = (struct slice){ text, (size_t)r->prompt * TOKEN_BYTES };
	enum sim_answer answer = sim_submit(&w->sim, &ask, r, (int64_t)w->now_us * 1000, &job);
	if (answer == SIM_TAKEN)
		return;
	r->refused = answer == SIM_FULL;
	r->lost = answer == SIM_DEAD;
	world_send(w, &w->back, r);
}

/* The answer reaches us. */
static inline void world_answered(struct world *w, struct world_request *r)
{
	struct limit *l = w->limits[r->lane];

	if (r->kind == WORLD_BATCH) {
		w->batch[r->lane]--;
		w->seqs -= r->n_seqs;
		w->lines += r->refused || r->lost ? 0 : 1;
		w->refused += r->refused ? 1 : 0;
		if (w->fixed == 0 && r->lost)
			limit_batch_gone(l, &r->mark, w->now_us);
		else if (w->fixed == 0 && r->refused)
			limit_batch_refused(l, &r->mark, w->now_us);
		else if (w->fixed == 0)
			limit_batch_answered(l, &r->mark, &r->answer, w->now_us);
	} else if (r->kind == WORLD_ONLINE) {
		w->online--;
		for (unsigned i = 0; i < w->n_limits && w->fixed == 0; i++)
			limit_online_gone(w->limits[i], 1, w->now_us);
	}
	free(r);
}

static inline bool world_has_lines(const struct world *w)
{
	uint64_t s = w->now_us / WORLD_S;

	return !w->sim.dead && s >= w->s.lines_from_s &&
	       !(s >= w->s.idle_from_s && s < w->s.idle_until_s);
}

/* Of the lanes of one limit (of all, where none is asked) the one with the least in flight. */
static inline unsigned world_lane_least(const struct world *w, unsigned limit)
{
	unsigned least = limit;

	for (unsigned i = 0; i < w->n_lanes; i++)
		if ((w->fixed > 0 || w->limits[i] == w->limits[limit]) &&
		    w->batch[i] < w->batch[least])
			least = i;
	return least;
}

static inline void world_fill(struct world *w)
{
	if (!world_has_lines(w))
		return;
	while (w->fixed > 0 && w->seqs < w->fixed)
		world_line_send(w, world_lane_least(w, 0));
	for (unsigned i = 0; i < w->n_limits && w->fixed == 0; i++) {
		struct limit *l = w->limits[i];

		limit_tick(l, w->now_us);
		while (limit_room(l) > 0)
			world_line_send(w, world_lane_least(w, i));
	}
}

/* ---- metrics ---- */

/* The question arrives: what is so now will be known in a while. */
static inline void world_text(struct world *w)
{
	AUTO(buf_free) struct buf text = BUF(WORLD_TEXT_MAX);
	const char *why;
	double low = w->s.metrics_ms_low, high = w->s.metrics_ms_high;
	double ms = low + (high - low) * world_part(w);

	metrics_write(&w->metrics, &w->sim, &text);
	assert_false(text.failed);
	w->has_gauges = !w->sim.dead &&
			gauges_read(buf_slice(&text), GAUGES_AUTO, &w->gauges, &why);
	w->text_us = WORLD_NEVER;
	w->gauges_us = w->now_us + WORLD_TRIP_US + (uint64_t)(ms * (double)WORLD_MS);
}

static inline void world_gauges(struct world *w)
{
	if (w->has_gauges)
		limit_gauges(w->limits[0], &w->gauges, w->asked_us, w->now_us);
	else
		limit_gauges_lost(w->limits[0], w->now_us);
	w->gauges_us = WORLD_NEVER;
	uint64_t every_us = WORLD_POLL_PART * (w->now_us - w->asked_us);
	w->poll_us = w->now_us + (every_us < WORLD_POLL_US        ? WORLD_POLL_US
				  : every_us > WORLD_POLL_MOST_US ? WORLD_POLL_MOST_US
								  : every_us);
}

/* ---- time ---- */

static inline void world_phase_start(struct world *w, unsigned at)
{
	const struct world_phase *p = &w->s.phases[at];

	w->online_us = world_after(w, p->online_per_s);
	w->direct_us = world_after(w, p->direct_per_s);
}

static inline const struct world_phase *world_phase_now(struct world *w)
{
	static const struct world_phase none;

	for (unsigned i = 0; i < ARRAY_LEN(w->s.phases) && w->s.phases[i].until_s > 0; i++) {
		if (w->now_us < w->s.phases[i].until_s * WORLD_S)
			return &w->s.phases[i];
	}
	return &none;
}

static inline void world_arrivals(struct world *w)
{
	const struct world_phase *p = world_phase_now(w);

	if (w->now_us >= w->online_us) {
		if (p->online_per_s > 0)
			world_other_send(w, WORLD_ONLINE);
		w->online_us = world_after(w, p->online_per_s);
	}
	if (w->now_us >= w->direct_us) {
		if (p->direct_per_s > 0)
			world_other_send(w, WORLD_DIRECT);
		w->direct_us = world_after(w, p->direct_per_s);
	}
}

/* What the scenario does at full seconds. */
static inline void world_second(struct world *w, unsigned s)
{
	int64_t now_ns = (int64_t)w->now_us * 1000;

	for (unsigned i = 0; i < ARRAY_LEN(w->s.phases); i++) {
		if (w->s.phases[i].until_s > 0 && s == (i > 0 ? w->s.phases[i - 1].until_s : 0))
			world_phase_start(w, i);
	}
	if (s == WORLD_STEADY_S) {
		w->steady = sim_stats(&w->sim, now_ns);
		w->steady_lines = w->lines;
	}
	if (s == 30) {
		w->waiting_most_early = w->sim.waiting_most;
		w->sim.waiting_most = 0;
	}
	if (s == w->s.late_s)
		w->n_ttft_early = w->n_ttft;
	if (s == w->s.lie_s)
		w->metrics.lie = w->s.lie;
	if (w->s.down_s > 0 && s == w->s.down_s)
		sim_kill(&w->sim, now_ns);
	if (w->s.down_s > 0 && s == w->s.down_until_s) {
		sim_revive(&w->sim, now_ns);
		for (unsigned i = 0; i < w->n_limits && w->fixed == 0; i++)
			limit_reopened(w->limits[i], w->now_us);
	}
	if (w->s.slots_s > 0 && s == w->s.slots_s)
		sim_slots(&w->sim, w->s.slots_then, now_ns);
	if (w->s.factor_s > 0 && s == w->s.factor_s)
		w->sim.answer_factor = w->s.factor_then;
}

static inline void world_tick(struct world *w)
{
	double limit = w->fixed;

	for (unsigned i = 0; i < w->n_limits && w->fixed == 0; i++)
		limit += limit_state(w->limits[i], w->now_us).limit;
	assert_true(w->n_ticks < WORLD_TICKS_MAX);
	w->limit[w->n_ticks] = (float)limit;
	if (w->n_ticks++ % 10 == 0)
		world_second(w, (unsigned)(w->now_us / WORLD_S));
	w->tick_us += WORLD_TICK_US;
}

static inline uint64_t world_least(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static inline uint64_t world_due(const struct world *w)
{
	uint64_t due = world_least(w->tick_us, w->engine_us);

	due = world_least(due, world_least(w->poll_us, w->text_us));
	due = world_least(due, world_least(w->gauges_us, w->online_us));
	due = world_least(due, world_least(w->direct_us, world_way_due(&w->out)));
	uint64_t back = world_way_due(&w->back);
	return world_least(due, back > w->free_us ? back : w->free_us); /* one at a time */
}

static inline void world_turn(struct world *w)
{
	struct world_request *r;

	if (w->now_us >= w->tick_us)
		world_tick(w);
	world_arrivals(w);
	while ((r = world_take(&w->out, w->now_us)) != NULL) {
		if (w->s.latency_us > 0)
			world_arrive_any(w, r);
		else
			world_arrive(w, r);
	}
	int64_t due_ns = sim_run(&w->sim, (int64_t)w->now_us * 1000);
	w->engine_us = due_ns == NEVER_NS ? WORLD_NEVER : (uint64_t)(due_ns + 999) / 1000;
	while (w->now_us >= w->free_us && (r = world_take(&w->back, w->now_us)) != NULL) {
		w->free_us = w->now_us + w->s.own_us;
		world_answered(w, r);
	}
	if (w->now_us >= w->text_us)
		world_text(w);
	if (w->now_us >= w->gauges_us)
		world_gauges(w);
	if (w->now_us >= w->poll_us) {
		w->poll_us = WORLD_NEVER;
		w->asked_us = w->now_us;
		w->text_us = w->now_us + WORLD_TRIP_US;
	}
	world_fill(w);
}

static inline void world_run(struct world *w, uint64_t until_us)
{
	while (w->now_us < until_us) {
		world_turn(w);
		uint64_t due = world_due(w);
		w->now_us = due > w->now_us ? due : w->now_us;
	}
}

/* ---- a world's beginning and end ---- */

/* `fixed`: sequences kept in the engine; 0: as the limit has it. */
static inline struct world *world_new(const struct scenario *s, unsigned fixed)
{
	const struct limit_config config = { .max = s->max > 0 ? s->max : 4096, .reserve = -1 };
	const char *shift = getenv("LIMIT_SHIFT"); /* other chances for all tests */
	struct world *w = calloc(1, sizeof(*w));

	assert_non_null(w);
	w->s = *s;
	w->fixed = fixed;
	w->chance = 0x9E3779B97F4A7C15 + (shift != NULL ? strtoul(shift, NULL, 10) << 8 : 0);
	w->n_lanes = s->lanes > 0 ? s->lanes : 1;
	assert_true(w->n_lanes <= WORLD_LANES_MAX);
	w->s.engine.loras = s->engine.max_loras > 0 ? w->n_lanes : 0;
	w->sim = (struct sim){ .options = w->s.engine,
			       .on_token = world_on_token,
			       .on_end = world_on_end,
			       .on_lost = world_on_lost };
	sim_init(&w->sim, 0);
	w->metrics = (struct metrics){ .names = s->names, .n_models = 1 + w->s.engine.loras };
	for (unsigned i = 0; i < w->metrics.n_models; i++)
		w->metrics.models[i] = "m";
	w->n_limits = s->no_metrics ? w->n_lanes : 1;
	for (unsigned i = 0; i < w->n_lanes; i++) {
		w->limits[i] = i < w->n_limits ? limit_new(&config, 0) : w->limits[0];
		assert_non_null(w->limits[i]);
	}
	w->poll_us = s->no_metrics || fixed > 0 ? WORLD_NEVER : WORLD_POLL_US;
	w->text_us = w->gauges_us = w->online_us = w->direct_us = w->engine_us = WORLD_NEVER;
	w->out.end = &w->out.first;
	w->back.end = &w->back.first;
	return w;
}

static inline void world_free(struct world *w)
{
	while (w->sim.jobs != NULL) {
		struct world_request *r = w->sim.jobs->owner;

		sim_cancel(&w->sim, w->sim.jobs, (int64_t)w->now_us * 1000);
		free(r);
	}
	world_way_free(&w->out);
	world_way_free(&w->back);
	for (unsigned i = 0; i < w->n_limits; i++)
		limit_free(w->limits[i]);
	sim_free(&w->sim);
	free(w);
}

/* ---- measures ---- */

/* How often a minute, after the first one, the limit left a tenth of what it was. */
static inline double world_changes(const struct world *w)
{
	const size_t from = 600;
	double at = w->n_ticks > from ? w->limit[from] : 0;
	unsigned n = 0;

	for (size_t i = from; i < w->n_ticks; i++) {
		if (fabs(w->limit[i] - at) <= fmax(0.1 * at, 0.01))
			continue;
		n++;
		at = w->limit[i];
	}
	return w->n_ticks > from ? n * 600.0 / (double)(w->n_ticks - from) : 0;
}

static inline int world_compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

/* Sorts. */
static inline double world_p99(double *ms, unsigned n)
{
	qsort(ms, n, sizeof(ms[0]), world_compare);
	return ms[(unsigned)(0.99 * (n - 1))];
}

/* Of what has been so far, once. Sorts `w->ttft_ms`. */
static inline struct world_result world_result(struct world *w)
{
	struct sim_stats s = sim_stats(&w->sim, (int64_t)w->now_us * 1000);
	double seconds = (double)w->now_us / (double)WORLD_S - WORLD_STEADY_S;
	double steps = fmax(1, (double)(s.steps - w->steady.steps));
	double work = w->s.engine.pooling ? (double)(s.sequences - w->steady.sequences)
					  : (double)(s.output_tokens - w->steady.output_tokens);
	bool late = w->now_us > 30 * WORLD_S;
	struct world_result r = {
		.occupancy = (s.running_s - w->steady.running_s) / (s.slot_s - w->steady.slot_s),
		.per_step = work / steps,
		.per_s = (double)(w->lines - w->steady_lines) / seconds,
		.waiting_early = late ? w->waiting_most_early : w->sim.waiting_most,
		.waiting_late = late ? w->sim.waiting_most : 0,
		.changes = world_changes(w),
		.limit = w->n_ticks > 0 ? w->limit[w->n_ticks - 1] : 0,
		.refused = w->refused,
	};

	if (w->n_ttft > w->n_ttft_early)
		r.p99_late = world_p99(w->ttft_ms + w->n_ttft_early, w->n_ttft - w->n_ttft_early);
	if (w->n_ttft > 0) {
		r.p99 = world_p99(w->ttft_ms, w->n_ttft);
		r.p50 = w->ttft_ms[w->n_ttft / 2];
	}
	return r;
}

/* Prints the course of the limit, where LIMIT_TRACE is set. */
static inline void world_explain(const struct world *w)
{
	if (getenv("LIMIT_TRACE") == NULL)
		return;
	printf("# %s, %u slots\n", w->s.name, w->s.engine.slots);
	for (size_t i = 0; i < w->n_ticks; i += i < 200 ? 10 : 50)
		printf("%3zu s limit %.1f\n", i / 10, (double)w->limit[i]);
}
