/* reopen.h: the limiter after a pause or an outage: a slow start at a part of the limit before, one
 * more with every answer, and twice as many after each few seconds without a further pause (lines
 * may run for minutes). Begins as reopen_init() leaves it. Private to limit/. Pure. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct reopen {
	double cap;        /* INFINITY: not in force */
	uint64_t since_us; /* from when on there were requests in flight with this cap */
};

void reopen_init(struct reopen *r);
/* Starts at `cap`. */
void reopen_begin(struct reopen *r, double cap, uint64_t now_us);
/* Time has passed, with or without requests `in_flight`, while `limit` is what the other limiters
 * let through. */
void reopen_tick(struct reopen *r, double limit, bool in_flight, uint64_t now_us);
/* An answer came, while `limit` is what the other limiters let through. */
void reopen_answered(struct reopen *r, double limit);
bool reopen_is_open(const struct reopen *r);
