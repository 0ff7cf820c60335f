/* sweep.c: see sweep.h. */
#include "pipeline/sweep.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/attr.h"
#include "base/log.h"
#include "base/sys.h"
#include "blob/lost.h"
#include "results/order.h"

#define SWEEP_AT_ONCE 64
#define DIR_BYTES 420u

/* ---- while the server runs ---- */

static bool blobs_spare_remove(struct sweep *s, size_t *ret_n, struct error *err)
{
	char ids[SWEEP_AT_ONCE][ID_SIZE];

	if (!store_blobs_spare(s->store, ids, SWEEP_AT_ONCE, ret_n, err))
		return false;
	for (size_t i = 0; i < *ret_n; i++)
		if (!blob_remove(s->blobs, ids[i], err))
			return false;
	/* A crash in between leaves a blob that is asked for again, or a row whose blob is gone and
	 * is asked for again: both end the same way. The sync is for the row that is forgotten some
	 * day: a blob that came back then would belong to no row. */
	return *ret_n == 0 ||
	       (blobs_sync(s->blobs, err) && store_blobs_gone(s->store, ids, *ret_n, err));
}

static bool lost_expire(struct sweep *s, int64_t now, struct error *err)
{
	uint64_t files, bytes;

	if (s->lost_after_s == 0)
		return true;
	int64_t until = now - (int64_t)s->lost_after_s;
	if (!lost_remove(s->data_dir, until, &files, &bytes, err) ||
	    !blobs_forget(s->blobs, until, &files, &bytes, err))
		return false;
	if (files > 0)
		log_info("lost.removed", kv_u64("files", files), kv_u64("bytes", bytes));
	return true;
}

void sweep_once(struct sweep *s)
{
	struct error err;
	size_t n = SWEEP_AT_ONCE;
	int64_t next;

	pthread_mutex_lock(&s->lock); /* one at a time */
	int64_t now = sys.now_s();
	bool ok = store_sweep(s->store, now, &next, &err);
	while (ok && n == SWEEP_AT_ONCE)
		ok = blobs_spare_remove(s, &n, &err);
	ok = ok && lost_expire(s, now, &err);
	pthread_mutex_unlock(&s->lock);
	if (!ok)
		log_fault("sweep.failed", &err);
}

/* ---- at a start ---- */

/* When in doubt a blob is kept: the next start asks again. */
static enum blob_standing standing_of_blob(void *ctx, const char *id)
{
	struct sweep *s = ctx;
	struct error err;
	bool known, deleted;

	if (*s->closing)
		return BLOB_KNOWN;
	if (!store_blob_known(s->store, id, &known, &deleted, &err)) {
		log_fault("sweep.failed", &err, kv_str("blob", id));
		return BLOB_KNOWN;
	}
	return known ? BLOB_KNOWN : deleted ? BLOB_DELETED : BLOB_UNKNOWN;
}

/* The batch whose journal, or order of lines, has that name; false if it is no file of ours. */
static bool batch_of_name(const char *name, char id[static ID_SIZE], bool *ret_order)
{
	const char *dot = strrchr(name, '.');

	if (dot == NULL)
		return false;
	*ret_order = strcmp(dot, ".order") == 0;
	return (*ret_order || strcmp(dot, ".journal") == 0) &&
	       slice_copy((struct slice){ name, (size_t)(dot - name) }, id, ID_SIZE);
}

/* That of a batch that is final goes to its result files, if they are still there. */
static void order_sweep(struct sweep *s, const struct batch *b, const char *path)
{
	struct order_homes homes = order_homes(b);
	const char **of[] = { &homes.output, &homes.error };
	bool ok = true, known, deleted;
	struct error err;

	for (size_t i = 0; ok && i < ARRAY_LEN(of); i++) {
		if (*of[i] == NULL)
			continue;
		ok = store_blob_known(s->store, *of[i], &known, &deleted, &err);
		if (ok && !known)
			*of[i] = NULL;
	}
	if (!ok || !order_move_home(s->blobs, path, &homes, &err))
		log_fault("order.not_moved", &err, kv_str("batch", b->id));
}

/* The journal of a batch that is final was left by a crash right after the end, and goes; that of a
 * batch that the database does not know is moved to lost/. */
static bool journal_sweep(struct sweep *s, const char *dir, const char *name, uint64_t *lost,
			  struct error *err)
{
	char path[800], id[ID_SIZE];
	struct batch b;
	struct error missing;
	bool order;

	if (!batch_of_name(name, id, &order))
		return true;
	if (!store_batch_get(s->store, NULL, id, &b, &missing)) {
		if (missing.kind != ERR_NOT_FOUND)
			return true; /* the next start asks again */
		*lost += !order;
		return lost_take(s->data_dir, s->lost_at, "batches", name, err);
	}
	bool spare = batch_is_final(b.status);
	snprintf(path, sizeof(path), "%s/%s", dir, name);
	if (spare && order)
		order_sweep(s, &b, path);
	batch_done(&b);
	if (spare && !order && unlink(path) != 0)
		log_warn("journal.unlink_failed", kv_str("batch", id), kv_int("errno", errno));
	return true;
}

/* The directory of journals, which is made if there is none: the caller's to close. */
static bool journals_open(const struct sweep *s, char dir[static DIR_BYTES], DIR **ret,
			  struct error *err)
{
	snprintf(dir, DIR_BYTES, "%s/batches", s->data_dir);
	if (!sys_make_dir(dir))
		return fail_sys(err, errno, "making %s", dir);
	*ret = opendir(dir);
	return *ret != NULL || fail_sys(err, errno, "reading %s", dir);
}

static bool journals_sweep(struct sweep *s, struct error *err)
{
	char dir[DIR_BYTES];
	uint64_t lost = 0;
	bool ok = true;
	DIR *d;

	if (!journals_open(s, dir, &d, err))
		return false;
	for (struct dirent *e; ok && (e = readdir(d)) != NULL;)
		ok = journal_sweep(s, dir, e->d_name, &lost, err);
	closedir(d);
	if (lost > 0)
		log_warn("journal.lost", kv_u64("journals", lost), kv_str("moved_to", "lost/"));
	return ok;
}

bool sweep_at_start(struct sweep *s, int64_t lost_at, struct error *err)
{
	s->lost_at = lost_at;
	return blobs_sweep(s->blobs, standing_of_blob, s, lost_at, err) && journals_sweep(s, err);
}

void sweep_unknown(struct sweep *s, int64_t lost_at)
{
	struct error err;

	pthread_mutex_lock(&s->lock);
	bool ok = blobs_sweep(s->blobs, standing_of_blob, s, lost_at, &err);
	pthread_mutex_unlock(&s->lock);
	if (!ok)
		log_fault("sweep.failed", &err);
}

static bool is_scratch(const char *name)
{
	return strstr(name, ".journal") != NULL || strstr(name, ".order") != NULL;
}

bool sweep_scratch(struct sweep *s, struct error *err)
{
	char dir[DIR_BYTES], path[DIR_BYTES + 400];
	DIR *d;

	if (!journals_open(s, dir, &d, err))
		return false;
	for (struct dirent *e; (e = readdir(d)) != NULL;) {
		snprintf(path, sizeof(path), "%s/%s", dir, e->d_name);
		if (is_scratch(e->d_name) && unlink(path) != 0)
			log_warn("journal.unlink_failed", kv_str("path", path),
				 kv_int("errno", errno));
	}
	closedir(d);
	return true;
}

void sweep_init(struct sweep *s)
{
	pthread_mutex_init(&s->lock, NULL);
}

void sweep_done(struct sweep *s)
{
	pthread_mutex_destroy(&s->lock);
}
