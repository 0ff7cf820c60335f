/* asks.h: transactions of many machines: a connection of their own, and asking over it. Private to
 * store/.
 *
 * Each is one round trip: its statements go out together, PostgreSQL takes them for one transaction
 * and commits behind the last, and the rows are there once the commit is.
 *
 * They are none of txn.c's, whose groups would break what these rely on:
 *
 *	locks    of a settlement would be held while other threads have turns in its group, and
 *	         for ever by a node that is stopped in it, which nobody could bury then
 *	time     of a member may be from before it asked: a lease would end before its node thinks
 *	outcome  is waited for, however long, with the writer's turn. A renewal is given up after
 *	         a second; and as each may be asked again (cluster/protocol.h) nobody has to know
 *
 *	AUTO(asks_done) struct asks a = { 0 };
 *	if (!asks_run(&a, db, ASK_WAIT_MS, ASKS({ SQL_node_epoch, VALUES(num(node)) }), err))
 *		return false;
 *	... query_step(&a.of[0], ...) ... */
#pragma once

#include <assert.h>

#include "base/buf.h"
#include "store/db.h"

#define ASK_WAIT_MS 8000 /* for the answer; more than the server waits for a lock */
#define ASKS_MAX 4

struct ask {
	enum sql id;
	const struct value *values;
};

#define ASKS(...) ((const struct ask[]){ __VA_ARGS__, { SQL_ALL, NULL } })

struct asks {
	struct query of[ASKS_MAX]; /* answered: to be stepped, as query()'s are */
	unsigned n;
};

/* One transaction of DB_NODE's connection `db`: the statements of `list`, up to ASKS_MAX. True: it
 * is committed. UNAVAILABLE: nobody knows whether it is or will be, and the connection is made anew
 * by the next; else it has not happened. */
MUST_USE bool asks_run(struct asks *a, struct db *db, unsigned wait_ms, const struct ask *list,
		       struct error *err);
void asks_done(struct asks *a);

/* The first column of the first row of answer `at`; *ret_row false: it has none. */
MUST_USE bool asks_number(struct asks *a, unsigned at, bool *ret_row, int64_t *ret,
			  struct error *err);
/* A transaction of one statement: the same of its answer; 0 without a row. */
MUST_USE bool ask_number(struct db *db, enum sql id, const struct value *values, int64_t *ret,
			 struct error *err);

/* A transaction that is one message, whose answer is not read: SQL with the text `with`, quoted, between
 * `begin` and `end`. */
MUST_USE bool ask_text(struct db *db, const char *begin, const char *with, const char *end,
		       struct error *err);

/* ---- parameters ---- */

static inline struct value u64(uint64_t number)
{
	assert(number <= INT64_MAX);
	return num((int64_t)number);
}

/* Arrays, as PostgreSQL writes them. */
#define LIST_BYTES_MAX (4u << 20)
#define LIST BUF(LIST_BYTES_MAX)
void array_u64(struct buf *list, uint64_t number);
void array_text(struct buf *list, const char *text);
/* After the last element. Check `list->failed`. */
void array_end(struct buf *list);
