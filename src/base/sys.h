/* sys.h: the system calls that tests replace: clocks, and the calls that make data durable.
 *
 * Code calls `sys.fdatasync(fd)` and never fdatasync(fd) itself where data has to survive. The
 * table is set before threads start; a unit test swaps entries to set the time or to fail the n-th
 * call. The helpers below it go through the table; waits do not (clock.h).
 *
 * Failpoints (builds with -Dfailpoints=true only): LOWTIDE_FAILPOINTS names places and what
 * happens there: `journal.before_sync=kill@3,journal.write=enospc:/tmp/full`, or
 * `sys.sync=delay:1000:/tmp/slow`, a second while that file exists. The place `clock` is the wall
 * clock: `clock=172800:/tmp/wrong` sets it two days ahead while that file exists. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/attr.h"
#include "base/error.h"
#include "base/slice.h"

struct sys {
	int64_t (*now_s)(void);         /* Unix time, seconds */
	uint64_t (*monotonic_ms)(void); /* never goes back */
	uint64_t (*monotonic_us)(void); /* the same clock, where milliseconds are too coarse */
	ssize_t (*write)(int fd, const void *p, size_t n);
	ssize_t (*pwrite)(int fd, const void *p, size_t n, off_t at);
	int (*fsync)(int fd);
	int (*fdatasync)(int fd);
	int (*syncfs)(int fd);
	int (*rename)(const char *from, const char *to);
	int (*ftruncate)(int fd, off_t size);
};

extern struct sys sys;

/* All of `n` bytes at `at`, across short writes and EINTR; false with errno set. */
MUST_USE bool sys_pwrite_all(int fd, const void *p, size_t n, off_t at);
MUST_USE bool sys_write_all(int fd, const void *p, size_t n);
/* Reads exactly `n` bytes at `at`; false with errno set. ENODATA: the file is shorter, which is no
 * fault of the disk. */
MUST_USE bool sys_pread_all(int fd, void *p, size_t n, off_t at);
/* fsyncs the directory itself, so that a rename or a new name in it survives; false with errno. */
MUST_USE bool sys_sync_dir(const char *path);
/* Makes the directory `path` for its owner alone (0700) unless it is there, and syncs its parent: a
 * directory that a power cut takes away takes what was synced in it along. A parent that may not be
 * read cannot be synced; then that is left out. False with errno. */
MUST_USE bool sys_make_dir(const char *path);

#ifdef LOWTIDE_FAILPOINTS
/* Reads LOWTIDE_FAILPOINTS; exits 2 on a malformed one. */
void failpoints_init(void);
/* Kills the process, or waits, or returns an errno to fail with, or 0. */
int failpoint(const char *name);
#else
static inline void failpoints_init(void)
{
}
static inline int failpoint(const char *name)
{
	(void)name;
	return 0;
}
#endif
