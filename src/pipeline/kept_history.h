/* kept_history.h: what this node adds to the history that all keep together: counted here, and told when a
 * tick, or a batch's step, is over (store/node_history.h). The reports' thread's. Private to pipeline/. */
#pragma once

#include "history/history.h"
#include "store/node_history.h"

#define KEPT_ROWS_MAX \
	4096u /* while the database is away; what is counted beyond them is nobody's */

struct kept_history {
	struct ticks_row *rows; /* not told yet: of the tick at hand, too */
	size_t n;
	uint64_t paces_ms; /* steps that ended before are told */
	int64_t forgot_at; /* Unix s: when old rows went last */
};

void kept_history_done(struct kept_history *k);
/* Takes what was counted since, and writes what is over; `end`: all. `now`: Unix s of the database's clock.
 * Asks the database for nothing where there is nothing to tell. */
MUST_USE bool kept_history_turn(struct kept_history *k, struct history *h, struct db *db,
				uint64_t node, int64_t now, bool end, struct error *err);

/* Pages of what all nodes have told. `since`: Unix s, from when on one of them was there. */
MUST_USE bool kept_history_page(struct db *db, const char *org, enum rings_span span, int64_t now,
				int64_t since, struct history_page *ret, struct error *err);
MUST_USE bool kept_history_batch(struct db *db, const char *batch, int64_t now,
				 struct history_page *ret, struct error *err);
