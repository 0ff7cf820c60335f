/* redo_doubt.c: after a sync of the file system that failed. The kernel says so once and takes for synced
 * what it could not write, so another sync that succeeds is no proof: the bytes are written again first. */
#include <errno.h>
#include <stdlib.h>

#include "base/attr.h"
#include "base/sys.h"
#include "redo/redo_impl.h"

/* The headers are of no kernel: the next start takes the log for another's. Where the disk refuses that as
 * well, only this process knows. */
void redo_doubt(struct redo *r)
{
	bool known = r->doubted;

	r->doubted = true;
	if (known)
		return;
	redo_syncing_take(r);
	for (unsigned i = 0; i < REDO_FILES; i++) {
		const struct redo_file *f = &r->files[i];
		const struct redo_header h = redo_header_make(f->generation, 0, false);
		if (f->generation != 0 && sys_pwrite_all(f->fd, &h, sizeof(h), 0))
			(void)!sys.fdatasync(f->fd);
	}
	redo_syncing_end(r);
}

/* A sync of one file, of the bytes that entries have as well as of those that none has. */
bool redo_file_sync(struct redo *r, int fd)
{
	if (r == NULL)
		return sys.fdatasync(fd) == 0;
	pthread_rwlock_rdlock(&r->file_syncs);
	bool ok = sys.fdatasync(fd) == 0;
	int why = errno;
	if (!ok)
		r->file_sync_failed = true;
	pthread_rwlock_unlock(&r->file_syncs);
	errno = why;
	return ok;
}

bool redo_file_sync_failed(struct redo *r)
{
	pthread_rwlock_wrlock(&r->file_syncs);
	bool failed = r->file_sync_failed;
	r->file_sync_failed = false;
	pthread_rwlock_unlock(&r->file_syncs);
	return failed;
}

static bool entry_again(struct redo *r, const struct redo_entry *e, struct error *err)
{
	return redo_entry_again(r, e, err);
}

static bool files_again(struct redo *r, struct error *err)
{
	uint64_t sequence = 0, entries = 0;
	bool ok = true;

	for (unsigned i = 0; ok && i < REDO_FILES; i++) {
		const struct redo_file *f = &r->files[(redo_first(r) + i) % REDO_FILES];
		ok = f->generation == 0 ||
		     redo_each(r, f, false, entry_again, &sequence, &entries, err);
	}
	return ok;
}

/* Those that are in no file of the log yet. */
static bool entries_again(struct redo *r, struct slice entries, struct error *err)
{
	AUTO(auto_free) struct redo_entry *e = malloc(sizeof(*e));
	bool ok = e != NULL || fail_memory(err);

	for (size_t n; ok && entries.n > 0; entries.p += n, entries.n -= n) {
		redo_entry_take(entries, e);
		n = redo_entry_size(&e->head);
		ok = redo_entry_again(r, e, err);
	}
	return ok;
}

/* A copy: names that are gone are handed over meanwhile. */
static bool pending_again(struct redo *r, struct error *err)
{
	AUTO(buf_free) struct buf copy = BUF(r->pending.max);

	pthread_mutex_lock(&r->lock);
	buf_add(&copy, buf_slice(&r->pending));
	pthread_mutex_unlock(&r->lock);
	return copy.failed ? fail_memory(err) : entries_again(r, buf_slice(&copy), err);
}

/* In the order of the log: the files are as they were. */
bool redo_doubt_end(struct redo *r, struct error *err)
{
	if (redo_file_sync_failed(r))
		redo_doubt(r);
	if (!r->doubted)
		return true;
	pthread_rwlock_wrlock(&r->handing);
	redo_syncing_take(r);
	bool ok = files_again(r, err) && entries_again(r, buf_slice(&r->writing), err) &&
		  pending_again(r, err);
	redo_syncing_end(r);
	pthread_rwlock_unlock(&r->handing);
	r->doubted = !ok;
	return ok;
}
