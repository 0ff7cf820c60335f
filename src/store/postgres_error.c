/* postgres_error.c: what a failure of PostgreSQL becomes; SQL that is no prepared statement. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "store/postgres.h"

/* SQLSTATE, by its beginning. */
static bool is_one_of(const char *state, const char *const *these)
{
	for (; *these != NULL; these++)
		if (strncmp(state, *these, strlen(*these)) == 0)
			return true;
	return false;
}

static bool fail_now(struct error *err, const char *message, const char *detail)
{
	(void)!fail(err, ERR_UNAVAILABLE, "%s", message);
	snprintf(err->detail, sizeof(err->detail), "%s", detail);
	return false;
}

/* A connection that is refused has no SQLSTATE: libpq keeps its words alone. The last is a pooler's. */
static bool has_no_more(const char *state, const char *detail)
{
	static const char *const words[] = { "too many connections", "too many clients",
					     "remaining connection slots",
					     "no more connections allowed" };
	bool has = strcmp(state, "53300") == 0;

	for (size_t i = 0; i < ARRAY_LEN(words); i++)
		has |= strstr(detail, words[i]) != NULL;
	return has;
}

/* What to raise comes before the server's own words, which may be cut. */
static bool fail_full(struct error *err, const char *detail)
{
#define RAISE "max_connections, or the CONNECTION LIMIT of its role or of the database"
	(void)!fail_now(err,
			"The database lets this server have no more connections (" RAISE
			"). Try again in a moment.",
			"");
	snprintf(err->detail, sizeof(err->detail), "too few connections (" RAISE "): %.150s",
		 detail);
	return false;
#undef RAISE
}

static bool fail_by_state(struct postgres_db *db, const char *state, const char *detail,
			  struct error *err)
{
	static const char *const away[] = { "08", "53300", "57P0", "25P03", NULL };
	static const char *const busy[] = { "40", "55P03", "57014", NULL };
	/* Two nodes took one number for their changes (batch.changed): the other's stands. */
	bool too_late = strcmp(state, "23505") == 0 && db->use == DB_NODE;
	bool read_only = strcmp(state, "25006") == 0 && db->use != DB_READS;

	if ((state[0] == '\0' || is_one_of(state, away)) && has_no_more(state, detail))
		return fail_full(err, detail);
	if (state[0] == '\0' || is_one_of(state, away))
		return fail_now(err, "The database cannot be reached. Try again in a moment.",
				detail);
	if (read_only) /* a standby that is not the primary yet, or no longer */
		return fail_now(err, "The database takes no changes now. Try again in a moment.",
				detail);
	if (is_one_of(state, busy) || too_late)
		return fail_now(err,
				"The server is busy with other changes. Try again in a moment.",
				detail);
	if (strcmp(state, "53200") == 0)
		return fail_memory(err);
	return fail_sys(err, strcmp(state, "53100") == 0 ? ENOSPC : 0, "%s", detail);
}

bool postgres_fail(struct postgres_db *db, const PGresult *r, const char *doing, struct error *err)
{
	const char *state = r != NULL ? PQresultErrorField(r, PG_DIAG_SQLSTATE) : NULL;
	const char *said = r != NULL ? PQresultErrorField(r, PG_DIAG_MESSAGE_PRIMARY) : NULL;
	char detail[sizeof(err->detail)];

	if (said == NULL)
		said = PQerrorMessage(db->conn);
	snprintf(detail, sizeof(detail), "%s: %.*s%s%s", doing, (int)strcspn(said, "\n"), said,
		 state != NULL ? ", SQLSTATE " : "", state != NULL ? state : "");
	(void)!fail_by_state(db, state != NULL ? state : "", detail, err);
	snprintf(db->state, sizeof(db->state), "%s", state != NULL ? state : "");
	db->fault = *err;
	return false;
}

bool postgres_is_busy(const struct postgres_db *db)
{
	static const char *const behind_others[] = { "40", "55P03", NULL };

	return is_one_of(db->state, behind_others);
}

/* ---- SQL that is no prepared statement ---- */

bool postgres_exec(struct postgres_db *db, const char *text, char *ret_first, size_t size,
		   struct error *err)
{
	PGresult *r = postgres_ask(db, text);
	bool good = postgres_is_good(r);

	if (!good)
		(void)!postgres_fail(db, r, "setting up", err);
	else if (ret_first != NULL)
		snprintf(ret_first, size, "%s", PQntuples(r) > 0 ? PQgetvalue(r, 0, 0) : "");
	PQclear(r);
	return good;
}
