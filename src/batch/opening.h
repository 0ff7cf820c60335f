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

/* What was found of one opening, kept by who asks each second: until the next change, and as long as the
 * end asked for is the same, no zone is looked at. Zeroed: nothing yet, as when the opening is another.
 * For one thread at a time. */
struct opening_memo {
	int64_t from, change; /* nothing changes in between; `change` 0: nothing is known */
	bool open;            /* then */
	int64_t to, to_s;     /* open seconds from `change` to `to` */
	struct opening_span {
		int64_t at, end;  /* is open, behind `change`; `end` 0: none */
		int64_t before_s; /* open seconds from `change` to it */
	} span;
};
/* The same answers. */
bool opening_memo_is_open(struct opening_memo *m, const struct opening *o, int64_t at);
int64_t opening_memo_next(struct opening_memo *m, const struct opening *o, int64_t at);
int64_t opening_memo_after(struct opening_memo *m, const struct opening *o, int64_t from,
			   int64_t open_s);
int64_t opening_memo_between(struct opening_memo *m, const struct opening *o, int64_t from,
			     int64_t to);
