/* disk_small.c: a blob that is small stays in memory while it is written, and becomes a file at once,
 * under its name; its bytes are durable by the redo log (redo/redo.h), so that many such blobs have one
 * sync, and none of the directory. One that grows goes on as a file in tmp.
 *
 * The comments "crash:" are explained in disk.c. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/sys.h"
#include "blob/disk.h"

#define SMALL_BYTES (32u << 10)

/* Reads what is being written, wherever it is; it lives as long as the writer, or as it is read. */
struct small_reader {
	struct blob_reader reader; /* first */
	struct buf bytes;
	struct blob_writer *large; /* NULL: it is small */
	struct blob_reader *rest;  /* of the large one, which has ended */
};

struct small_writer {
	struct blob_writer writer; /* first; `back` is a small_reader */
	struct disk *disk;
};

static struct small_reader *back_of(const struct blob_writer *w)
{
	return (struct small_reader *)w->back;
}

/* ---- reading ---- */

static bool small_read(const struct blob_reader *r, uint64_t at, void *to, size_t n, size_t *ret_n,
		       struct error *err)
{
	const struct small_reader *s = (const struct small_reader *)r;
	const struct blob_reader *large = s->large != NULL ? s->large->back : s->rest;

	if (large != NULL)
		return large->ops->read(large, at, to, n, ret_n, err);
	size_t left = at < s->bytes.n ? s->bytes.n - (size_t)at : 0;
	*ret_n = n < left ? n : left;
	if (*ret_n > 0)
		memcpy(to, s->bytes.p + at, *ret_n);
	return true;
}

static void small_reader_close(struct blob_reader *r)
{
	struct small_reader *s = (struct small_reader *)r;

	buf_free(&s->bytes);
	if (s->rest != NULL)
		s->rest->ops->close(s->rest);
	free(s);
}

static const struct blob_reader_ops small_reader_ops = { small_read, NULL, small_reader_close };

/* ---- writing ---- */

/* It is not small any more. */
static bool grow_large(struct blob_writer *w, struct error *err)
{
	struct small_reader *s = back_of(w);

	if (s->large != NULL)
		return true;
	struct blob_writer *large;
	if (!disk_file_create(&((struct small_writer *)w)->disk->blobs, &large, err))
		return false;
	large->scratch = w->scratch;
	if (!large->ops->write_at(large, 0, buf_slice(&s->bytes), err)) {
		struct blob_reader *back = large->back;
		large->ops->close(large, false);
		back->ops->close(back);
		return false;
	}
	s->large = large;
	buf_free(&s->bytes);
	return true;
}

static bool small_write_at(struct blob_writer *w, uint64_t at, struct slice bytes,
			   struct error *err)
{
	struct small_reader *s = back_of(w);

	if ((s->large != NULL || at + bytes.n > SMALL_BYTES) && !grow_large(w, err))
		return false;
	if (s->large != NULL)
		return s->large->ops->write_at(s->large, at, bytes, err);
	size_t over = s->bytes.n - (size_t)at < bytes.n ? s->bytes.n - (size_t)at : bytes.n;
	if (!buf_reserve(&s->bytes, bytes.n - over)) {
		s->bytes.failed = false;
		return fail_memory(err);
	}
	if (over > 0)
		memcpy(s->bytes.p + at, bytes.p, over);
	buf_append(&s->bytes, bytes.p + over, bytes.n - over);
	return true;
}

/* A small one is durable when its name is. */
static bool small_sync(struct blob_writer *w, struct error *err)
{
	struct blob_writer *large = back_of(w)->large;

	return large == NULL || large->ops->sync(large, err);
}

static bool small_give_name(struct blob_writer *w, const char *id, enum blob_kind kind,
			    struct error *err)
{
	const struct small_reader *s = back_of(w);

	if (s->large != NULL)
		return s->large->ops->give_name(s->large, id, kind, err);
	return disk_put(&((struct small_writer *)w)->disk->blobs, id, kind, buf_slice(&s->bytes),
			err);
}

static void small_close(struct blob_writer *w, bool named)
{
	struct small_reader *s = back_of(w);

	if (s->large != NULL) {
		s->rest = s->large->back;
		s->large->ops->close(TAKE(s->large), named);
	}
	free(w);
}

static const struct blob_writer_ops small_ops = { small_write_at, small_sync, small_give_name,
						  small_close };

bool disk_create(struct blobs *blobs, struct blob_writer **ret, struct error *err)
{
	struct disk *disk = (struct disk *)blobs;

	if (disk->redo == NULL)
		return disk_file_create(blobs, ret, err);
	struct small_writer *w = calloc(1, sizeof(*w));
	struct small_reader *s = calloc(1, sizeof(*s));
	if (w == NULL || s == NULL) {
		free(w);
		free(s);
		return fail_memory(err);
	}
	s->reader = (struct blob_reader){ &small_reader_ops, "a small file", 0 };
	s->bytes = BUF(SMALL_BYTES);
	w->writer = (struct blob_writer){ .ops = &small_ops, .back = &s->reader };
	w->disk = disk;
	*ret = &w->writer;
	return true;
}

/* ---- at once ---- */

static bool file_write(const char *path, struct slice bytes, struct error *err)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, BLOB_MODE);

	if (fd < 0)
		return fail_sys(err, errno, "creating %s", path);
	bool ok = sys_pwrite_all(fd, bytes.p, bytes.n, 0) ||
		  fail_sys(err, errno, "writing %s", path);
	close(fd);
	return ok;
}

/* crash, in here or before the sync of the log: a blob, or a part of one, under its name, without a row:
 * sweep; of result files that the row of a batch names: they are made anew. */
bool disk_put(struct blobs *blobs, const char *id, enum blob_kind kind, struct slice bytes,
	      struct error *err)
{
	struct disk *disk = (struct disk *)blobs;
	char path[PATH_MAX];
	int fault = failpoint("ingest.before_rename");

	if (!disk_path(disk, id, kind, path, err))
		return false;
	if (fault != 0)
		return fail_sys(err, fault, "creating %s", path);
	redo_begin(disk->redo);
	bool ok = file_write(path, bytes, err) &&
		  redo_put(disk->redo, disk_logged_name(disk, path), bytes, err);
	redo_end(disk->redo);
	if (!ok) {
		unlink(path);
		return false;
	}
	disk_logged(disk);
	(void)failpoint("ingest.after_rename");
	return true;
}
