/* node_history.h: the history that nodes keep together: each writes its own part, and any reads the sum.
 * Connection, threads, failures and round trips: node_db.h; a second is waited for the answer, as with
 * reports.h. */
#pragma once

#include <stddef.h>

#include "store/node_db.h"

/* What an organization ("": all of them) did at a node in a tick of 10 s. */
struct ticks_row {
	char org[ID_SIZE];
	int64_t tick; /* Unix s / 10 */
	uint64_t lines, tokens, first_ms, firsts;
};
/* Of ticks that are over; asked again it adds nothing. Of what is before tick `forget_before`, of all
 * organizations, some goes, more than all nodes add meanwhile if each asks for it every ten minutes; 0:
 * nothing does. */
MUST_USE bool store_ticks_add(struct db *db, uint64_t node, const struct ticks_row *rows, size_t n,
			      int64_t forget_before, struct error *err);
/* The sum over nodes in steps of `ticks`, from tick `from` on: those in which any organization did
 * anything, by age; `tick` is the step, from / ticks and so on. A malloc'ed array. */
MUST_USE bool store_ticks_read(struct db *db, const char *org, int64_t from, unsigned ticks,
			       struct ticks_row **ret, size_t *ret_n, struct error *err);

/* How fast a batch went at a node, in steps of step_s. */
#define PACE_TEXT_SIZE 2700 /* 240 numbers of 32 bits, with commas and a NUL */
struct pace_text {
	char batch[ID_SIZE]; /* not listed */
	int64_t begun;       /* Unix s */
	unsigned step_s;
	char lines[PACE_TEXT_SIZE]; /* of each step, with commas between */
};
/* In the place of those before, each of another batch. `forget_s`: batches that have had no line for so
 * long go; 0: none. */
MUST_USE bool store_paces_put(struct db *db, uint64_t node, const struct pace_text *of, size_t n,
			      unsigned forget_s, struct error *err);
/* Of all nodes. A malloc'ed array. */
MUST_USE bool store_paces_list(struct db *db, const char *batch, struct pace_text **ret,
			       size_t *ret_n, struct error *err);
