/* key_cache.h: keys that were found lately, with a connection of its own: a look-up waits neither
 * for readers that are lent, nor for disk when the key is known. Private to store/.
 *
 * A cached key counts as long as nothing that is known of keys has changed. What this process has
 * changed counts at once. What another process has is asked for every KEY_CHECK_MS; while the database
 * cannot say (another process has locked it; PostgreSQL is away), a key counts for KEY_STALE_MS. So
 * `lowtide key revoke` beside a running server counts after KEY_CHECK_MS, at worst after
 * KEY_STALE_MS. A key that is not cached is always looked for: a new key works at once.
 *
 * Any thread, also the event loops. Two locks, `asks` before `lock`: `lock` is held for microseconds;
 * `asks` for a look-up, which may wait for a server. Whoever only wants to know what is in memory never
 * waits for `asks`. */
#pragma once

#include <pthread.h>

#include "store/db.h"
#include "store/store.h"

#define KEY_CHECK_MS 10
#define KEY_STALE_MS 5000
#define KEY_WAIT_MS 20 /* waits for SQLite at most: the caller may be an event loop */

struct key_cache {
	pthread_mutex_t asks; /* guards `db` */
	struct db *db;
	pthread_mutex_t lock; /* guards all below */
	int64_t data_version;
	uint64_t asked_ms, known_ms; /* when the version was asked, and when it was told */
	struct key_slot *slots;      /* by the beginning of the hash */
	uint64_t round;              /* slots of an earlier one are forgotten */
};

void key_cache_init(struct key_cache *c);
/* key_cache_close() follows, after a failure too. */
MUST_USE bool key_cache_open(struct key_cache *c, struct store *s, const struct db_kind *kind,
			     const char *where, struct error *err);
void key_cache_close(struct key_cache *c);
/* store_key_find(). */
MUST_USE bool key_cache_find(struct key_cache *c, const char *hash, struct key *ret,
			     struct error *err);
/* store_key_known(), store_uploads_pending(). */
bool key_cache_knows(struct key_cache *c, const char *hash);
MUST_USE bool key_cache_uploads(struct key_cache *c, const char *org, uint64_t *ret,
				struct error *err);
/* store_operator_stamp(). */
uint64_t key_cache_round(struct key_cache *c);
/* This process has changed something about keys. */
void key_cache_forget(struct key_cache *c);
