/* limit_impl.h: what limit.c (composes the limiters), state.c (tells of it) and room.c (finds what
 * is left for lines) share. Each limiter's struct is written by its own .c file alone; these three
 * read it. */
#pragma once

#include "limit/backoff.h"
#include "limit/curve.h"
#include "limit/engine.h"
#include "limit/first.h"
#include "limit/limit.h"
#include "limit/reopen.h"
#include "limit/samples.h"
#include "limit/search.h"
#include "limit/traffic.h"
#include "limit/yield.h"

struct limit {
	struct limit_config config;
	struct traffic traffic;
	struct curve curve;
	struct mix mix;
	struct search search;
	struct backoff backoff;
	struct yield yield;
	struct engine engine;
	struct reopen reopen;
	struct first first;
	double late_cap; /* the slots that there are, by online answers that were late; 0: none was */
	bool unqueued, busy; /* limit_unqueued(), limit_busy() */
	uint64_t shared_us;  /* what was sent before was not sent by this limit */
	double pace;         /* room.c: units that may be sent at once, at pace_us */
	uint64_t pace_us;
};

/* ---- room.c ---- */

/* Units of config.max requests. */
double limit_most(const struct limit *l);
/* The least of all caps but that of a slow start. */
double limit_in_force(const struct limit *l);
/* Slots kept free for online requests. */
unsigned limit_reserve(const struct limit *l, uint64_t now_us);
/* Slots for batch lines, those that are taken included; < 0: online requests have more than there
 * are. What is due by time alone is as of the last event. */
double limit_batch_slots(const struct limit *l);
/* A line takes some of those that may be sent at once; time gives some. */
void limit_pace_take(struct limit *l, unsigned units);
void limit_pace_refill(struct limit *l, uint64_t now_us);
