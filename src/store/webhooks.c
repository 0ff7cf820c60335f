/* webhooks.c: endpoints of webhooks, organizations' own and the configuration's. */
#include "store/webhooks.h"

#include "base/sys.h"
#include "store/store_priv.h"

/* ---- rows ---- */

static bool endpoint_read(struct query *q, struct webhook_endpoint *ret, struct error *err)
{
	query_text(q, ret->id, sizeof(ret->id));
	query_text(q, ret->org, sizeof(ret->org));
	query_text(q, ret->name, sizeof(ret->name));
	query_text(q, ret->url, sizeof(ret->url));
	ret->event_types = (unsigned)query_u64(q);
	query_text(q, ret->secret, sizeof(ret->secret));
	query_text(q, ret->old_secret, sizeof(ret->old_secret));
	ret->old_until = query_int(q);
	ret->created_at = query_int(q);
	ret->updated_at = query_int(q);
	return query_row_ok(q, err);
}

static bool fail_no_endpoint(const char *id, struct error *err)
{
	return fail(err, ERR_NOT_FOUND, "No webhook endpoint found with id '%s'.", id);
}

static bool endpoint_get(struct db *db, const char *org, const char *id,
			 struct webhook_endpoint *ret, struct error *err)
{
	AUTO(query_done) struct query q = query(db, SQL_webhook_get, VALUES(txt(id), txt(org)));
	bool found;

	if (!query_step(&q, &found, err))
		return false;
	return found ? endpoint_read(&q, ret, err) : fail_no_endpoint(id, err);
}

bool webhook_is_there(struct db *db, const char *org, const char *id, struct error *err)
{
	AUTO(query_done) struct query q = query(db, SQL_webhook_cursor, VALUES(txt(id), txt(org)));
	bool found;

	return query_step(&q, &found, err) && (found || fail_no_endpoint(id, err));
}

/* ---- making ---- */

static bool room_for_endpoint(struct db *db, const char *org, uint64_t most, struct error *err)
{
	int64_t n;

	if (most == 0)
		return true;
	if (!sql_number(db, SQL_webhook_count, VALUES(txt(org)), &n, err))
		return false;
	return (uint64_t)n < most ||
	       fail_param(err, NULL, "webhook_endpoint_quota_exceeded",
			  "An organization may have %llu webhook endpoints "
			  "(webhooks.max_endpoints). Please delete some first.",
			  (unsigned long long)most);
}

bool store_webhook_create(struct store *s, const struct webhook_endpoint *e, uint64_t most,
			  struct error *err)
{
	AUTO(txn_end) struct txn t = { 0 };

	if (!txn_begin(&t, s, err) || !room_for_endpoint(t.db, e->org, most, err) ||
	    !sql_run(t.db, SQL_webhook_insert,
		     VALUES(txt(e->id), txt(e->org), txt(e->name), txt(e->url), num(e->event_types),
			    txt(e->secret), num(e->created_at)),
		     NULL, err) ||
	    !txn_commit(&t, err))
		return false;
	/* A crash here leaves an endpoint whose secret nobody was told: its owner sees it in the
	 * list, and rotates its secret or deletes it. */
	failpoint("webhook.endpoint_made");
	return true;
}

/* ---- reading ---- */

bool store_webhook_get(struct store *s, const char *org, const char *id,
		       struct webhook_endpoint *ret, struct error *err)
{
	AUTO(reader_return) struct db *db = reader_borrow(s);

	return endpoint_get(db, org, id, ret, err);
}

static bool find_cursor(struct db *db, const char *org, const char *after, int64_t *ret,
			struct error *err)
{
	AUTO(query_done)
	struct query q = query(db, SQL_webhook_cursor, VALUES(txt(after), txt(org)));
	bool known;

	if (!query_step(&q, &known, err))
		return false;
	if (!known)
		return fail_param(err, "after", "invalid_value",
				  "Invalid value for 'after': no webhook endpoint has the id '%s'.",
				  after);
	*ret = query_int(&q);
	return true;
}

bool store_webhook_list(struct store *s, const char *org, const char *after, unsigned limit,
			struct webhook_endpoint **ret, size_t *ret_n, bool *ret_more,
			struct error *err)
{
	AUTO(reader_return) struct db *db = reader_borrow(s);
	int64_t before = INT64_MAX;

	if (after != NULL && !find_cursor(db, org, after, &before, err))
		return false;
	AUTO(query_done)
	struct query q = query(db, SQL_webhook_list,
			       VALUES(txt(org), num(before), num((int64_t)limit + 1)));
	AUTO(auto_free) struct webhook_endpoint *list = calloc(limit, sizeof(*list));
	size_t n = 0;
	bool row;

	if (list == NULL)
		return fail_memory(err);
	for (;;) {
		if (!query_step(&q, &row, err))
			return false;
		if (!row || n == limit)
			break;
		if (!endpoint_read(&q, &list[n++], err))
			return false;
	}
	*ret = TAKE(list);
	*ret_n = n;
	*ret_more = row;
	return true;
}

/* ---- changing ---- */

bool store_webhook_update(struct store *s, const char *org, const char *id,
			  const struct webhook_change *change, int64_t now,
			  struct webhook_endpoint *ret, struct error *err)
{
	AUTO(txn_end) struct txn t = { 0 };

	if (!txn_begin(&t, s, err) ||
	    !sql_run(t.db, SQL_webhook_update,
		     VALUES(txt(id), txt(org), txt(change->name), txt(change->url),
			    num_or_null(change->event_types), num(now)),
		     NULL, err) ||
	    !endpoint_get(t.db, org, id, ret, err))
		return false;
	if (change->url != NULL &&
	    !sql_run(t.db, SQL_delivery_hurry, VALUES(txt(id), num(now)), NULL, err))
		return false;
	s->outbox_filled = change->url != NULL;
	return txn_commit(&t, err);
}

bool store_webhook_rotate(struct store *s, const char *org, const char *id, const char *secret,
			  int64_t old_until, int64_t now, struct webhook_endpoint *ret,
			  struct error *err)
{
	AUTO(txn_end) struct txn t = { 0 };

	if (!txn_begin(&t, s, err) ||
	    !sql_run(t.db, SQL_webhook_rotate,
		     VALUES(txt(id), txt(org), txt(secret), num_or_null(old_until), num(now)), NULL,
		     err) ||
	    !endpoint_get(t.db, org, id, ret, err) || !txn_commit(&t, err))
		return false;
	/* A crash here leaves a secret that nobody was told; the one before signs as well, unless
	 * it was to end at once. Rotating again shows another. */
	failpoint("webhook.rotated");
	return true;
}

static bool endpoint_remove(struct db *db, const char *id, struct error *err)
{
	return sql_run(db, SQL_delivery_forget, VALUES(txt(id)), NULL, err) &&
	       sql_run(db, SQL_webhook_delete, VALUES(txt(id)), NULL, err);
}

bool store_webhook_delete(struct store *s, const char *org, const char *id, struct error *err)
{
	AUTO(txn_end) struct txn t = { 0 };

	return txn_begin(&t, s, err) && webhook_is_there(t.db, org, id, err) &&
	       endpoint_remove(t.db, id, err) && txn_commit(&t, err);
}

/* ---- the configuration's ---- */

static bool is_among(const char *id, const struct webhook_endpoint *list, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (strcmp(list[i].id, id) == 0)
			return true;
	return false;
}

static bool configured_ids(struct db *db, char (**ret)[ID_SIZE], size_t *ret_n, struct error *err)
{
	AUTO(query_done) struct query q = query(db, SQL_webhook_configured, VALUES());

	return query_ids(&q, ret, ret_n, err);
}

bool store_webhook_configure(struct store *s, const struct webhook_endpoint *list, size_t n,
			     int64_t now, struct error *err)
{
	AUTO(txn_end) struct txn t = { 0 };
	AUTO(auto_free) char(*before)[ID_SIZE] = NULL;
	size_t count = 0;

	if (!txn_begin(&t, s, err) || !configured_ids(t.db, &before, &count, err))
		return false;
	for (size_t i = 0; i < count; i++)
		if (!is_among(before[i], list, n) && !endpoint_remove(t.db, before[i], err))
			return false;
	for (size_t i = 0; i < n; i++)
		if (!sql_run(t.db, SQL_webhook_configure,
			     VALUES(txt(list[i].id), txt_or_null(list[i].org), txt(list[i].name),
				    txt(list[i].url), num(list[i].event_types), num(now)),
			     NULL, err))
			return false;
	return txn_commit(&t, err);
}
