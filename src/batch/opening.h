/* opening.h: when lines of a batch may be sent: from a time on (`not_before`), at hours of the day
 * (`hours`), or both (contract 11.1). By the clocks of a zone: where these are put forward or back, the
 * hours are shorter or longer by that.
 *
 * A plain value; pure but for the zone's rules (base/zone.h). Any thread. */
#pragma once

#include <stdint.h>

#include "base/attr.h"
#include "base/error.h"
#include "batch/options.h"

struct zone;

#define OPENING_NEVER INT64_MAX

struct opening {
	int64_t not_before; /* Unix s; 0: from the beginning */
	bool has_hours;     /* else at any hour */
	struct batch_hours hours;
	const struct zone *zone; /* of the hours; NULL: the server's */
};

/* Of the options. False: the zone cannot be read; *ret_known false: there is no such zone. */
MUST_USE bool opening_read(const struct batch_options *o, struct opening *ret, bool *ret_known,
			   struct error *err);
/* Whether there is anything that closes it. */
bool opening_closes(const struct opening *o);

/* All times are Unix s. */
bool opening_is_open(const struct opening *o, int64_t at);
/* When it is open next: `at` itself, if it is open then. */
int64_t opening_next(const struct opening *o, int64_t at);
/* When `open_s` seconds of open time have passed since `from`; OPENING_NEVER: in no time that counts. */
int64_t opening_after(const struct opening *o, int64_t from, int64_t open_s);
/* How much open time there is from `from` to `to`. */
int64_t opening_between(const struct opening *o, int64_t from, int64_t to);
