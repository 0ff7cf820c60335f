/* redo_open.c: a log is opened, and closed. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/sys.h"
#include "redo/redo_impl.h"

/* Who wants it whole waits for those who hold it, and not for those who come. */
static void lock_init(pthread_rwlock_t *lock)
{
	pthread_rwlockattr_t attr;

	pthread_rwlockattr_init(&attr);
	pthread_rwlockattr_setkind_np(&attr, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
	pthread_rwlock_init(lock, &attr);
	pthread_rwlockattr_destroy(&attr);
}

static bool files_open(struct redo *r, struct error *err)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/redo", r->data_dir);
	if (!sys_make_dir(path))
		return fail_sys(err, errno, "creating %s", path);
	for (unsigned i = 0; i < REDO_FILES; i++) {
		snprintf(path, sizeof(path), "%s/redo/%u", r->data_dir, i);
		r->files[i].fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
		if (r->files[i].fd < 0)
			return fail_sys(err, errno, "opening %s", path);
	}
	/* crash: no file, or empty ones: nothing is logged yet. */
	snprintf(path, sizeof(path), "%s/redo", r->data_dir);
	return sys_sync_dir(path) || fail_sys(err, errno, "syncing %s", path);
}

/* One file is free for the generation that begins; what is in the other is done with soon. */
static bool generation_begin(struct redo *r, struct error *err)
{
	struct redo_file *a = &r->files[0], *b = &r->files[1];
	struct redo_file *older = a->generation < b->generation ? a : b;

	if (a->generation != 0 && b->generation != 0) {
		if (!redo_done_with(r, older, err))
			return false;
		redo_done_note(r, older);
	}
	r->current = a->generation == 0 ? 0 : 1;
	redo_generation_next(r);
	return true;
}

static bool log_open(struct redo *r, const char *data_dir, struct error *err)
{
	if (!slice_copy(slice_of(data_dir), r->data_dir, sizeof(r->data_dir)))
		return fail_sys(err, ENAMETOOLONG, "opening %.100s...", data_dir);
	r->kernel = redo_kernel(data_dir);
	if (!files_open(r, err) || !redo_replay(r, err))
		return false;
	r->durable = r->added;
	return generation_begin(r, err) && redo_keeper_start(r, err);
}

bool redo_open(const char *data_dir, struct redo **ret, struct error *err)
{
	struct redo *r = calloc(1, sizeof(*r));

	if (r == NULL)
		return fail_memory(err);
	for (unsigned i = 0; i < REDO_FILES; i++)
		r->files[i].fd = -1;
	r->pending = r->writing = BUF(2 * (size_t)PENDING_MOST);
	r->generation_bytes = GENERATION_BYTES;
	pthread_mutex_init(&r->lock, NULL);
	lock_init(&r->handing);
	lock_init(&r->file_syncs);
	pthread_cond_init(&r->synced, NULL);
	clock_cond_init(&r->wake);
	if (!log_open(r, data_dir, err)) {
		redo_close(r);
		return false;
	}
	*ret = r;
	return true;
}

void redo_close(struct redo *r)
{
	struct error ignored;

	if (r == NULL)
		return;
	pthread_mutex_lock(&r->lock);
	r->closing = true;
	pthread_cond_signal(&r->wake);
	pthread_mutex_unlock(&r->lock);
	if (r->keeper_started) {
		pthread_join(r->keeper, NULL);
		/* only names that are gone, of which nobody waits */
		(void)!redo_sync(r, r->added, &ignored);
	}
	for (unsigned i = 0; i < REDO_FILES; i++)
		auto_close(&r->files[i].fd);
	buf_free(&r->pending);
	buf_free(&r->writing);
	redo_names_done(&r->names);
	pthread_cond_destroy(&r->wake);
	pthread_cond_destroy(&r->synced);
	pthread_rwlock_destroy(&r->file_syncs);
	pthread_rwlock_destroy(&r->handing);
	pthread_mutex_destroy(&r->lock);
	free(r);
}
