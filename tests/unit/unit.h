/* unit.h: what the unit tests share: cmocka with the headers it wants before it, a scratch
 * directory, and the n-th call of the system call table failing. */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

/* cmocka's fail() is a macro, and our fail() of base/error.h is a function. */
#undef fail
#undef fail_msg
#define fail_msg(...)                      \
	do {                               \
		print_error(__VA_ARGS__);  \
		print_error("\n");         \
		_fail(__FILE__, __LINE__); \
	} while (0)

#include <dirent.h>
#include <errno.h>
#include <ftw.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/sys.h"

/* ---- scratch directories ---- */

/* A new directory, the caller's to give to scratch_dir_remove(). */
static inline char *scratch_dir_new(void)
{
	const char *base = getenv("TMPDIR");
	char *path;

	assert_true(asprintf(&path, "%s/lowtide-unit-XXXXXX", base != NULL ? base : "/tmp") > 0);
	assert_non_null(mkdtemp(path));
	return path;
}

static inline int scratch_remove_one(const char *path, const struct stat *st, int type,
				     struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

static inline void scratch_dir_remove(char *path)
{
	assert_int_equal(nftw(path, scratch_remove_one, 16, FTW_DEPTH | FTW_PHYS), 0);
	free(path);
}

/* How many names `dir`/`sub` holds. */
static inline int scratch_count(const char *dir, const char *sub)
{
	char path[PATH_MAX];
	const struct dirent *entry;
	int n = 0;

	snprintf(path, sizeof(path), "%s/%s", dir, sub);
	DIR *d = opendir(path);
	assert_non_null(d);
	while ((entry = readdir(d)) != NULL)
		n += entry->d_name[0] != '.';
	closedir(d);
	return n;
}

static inline bool scratch_exists(const char *dir, const char *name)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	return access(path, F_OK) == 0;
}

/* ---- the n-th system call fails ----
 *
 *	bool fired = true;
 *	for (int nth = 1; fired; nth++) {       // until every call has had its turn
 *		sys_fail_nth(nth, ENOSPC);
 *		... the work, which stops at the first error ...
 *		fired = sys_restore();
 *		... what must hold ...
 *	}
 */

static struct {
	struct sys real;
	int calls_left; /* the call that takes it to 0 fails */
	int error;
	bool fired;
} sys_fault;

static inline bool sys_fault_now(void)
{
	if (--sys_fault.calls_left != 0)
		return false;
	sys_fault.fired = true;
	errno = sys_fault.error;
	return true;
}

/* A write that fails leaves half of its bytes, as a disk that fills up does. */
static inline ssize_t sys_fault_write(int fd, const void *p, size_t n)
{
	if (!sys_fault_now())
		return sys_fault.real.write(fd, p, n);
	(void)!sys_fault.real.write(fd, p, n / 2);
	errno = sys_fault.error;
	return -1;
}

static inline ssize_t sys_fault_pwrite(int fd, const void *p, size_t n, off_t at)
{
	if (!sys_fault_now())
		return sys_fault.real.pwrite(fd, p, n, at);
	(void)!sys_fault.real.pwrite(fd, p, n / 2, at);
	errno = sys_fault.error;
	return -1;
}

static inline int sys_fault_fsync(int fd)
{
	return sys_fault_now() ? -1 : sys_fault.real.fsync(fd);
}

static inline int sys_fault_fdatasync(int fd)
{
	return sys_fault_now() ? -1 : sys_fault.real.fdatasync(fd);
}

static inline int sys_fault_rename(const char *from, const char *to)
{
	return sys_fault_now() ? -1 : sys_fault.real.rename(from, to);
}

static inline int sys_fault_ftruncate(int fd, off_t size)
{
	return sys_fault_now() ? -1 : sys_fault.real.ftruncate(fd, size);
}

/* The `nth` call from now (from 1) of a durable kind fails with `error`; clocks go on. */
static inline void sys_fail_nth(int nth, int error)
{
	sys_fault.real = sys;
	sys_fault.calls_left = nth;
	sys_fault.error = error;
	sys_fault.fired = false;
	sys.write = sys_fault_write;
	sys.pwrite = sys_fault_pwrite;
	sys.fsync = sys_fault_fsync;
	sys.fdatasync = sys_fault_fdatasync;
	sys.rename = sys_fault_rename;
	sys.ftruncate = sys_fault_ftruncate;
}

/* Puts the real calls back; whether the fault came to pass. */
static inline bool sys_restore(void)
{
	sys = sys_fault.real;
	return sys_fault.fired;
}
