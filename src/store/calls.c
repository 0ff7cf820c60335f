/* calls.c: recognising a call that was made before (contract 2.4).
 *
 * Two kinds of calls, which never meet: those with an idempotency key, where the key alone decides;
 * and those without, where only a call that says it is a resend is taken for a repetition, and only
 * of one with the same content. A plain call is never suppressed but is recorded all the same: its
 * resend has to find it.
 *
 * On one machine a resend is held off while its plain call runs (api/repeat.h). Of nodes, which do not
 * know of each other's calls, it may be done before: so it is recorded a second time, under a route of its
 * own, and there its plain call finds it. A plain call that comes later, to make another, does not: only
 * what was recorded after its look (store_call_find()) counts, by numbers, which go by commits and no clock. */
#include <stdio.h>

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

/* `since`: when it was made, at the earliest; `from`: its number, at least. */
static bool find_content(struct db *db, const struct call *call, const char *route, int64_t since,
			 int64_t from, char ret_id[static ID_SIZE], struct error *err)
{
	AUTO(query_done)
	struct query q = query(db, SQL_call_by_content,
			       VALUES(txt(call->key), txt(route), txt(call->fingerprint),
				      num(since), num(from)));
	bool found;

	if (!query_step(&q, &found, err))
		return false;
	if (!found)
		return true;
	query_text(&q, ret_id, ID_SIZE);
	return query_row_ok(&q, err);
}

#define RESENT_ROUTE_SIZE 128

static void resent_route(const struct call *call, char ret[static RESENT_ROUTE_SIZE])
{
	snprintf(ret, RESENT_ROUTE_SIZE, "resent %s", call->route);
}

bool call_find(struct db *db, const struct call *call, int64_t now, char ret_id[static ID_SIZE],
	       struct error *err)
{
	char route[RESENT_ROUTE_SIZE];

	ret_id[0] = '\0';
	if (call == NULL)
		return true;
	if (call->idempotency_key[0] != '\0')
		return find_by_key(db, call, now, ret_id, err);
	if (call->resent)
		return find_content(db, call, call->route, now - RESEND_S, 0, ret_id, err);
	if (call->resent_from == 0)
		return true;
	resent_route(call, route);
	return find_content(db, call, route, 0, call->resent_from, ret_id, err);
}

static bool record_as(struct db *db, const struct call *call, const char *route, const char *answer,
		      int64_t now, struct error *err)
{
	return sql_run(db, SQL_call_insert,
		       VALUES(txt(call->key), txt(route), txt_or_null(call->idempotency_key),
			      txt(call->fingerprint), txt(answer), num(now)),
		       NULL, err);
}

bool call_record(struct db *db, const struct call *call, const char *answer, int64_t now,
		 struct error *err)
{
	char route[RESENT_ROUTE_SIZE];

	if (call == NULL)
		return true;
	if (!record_as(db, call, call->route, answer, now, err))
		return false;
	if (!call->of_nodes || !call->resent || call->idempotency_key[0] != '\0')
		return true;
	resent_route(call, route);
	return record_as(db, call, route, answer, now, err);
}

/* From here on a resend is this plain call's. */
static bool resent_look(struct db *db, struct call *call, struct error *err)
{
	char route[RESENT_ROUTE_SIZE];
	int64_t last;

	resent_route(call, route);
	if (!sql_number(db, SQL_call_last,
			VALUES(txt(call->key), txt(route), txt(call->fingerprint)), &last, err))
		return false;
	call->resent_from = last + 1;
	return true;
}

bool store_call_find(struct store *s, struct call *call, int64_t now, char ret_id[static ID_SIZE],
		     struct error *err)
{
	AUTO(reader_return) struct db *db = reader_borrow(s);

	call->resent_from = 0;
	if (!call_find(db, call, now, ret_id, err))
		return false;
	return !call->of_nodes || call->resent || call->idempotency_key[0] != '\0' ||
	       resent_look(db, call, err);
}
