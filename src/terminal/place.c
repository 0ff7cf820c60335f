/* place.c: see place.h. */
#include "terminal/place.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/part.h"
#include "base/sys.h"
#include "terminal/signals.h"

/* The directory that `path` is in; malloc'ed. */
static char *directory_of(const char *path)
{
	const char *slash = strrchr(path, '/');

	if (slash == NULL)
		return strdup(".");
	return slash == path ? strdup("/") : strndup(path, (size_t)(slash - path));
}

static bool is_file(const char *path)
{
	struct stat st;

	return strcmp(path, "-") != 0 && (stat(path, &st) != 0 || S_ISREG(st.st_mode));
}

bool place_check(const char *path, struct error *err)
{
	AUTO(auto_free) char *directory = NULL;
	struct stat st;

	if (path == NULL || strcmp(path, "-") == 0)
		return true;
	if (stat(path, &st) == 0 && S_ISDIR(st.st_mode))
		return fail(err, ERR_INVALID, "%s is a directory: name a file in it", path);
	if (path[0] == '\0')
		return fail(err, ERR_INVALID, "a file to write to has no name");
	if (!is_file(path))
		return true;
	directory = directory_of(path);
	if (directory == NULL)
		return fail_memory(err);
	return access(directory, W_OK | X_OK) == 0 ||
	       fail_sys(err, errno, "%s cannot be written, in %s", path, directory);
}

static bool is_one(const struct stat *a, const struct stat *b)
{
	return a->st_dev == b->st_dev && a->st_ino == b->st_ino;
}

/* Of files that are not there: the same name in the same directory. */
static bool will_be_one(const char *a, const char *b)
{
	AUTO(auto_free) char *in_a = directory_of(a), *in_b = directory_of(b);
	const char *slash_a = strrchr(a, '/'), *slash_b = strrchr(b, '/');
	struct stat at, bt;

	return in_a != NULL && in_b != NULL && stat(in_a, &at) == 0 && stat(in_b, &bt) == 0 &&
	       is_one(&at, &bt) &&
	       strcmp(slash_a != NULL ? slash_a + 1 : a, slash_b != NULL ? slash_b + 1 : b) == 0;
}

bool place_same(const char *a, const char *b)
{
	struct stat at, bt;

	if (a == NULL || b == NULL || !is_file(a) || !is_file(b))
		return false;
	if (stat(a, &at) == 0 && stat(b, &bt) == 0)
		return is_one(&at, &bt);
	return will_be_one(a, b);
}

static bool part_take(struct download_place *p, struct error *err)
{
	struct stat st;

	if (!part_open(p->part, &p->fd, err))
		return false;
	if (fstat(p->fd, &st) != 0)
		return fail_sys(err, errno, "looking at %s", p->part);
	p->at = (uint64_t)st.st_size;
	return true;
}

bool place_open(struct download_place *p, const char *path, const char *id, bool keeps,
		struct error *err)
{
	*p = PLACE_CLOSED;
	p->path = path;
	if (strcmp(path, "-") == 0) {
		p->fd = STDOUT_FILENO;
		return true;
	}
	if (!is_file(path)) {
		p->fd = open(path, O_WRONLY | O_CLOEXEC | O_NOCTTY);
		return p->fd >= 0 || fail_sys(err, errno, "opening %s", path);
	}
	if (asprintf(&p->part, "%s.part-%s", path, id) < 0) {
		p->part = NULL;
		return fail_memory(err);
	}
	return part_take(p, err) && (keeps || place_cut(p, 0, err));
}

bool place_write(struct download_place *p, struct slice bytes, struct error *err)
{
	if (sys_write_all(p->fd, bytes.p, bytes.n)) {
		p->at += bytes.n;
		return true;
	}
	int saved_errno = errno;
	signals_reader_gone(saved_errno);
	if (p->part != NULL)
		return fail_sys(err, saved_errno, "writing %s (the same call goes on with it)",
				p->part);
	return fail_sys(err, saved_errno, "writing %s",
			strcmp(p->path, "-") == 0 ? "standard output" : p->path);
}

bool place_cut(struct download_place *p, uint64_t bytes, struct error *err)
{
	if (p->part == NULL)
		return true;
	if (sys.ftruncate(p->fd, (off_t)bytes) != 0)
		return fail_sys(err, errno, "cutting %s", p->part);
	p->at = bytes;
	return true;
}

/* A crash before the rename leaves a part that the same call goes on with. */
bool place_finish(struct download_place *p, struct error *err)
{
	return p->part == NULL || part_finish(p->fd, p->part, p->path, err);
}

void place_drop(struct download_place *p)
{
	if (p->part != NULL)
		part_drop(p->fd, p->part);
}

void place_close(struct download_place *p)
{
	if (p->fd >= 0 && p->fd != STDOUT_FILENO)
		close(p->fd);
	free(p->part);
	*p = PLACE_CLOSED;
}
