/* batch_table.c: see batch_table.h. */
#include "pipeline/batch_table.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

void batch_table_init(struct batch_table *t)
{
	*t = (struct batch_table){ .bucket_n = BATCH_BUCKETS };
	t->buckets = t->first;
	pthread_mutex_init(&t->lock, NULL);
}

void batch_table_done(struct batch_table *t)
{
	if (t->buckets != t->first)
		free(t->buckets);
	pthread_mutex_destroy(&t->lock);
}

/* ---- under the lock ---- */

static struct coordinator **bucket_of(struct batch_table *t, const char *id)
{
	return &t->buckets[id_hash(id) % t->bucket_n];
}

/* Without memory the chains get longer. */
static void buckets_grow(struct batch_table *t)
{
	if (t->n < t->bucket_n)
		return;
	struct batch_table grown = { .bucket_n = 2 * t->bucket_n }; /* its buckets alone */
	grown.buckets = calloc(grown.bucket_n, sizeof(struct coordinator *));
	if (grown.buckets == NULL)
		return;
	for (size_t i = 0; i < t->bucket_n; i++)
		for (struct coordinator *c = t->buckets[i], *next; c != NULL; c = next) {
			struct coordinator **bucket = bucket_of(&grown, coordinator_id(c));
			next = *coordinator_next(c);
			*coordinator_next(c) = *bucket;
			*bucket = c;
		}
	if (t->buckets != t->first)
		free(t->buckets);
	t->buckets = grown.buckets;
	t->bucket_n = grown.bucket_n;
}

/* The next of that id from `c` on. */
static struct coordinator *same(struct coordinator *c, const char *id)
{
	while (c != NULL && strcmp(coordinator_id(c), id) != 0)
		c = *coordinator_next(c);
	return c;
}

static bool is_there(struct batch_table *t, const struct coordinator *like)
{
	const char *id = coordinator_id(like);
	struct coordinator *c = same(*bucket_of(t, id), id);

	while (c != NULL && coordinator_span_number(c) != coordinator_span_number(like))
		c = same(*coordinator_next(c), id);
	return c != NULL;
}

/* ---- calls ---- */

bool batch_table_add(struct batch_table *t, struct coordinator *c)
{
	pthread_mutex_lock(&t->lock);
	bool is_new = !is_there(t, c);
	if (is_new) {
		buckets_grow(t);
		t->n++;
		struct coordinator **bucket = bucket_of(t, coordinator_id(c));
		*coordinator_next(c) = *bucket;
		*bucket = c;
	}
	pthread_mutex_unlock(&t->lock);
	return is_new;
}

void batch_table_remove(struct batch_table *t, struct coordinator *c)
{
	pthread_mutex_lock(&t->lock);
	struct coordinator **link = bucket_of(t, coordinator_id(c));
	while (*link != c) {
		assert(*link != NULL);
		link = coordinator_next(*link);
	}
	*link = *coordinator_next(c);
	t->n--;
	pthread_mutex_unlock(&t->lock);
}

bool batch_table_with(struct batch_table *t, const char *batch_id, batch_fn fn, void *ctx)
{
	pthread_mutex_lock(&t->lock);
	struct coordinator *c = same(*bucket_of(t, batch_id), batch_id);
	bool found = c != NULL;
	for (; c != NULL; c = same(*coordinator_next(c), batch_id))
		fn(ctx, c);
	pthread_mutex_unlock(&t->lock);
	return found;
}

void batch_table_each(struct batch_table *t, batch_fn fn, void *ctx)
{
	pthread_mutex_lock(&t->lock);
	for (size_t i = 0; i < t->bucket_n; i++)
		for (struct coordinator *c = t->buckets[i]; c != NULL; c = *coordinator_next(c))
			fn(ctx, c);
	pthread_mutex_unlock(&t->lock);
}

struct coordinator *batch_table_pop(struct batch_table *t)
{
	struct coordinator *c = NULL;

	pthread_mutex_lock(&t->lock);
	for (size_t i = 0; c == NULL && i < t->bucket_n; i++) {
		c = t->buckets[i];
		if (c == NULL)
			continue;
		t->buckets[i] = *coordinator_next(c);
		t->n--;
	}
	pthread_mutex_unlock(&t->lock);
	return c;
}
