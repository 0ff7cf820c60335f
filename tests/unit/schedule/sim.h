/* sim.h: a model server in virtual time: batches that are made up, slots, lines that take as
 * long as they are told to. No sockets, no clock, no sleeping; what is random comes from a seed. */
#pragma once

#include "unit.h"

#include <assert.h>
#include <math.h>

#include "random.h"
#include "schedule/schedule.h"

/* ---- batches ---- */

struct fake {
	struct schedule_batch b;
	uint64_t lines, segment_at, looks;
	double line_ms; /* that a line takes */
	uint32_t body_bytes;
	uint64_t tokens; /* that a line really takes */
	bool look_fails;
	uint32_t *prefix; /* of each line, from 1; 0: none. NULL: none has */
	uint8_t *taken;   /* times that each line was given; NULL: not counted */
	uint8_t *done;    /* lines that had ended before; NULL: none */
	bool later;       /* for the moment no segment can be lent */
	uint64_t given, ended;
	double ended_ms; /* when its last line did */
};

static inline bool fake_segment_next(void *batch, struct segment_cursor *ret)
{
	struct fake *f = batch;
	uint64_t first = f->segment_at * SEGMENT_LINES;
	ret->later = f->later;
	if (f->later || first >= f->lines)
		return false;
	uint64_t rest = f->lines - first;
	*ret = (struct segment_cursor){ .segment = f->segment_at++,
					.first = first,
					.lines = rest < SEGMENT_LINES ? (uint32_t)rest
								      : SEGMENT_LINES };
	for (uint32_t i = 0; f->done != NULL && i < ret->lines; i++)
		if (f->done[first + i])
			bit_set(ret->done, i);
	return true;
}

/* Lines of a prefix agree at the first three levels; those whose numbers agree but for the last two
 * bits, at the first one. */
static inline bool fake_look(void *batch, uint64_t record, struct line_look *ret)
{
	struct fake *f = batch;
	f->looks++;
	if (f->look_fails)
		return false;
	*ret = (struct line_look){ .body_bytes = f->body_bytes };
	uint32_t p = f->prefix != NULL ? f->prefix[record] : 0;
	if (p == 0)
		return true;
	ret->prefix.hash[0] = sim_hash(p / 4 + 1000);
	ret->prefix.hash[1] = sim_hash(p + 5000);
	ret->prefix.hash[2] = sim_hash(p + 9000);
	ret->prefix.hash[3] = sim_hash((uint32_t)record + 100000);
	return true;
}

static const struct schedule_ops fake_ops = { fake_segment_next, fake_look };

static inline struct fake *fake_new(const char *org, uint64_t lines)
{
	struct fake *f = calloc(1, sizeof(*f));
	assert_non_null(f);
	f->lines = lines;
	f->body_bytes = 400;
	f->tokens = 200;
	f->line_ms = 1000;
	f->b.batch = f;
	snprintf(f->b.org, sizeof(f->b.org), "%s", org);
	f->b.org_weight = 1;
	f->b.expires_at = 7 * 86400;
	f->b.rest_lines = lines;
	f->b.rest_bytes = lines * 400;
	return f;
}

static inline void fake_free(struct fake *f)
{
	free(f->prefix);
	free(f->taken);
	free(f->done);
	free(f);
}

static inline struct fake *fake_of(const struct schedule_line *l)
{
	assert(l->batch != NULL);
	return l->batch->batch;
}

/* ---- the server ---- */

/* Each slot with a cache of its own. */
static inline const struct schedule_lane *fake_lane(unsigned number)
{
	static struct schedule_lane lane;
	lane = (struct schedule_lane){ .number = number,
				       .slots = 1,
				       .cache = SCHEDULE_CACHE_OF_SLOTS,
				       .prefixes = SCHEDULE_PREFIXES_ANY };
	return &lane;
}

#define SIM_SLOTS_MAX 1024u

struct sim_slot {
	double end_ms; /* INFINITY: free */
	unsigned lane;
	struct schedule_line line;
};

struct sim {
	struct schedule *schedule;
	double now_ms, forecast_ms, forecast_each_ms;
	unsigned slots, lanes, busy; /* slots are dealt out to the lanes */
	struct sim_slot slot[SIM_SLOTS_MAX];
	struct schedule_lane lane[LANES_MAX];
	bool spread; /* a line takes half to one and a half of its time */
	/* a line is about to be sent; what it takes, by what is in the cache */
	double (*sent)(struct sim *sim, const struct sim_slot *slot);
	void (*answered)(struct sim *sim, const struct sim_slot *slot);
	void *ctx;
};

static inline void sim_open(struct sim *sim, unsigned slots, unsigned lanes)
{
	*sim = (struct sim){ .slots = slots, .lanes = lanes, .forecast_each_ms = 1000 };
	sim->schedule = schedule_open(&fake_ops);
	assert_non_null(sim->schedule);
	for (unsigned i = 0; i < slots; i++) {
		sim->slot[i].lane = i % lanes;
		sim->slot[i].end_ms = INFINITY;
	}
	for (unsigned i = 0; i < lanes; i++) {
		sim->lane[i] = *fake_lane(i);
		sim->lane[i].slots = slots / lanes;
	}
}

static inline void sim_forecast(struct sim *sim)
{
	schedule_forecast(sim->schedule, sim->slots, (int64_t)(sim->now_ms / 1000));
	sim->forecast_ms = sim->now_ms + sim->forecast_each_ms;
}

static inline void sim_fill(struct sim *sim)
{
	for (unsigned i = 0; i < sim->slots; i++) {
		struct sim_slot *slot = &sim->slot[i];
		if (slot->end_ms < INFINITY)
			continue;
		if (!schedule_next(sim->schedule, &sim->lane[slot->lane],
				   (int64_t)(sim->now_ms / 1000), &slot->line))
			return;
		struct fake *f = fake_of(&slot->line);
		f->given++;
		if (f->taken != NULL)
			assert_int_equal(++f->taken[slot->line.record], 1);
		double took = sim->sent != NULL ? sim->sent(sim, slot) : f->line_ms;
		slot->end_ms = sim->now_ms + took * (sim->spread ? 0.5 + sim_random_unit() : 1);
		sim->busy++;
	}
}

/* Sends what can be sent, and goes on to the next answer; false: nothing is in flight. */
static inline bool sim_step(struct sim *sim)
{
	struct sim_slot *next = &sim->slot[0];
	if (sim->now_ms >= sim->forecast_ms)
		sim_forecast(sim);
	sim_fill(sim);
	if (sim->busy == 0)
		return false;
	for (unsigned i = 1; i < sim->slots; i++)
		if (sim->slot[i].end_ms < next->end_ms)
			next = &sim->slot[i];
	struct fake *f = fake_of(&next->line);
	sim->now_ms = next->end_ms;
	if (sim->answered != NULL)
		sim->answered(sim, next);
	next->end_ms = INFINITY;
	sim->busy--;
	f->ended++;
	f->ended_ms = sim->now_ms;
	schedule_ended(sim->schedule, &next->line, f->line_ms, f->tokens);
	return true;
}

static inline void sim_close(struct sim *sim, struct fake **batches, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		schedule_remove(sim->schedule, &batches[i]->b);
		fake_free(batches[i]);
	}
	schedule_close(sim->schedule);
}
