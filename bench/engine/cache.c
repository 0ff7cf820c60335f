#include "cache.h"

#include <stdlib.h>
#include <xxhash.h>

#include "base/memory.h"

#define TABLE_SIZE_MIN 4096u

struct block {
	uint64_t hash;
	unsigned held; /* by so many sequences; 0: in the list of idle ones */
	struct block *next_in_table;
	struct block *older, *newer;
};

void cache_init(struct cache *c, uint64_t max_tokens)
{
	*c = (struct cache){ .max_idle = (size_t)(max_tokens / BLOCK_TOKENS) };
	if (c->max_idle == 0)
		return;
	c->table_size = TABLE_SIZE_MIN;
	c->table = must_calloc(c->table_size, sizeof(struct block *));
}

void cache_free(struct cache *c)
{
	for (size_t i = 0; i < c->table_size; i++) {
		struct block *next;

		for (struct block *b = c->table[i]; b != NULL; b = next) {
			next = b->next_in_table;
			free(b);
		}
	}
	free((void *)c->table);
	*c = (struct cache){ 0 };
}

void cache_hash(struct slice prompt, uint64_t *hashes, size_t n)
{
	uint64_t before = 0;

	for (size_t i = 0; i < n; i++) {
		before = XXH3_64bits_withSeed(prompt.p + i * BLOCK_BYTES, BLOCK_BYTES, before);
		hashes[i] = before;
	}
}

/* Where the pointer to the block with that hash stands, or the NULL where it would. */
static struct block **table_at(const struct cache *c, uint64_t hash)
{
	struct block **at = &c->table[hash & (c->table_size - 1)];

	while (*at != NULL && (*at)->hash != hash)
		at = &(*at)->next_in_table;
	return at;
}

static void table_grow(struct cache *c)
{
	struct block **old = c->table;
	size_t old_size = c->table_size;

	c->table_size *= 2;
	c->table = must_calloc(c->table_size, sizeof(struct block *));
	for (size_t i = 0; i < old_size; i++) {
		struct block *next;

		for (struct block *b = old[i]; b != NULL; b = next) {
			struct block **at = &c->table[b->hash & (c->table_size - 1)];

			next = b->next_in_table;
			b->next_in_table = *at;
			*at = b;
		}
	}
	free((void *)old);
}

static void idle_remove(struct cache *c, struct block *b)
{
	*(b->older != NULL ? &b->older->newer : &c->oldest) = b->newer;
	*(b->newer != NULL ? &b->newer->older : &c->newest) = b->older;
	b->older = b->newer = NULL;
	c->n_idle--;
}

static void idle_append(struct cache *c, struct block *b)
{
	b->older = c->newest;
	*(c->newest != NULL ? &c->newest->newer : &c->oldest) = b;
	c->newest = b;
	c->n_idle++;
}

static void oldest_drop(struct cache *c)
{
	struct block *b = c->oldest;

	*table_at(c, b->hash) = b->next_in_table;
	idle_remove(c, b);
	c->n_blocks--;
	free(b);
}

struct block *cache_hold(struct cache *c, uint64_t hash)
{
	struct block *b = c->table != NULL ? *table_at(c, hash) : NULL;

	if (b == NULL)
		return NULL;
	if (b->held++ == 0)
		idle_remove(c, b);
	return b;
}

struct block *cache_add(struct cache *c, uint64_t hash)
{
	struct block *b = cache_hold(c, hash); /* another sequence may have been first */

	if (b != NULL || c->table == NULL)
		return b;
	if (c->n_blocks == c->table_size)
		table_grow(c);
	b = must_calloc(1, sizeof(*b));
	b->hash = hash;
	b->held = 1;
	*table_at(c, hash) = b;
	c->n_blocks++;
	return b;
}

void cache_release(struct cache *c, struct block *b)
{
	if (--b->held > 0)
		return;
	idle_append(c, b);
	if (c->n_idle > c->max_idle)
		oldest_drop(c);
}
