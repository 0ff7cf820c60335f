/* key_rows.c: what a row says of a key, and the rows of an organization's limits. */
#include "store/store_priv.h"

const char *const org_limit_names[ORG_LIMITS] = {
	[LIMIT_FILES] = "files",
	[LIMIT_BYTES] = "bytes",
	[LIMIT_UPLOADS] = "uploads",
	[LIMIT_OPEN_BATCHES] = "open_batches",
	[LIMIT_ONLINE] = "online",
	[LIMIT_LISTENERS] = "listeners",
	[LIMIT_ENQUEUED_REQUESTS] = "enqueued_requests",
	[LIMIT_ENQUEUED_TOKENS] = "enqueued_tokens",
	[LIMIT_CALLS_PER_MINUTE] = "calls_per_minute",
	[LIMIT_TOKENS_PER_DAY] = "tokens_per_day",
};

bool org_limits_read(struct db *db, const char *org_id, int64_t ret[static ORG_LIMITS],
		     struct error *err)
{
	AUTO(query_done) struct query q = query(db, SQL_org_limit_list, VALUES(txt(org_id)));
	char name[32];
	bool row;

	for (unsigned i = 0; i < ORG_LIMITS; i++)
		ret[i] = LIMIT_AS_CONFIGURED;
	while (query_step(&q, &row, err)) {
		if (!row)
			return true;
		query_text(&q, name, sizeof(name));
		int64_t value = query_int(&q);
		for (unsigned i = 0; i < ORG_LIMITS; i++)
			if (strcmp(name, org_limit_names[i]) == 0)
				ret[i] = value;
	}
	return false;
}

bool key_read(struct query *q, struct key *ret, struct error *err)
{
	query_text(q, ret->id, sizeof(ret->id));
	query_text(q, ret->org, sizeof(ret->org));
	query_text(q, ret->org_name, sizeof(ret->org_name));
	query_text(q, ret->hint, sizeof(ret->hint));
	ret->created_at = query_int(q);
	ret->revoked_at = query_int(q);
	ret->suspended = query_int(q) != 0;
	ret->is_operator = query_int(q) != 0;
	return query_row_ok(q, err);
}
