/* day_look.h: adds up what the answers of each organization took in the UTC day, and tells batches
 * whether they wait for the next (day_tokens.h). Private to pipeline/. */
#pragma once

#include "pipeline/batch_table.h"
#include "pipeline/day_tokens.h"
#include "store/store.h"

/* Regularly, by one thread at a time: begins another day, writes what online answers took, reads
 * anew, and tells every batch whether it waits. `forget`: days long past may go. `limits_changed`:
 * limits may be others than at the last look; where none is in force nothing is read without that. */
MUST_USE bool day_look(struct day_tokens *d, struct store *store, struct batch_table *table,
		       bool forget, bool limits_changed, struct error *err);
/* What an organization took, as of now. Any thread. */
MUST_USE bool day_count(struct day_tokens *d, struct store *store, struct batch_table *table,
			const char *org, uint64_t *ret, struct error *err);
/* Writes what online answers took. Any thread. */
MUST_USE bool day_flush(struct day_tokens *d, struct store *store, struct error *err);
