/* watch.c: who is told of changes, and what changed since. */
#include "store/store_priv.h"

void store_watch(struct store *s, const struct batch_watch *watch)
{
	turn_take(s);
	pthread_mutex_lock(&s->watch_lock);
	s->watch = watch != NULL ? *watch : (struct batch_watch){ 0 };
	pthread_mutex_unlock(&s->watch_lock);
	turn_end(s);
}

void store_changed_elsewhere(struct store *s)
{
	pthread_mutex_lock(&s->watch_lock);
	if (s->watch.moved != NULL && s->watch.wanted(s->watch.ctx))
		s->watch.moved(s->watch.ctx, NULL);
	pthread_mutex_unlock(&s->watch_lock);
}

/* ---- what changed ---- */

bool store_changed_last(struct store *s, const char *org, int64_t *ret, struct error *err)
{
	AUTO(reader_return) struct db *db = reader_borrow(s);

	return sql_number(db, SQL_batch_changed_last, VALUES(txt(org)), ret, err);
}

bool store_batches_changed(struct store *s, const struct changed_query *asked, struct batch *to,
			   size_t *ret_n, struct error *err)
{
	AUTO(reader_return) struct db *db = reader_borrow(s);
	AUTO(query_done)
	struct query q = query(db, asked->open_only ? SQL_batch_changed_open : SQL_batch_changed,
			       VALUES(txt(asked->org), num(asked->after), num(asked->up_to),
				      num((int64_t)asked->limit)));
	bool row = true, ok = true;
	size_t n = 0;

	while (ok && n < asked->limit) {
		ok = query_step(&q, &row, err);
		if (!ok || !row)
			break;
		ok = batch_read(&q, &to[n], err);
		n += ok;
	}
	while (!ok && n > 0)
		batch_done(&to[--n]);
	*ret_n = n;
	return ok;
}
