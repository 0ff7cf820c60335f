/* feeds.c: see feeds.h. */
#include "api/feeds.h"

#include <assert.h>
#include <stdlib.h>

static unsigned bucket_of(const char *id)
{
	uint32_t h = 2166136261u;

	for (; *id != '\0'; id++)
		h = (h ^ (unsigned char)*id) * 16777619u;
	return h % FEED_BUCKETS;
}

/* ---- a batch ---- */

struct feed_batch *feed_batch_find(struct feeds *f, const char *id)
{
	struct feed_batch *b = f->batches[bucket_of(id)];

	while (b != NULL && strcmp(b->id, id) != 0)
		b = b->next;
	return b;
}

/* Behind all others: what it has is the newest. */
static void org_append(struct feed_org *o, struct feed_batch *b)
{
	b->org = o;
	b->before = o->newest;
	b->behind = NULL;
	*(o->newest != NULL ? &o->newest->behind : &o->oldest) = b;
	o->newest = b;
}

static void org_unlink(struct feed_org *o, struct feed_batch *b)
{
	*(b->before != NULL ? &b->before->behind : &o->oldest) = b->behind;
	*(b->behind != NULL ? &b->behind->before : &o->newest) = b->before;
	b->before = b->behind = NULL;
}

static void org_prepend(struct feed_org *o, struct feed_batch *b)
{
	b->org = o;
	b->counted = 0;
	b->before = NULL;
	b->behind = o->oldest;
	*(o->oldest != NULL ? &o->oldest->before : &o->newest) = b;
	o->oldest = b;
}

struct feed_batch *feed_batch_get(struct feeds *f, const char *id, struct feed_org *org)
{
	struct feed_batch *b = feed_batch_find(f, id);

	if (b == NULL) {
		struct feed_batch **bucket = &f->batches[bucket_of(id)];
		b = calloc(1, sizeof(*b));
		if (b == NULL)
			return NULL;
		(void)slice_copy(slice_of(id), b->id, sizeof(b->id));
		b->next = *bucket;
		*bucket = b;
	}
	if (org != NULL && b->org == NULL)
		org_prepend(org, b);
	return b;
}

static void texts_clear(struct feed_batch *b)
{
	while (b->n > 0)
		event_text_unref(b->texts[--b->n]);
}

void feed_batch_leave(struct feed_batch *b)
{
	if (b->org != NULL)
		org_unlink(b->org, b);
	b->org = NULL;
	event_text_unref(b->counts);
	b->counts = NULL;
}

void feed_batch_tidy(struct feeds *f, struct feed_batch *b)
{
	if (b->listeners != NULL)
		return;
	texts_clear(b);
	if (b->org != NULL)
		return;
	struct feed_batch **at = &f->batches[bucket_of(b->id)];
	while (*at != b)
		at = &(*at)->next;
	*at = b->next;
	event_text_unref(b->counts);
	free(b);
}

/* Counts make room for whatever is newer. */
void feed_batch_push(struct feed_batch *b, struct event_text *t)
{
	if (b->n > 0 && (b->texts[b->n - 1]->counts || b->n == FEED_STATES)) {
		unsigned gone = b->texts[b->n - 1]->counts ? b->n - 1 : 0;
		event_text_unref(b->texts[gone]);
		b->n--;
		for (unsigned i = gone; i < b->n; i++) {
			b->texts[i] = b->texts[i + 1];
			b->serials[i] = b->serials[i + 1];
		}
	}
	b->texts[b->n] = event_text_ref(t);
	b->serials[b->n++] = ++b->serial;
	b->changed = t->changed;
}

void feed_batch_serve(struct feed_batch *b, struct event_listener *l)
{
	if (b->n == 0)
		return;
	struct event_text *newest = b->texts[b->n - 1];
	bool final = batch_is_final(newest->status);
	if (l->kind == LISTENER_WAIT) {
		if (listener_is_free(l) && !l->headed && (final || newest->status != l->since))
			listener_give(l, newest);
		return;
	}
	for (unsigned i = 0; i < b->n && listener_is_free(l); i++) {
		if (b->serials[i] <= l->seen)
			continue;
		l->seen = b->serials[i];
		listener_give(l, b->texts[i]);
	}
	if (final && l->seen == b->serial && listener_is_free(l))
		listener_end(l);
}

/* ---- an organization ---- */

struct feed_org *feed_org_find(struct feeds *f, const char *id)
{
	struct feed_org *o = f->orgs[bucket_of(id)];

	while (o != NULL && strcmp(o->id, id) != 0)
		o = o->next;
	return o;
}

struct feed_org *feed_org_get(struct feeds *f, const char *id)
{
	struct feed_org *o = feed_org_find(f, id), **bucket = &f->orgs[bucket_of(id)];

	if (o != NULL)
		return o;
	o = calloc(1, sizeof(*o));
	if (o == NULL)
		return NULL;
	(void)slice_copy(slice_of(id), o->id, sizeof(o->id));
	o->next = *bucket;
	*bucket = o;
	return o;
}

static void oldest_drop(struct feed_org *o)
{
	struct event_text *t = o->changes[o->first];

	o->complete_from = t->changed;
	o->bytes -= t->bytes.n;
	o->first = (o->first + 1) % FEED_CHANGES;
	o->n--;
	event_text_unref(t);
}

void feed_org_forget(struct feed_org *o, int64_t last)
{
	while (o->n > 0)
		oldest_drop(o);
	o->complete_from = o->last = last;
}

void feed_org_tidy(struct feeds *f, struct feed_org *o)
{
	if (o->listeners != NULL)
		return;
	feed_org_forget(o, 0);
	while (o->oldest != NULL) {
		struct feed_batch *b = o->oldest;
		feed_batch_leave(b);
		feed_batch_tidy(f, b);
	}
	struct feed_org **at = &f->orgs[bucket_of(o->id)];
	while (*at != o)
		at = &(*at)->next;
	*at = o->next;
	free(o);
}

void feed_org_push(struct feed_org *o, struct event_text *t)
{
	assert(t->changed > o->last);
	while (o->n > 0 && (o->n == FEED_CHANGES || o->bytes + t->bytes.n > FEED_CHANGES_BYTES))
		oldest_drop(o);
	o->changes[(o->first + o->n++) % FEED_CHANGES] = event_text_ref(t);
	o->bytes += t->bytes.n;
	o->last = t->changed;
}

struct event_text *feed_org_next(const struct feed_org *o, int64_t after)
{
	for (unsigned i = 0; i < o->n; i++) {
		struct event_text *t = o->changes[(o->first + i) % FEED_CHANGES];
		if (t->changed > after)
			return t;
	}
	return NULL;
}

void feed_org_counted(struct feed_org *o, struct feed_batch *b)
{
	assert(b->org == o);
	org_unlink(o, b);
	org_append(o, b);
	b->counted = ++o->serial;
}

/* ---- all ---- */

static void list_each(struct event_listener *l, void (*each)(void *ctx, struct event_listener *l),
		      void *ctx)
{
	while (l != NULL) {
		struct event_listener *next = l->next;
		each(ctx, l);
		l = next;
	}
}

void feeds_each(struct feeds *f, void (*each)(void *ctx, struct event_listener *l), void *ctx)
{
	for (unsigned i = 0; i < FEED_BUCKETS; i++) {
		for (struct feed_batch *b = f->batches[i]; b != NULL; b = b->next)
			list_each(b->listeners, each, ctx);
		for (struct feed_org *o = f->orgs[i]; o != NULL; o = o->next)
			list_each(o->listeners, each, ctx);
	}
}
