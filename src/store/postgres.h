/* postgres.h: a connection to PostgreSQL: what postgres*.c share. Private to them, from the
 * top: node_db.c, asks.c, postgres.c, postgres_open.c, postgres_migrate.c, postgres_error.c, postgres_ask.c. */
#pragma once

#include <libpq-fe.h>

#include "store/db.h"

struct postgres_db {
	struct db base; /* first */
	PGconn *conn;
	enum db_use use;
	enum { CLAIMS_NOTHING, CLAIMS_ALONE, CLAIMS_SHARED } claims; /* whenever it connects */
	uint64_t claim_wait_ms; /* for the lock of who was here before */
	bool begun; /* the writer's transaction: until its end a connection that breaks stays so */
	unsigned lock_wait_ms, lock_wait_set_ms; /* asked for; as the server has it */
	uint64_t answer_ms;                      /* how long an answer is waited for */
	int64_t told;      /* how often it was told that keys have changed, or may have missed it */
	bool listens;      /* node_db_listen(): whenever it connects */
	int64_t told_seen; /* `told` as node_db_wait() has it: another since it is another connection */
	char xid[24];      /* of the transaction that is open */
	char state[6];     /* SQLSTATE of the last call that failed; "": the connection did */
	struct error fault; /* of the last call that failed */
};

static inline struct postgres_db *postgres_of(const struct db *db)
{
	return (struct postgres_db *)db;
}

#define PARAMETERS_MAX 32

/* As libpq wants them: numbers as text; those that are text already are borrowed. */
struct parameters {
	int n;
	const char *texts[PARAMETERS_MAX];
	char numbers[PARAMETERS_MAX][24];
};

void parameters_set(struct parameters *p, const struct value *values);

/* ---- postgres_ask.c ---- */

bool postgres_is_good(const PGresult *r);
/* Until the next result is here, whole. False: it is not by then, or the connection is broken. */
MUST_USE bool postgres_result_wait(struct postgres_db *db, uint64_t until_ms);
/* An answer may be on its way for which nobody waits: the connection is broken from here on. */
void postgres_give_up(struct postgres_db *db);
/* What SQL of one or several statements gives, or a prepared statement; PQclear()'s. NULL: the
 * connection is broken, or there is no memory. After answer_ms the connection is broken. */
PGresult *postgres_ask(struct postgres_db *db, const char *text);
PGresult *postgres_ask_prepared(struct postgres_db *db, const char *name, int n,
				const char *const *texts);

/* ---- postgres_error.c ---- */

/* The last call failed behind what others do, and may be made again as it was. */
bool postgres_is_busy(const struct postgres_db *db);
/* Fails as the result `r` says, or, NULL, as the connection does. */
bool postgres_fail(struct postgres_db *db, const PGresult *r, const char *doing, struct error *err);
/* Runs SQL of one or several statements; *ret_first, which may be NULL, is the first column of the last
 * one's first row, "" without one. */
MUST_USE bool postgres_exec(struct postgres_db *db, const char *text, char *ret_first, size_t size,
			    struct error *err);

/* ---- postgres_open.c ---- */

bool postgres_open(const char *url, enum db_use use, struct db **ret, struct error *err);
void postgres_close(struct db *db);
/* store_claim(), store_share(). */
bool postgres_claim(struct db *db, struct error *err);
bool postgres_share(struct db *db, struct error *err);
/* The channels of node_db_listen(). */
MUST_USE bool postgres_listen(struct postgres_db *db, struct error *err);
/* A connection that has broken is made again. */
MUST_USE bool postgres_revive(struct postgres_db *db, struct error *err);
/* Whether transaction `xid`, whose commit was not answered, has happened. Returns once it is known,
 * however long the server is away. */
bool postgres_has_happened(struct postgres_db *db);

/* ---- postgres_migrate.c ---- */

/* Locks of a session, of two numbers, the second the schema's. Who serves has CLAIM, and, so that a
 * migration sees whom it would shut out, KNOWS and the version that it knows. */
#define POSTGRES_CLAIM_HEX "4c6f7753" /* "LowS" */
#define POSTGRES_KNOWS_HEX "4c6f7600" /* "Lov" */

/* Brings a new or older database to this program's version. One that a newer program has brought further
 * stays as it is, where that says that this one may serve from it; else INVALID. INVALID also where
 * programs serve from it that could not go on behind it; UNAVAILABLE where others keep it waiting. */
MUST_USE bool postgres_migrate(struct postgres_db *db, struct error *err);
/* Whether this program may work with the version that is there now: INVALID. */
MUST_USE bool postgres_version_check(struct postgres_db *db, struct error *err);
/* The version that this program knows. */
long postgres_knows(void);
