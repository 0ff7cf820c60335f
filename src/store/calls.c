/* calls.c: recognising a call that was made before (contract 2.4).
 *
 * Two kinds of calls, which never meet: those with an idempotency key, where the key alone decides;
 * and those without, where only a call that says it is a resend is taken for a repetition, and only
 * of one with the same content. A plain call is never suppressed but is recorded all the same: its
 * resend has to find it. */
#include "store/store_priv.h"

#define RESEND_S 120

static bool find_by_key(struct db *db, const struct call *call, int64_t now,
			char ret_id[static ID_SIZE], struct error *err)
{
	AUTO(query_done)
	struct query q = query(db, SQL_call_by_key,
			       VALUES(txt(call->key), txt(call->route), txt(call->idempotency_key),
				      num(now - CALL_KEPT_S)));
	char answer[ID_SIZE], fingerprint[sizeof(call->fingerprint)];
	bool found;

	if (!query_step(&q, &found, err))
		return false;
	if (!found)
		return true;
	query_text(&q, answer, sizeof(answer));
	query_text(&q, fingerprint, sizeof(fingerprint));
	if (!query_row_ok(&q, err))
		return false;
	if (strcmp(fingerprint, call->fingerprint) != 0)
		return fail(
			err, ERR_KEY_REUSED,
			"This Idempotency-Key was used before for a request with other content.");
	memcpy(ret_id, answer, sizeof(answer));
	return true;
}

static bool find_resent(struct db *db, const struct call *call, int64_t now,
			char ret_id[static ID_SIZE], struct error *err)
{
	AUTO(query_done)
	struct query q = query(db, SQL_call_by_content,
			       VALUES(txt(call->key), txt(call->route), txt(call->fingerprint),
				      num(now - RESEND_S)));
	bool found;

	if (!query_step(&q, &found, err))
		return false;
	if (!found)
		return true;
	query_text(&q, ret_id, ID_SIZE);
	return query_row_ok(&q, err);
}

bool call_find(struct db *db, const struct call *call, int64_t now, char ret_id[static ID_SIZE],
	       struct error *err)
{
	ret_id[0] = '\0';
	if (call == NULL)
		return true;
	if (call->idempotency_key[0] != '\0')
		return find_by_key(db, call, now, ret_id, err);
	if (call->resent)
		return find_resent(db, call, now, ret_id, err);
	return true;
}

bool call_record(struct db *db, const struct call *call, const char *answer, int64_t now,
		 struct error *err)
{
	if (call == NULL)
		return true;
	return sql_run(db, SQL_call_insert,
		       VALUES(txt(call->key), txt(call->route), txt_or_null(call->idempotency_key),
			      txt(call->fingerprint), txt(answer), num(now)),
		       NULL, err);
}

bool store_call_find(struct store *s, const struct call *call, int64_t now,
		     char ret_id[static ID_SIZE], struct error *err)
{
	AUTO(reader_return) struct db *db = reader_borrow(s);

	return call_find(db, call, now, ret_id, err);
}
