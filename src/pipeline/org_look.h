/* org_look.h: what the operator sets about organizations, in this process or any other, reaches their
 * batches: suspended ones stop or are cancelled, some wait for room in their organization's queue
 * (contract 13.1), some for the next day (day_look.h). Private to pipeline/.
 *
 * Every LOOK_MS (org_look.c) in one of the pipeline's workers, one at a time. The database is asked
 * where something may have changed (store_operator_stamp()), where a limit is in force or an
 * organization is suspended, and every few seconds all the same: so a server that has nothing to do
 * asks next to nothing. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/worker.h"
#include "pipeline/batch_table.h"

struct coordinator_env;

/* One of the questions: when it is asked again although nothing has changed. */
struct org_question {
	uint64_t stamp; /* as of the last answer */
	uint64_t until_ms;
};

struct org_look {
	struct coordinator_env *env;
	struct batch_table *table;
	struct work work;
	bool failed; /* the last look did: its fault is logged once */
	unsigned looks;
	struct org_question suspended_asked, queue_asked, days_asked;
	char (*suspended)[ID_SIZE]; /* organizations: those that batches were told of last */
	size_t suspended_n;
};

/* `env` and `table` outlive it. */
void org_look_init(struct org_look *o, struct coordinator_env *env, struct batch_table *table);
/* Reads limits and the day's tokens, before any batch goes on. Waits for the database. */
MUST_USE bool org_look_begin(struct org_look *o, struct error *err);
/* Looks from now on, until env->closing. */
void org_look_start(struct org_look *o);
void org_look_done(struct org_look *o); /* workers have stopped */
