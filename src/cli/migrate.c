/* migrate.c: see migrate.h.
 *
 *	lock -> all rows, one transaction -> meta.db is renamed -> unlock
 *
 * crash: before the commit, all as it was. Between commit and rename, both have the rows, under the same
 * turn of the directory: the next call finds that and renames. */
#include "cli/migrate.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <unistd.h>

#include "base/attr.h"
#include "base/sys.h"
#include "cli/data_dir.h"
#include "store/store.h"
#include "terminal/report.h"

static bool names_make(const char *data_dir, char from[static PATH_MAX], char to[static PATH_MAX],
		       struct error *err)
{
	if (snprintf(from, PATH_MAX, "%s/meta.db", data_dir) >= PATH_MAX ||
	    snprintf(to, PATH_MAX, "%s/meta.db.moved", data_dir) >= PATH_MAX)
		return fail_sys(err, ENAMETOOLONG, "%s/meta.db", data_dir);
	if (access(from, R_OK | W_OK) == 0)
		return true;
	if (access(to, F_OK) == 0)
		return fail(err, ERR_INVALID, "the rows of %s are moved already: %s", data_dir, to);
	return fail(err, ERR_INVALID, "there is no lowtide data in %s: %s. --from says where it is",
		    data_dir, strerrordesc_np(errno));
}

static bool rename_away(const char *data_dir, const char *from, const char *to, struct error *err)
{
	(void)failpoint("migrate.before_rename");
	if (sys.rename(from, to) != 0 || !sys_sync_dir(data_dir))
		return fail_sys(err, errno, "renaming %s", from);
	return true;
}

int migrate(const char *data_dir, const char *url)
{
	AUTO(auto_close) int lock_fd = -1;
	char from[PATH_MAX], to[PATH_MAX];
	struct store_moved moved;
	struct error err;

	if (!names_make(data_dir, from, to, &err) || !data_dir_lock(data_dir, &lock_fd, &err) ||
	    !store_move(data_dir, url, &moved, &err) || !rename_away(data_dir, from, to, &err)) {
		report(&err);
		return exit_code(&err);
	}
	if (moved.again)
		printf("the rows of %s were moved before; ", from);
	else
		printf("moved %" PRIu64 " rows of %s; ", moved.rows, from);
	printf("it is meta.db.moved now. Start with: lowtide serve --data %s --store URL\n",
	       data_dir);
	return EXIT_GOOD;
}
