/* sqlite.h: a connection to SQLite: what sqlite.c, sqlite_error.c and migrate.c share. Private to
 * them. */
#pragma once

#include <sqlite3.h>

#include "store/db.h"

struct sqlite_db {
	struct db base; /* first */
	sqlite3 *handle;
	sqlite3_stmt *statements[SQL_COUNT], *version;
	int fault_code, fault_errno; /* of the last call that failed */
};

static inline struct sqlite_db *sqlite_of(const struct db *db)
{
	return (struct sqlite_db *)db;
}

/* What SQLite's `code`, just returned (it is left in err->sqlite), means to a client: NO_SPACE for
 * a full disk, UNAVAILABLE where another process would not let go of the database, else INTERNAL.
 * `doing` is for the log. */
MUST_USE bool fail_sqlite(struct error *err, struct sqlite_db *db, int code, const char *doing);
MUST_USE bool sqlite_exec(struct db *db, const char *text, struct error *err);
/* Brings a new or older database to this program's version (migrate.c). */
MUST_USE bool sqlite_migrate(struct sqlite_db *db, struct error *err);
