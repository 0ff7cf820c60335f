/* reports.h: what nodes tell one another of what they do at the moment: two texts each, which are the
 * callers'. Connection, threads, failures and round trips: node_db.h; but a second is waited for the
 * answer, no more: who is shown it does not wait for a database that is gone. */
#pragma once

#include <stddef.h>

#include "store/node_db.h"

struct report_text {
	uint64_t node;
	int64_t since;   /* Unix s: when that start of the program began */
	uint64_t format; /* of the texts */
	char *scheduling, *batches;
};
void report_texts_free(struct report_text *texts, size_t n); /* NULL is fine */

/* In the place of the one before of r->node, in `epoch`; nothing, where that is over. `forget`: those of
 * nodes that are gone go. */
MUST_USE bool store_report_put(struct db *db, const struct report_text *r, uint64_t epoch,
			       bool forget, struct error *err);
/* Those of the nodes but `node` whose leases run, by number; report_texts_free() is the caller's. */
MUST_USE bool store_report_list(struct db *db, uint64_t node, struct report_text **ret,
				size_t *ret_n, struct error *err);
