/* memory_fault_sqlite.h: SQLite's allocations take part in a sweep. */
#pragma once

#include <sqlite3.h>

#include "memory_fault.h"
#include "no_sync.h"

static sqlite3_mem_methods memory_sqlite;

static void *memory_sqlite_malloc(int n)
{
	return memory_fault_now() ? NULL : memory_sqlite.xMalloc(n);
}

static void *memory_sqlite_realloc(void *p, int n)
{
	return memory_fault_now() ? NULL : memory_sqlite.xRealloc(p, n);
}

/* Before the first use of SQLite. Without lookaside: every allocation is one. */
static inline void memory_fault_sqlite(void)
{
	sqlite3_mem_methods ours;

	assert_int_equal(sqlite3_config(SQLITE_CONFIG_GETMALLOC, &memory_sqlite), SQLITE_OK);
	ours = memory_sqlite;
	ours.xMalloc = memory_sqlite_malloc;
	ours.xRealloc = memory_sqlite_realloc;
	assert_int_equal(sqlite3_config(SQLITE_CONFIG_MALLOC, &ours), SQLITE_OK);
	assert_int_equal(sqlite3_config(SQLITE_CONFIG_LOOKASIDE, 0, 0), SQLITE_OK);
}
