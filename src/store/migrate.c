/* migrate.c: from what stands in the file to the tables that this program knows.
 *
 * The application id in the file's head says that the database is ours, the user version how many
 * of the migrations below it has seen. They only go forward, each in one transaction with its
 * version number, so a crash or a second process leaves a database of one version or the next.
 * A migration that has been released is never changed: add a file and a line. */
#include <stdio.h>

#include "base/log.h"
#include "migration_texts.h"
#include "store/sqlite.h"

#define APPLICATION_ID 0x4c6f7754 /* "LowT" */

/* clang-format off */
static const char *const migrations[] = {
	text_001_initial,
	text_002_org_weight,
	text_003_directory,
	text_004_order_of_making,
	text_005_org_use,
	text_006_causes,
	text_007_options,
	text_008_hold,
	text_009_filters,
	text_010_webhooks,
	text_011_operator,
	text_012_canary,
	text_013_trace,
	text_014_lines,
	text_015_changed,
	text_016_uploads,
	text_017_org_queue,
	text_018_webhook_configured,
	text_019_org_day,
	text_020_changed_open,
};
/* clang-format on */
#define VERSION ((int64_t)ARRAY_LEN(migrations))

/* What the head of the file says, and how many tables and the like there are. One statement, so one
 * moment: another process may be migrating. Not a prepared one, because those need the tables. */
struct head {
	int64_t application, version, tables;
};

static bool read_head(struct sqlite_db *db, struct head *ret, struct error *err)
{
	static const char text[] = "SELECT application_id, user_version,"
				   " (SELECT count(*) FROM sqlite_schema)"
				   " FROM pragma_application_id, pragma_user_version";
	sqlite3_stmt *statement = NULL;
	int code = sqlite3_prepare_v2(db->handle, text, -1, &statement, NULL);

	if (code == SQLITE_OK)
		code = sqlite3_step(statement);
	if (code == SQLITE_ROW)
		*ret = (struct head){ sqlite3_column_int64(statement, 0),
				      sqlite3_column_int64(statement, 1),
				      sqlite3_column_int64(statement, 2) };
	bool ok = code == SQLITE_ROW || fail_sqlite(err, db, code, "reading the version");
	sqlite3_finalize(statement);
	return ok;
}

/* How many migrations the database has seen; refuses what is not ours, or newer than we are. */
static bool read_version(struct sqlite_db *db, int64_t *ret, struct error *err)
{
	struct head head = { 0 };

	if (!read_head(db, &head, err))
		return false;
	bool is_new = head.application == 0 && head.version == 0 && head.tables == 0;
	if (head.application != APPLICATION_ID && !is_new)
		return fail(err, ERR_INTERNAL, "meta.db is not a database of lowtide");
	if (head.version < 0 || head.version > VERSION)
		return fail(err, ERR_INTERNAL,
			    "meta.db has version %lld, made by a newer lowtide; this one knows "
			    "versions up to %lld",
			    (long long)head.version, (long long)VERSION);
	*ret = head.version;
	return true;
}

static bool run_migration(struct sqlite_db *db, int64_t version, struct error *err)
{
	char mark[96];

	snprintf(mark, sizeof(mark), "PRAGMA application_id = %d; PRAGMA user_version = %lld",
		 APPLICATION_ID, (long long)version + 1);
	if (!sqlite_exec(&db->base, migrations[version], err) ||
	    !sqlite_exec(&db->base, mark, err) || !sqlite_exec(&db->base, "COMMIT", err))
		return false;
	log_info("store.migrated", kv_int("version", version + 1));
	return true;
}

/* Makes one migration, unless another process has made it meanwhile. */
static bool migrate_one(struct sqlite_db *db, struct error *err)
{
	int64_t version;

	if (!sqlite_exec(&db->base, "BEGIN IMMEDIATE", err))
		return false;
	bool ok = read_version(db, &version, err);
	if (ok && version < VERSION)
		ok = run_migration(db, version, err);
	if (!sqlite3_get_autocommit(db->handle))
		sqlite3_exec(db->handle, "ROLLBACK", NULL, NULL, NULL);
	return ok;
}

bool sqlite_migrate(struct sqlite_db *db, struct error *err)
{
	int64_t version;

	if (!read_version(db, &version, err)) /* before anything is written to a stranger's file */
		return false;
	if (!sqlite_exec(&db->base, "PRAGMA journal_mode = WAL", err))
		return false;
	while (version < VERSION)
		if (!migrate_one(db, err) || !read_version(db, &version, err))
			return false;
	return true;
}
