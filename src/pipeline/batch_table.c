/* batch_table.c: see batch_table.h. */
#include "pipeline/batch_table.h"

#include <assert.h>
#include <string.h>

void batch_table_init(struct batch_table *t)
{
	*t = (struct batch_table){ 0 };
	pthread_mutex_init(&t->lock, NULL);
}

void batch_table_done(struct batch_table *t)
{
	pthread_mutex_destroy(&t->lock);
}

/* ---- under the lock ---- */

static struct coordinator **bucket_of(struct batch_table *t, const char *id)
{
	uint32_t h = 2166136261u; /* FNV-1a: ids are random already */

	for (; *id != '\0'; id++)
		h = (h ^ (unsigned char)*id) * 16777619u;
	return &t->buckets[h % BATCH_BUCKETS];
}

static struct coordinator *find(struct batch_table *t, const char *id)
{
	struct coordinator *c = *bucket_of(t, id);

	while (c != NULL && strcmp(coordinator_id(c), id) != 0)
		c = *coordinator_next(c);
	return c;
}

/* ---- calls ---- */

bool batch_table_add(struct batch_table *t, struct coordinator *c)
{
	pthread_mutex_lock(&t->lock);
	bool is_new = find(t, coordinator_id(c)) == NULL;
	if (is_new) {
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
	pthread_mutex_unlock(&t->lock);
}

bool batch_table_with(struct batch_table *t, const char *batch_id, batch_fn fn, void *ctx)
{
	pthread_mutex_lock(&t->lock);
	struct coordinator *c = find(t, batch_id);
	if (c != NULL)
		fn(ctx, c);
	pthread_mutex_unlock(&t->lock);
	return c != NULL;
}

void batch_table_each(struct batch_table *t, batch_fn fn, void *ctx)
{
	pthread_mutex_lock(&t->lock);
	for (unsigned i = 0; i < BATCH_BUCKETS; i++)
		for (struct coordinator *c = t->buckets[i]; c != NULL; c = *coordinator_next(c))
			fn(ctx, c);
	pthread_mutex_unlock(&t->lock);
}

struct coordinator *batch_table_pop(struct batch_table *t)
{
	struct coordinator *c = NULL;

	pthread_mutex_lock(&t->lock);
	for (unsigned i = 0; c == NULL && i < BATCH_BUCKETS; i++) {
		c = t->buckets[i];
		if (c != NULL)
			t->buckets[i] = *coordinator_next(c);
	}
	pthread_mutex_unlock(&t->lock);
	return c;
}
