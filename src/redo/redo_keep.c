/* redo_keep.c: the log's thread: makes the files themselves durable, so that a generation is done with. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/sys.h"
#include "base/worker.h"
#include "redo/redo_format.h"
#include "redo/redo_impl.h"

#define LOOK_MS 5000 /* names that are gone, of which nobody waits for a sync */
#define RETRY_MS 1000

/* ---- the files are durable ---- */

static bool file_system_sync(const struct redo *r, const char *dir, struct error *err)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/%s", r->data_dir, dir);
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOENT || fail_sys(err, errno, "opening %s", path);
	bool ok = sys.syncfs(fd) == 0 ||
		  fail_sys(err, errno, "syncing the file system of %s", path);
	close(fd);
	return ok;
}

/* Of a file whose own sync has failed the file system's has nothing more to write. */
static bool file_sync_failed(struct redo *r, struct error *err)
{
	return redo_file_sync_failed(r) &&
	       !fail_sys(err, EIO, "syncing a file beside the redo log");
}

/* One sync does for directories on one file system, which is the usual. */
static bool directories_sync(struct redo *r, struct error *err)
{
	char files[PATH_MAX], batches[PATH_MAX];
	struct stat a, b;

	snprintf(files, sizeof(files), "%s/files", r->data_dir);
	snprintf(batches, sizeof(batches), "%s/batches", r->data_dir);
	bool apart = stat(files, &a) != 0 || stat(batches, &b) != 0 || a.st_dev != b.st_dev;
	return file_system_sync(r, "files", err) &&
	       (!apart || file_system_sync(r, "batches", err)) && !file_sync_failed(r, err);
}

/* The number of the generation stays: the next one gets another, and takes no entry of this one for its
 * own. What a disk that refused made too long is given back.
 * crash, before the header says it: the entries are written to their files once more, which hold what
 * came later as well as it stands in the other file of the log. */
static bool header_end(const struct redo *r, const struct redo_file *f, struct error *err)
{
	const struct redo_header h = redo_header_make(f->generation, r->kernel, true);
	off_t most = (off_t)(r->generation_bytes + 2 * PENDING_MOST);
	struct stat st;

	(void)failpoint("redo.before_done");
	if (sys_pwrite_all(f->fd, &h, sizeof(h), 0) && fstat(f->fd, &st) == 0 &&
	    (st.st_size <= most || sys.ftruncate(f->fd, most) == 0) && sys.fdatasync(f->fd) == 0)
		return true;
	return fail_sys(err, errno, "ending a generation of the redo log");
}

bool redo_done_with(struct redo *r, const struct redo_file *f, struct error *err)
{
	if (!redo_doubt_end(r, err))
		return false;
	bool durable = directories_sync(r, err);
	if (!durable)
		redo_doubt(r);
	return durable && header_end(r, f, err);
}

void redo_done_note(struct redo *r, struct redo_file *f)
{
	f->generation = 0;
	if (f->last > r->names.done)
		r->names.done = f->last;
}

/* The older one first: alone it would be written over what the newer one had. */
static bool headers_end(struct redo *r, struct error *err)
{
	const unsigned first = redo_first(r);
	bool ok = true;

	for (unsigned i = 0; ok && i < REDO_FILES; i++) {
		struct redo_file *f = &r->files[(first + i) % REDO_FILES];
		ok = f->generation == 0 || header_end(r, f, err);
		pthread_mutex_lock(&r->lock);
		if (ok)
			redo_done_note(r, f);
		pthread_mutex_unlock(&r->lock);
	}
	return ok;
}

/* Of the thread that has `keeping`. While it has `syncing` no sync adds entries that this one's bytes are
 * not of; those that come then are another generation's, whatever became of the headers. */
static bool all_done_with(struct redo *r, struct error *err)
{
	redo_syncing_take(r);
	bool durable = directories_sync(r, err), ok = durable && headers_end(r, err);
	pthread_mutex_lock(&r->lock);
	if (durable && r->end != 0) {
		r->end = 0;
		redo_generation_next(r);
	}
	pthread_mutex_unlock(&r->lock);
	redo_syncing_end(r);
	if (!durable)
		redo_doubt(r);
	return ok;
}

bool redo_settle(struct redo *r, struct error *err)
{
	if (!redo_sync(r, redo_last(r), err))
		return false;
	pthread_mutex_lock(&r->lock);
	while (r->keeping)
		pthread_cond_wait(&r->synced, &r->lock);
	r->keeping = true;
	pthread_mutex_unlock(&r->lock);
	bool ok = redo_doubt_end(r, err) && all_done_with(r, err);
	pthread_mutex_lock(&r->lock);
	r->keeping = false;
	pthread_cond_broadcast(&r->synced);
	pthread_mutex_unlock(&r->lock);
	return ok;
}

bool redo_leave(struct redo *r, const char *name, struct error *err)
{
	if (r == NULL)
		return true;
	pthread_mutex_lock(&r->lock);
	bool logged = redo_names_have(&r->names, name);
	pthread_mutex_unlock(&r->lock);
	return !logged || redo_settle(r, err);
}

/* ---- the thread ---- */

/* The file whose generation has ended, if it has one; under the lock. */
static struct redo_file *ended(struct redo *r)
{
	struct redo_file *f = &r->files[(r->current + 1) % REDO_FILES];

	return !r->keeping && f->generation != 0 ? f : NULL;
}

/* Under the lock, which it gives back meanwhile. */
static bool ended_keep(struct redo *r, struct redo_file *f, struct error *err)
{
	r->keeping = true;
	pthread_mutex_unlock(&r->lock);
	bool ok = redo_done_with(r, f, err);
	pthread_mutex_lock(&r->lock);
	if (ok)
		redo_done_note(r, f);
	r->keeping = false;
	pthread_cond_broadcast(&r->synced);
	return ok;
}

/* Likewise. */
static bool rest_sync(struct redo *r, struct error *err)
{
	uint64_t last = r->added;

	pthread_mutex_unlock(&r->lock);
	bool ok = redo_sync(r, last, err);
	pthread_mutex_lock(&r->lock);
	return ok;
}

static void *keeper_main(void *arg)
{
	struct redo *r = arg;
	struct error err;
	bool told = false; /* the disk refuses, and the log says so */

	pthread_mutex_lock(&r->lock);
	while (!r->closing) {
		struct timespec until = clock_after_ms(told ? RETRY_MS : LOOK_MS);
		if (ended(r) == NULL || told)
			(void)pthread_cond_timedwait(&r->wake, &r->lock, &until);
		if (r->closing)
			break;
		struct redo_file *f = ended(r);
		bool ok = f != NULL ? ended_keep(r, f, &err) : rest_sync(r, &err);
		if (!ok && !told)
			log_fault("redo.refused", &err);
		told = !ok;
	}
	pthread_mutex_unlock(&r->lock);
	return NULL;
}

bool redo_keeper_start(struct redo *r, struct error *err)
{
	r->keeper_started = thread_start(&r->keeper, "redo", keeper_main, r, err);
	return r->keeper_started;
}
