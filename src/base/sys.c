/* sys.c: the real system calls, the helpers over them, and the failpoints of test builds. */
#include "base/sys.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#ifdef LOWTIDE_FAILPOINTS
static int64_t clock_off_s(void);
#else
static int64_t clock_off_s(void)
{
	return 0;
}
#endif

/* Not time(): that is the clock of the last tick, up to 10 ms behind what everyone else reads, and
 * so of a second that was over before the request came. */
static int64_t real_now_s(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return (int64_t)now.tv_sec + clock_off_s();
}

static uint64_t real_monotonic_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static uint64_t real_monotonic_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

/* "sys.sync": a disk that is slow, or refuses. */
static int real_fsync(int fd)
{
	int fault = failpoint("sys.sync");

	errno = fault;
	return fault != 0 ? -1 : fsync(fd);
}

static int real_fdatasync(int fd)
{
	int fault = failpoint("sys.sync");

	errno = fault;
	return fault != 0 ? -1 : fdatasync(fd);
}

static int real_syncfs(int fd)
{
	int fault = failpoint("sys.sync");

	errno = fault;
	return fault != 0 ? -1 : syncfs(fd);
}

struct sys sys = {
	.now_s = real_now_s,
	.monotonic_ms = real_monotonic_ms,
	.monotonic_us = real_monotonic_us,
	.write = write,
	.pwrite = pwrite,
	.fsync = real_fsync,
	.fdatasync = real_fdatasync,
	.syncfs = real_syncfs,
	.rename = rename,
	.ftruncate = ftruncate,
};

bool sys_pwrite_all(int fd, const void *p, size_t n, off_t at)
{
	const char *from = p;

	while (n > 0) {
		ssize_t done = sys.pwrite(fd, from, n, at);
		if (done < 0 && errno == EINTR)
			continue;
		if (done == 0)
			errno = EIO; /* POSIX allows it nowhere; looping on it would hang */
		if (done <= 0)
			return false;
		from += done;
		n -= (size_t)done;
		at += done;
	}
	return true;
}

bool sys_write_all(int fd, const void *p, size_t n)
{
	const char *from = p;

	while (n > 0) {
		ssize_t done = sys.write(fd, from, n);
		if (done < 0 && errno == EINTR)
			continue;
		if (done == 0)
			errno = EIO;
		if (done <= 0)
			return false;
		from += done;
		n -= (size_t)done;
	}
	return true;
}

bool sys_pread_all(int fd, void *p, size_t n, off_t at)
{
	char *to = p;

	while (n > 0) {
		ssize_t done = pread(fd, to, n, at);
		if (done < 0 && errno == EINTR)
			continue;
		if (done == 0)
			errno = ENODATA; /* the file ends before `at` + `n` */
		if (done <= 0)
			return false;
		to += done;
		n -= (size_t)done;
		at += done;
	}
	return true;
}

bool sys_sync_dir(const char *path)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		return false;
	bool ok = sys.fsync(fd) == 0;
	int saved_errno = errno;
	close(fd);
	errno = saved_errno;
	return ok;
}

bool sys_make_dir(const char *path)
{
	char copy[PATH_MAX];

	if (mkdir(path, 0700) != 0 && errno != EEXIST)
		return false;
	if (!slice_copy(slice_of(path), copy, sizeof(copy))) {
		errno = ENAMETOOLONG;
		return false;
	}
	return sys_sync_dir(dirname(copy)) || errno == EACCES;
}

#ifdef LOWTIDE_FAILPOINTS

#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#define FAILPOINTS_MAX 32

/* Written by failpoints_init() before threads start, then only read, but for the count. */
static struct failpoint {
	const char *name;
	enum { POINT_KILL, POINT_ERRNO, POINT_CLOCK, POINT_DELAY } action;
	unsigned long nth; /* POINT_KILL: which passing kills, from 1 */
	atomic_ulong passings;
	int64_t off_s;         /* POINT_CLOCK: how far ahead the clock is ... */
	int error;             /* POINT_ERRNO: what to fail with ... */
	unsigned delay_ms;     /* POINT_DELAY: how long to wait ... */
	const char *flag_path; /* ... while this file exists */
} points[FAILPOINTS_MAX];
static size_t points_n;

static void malformed(const char *entry)
{
	fprintf(stderr,
		"LOWTIDE_FAILPOINTS: '%s' is not NAME=kill[@NTH], NAME=enospc:/FILE, "
		"NAME=eio:/FILE or NAME=delay:MS:/FILE\n",
		entry);
	exit(2);
}

/* "name=kill@3" or "name=enospc:/path"; `entry` is cut in place and kept. */
static void point_add(char *entry)
{
	char *equals = strchr(entry, '=');

	if (equals == NULL || equals == entry || points_n == FAILPOINTS_MAX)
		malformed(entry);
	const char *action = equals + 1;
	struct failpoint *f = &points[points_n];
	if (strncmp(action, "kill", 4) == 0 && (action[4] == '\0' || action[4] == '@')) {
		char *end = NULL;
		f->action = POINT_KILL;
		f->nth = action[4] == '\0' ? 1 : strtoul(action + 5, &end, 10);
		if (f->nth == 0 || (end != NULL && *end != '\0'))
			malformed(entry);
	} else if (strncmp(action, "enospc:/", 8) == 0) {
		f->action = POINT_ERRNO;
		f->error = ENOSPC;
		f->flag_path = action + 7;
	} else if (strncmp(action, "eio:/", 5) == 0) {
		f->action = POINT_ERRNO;
		f->error = EIO;
		f->flag_path = action + 4;
	} else if (strncmp(entry, "clock=", 6) == 0 && strstr(action, ":/") != NULL) {
		f->action = POINT_CLOCK;
		f->off_s = strtoll(action, NULL, 10);
		f->flag_path = strstr(action, ":/") + 1;
	} else if (strncmp(action, "delay:", 6) == 0) {
		char *end;
		f->action = POINT_DELAY;
		f->delay_ms = (unsigned)strtoul(action + 6, &end, 10);
		if (end[0] != ':' || end[1] != '/')
			malformed(entry);
		f->flag_path = end + 1;
	} else {
		malformed(entry);
	}
	*equals = '\0';
	f->name = entry;
	points_n++;
}

void failpoints_init(void)
{
	static char *kept; /* the entries point into it for good */
	const char *text = getenv("LOWTIDE_FAILPOINTS");

	points_n = 0;
	free(kept);
	kept = NULL;
	if (text == NULL)
		return;
	kept = strdup(text);
	if (kept == NULL)
		abort();
	char *rest = kept, *entry;
	while ((entry = strsep(&rest, ",")) != NULL)
		if (*entry != '\0')
			point_add(entry);
}

int failpoint(const char *name)
{
	for (size_t i = 0; i < points_n; i++) {
		struct failpoint *f = &points[i];
		if (strcmp(f->name, name) != 0 || f->action == POINT_CLOCK)
			continue;
		if (f->action == POINT_ERRNO) {
			if (access(f->flag_path, F_OK) == 0)
				return f->error;
		} else if (f->action == POINT_DELAY) {
			if (access(f->flag_path, F_OK) == 0)
				usleep(f->delay_ms * 1000);
		} else if (atomic_fetch_add(&f->passings, 1) + 1 == f->nth) {
			kill(getpid(), SIGKILL);
			for (;;)
				pause(); /* not one instruction further */
		}
	}
	return 0;
}

static int64_t clock_off_s(void)
{
	for (size_t i = 0; i < points_n; i++)
		if (points[i].action == POINT_CLOCK && access(points[i].flag_path, F_OK) == 0)
			return points[i].off_s;
	return 0;
}

#endif
