/* traffic.h: what is in flight within one limit and how its answers come, counted; nothing is
 * decided here. All counts are in units: what a request is in the engine's gauges, its `n` times
 * its inputs. Begins as traffic_init() leaves it. Private to limit/. Pure. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define OWN_BUCKETS 64u
#define OWN_BUCKET_US UINT64_C(50000)

/* What of ours was in flight in one span of OWN_BUCKET_US. */
struct own_bucket {
	uint64_t at; /* number of the span; 0: none */
	unsigned low, high;
};

struct traffic {
	unsigned batch, online;   /* units */
	unsigned lines, requests; /* the same, each counted as one */
	uint64_t ended;           /* units of ours, ever */
	double others;            /* not ours, by the engine's metrics */
	double area; /* integral of units in flight, in unit-microseconds, until area_us */
	uint64_t area_us;
	uint64_t online_us;      /* an online request, or others, were last seen; NEVER: none was */
	uint64_t online_sent_us; /* the last online request of ours; NEVER: none was */
	double rate, rate_most;  /* online units a microsecond, a moving mean; its most lately */
	uint64_t rate_most_us;
	double allowed; /* batch units in flight, at the last tick */
	bool full;      /* nearly all that was allowed was taken in the life of the last answer */
	double latency_us; /* of a request, averaged in ln; 0: there is no answer yet */
	double line_units; /* of a line, averaged; 0: not known */
	double steps;      /* output tokens of a unit, averaged: the engine's steps; 0: not known */
	struct own_bucket own[OWN_BUCKETS]; /* a ring */
};

void traffic_init(struct traffic *t, uint64_t now_us);
/* Accounts for what was in flight until now; before anything changes that. */
void traffic_advance(struct traffic *t, uint64_t now_us);
double traffic_in_flight(const struct traffic *t);
/* The least and the most of ours that was in flight from `from_us` until now, up to 3 s back. */
void traffic_own(const struct traffic *t, uint64_t from_us, double *ret_low, double *ret_high);
/* Changes what is in flight, after traffic_advance(). */
void traffic_batch_sent(struct traffic *t, unsigned units);
/* So many were in flight already: nothing is learnt of how they come. */
void traffic_join(struct traffic *t, unsigned lines, unsigned units);
void traffic_online_join(struct traffic *t, unsigned requests, unsigned units, uint64_t now_us);
void traffic_batch_gone(struct traffic *t, unsigned units);
void traffic_online_sent(struct traffic *t, unsigned units, uint64_t now_us);
void traffic_online_gone(struct traffic *t, unsigned units, uint64_t now_us);
void traffic_others(struct traffic *t, double others, uint64_t now_us);
/* Sets how many slots there are for batch lines. */
void traffic_allow(struct traffic *t, double slots);
/* Forgets what was seen of others: there were none. */
void traffic_others_forget(struct traffic *t, uint64_t now_us);
/* A line of `units` that was sent at `sent_us`, when the area was `area`, is answered, with so many
 * tokens of output (0: not known). Returns how many units were in flight in its life on average, at
 * least 1. */
double traffic_answered(struct traffic *t, unsigned units, uint64_t sent_us, double area,
			uint64_t output_tokens, uint64_t now_us);
/* Whether online requests, or others, are there or were in the last ten minutes. */
bool traffic_online_lately(const struct traffic *t, uint64_t now_us);
