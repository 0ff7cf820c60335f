/* reopen.h: the limiter after a pause or an outage: a slow start at a part of the limit before, and
 * one more with every answer. Begins as reopen_init() leaves it. Private to limit/. Pure. */
#pragma once

#include <stdbool.h>

struct reopen {
	double cap; /* INFINITY: not in force */
};

void reopen_init(struct reopen *r);
/* Starts at `cap`. */
void reopen_begin(struct reopen *r, double cap);
/* An answer came, while `limit` is what the other limiters let through. */
void reopen_answered(struct reopen *r, double limit);
bool reopen_is_open(const struct reopen *r);
