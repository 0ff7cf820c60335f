/* traffic.h: what is in flight through one lane and how its answers come, counted; nothing is
 * decided here. Begins as traffic_init() leaves it. Private to limit/. Pure. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct traffic {
	unsigned batch, online;
	double others; /* not ours, by the engine's metrics */
	double area;   /* integral of requests in flight, in request-microseconds, until area_us */
	uint64_t area_us;
	uint64_t online_us; /* an online request, or others, were last seen; NEVER: none was */
	unsigned held;      /* answered and not durable, at the last tick */
	double allowed;     /* batch lines in flight and held, at the last tick */
	bool full; /* nearly all that was allowed was taken in the life of the last answer */
	double latency_us; /* of a request, averaged in ln; 0: there is no answer yet */
	uint64_t answered_us;
	double gap_us; /* between answers, averaged */
};

void traffic_init(struct traffic *t, uint64_t now_us);
/* Accounts for what was in flight until now; before anything changes that. */
void traffic_advance(struct traffic *t, uint64_t now_us);
double traffic_in_flight(const struct traffic *t);
/* Changes what is in flight, after traffic_advance(). */
void traffic_batch_sent(struct traffic *t);
void traffic_batch_gone(struct traffic *t);
void traffic_online_sent(struct traffic *t, uint64_t now_us);
void traffic_online_gone(struct traffic *t, uint64_t now_us);
void traffic_others(struct traffic *t, double others, uint64_t now_us);
/* Sets how many slots there are for batch lines; `held` of them are taken by lines that are
 * answered and not durable. */
void traffic_allow(struct traffic *t, double slots, unsigned held);
/* Forgets what was seen of others: there were none. */
void traffic_others_forget(struct traffic *t, uint64_t now_us);
/* A line that was sent at `sent_us`, when the area was `area`, is answered. Returns how many were
 * in flight in its life on average, at least 1. */
double traffic_answered(struct traffic *t, uint64_t sent_us, double area, uint64_t now_us);
/* Whether online requests, or others, are there or were in the last ten minutes. */
bool traffic_online_lately(const struct traffic *t, uint64_t now_us);
