/* throttle.h: what a server's refusals ask for (contract 8.3: 429, 503 of a busy server, and other
 * ways to say "too many"): a pause, and a rate that the server can take.
 *
 * A refusal that says how long to wait pauses the upstream that long. Another refusal pauses the
 * upstream for a second, then one request is let through; while that is refused, too, the pause is
 * 2, 4, 8 … 60 s. Where other requests were running at the refusal, the server may only have been
 * full: then the pause ends as soon as one of them is answered well, and from then on, until there
 * was no refusal for THROTTLE_STEPS_MS, each good answer lets one request through, and each second
 * one more: a place was free, and not for all that had been refused.
 *
 * An account with a limit of requests a minute refuses everything once they are spent, for the rest
 * of its minute, without saying what the limit is. So a pause that had to last for RATE_PAUSE_MS is
 * taken for such a limit: as many requests as were taken in the minute before it, over the time
 * from the first of them until one is taken again, are the rate from then on. The rate doubles in
 * each minute without a refusal, and is forgotten when it has risen to more than is sent. (No rate
 * follows where nothing had been taken before, or where the server says only that it is busy.)
 *
 * Begins as { 0 }. Pure; times are given in. Threads: dispatch alone. */
#pragma once

#include "upstream/rate_limit.h"

#define THROTTLE_WAIT_MOST_MS 60000 /* whatever the upstream says */
#define THROTTLE_FIRST_MS 1000u
#define THROTTLE_RATE_PAUSE_MS 5000u
#define THROTTLE_TAKEN_MS 2000u
#define THROTTLE_STEPS_MS 5000u
#define THROTTLE_STEP_MS 1000u
#define THROTTLE_MORE_MS 20u /* our clock cuts off fractions: rather late than a moment too early */

struct throttle {
	uint64_t closed_until_ms;
	uint64_t since_ms;  /* of the first refusal in a row; 0: requests are taken */
	uint64_t delay_ms;  /* the last pause that the server did not ask for */
	uint64_t single_ms; /* when the one request after a pause was sent; 0: none is in flight */
	bool told;          /* the server said how long */
	bool of_rate;       /* the status said "too many" */
	bool full;          /* others were running at the refusal */
	uint64_t steps_until_ms; /* until then requests go one by one */
	uint64_t step_more_ms;   /* when one may go without an answer */
	unsigned steps;          /* that may go */
	unsigned taken_before;   /* requests that it took in the minute before the first refusal */
	uint64_t taken_from_ms;  /* when the first of these was */
	uint32_t taken[60];      /* by second, modulo */
	uint64_t taken_s;
	uint64_t rate; /* learnt, a minute; 0: none */
	uint64_t rate_at_ms;
	struct rate_limit rate_limit; /* keeps to the rate */
};

/* A request was refused. */
struct throttle_sign {
	uint64_t sent_ms;
	int64_t wait_ms; /* <= 0: the server does not say for how long */
	unsigned others; /* requests that are still in flight */
	bool rate;       /* too many a minute: 429; else busy */
};
void throttle_refused(struct throttle *t, const struct throttle_sign *s, uint64_t now_ms);
/* A request was taken: answered well, or refused for its content. */
void throttle_taken(struct throttle *t, uint64_t sent_ms, uint64_t now_ms);
/* A request is sent. */
void throttle_sent(struct throttle *t, uint64_t now_ms);
/* A request ended in a way that says nothing about the throttle (a broken connection, a cancel). */
void throttle_gone(struct throttle *t, uint64_t sent_ms);
/* Moves what time alone moves: the one request after a pause counts as taken when it is not refused
 * within THROTTLE_TAKEN_MS. To be called before throttle_due_ms(), and at the latest at the time
 * which that gave. */
void throttle_tick(struct throttle *t, uint64_t now_ms);
/* When a request may be sent: <= now_ms: at once. While the one request after a pause is in flight,
 * others wait for THROTTLE_TAKEN_MS: a server that refuses does so at once. */
uint64_t throttle_due_ms(const struct throttle *t, uint64_t now_ms);
/* The server has refused, and taken nothing since. */
bool throttle_pauses(const struct throttle *t);
/* Whether the request of that time is the one that finds out if a pause is over. */
bool throttle_finds_out(const struct throttle *t, uint64_t sent_ms);
/* It pauses because the server was full, and has others of ours: the next good answer ends the
 * pause. */
bool throttle_is_full(const struct throttle *t);
/* An outage is over: pauses from before it no longer hold. */
void throttle_forget(struct throttle *t);
