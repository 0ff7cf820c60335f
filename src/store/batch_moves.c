/* batch_moves.c: how far batches are, and the moves between their states. */
#include <assert.h>

#include "base/sys.h"
#include "store/store_priv.h"

/* ---- how far it is ---- */

static struct value u64(uint64_t number)
{
	assert(number <= INT64_MAX);
	return num((int64_t)number);
}

/* *ret_put false if there is no such batch, or it is final. */
static bool progress_put(struct db *db, const char *batch_id, const struct merge_state *m,
			 bool *ret_put, struct error *err)
{
	const struct counts *c = &m->counts;
	const struct usage *u = &m->usage;
	AUTO(buf_free) struct buf causes = BUF(4096);
	uint64_t changes;

	causes_format(&m->causes, &causes);
	buf_char(&causes, '\0');
	if (causes.failed)
		return fail_memory(err);
	if (!sql_run(db, SQL_progress_put,
		     VALUES(txt(batch_id), u64(m->segments), u64(m->output_bytes),
			    u64(m->error_bytes), u64(m->output_lines), u64(m->error_lines),
			    u64(m->journal_from), u64(c->completed), u64(c->failed),
			    u64(c->expired), u64(c->cancelled), u64(c->retried), u64(u->input),
			    u64(u->cached), u64(u->output), u64(u->reasoning), u64(u->total),
			    txt(causes.p), u64(m->counted_tokens)),
		     &changes, err))
		return false;
	*ret_put = changes > 0;
	return !*ret_put || day_add_of_batch(db, batch_id, m, err);
}

bool store_merge_put(struct store *s, const char *batch_id, const struct merge_state *m,
		     struct error *err)
{
	AUTO(txn_end) struct txn t = { 0 };
	bool put;

	if (!txn_begin(&t, s, err) || !progress_put(t.db, batch_id, m, &put, err))
		return false;
	if (!put)
		return fail(err, ERR_NOT_FOUND, "No open batch found with id '%s'.", batch_id);
	return txn_commit(&t, err);
}

/* ---- moves ----
 *
 * batch_move() is the only way from one state to another. What goes with a move is written in the
 * same transaction; when the move does not happen, neither does the rest. */

/* The states that have an edge to `to`. */
static unsigned states_before(enum batch_status to)
{
	unsigned mask = 0;

	for (unsigned from = 0; from < BATCH_STATUS_COUNT; from++)
		if (batch_may((enum batch_status)from, to))
			mask |= 1u << from;
	return mask;
}

static bool batch_move(struct db *db, const char *id, unsigned from, enum batch_status to,
		       int64_t now, bool *ret_moved, struct error *err)
{
	uint64_t changes;

	assert((from & ~states_before(to)) == 0); /* no other edge exists */
	if (!sql_run(db, SQL_batch_move, VALUES(txt(id), num(from), num(to), num(now)), &changes,
		     err))
		return false;
	*ret_moved = changes > 0;
	return !*ret_moved || !batch_is_final(to) || outbox_fill(db, id, to, now, err);
}

/* A move that did not happen has read why. */
static bool commit_move(struct txn *t, const char *id, bool moved, struct error *err)
{
	if (moved)
		txn_tell(t, id, batch_tell);
	return txn_commit(t, err);
}

bool store_batch_move(struct store *s, const char *id, unsigned from, enum batch_status to,
		      int64_t now, bool *ret_moved, struct error *err)
{
	AUTO(txn_end) struct txn t = { 0 };

	if (!txn_begin(&t, s, err) || !batch_move(t.db, id, from, to, now, ret_moved, err) ||
	    !commit_move(&t, id, *ret_moved, err))
		return false;
	if (*ret_moved && to == BATCH_CANCELLING)
		failpoint("cancel.after_cancelling");
	return true;
}

bool store_batch_start(struct store *s, const char *id, uint64_t total, uint64_t tokens,
		       const char *model, const char *output_file_id, const char *error_file_id,
		       int64_t now, bool *ret_moved, struct error *err)
{
	AUTO(txn_end) struct txn t = { 0 };

	if (!txn_begin(&t, s, err) ||
	    !batch_move(t.db, id, 1u << BATCH_VALIDATING, BATCH_IN_PROGRESS, now, ret_moved, err))
		return false;
	if (!*ret_moved)
		return txn_commit(&t, err);
	if (!sql_run(t.db, SQL_batch_validated,
		     VALUES(txt(id), u64(total), u64(tokens), txt(model), txt(output_file_id),
			    txt(error_file_id)),
		     NULL, err))
		return false;
	failpoint("batch.before_in_progress");
	return commit_move(&t, id, true, err);
}

bool store_batch_fail(struct store *s, const char *id, const char *errors, int64_t now,
		      bool *ret_moved, struct error *err)
{
	AUTO(txn_end) struct txn t = { 0 };

	if (!txn_begin(&t, s, err) ||
	    !batch_move(t.db, id, states_before(BATCH_FAILED), BATCH_FAILED, now, ret_moved, err))
		return false;
	if (!*ret_moved)
		return txn_commit(&t, err);
	return sql_run(t.db, SQL_batch_errors, VALUES(txt(id), txt(errors)), NULL, err) &&
	       commit_move(&t, id, true, err);
}

bool store_batch_hold(struct store *s, const char *id, enum batch_hold hold, int64_t now,
		      bool *ret_changed, struct error *err)
{
	AUTO(txn_end) struct txn t = { 0 };
	struct value since = hold != BATCH_GOES_ON ? num(now) : txt(NULL);
	uint64_t changes;

	if (!txn_begin(&t, s, err) ||
	    !sql_run(t.db, SQL_batch_hold, VALUES(txt(id), num(hold), since), &changes, err))
		return false;
	*ret_changed = changes > 0;
	failpoint("batch.before_hold");
	if (!txn_commit(&t, err))
		return false;
	failpoint("batch.after_hold");
	return true;
}

bool store_batch_cancel_early(struct store *s, const char *id, int64_t now, bool *ret_moved,
			      struct error *err)
{
	AUTO(txn_end) struct txn t = { 0 };

	if (!txn_begin(&t, s, err) ||
	    !batch_move(t.db, id, 1u << BATCH_VALIDATING, BATCH_CANCELLING, now, ret_moved, err))
		return false;
	if (!*ret_moved)
		return txn_commit(&t, err);
	return batch_move(t.db, id, 1u << BATCH_CANCELLING, BATCH_CANCELLED, now, ret_moved, err) &&
	       commit_move(&t, id, true, err);
}

/* The result files' rows, and their ids in the batch; NULL: a file without lines is none. */
static bool put_results(struct db *db, const char *id, const struct file *output,
			const struct file *error, const char *errors, struct error *err)
{
	if ((output != NULL && !file_insert(db, output, err)) ||
	    (error != NULL && !file_insert(db, error, err)))
		return false;
	return sql_run(db, SQL_batch_results,
		       VALUES(txt(id), txt(output != NULL ? output->id : NULL),
			      txt(error != NULL ? error->id : NULL), txt(errors)),
		       NULL, err);
}

/* One that completes and was not said to be finalizing is so for this moment. */
static bool finalizing_pass(struct db *db, const char *id, enum batch_status to, int64_t now,
			    struct error *err)
{
	bool moved;

	return to != BATCH_COMPLETED ||
	       batch_move(db, id, 1u << BATCH_IN_PROGRESS, BATCH_FINALIZING, now, &moved, err);
}

bool store_batch_finish(struct store *s, const char *id, enum batch_status to,
			const struct merge_state *m, const struct file *output,
			const struct file *error, const char *errors, int64_t now, bool *ret_moved,
			struct error *err)
{
	AUTO(txn_end) struct txn t = { 0 };
	bool put;

	/* The numbers first: those of a final batch are not to be changed. */
	if (!txn_begin(&t, s, err) || !progress_put(t.db, id, m, &put, err) ||
	    !finalizing_pass(t.db, id, to, now, err) ||
	    !batch_move(t.db, id, states_before(to), to, now, ret_moved, err))
		return false;
	if (!*ret_moved)
		return txn_undo(&t, err); /* the numbers as well */
	assert(put);
	if (!put_results(t.db, id, output, error, errors, err))
		return false;
	failpoint("batch.before_final");
	if (!commit_move(&t, id, true, err))
		return false;
	failpoint("batch.after_final");
	return true;
}
