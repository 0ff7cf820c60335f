/* postgres_migrate.c: from what stands in the schema to the tables that this program knows.
 *
 * The one row of the table `lowtide` says how many of the migrations below the schema has seen. They only go
 * forward, all that are missing in one transaction, under a lock: of several nodes that start at one
 * time one migrates, and a crash leaves a schema of one version or another. A migration that has been
 * released is never changed: add a file and a line. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "postgres_migration_texts.h"
#include "store/postgres.h"

static const char *const migrations[] = {
	text_001_initial,
	text_002_cluster,
	text_003_nodes_write,
	text_004_nodes_alike,
};
#define MIGRATION_MS 600000 /* it may wait for another's */
#define VERSION ((long)ARRAY_LEN(migrations))

#define LOCK "SELECT pg_advisory_xact_lock(x'4c6f7754'::bigint)" /* "LowT" */

/* "": there is no table `lowtide`, and none of another. */
static bool read_version(struct postgres_db *db, long *ret, struct error *err)
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
	*ret = 0;
	if (text[0] == '\0')
		return true;
	if (!postgres_exec(db, "SELECT version FROM lowtide", text, sizeof(text), err))
		return false;
	*ret = strtol(text, NULL, 10);
	return (*ret > 0 && *ret <= VERSION) ||
	       fail(err, ERR_INVALID,
		    "the database has version %ld, made by a newer lowtide; this one knows versions up "
		    "to %ld",
		    *ret, VERSION);
}

static bool run_from(struct postgres_db *db, long version, struct error *err)
{
	char mark[128];

	for (long at = version; at < VERSION; at++)
		if (!postgres_exec(db, migrations[at], NULL, 0, err))
			return false;
	if (version == 0 &&
	    !postgres_exec(db,
			   "CREATE TABLE lowtide (one INTEGER PRIMARY KEY CHECK (one = 1),"
			   " version INTEGER NOT NULL); INSERT INTO lowtide VALUES (1, 1)",
			   NULL, 0, err))
		return false;
	snprintf(mark, sizeof(mark), "UPDATE lowtide SET version = %ld", VERSION);
	return postgres_exec(db, mark, NULL, 0, err);
}

static bool migrate(struct postgres_db *db, struct error *err)
{
	long version = 0;

	if (!postgres_exec(db, LOCK, NULL, 0, err) || !read_version(db, &version, err))
		return false;
	if (version == VERSION)
		return postgres_exec(db, "COMMIT", NULL, 0, err);
	if (!run_from(db, version, err) || !postgres_exec(db, "COMMIT", NULL, 0, err))
		return false;
	log_info("store.migrated", kv_int("version", VERSION));
	return true;
}

bool postgres_migrate(struct postgres_db *db, struct error *err)
{
	uint64_t answer_ms = db->answer_ms;
	struct error ignored; /* the connection is closed */

	db->answer_ms = MIGRATION_MS;
	bool ok = postgres_exec(db, "BEGIN", NULL, 0, err) && migrate(db, err);
	if (!ok)
		(void)!postgres_exec(db, "ROLLBACK", NULL, 0, &ignored);
	db->answer_ms = answer_ms;
	return ok;
}
