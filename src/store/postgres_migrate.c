/* postgres_migrate.c: from what stands in the schema to the tables that this program knows.
 *
 * The one row of the table `lowtide` says how many of the migrations below the schema has seen, its
 * version, and from which version on a program has to know it to work with it (compatible_from). They only go
 * forward, all that are missing in one transaction, under a lock: of several nodes that start at one
 * time one migrates, and a crash leaves a schema of one version or another. A migration that has been
 * released is never changed: add a file and a line. What it may do so that nodes of the version before go
 * on beside it: ARCHITECTURE.md, "A new migration". */
#include <poll.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/sys.h"
#include "postgres_migration_texts.h"
#include "store/postgres.h"

/* `from`: programs that know versions from this one on may serve from the schema behind it. Its own
 * number where they may not, else the version that the last release knows, and none older. */
struct postgres_migration {
	const char *text;
	long from;
};

static const struct postgres_migration migrations[] = {
	{ text_001_initial, 1 },
	{ text_002_cluster, 2 },
	{ text_003_nodes_write, 3 },
	{ text_004_nodes_alike, 3 },
};
#define MIGRATION_MS 600000 /* it may wait for another's */
#define RETRY_MS 200
#define SHUT_OUT_MS 5000 /* a process that ends may be here yet */
#define VERSION ((long)ARRAY_LEN(migrations))

#define LOCK "SELECT pg_advisory_xact_lock(x'4c6f7754'::bigint)" /* "LowT" */

/* ---- what a newer program would have ---- */

#ifdef LOWTIDE_FAILPOINTS
/* For tests of upgrades: each that its failpoint names comes behind the migrations above. */
static const struct {
	const char *name;
	struct postgres_migration is;
} pretended[] = {
	{ "store.next_adds",
	  { "CREATE TABLE next_table (a TEXT PRIMARY KEY, b BIGINT NOT NULL DEFAULT 0);"
	    " ALTER TABLE batch ADD COLUMN next_column BIGINT NOT NULL DEFAULT 7;"
	    " ALTER TABLE spans ADD COLUMN next_column TEXT;"
	    " ALTER TABLE file ADD COLUMN next_column TEXT;"
	    " ALTER TABLE nodes ADD COLUMN next_column TEXT",
	    VERSION } },
	{ "store.second_adds", { "CREATE TABLE second_table (a TEXT PRIMARY KEY)", VERSION + 1 } },
	{ "store.next_breaks", { "CREATE TABLE broken_table (a TEXT PRIMARY KEY)", VERSION + 1 } },
};

static const struct postgres_migration *pretended_at(long at)
{
	for (size_t i = 0; i < ARRAY_LEN(pretended); i++)
		if (failpoint(pretended[i].name) != 0 && at-- == 0)
			return &pretended[i].is;
	return NULL;
}
#else
static const struct postgres_migration *pretended_at(long at)
{
	(void)at;
	return NULL;
}
#endif

/* From 0; NULL: there are no more. */
static const struct postgres_migration *migration_at(long at)
{
	return at < VERSION ? &migrations[at] : pretended_at(at - VERSION);
}

/* The version that this program knows. */
static long known(void)
{
	long n = VERSION;

	while (pretended_at(n - VERSION) != NULL)
		n++;
	return n;
}

/* Of the schema as this program makes it. */
static long compatible_from(void)
{
	const struct postgres_migration *m;
	long from = 0;

	for (long at = 0; (m = migration_at(at)) != NULL; at++)
		from = m->from > from ? m->from : from;
	return from;
}

/* ---- what is there ---- */

struct schema {
	long version; /* 0: no tables */
	long from;
};

static bool is_ours(struct postgres_db *db, bool *ret, struct error *err)
{
	char text[24];

	if (!postgres_exec(db,
			   "SELECT CASE WHEN to_regclass('lowtide') IS NOT NULL THEN 'ours'"
			   " WHEN EXISTS (SELECT 1 FROM pg_class"
			   " WHERE relnamespace = current_schema()::regnamespace) THEN 'other' END",
			   text, sizeof(text), err))
		return false;
	if (strcmp(text, "other") == 0)
		return fail(err, ERR_INVALID,
			    "the schema of the database has tables that are not lowtide's: give "
			    "lowtide a database, or a schema, of its own (store)");
	*ret = text[0] != '\0';
	return true;
}

/* A schema that was made before there was the column has none: it is for programs that know it. */
static bool schema_read(struct postgres_db *db, struct schema *ret, struct error *err)
{
	char text[48], *end;

	if (!postgres_exec(db,
			   "SELECT version || ' ' || coalesce(to_jsonb(l) ->> 'compatible_from',"
			   " version::text) FROM lowtide AS l",
			   text, sizeof(text), err))
		return false;
	ret->version = strtol(text, &end, 10);
	ret->from = strtol(end, NULL, 10);
	return ret->version > 0 ||
	       fail(err, ERR_INVALID, "the database does not say which version it has (store)");
}

/* That it is newer is told once a process. */
static bool version_may(const struct schema *s, struct error *err)
{
	static atomic_flag was_told = ATOMIC_FLAG_INIT;
	long know = known();

	if (s->version > know && s->from > know)
		return fail(
			err, ERR_INVALID,
			"the database has version %ld, made by a newer lowtide, and is for programs "
			"that know version %ld at least; this one knows versions up to %ld: start "
			"the newer lowtide here (store)",
			s->version, s->from, know);
	if (s->version > know && !atomic_flag_test_and_set(&was_told))
		log_warn("store.newer", kv_int("version", s->version), kv_int("knows", know),
			 kv_str("hint", "a newer lowtide has migrated the database; this one works "
					"with it, but not with the version after: upgrade it"));
	return true;
}

bool postgres_version_check(struct postgres_db *db, struct error *err)
{
	struct schema s;

	return schema_read(db, &s, err) && version_may(&s, err);
}

/* ---- one migration, or some ---- */

/* Whether a program that the new version shuts out serves: one whose session has the claim, and no mark
 * (postgres_open.c) of a version from `from` on. */
static bool nobody_is_shut_out(struct postgres_db *db, long from, struct error *err)
{
	char text[700], truth[8];

	snprintf(text, sizeof(text),
		 "WITH ours AS (SELECT pid, classid::bigint AS class FROM pg_locks"
		 " WHERE locktype = 'advisory' AND objsubid = 2 AND granted"
		 " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
		 " AND objid = current_schema()::regnamespace::oid)"
		 " SELECT EXISTS (SELECT 1 FROM ours AS o WHERE class = x'" POSTGRES_CLAIM_HEX
		 "'::bigint AND NOT EXISTS (SELECT 1 FROM ours WHERE pid = o.pid AND class"
		 " BETWEEN x'" POSTGRES_KNOWS_HEX "'::bigint + %ld AND x'" POSTGRES_KNOWS_HEX
		 "'::bigint + 255))",
		 from);
	if (!postgres_exec(db, text, truth, sizeof(truth), err))
		return false;
	return truth[0] == 'f' ||
	       fail(err, ERR_INVALID,
		    "this lowtide would bring the database to version %ld, with which programs that "
		    "do not know version %ld cannot work, and such serve from it: end them first "
		    "(store)",
		    known(), from);
}

/* Who claims from here on waits, and sees the version that is made: the claim comes before the look. */
static bool versions_hold(struct postgres_db *db, long version, struct error *err)
{
	static const char make[] = "CREATE TABLE lowtide (one INTEGER PRIMARY KEY CHECK (one = 1),"
				   " version INTEGER NOT NULL, compatible_from INTEGER);"
				   " INSERT INTO lowtide VALUES (1, 1)";
	static const char hold[] = "LOCK TABLE lowtide;"
				   " ALTER TABLE lowtide ADD COLUMN IF NOT EXISTS"
				   " compatible_from INTEGER";

	return postgres_exec(db, version == 0 ? make : hold, NULL, 0, err);
}

static bool run_from(struct postgres_db *db, long version, struct error *err)
{
	const struct postgres_migration *m;
	char mark[96];

	for (long at = version; (m = migration_at(at)) != NULL; at++)
		if (!postgres_exec(db, m->text, NULL, 0, err))
			return false;
	snprintf(mark, sizeof(mark), "UPDATE lowtide SET version = %ld, compatible_from = %ld",
		 known(), compatible_from());
	return postgres_exec(db, mark, NULL, 0, err);
}

/* Nodes serve meanwhile: no lock is waited for as long as they wait for theirs behind us. */
static bool migrate(struct postgres_db *db, bool *ret_waits, struct error *err)
{
	struct schema s = { 0 };
	bool ours = false;

	if (!postgres_exec(db, "SET LOCAL lock_timeout = 2000; " LOCK, NULL, 0, err) ||
	    !is_ours(db, &ours, err) || (ours && !schema_read(db, &s, err)) ||
	    !version_may(&s, err))
		return false;
	if (s.version >= known())
		return postgres_exec(db, "COMMIT", NULL, 0, err);
	if (!versions_hold(db, s.version, err))
		return false;
	*ret_waits = s.version != 0 && !nobody_is_shut_out(db, compatible_from(), err);
	if (*ret_waits || !run_from(db, s.version, err) ||
	    !postgres_exec(db, "COMMIT", NULL, 0, err))
		return false;
	log_info("store.migrated", kv_int("version", known()));
	return true;
}

/* *ret_again_ms: how long it may be tried again; 0: not at all. */
static bool migrate_try(struct postgres_db *db, uint64_t *ret_again_ms, struct error *err)
{
	bool waits = false;
	struct error ignored; /* the connection is closed */

	db->state[0] = '\0';
	if (postgres_exec(db, "BEGIN", NULL, 0, err) && migrate(db, &waits, err))
		return true;
	*ret_again_ms = waits ? SHUT_OUT_MS : postgres_is_busy(db) ? MIGRATION_MS : 0;
	(void)!postgres_exec(db, "ROLLBACK", NULL, 0, &ignored);
	return false;
}

/* crash: PostgreSQL takes back what was not committed; the next start migrates. */
bool postgres_migrate(struct postgres_db *db, struct error *err)
{
	uint64_t answer_ms = db->answer_ms, began_ms = clock_ms(), again_ms = 0;
	bool ok;

	db->answer_ms = MIGRATION_MS;
	while (!(ok = migrate_try(db, &again_ms, err)) && clock_ms() - began_ms < again_ms)
		poll(NULL, 0, RETRY_MS);
	db->answer_ms = answer_ms;
	return ok;
}

long postgres_knows(void)
{
	return known();
}
