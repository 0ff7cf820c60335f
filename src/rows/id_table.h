/* id_table.h: what is known of each custom_id, on disk: a hash table in a file without a name.
 * Memory stays flat, whatever the number of ids; what is hot is in the kernel's page cache.
 *
 * An id is known by 127 bits of its hash, keyed at random in each table: two ids are taken for
 * one with a probability that no machine lives to see, whoever chose them. One thread. */
#pragma once

#include <stdint.h>

#include "base/error.h"

struct id_table;

struct id_entry {
	uint64_t hash[2];
	uint64_t a, b; /* the caller's */
};

/* `directory`: where there is room: 48 bytes an id and more. `expected`: how many ids there may
 * be; it grows beyond. */
MUST_USE bool id_table_open(const char *directory, uint64_t expected, struct id_table **ret,
			    struct error *err);
void id_table_close(struct id_table *t); /* NULL is fine */

/* Adds the id, unless it is there: then *ret_known, and *ret is what is there. */
MUST_USE bool id_table_add(struct id_table *t, struct slice id, uint64_t a, uint64_t b,
			   bool *ret_known, struct id_entry *ret, struct error *err);
MUST_USE bool id_table_find(struct id_table *t, struct slice id, bool *ret_known,
			    struct id_entry *ret, struct error *err);
/* Changes the entry that was found or added last. */
MUST_USE bool id_table_set(struct id_table *t, uint64_t a, uint64_t b, struct error *err);
