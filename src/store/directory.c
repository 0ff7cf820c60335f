/* directory.c: which data directory this database belongs to, and how late it is. */
#include "store/store_priv.h"

static bool row_get(struct db *db, struct store_directory *ret, bool *ret_found, struct error *err)
{
	AUTO(query_done) struct query q = query(db, SQL_directory_get, VALUES());

	*ret = (struct store_directory){ 0 };
	if (!query_step(&q, ret_found, err))
		return false;
	if (!*ret_found)
		return true;
	query_text(&q, ret->id, sizeof(ret->id));
	ret->turns = query_u64(&q);
	return query_row_ok(&q, err);
}

bool store_directory_get(struct store *s, struct store_directory *ret, bool *ret_found,
			 struct error *err)
{
	AUTO(reader_return) struct db *db = reader_borrow(s);

	return row_get(db, ret, ret_found, err);
}

bool store_answers(struct store *s, struct error *err)
{
	struct store_directory ignored;
	bool found;

	return !store_waits(s) || store_directory_get(s, &ignored, &found, err);
}

bool store_directory_put(struct store *s, const struct store_directory *d, int64_t now,
			 struct error *err)
{
	AUTO(txn_end) struct txn t = { 0 };

	return txn_begin(&t, s, err) &&
	       sql_run(t.db, SQL_directory_put,
		       VALUES(txt(d->id), num((int64_t)d->turns), num(now)), NULL, err) &&
	       txn_commit(&t, err);
}

/* Who counts at one time waits for the row until this transaction has ended. */
bool store_directory_turn(struct store *s, const char *id, int64_t now, struct store_directory *ret,
			  struct error *err)
{
	AUTO(txn_end) struct txn t = { 0 };
	bool found;

	return txn_begin(&t, s, err) &&
	       sql_run(t.db, SQL_directory_turn, VALUES(txt(id), num(now)), NULL, err) &&
	       row_get(t.db, ret, &found, err) && txn_commit(&t, err);
}

bool store_newest(struct store *s, int64_t *ret, struct error *err)
{
	AUTO(reader_return) struct db *db = reader_borrow(s);

	return sql_number(db, SQL_newest, VALUES(), ret, err);
}
