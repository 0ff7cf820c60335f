/* batches.c: batches: their rows, making them, reading them. */
#include "base/log.h"
#include "base/sys.h"
#include "store/store_priv.h"

/* The numbers stand in databases: the state table may gain a state, at its end, but not move one.
 * batch_move.sql and the tables (migrations/) name them too. */
_Static_assert(BATCH_VALIDATING == 0 && BATCH_IN_PROGRESS == 1 && BATCH_FINALIZING == 2 &&
		       BATCH_CANCELLING == 3 && BATCH_COMPLETED == 4 && BATCH_FAILED == 5 &&
		       BATCH_EXPIRED == 6 && BATCH_CANCELLED == 7 && BATCH_STATUS_COUNT == 8,
	       "batch states are numbered as in the database");

/* ---- rows ---- */

static void counts_read(struct query *q, struct counts *ret)
{
	ret->total = query_u64(q);
	ret->completed = query_u64(q);
	ret->failed = query_u64(q);
	ret->expired = query_u64(q);
	ret->cancelled = query_u64(q);
	ret->retried = query_u64(q);
}

static void usage_read(struct query *q, struct usage *ret)
{
	ret->input = query_u64(q);
	ret->cached = query_u64(q);
	ret->output = query_u64(q);
	ret->reasoning = query_u64(q);
	ret->total = query_u64(q);
}

static void options_columns(struct query *q, struct batch_options *ret)
{
	ret->skip_invalid = query_int(q) != 0;
	ret->mixed_models = query_int(q) != 0;
	ret->by_completion = query_int(q) != 0;
	ret->max_attempts = query_u64(q);
	ret->line_timeout_s = query_u64(q);
	ret->canary = query_u64(q);
	ret->not_before = query_int(q);
	query_text(q, ret->hours, sizeof(ret->hours));
	ret->token_budget = query_u64(q);
}

bool batch_read(struct query *q, struct batch *ret, struct error *err)
{
	*ret = (struct batch){ 0 };
	query_text(q, ret->id, sizeof(ret->id));
	query_text(q, ret->org, sizeof(ret->org));
	query_text(q, ret->endpoint, sizeof(ret->endpoint));
	query_text(q, ret->input_file_id, sizeof(ret->input_file_id));
	ret->input_missing = query_int(q) != 0;
	query_text(q, ret->completion_window, sizeof(ret->completion_window));
	ret->status = (enum batch_status)query_int(q);
	ret->created_at = query_int(q);
	ret->expires_at = query_int(q);
	for (int i = BATCH_IN_PROGRESS; i < BATCH_STATUS_COUNT; i++)
		ret->at[i] = query_int(q);
	ret->output_expires_after_s = query_int(q);
	options_columns(q, &ret->options);
	query_text(q, ret->retried_from, sizeof(ret->retried_from));
	counts_read(q, &ret->counts);
	usage_read(q, &ret->usage);
	query_text(q, ret->output_file_id, sizeof(ret->output_file_id));
	query_text(q, ret->error_file_id, sizeof(ret->error_file_id));
	ret->model = query_text_copy(q);
	ret->metadata = query_text_copy(q);
	ret->errors = query_text_copy(q);
	ret->causes = query_text_copy(q);
	ret->options.override = query_text_copy(q);
	ret->hold = (enum batch_hold)query_int(q);
	ret->held_at = query_int(q);
	ret->canary_over = query_int(q) != 0;
	ret->changed = query_int(q);
	if (query_row_ok(q, err))
		return true;
	batch_done(ret);
	return false;
}

/* ---- making ---- */

/* Whether the input file is there; an error if it has to be, or is of the wrong purpose. */
static bool find_input(struct db *db, const struct batch *b, bool may_miss, bool *ret_missing,
		       struct error *err)
{
	struct file input;
	bool found;

	if (!file_find(db, b->org, b->input_file_id, b->created_at, &input, &found, err))
		return false;
	if (!found && !may_miss)
		return fail_param(err, "input_file_id", "invalid_value",
				  "Invalid value for 'input_file_id': no file has the id '%s'.",
				  b->input_file_id);
	if (found && input.purpose != PURPOSE_BATCH)
		return fail_param(err, "input_file_id", "invalid_value",
				  "Invalid value for 'input_file_id': the purpose of file '%s' is "
				  "'%s', not 'batch'.",
				  b->input_file_id, file_purpose_name(input.purpose));
	*ret_missing = !found;
	return true;
}

static bool batch_insert(struct db *db, const struct batch *b, bool input_missing,
			 struct error *err)
{
	const struct batch_options *o = &b->options;

	return sql_run(db, SQL_batch_insert,
		       VALUES(txt(b->id), txt(b->org), txt(b->endpoint), txt(b->input_file_id),
			      num(input_missing), txt(b->completion_window),
			      num(b->output_expires_after_s), txt(b->metadata), num(b->created_at),
			      num(b->expires_at), num(o->skip_invalid), num(o->mixed_models),
			      num(o->by_completion), num((int64_t)o->max_attempts),
			      num((int64_t)o->line_timeout_s), num((int64_t)o->canary),
			      num(o->not_before), txt(o->hours), num((int64_t)o->token_budget),
			      txt(o->override),
			      txt(b->retried_from[0] != '\0' ? b->retried_from : NULL)),
		       NULL, err) &&
	       sql_run(db, SQL_progress_insert, VALUES(txt(b->id)), NULL, err);
}

static bool trace_insert(struct db *db, const struct batch *b, struct error *err)
{
	return b->traceparent[0] == '\0' ||
	       sql_run(db, SQL_trace_insert, VALUES(txt(b->id), txt(b->traceparent)), NULL, err);
}

static bool room_for_open(struct db *db, const char *org, uint64_t open_max, struct error *err)
{
	int64_t open;

	if (open_max == 0)
		return true;
	if (!sql_number(db, SQL_batch_open_count, VALUES(txt(org)), &open, err))
		return false;
	return (uint64_t)open < open_max ||
	       fail(err, ERR_RATE_LIMIT,
		    "An organization may have %llu batches that have not ended "
		    "(limits.org.open_batches). Please try again when some have.",
		    (unsigned long long)open_max);
}

/* ---- who watches ---- */

static bool row_find(struct db *db, const char *id, struct batch *ret, struct error *err)
{
	AUTO(query_done) struct query q = query(db, SQL_batch_get, VALUES(txt(id), txt(NULL)));
	bool found;

	if (!query_step(&q, &found, err))
		return false;
	return found ? batch_read(&q, ret, err) : fail(err, ERR_NOT_FOUND, "No batch %s.", id);
}

void batch_tell(struct db *db, const char *id)
{
	const struct batch_watch *watch = &db->store->watch;
	struct batch row;
	struct error err;

	if (watch->moved == NULL || !watch->wanted(watch->ctx))
		return;
	if (row_find(db, id, &row, &err)) {
		watch->moved(watch->ctx, &row);
		return;
	}
	log_fault("store.change_not_told", &err, kv_str("batch", id));
	watch->moved(watch->ctx, NULL);
}

/* All that a batch has at first, and the end of the transaction. */
static bool batch_make(struct txn *t, const struct batch *b, bool input_missing,
		       const struct call *call, struct error *err)
{
	txn_tell(t, b->id, batch_tell);
	if (!batch_insert(t->db, b, input_missing, err) || !trace_insert(t->db, b, err) ||
	    !call_record(t->db, call, b->id, b->created_at, err) || !txn_commit(t, err))
		return false;
	failpoint("batch.after_insert");
	return true;
}

bool store_batch_insert(struct store *s, const struct batch *b, const struct call *call,
			bool input_may_miss, uint64_t open_max, char ret_id[static ID_SIZE],
			struct error *err)
{
	AUTO(txn_end) struct txn t = { 0 };
	char id[ID_SIZE];
	bool missing = false;

	if (!txn_begin(&t, s, err) || !call_find(t.db, call, b->created_at, id, err))
		return false;
	if (id[0] != '\0') {
		if (!txn_commit(&t, err))
			return false;
	} else {
		memcpy(id, b->id, sizeof(id));
		if (!find_input(t.db, b, input_may_miss, &missing, err) ||
		    !room_for_open(t.db, b->org, open_max, err) ||
		    !batch_make(&t, b, missing, call, err))
			return false;
	}
	memcpy(ret_id, id, sizeof(id));
	return true;
}

bool store_batch_insert_with(struct store *s, const struct batch *b, const struct file *input,
			     const struct file_quota *quota, const struct call *call,
			     uint64_t open_max, char ret_id[static ID_SIZE], struct error *err)
{
	AUTO(txn_end) struct txn t = { 0 };
	char id[ID_SIZE];

	if (!txn_begin(&t, s, err) || !call_find(t.db, call, b->created_at, id, err))
		return false;
	if (id[0] != '\0') {
		if (!txn_commit(&t, err))
			return false;
	} else {
		memcpy(id, b->id, sizeof(id));
		if (!room_for_open(t.db, b->org, open_max, err) ||
		    !file_add(t.db, input, quota, err) || !batch_make(&t, b, false, call, err))
			return false;
	}
	memcpy(ret_id, id, sizeof(id));
	return true;
}

/* ---- reading ---- */

bool store_batch_get(struct store *s, const char *org, const char *id, struct batch *ret,
		     struct error *err)
{
	AUTO(reader_return) struct db *db = reader_borrow(s);
	AUTO(query_done) struct query q = query(db, SQL_batch_get, VALUES(txt(id), txt(org)));
	bool found;

	if (!query_step(&q, &found, err))
		return false;
	if (!found)
		return fail(err, ERR_NOT_FOUND, "No batch found with id '%s'.", id);
	return batch_read(&q, ret, err);
}

bool store_batch_trace(struct store *s, const char *id, char ret[static BATCH_TRACEPARENT_SIZE],
		       struct error *err)
{
	AUTO(reader_return) struct db *db = reader_borrow(s);
	AUTO(query_done) struct query q = query(db, SQL_trace_get, VALUES(txt(id)));
	bool found;

	ret[0] = '\0';
	if (!query_step(&q, &found, err))
		return false;
	if (found)
		query_text(&q, ret, BATCH_TRACEPARENT_SIZE);
	return !found || query_row_ok(&q, err);
}

bool store_batches_open(struct store *s, char (**ret)[ID_SIZE], size_t *ret_n, struct error *err)
{
	AUTO(reader_return) struct db *db = reader_borrow(s);
	AUTO(query_done) struct query q = query(db, SQL_batch_list_open, VALUES());

	return query_ids(&q, ret, ret_n, err);
}

bool store_batches_to_cancel(struct store *s, unsigned max, char (**ret)[ID_SIZE], size_t *ret_n,
			     struct error *err)
{
	AUTO(reader_return) struct db *db = reader_borrow(s);
	AUTO(query_done) struct query q = query(db, SQL_batch_to_cancel, VALUES(num(max)));

	return query_ids(&q, ret, ret_n, err);
}

bool store_batches_validating(struct store *s, int64_t made_before, unsigned max,
			      char (**ret)[ID_SIZE], size_t *ret_n, struct error *err)
{
	AUTO(reader_return) struct db *db = reader_borrow(s);
	AUTO(query_done)
	struct query q = query(db, SQL_batch_validating, VALUES(num(made_before), num(max)));

	return query_ids(&q, ret, ret_n, err);
}

bool store_batches_enqueued(struct store *s, const char *org, const char *model, const char *except,
			    uint64_t *ret_requests, uint64_t *ret_tokens, struct error *err)
{
	AUTO(reader_return) struct db *db = reader_borrow(s);
	AUTO(query_done)
	struct query q = query(db, SQL_batch_enqueued, VALUES(txt(org), txt(model), txt(except)));
	bool row;

	if (!query_step(&q, &row, err))
		return false;
	*ret_requests = query_u64(&q);
	*ret_tokens = query_u64(&q);
	return query_row_ok(&q, err);
}

bool store_merge_get(struct store *s, const char *batch_id, struct merge_state *ret,
		     struct error *err)
{
	AUTO(reader_return) struct db *db = reader_borrow(s);
	AUTO(query_done) struct query q = query(db, SQL_progress_get, VALUES(txt(batch_id)));
	bool found;

	if (!query_step(&q, &found, err))
		return false;
	if (!found)
		return fail(err, ERR_NOT_FOUND, "No batch found with id '%s'.", batch_id);
	ret->segments = query_u64(&q);
	ret->output_bytes = query_u64(&q);
	ret->error_bytes = query_u64(&q);
	ret->output_lines = query_u64(&q);
	ret->error_lines = query_u64(&q);
	ret->journal_from = query_u64(&q);
	counts_read(&q, &ret->counts);
	usage_read(&q, &ret->usage);
	AUTO(auto_free) char *causes = query_text_copy(&q);
	causes_parse(causes, &ret->causes);
	ret->counted_tokens = query_u64(&q);
	ret->day = 0;
	ret->day_tokens = 0;
	return query_row_ok(&q, err);
}
