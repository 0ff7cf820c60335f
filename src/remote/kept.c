/* kept.c: see kept.h. A file is replaced by a rename, under a lock of its directory. */
#include "remote/kept.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/part.h"
#include "base/sys.h"

#define KEPT_BYTES_MAX (4u << 20)

static const struct {
	const char *variable, *below_home, *instead;
} kinds[] = {
	[KEPT_CONFIG] = { "XDG_CONFIG_HOME", ".config",
			  "LOWTIDE_URL and LOWTIDE_API_KEY do without" },
	[KEPT_STATE] = { "XDG_STATE_HOME", ".local/state",
			 "a call that is cut off could not be continued" },
};

void kept_wipe(char *text)
{
	if (text != NULL)
		explicit_bzero(text, strlen(text));
	free(text);
}

/* As the XDG base directory specification has it: a path that is not absolute does not count. */
bool kept_path(enum kept_kind kind, const char *name, char **ret, struct error *err)
{
	const char *home = getenv("HOME"), *directory = getenv(kinds[kind].variable);
	int n;

	if (directory != NULL && directory[0] == '/')
		n = asprintf(ret, "%s/lowtide/%s", directory, name);
	else if (home != NULL && home[0] == '/')
		n = asprintf(ret, "%s/%s/lowtide/%s", home, kinds[kind].below_home, name);
	else
		return fail(err, ERR_INVALID, "neither %s nor HOME is set (%s)",
			    kinds[kind].variable, kinds[kind].instead);
	return n >= 0 || fail_memory(err);
}

/* ---- reading ---- */

static bool judge(const char *path, const struct stat *st, struct error *err)
{
	if (!S_ISREG(st->st_mode) || st->st_size > KEPT_BYTES_MAX)
		return fail(err, ERR_INVALID, "%s is nothing that lowtide keeps: remove it", path);
	if (st->st_uid != geteuid())
		return fail(err, ERR_INVALID, "%s belongs to somebody else: remove it", path);
	if ((st->st_mode & 077) != 0)
		return fail(err, ERR_INVALID,
			    "others than you may use %s, which may hold an API key (mode %03o): "
			    "chmod 600 %s",
			    path, (unsigned)st->st_mode & 0777u, path);
	return true;
}

bool kept_read(const char *path, char **ret, struct error *err)
{
	struct stat st;
	AUTO(auto_close) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);

	*ret = NULL;
	if (fd < 0 && (errno == ENOENT || errno == ENOTDIR))
		return true;
	if (fd < 0 || fstat(fd, &st) != 0)
		return fail_sys(err, errno, "reading %s", path);
	if (!judge(path, &st, err))
		return false;
	char *text = calloc(1, (size_t)st.st_size + 1);
	if (text == NULL)
		return fail_memory(err);
	if (!sys_pread_all(fd, text, (size_t)st.st_size, 0)) {
		int saved = errno;
		kept_wipe(text);
		return fail_sys(err, saved, "reading %s", path);
	}
	*ret = text;
	return true;
}

/* ---- writing ---- */

bool kept_make_room(const char *path, struct error *err)
{
	AUTO(auto_free) char *directory = strdup(path);

	if (directory == NULL)
		return fail_memory(err);
	for (char *slash = strchr(directory + 1, '/'); slash != NULL;
	     slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		if (access(directory, F_OK) != 0 && !sys_make_dir(directory))
			return fail_sys(err, errno, "making %s", directory);
		*slash = '/';
	}
	return true;
}

/* One process at a time writes there, the others wait; the lock goes with it. Where a file system
 * knows no locks nobody is kept out. */
static bool lock_directory(const char *path, int *ret_fd, struct error *err)
{
	AUTO(auto_free) char *copy = strdup(path);

	if (copy == NULL)
		return fail_memory(err);
	const char *directory = dirname(copy);
	*ret_fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (*ret_fd < 0)
		return fail_sys(err, errno, "opening %s", directory);
	while (flock(*ret_fd, LOCK_EX) != 0 && errno == EINTR)
		;
	return true;
}

/* A crash before the rename leaves what was kept before, and a file beside it that the next call
 * writes anew. */
bool kept_write(const char *path, const char *text, struct error *err)
{
	AUTO(auto_close) int lock_fd = -1;
	AUTO(auto_free) char *beside = NULL;

	if (!kept_make_room(path, err) || !lock_directory(path, &lock_fd, err))
		return false;
	if (asprintf(&beside, "%s.new", path) < 0)
		return fail_memory(err);
	if (unlink(beside) != 0 && errno != ENOENT)
		return fail_sys(err, errno, "removing %s", beside);
	AUTO(auto_close) int fd = open(beside, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0)
		return fail_sys(err, errno, "making %s", beside);
	bool good = sys_write_all(fd, text, strlen(text))
			    ? part_finish(fd, beside, path, err)
			    : fail_sys(err, errno, "writing %s", path);
	if (!good)
		unlink(beside);
	return good;
}

bool kept_remove(const char *path, bool *ret_was, struct error *err)
{
	*ret_was = unlink(path) == 0;
	return *ret_was || errno == ENOENT || errno == ENOTDIR ||
	       fail_sys(err, errno, "removing %s", path);
}
