#include "store/pieces.h"

#include "store/spans_priv.h"

/* ---- settled ---- */

enum column {
	BATCH,
	SPAN,
	EPOCH,
	AT,
	LENGTH,
	COMPLETED,
	FAILED,
	RETRIED,
	INPUT,
	CACHED,
	OUTPUT,
	REASONING,
	TOTAL,
	COLUMNS
};

struct piece_columns {
	struct buf of[COLUMNS];
};

static void columns_add(struct piece_columns *c, const struct piece_settled *p)
{
	array_text(&c->of[BATCH], p->span.batch);
	array_u64(&c->of[SPAN], p->span.n);
	array_u64(&c->of[EPOCH], p->epoch);
	array_u64(&c->of[AT], p->at);
	array_u64(&c->of[LENGTH], p->length);
	array_u64(&c->of[COMPLETED], p->counts.completed);
	array_u64(&c->of[FAILED], p->counts.failed);
	array_u64(&c->of[RETRIED], p->counts.retried);
	array_u64(&c->of[INPUT], p->usage.input);
	array_u64(&c->of[CACHED], p->usage.cached);
	array_u64(&c->of[OUTPUT], p->usage.output);
	array_u64(&c->of[REASONING], p->usage.reasoning);
	array_u64(&c->of[TOTAL], p->usage.total);
}

static bool columns_fill(struct piece_columns *c, const struct piece_settled *pieces, size_t n,
			 struct error *err)
{
	bool failed = false;

	for (int i = 0; i < COLUMNS; i++)
		c->of[i] = LIST;
	for (size_t i = 0; i < n; i++)
		columns_add(c, &pieces[i]);
	for (int i = 0; i < COLUMNS; i++) {
		array_end(&c->of[i]);
		failed |= c->of[i].failed;
	}
	return !failed || fail_memory(err);
}

static void columns_done(struct piece_columns *c)
{
	for (int i = 0; i < COLUMNS; i++)
		buf_free(&c->of[i]);
}

/* Their numbers, from 1. */
static bool held_read(struct query *q, struct piece_settled *pieces, size_t n, struct error *err)
{
	bool row;

	for (size_t i = 0; i < n; i++)
		pieces[i].is_held = false;
	while (query_step(q, &row, err)) {
		if (!row)
			return true;
		uint64_t i = query_u64(q);
		if (i == 0 || i > n)
			q->misread = true;
		else
			pieces[i - 1].is_held = true;
	}
	return false;
}

/* crash: a commit, so all of it or nothing; the chunk alone, without a row, is garbage once its
 * node's epoch is over. */
bool store_pieces_settle(struct db *db, struct owner me, const char *chunk,
			 struct piece_settled *pieces, size_t n, struct error *err)
{
	AUTO(asks_done) struct asks a = { 0 };
	AUTO(columns_done) struct piece_columns columns = { 0 };
	struct value values[3 + COLUMNS + 1] = { u64(me.node), u64(me.epoch), txt(chunk) };

	assert(n <= PIECES_SETTLED_MAX);
	if (!columns_fill(&columns, pieces, n, err))
		return false;
	for (int i = 0; i < COLUMNS; i++)
		values[3 + i] = txt(columns.of[i].p);
	return asks_run(&a, db, ASK_WAIT_MS, ASKS({ SQL_pieces_settle, values }), err) &&
	       held_read(&a.of[0], pieces, n, err);
}

/* ---- listed ---- */

bool store_pieces_list(struct db *db, const struct span_id *span, struct span_piece **ret,
		       size_t *ret_n, struct error *err)
{
	AUTO(asks_done) struct asks a = { 0 };

	return asks_run(&a, db, ASK_WAIT_MS,
			ASKS({ SQL_pieces_list, VALUES(txt(span->batch), num(span->n)) }), err) &&
	       span_pieces_read(&a.of[0], ret, ret_n, err);
}
