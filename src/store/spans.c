#include "store/spans.h"

#include "base/log.h"
#include "store/spans_priv.h"

/* ---- made ---- */

/* crash: all of them, or none. Whoever validates the batch again makes the same. */
bool store_spans_create(struct db *db, const char *batch, const struct span_plan *plan, size_t n,
			size_t *ret_n, struct error *err)
{
	AUTO(asks_done) struct asks a = { 0 };
	AUTO(buf_free) struct buf firsts = LIST;
	AUTO(buf_free) struct buf segments = LIST;
	AUTO(buf_free) struct buf lines = LIST;
	int64_t count;
	bool row;

	for (size_t i = 0; i < n; i++) {
		array_u64(&firsts, plan[i].first_segment);
		array_u64(&segments, plan[i].segments);
		array_u64(&lines, plan[i].lines);
	}
	array_end(&firsts);
	array_end(&segments);
	array_end(&lines);
	if (firsts.failed || segments.failed || lines.failed)
		return fail_memory(err);
	if (!asks_run(&a, db, ASK_WAIT_MS,
		      ASKS({ SQL_spans_lock_batch, VALUES(txt(batch)) },
			   { SQL_spans_create,
			     VALUES(txt(batch), txt(firsts.p), txt(segments.p), txt(lines.p)) },
			   { SQL_spans_count, VALUES(txt(batch)) }),
		      err) ||
	    !asks_number(&a, 2, &row, &count, err))
		return false;
	*ret_n = (size_t)count;
	return true;
}

/* ---- lent ---- */

static bool lent_read(struct query *q, struct span_lent *ret, struct error *err)
{
	query_text(q, ret->id.batch, sizeof(ret->id.batch));
	ret->id.n = (uint32_t)query_u64(q);
	ret->epoch = query_u64(q);
	ret->first_segment = query_u64(q);
	ret->segments = query_u64(q);
	ret->lines = query_u64(q);
	int64_t status = query_int(q);
	q->misread = q->misread || status < 0 || status >= BATCH_STATUS_COUNT;
	ret->status = (enum batch_status)status;
	ret->has_ended = query_int(q) != 0;
	span_counts_read(q, &ret->counts, &ret->usage);
	ret->counts.total = ret->lines;
	return query_row_ok(q, err);
}

/* The lists of a claim. */
struct wanted_lists {
	struct buf models, batches, numbers, full;
};

static bool wanted_list(const struct span_wanted *w, struct wanted_lists *ret, struct error *err)
{
	for (size_t i = 0; i < w->n_models; i++)
		array_text(&ret->models, w->models[i]);
	for (size_t i = 0; i < w->n_held; i++) {
		array_text(&ret->batches, w->held[i].batch);
		array_u64(&ret->numbers, w->held[i].n);
	}
	for (size_t i = 0; i < w->n_full; i++)
		array_text(&ret->full, w->full[i]);
	array_end(&ret->models);
	array_end(&ret->batches);
	array_end(&ret->numbers);
	array_end(&ret->full);
	return !(ret->models.failed || ret->batches.failed || ret->numbers.failed ||
		 ret->full.failed) ||
	       fail_memory(err);
}

static void wanted_done(struct wanted_lists *w)
{
	buf_free(&w->models);
	buf_free(&w->batches);
	buf_free(&w->numbers);
	buf_free(&w->full);
}

void span_lent_done(struct span_lent *s)
{
	free(s->pieces);
	s->pieces = NULL;
	s->n_pieces = 0;
}

/* crash: the span is in the caller's name, and comes back with its next claim, or is free by its
 * burial. */
bool store_span_claim(struct db *db, struct owner me, const struct span_wanted *wanted,
		      struct span_lent *ret, bool *ret_lent, struct error *err)
{
	AUTO(asks_done) struct asks a = { 0 };
	AUTO(wanted_done) struct wanted_lists lists = { LIST, LIST, LIST, LIST };
	struct value node = u64(me.node), epoch = u64(me.epoch), ticket = u64(wanted->ticket);

	if (!wanted_list(wanted, &lists, err) ||
	    !asks_run(&a, db, ASK_WAIT_MS,
		      ASKS({ SQL_span_claim,
			     VALUES(node, epoch, ticket, txt(lists.models.p), txt(lists.batches.p),
				    txt(lists.numbers.p), txt(lists.full.p)) },
			   { SQL_span_claimed_pieces, VALUES(node, epoch, ticket) }),
		      err) ||
	    !query_step(&a.of[0], ret_lent, err))
		return false;
	*ret = (struct span_lent){ 0 }; /* which may have been in wanted->held */
	if (!*ret_lent)
		return true;
	if (!lent_read(&a.of[0], ret, err) ||
	    !span_pieces_read(&a.of[1], &ret->pieces, &ret->n_pieces, err))
		return false;
	if (ret->n_pieces == 0)
		span_lent_done(ret);
	return true;
}

bool store_span_give_back(struct db *db, struct owner me, const struct span_id *span,
			  uint64_t epoch, bool *ret_given, struct error *err)
{
	int64_t given;

	if (!ask_number(db, SQL_span_give_back,
			VALUES(u64(me.node), u64(me.epoch), txt(span->batch), num(span->n),
			       u64(epoch)),
			&given, err))
		return false;
	*ret_given = given > 0;
	return true;
}

/* ---- finished ---- */

static bool finish(struct asks *a, struct db *db, struct owner me, const struct span_id *span,
		   uint64_t epoch, const struct span_end *end, const char *causes,
		   struct error *err)
{
	const struct counts *c = &end->counts;
	const struct usage *u = &end->usage;
	const struct span_part *o = &end->output, *e = &end->error;
	struct value node = u64(me.node), node_epoch = u64(me.epoch);
	struct value batch = txt(span->batch), n = num(span->n);

	return asks_run(
		a, db, ASK_WAIT_MS,
		ASKS({ SQL_span_finish_lock, VALUES(node, node_epoch, batch) },
		     { SQL_span_finish,
		       VALUES(node, node_epoch, batch, n, u64(epoch), u64(c->completed),
			      u64(c->failed), u64(c->expired), u64(c->cancelled), u64(c->retried),
			      u64(u->input), u64(u->cached), u64(u->output), u64(u->reasoning),
			      u64(u->total), txt(causes), txt_or_null(o->name), u64(o->bytes),
			      u64(o->lines), txt_or_null(e->name), u64(e->bytes), u64(e->lines)) },
		     { SQL_span_finish_pieces, VALUES(batch, n) },
		     { SQL_span_finish_batch, VALUES(batch) }),
		err);
}

/* In one message, which PostgreSQL has whole or not at all: what all writers wait for is never held
 * while the rest of a request is on its way.
 *
 * crash: it is whole all the same (store_spans_whole()). */
static void finalizing(struct db *db, const char *batch)
{
	struct error err;

	if (!ask_text(db, "SELECT batch_finalizing(", batch, ")", &err))
		log_fault("store.not_finalizing", &err, kv_str("batch", batch));
}

/* crash: before the commit the span is open, with its pieces, and whoever claims it writes parts of
 * its own; these are garbage. */
bool store_span_finish(struct db *db, struct owner me, const struct span_id *span, uint64_t epoch,
		       const struct span_end *end, bool *ret_finished, bool *ret_last,
		       struct error *err)
{
	AUTO(asks_done) struct asks a = { 0 };
	AUTO(buf_free) struct buf causes = BUF(4096);
	int64_t one, open;
	bool row;

	causes_format(&end->causes, &causes);
	buf_char(&causes, '\0');
	if (causes.failed)
		return fail_memory(err);
	if (!finish(&a, db, me, span, epoch, end, causes.p, err) ||
	    !asks_number(&a, 1, ret_finished, &one, err) || !asks_number(&a, 3, &row, &open, err))
		return false;
	*ret_last = *ret_finished && open == 0;
	if (*ret_last)
		finalizing(db, span->batch);
	return true;
}
