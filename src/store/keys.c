/* keys.c: organizations and their API keys. */
#include "store/store_priv.h"

/* ---- organizations ---- */

static bool org_read(struct query *q, struct org *ret, struct error *err)
{
	query_text(q, ret->id, sizeof(ret->id));
	query_text(q, ret->name, sizeof(ret->name));
	ret->created_at = query_int(q);
	ret->weight = (unsigned)query_u64(q);
	ret->suspended_at = query_int(q);
	ret->keys = query_u64(q);
	return query_row_ok(q, err);
}

static bool org_find(struct db *db, const char *name, struct org *ret, struct error *err)
{
	AUTO(query_done) struct query q = query(db, SQL_org_find, VALUES(txt(name)));
	bool found;

	if (!query_step(&q, &found, err))
		return false;
	if (!found)
		return fail(err, ERR_NOT_FOUND, "No organization is named '%s'.", name);
	return org_read(&q, ret, err);
}

/* The organization of that name, made if there is none. */
static bool org_put(struct store *s, const char *name, int64_t now, struct org *ret, bool *ret_made,
		    struct error *err)
{
	AUTO(txn_end) struct txn t = { 0 };
	char id[ID_SIZE];
	uint64_t made = 0;

	if (name[0] == '\0' || strlen(name) >= sizeof(ret->name))
		return fail_param(err, "name", "invalid_value",
				  "The name of an organization has 1 to %zu bytes.",
				  sizeof(ret->name) - 1);
	id_org(id);
	if (!txn_begin(&t, s, err) ||
	    !sql_run(t.db, SQL_org_insert, VALUES(txt(id), txt(name), num(now)), &made, err) ||
	    !org_find(t.db, name, ret, err) || !txn_commit(&t, err))
		return false;
	*ret_made = made > 0;
	return true;
}

bool store_org_ensure(struct store *s, const char *name, int64_t now, struct org *ret,
		      struct error *err)
{
	bool made = false;

	return org_put(s, name, now, ret, &made, err);
}

bool store_org_create(struct store *s, const char *name, int64_t now, struct org *ret,
		      struct error *err)
{
	bool made = false;

	if (!org_put(s, name, now, ret, &made, err))
		return false;
	if (!made)
		return fail_param(err, "name", "invalid_value",
				  "There is an organization named '%s' already.", name);
	return true;
}

bool store_org_get(struct store *s, const char *name, struct org *ret, struct error *err)
{
	AUTO(reader_return) struct db *db = reader_borrow(s);

	return org_find(db, name, ret, err);
}

static bool org_row(struct query *q, void *to, struct error *err)
{
	return org_read(q, to, err);
}

bool store_org_list(struct store *s, struct org **ret, size_t *ret_n, struct error *err)
{
	AUTO(reader_return) struct db *db = reader_borrow(s);
	AUTO(query_done) struct query q = query(db, SQL_org_list, VALUES());

	*ret = query_rows(&q, org_row, sizeof(**ret), ret_n, err);
	return *ret != NULL;
}

static bool limit_put(struct db *db, const char *name, enum org_limit limit, int64_t value,
		      struct error *err)
{
	const char *of = org_limit_names[limit];

	return value == LIMIT_AS_CONFIGURED
		       ? sql_run(db, SQL_org_limit_drop, VALUES(txt(name), txt(of)), NULL, err)
		       : sql_run(db, SQL_org_limit_put, VALUES(txt(name), txt(of), num(value)),
				 NULL, err);
}

bool store_org_change(struct store *s, const char *name, const struct org_change *change,
		      struct error *err)
{
	AUTO(txn_end) struct txn t = { 0 };
	struct org org;

	if (!txn_begin(&t, s, err) || !org_find(t.db, name, &org, err))
		return false;
	if (change->weight > 0 &&
	    !sql_run(t.db, SQL_org_weigh, VALUES(txt(name), num(change->weight)), NULL, err))
		return false;
	for (unsigned i = 0; i < ORG_LIMITS; i++)
		if (change->limits[i].changes &&
		    !limit_put(t.db, name, i, change->limits[i].to, err))
			return false;
	if (!txn_commit(&t, err))
		return false;
	key_cache_forget(&s->keys);
	return true;
}

bool store_org_weigh(struct store *s, const char *name, unsigned weight, struct error *err)
{
	if (weight < 1 || weight > ORG_WEIGHT_MAX)
		return fail_param(err, "weight", "invalid_value",
				  "A weight is from 1 to %u; this one is %u.", ORG_WEIGHT_MAX,
				  weight);
	return store_org_change(s, name, &(struct org_change){ .weight = weight }, err);
}

bool store_org_weight(struct store *s, const char *org_id, unsigned *ret, struct error *err)
{
	AUTO(reader_return) struct db *db = reader_borrow(s);
	AUTO(query_done) struct query q = query(db, SQL_org_weight, VALUES(txt(org_id)));
	bool found;

	if (!query_step(&q, &found, err))
		return false;
	if (!found)
		return fail(err, ERR_NOT_FOUND, "No organization found with id '%s'.", org_id);
	*ret = (unsigned)query_u64(&q);
	return query_row_ok(&q, err);
}

bool store_org_suspend(struct store *s, const char *name, int64_t at, bool cancel,
		       struct error *err)
{
	AUTO(txn_end) struct txn t = { 0 };
	uint64_t changed = 0;

	if (!txn_begin(&t, s, err) ||
	    !sql_run(t.db, SQL_org_suspend, VALUES(txt(name), num_or_null(at), num(cancel)),
		     &changed, err))
		return false;
	if (changed == 0)
		return fail(err, ERR_NOT_FOUND, "No organization is named '%s'.", name);
	if (!txn_commit(&t, err))
		return false;
	key_cache_forget(&s->keys);
	return true;
}

bool store_org_limit(struct store *s, const char *name, enum org_limit limit, int64_t value,
		     struct error *err)
{
	struct org_change change = { 0 };

	change.limits[limit].changes = true;
	change.limits[limit].to = value;
	return store_org_change(s, name, &change, err);
}

bool store_org_limits(struct store *s, const char *org_id, int64_t ret[static ORG_LIMITS],
		      struct error *err)
{
	AUTO(reader_return) struct db *db = reader_borrow(s);

	return org_limits_read(db, org_id, ret, err);
}

bool store_orgs_suspended(struct store *s, const char *org_id, char (**ret)[ID_SIZE], size_t *ret_n,
			  struct error *err)
{
	AUTO(reader_return) struct db *db = reader_borrow(s);
	AUTO(query_done) struct query q = query(db, SQL_org_suspended, VALUES(txt(org_id)));

	return query_ids(&q, ret, ret_n, err);
}

/* ---- keys ---- */

bool store_key_create(struct store *s, struct key *k, const char *hash, struct error *err)
{
	AUTO(txn_end) struct txn t = { 0 };
	int64_t known;

	id_key(k->id);
	if (!txn_begin(&t, s, err) ||
	    !sql_number(t.db, SQL_org_known, VALUES(txt(k->org)), &known, err))
		return false;
	if (!known)
		return fail(err, ERR_NOT_FOUND, "No organization found with id '%s'.", k->org);
	return sql_run(t.db, SQL_key_insert,
		       VALUES(txt(k->id), txt(k->org), txt(hash), txt(k->hint), num(k->created_at),
			      num(k->is_operator)),
		       NULL, err) &&
	       txn_commit(&t, err);
}

static bool key_row(struct query *q, void *to, struct error *err)
{
	return key_read(q, to, err);
}

bool store_key_list(struct store *s, const char *org, struct key **ret, size_t *ret_n,
		    struct error *err)
{
	AUTO(reader_return) struct db *db = reader_borrow(s);
	AUTO(query_done) struct query q = query(db, SQL_key_list, VALUES(txt(org)));

	*ret = query_rows(&q, key_row, sizeof(**ret), ret_n, err);
	return *ret != NULL;
}

/* How many keys go by the id or hint `name`, and how many of those are in force. */
static bool keys_named(struct db *db, const char *name, int64_t *ret_known, int64_t *ret_in_force,
		       struct error *err)
{
	AUTO(query_done) struct query q = query(db, SQL_key_named, VALUES(txt(name)));
	bool row;

	if (!query_step(&q, &row, err))
		return false;
	*ret_known = query_int(&q);
	*ret_in_force = query_int(&q);
	return true;
}

bool store_key_revoke(struct store *s, const char *id, int64_t now, struct error *err)
{
	AUTO(txn_end) struct txn t = { 0 };
	int64_t known, in_force;

	if (!txn_begin(&t, s, err) || !keys_named(t.db, id, &known, &in_force, err))
		return false;
	if (known == 0)
		return fail(err, ERR_NOT_FOUND, "No API key found with id or hint '%s'.", id);
	if (in_force > 1)
		return fail_param(err, "id", "invalid_value",
				  "%lld keys begin like '%s'. Name the one to revoke by its id.",
				  (long long)in_force, id);
	if (!sql_run(t.db, SQL_key_revoke, VALUES(txt(id), num(now)), NULL, err) ||
	    !txn_commit(&t, err))
		return false;
	key_cache_forget(&s->keys);
	return true;
}

bool store_key_find(struct store *s, const char *hash, struct key *ret, struct error *err)
{
	return key_cache_find(&s->keys, hash, ret, err);
}

uint64_t store_operator_stamp(struct store *s)
{
	return key_cache_round(&s->keys);
}

bool store_key_known(struct store *s, const char *hash)
{
	return key_cache_knows(&s->keys, hash);
}

bool store_uploads_pending(struct store *s, const char *org, uint64_t *ret, struct error *err)
{
	return key_cache_uploads(&s->keys, org, ret, err);
}

bool store_key_count(struct store *s, uint64_t *ret, struct error *err)
{
	AUTO(reader_return) struct db *db = reader_borrow(s);
	int64_t n;

	if (!sql_number(db, SQL_key_count, VALUES(), &n, err))
		return false;
	*ret = (uint64_t)n;
	return true;
}
