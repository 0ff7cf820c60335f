/* health.h: whether an upstream takes requests: its breaker, and the pauses it asks for.
 *
 *	        cannot be reached, or many lines in a row
 *	        that speak against it
 *	UP ------------------------------------------------------> DOWN: one probe at a time, after 0.1,
 *	 ^                                                           |   0.2, 0.4, 0.8, then every 1 s
 *	 +------- an answer to what was sent while it was down ------+
 *
 * While it is down, and while it asks for a pause (429 or 503 with Retry-After), no batch line is sent
 * but probes. Requests that were on their way when it went down tell nothing more: neither do hundreds
 * that break together put the next probe off, nor does a late answer open it to all lines. A probe is
 * any request sent since a probe was due, an online one too.
 * The delay is counted from a probe's end: whoever sends probes gives them a short time to connect.
 *
 * Begins as { 0 }: up. Pure; times are given in. Threads: dispatch alone, but `stall` may be read by
 * any. */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define RETRY_AFTER_MAX_S 60 /* whatever the upstream says */
#define PAUSE_MORE_MS 20u    /* our clock cuts off fractions: rather late than a moment too early */
/* Lines in a row whose first attempt speaks against the upstream: then it counts as down. Other lines'
 * retries do not count: one bad line is no sign. Connections that break, and lines that are not
 * answered in time, say less than a gateway's 502: lines may be of a kind that ends the engine. */
#define FAULTS_MAX 20u
#define BREAKS_MAX 100u

enum health_stall { HEALTH_FLOWS, HEALTH_STALL_429, HEALTH_STALL_DOWN };

struct health {
	unsigned faults; /* in a row, in parts of 1 / BREAKS_MAX */
	bool down;
	uint64_t probe_at_ms, probe_delay_ms;
	uint64_t closed_until_ms;
	uint64_t down_since_ms, trips; /* trips: how often it went down */
	_Atomic int stall;             /* enum health_stall */
};

enum health_sign {
	HEALTH_ANSWERED,    /* an answer that speaks for it: any that is none of the others */
	HEALTH_REFUSED,     /* 429, or 503 with Retry-After: it lives, and wants a pause */
	HEALTH_SUSPECT,     /* 502, 503, 504 */
	HEALTH_BROKEN,      /* the connection broke, or nothing came in time */
	HEALTH_UNREACHABLE, /* no connection: it is down */
};

enum health_change { HEALTH_NO_CHANGE, HEALTH_WENT_DOWN, HEALTH_CAME_BACK };

/* What the end of an attempt says that was sent at `sent_ms`. `first_attempt` of its line;
 * `retry_after_s` <= 0: none (a lie such as a negative one is none, a year is RETRY_AFTER_MAX_S).
 * *ret_spared: the line is not to blame, the attempt costs it nothing. A probe that broke its connection
 * may be: else lines that end the engine would be tried for ever. */
enum health_change health_learn(struct health *h, enum health_sign sign, bool first_attempt,
				uint64_t sent_ms, int64_t retry_after_s, uint64_t now_ms,
				bool *ret_spared);
/* UINT64_MAX: not before something is learnt; <= now_ms: a line may be sent now; else: then.
 * `probes`: lines that are out and were sent as probes: one is enough. *ret_probe: the line that may
 * be sent (now or then) is one. */
uint64_t health_due_ms(const struct health *h, unsigned probes, uint64_t now_ms, bool *ret_probe);
