/* redo.c: see redo.h. Entries gather in `pending` while a thread writes and syncs those before: who
 * waits next takes all of them. */
#include "redo/redo.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "base/id.h"
#include "base/sys.h"
#include "redo/redo_format.h"
#include "redo/redo_impl.h"

/* ---- syncing: of the thread that has set `syncing` ---- */

static bool header_write(const struct redo *r, int fd, struct error *err)
{
	const struct redo_header h = redo_header_make(r->generation, r->kernel, false);

	return sys_pwrite_all(fd, &h, sizeof(h), 0) ||
	       fail_sys(err, errno, "beginning the redo log");
}

/* crash, before the sync has ended: some of the entries, the last perhaps torn. What they say stands in
 * their files if the kernel lived; nobody was told that it is durable. */
static bool entries_write(struct redo *r, struct error *err)
{
	int fd = r->files[r->current].fd;
	uint64_t at = r->end == 0 ? sizeof(struct redo_header) : r->end;

	if (r->end == 0 && !header_write(r, fd, err))
		return false;
	redo_entries_seal(r->writing.p, r->writing.n, r->generation);
	(void)failpoint("redo.before_write");
	if (!sys_pwrite_all(fd, r->writing.p, r->writing.n, (off_t)at))
		return fail_sys(err, errno, "writing the redo log");
	(void)failpoint("redo.before_sync");
	if (sys.fdatasync(fd) != 0)
		return fail_sys(err, errno, "syncing the redo log");
	(void)failpoint("redo.after_sync");
	return true;
}

void redo_generation_next(struct redo *r)
{
	uint32_t step;

	random_bytes(&step, sizeof(step));
	r->generation += 1 + (uint64_t)step;
}

/* The other file takes what comes, if it is free; this one is to be done with. Under the lock. */
static void generation_end(struct redo *r)
{
	unsigned other = (r->current + 1) % REDO_FILES;

	if (r->end < r->generation_bytes || r->files[other].generation != 0)
		return;
	r->current = other;
	r->end = 0;
	redo_generation_next(r);
	pthread_cond_signal(&r->wake);
}

/* What a sync that failed was to write is written first, and again: it keeps its place. */
static void writing_take(struct redo *r)
{
	if (r->writing.n > 0)
		return;
	struct buf taken = r->pending;
	r->pending = r->writing;
	r->writing = taken;
	r->writing_to = r->added;
}

/* Under the lock, which it gives back meanwhile. */
static void sync_once(struct redo *r)
{
	struct error err;

	r->syncing = true;
	writing_take(r);
	pthread_mutex_unlock(&r->lock);
	bool ok = entries_write(r, &err);
	pthread_mutex_lock(&r->lock);
	if (ok) {
		r->files[r->current].generation = r->generation;
		r->files[r->current].last = r->writing_to;
		r->end = (r->end == 0 ? sizeof(struct redo_header) : r->end) + r->writing.n;
		r->durable = r->writing_to;
		buf_clear(&r->writing);
		generation_end(r);
	} else {
		r->failures++;
		r->fault = err;
	}
	r->syncing = false;
	pthread_cond_broadcast(&r->synced);
}

static bool sync_locked(struct redo *r, uint64_t wanted, struct error *err)
{
	uint64_t failures = r->failures;

	while (r->durable < wanted && r->failures == failures)
		if (r->syncing)
			pthread_cond_wait(&r->synced, &r->lock);
		else
			sync_once(r);
	if (r->durable < wanted)
		*err = r->fault;
	return r->durable >= wanted;
}

bool redo_sync(struct redo *r, uint64_t last, struct error *err)
{
	pthread_mutex_lock(&r->lock);
	bool ok = sync_locked(r, last, err);
	pthread_mutex_unlock(&r->lock);
	return ok;
}

uint64_t redo_last(struct redo *r)
{
	pthread_mutex_lock(&r->lock);
	uint64_t last = r->added;
	pthread_mutex_unlock(&r->lock);
	return last;
}

void redo_syncing_take(struct redo *r)
{
	pthread_mutex_lock(&r->lock);
	while (r->syncing)
		pthread_cond_wait(&r->synced, &r->lock);
	r->syncing = true;
	pthread_mutex_unlock(&r->lock);
}

void redo_syncing_end(struct redo *r)
{
	pthread_mutex_lock(&r->lock);
	r->syncing = false;
	pthread_cond_broadcast(&r->synced);
	pthread_mutex_unlock(&r->lock);
}

/* ---- handing over ---- */

void redo_begin(struct redo *r)
{
	if (r != NULL)
		pthread_rwlock_rdlock(&r->handing);
}

void redo_end(struct redo *r)
{
	if (r != NULL)
		pthread_rwlock_unlock(&r->handing);
}

static bool add_locked(struct redo *r, enum redo_kind kind, const char *name, uint64_t at,
		       struct slice bytes, struct error *err)
{
	assert(bytes.n <= REDO_MOST && redo_name_is_plain(name, strlen(name)));
	if (r->pending.n + r->writing.n > PENDING_MOST && !sync_locked(r, r->added, err))
		return false;
	if (!redo_names_note(&r->names, name, r->added + 1))
		return fail_memory(err);
	redo_entry_add(&r->pending, kind, name, at, bytes, r->added + 1);
	if (r->pending.failed) {
		r->pending.failed = false;
		return fail_memory(err);
	}
	r->added++;
	return true;
}

static bool add(struct redo *r, enum redo_kind kind, const char *name, uint64_t at,
		struct slice bytes, struct error *err)
{
	pthread_mutex_lock(&r->lock);
	bool ok = add_locked(r, kind, name, at, bytes, err);
	pthread_mutex_unlock(&r->lock);
	return ok;
}

bool redo_write(struct redo *r, const char *name, uint64_t at, struct slice bytes,
		struct error *err)
{
	return add(r, REDO_WRITE, name, at, bytes, err);
}

bool redo_put(struct redo *r, const char *name, struct slice bytes, struct error *err)
{
	return add(r, REDO_PUT, name, 0, bytes, err);
}

void redo_gone(struct redo *r, const char *name)
{
	struct error ignored; /* the file is found again, as is told there */

	if (r != NULL)
		(void)!add(r, REDO_GONE, name, 0, SLICE(""), &ignored);
}
