/* span_list.c: what spans have finished: their pieces, the manifest of a batch, batches that are
 * whole. */
#include "store/spans_priv.h"

void span_counts_read(struct query *q, struct counts *counts, struct usage *usage)
{
	counts->completed = query_u64(q);
	counts->failed = query_u64(q);
	counts->expired = query_u64(q);
	counts->cancelled = query_u64(q);
	counts->retried = query_u64(q);
	usage->input = query_u64(q);
	usage->cached = query_u64(q);
	usage->output = query_u64(q);
	usage->reasoning = query_u64(q);
	usage->total = query_u64(q);
}

/* ---- pieces ---- */

static bool piece_read(struct query *q, void *to, struct error *err)
{
	struct span_piece *ret = to;

	query_text(q, ret->chunk, sizeof(ret->chunk));
	ret->at = query_u64(q);
	ret->length = query_u64(q);
	ret->lines = query_u64(q);
	return query_row_ok(q, err);
}

bool span_pieces_read(struct query *q, struct span_piece **ret, size_t *ret_n, struct error *err)
{
	*ret = query_rows(q, piece_read, sizeof(**ret), ret_n, err);
	return *ret != NULL;
}

/* ---- how far they are ---- */

static void progress_read(struct query *q, struct span_progress *ret)
{
	ret->spans = query_u64(q);
	ret->finished = query_u64(q);
	ret->lent = query_u64(q);
	ret->counts.total = query_u64(q);
	ret->lent_lines = query_u64(q);
	span_counts_read(q, &ret->counts, &ret->usage);
	query_text(q, ret->org, sizeof(ret->org));
}

/* Those that have spans, in any order. */
static bool all_progress_read(struct query *q, struct span_progress *ret, size_t n,
			      struct error *err)
{
	bool row;

	for (size_t i = 0; i < n; i++)
		ret[i] = (struct span_progress){ 0 };
	while (query_step(q, &row, err)) {
		if (!row)
			return true;
		uint64_t i = query_u64(q);
		if (i == 0 || i > n)
			q->misread = true;
		else
			progress_read(q, &ret[i - 1]);
	}
	return false;
}

static bool ids_list(const char (*ids)[ID_SIZE], size_t n, struct buf *ret, struct error *err)
{
	for (size_t i = 0; i < n; i++)
		array_text(ret, ids[i]);
	array_end(ret);
	return !ret->failed || fail_memory(err);
}

bool store_span_progress(struct db *db, const char (*batches)[ID_SIZE], size_t n,
			 struct span_progress *ret, struct error *err)
{
	AUTO(asks_done) struct asks a = { 0 };
	AUTO(buf_free) struct buf list = LIST;

	assert(n <= SPAN_PROGRESS_MAX);
	return ids_list(batches, n, &list, err) &&
	       asks_run(&a, db, ASK_WAIT_MS, ASKS({ SQL_span_progress, VALUES(txt(list.p)) }),
			err) &&
	       all_progress_read(&a.of[0], ret, n, err);
}

/* ---- where they are ---- */

static bool states_read(struct query *q, struct batch_state *ret, size_t n, struct error *err)
{
	bool row;

	for (size_t i = 0; i < n; i++)
		ret[i] = (struct batch_state){ 0 };
	while (query_step(q, &row, err)) {
		if (!row)
			return true;
		uint64_t i = query_u64(q);
		struct batch_state is = { .is_there = true };
		is.status = (enum batch_status)query_int(q);
		is.hold = (enum batch_hold)query_int(q);
		if (i == 0 || i > n)
			q->misread = true;
		else
			ret[i - 1] = is;
	}
	return false;
}

bool store_batches_states(struct db *db, const char (*batches)[ID_SIZE], size_t n,
			  struct batch_state *ret, struct error *err)
{
	AUTO(asks_done) struct asks a = { 0 };
	AUTO(buf_free) struct buf list = LIST;

	return ids_list(batches, n, &list, err) &&
	       asks_run(&a, db, ASK_WAIT_MS, ASKS({ SQL_batch_states, VALUES(txt(list.p)) }),
			err) &&
	       states_read(&a.of[0], ret, n, err);
}

/* ---- the manifest ---- */

static void part_read(struct query *q, struct span_part *ret)
{
	query_text(q, ret->name, sizeof(ret->name));
	ret->bytes = query_u64(q);
	ret->lines = query_u64(q);
}

static bool seen_read(struct query *q, void *to, struct error *err)
{
	struct span_seen *ret = to;

	*ret = (struct span_seen){ .n = (uint32_t)query_u64(q) };
	ret->is_finished = query_int(q) != 0;
	ret->after = query_int(q);
	part_read(q, &ret->end.output);
	part_read(q, &ret->end.error);
	span_counts_read(q, &ret->end.counts, &ret->end.usage);
	AUTO(auto_free) char *causes = query_text_copy(q);
	if (!query_row_ok(q, err))
		return false;
	causes_parse(causes != NULL ? causes : "", &ret->end.causes);
	return true;
}

bool store_span_manifest(struct db *db, const char *batch, struct span_seen **ret, size_t *ret_n,
			 struct error *err)
{
	AUTO(asks_done) struct asks a = { 0 };

	if (!asks_run(&a, db, ASK_WAIT_MS, ASKS({ SQL_span_manifest, VALUES(txt(batch)) }), err))
		return false;
	*ret = query_rows(&a.of[0], seen_read, sizeof(**ret), ret_n, err);
	return *ret != NULL;
}

static bool model_read(struct query *q, void *to, struct error *err)
{
	query_text(q, to, SPAN_MODEL_SIZE);
	return query_row_ok(q, err);
}

bool store_span_models(struct db *db, char (**ret)[SPAN_MODEL_SIZE], size_t *ret_n,
		       struct error *err)
{
	AUTO(asks_done) struct asks a = { 0 };

	if (!asks_run(&a, db, ASK_WAIT_MS, ASKS({ SQL_span_models, VALUES() }), err))
		return false;
	*ret = query_rows(&a.of[0], model_read, SPAN_MODEL_SIZE, ret_n, err);
	return *ret != NULL;
}

bool store_spans_whole(struct db *db, unsigned max, char (**ret)[ID_SIZE], size_t *ret_n,
		       struct error *err)
{
	AUTO(asks_done) struct asks a = { 0 };

	return asks_run(&a, db, ASK_WAIT_MS, ASKS({ SQL_spans_whole, VALUES(num(max)) }), err) &&
	       query_ids(&a.of[0], ret, ret_n, err);
}
