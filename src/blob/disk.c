/* disk.c: blobs in a directory of this machine.
 *
 * A blob becomes visible by a rename of synced bytes, so that no crash leaves a half under a real
 * name. The comment "crash:" says at each step what a kill or a power cut right after it leaves
 * behind, and who puts it right: "tmp" is the clearing of DATA/tmp in blobs_open(), "sweep" is
 * blobs_sweep(), both at the next start. The sweep removes what the database says was deleted; what
 * it does not know goes to DATA/lost. */
#include "blob/blob.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/attr.h"
#include "base/id.h"
#include "base/log.h"
#include "base/sys.h"
#include "blob/lost.h"

/* Dirty pages are handed to the disk each time this much is written: then the fsync at the end of
 * a 10 GB upload waits for the last few MiB, not for all that the page cache could hold. */
#define WRITE_BACK_BYTES (8u << 20)

/* Prompts and answers are nobody else's to read. */
#define BLOB_MODE 0600

/* Room for a directory of ours, so that with the longest name it is still a path. */
#define NAME_SIZE 96
#define DIR_SIZE (PATH_MAX - NAME_SIZE)

static const char *const suffixes[] = { [BLOB_DATA] = ".jsonl", [BLOB_INDEX] = ".index" };

struct blobs {
	char data_dir[DIR_SIZE];
	char files[DIR_SIZE];
	char tmp[DIR_SIZE];
};

/* ---- names ---- */

/* Ids come from requests. Only what could be one of ours gets as far as a path: no dots, no
 * slashes, no control characters, no great length. */
static bool id_is_plain(const char *id)
{
	size_t n = strnlen(id, ID_SIZE);

	return n > 0 && n < ID_SIZE &&
	       strspn(id, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-") == n;
}

static bool fail_not_found(struct error *err, const char *id)
{
	(void)!fail(err, ERR_NOT_FOUND, "No such File object: %.64s", id);
	snprintf(err->param, sizeof(err->param), "id");
	return false;
}

/* The path of a blob; false with NOT_FOUND if `id` cannot be the name of one. */
static bool blob_path(const struct blobs *blobs, const char *id, enum blob_kind kind,
		      char ret[static PATH_MAX], struct error *err)
{
	if (!id_is_plain(id))
		return fail_not_found(err, id);
	snprintf(ret, PATH_MAX, "%s/%s%s", blobs->files, id, suffixes[kind]);
	return true;
}

/* A name in tmp that nothing has had before. */
static void temporary_path(const struct blobs *blobs, char ret[static PATH_MAX])
{
	unsigned char bytes[16];
	char name[2 * sizeof(bytes) + 1];

	random_bytes(bytes, sizeof(bytes));
	for (size_t i = 0; i < sizeof(bytes); i++)
		snprintf(name + 2 * i, 3, "%02x", bytes[i]);
	snprintf(ret, PATH_MAX, "%s/%s", blobs->tmp, name);
}

/* ---- the directories ---- */

static void close_dir(DIR **dir)
{
	if (*dir != NULL)
		closedir(*dir);
}

/* Steps to the next name but "." and "..". True and *ret NULL at the end. */
static bool dir_next(DIR *dir, const char *path, const struct dirent **ret, struct error *err)
{
	do {
		errno = 0;
		*ret = readdir(dir);
	} while (*ret != NULL &&
		 (strcmp((*ret)->d_name, ".") == 0 || strcmp((*ret)->d_name, "..") == 0));
	if (*ret == NULL && errno != 0)
		return fail_sys(err, errno, "reading %s", path);
	return true;
}

/* What is in tmp belongs to uploads that a crash cut off: nobody was told that they succeeded.
 * Stopping half-way is harmless, the next start goes on. */
static bool clear_tmp(const char *path, struct error *err)
{
	AUTO(close_dir) DIR *dir = opendir(path);
	const struct dirent *entry;

	if (dir == NULL)
		return fail_sys(err, errno, "opening %s", path);
	for (;;) {
		if (!dir_next(dir, path, &entry, err))
			return false;
		if (entry == NULL)
			return true;
		/* A directory is not of our making: it stays. */
		if (unlinkat(dirfd(dir), entry->d_name, 0) != 0 && errno != ENOENT &&
		    errno != EISDIR)
			return fail_sys(err, errno, "removing %s/%s", path, entry->d_name);
	}
}

bool blobs_open(const char *data_dir, struct blobs **ret, struct error *err)
{
	AUTO(auto_free) struct blobs *blobs = calloc(1, sizeof(*blobs));

	if (blobs == NULL)
		return fail_memory(err);
	if (strlen(data_dir) + sizeof("/files") > DIR_SIZE)
		return fail_sys(err, ENAMETOOLONG, "opening %.100s...", data_dir);
	snprintf(blobs->data_dir, DIR_SIZE, "%s", data_dir);
	snprintf(blobs->files, DIR_SIZE, "%s/files", data_dir);
	snprintf(blobs->tmp, DIR_SIZE, "%s/tmp", data_dir);
	/* crash: one or both may be missing or empty; the next start makes them. */
	if (!sys_make_dir(blobs->files) || !sys_make_dir(blobs->tmp))
		return fail_sys(err, errno, "creating files/ and tmp/ in %s", data_dir);
	if (!clear_tmp(blobs->tmp, err))
		return false;
	*ret = TAKE(blobs);
	return true;
}

void blobs_close(struct blobs *blobs)
{
	free(blobs);
}

bool blobs_sync(struct blobs *blobs, struct error *err)
{
	if (!sys_sync_dir(blobs->files))
		return fail_sys(err, errno, "syncing %s", blobs->files);
	return true;
}

/* ---- reading and removing ---- */

bool blob_open(struct blobs *blobs, const char *id, enum blob_kind kind, int *ret_fd,
	       uint64_t *ret_bytes, struct error *err)
{
	char path[PATH_MAX];
	struct stat st;

	if (!blob_path(blobs, id, kind, path, err))
		return false;
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 && errno == ENOENT)
		return fail_not_found(err, id);
	if (fd < 0)
		return fail_sys(err, errno, "opening %s", path);
	if (fstat(fd, &st) != 0) {
		int saved_errno = errno;
		close(fd);
		return fail_sys(err, saved_errno, "looking at %s", path);
	}
	*ret_fd = fd;
	*ret_bytes = (uint64_t)st.st_size;
	return true;
}

bool blob_remove(struct blobs *blobs, const char *id, struct error *err)
{
	static const enum blob_kind order[] = { BLOB_INDEX, BLOB_DATA };
	char path[PATH_MAX];

	if (!id_is_plain(id))
		return true; /* there is none of that name */
	/* crash: data without its index, or (the directory is not synced) either of them back
	 * again. The row went before the blob, so both are without a row: sweep. */
	for (size_t i = 0; i < ARRAY_LEN(order); i++) {
		if (!blob_path(blobs, id, order[i], path, err))
			return false;
		if (unlink(path) != 0 && errno != ENOENT)
			return fail_sys(err, errno, "removing %s", path);
	}
	return true;
}

bool blob_link(struct blobs *blobs, const char *id, const char *path, struct error *err)
{
	char name[PATH_MAX], temporary[PATH_MAX];
	struct stat st;

	if (!blob_path(blobs, id, BLOB_DATA, name, err))
		return false;
	AUTO(auto_free) char *target = realpath(path, NULL);
	if (target == NULL || stat(target, &st) != 0)
		return fail_sys(err, errno, "looking for %s", path);
	if (!S_ISREG(st.st_mode)) /* lines are read by offset, more than once: no pipes */
		return fail_sys(err, EINVAL, "%s is not a regular file", path);
	temporary_path(blobs, temporary);
	/* crash: a link in tmp, and tmp removes links, not what they lead to. */
	if (symlink(target, temporary) != 0)
		return fail_sys(err, errno, "linking %s", temporary);
	/* By rename, so that linking again (`lowtide run` goes on) replaces the old link.
	 * crash: a link without a row: sweep. */
	if (sys.rename(temporary, name) != 0) {
		int saved_errno = errno;
		unlink(temporary);
		return fail_sys(err, saved_errno, "renaming %s to %s", temporary, name);
	}
	return true;
}

/* ---- write once ---- */

struct blob_writer {
	struct blobs *blobs;
	int fd;
	uint64_t written;     /* where the next bytes go */
	uint64_t handed_over; /* up to here write-back has been started */
	bool synced;          /* since the last blob_write */
	bool broken;          /* an fsync failed: the kernel may have dropped pages for good */
	char path[PATH_MAX];  /* in tmp */
};

bool blob_create(struct blobs *blobs, struct blob_writer **ret, struct error *err)
{
	struct blob_writer *w = calloc(1, sizeof(*w));

	if (w == NULL)
		return fail_memory(err);
	w->blobs = blobs;
	temporary_path(blobs, w->path);
	/* crash, from here to the rename: a file in tmp: tmp. */
	w->fd = open(w->path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, BLOB_MODE);
	if (w->fd < 0) {
		int saved_errno = errno;
		(void)!fail_sys(err, saved_errno, "creating %s", w->path);
		free(w);
		return false;
	}
	*ret = w;
	return true;
}

static void start_write_back(struct blob_writer *w)
{
	if (w->written - w->handed_over < WRITE_BACK_BYTES)
		return;
	/* Advice only. If it fails, the fsync has more to do, and it reports any real error. */
	(void)!sync_file_range(w->fd, (off_t)w->handed_over, (off_t)(w->written - w->handed_over),
			       SYNC_FILE_RANGE_WRITE);
	w->handed_over = w->written;
}

bool blob_write(struct blob_writer *w, struct slice bytes, struct error *err)
{
	int fault = failpoint("blob.write");

	w->synced = false;
	/* By offset: a write that failed may be tried again and starts where it should, whatever
	 * part of it got through. */
	if (fault == 0 && !sys_pwrite_all(w->fd, bytes.p, bytes.n, (off_t)w->written))
		fault = errno;
	if (fault != 0)
		return fail_sys(err, fault, "writing %s", w->path);
	w->written += bytes.n;
	start_write_back(w);
	return true;
}

int blob_writer_fd(const struct blob_writer *w)
{
	return w->fd;
}

bool blob_sync(struct blob_writer *w, struct error *err)
{
	/* After one failed fsync the next may well report success without the lost pages being on
	 * disk, so the first verdict stands. */
	if (w->broken)
		return fail_sys(err, EIO, "syncing %s, which failed before", w->path);
	if (sys.fsync(w->fd) != 0) {
		w->broken = true;
		return fail_sys(err, errno, "syncing %s", w->path);
	}
	w->synced = true;
	return true;
}

static void writer_free(struct blob_writer *w)
{
	close(w->fd);
	free(w);
}

static bool give_name(const struct blob_writer *w, const char *id, enum blob_kind kind,
		      struct error *err)
{
	char name[PATH_MAX];
	int fault = failpoint("ingest.before_rename");

	if (!blob_path(w->blobs, id, kind, name, err))
		return false;
	if (fault == 0 && sys.rename(w->path, name) != 0)
		fault = errno;
	if (fault != 0)
		return fail_sys(err, fault, "renaming %s to %s", w->path, name);
	/* crash: a whole blob under its name, or (the directory is not synced yet) under its
	 * temporary one; in either case without a row: sweep, tmp. */
	(void)failpoint("ingest.after_rename");
	return true;
}

bool blob_commit(struct blob_writer *w, const char *id, enum blob_kind kind, struct error *err)
{
	/* The caller has synced; if it wrote since, or never did, a name now would be given to
	 * bytes that a power cut can still take back. */
	if ((!w->synced && !blob_sync(w, err)) || !give_name(w, id, kind, err)) {
		blob_abort(w);
		return false;
	}
	writer_free(w);
	return true;
}

void blob_abort(struct blob_writer *w)
{
	if (w == NULL)
		return;
	/* crash, or a failing unlink: a file in tmp: tmp. */
	unlink(w->path);
	writer_free(w);
}

/* ---- grow by appending ---- */

static bool cut_to(int fd, const char *path, uint64_t keep_bytes, struct error *err)
{
	struct stat st;

	if (fstat(fd, &st) != 0)
		return fail_sys(err, errno, "looking at %s", path);
	if ((uint64_t)st.st_size < keep_bytes)
		return fail_sys(err, EBADMSG, "%s has %lld bytes, %llu were acknowledged", path,
				(long long)st.st_size, (unsigned long long)keep_bytes);
	/* crash: the old tail may be back. It still stands behind `keep_bytes`, so the next opening
	 * cuts it again. */
	if ((uint64_t)st.st_size > keep_bytes && sys.ftruncate(fd, (off_t)keep_bytes) != 0)
		return fail_sys(err, errno, "cutting %s to %llu bytes", path,
				(unsigned long long)keep_bytes);
	return true;
}

bool blob_append_open(struct blobs *blobs, const char *id, uint64_t keep_bytes, int *ret_fd,
		      struct error *err)
{
	char path[PATH_MAX];

	if (!blob_path(blobs, id, BLOB_DATA, path, err))
		return false;
	/* Only a blob of which nothing is acknowledged may be made anew: an empty file in place of
	 * lost results would hide the loss.
	 * crash: an empty file, named in no row or in the row of its batch: sweep, or used on. */
	int create = keep_bytes == 0 ? O_CREAT : 0;
	int fd = open(path, O_RDWR | O_CLOEXEC | create, BLOB_MODE);
	if (fd < 0)
		return fail_sys(err, errno, "opening %s", path);
	if (!cut_to(fd, path, keep_bytes, err)) {
		close(fd);
		return false;
	}
	*ret_fd = fd;
	return true;
}

/* ---- sweep ---- */

/* The id in a name like "file-x.jsonl"; false if we never give such names. */
static bool id_of_name(const char *name, char ret[static ID_SIZE])
{
	for (size_t i = 0; i < ARRAY_LEN(suffixes); i++) {
		size_t n = strlen(name), suffix_n = strlen(suffixes[i]);
		if (n <= suffix_n || strcmp(name + n - suffix_n, suffixes[i]) != 0)
			continue;
		struct slice id = { name, n - suffix_n };
		return slice_copy(id, ret, ID_SIZE) && id_is_plain(ret);
	}
	return false;
}

bool blob_lose(struct blobs *blobs, const char *id, int64_t at, struct error *err)
{
	char path[PATH_MAX];

	if (!blob_path(blobs, id, BLOB_DATA, path, err))
		return false;
	if (access(path, F_OK) != 0)
		return errno == ENOENT || fail_sys(err, errno, "looking for %s", path);
	return lost_take(blobs->data_dir, at, "files", strrchr(path, '/') + 1, err);
}

#define COPY_BYTES (64u << 10)

/* The first `bytes` of `fd`, into a blob of no name yet. */
static bool copy_begin(struct blobs *blobs, int fd, uint64_t bytes, struct blob_writer **ret,
		       struct error *err)
{
	char piece[COPY_BYTES];
	struct blob_writer *w;

	if (!blob_create(blobs, &w, err))
		return false;
	bool ok = true;
	for (uint64_t at = 0; ok && at < bytes;) {
		size_t n = bytes - at < COPY_BYTES ? (size_t)(bytes - at) : COPY_BYTES;
		ok = sys_pread_all(fd, piece, n, (off_t)at) ||
		     fail_sys(err, errno, "copying %s", w->path);
		ok = ok && blob_write(w, (struct slice){ piece, n }, err);
		at += n;
	}
	if (!ok || !blob_sync(w, err)) {
		blob_abort(w);
		return false;
	}
	*ret = w;
	return true;
}

bool blob_lose_tail(struct blobs *blobs, const char *id, uint64_t keep_bytes, int64_t at,
		    struct error *err)
{
	struct blob_writer *copy;
	uint64_t bytes;
	int opened;

	if (!blob_open(blobs, id, BLOB_DATA, &opened, &bytes, err))
		return err->kind == ERR_NOT_FOUND; /* no file, no tail */
	AUTO(auto_close) int fd = opened;
	if (bytes <= keep_bytes)
		return true;
	if (!copy_begin(blobs, fd, keep_bytes, &copy, err))
		return false;
	/* crash, between here and the commit: the whole is in lost/, and the result file is gone, which
	 * is damage that the owner mends. */
	if (!blob_lose(blobs, id, at, err)) {
		blob_abort(copy);
		return false;
	}
	log_warn("blob.tail_lost", kv_str("file", id), kv_u64("bytes", bytes - keep_bytes),
		 kv_str("moved_to", "lost/"));
	return blob_commit(copy, id, BLOB_DATA, err);
}

struct sweep {
	struct blobs *blobs;
	DIR *dir;
	int64_t at;
	uint64_t removed, lost;
};

static bool is_empty_data(const struct sweep *s, const char *name)
{
	size_t n = strlen(name), suffix_n = strlen(suffixes[BLOB_DATA]);
	struct stat st;

	return n > suffix_n && strcmp(name + n - suffix_n, suffixes[BLOB_DATA]) == 0 &&
	       fstatat(dirfd(s->dir), name, &st, AT_SYMLINK_NOFOLLOW) == 0 && st.st_size == 0;
}

static bool sweep_one(struct sweep *s, const char *name, enum blob_standing standing,
		      struct error *err)
{
	/* crash: some are left, or back: the next start sweeps again. */
	if (standing == BLOB_DELETED || is_empty_data(s, name)) {
		if (unlinkat(dirfd(s->dir), name, 0) != 0 && errno != ENOENT)
			return fail_sys(err, errno, "removing %s/%s", s->blobs->files, name);
		s->removed++;
		return true;
	}
	s->lost++;
	return lost_take(s->blobs->data_dir, s->at, "files", name, err);
}

bool blobs_sweep(struct blobs *blobs, enum blob_standing (*standing)(void *ctx, const char *id),
		 void *ctx, int64_t at, struct error *err)
{
	AUTO(close_dir) DIR *dir = opendir(blobs->files);
	struct sweep s = { .blobs = blobs, .dir = dir, .at = at };
	const struct dirent *entry;
	char id[ID_SIZE];

	if (dir == NULL)
		return fail_sys(err, errno, "opening %s", blobs->files);
	for (;;) {
		if (!dir_next(dir, blobs->files, &entry, err))
			return false;
		if (entry == NULL)
			break;
		if (!id_of_name(entry->d_name, id)) {
			/* Not ours to move. */
			log_warn("blob.unknown_name", kv_str("name", entry->d_name));
			continue;
		}
		enum blob_standing is = standing(ctx, id);
		if (is != BLOB_KNOWN && !sweep_one(&s, entry->d_name, is, err))
			return false;
	}
	if (s.removed > 0)
		log_info("blob.swept", kv_u64("files", s.removed));
	if (s.lost > 0)
		log_warn("blob.lost", kv_u64("files", s.lost), kv_str("moved_to", "lost/"));
	return true;
}
