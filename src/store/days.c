/* days.c: the tokens that organizations took on a day (contract 13.1). */
#include <assert.h>
#include <stdlib.h>

#include "store/store_priv.h"

#define DAYS_KEPT 31

static struct value u64(uint64_t number)
{
	assert(number <= INT64_MAX);
	return num((int64_t)number);
}

bool day_add_of_batch(struct db *db, const char *batch_id, const struct merge_state *m,
		      struct error *err)
{
	return m->day_tokens == 0 ||
	       sql_run(db, SQL_day_add_of_batch,
		       VALUES(txt(batch_id), num(m->day), u64(m->day_tokens)), NULL, err);
}

bool store_day_add(struct store *s, int64_t day, const struct token_count *list, size_t n,
		   struct error *err)
{
	AUTO(txn_end) struct txn t = { 0 };

	if (!txn_begin(&t, s, err))
		return false;
	for (size_t i = 0; i < n; i++)
		if (!sql_run(t.db, SQL_day_add,
			     VALUES(txt(list[i].id), num(day), u64(list[i].tokens)), NULL, err))
			return false;
	return txn_commit(&t, err);
}

bool store_day_begin(struct store *s, int64_t day, bool forget, const struct token_count *list,
		     size_t n, struct error *err)
{
	AUTO(txn_end) struct txn t = { 0 };

	if (!txn_begin(&t, s, err))
		return false;
	for (size_t i = 0; i < n; i++)
		if (!sql_run(t.db, SQL_day_counted, VALUES(txt(list[i].id), u64(list[i].tokens)),
			     NULL, err))
			return false;
	if (forget && !sql_run(t.db, SQL_day_forget, VALUES(num(day - DAYS_KEPT)), NULL, err))
		return false;
	return txn_commit(&t, err);
}

bool store_day_get(struct store *s, const char *org, int64_t day, uint64_t *ret, struct error *err)
{
	AUTO(reader_return) struct db *db = reader_borrow(s);
	int64_t tokens;

	if (!sql_number(db, SQL_day_get, VALUES(txt(org), num(day)), &tokens, err))
		return false;
	*ret = (uint64_t)tokens;
	return true;
}

static bool row_read(struct query *q, void *to, struct error *err)
{
	struct org_day *day = to;

	(void)err;
	query_text(q, day->org, sizeof(day->org));
	day->tokens = query_u64(q);
	day->own = query_int(q);
	return true;
}

static bool rows_read(struct db *db, int64_t day, struct org_day **ret, size_t *ret_n,
		      struct error *err)
{
	const char *limit = org_limit_names[LIMIT_TOKENS_PER_DAY];
	AUTO(query_done) struct query q = query(db, SQL_day_list, VALUES(num(day), txt(limit)));

	*ret = query_rows(&q, row_read, sizeof(**ret), ret_n, err);
	return *ret != NULL;
}

bool store_day_list(struct store *s, int64_t day, bool configured, bool *ret_limited,
		    struct org_day **ret, size_t *ret_n, struct error *err)
{
	AUTO(reader_return) struct db *db = reader_borrow(s);
	const char *limit = org_limit_names[LIMIT_TOKENS_PER_DAY];
	int64_t used = 0;

	*ret = NULL;
	*ret_n = 0;
	if (!configured && !sql_number(db, SQL_org_limit_used, VALUES(txt(limit)), &used, err))
		return false;
	*ret_limited = configured || used != 0;
	return !*ret_limited || rows_read(db, day, ret, ret_n, err);
}
