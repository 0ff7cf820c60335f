/* cache.h: the prefix cache of the simulated engine: which blocks of prompts are computed already.
 *
 * A block is BLOCK_TOKENS tokens and known by a hash that is chained: it stands for all of the
 * prompt up to the block's end. Blocks that a running sequence holds stay; those that nobody holds
 * are kept up to a limit, and the one that was let go of first is dropped first. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"

#define TOKEN_BYTES 4u
#define BLOCK_TOKENS 16u
#define BLOCK_BYTES (BLOCK_TOKENS * TOKEN_BYTES)

struct block;

struct cache {
	struct block **table;          /* by hash, chained; NULL: no cache at all */
	size_t table_size;             /* a power of 2 */
	size_t n_blocks;               /* all that are known */
	size_t n_idle, max_idle;       /* those that nobody holds */
	struct block *oldest, *newest; /* the idle ones, in the order in which they became so */
};

/* `max_tokens` 0: no cache, nothing is ever found. */
void cache_init(struct cache *c, uint64_t max_tokens);
void cache_free(struct cache *c);
/* Writes the chained hashes of the whole blocks of `prompt`, n = prompt.n / BLOCK_BYTES. */
void cache_hash(struct slice prompt, uint64_t *hashes, size_t n);
/* The block, held for the caller, or NULL when it is not known. */
struct block *cache_hold(struct cache *c, uint64_t hash);
/* The same, for a block that has just been computed: makes it known. NULL when there is no cache. */
struct block *cache_add(struct cache *c, uint64_t hash);
/* Lets go of it. A prompt's blocks are let go of from the last to the first, so that the tail, which
 * is worth nothing without its head, is dropped before it. */
void cache_release(struct cache *c, struct block *b);
