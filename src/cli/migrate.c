/* migrate.c: see migrate.h.
 *
 *	lock -> to a bucket: files, then chunks -> all rows, one transaction -> meta.db is renamed -> unlock
 *
 * crash: before the commit, all as it was but for objects that no row names, and that the next call need not put
 * again. Between commit and rename, both have the rows, under the same turn of the directory: the next call
 * finds that and renames. */
#include "cli/migrate.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <unistd.h>

#include "base/attr.h"
#include "base/sys.h"
#include "cli/data_dir.h"
#include "cli/migrate_batches.h"
#include "cli/migrate_files.h"
#include "redo/redo.h"
#include "store/move.h"
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

/* A migration under way. */
struct migration {
	const struct migrate_config *config;
	struct mover *mover;
	struct blobs *from, *to;
	struct files_moved files;
	struct batches_moved batches;
	uint64_t rows;
	bool again; /* an earlier call has moved all */
};

static void migration_done(struct migration *c)
{
	batches_moved_done(&c->batches);
	if (c->to != NULL)
		blobs_close(c->to);
	if (c->from != NULL)
		blobs_close(c->from);
	mover_close(TAKE(c->mover));
}

/* What a power cut has left in the log alone is in files and journals afterwards. */
static bool directory_settle(const char *data_dir, struct error *err)
{
	struct redo *redo;

	if (!redo_open(data_dir, &redo, err))
		return false;
	bool ok = redo_settle(redo, err);
	redo_close(redo);
	return ok;
}

/* Batches first: they are what may not be able to go. */
static bool bytes_move(struct migration *c, struct error *err)
{
	const struct migrate_config *config = c->config;
	struct store *store = mover_from(c->mover);

	return directory_settle(config->data_dir, err) &&
	       blobs_open(config->data_dir, NULL, &c->from, err) &&
	       config->bucket(config->ctx, &c->to, err) &&
	       migrate_batches(config->data_dir, store, c->from, c->to, &c->batches, err) &&
	       migrate_files(config->data_dir, store, c->from, c->to,
			     (const char(*)[ID_SIZE])c->batches.results, c->batches.n_results,
			     &c->files, err);
}

static bool rows_move(struct migration *c, struct error *err)
{
	const struct batches_moved *b = &c->batches;
	const struct work_moved work = { b->spans, b->pieces, b->n_spans, b->n_pieces };

	(void)failpoint("migrate.before_rows");
	return mover_move(c->mover, c->config->bucket_url != NULL ? &work : NULL, &c->rows, err);
}

/* Both databases are closed behind it: nobody has meta.db open when it is renamed. */
static bool all_move(struct migration *c, struct error *err)
{
	const struct migrate_config *config = c->config;

	if (!mover_open(config->data_dir, config->url, config->bucket_url, &c->mover, err))
		return false;
	c->again = mover_is_done(c->mover);
	bool ok = c->again ||
		  ((config->bucket_url == NULL || bytes_move(c, err)) && rows_move(c, err));
	mover_close(TAKE(c->mover));
	return ok;
}

static void moved_print(const struct migration *c, const char *from)
{
	const struct files_moved *f = &c->files;
	const char *data_dir = c->config->data_dir;

	if (c->again)
		printf("the rows of %s were moved before; ", from);
	else
		printf("moved %" PRIu64 " rows of %s; ", c->rows, from);
	printf("it is meta.db.moved now. Start with: lowtide serve --data %s --store URL%s\n",
	       data_dir, c->config->bucket_url != NULL ? " --blobs s3://BUCKET/PREFIX" : "");
	if (c->config->bucket_url == NULL || c->again)
		return;
	printf("moved %" PRIu64 " files, %" PRIu64 " bytes; %" PRIu64
	       " were there from an earlier call\n",
	       f->files, f->bytes, f->before);
	printf("%" PRIu64 " batches go on, of which %" PRIu64 " lines have ended\n",
	       c->batches.batches, c->batches.lines);
	printf("%s/files and %s/batches are of no use to nodes any more\n", data_dir, data_dir);
}

int migrate(const struct migrate_config *config)
{
	AUTO(auto_close) int lock_fd = -1;
	AUTO(migration_done) struct migration c = { .config = config };
	const char *data_dir = config->data_dir;
	char from[PATH_MAX], to[PATH_MAX];
	struct error err;

	if (!names_make(data_dir, from, to, &err) || !data_dir_lock(data_dir, &lock_fd, &err) ||
	    !all_move(&c, &err) || !rename_away(data_dir, from, to, &err)) {
		report(&err);
		return exit_code(&err);
	}
	moved_print(&c, from);
	return EXIT_GOOD;
}
