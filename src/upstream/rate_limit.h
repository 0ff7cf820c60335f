/* rate_limit.h: limits on requests and on tokens a minute; they hold in any 60 seconds.
 *
 * A window remembers what was sent, by tenths of a second: a batch line goes out only if it fits
 * into the limits together with all of that, online requests included. The window is a little
 * longer than a minute, because requests arrive at other intervals than they were sent; but not so
 * much longer that a limit of 120 would let less than 119 through.
 *
 * The window alone would let a minute's worth go in a burst. So there are two buckets that refill
 * evenly, and hold a quarter of a second's worth (two requests at least, so that a line that goes
 * out some milliseconds late is made up for). Online requests are charged too and may overdraw:
 * batch lines then wait. Begins as { 0 }: no limit. Pure; times are given in. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define RATE_LIMIT_TENTH_MS 100u
/* Any 60 s are in it, whatever the place in a tenth, and 0.3 s for what is late on its way. */
#define RATE_LIMIT_TENTHS 604u

struct rate_limit_bucket {
	double limit;                   /* a minute; 0: none */
	double per_ms;                  /* refill */
	double most;                    /* what it holds */
	double level;                   /* in the bucket; < 0: overdrawn */
	double used[RATE_LIMIT_TENTHS]; /* by tenth of a second, modulo */
	double in_window;               /* sum of `used` */
};

struct rate_limit {
	struct rate_limit_bucket requests, tokens;
	uint64_t at_ms;
};

/* 0: no limit. After a reload too: what was used stays used. */
void rate_limit_configure(struct rate_limit *p, uint64_t requests_per_minute,
			  uint64_t tokens_per_minute, uint64_t now_ms);
/* When the next batch line, which is expected to take `tokens`, may be sent: at once (<= now_ms),
 * or not before the time given: then ask again. A line of more tokens than the limit goes alone in
 * its minute. */
uint64_t rate_limit_due_ms(const struct rate_limit *p, uint64_t tokens, uint64_t now_ms);
/* A request is sent that is expected to take `tokens`. */
void rate_limit_take(struct rate_limit *p, uint64_t tokens, uint64_t now_ms);
/* The request that was sent at `taken_ms` took more tokens than expected (> 0), or fewer. */
void rate_limit_settle(struct rate_limit *p, int64_t tokens_more, uint64_t taken_ms,
		       uint64_t now_ms);
