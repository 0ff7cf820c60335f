/* data_dir.c: making and locking a data directory. */
#include "cli/data_dir.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

bool data_dir_make(const char *path, struct error *err)
{
	struct stat st;

	if (mkdir(path, 0700) == 0)
		return true;
	if (errno != EEXIST)
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
