/* deliveries.c: the outbox of webhooks: what is to be sent, and the log of what was. */
#include "base/sys.h"
#include "store/store_priv.h"
#include "store/webhooks.h"

/* ---- filling it, in the transaction of a final state ---- */

static bool endpoints_of(struct db *db, const char *batch, enum batch_status type,
			 char (**ret)[ID_SIZE], size_t *ret_n, struct error *err)
{
	AUTO(query_done)
	struct query q = query(db, SQL_webhook_of_batch, VALUES(txt(batch), num(1 << type)));

	return query_ids(&q, ret, ret_n, err);
}

/* The event is one, whoever is told of it. */
bool outbox_fill(struct db *db, const char *batch, enum batch_status type, int64_t now,
		 struct error *err)
{
	AUTO(auto_free) char(*endpoints)[ID_SIZE] = NULL;
	char event[ID_SIZE], id[ID_SIZE];
	size_t n = 0;

	if (!endpoints_of(db, batch, type, &endpoints, &n, err))
		return false;
	if (n == 0)
		return true;
	id_event(event);
	for (size_t i = 0; i < n; i++) {
		id_delivery(id);
		if (!sql_run(db, SQL_delivery_insert,
			     VALUES(txt(id), txt(endpoints[i]), txt(event), num(type), txt(batch),
				    num(now)),
			     NULL, err))
			return false;
	}
	db->store->outbox_filled = true;
	failpoint("webhook.before_final");
	return true;
}

void store_outbox_watch(struct store *s, outbox_fn filled, void *ctx)
{
	pthread_mutex_lock(&s->watch_lock);
	s->outbox = filled;
	s->outbox_ctx = ctx;
	pthread_mutex_unlock(&s->watch_lock);
}

void store_outbox_look(struct store *s)
{
	pthread_mutex_lock(&s->watch_lock);
	if (s->outbox != NULL)
		s->outbox(s->outbox_ctx);
	pthread_mutex_unlock(&s->watch_lock);
}

/* ---- the log ---- */

static bool delivery_read(struct query *q, struct webhook_delivery *ret, struct error *err)
{
	query_text(q, ret->id, sizeof(ret->id));
	query_text(q, ret->event, sizeof(ret->event));
	ret->type = (enum batch_status)query_int(q);
	ret->at = query_int(q);
	ret->attempts = query_u64(q);
	ret->status = query_int(q);
	ret->latency_ms = query_int(q);
	query_text(q, ret->error, sizeof(ret->error));
	ret->next_at = query_int(q);
	if (ret->attempts == 0)
		ret->latency_ms = -1;
	return query_row_ok(q, err);
}

static bool find_cursor(struct db *db, const char *endpoint, const char *after, int64_t *ret,
			struct error *err)
{
	AUTO(query_done)
	struct query q = query(db, SQL_delivery_cursor, VALUES(txt(after), txt(endpoint)));
	bool known;

	if (!query_step(&q, &known, err))
		return false;
	if (!known)
		return fail_param(err, "after", "invalid_value",
				  "Invalid value for 'after': no delivery has the id '%s'.", after);
	*ret = query_int(&q);
	return true;
}

bool store_delivery_list(struct store *s, const char *org, const char *endpoint, const char *after,
			 unsigned limit, struct webhook_delivery **ret, size_t *ret_n,
			 bool *ret_more, struct error *err)
{
	AUTO(reader_return) struct db *db = reader_borrow(s);
	int64_t before = INT64_MAX;

	if (!webhook_is_there(db, org, endpoint, err) ||
	    (after != NULL && !find_cursor(db, endpoint, after, &before, err)))
		return false;
	AUTO(query_done)
	struct query q = query(db, SQL_delivery_list,
			       VALUES(txt(endpoint), num(before), num((int64_t)limit + 1),
				      num(WEBHOOK_LOG)));
	AUTO(auto_free) struct webhook_delivery *list = calloc(limit, sizeof(*list));
	size_t n = 0;
	bool row;

	if (list == NULL)
		return fail_memory(err);
	for (;;) {
		if (!query_step(&q, &row, err))
			return false;
		if (!row || n == limit)
			break;
		if (!delivery_read(&q, &list[n++], err))
			return false;
	}
	*ret = TAKE(list);
	*ret_n = n;
	*ret_more = row;
	return true;
}

static bool delivery_get(struct db *db, const char *endpoint, const char *id,
			 struct webhook_delivery *ret, struct error *err)
{
	AUTO(query_done)
	struct query q = query(db, SQL_delivery_get, VALUES(txt(id), txt(endpoint)));
	bool found;

	if (!query_step(&q, &found, err))
		return false;
	return found ? delivery_read(&q, ret, err)
		     : fail(err, ERR_NOT_FOUND, "No webhook delivery found with id '%s'.", id);
}

bool store_delivery_replay(struct store *s, const char *org, const char *endpoint, const char *id,
			   int64_t now, struct webhook_delivery *ret, struct error *err)
{
	AUTO(txn_end) struct txn t = { 0 };

	if (!txn_begin(&t, s, err) || !webhook_is_there(t.db, org, endpoint, err) ||
	    !sql_run(t.db, SQL_delivery_replay, VALUES(txt(id), txt(endpoint), num(now)), NULL,
		     err) ||
	    !delivery_get(t.db, endpoint, id, ret, err))
		return false;
	s->outbox_filled = true;
	return txn_commit(&t, err);
}

/* ---- delivering ---- */

bool store_webhooks_pending(struct store *s, char (**ret)[ID_SIZE], size_t *ret_n,
			    struct error *err)
{
	AUTO(reader_return) struct db *db = reader_borrow(s);
	AUTO(query_done) struct query q = query(db, SQL_webhook_pending, VALUES());

	return query_ids(&q, ret, ret_n, err);
}

static bool due_read(struct query *q, struct webhook_due *ret, struct error *err)
{
	query_text(q, ret->id, sizeof(ret->id));
	query_text(q, ret->event, sizeof(ret->event));
	ret->type = (enum batch_status)query_int(q);
	query_text(q, ret->batch, sizeof(ret->batch));
	ret->at = query_int(q);
	ret->began_at = query_int(q);
	ret->attempts = query_u64(q);
	ret->next_at = query_int(q);
	query_text(q, ret->endpoint, sizeof(ret->endpoint));
	query_text(q, ret->url, sizeof(ret->url));
	query_text(q, ret->secret, sizeof(ret->secret));
	query_text(q, ret->old_secret, sizeof(ret->old_secret));
	ret->old_until = query_int(q);
	ret->failing = query_int(q) != 0;
	return query_row_ok(q, err);
}

bool store_webhook_due(struct store *s, const char *endpoint, unsigned most,
		       struct webhook_due **ret, size_t *ret_n, struct error *err)
{
	AUTO(reader_return) struct db *db = reader_borrow(s);
	AUTO(query_done)
	struct query q = query(db, SQL_delivery_next, VALUES(txt(endpoint), num(most)));
	AUTO(auto_free) struct webhook_due *list = calloc(most, sizeof(*list));
	size_t n = 0;
	bool row;

	if (list == NULL)
		return fail_memory(err);
	while (n < most) {
		if (!query_step(&q, &row, err))
			return false;
		if (!row)
			break;
		if (!due_read(&q, &list[n++], err))
			return false;
	}
	*ret = TAKE(list);
	*ret_n = n;
	return true;
}

static bool result_record(struct db *db, struct webhook_result *r, struct error *err)
{
	uint64_t recorded = 0, turned = 0;

	if (!sql_run(db, SQL_delivery_record,
		     VALUES(txt(r->delivery), num_or_null(r->status), num((int64_t)r->latency_ms),
			    txt(r->error), num_or_null(r->next_at), num(r->began_at)),
		     &recorded, err) ||
	    !sql_run(db, SQL_webhook_mark, VALUES(txt(r->endpoint), num(r->error != NULL)), &turned,
		     err))
		return false;
	r->recorded = recorded > 0;
	r->turned = turned > 0;
	return r->next_at != 0 || sql_run(db, SQL_delivery_prune,
					  VALUES(txt(r->endpoint), num(WEBHOOK_LOG)), NULL, err);
}

bool store_webhook_record(struct store *s, struct webhook_result *list, size_t n, struct error *err)
{
	AUTO(txn_end) struct txn t = { 0 };

	if (!txn_begin(&t, s, err))
		return false;
	for (size_t i = 0; i < n; i++)
		if (!result_record(t.db, &list[i], err))
			return false;
	/* A crash up to here leaves the deliveries due: they are sent once more. */
	failpoint("webhook.before_record");
	if (!txn_commit(&t, err))
		return false;
	failpoint("webhook.after_record");
	return true;
}

bool store_outbox_shift(struct store *s, int64_t off_s, int64_t latest, struct error *err)
{
	AUTO(txn_end) struct txn t = { 0 };

	return txn_begin(&t, s, err) &&
	       sql_run(t.db, SQL_delivery_shift, VALUES(num(off_s), num(latest)), NULL, err) &&
	       txn_commit(&t, err);
}

bool store_outbox_oldest(struct store *s, int64_t *ret, struct error *err)
{
	AUTO(reader_return) struct db *db = reader_borrow(s);

	return sql_number(db, SQL_delivery_oldest, VALUES(), ret, err);
}
