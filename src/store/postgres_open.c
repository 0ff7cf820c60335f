/* postgres_open.c: connections to PostgreSQL, made and made again. */
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "postgres_texts.h"
#include "store/postgres.h"
#include "store/store.h"

#define RETRY_MS 200
#define ANSWER_MS 30000 /* longer than any lock is waited for, and any list takes */
#define TELL_MS 60000
#define CLAIM_WAIT_MS 35000

static const char *const texts[SQL_ALL] = {
#define X(name) [SQL_##name] = text_##name,
	SQL_STATEMENTS(X) SQL_NODE_STATEMENTS(X)
#undef X
};

/* What the URL says comes behind this, and counts. A machine that is gone without a word is noticed in
 * half a minute, also where nothing is asked. */
static PGconn *conn_make(const char *url)
{
	static const char *const names[] = { "application_name",
					     "connect_timeout",
					     "tcp_user_timeout",
					     "keepalives_idle",
					     "keepalives_interval",
					     "keepalives_count",
					     "client_encoding",
					     "dbname",
					     NULL };
	const char *const values[] = { "lowtide", "5", "10000", "10", "5", "4", "UTF8", url, NULL };

	return PQconnectdbParams(names, values, 1);
}

static bool prepared_one(struct postgres_db *db, enum sql id, struct error *err)
{
	PGresult *r = PQgetResult(db->conn);
	bool good = PQresultStatus(r) == PGRES_COMMAND_OK;

	if (!good)
		(void)!postgres_fail(db, r, sql_name(id), err);
	PQclear(r);
	PQclear(PQgetResult(db->conn)); /* NULL: nothing more of it */
	return good;
}

/* All in one round trip. */
static bool prepare(struct postgres_db *db, struct error *err)
{
	int first = db->use == DB_NODE ? SQL_COUNT : 0;
	int end = db->use == DB_NODE ? SQL_ALL : SQL_COUNT;
	bool good = PQenterPipelineMode(db->conn) == 1;

	for (int id = first; good && id < end; id++)
		good = PQsendPrepare(db->conn, sql_name((enum sql)id), texts[id], 0, NULL) == 1;
	good = good && PQpipelineSync(db->conn) == 1;
	if (!good)
		return postgres_fail(db, NULL, "preparing", err);
	for (int id = first; id < end; id++)
		if (!prepared_one(db, (enum sql)id, err))
			return false;   /* the connection is closed */
	PQclear(PQgetResult(db->conn)); /* the end of the pipeline */
	return PQexitPipelineMode(db->conn) == 1 || postgres_fail(db, NULL, "preparing", err);
}

/* ---- whose the schema is to serve from ----
 *
 * A lock of the session, for this schema: it goes with the connection. One server has it alone, or nodes
 * share it. */

#define OF_SCHEMA "current_schema()::regnamespace::oid::int"
#define CLAIM_KEY "x'" POSTGRES_CLAIM_HEX "'::int, " OF_SCHEMA

/* A server that hears nothing more of our machine lets go of it after half a minute. */
static const char claim_alone[] = "SET tcp_keepalives_idle = 10; SET tcp_keepalives_interval = 5;"
				  " SET tcp_keepalives_count = 4;"
				  " SELECT pg_try_advisory_lock(" CLAIM_KEY ")";

/* A node's writes keep the others' waiting (writers_wait()): one that is gone is noticed after 11 s, one
 * that is there and says nothing more in the middle of a transaction after 5 s. */
static const char claim_shared[] = "SET tcp_keepalives_idle = 5; SET tcp_keepalives_interval = 2;"
				   " SET tcp_keepalives_count = 3;"
				   " SET idle_in_transaction_session_timeout = 5000;"
				   " SELECT pg_try_advisory_lock_shared(" CLAIM_KEY ")";

static bool truth_ask(struct postgres_db *db, const char *text, bool *ret, struct error *err)
{
	char truth[8];

	if (!postgres_exec(db, text, truth, sizeof(truth), err))
		return false;
	*ret = truth[0] == 't';
	return true;
}

/* Then the version: a migration that would shut us out has not seen our claim, or has been made. */
static bool claim_try(struct postgres_db *db, int claims, bool *ret_ours, struct error *err)
{
	char mark[128];

	if (!truth_ask(db, claims == CLAIMS_SHARED ? claim_shared : claim_alone, ret_ours, err))
		return false;
	snprintf(mark, sizeof(mark),
		 "SELECT pg_advisory_lock_shared(x'" POSTGRES_KNOWS_HEX "'::int + %ld, " OF_SCHEMA
		 ")",
		 postgres_knows());
	return !*ret_ours ||
	       (postgres_exec(db, mark, NULL, 0, err) && postgres_version_check(db, err));
}

/* What another server holds alone nobody can share. */
static bool fail_claimed(struct postgres_db *db, int claims, struct error *err)
{
	static const char text[] = "SELECT CASE WHEN pg_try_advisory_lock_shared(" CLAIM_KEY
				   ") THEN pg_advisory_unlock_shared(" CLAIM_KEY ") ELSE FALSE END";
	bool nodes = false;

	if (claims == CLAIMS_SHARED)
		return fail(err, ERR_INVALID,
			    "a single lowtide serves from this database (store): no node may "
			    "beside it");
	if (!truth_ask(db, text, &nodes, err))
		return false;
	return fail(err, ERR_INVALID,
		    nodes ? "nodes serve from this database (store): no single lowtide may beside "
			    "them"
			  : "another lowtide serves from this database already (store): one at a "
			    "time may");
}

static bool claim_again(struct postgres_db *db, struct error *err)
{
	bool ours;

	if (!claim_try(db, db->claims, &ours, err))
		return false;
	return ours || fail_claimed(db, db->claims, err);
}

/* A start after a crash may find the lock of the one before. */
static bool claim(struct postgres_db *db, int claims, struct error *err)
{
	uint64_t began_ms = clock_ms();
	bool ours = false;

	for (;;) {
		if (!postgres_revive(db, err) || !claim_try(db, claims, &ours, err))
			return false; /* `ours` or not */
		if (ours)
			return true;
		if (clock_ms() - began_ms > db->claim_wait_ms)
			return fail_claimed(db, claims, err);
		poll(NULL, 0, RETRY_MS);
	}
}

bool postgres_claim(struct db *base, struct error *err)
{
	struct postgres_db *db = postgres_of(base);

	if (!claim(db, CLAIMS_ALONE, err))
		return false;
	db->claims = CLAIMS_ALONE;
	return true;
}

bool postgres_share(struct db *base, struct error *err)
{
	struct postgres_db *db = postgres_of(base);

	if (!claim(db, CLAIMS_SHARED, err))
		return false;
	db->claims = CLAIMS_SHARED;
	return true;
}

/* ---- set up ---- */

/* A channel is the whole database's, and each of its schemas may have nodes of its own. What these hear
 * of others is a look too many; but what is counted comes by channels with the schema's oid. */
bool postgres_listen(struct postgres_db *db, struct error *err)
{
	static const char text[] =
		"LISTEN lowtide_nodes; LISTEN lowtide_upstreams;"
		" LISTEN lowtide_spans; LISTEN lowtide_batches;"
		" DO $$BEGIN EXECUTE format('LISTEN lowtide_online_%1$s;"
		" LISTEN lowtide_wanted_%1$s', current_schema()::regnamespace::oid); END$$";

	return postgres_exec(db, text, NULL, 0, err);
}

/* Those that read LISTEN before the first question, so that no change between is missed. For nodes:
 *
 *	isolation     each statement of a transaction sees what was committed before it, whatever the
 *	              database is set to
 *	lock_timeout  less than an answer is waited for (asks.h): the server gives up first, mostly
 *	keepalives    the rows that a node has locked are free 11 s after it is gone without a word
 *	jit           a plan that looks dear and finds little (span_claim.sql) took 50 ms to compile */
static bool set_up(struct postgres_db *db, struct error *err)
{
	static const char reads[] = "SET default_transaction_read_only = on; LISTEN lowtide_keys";
	static const char node[] = "SET default_transaction_isolation = 'read committed';"
				   " SET lock_timeout = 5000; SET jit = off;"
				   " SET tcp_keepalives_idle = 5; SET tcp_keepalives_interval = 2;"
				   " SET tcp_keepalives_count = 3";
	const char *own = db->use == DB_READS ? reads : db->use == DB_NODE ? node : NULL;

	db->lock_wait_set_ms = 0;
	db->told++;
	return postgres_exec(db, text_connect, NULL, 0, err) &&
	       (own == NULL || postgres_exec(db, own, NULL, 0, err)) &&
	       (!db->listens || postgres_listen(db, err)) &&
	       (db->claims == CLAIMS_NOTHING ? postgres_version_check(db, err)
					     : claim_again(db, err)) &&
	       prepare(db, err);
}

/* What is not an error: libpq would print it on stderr. */
static void notice_drop(void *arg, const char *message)
{
	(void)arg;
	(void)message;
}

static bool connect(struct postgres_db *db, const char *url, struct error *err)
{
	db->conn = conn_make(url);
	if (db->conn == NULL)
		return fail_memory(err);
	PQsetNoticeProcessor(db->conn, notice_drop, NULL);
	if (PQstatus(db->conn) != CONNECTION_OK)
		return postgres_fail(db, NULL, "connecting to the database (store)", err);
	return (db->use == DB_READS || postgres_migrate(db, err)) && set_up(db, err);
}

bool postgres_open(const char *url, enum db_use use, struct db **ret, struct error *err)
{
	struct postgres_db *db = calloc(1, sizeof(*db));

	if (db == NULL)
		return fail_memory(err);
	db->use = use;
	db->lock_wait_ms = DB_WAIT_MS;
	db->answer_ms = ANSWER_MS;
	db->claim_wait_ms = CLAIM_WAIT_MS;
	if (!connect(db, url, err)) {
		postgres_close(&db->base);
		return false;
	}
	*ret = &db->base;
	return true;
}

void postgres_close(struct db *db)
{
	PQfinish(postgres_of(db)->conn);
	free(db); /* which begins with it */
}

bool store_url_check(const char *url, struct error *err)
{
	char *why = NULL;
	PQconninfoOption *options = PQconninfoParse(url, &why);
	bool has_password = false;

	if (options == NULL && why == NULL)
		return fail_memory(err);
	if (options == NULL) {
		(void)!fail(err, ERR_INVALID, "%.*s", (int)strcspn(why, "\n"), why);
		PQfreemem(why);
		return false;
	}
	for (const PQconninfoOption *o = options; o->keyword != NULL; o++)
		has_password |= strcmp(o->keyword, "password") == 0 && o->val != NULL;
	PQconninfoFree(options);
	return !has_password ||
	       fail(err, ERR_INVALID,
		    "it holds a password, which a list of processes would show: give that in "
		    "PGPASSWORD, or in the file that PGPASSFILE names");
}

bool postgres_revive(struct postgres_db *db, struct error *err)
{
	if (PQstatus(db->conn) == CONNECTION_OK)
		return true;
	PQreset(db->conn);
	if (PQstatus(db->conn) != CONNECTION_OK)
		return postgres_fail(db, NULL, "connecting to the database (store) again", err);
	if (set_up(db, err))
		return true;
	/* Who took it while the connection was broken may be gone later, and so may a newer version:
	 * no fault of what was asked. */
	if (err->kind == ERR_INVALID)
		err->kind = ERR_UNAVAILABLE;
	postgres_give_up(db); /* nobody asks on one that has no claim, and no statements */
	return false;
}

/* ---- a commit that was not answered ---- */

/* "committed", "aborted", "in progress"; NULL in SQL, "" here: so long ago that nobody knows. */
static bool status_ask(struct postgres_db *db, char to[static 24], struct error *err)
{
	char text[80];

	snprintf(text, sizeof(text), "SELECT pg_xact_status('%s'::xid8)", db->xid);
	return postgres_revive(db, err) && postgres_exec(db, text, to, 24, err);
}

/* The server may be at it yet when the connection to it is gone. */
bool postgres_has_happened(struct postgres_db *db)
{
	char status[24] = "in progress";
	uint64_t told_ms = 0;
	struct error err;

	while (!status_ask(db, status, &err) || strcmp(status, "in progress") == 0) {
		uint64_t now_ms = clock_ms();

		if (told_ms == 0 || now_ms - told_ms > TELL_MS) {
			log_warn("store.commit_unknown", kv_str("transaction", db->xid),
				 kv_str("why", "the connection broke before the answer; asked "
					       "again until PostgreSQL says"));
			told_ms = now_ms;
		}
		poll(NULL, 0, RETRY_MS);
	}
	return strcmp(status, "committed") == 0;
}
