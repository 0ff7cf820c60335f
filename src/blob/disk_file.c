/* disk_file.c: one file of the directory, read, written once or appended to.
 *
 * The comments "crash:" are explained in disk.c. */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/sys.h"
#include "blob/disk.h"

/* Dirty pages are handed to the disk each time this much is written: then the fsync at the end of
 * a 10 GB upload waits for the last few MiB, not for all that the page cache could hold. */
#define WRITE_BACK_BYTES (8u << 20)

/* ---- reading ---- */

struct disk_reader {
	struct blob_reader reader; /* first */
	int fd;
	char name[];
};

static struct disk_reader *reader_of(const struct blob_reader *r)
{
	return (struct disk_reader *)r;
}

static bool reader_read(const struct blob_reader *r, uint64_t at, void *to, size_t n, size_t *ret_n,
			struct error *err)
{
	ssize_t got;

	do
		got = pread(reader_of(r)->fd, to, n, (off_t)at);
	while (got < 0 && errno == EINTR);
	if (got < 0)
		return fail_sys(err, errno, "reading %s", r->name);
	*ret_n = (size_t)got;
	return true;
}

static int reader_take_fd(struct blob_reader *r)
{
	int fd = reader_of(r)->fd;

	reader_of(r)->fd = -1;
	return fd;
}

static void reader_close(struct blob_reader *r)
{
	auto_close(&reader_of(r)->fd);
	free(r);
}

static const struct blob_reader_ops reader_ops = { reader_read, reader_take_fd, reader_close };

/* NULL: no memory; `fd` stays the caller's. */
static struct blob_reader *reader_new(int fd, const char *name, uint64_t bytes)
{
	size_t name_bytes = strlen(name) + 1;
	struct disk_reader *d = malloc(sizeof(*d) + name_bytes);

	if (d == NULL)
		return NULL;
	d->reader = (struct blob_reader){ &reader_ops, d->name, bytes };
	d->fd = fd;
	memcpy(d->name, name, name_bytes);
	return &d->reader;
}

bool blob_reader_of_file(int fd, const char *name, struct blob_reader **ret, struct error *err)
{
	struct stat st;

	if (fstat(fd, &st) != 0) {
		int saved_errno = errno;
		close(fd);
		return fail_sys(err, saved_errno, "looking at %s", name);
	}
	*ret = reader_new(fd, name, (uint64_t)st.st_size);
	if (*ret == NULL) {
		close(fd);
		return fail_memory(err);
	}
	return true;
}

bool disk_open(struct blobs *blobs, const char *id, enum blob_kind kind, struct blob_reader **ret,
	       struct error *err)
{
	char path[PATH_MAX];

	if (!disk_path((struct disk *)blobs, id, kind, path, err))
		return false;
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 && errno == ENOENT)
		return blob_not_found(id, err);
	if (fd < 0)
		return fail_sys(err, errno, "opening %s", path);
	return blob_reader_of_file(fd, path, ret, err);
}

/* ---- write once ---- */

struct disk_writer {
	struct blob_writer writer; /* first; `back` owns the descriptor */
	struct disk *disk;         /* NULL: it has no name, nor will have */
	uint64_t handed_over;      /* up to here write-back has been started */
	char path[PATH_MAX];       /* in tmp; "": it has no name */
};

static struct disk_writer *writer_of(struct blob_writer *w)
{
	return (struct disk_writer *)w;
}

/* *handed_over: up to where it has been started. */
static void start_write_back(uint64_t *handed_over, int fd, uint64_t written)
{
	if (written < *handed_over + WRITE_BACK_BYTES)
		return;
	/* Advice only. If it fails, the fsync has more to do, and it reports any real error. */
	(void)!sync_file_range(fd, (off_t)*handed_over, (off_t)(written - *handed_over),
			       SYNC_FILE_RANGE_WRITE);
	*handed_over = written;
}

static bool writer_write_at(struct blob_writer *w, uint64_t at, struct slice bytes,
			    struct error *err)
{
	int fd = reader_of(w->back)->fd;

	if (!sys_pwrite_all(fd, bytes.p, bytes.n, (off_t)at))
		return fail_sys(err, errno, "writing %s", w->back->name);
	if (!w->scratch)
		start_write_back(&writer_of(w)->handed_over, fd, at + bytes.n);
	return true;
}

static bool writer_sync(struct blob_writer *w, struct error *err)
{
	if (writer_of(w)->disk != NULL && sys.fsync(reader_of(w->back)->fd) != 0)
		return fail_sys(err, errno, "syncing %s", w->back->name);
	return true;
}

static bool writer_give_name(struct blob_writer *w, const char *id, enum blob_kind kind,
			     struct error *err)
{
	const struct disk_writer *d = writer_of(w);
	char name[PATH_MAX];
	int fault = failpoint("ingest.before_rename");

	assert(d->disk != NULL);
	if (!disk_path(d->disk, id, kind, name, err) ||
	    !redo_leave(d->disk->redo, disk_logged_name(d->disk, name), err))
		return false;
	if (fault == 0 && sys.rename(d->path, name) != 0)
		fault = errno;
	if (fault != 0)
		return fail_sys(err, fault, "renaming %s to %s", d->path, name);
	/* crash: a whole blob under its name, or (the directory is not synced yet) under its
	 * temporary one; in either case without a row: sweep, tmp. */
	disk_named(d->disk);
	(void)failpoint("ingest.after_rename");
	return true;
}

static void writer_close(struct blob_writer *w, bool named)
{
	/* crash, or a failing unlink: a file in tmp: tmp. */
	if (!named && writer_of(w)->path[0] != '\0')
		unlink(writer_of(w)->path);
	free(w);
}

static const struct blob_writer_ops writer_ops = { writer_write_at, writer_sync, writer_give_name,
						   writer_close };

/* Over `fd`, which it takes over; < 0: it could not be opened, as errno says. */
static bool writer_begin(struct disk_writer *d, int fd, const char *name, struct blob_writer **ret,
			 struct error *err)
{
	if (fd < 0)
		return fail_sys(err, errno, "creating %s", name);
	d->writer = (struct blob_writer){ .ops = &writer_ops, .back = reader_new(fd, name, 0) };
	if (d->writer.back == NULL) {
		close(fd);
		if (d->path[0] != '\0')
			unlink(d->path);
		return fail_memory(err);
	}
	*ret = &d->writer;
	return true;
}

bool disk_file_create(struct blobs *blobs, struct blob_writer **ret, struct error *err)
{
	struct disk_writer *d = calloc(1, sizeof(*d));

	if (d == NULL)
		return fail_memory(err);
	d->disk = (struct disk *)blobs;
	disk_temporary_path(d->disk, d->path);
	/* crash, from here to the rename: a file in tmp: tmp. */
	int fd = open(d->path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, BLOB_MODE);
	if (!writer_begin(d, fd, d->path, ret, err)) {
		free(d);
		return false;
	}
	return true;
}

/* A file without a name: nothing to remove, whatever happens to us. Of the directories for such
 * files /var/tmp is on a disk, where /tmp may be memory. -1 with errno. */
static int unnamed_open(void)
{
	const char *dirs[] = { getenv("TMPDIR"), "/var/tmp", "/tmp" };
	int fd = -1;

	for (size_t i = 0; i < ARRAY_LEN(dirs) && fd < 0; i++)
		if (dirs[i] != NULL)
			fd = open(dirs[i], O_TMPFILE | O_RDWR | O_CLOEXEC, BLOB_MODE);
	return fd;
}

bool blob_unnamed_create(struct blob_writer **ret, struct error *err)
{
	struct disk_writer *d = calloc(1, sizeof(*d));

	if (d == NULL)
		return fail_memory(err);
	if (!writer_begin(d, unnamed_open(), "a temporary file in /tmp", ret, err)) {
		free(d);
		return false;
	}
	return true;
}

/* ---- grow by appending ---- */

struct disk_appender {
	struct blob_appender appender; /* first */
	int fd;
	uint64_t end;         /* no byte was written behind it */
	uint64_t handed_over; /* up to here write-back has been started */
	char path[];
};

static struct disk_appender *appender_of(struct blob_appender *a)
{
	return (struct disk_appender *)a;
}

static bool appender_append(struct blob_appender *a, struct slice bytes, struct error *err)
{
	struct disk_appender *d = appender_of(a);
	uint64_t end = a->bytes + bytes.n;

	if (end > d->end)
		d->end = end;
	if (!sys_pwrite_all(d->fd, bytes.p, bytes.n, (off_t)a->bytes))
		return fail_sys(err, errno, "writing %s", d->path);
	start_write_back(&d->handed_over, d->fd, end);
	return true;
}

static bool appender_sync(struct blob_appender *a, struct error *err)
{
	struct disk_appender *d = appender_of(a);

	/* What was rewound and not written over. crash: the tail is back, behind what the owner has
	 * recorded: the next opening cuts it. */
	if (d->end > a->bytes && sys.ftruncate(d->fd, (off_t)a->bytes) != 0)
		return fail_sys(err, errno, "cutting %s", d->path);
	d->end = a->bytes;
	if (sys.fdatasync(d->fd) != 0)
		return fail_sys(err, errno, "syncing %s", d->path);
	return true;
}

static void appender_close(struct blob_appender *a)
{
	close(appender_of(a)->fd);
	free(a);
}

static const struct blob_appender_ops appender_ops = { appender_append, appender_sync,
						       appender_close };

static bool cut_to(int fd, const char *path, uint64_t keep_bytes, bool *ret_cut, struct error *err)
{
	struct stat st;

	if (fstat(fd, &st) != 0)
		return fail_sys(err, errno, "looking at %s", path);
	if ((uint64_t)st.st_size < keep_bytes)
		return fail_sys(err, EBADMSG, "%s has %lld bytes, %llu were acknowledged", path,
				(long long)st.st_size, (unsigned long long)keep_bytes);
	*ret_cut = (uint64_t)st.st_size > keep_bytes;
	/* crash: the old tail may be back. It still stands behind `keep_bytes`, so the next opening
	 * cuts it again. */
	if (*ret_cut && sys.ftruncate(fd, (off_t)keep_bytes) != 0)
		return fail_sys(err, errno, "cutting %s to %llu bytes", path,
				(unsigned long long)keep_bytes);
	return true;
}

static bool appender_new(int fd, const char *path, uint64_t keep_bytes, struct blob_appender **ret,
			 struct error *err)
{
	size_t path_bytes = strlen(path) + 1;
	struct disk_appender *d = malloc(sizeof(*d) + path_bytes);

	if (d == NULL)
		return fail_memory(err);
	d->appender = (struct blob_appender){ .ops = &appender_ops, .bytes = keep_bytes };
	d->fd = fd;
	d->end = d->handed_over = keep_bytes;
	memcpy(d->path, path, path_bytes);
	*ret = &d->appender;
	return true;
}

bool disk_append(struct blobs *blobs, const char *id, uint64_t keep_bytes,
		 struct blob_appender **ret, struct error *err)
{
	const struct disk *disk = (struct disk *)blobs;
	char path[PATH_MAX];

	/* What the log has of it would be written over what comes now. */
	if (!disk_path(disk, id, BLOB_DATA, path, err) ||
	    !redo_leave(disk->redo, disk_logged_name(disk, path), err))
		return false;
	/* Only a blob of which nothing is acknowledged may be made anew: an empty file in place of
	 * lost results would hide the loss.
	 * crash: an empty file, named in no row or in the row of its batch: sweep, or used on. */
	int create = keep_bytes == 0 ? O_CREAT : 0;
	int fd = open(path, O_RDWR | O_CLOEXEC | create, BLOB_MODE);
	if (fd < 0)
		return fail_sys(err, errno, "opening %s", path);
	if (create != 0)
		disk_named((struct disk *)blobs);
	bool cut;
	if (!cut_to(fd, path, keep_bytes, &cut, err) ||
	    !appender_new(fd, path, keep_bytes, ret, err)) {
		close(fd);
		return false;
	}
	(*ret)->dirty = cut; /* the next sync makes the cut durable */
	return true;
}
