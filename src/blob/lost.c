/* lost.c: a file is moved by one rename, into a directory that is named by the second of its
 * sweep. */
#include "blob/lost.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/attr.h"
#include "base/sys.h"

#define FOLDER "lost"
#define TIME_FORMAT "%Y%m%dT%H%M%SZ"
#define TIME_SIZE 32

static void time_name(int64_t at, char ret[static TIME_SIZE])
{
	time_t t = (time_t)at;
	struct tm utc;

	gmtime_r(&t, &utc);
	strftime(ret, TIME_SIZE, TIME_FORMAT, &utc);
}

/* False for names that are none of ours. */
static bool time_of_name(const char *name, int64_t *ret)
{
	struct tm utc = { 0 };
	const char *end = strptime(name, TIME_FORMAT, &utc);
	char same[TIME_SIZE];

	if (end == NULL || *end != '\0')
		return false;
	*ret = (int64_t)timegm(&utc);
	time_name(*ret, same); /* 31 February is taken for 3 March */
	return strcmp(name, same) == 0;
}

PRINTF_LIKE(2, 3)
static bool path_make(char to[static PATH_MAX], const char *format, ...)
{
	va_list args;

	va_start(args, format);
	int n = vsnprintf(to, PATH_MAX, format, args);
	va_end(args);
	if (n < PATH_MAX)
		return true;
	errno = ENAMETOOLONG;
	return false;
}

/* ---- moving ---- */

/* Where `name` goes. Two sweeps within one second are told apart by the next second. */
static bool place_find(const char *lost, int64_t at, const char *name, char ret[static PATH_MAX])
{
	char dir[PATH_MAX], time[TIME_SIZE];

	for (;; at++) {
		time_name(at, time);
		if (!path_make(dir, "%s/%s", lost, time) || !sys_make_dir(dir) ||
		    !path_make(ret, "%s/%s", dir, name))
			return false;
		if (access(ret, F_OK) != 0)
			return errno == ENOENT;
	}
}

bool lost_take(const char *data_dir, int64_t at, const char *folder, const char *name,
	       struct error *err)
{
	char lost[PATH_MAX], from[PATH_MAX], to[PATH_MAX];

	if (!path_make(lost, "%s/" FOLDER, data_dir) ||
	    !path_make(from, "%s/%s/%s", data_dir, folder, name) || !sys_make_dir(lost) ||
	    !place_find(lost, at, name, to))
		return fail_sys(err, errno, "making room in %s/" FOLDER, data_dir);
	if (sys.rename(from, to) != 0)
		return fail_sys(err, errno, "moving %s to %s", from, to);
	return true;
}

/* ---- what is there ---- */

static void close_dir(DIR **dir)
{
	if (*dir != NULL)
		closedir(*dir);
}

/* Opens `path`; *ret NULL if it is not there (any more: another process may be removing it). */
static bool dir_open(const char *path, DIR **ret, struct error *err)
{
	*ret = opendir(path);
	return *ret != NULL || errno == ENOENT || fail_sys(err, errno, "opening %s", path);
}

typedef bool (*visit_fn)(void *ctx, const char *dir, const char *name, int64_t at,
			 struct error *err);

static bool dir_visit(const char *dir, int64_t at, visit_fn visit, void *ctx, struct error *err)
{
	AUTO(close_dir) DIR *d = NULL;

	if (!dir_open(dir, &d, err))
		return false;
	for (struct dirent *e; d != NULL && (e = readdir(d)) != NULL;)
		if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0 &&
		    !visit(ctx, dir, e->d_name, at, err))
			return false;
	return true;
}

/* Visits the files of each sweep at `until` or before, then, with `done`, its directory. */
static bool lost_visit(const char *data_dir, int64_t until, visit_fn visit,
		       void (*done)(const char *dir), void *ctx, struct error *err)
{
	char lost[PATH_MAX], dir[PATH_MAX];
	AUTO(close_dir) DIR *d = NULL;
	int64_t at;

	if (!path_make(lost, "%s/" FOLDER, data_dir))
		return fail_sys(err, errno, "%s/" FOLDER, data_dir);
	if (!dir_open(lost, &d, err))
		return false;
	for (struct dirent *e; d != NULL && (e = readdir(d)) != NULL;) {
		if (!time_of_name(e->d_name, &at) || at > until ||
		    !path_make(dir, "%s/%s", lost, e->d_name))
			continue;
		if (!dir_visit(dir, at, visit, ctx, err))
			return false;
		if (done != NULL)
			done(dir);
	}
	return true;
}

struct listing {
	void (*each)(void *ctx, const struct lost_file *file);
	void *ctx;
	size_t below; /* length of DATA/ */
};

static bool visit_list(void *ctx, const char *dir, const char *name, int64_t at, struct error *err)
{
	struct listing *l = ctx;
	char path[PATH_MAX];
	struct stat st;

	if (!path_make(path, "%s/%s", dir, name))
		return fail_sys(err, errno, "%s/%s", dir, name);
	if (lstat(path, &st) != 0)
		return errno == ENOENT || fail_sys(err, errno, "looking at %s", path);
	l->each(l->ctx, &(struct lost_file){ path + l->below, (uint64_t)st.st_size, at });
	return true;
}

bool lost_each(const char *data_dir, void (*each)(void *ctx, const struct lost_file *file),
	       void *ctx, struct error *err)
{
	struct listing l = { each, ctx, strlen(data_dir) + 1 };

	return lost_visit(data_dir, INT64_MAX, visit_list, NULL, &l, err);
}

struct removal {
	uint64_t files, bytes;
};

static bool visit_remove(void *ctx, const char *dir, const char *name, int64_t at,
			 struct error *err)
{
	struct removal *r = ctx;
	char path[PATH_MAX];
	struct stat st;

	(void)at;
	if (!path_make(path, "%s/%s", dir, name))
		return fail_sys(err, errno, "%s/%s", dir, name);
	/* crash: some are left; they are as old the next time. */
	if (lstat(path, &st) != 0 || unlink(path) != 0)
		return errno == ENOENT || fail_sys(err, errno, "removing %s", path);
	r->files++;
	r->bytes += (uint64_t)st.st_size;
	return true;
}

/* Fails where other files have been put into the directory: then it stays. */
static void dir_remove(const char *dir)
{
	(void)!rmdir(dir);
}

bool lost_remove(const char *data_dir, int64_t until, uint64_t *ret_files, uint64_t *ret_bytes,
		 struct error *err)
{
	struct removal r = { 0 };
	bool ok = lost_visit(data_dir, until, visit_remove, dir_remove, &r, err);

	*ret_files = r.files;
	*ret_bytes = r.bytes;
	return ok;
}
