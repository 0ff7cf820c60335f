/* sqlite_error.c: what a failure of SQLite becomes. */
#include <errno.h>
#include <stdio.h>

#include "store/sqlite.h"

/* A full disk shows as FULL where a write fails with ENOSPC; a spent quota, or a sync that fails,
 * only as an I/O error. What kind is left in errno, which every call of SQLite finds at 0:
 * sqlite3_system_errno() does not know when it was a COMMIT that failed. */
static bool is_disk_full(int code, int system)
{
	return (code & 0xff) == SQLITE_FULL ||
	       ((code & 0xff) == SQLITE_IOERR && (system == ENOSPC || system == EDQUOT));
}

bool fail_sqlite(struct error *err, struct sqlite_db *db, int code, const char *doing)
{
	db->fault_code = code;
	db->fault_errno = errno;
	bool full = is_disk_full(code, errno);
	char detail[sizeof(err->detail)];

	snprintf(detail, sizeof(detail), "%s: %s", doing,
		 db->handle != NULL ? sqlite3_errmsg(db->handle) : sqlite3_errstr(code));
	if ((code & 0xff) == SQLITE_BUSY) {
		(void)!fail(err, ERR_UNAVAILABLE,
			    "The server is busy with other changes. Try again in a moment.");
		snprintf(err->detail, sizeof(err->detail), "%s", detail);
	} else {
		(void)!fail_sys(err, full ? ENOSPC : 0, "%s", detail);
	}
	err->sqlite = code;
	return false;
}

bool sqlite_exec(struct db *db, const char *text, struct error *err)
{
	errno = 0;
	int code = sqlite3_exec(sqlite_of(db)->handle, text, NULL, NULL, NULL);

	return code == SQLITE_OK || fail_sqlite(err, sqlite_of(db), code, "setting up");
}
