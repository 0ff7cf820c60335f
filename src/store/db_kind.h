/* db_kind.h: what a kind of database does for db.c. Private to store/.
 *
 * Functions that fail return false with `err` filled, its kind as store.h says: NO_SPACE where there is
 * no room, UNAVAILABLE where the database cannot be had now, else INTERNAL. */
#pragma once

#include "store/db.h"

struct db_kind {
	const char *name;
	bool waits; /* for a server: store_waits() */
	bool (*open)(const char *where, enum db_use use, struct db **ret, struct error *err);
	void (*close)(struct db *db);
	void (*wait)(struct db *db, unsigned wait_ms);
	bool (*claim)(struct db *db, struct error *err); /* NULL: it needs none */
	bool (*share)(struct db *db, struct error *err); /* NULL: it cannot */
	bool (*exec)(struct db *db, const char *text, struct error *err);
	bool (*in_transaction)(const struct db *db);
	bool (*fail_again)(struct db *db, struct error *err);
	bool (*version)(struct db *db, int64_t *ret, struct error *err);
	/* q->rows, q->fault. */
	void (*begin)(struct query *q, const struct value *values);
	bool (*step)(struct query *q, bool *ret_row, struct error *err);
	void (*end)(struct query *q);
	uint64_t (*changes)(const struct query *q);
	/* Of the row at hand. */
	int64_t (*number)(struct query *q, int column);
	/* p NULL: it is NULL, or there is no memory for it (q->no_memory). */
	struct slice (*text)(struct query *q, int column);
};

extern const struct db_kind db_sqlite, db_postgres;
