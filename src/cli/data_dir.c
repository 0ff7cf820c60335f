/* data_dir.c: making and locking a data directory, and whose database stands in it. */
#include "cli/data_dir.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/attr.h"
#include "base/id.h"
#include "base/log.h"
#include "base/sys.h"

bool data_dir_make(const char *path, struct error *err)
{
	struct stat st;

	if (!sys_make_dir(path))
		return fail_sys(err, errno, "creating the data directory %s", path);
	if (stat(path, &st) != 0)
		return fail_sys(err, errno, "looking at the data directory %s", path);
	if (!S_ISDIR(st.st_mode))
		return fail_sys(err, ENOTDIR, "opening the data directory %s", path);
	return true;
}

/* The process that holds the lock has written its id into the file. */
static bool fail_locked(const char *path, int fd, struct error *err)
{
	char pid[24] = "";
	ssize_t n = pread(fd, pid, sizeof(pid) - 1, 0);

	pid[n > 0 ? n : 0] = '\0';
	pid[strspn(pid, "0123456789")] = '\0';
	return fail(err, ERR_INVALID,
		    "%s is in use by another lowtide%s%s; stop that one first, or take another "
		    "directory",
		    path, pid[0] != '\0' ? ", process " : "", pid);
}

static bool write_pid(int fd)
{
	char pid[24];
	int n = snprintf(pid, sizeof(pid), "%d\n", (int)getpid());

	return ftruncate(fd, 0) == 0 && pwrite(fd, pid, (size_t)n, 0) == n;
}

bool data_dir_lock(const char *path, int *ret_fd, struct error *err)
{
	char name[PATH_MAX];

	if (snprintf(name, sizeof(name), "%s/lowtide.lock", path) >= (int)sizeof(name))
		return fail_sys(err, ENAMETOOLONG, "locking %.100s...", path);
	int fd = open(name, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0)
		return fail_sys(err, errno, "opening %s", name);
	if (flock(fd, LOCK_EX | LOCK_NB) == 0) {
		(void)write_pid(fd); /* for a message; on a full disk it is without */
		*ret_fd = fd;
		return true;
	}
	int saved_errno = errno;
	(void)!(saved_errno == EWOULDBLOCK ? fail_locked(path, fd, err)
					   : fail_sys(err, saved_errno, "locking %s", name));
	close(fd);
	return false;
}

/* ---- whose database ---- */

#define ID_FILE "lowtide.id"
#define ID_TEXT "lowtide data directory\nid %s\nturns %llu\n"

static void close_dir(DIR **dir)
{
	if (*dir != NULL)
		closedir(*dir);
}

static bool path_make(const char *dir, const char *name, char ret[static PATH_MAX],
		      struct error *err)
{
	if (snprintf(ret, PATH_MAX, "%s/%s", dir, name) >= PATH_MAX)
		return fail_sys(err, ENAMETOOLONG, "%.100s.../%s", dir, name);
	return true;
}

/* Whether anything stands in `path`/`name`, which may be missing. */
static bool folder_holds(const char *path, const char *name, bool *ret, struct error *err)
{
	char folder[PATH_MAX];

	*ret = false;
	if (!path_make(path, name, folder, err))
		return false;
	AUTO(close_dir) DIR *dir = opendir(folder);
	if (dir == NULL)
		return errno == ENOENT || fail_sys(err, errno, "reading %s", folder);
	for (struct dirent *e; !*ret && (e = readdir(dir)) != NULL;)
		*ret = strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0;
	return true;
}

static bool holds_files(const char *path, bool *ret, struct error *err)
{
	bool blobs, journals;

	if (!folder_holds(path, "files", &blobs, err) ||
	    !folder_holds(path, "batches", &journals, err))
		return false;
	*ret = blobs || journals;
	return true;
}

static bool fail_stranger(const char *path, const char *what, struct error *err)
{
	return fail(err, ERR_INVALID,
		    "%s holds files of uploads and batches, but its database, meta.db, %s. "
		    "Nothing was removed. Put the meta.db back that belongs to these files (with "
		    "its own meta.db-wal, or none), or begin in another directory (--data). Or "
		    "start with --adopt: then it goes on with the database as it is, and what "
		    "the database does not know is moved to %s/lost, where it is kept for "
		    "retention.lost",
		    path, what, path);
}

/* A database elsewhere has its files in one directory, which need not be this one. */
static bool fail_elsewhere(const char *path, const char *what, struct error *err)
{
	return fail(
		err, ERR_INVALID,
		"the database (store) of the files in %s %s. Nothing was removed. Name the "
		"directory that belongs to it (--data), or another database. Or start with "
		"--adopt: then it goes on with the database as it is, and what the database does "
		"not know is moved to %s/lost, where it is kept for retention.lost",
		path, what, path);
}

bool data_dir_check(const char *path, bool adopt, struct error *err)
{
	char name[PATH_MAX];
	struct stat st;
	bool holds;

	if (!path_make(path, "meta.db", name, err))
		return false;
	bool there = stat(name, &st) == 0;
	if (!there && errno != ENOENT)
		return fail_sys(err, errno, "looking at %s", name);
	if (adopt || (there && st.st_size > 0))
		return true;
	if (!holds_files(path, &holds, err))
		return false;
	return !holds || fail_stranger(path, there ? "is empty" : "is missing", err);
}

/* A file that holds something else is as good as none. */
static bool id_read(const char *path, struct store_directory *ret, bool *ret_found,
		    struct error *err)
{
	char name[PATH_MAX];
	unsigned long long turns = 0;

	*ret_found = false;
	if (!path_make(path, ID_FILE, name, err))
		return false;
	FILE *file = fopen(name, "re");
	if (file == NULL)
		return errno == ENOENT || fail_sys(err, errno, "opening %s", name);
	/* NOLINTNEXTLINE(cert-err34-c): what does not fit is a file that is not ours */
	*ret_found = fscanf(file, "lowtide data directory id %32[0-9a-f] turns %llu", ret->id,
			    &turns) == 2;
	ret->turns = turns;
	fclose(file);
	return true;
}

static bool id_text_write(const char *name, const struct store_directory *d, struct error *err)
{
	char text[128];
	int n = snprintf(text, sizeof(text), ID_TEXT, d->id, (unsigned long long)d->turns);
	AUTO(auto_close) int fd = open(name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	if (fd < 0 || !sys_write_all(fd, text, (size_t)n) || sys.fsync(fd) != 0)
		return fail_sys(err, errno, "writing %s", name);
	return true;
}

/* crash: the file as it was, perhaps with a lowtide.id.new beside it; or the new one. */
static bool id_write(const char *path, const struct store_directory *d, struct error *err)
{
	char name[PATH_MAX], temporary[PATH_MAX];

	if (!path_make(path, ID_FILE, name, err) ||
	    !path_make(path, ID_FILE ".new", temporary, err) || !id_text_write(temporary, d, err))
		return false;
	if (sys.rename(temporary, name) != 0 || !sys_sync_dir(path))
		return fail_sys(err, errno, "renaming %s", temporary);
	return true;
}

/* What is wrong with the database beside the directory's files; NULL: nothing. */
static const char *stranger(const struct store_directory *row, bool has_row,
			    const struct store_directory *file, bool has_file)
{
	if (!has_row)
		return "is new";
	if (row->turns == 0 && !has_file)
		return NULL; /* their first start together, or the first with ids */
	if (!has_file)
		return "is of a directory with a lowtide.id, which is missing or damaged here";
	if (strcmp(row->id, file->id) != 0)
		return "is of another data directory";
	/* turns 0 beside the file's 1: a crash in the first start */
	if (row->turns < file->turns && !(row->turns == 0 && file->turns == 1))
		return "is older than they are";
	return NULL;
}

static void id_random(char ret[static 33])
{
	unsigned char bytes[16];

	random_bytes(bytes, sizeof(bytes));
	for (size_t i = 0; i < sizeof(bytes); i++)
		snprintf(ret + 2 * i, 3, "%02x", bytes[i]);
}

/* Counts up, the row before the file; a row without its file goes in first. */
static bool turn_count(const char *path, struct store *store, struct store_directory *d,
		       bool has_file, struct error *err)
{
	int64_t now = sys.now_s();

	if (!has_file) {
		struct store_directory first = { .turns = 0 };
		memcpy(first.id, d->id, sizeof(first.id));
		if (!store_directory_put(store, &first, now, err))
			return false;
		failpoint("data.after_first_row");
		first.turns = 1;
		if (!id_write(path, &first, err))
			return false;
		failpoint("data.after_first_file");
	}
	d->turns++;
	if (!store_directory_put(store, d, now, err))
		return false;
	failpoint("data.after_row");
	return id_write(path, d, err);
}

bool data_dir_join(const char *path, struct store *store, bool adopt, struct error *err)
{
	struct store_directory row, file = { 0 };
	bool has_row, has_file, holds;

	if (!store_directory_get(store, &row, &has_row, err) ||
	    !id_read(path, &file, &has_file, err) || !holds_files(path, &holds, err))
		return false;
	const char *what = stranger(&row, has_row, &file, has_file);
	bool strange = what != NULL && (holds || (has_row && store_waits(store)));
	if (strange && !adopt)
		return store_waits(store) ? fail_elsewhere(path, what, err)
					  : fail_stranger(path, what, err);
	if (strange)
		log_warn("data.adopted", kv_str("data", path), kv_str("database", what));
	if (!has_row) {
		id_random(row.id);
		row.turns = 0;
	}
	/* Where the two ids differ the directory takes the database's, and begins with it. */
	bool same = has_file && strcmp(row.id, file.id) == 0;
	if (same && file.turns > row.turns)
		row.turns = file.turns;
	return turn_count(path, store, &row, same, err);
}

bool data_dir_leave(const char *path, struct store *store, struct error *err)
{
	struct store_directory row;
	bool found;

	return store_directory_get(store, &row, &found, err) &&
	       (!found || turn_count(path, store, &row, true, err));
}

/* ---- nodes that share a database ---- */

static bool fail_node(const char *path, const char *what, struct error *err)
{
	return fail(
		err, ERR_INVALID,
		"the database (store) of the directory %s %s. Nothing was removed. Name another "
		"directory, an empty one will do (--data), or the database that belongs to it. "
		"Or start with --adopt: then it is a directory of this database from now on",
		path, what);
}

/* NULL: the directory is one of the database's, or may become one. */
static const char *node_stranger(const struct store_directory *row, bool has_row,
				 const struct store_directory *file, bool has_file, bool holds)
{
	if (!has_file)
		return holds ? "is of directories with a lowtide.id, which is missing or damaged "
			       "here beside files"
			     : NULL;
	return stranger(row, has_row, file, true);
}

/* crash, behind the row: it is ahead of the directory, which the next start counts on from. */
static bool node_turn(const char *path, struct store *store, struct store_directory *ret,
		      struct error *err)
{
	char id[33];

	id_random(id);
	if (!store_directory_turn(store, id, sys.now_s(), ret, err))
		return false;
	failpoint("data.after_row");
	return id_write(path, ret, err);
}

bool data_dir_share(const char *path, struct store *store, bool adopt, struct error *err)
{
	struct store_directory row, file = { 0 };
	bool has_row, has_file, holds;

	/* The file first: the row may only get ahead of it meanwhile. */
	if (!id_read(path, &file, &has_file, err) || !holds_files(path, &holds, err) ||
	    !store_directory_get(store, &row, &has_row, err))
		return false;
	const char *what = node_stranger(&row, has_row, &file, has_file, holds);
	if (what != NULL && !adopt)
		return fail_node(path, what, err);
	if (what != NULL)
		log_warn("data.adopted", kv_str("data", path), kv_str("database", what));
	return node_turn(path, store, &row, err);
}

bool data_dir_share_end(const char *path, struct store *store, struct error *err)
{
	struct store_directory row;

	return node_turn(path, store, &row, err);
}
