/* lane.h: one model on one upstream: its concurrency limit, its circuit breaker, its slots. And
 * what is of all lanes of an upstream: once an upstream shows metrics its lanes have one limit, for
 * then it is one engine, under whatever names; until the configuration says that it has none.
 *
 *	upstream A --- lane --- model m1 --- schedule --- batches
 *	           \-- lane --- model m2 ---    ...
 *	upstream B --- lane ---/
 *
 * Threads: dispatch alone. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "limit/limit.h"
#include "upstream/circuit.h"
#include "upstream/slots.h"

#define DECISIONS_MAX 16u /* about a lane's limit, kept for the console */

struct model;
struct upstream;

struct decision {
	int64_t at; /* Unix s */
	struct limit_state state;
};

/* What a lane takes in this turn of the loop, see offer.h. */
struct lane_offer {
	unsigned lines;   /* that may be sent now */
	uint64_t due_ms;  /* 0 lines: when to look again; UINT64_MAX: when anything happens */
	bool probe;       /* the line finds out whether there is an answer again */
	uint64_t made_ms; /* when the offer was worked out */
};

struct lane {
	struct lane *next_of_upstream, *next_of_model;
	struct upstream *upstream;
	struct model *model;
	bool closed;            /* the upstream no longer serves it */
	struct limit *limit;    /* its own, or that of all lanes: target.h */
	struct circuit circuit; /* whether it answers for this model */
	unsigned probe_turn;    /* what the next probe is, see fill.c */
	bool gate_shut;         /* its own: see lane_is_shut() */
	uint64_t sent_ms;       /* when the last line was */
	struct lane_offer offer;
	struct slots slots;
	struct decision decisions[DECISIONS_MAX];
	unsigned decision_count; /* since the start */
};

/* False: no memory. */
MUST_USE bool lane_open(struct model *m, struct upstream *u);
/* It is idle. */
void lane_free(struct lane *lane);
struct lane *lane_find(const struct model *m, const struct upstream *u);
/* No line is in flight on it, and all that it answered are durable. */
bool lane_is_idle(const struct lane *lane);
/* A lane or its upstream is open: nothing but probes. */
bool lane_open_circuit(const struct lane *lane);
/* Slots that lines have on the lane, in use or free. */
unsigned lane_slots(const struct lane *lane);
/* The last decision about its limit; NULL: there is none yet. */
const struct limit_state *lane_decided(const struct lane *lane);

/* ---- the gate of a limit ----
 *
 * It is shut by an outage or a pause; the next line that is no probe opens it, and the limit begins
 * slowly then (limit_reopened()). Where lanes share a limit they have one gate; what shuts one
 * model alone is no matter while lines of others are in flight. */

bool lane_is_shut(const struct lane *lane);
/* The model alone was down. */
void lane_shut(struct lane *lane);
/* A line that is no probe is about to be sent. */
void lane_reopen(struct lane *lane, uint64_t now_us);
/* The upstream was down, or asks for a pause. */
void lanes_shut(struct upstream *u);

/* ---- all lanes of an upstream ---- */

/* This node drives it from now on: what it was, and what was learnt of it, may be long ago. */
void lanes_taken(struct upstream *u, uint64_t now_ms);
/* It has a new configuration. */
void lanes_configure(struct upstream *u, uint64_t now_us);
/* An online request of so many units: +1: sent, -1: gone. */
void lanes_online(struct upstream *u, int more, unsigned units);
/* What is in flight is counted alike on the upstream, on its lanes, and by their limits. */
void lanes_check(const struct upstream *u);

/* What the polls find out, and are for: see poll_ops (watch.h). */
bool lanes_busy(const struct upstream *u);
uint64_t lanes_ailing_since_ms(const struct upstream *u);
void lanes_gauges(struct upstream *u, uint64_t now_us);
void lanes_healthy(struct upstream *u, bool good, uint64_t now_ms);
