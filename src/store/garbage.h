/* garbage.h: objects of the bucket that nothing names any more, or ever will (cluster/protocol.h,
 * "garbage"). Connection, threads, failures and round trips: node_db.h.
 *
 * A sweep lists the bucket's chunks and parts, whoever made them, and marks what it finds; then
 * removes what is due from the bucket, and forgets it. Sweeps of several nodes at a time do no
 * harm. */
#pragma once

#include <stddef.h>

#include "store/node_db.h"

#define GARBAGE_MARKED_MAX 10000u /* at a time */

/* An object that the bucket has, and what its name says. */
struct object_listed {
	char name[OBJECT_NAME_SIZE];
	struct object_name made;
};

/* object_fate(), of each: what is out of reach, and named by no row, is seen from now on.
 * *ret_marked: how many were not before. Asked again it changes nothing. */
MUST_USE bool store_garbage_mark(struct db *db, const struct object_listed *objects, size_t n,
				 uint64_t *ret_marked, struct error *err);
/* At most `max` that were seen longer than `age_us` ago (GARBAGE_US): to be removed from the
 * bucket. A malloc'ed array. */
MUST_USE bool store_garbage_due(struct db *db, int64_t age_us, unsigned max,
				char (**ret)[OBJECT_NAME_SIZE], size_t *ret_n, struct error *err);
/* The bucket no longer has these.
 *
 * crash: between, they are due again, and their removal from the bucket finds nothing. */
MUST_USE bool store_garbage_forget(struct db *db, const char (*names)[OBJECT_NAME_SIZE], size_t n,
				   struct error *err);
