#include "store/node_history.h"

#include "store/asks.h"

#define HISTORY_WAIT_MS 1000

/* ---- organizations ---- */

enum tick_column { ORG, TICK, LINES, TOKENS, FIRST_MS, FIRSTS, TICK_COLUMNS };

static bool columns_end(struct buf *columns, size_t n, struct error *err)
{
	bool failed = false;

	for (size_t i = 0; i < n; i++) {
		array_end(&columns[i]);
		failed |= columns[i].failed;
	}
	return !failed || fail_memory(err);
}

static void columns_free(struct buf *columns, size_t n)
{
	for (size_t i = 0; i < n; i++)
		buf_free(&columns[i]);
}

static bool ticks_columns(const struct ticks_row *rows, size_t n, struct buf *c, struct error *err)
{
	for (size_t i = 0; i < n; i++) {
		array_text(&c[ORG], rows[i].org);
		array_u64(&c[TICK], (uint64_t)rows[i].tick);
		array_u64(&c[LINES], rows[i].lines);
		array_u64(&c[TOKENS], rows[i].tokens);
		array_u64(&c[FIRST_MS], rows[i].first_ms);
		array_u64(&c[FIRSTS], rows[i].firsts);
	}
	return columns_end(c, TICK_COLUMNS, err);
}

/* crash, before it: what its node had counted since is nobody's. */
bool store_ticks_add(struct db *db, uint64_t node, const struct ticks_row *rows, size_t n,
		     int64_t forget_before, struct error *err)
{
	AUTO(asks_done) struct asks a = { 0 };
	struct buf c[TICK_COLUMNS] = { LIST, LIST, LIST, LIST, LIST, LIST };
	bool ok = ticks_columns(rows, n, c, err);
	const struct value *add = VALUES(u64(node), txt(c[ORG].p), txt(c[TICK].p), txt(c[LINES].p),
					 txt(c[TOKENS].p), txt(c[FIRST_MS].p), txt(c[FIRSTS].p));
	if (forget_before > 0)
		ok = ok && asks_run(&a, db, HISTORY_WAIT_MS,
				    ASKS({ SQL_history_add, add },
					 { SQL_history_forget, VALUES(num(forget_before)) }),
				    err);
	else
		ok = ok && asks_run(&a, db, HISTORY_WAIT_MS, ASKS({ SQL_history_add, add }), err);

	columns_free(c, TICK_COLUMNS);
	return ok;
}

static bool step_read(struct query *q, void *to, struct error *err)
{
	struct ticks_row *ret = to;

	*ret = (struct ticks_row){ .tick = query_int(q) };
	ret->lines = query_u64(q);
	ret->tokens = query_u64(q);
	ret->first_ms = query_u64(q);
	ret->firsts = query_u64(q);
	return query_row_ok(q, err);
}

bool store_ticks_read(struct db *db, const char *org, int64_t from, unsigned ticks,
		      struct ticks_row **ret, size_t *ret_n, struct error *err)
{
	AUTO(asks_done) struct asks a = { 0 };

	if (!asks_run(&a, db, HISTORY_WAIT_MS,
		      ASKS({ SQL_history_read, VALUES(txt(org), num(from), num(ticks)) }), err))
		return false;
	*ret = query_rows(&a.of[0], step_read, sizeof(**ret), ret_n, err);
	return *ret != NULL;
}

/* ---- batches ---- */

enum pace_column { BATCH, BEGUN, STEP_S, STEPS, PACE_COLUMNS };

/* crash, before it: the steps since the last one are nobody's. */
bool store_paces_put(struct db *db, uint64_t node, const struct pace_text *of, size_t n,
		     unsigned forget_s, struct error *err)
{
	AUTO(asks_done) struct asks a = { 0 };
	struct buf c[PACE_COLUMNS] = { LIST, LIST, LIST, LIST };

	for (size_t i = 0; i < n; i++) {
		array_text(&c[BATCH], of[i].batch);
		array_u64(&c[BEGUN], (uint64_t)of[i].begun);
		array_u64(&c[STEP_S], of[i].step_s);
		array_text(&c[STEPS], of[i].lines);
	}
	bool ok = columns_end(c, PACE_COLUMNS, err);
	const struct value *put = VALUES(u64(node), txt(c[BATCH].p), txt(c[BEGUN].p),
					 txt(c[STEP_S].p), txt(c[STEPS].p));
	if (forget_s > 0)
		ok = ok && asks_run(&a, db, HISTORY_WAIT_MS,
				    ASKS({ SQL_paces_put, put },
					 { SQL_paces_forget, VALUES(num(forget_s)) }),
				    err);
	else
		ok = ok && asks_run(&a, db, HISTORY_WAIT_MS, ASKS({ SQL_paces_put, put }), err);
	columns_free(c, PACE_COLUMNS);
	return ok;
}

static bool pace_read(struct query *q, void *to, struct error *err)
{
	struct pace_text *ret = to;

	ret->batch[0] = '\0';
	ret->begun = query_int(q);
	ret->step_s = (unsigned)query_u64(q);
	query_text(q, ret->lines, sizeof(ret->lines));
	return query_row_ok(q, err);
}

bool store_paces_list(struct db *db, const char *batch, struct pace_text **ret, size_t *ret_n,
		      struct error *err)
{
	AUTO(asks_done) struct asks a = { 0 };

	if (!asks_run(&a, db, HISTORY_WAIT_MS, ASKS({ SQL_paces_list, VALUES(txt(batch)) }), err))
		return false;
	*ret = query_rows(&a.of[0], pace_read, sizeof(**ret), ret_n, err);
	return *ret != NULL;
}
