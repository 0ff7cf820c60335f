/* blob.c: what all kinds of store have in common: whole reads out of short ones, what is synced,
 * and how far an appender may be rewound. */
#include "blob/blob.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/attr.h"
#include "base/log.h"
#include "base/sys.h"
#include "blob/backend.h"

/* ---- the store ---- */

void blobs_close(struct blobs *blobs)
{
	if (blobs == NULL)
		return;
	free(TAKE(blobs->lent_path));
	blobs->ops->close(blobs);
}

bool blobs_sync(struct blobs *blobs, struct error *err)
{
	return blobs->ops->sync(blobs, err);
}

bool blobs_sweep(struct blobs *blobs, blob_standing_fn standing, void *ctx, int64_t at,
		 struct error *err)
{
	return blobs->ops->sweep(blobs, standing, ctx, at, err);
}

const char *blobs_trouble(struct blobs *blobs)
{
	return blobs->ops->trouble != NULL ? blobs->ops->trouble(blobs) : NULL;
}

bool blobs_answer(struct blobs *blobs)
{
	return blobs_trouble(blobs) == NULL;
}

bool blobs_forget(struct blobs *blobs, int64_t until, uint64_t *files, uint64_t *bytes,
		  struct error *err)
{
	return blobs->ops->forget == NULL || blobs->ops->forget(blobs, until, files, bytes, err);
}

static bool is_lent(const struct blobs *blobs, const char *id)
{
	return blobs->lent_path != NULL && strcmp(blobs->lent_id, id) == 0;
}

static bool lent_open(const struct blobs *blobs, struct blob_reader **ret, struct error *err)
{
	int fd = open(blobs->lent_path, O_RDONLY | O_CLOEXEC);

	if (fd < 0 && errno == ENOENT)
		return fail(err, ERR_NOT_FOUND, "No such File object: %s", blobs->lent_id);
	if (fd < 0)
		return fail_sys(err, errno, "opening %s", blobs->lent_path);
	return blob_reader_of_file(fd, blobs->lent_path, ret, err);
}

bool blob_lend(struct blobs *blobs, const char *id, const char *path, struct error *err)
{
	AUTO(auto_free) char *target = realpath(path, NULL); /* the directory may change */
	struct stat st;

	if (target == NULL || stat(target, &st) != 0)
		return fail_sys(err, errno, "looking for %s", path);
	if (!S_ISREG(st.st_mode)) /* lines are read by offset, more than once: no pipes */
		return fail_sys(err, EINVAL, "%s is not a regular file", path);
	if (!slice_copy(slice_of(id), blobs->lent_id, sizeof(blobs->lent_id)))
		return fail(err, ERR_NOT_FOUND, "No such File object: %.64s", id);
	free(blobs->lent_path);
	blobs->lent_path = TAKE(target);
	return true;
}

bool blob_open(struct blobs *blobs, const char *id, enum blob_kind kind, struct blob_reader **ret,
	       struct error *err)
{
	if (kind == BLOB_DATA && is_lent(blobs, id))
		return lent_open(blobs, ret, err);
	return blobs->ops->open(blobs, id, kind, ret, err);
}

bool blob_take(struct blobs *blobs, const char *path, const char *id, enum blob_kind kind,
	       struct error *err)
{
	return blobs->ops->take(blobs, path, id, kind, err);
}

bool blob_remove(struct blobs *blobs, const char *id, struct error *err)
{
	if (is_lent(blobs, id))
		free(TAKE(blobs->lent_path));
	return blobs->ops->remove(blobs, id, err);
}

bool blob_lose(struct blobs *blobs, const char *id, int64_t at, struct error *err)
{
	return blobs->ops->lose(blobs, id, at, err);
}

/* ---- reading ---- */

static _Thread_local bool in_hurry;

void blob_hurry(bool on)
{
	in_hurry = on;
}

bool blob_in_hurry(void)
{
	return in_hurry;
}

bool blobs_cost_descriptors(const struct blobs *blobs)
{
	return !blobs->no_descriptors;
}

void blob_reader_close(struct blob_reader *r)
{
	if (r != NULL)
		r->ops->close(r);
}

uint64_t blob_bytes(const struct blob_reader *r)
{
	return r->bytes;
}

bool blob_read_upto(const struct blob_reader *r, uint64_t at, void *to, size_t n, size_t *ret_n,
		    struct error *err)
{
	char *p = to;
	size_t got = 1;

	for (*ret_n = 0; *ret_n < n && got > 0; *ret_n += got) {
		if (!r->ops->read(r, at + *ret_n, p + *ret_n, n - *ret_n, &got, err))
			return false;
		assert(got <= n - *ret_n);
	}
	return true;
}

bool blob_read_at(const struct blob_reader *r, uint64_t at, void *to, size_t n, struct error *err)
{
	size_t got;

	if (!blob_read_upto(r, at, to, n, &got, err))
		return false;
	return got == n || fail_sys(err, ENODATA, "reading %s, which ends at byte %llu", r->name,
				    (unsigned long long)(at + got));
}

int blob_reader_take_fd(struct blob_reader *r)
{
	return r->ops->take_fd != NULL ? r->ops->take_fd(r) : -1;
}

/* ---- writing once ---- */

bool blob_create(struct blobs *blobs, struct blob_writer **ret, struct error *err)
{
	return blobs != NULL ? blobs->ops->create(blobs, ret, err) : blob_unnamed_create(ret, err);
}

bool blob_scratch_create(struct blobs *blobs, struct blob_writer **ret, struct error *err)
{
	if (!blob_create(blobs, ret, err))
		return false;
	(*ret)->scratch = true;
	return true;
}

bool blob_write(struct blob_writer *w, struct slice bytes, struct error *err)
{
	int fault = failpoint("blob.write");

	w->synced = false;
	if (fault != 0)
		return fail_sys(err, fault, "writing %s", w->back->name);
	/* By offset: a write that failed may be tried again and starts where it should, whatever
	 * part of it got through. */
	if (!w->ops->write_at(w, w->back->bytes, bytes, err))
		return false;
	w->back->bytes += bytes.n;
	return true;
}

bool blob_overwrite(struct blob_writer *w, uint64_t at, struct slice bytes, struct error *err)
{
	assert(at <= w->back->bytes && bytes.n <= w->back->bytes - at);
	w->synced = false;
	return w->ops->write_at(w, at, bytes, err);
}

const struct blob_reader *blob_writer_reader(const struct blob_writer *w)
{
	return w->back;
}

bool blob_sync(struct blob_writer *w, struct error *err)
{
	/* After one failed fsync the next may well report success without the lost pages being on
	 * disk, so the first verdict stands. */
	if (w->broken)
		return fail_sys(err, EIO, "syncing %s, which failed before", w->back->name);
	w->synced = w->ops->sync(w, err);
	w->broken = !w->synced;
	return w->synced;
}

static void writer_close(struct blob_writer *w, bool named)
{
	struct blob_reader *back = w->back;

	w->ops->close(w, named);
	blob_reader_close(back);
}

bool blob_commit(struct blob_writer *w, const char *id, enum blob_kind kind, struct error *err)
{
	/* If it was written since the caller's sync, or never synced, a name now would be given to
	 * bytes that a power cut can still take back. */
	bool ok = (w->synced || blob_sync(w, err)) && w->ops->give_name(w, id, kind, err);

	writer_close(w, ok);
	return ok;
}

bool blobs_share_syncs(const struct blobs *blobs)
{
	return blobs->shares_syncs;
}

bool blob_put(struct blobs *blobs, const char *id, enum blob_kind kind, struct slice bytes,
	      struct error *err)
{
	struct blob_writer *w;

	if (blobs->shares_syncs)
		return blobs->ops->put(blobs, id, kind, bytes, err);
	if (!blob_create(blobs, &w, err))
		return false;
	if (!blob_write(w, bytes, err)) {
		blob_abort(w);
		return false;
	}
	return blob_commit(w, id, kind, err);
}

struct blob_reader *blob_writer_end(struct blob_writer *w)
{
	struct blob_reader *back = w->back;

	w->ops->close(w, false);
	return back;
}

void blob_abort(struct blob_writer *w)
{
	if (w != NULL)
		writer_close(w, false);
}

/* ---- growing by appending ---- */

bool blob_append_open(struct blobs *blobs, const char *id, uint64_t keep_bytes,
		      struct blob_appender **ret, struct error *err)
{
	if (!blobs->ops->append(blobs, id, keep_bytes, ret, err))
		return false;
	assert((*ret)->bytes == keep_bytes);
	(*ret)->kept = keep_bytes;
	return true;
}

bool blob_append(struct blob_appender *a, struct slice bytes, struct error *err)
{
	a->dirty = true; /* a failure may leave some */
	if (!a->ops->append(a, bytes, err))
		return false;
	a->bytes += bytes.n;
	return true;
}

uint64_t blob_appended_bytes(const struct blob_appender *a)
{
	return a->bytes;
}

bool blob_append_sync(struct blob_appender *a, struct error *err)
{
	if (a->dirty && !a->ops->sync(a, err))
		return false;
	a->dirty = false;
	return true;
}

void blob_append_keep(struct blob_appender *a, uint64_t bytes)
{
	assert(!a->dirty && bytes >= a->kept && bytes <= a->bytes);
	a->kept = bytes;
}

void blob_append_rewind_to(struct blob_appender *a, uint64_t bytes)
{
	assert(bytes >= a->kept && bytes <= a->bytes);
	a->dirty |= bytes < a->bytes;
	a->bytes = bytes;
}

void blob_append_close(struct blob_appender *a)
{
	if (a != NULL)
		a->ops->close(a);
}

/* ---- a tail that goes to lost/ ---- */

#define COPY_BYTES (64u << 10)

/* The first `bytes` of `from`, into a blob of no name yet. */
static bool copy_begin(struct blobs *blobs, const struct blob_reader *from, uint64_t bytes,
		       struct blob_writer **ret, struct error *err)
{
	char piece[COPY_BYTES];
	struct blob_writer *w;
	bool ok = true;

	if (!blob_create(blobs, &w, err))
		return false;
	for (uint64_t at = 0; ok && at < bytes;) {
		size_t n = bytes - at < COPY_BYTES ? (size_t)(bytes - at) : COPY_BYTES;
		ok = blob_read_at(from, at, piece, n, err) &&
		     blob_write(w, (struct slice){ piece, n }, err);
		at += n;
	}
	if (!ok || !blob_sync(w, err)) {
		blob_abort(w);
		return false;
	}
	*ret = w;
	return true;
}

static bool tail_lose(struct blobs *blobs, const char *id, const struct blob_reader *whole,
		      uint64_t keep_bytes, int64_t at, struct error *err)
{
	struct blob_writer *copy;

	if (blob_bytes(whole) <= keep_bytes)
		return true;
	if (!copy_begin(blobs, whole, keep_bytes, &copy, err))
		return false;
	/* crash, between here and the commit: the whole is in lost/, and the result file is gone,
	 * which is damage that the owner mends. */
	if (!blob_lose(blobs, id, at, err)) {
		blob_abort(copy);
		return false;
	}
	log_warn("blob.tail_lost", kv_str("file", id),
		 kv_u64("bytes", blob_bytes(whole) - keep_bytes), kv_str("moved_to", "lost/"));
	return blob_commit(copy, id, BLOB_DATA, err);
}

bool blob_lose_tail(struct blobs *blobs, const char *id, uint64_t keep_bytes, int64_t at,
		    struct error *err)
{
	struct blob_reader *whole;

	if (!blob_open(blobs, id, BLOB_DATA, &whole, err))
		return err->kind == ERR_NOT_FOUND; /* no file, no tail */
	bool ok = tail_lose(blobs, id, whole, keep_bytes, at, err);
	blob_reader_close(whole);
	return ok;
}
