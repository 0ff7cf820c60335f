/* rings.h: sums over the last hour and the last day, by organization, in fixed memory.
 *
 * Time goes in ticks of TICK_S. A ring has a place for each step of its span; the newest step may lack
 * ticks yet, and its rates are those of the ticks that it has:
 *
 *	hour   360 steps of one tick     10 s
 *	day    288 steps of 30 ticks      5 min
 *
 * Ticks have no wall-clock time: a clock that is set moves nothing. What nobody saw (the server was not
 * running) are ticks as well, which count as unknown.
 *
 * RINGS_ORGS organizations have rings, 10 KiB each, and all of them together have one: another takes
 * the place of the one that was idle longest, unless none was for a tick: where more than that many
 * are busy at once, the first stay, and the others count in that of all alone. Pure; guarded by its
 * owner. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/id.h"

#define TICK_S 10u
#define HOUR_STEPS 360u
#define DAY_STEPS 288u
#define DAY_TICKS 30u /* of a step */
#define RINGS_TICKS ((uint64_t)DAY_STEPS * DAY_TICKS)
#define RINGS_ORGS 64u

enum rings_span { RINGS_HOUR, RINGS_DAY };

/* What happened in some ticks; a sum that does not fit stays at its most. */
struct sums {
	uint32_t lines, tokens;
	uint32_t first_ms, firsts; /* times to a first token, and how many they are */
};

void sums_add(struct sums *to, const struct sums *more);

struct org_rings {
	char org[ID_SIZE]; /* "": all */
	uint64_t since;    /* before this tick nothing is known of it */
	uint64_t active;   /* the last tick in which it did anything */
	struct sums hour[HOUR_STEPS], day[DAY_STEPS];
};

struct rings {
	uint64_t ticks;    /* that have ended */
	uint64_t replaced; /* times that one lost its place, or another got none; 0: all are here */
	uint8_t hour_known[HOUR_STEPS], day_known[DAY_STEPS]; /* ticks of the step that were seen */
	uint64_t busy_until; /* before this tick none of them is idle: no other gets a place */
	unsigned count;
	struct org_rings *orgs[1 + RINGS_ORGS]; /* the first is of all */
	uint32_t hashes[1 + RINGS_ORGS];        /* of their names: id_hash() */
	struct sums now[1 + RINGS_ORGS];        /* in the tick that has not ended */
};

/* Empty. False: no memory. */
bool rings_init(struct rings *r);
void rings_done(struct rings *r);
/* Counted in the organization's rings, made if there are none, and in that of all; false: in that of
 * all alone, for want of a place or of memory. */
bool rings_add(struct rings *r, const char *org, const struct sums *more);
/* So many ticks end, and share what was added. */
void rings_tick(struct rings *r, uint64_t ticks);
/* So many ticks passed unseen, and with them what had been added in the one before. */
void rings_gap(struct rings *r, uint64_t ticks);

/* A step; NAN: not known, or of `first_ms` that there was none. */
struct rings_rate {
	double lines_per_s, tokens_per_s, first_ms;
};
unsigned rings_steps(enum rings_span span);
/* Steps by age, the oldest first; `org` NULL: all. Returns how many ticks the newest has. */
unsigned rings_read(const struct rings *r, const char *org, enum rings_span span,
		    struct rings_rate *to);
