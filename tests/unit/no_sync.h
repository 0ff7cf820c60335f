/* no_sync.h: nothing is synced, SQLite's files included: its library calls these. For tests that
 * cut no power and write much; for one file of an executable. */
#pragma once

#include <unistd.h>

// NOLINTNEXTLINE(readability-inconsistent-declaration-parameter-name)
int fdatasync(int fd)
{
	(void)fd;
	return 0;
}

// NOLINTNEXTLINE(readability-inconsistent-declaration-parameter-name)
int fsync(int fd)
{
	(void)fd;
	return 0;
}
