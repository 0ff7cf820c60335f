/* part.c: see part.h. */
#include "base/part.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/sys.h"

static bool is_named(int fd, const char *part)
{
	struct stat own, named;

	return fstat(fd, &own) == 0 && stat(part, &named) == 0 && own.st_dev == named.st_dev &&
	       own.st_ino == named.st_ino;
}

static bool lock(int fd, const char *part, struct error *err)
{
	return flock(fd, LOCK_EX | LOCK_NB) == 0 || errno != EWOULDBLOCK ||
	       fail(err, ERR_CONFLICT, "another call of lowtide writes %s: let it end, or end it",
		    part);
}

bool part_open(const char *part, int *ret_fd, struct error *err)
{
	int fd;

	*ret_fd = -1;
	for (;;) {
		fd = open(part, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC | O_NOCTTY, 0666);
		if (fd < 0)
			return fail_sys(err, errno, "opening %s", part);
		if (!lock(fd, part, err)) {
			close(fd);
			return false;
		}
		if (is_named(fd, part))
			break;
		close(fd); /* who had it gave it its name, or removed it, meanwhile */
	}
	*ret_fd = fd;
	return true;
}

/* A crash before the rename leaves the part; one behind it the whole file. */
bool part_finish(int fd, const char *part, const char *path, struct error *err)
{
	char copy[PATH_MAX];

	if (!slice_copy(slice_of(path), copy, sizeof(copy)))
		return fail_sys(err, ENAMETOOLONG, "finishing %s", path);
	if (sys.fsync(fd) != 0 || sys.rename(part, path) != 0 || !sys_sync_dir(dirname(copy)))
		return fail_sys(err, errno, "finishing %s", path);
	return true;
}

void part_drop(int fd, const char *part)
{
	if (is_named(fd, part))
		(void)unlink(part);
}
