/* throttle.h: what a server's refusals ask for (contract 8.3: 429, 503 of one that is busy, and
 * what else says "too many"): a pause, and a rate that it can take.
 *
 * A refusal that says how long to wait pauses the upstream that long. One that does not pauses it
 * for a second, then lets one request through; while that is refused, too, the pause is 2, 4, 8 …
 * 60 s. Where other requests were running when it refused, it may only have been full: then the
 * pause ends as soon as one of them is answered well.
 *
 * An account of so many requests a minute refuses everything once they are spent, for as long as
 * its minute lasts, without a word of how many they were. So a pause that had to last for
 * RATE_PAUSE_MS is taken for that: as many requests as were taken in the minute before it, over the
 * time from the first of them until one is taken again, are the rate from then on. The rate doubles
 * in each minute without a refusal, and is forgotten when it has risen to more than is sent. (Where
 * nothing had been taken before it is no rate, and so is what a server says that is only busy.)
 *
 * Begins as { 0 }. Pure; times are given in. Threads: dispatch alone. */
#pragma once

#include "upstream/rate_limit.h"

#define THROTTLE_WAIT_MOST_MS 60000 /* whatever the upstream says */
#define THROTTLE_FIRST_MS 1000u
#define THROTTLE_RATE_PAUSE_MS 5000u
#define THROTTLE_TAKEN_MS 2000u
#define THROTTLE_MORE_MS 20u /* our clock cuts off fractions: rather late than a moment too early */

struct throttle {
	uint64_t closed_until_ms;
	uint64_t since_ms;  /* of the first refusal in a row; 0: it takes requests */
	uint64_t delay_ms;  /* the last pause that it did not ask for itself */
	uint64_t single_ms; /* when the one request that finds out was sent; 0: none is under way */
	bool told;          /* it said itself how long */
	bool of_rate;       /* by a status that says so */
	bool full;          /* others were running there when it refused */
	unsigned taken_before;  /* requests that it took in the minute before the first refusal */
	uint64_t taken_from_ms; /* when the first of these was */
	uint32_t taken[60];     /* by second, modulo */
	uint64_t taken_s;
	uint64_t rate; /* learnt, a minute; 0: none */
	uint64_t rate_at_ms;
	struct rate_limit rate_limit; /* keeps to the rate */
};

/* A request was refused. */
struct throttle_sign {
	uint64_t sent_ms;
	int64_t wait_ms; /* <= 0: it does not say for how long */
	unsigned others; /* requests that are still in flight there */
	bool rate;       /* too many a minute: 429; else it is busy */
};
void throttle_refused(struct throttle *t, const struct throttle_sign *s, uint64_t now_ms);
/* One was taken: answered well, or refused for its content. */
void throttle_taken(struct throttle *t, uint64_t sent_ms, uint64_t now_ms);
/* One is sent. */
void throttle_sent(struct throttle *t, uint64_t now_ms);
/* One that was sent ended in a way that says nothing of it (a broken connection, a cancel). */
void throttle_gone(struct throttle *t, uint64_t sent_ms);
/* Time has passed: the request that finds out, not refused for THROTTLE_TAKEN_MS, was taken. Before
 * throttle_due_ms(), and at the latest when that said. */
void throttle_tick(struct throttle *t, uint64_t now_ms);
/* When a request may be sent: <= now_ms: at once. While the one that finds out is under way others
 * wait for THROTTLE_TAKEN_MS: a server that refuses does so at once. */
uint64_t throttle_due_ms(const struct throttle *t, uint64_t now_ms);
/* It has refused, and taken nothing since. */
bool throttle_pauses(const struct throttle *t);
/* An outage is over: its pauses are. */
void throttle_forget(struct throttle *t);
