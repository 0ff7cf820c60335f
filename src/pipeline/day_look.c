/* day_look.c: see day_look.h. */
#include "pipeline/day_look.h"

#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/sys.h"

#define FLUSH_MS 2000u

/* ---- what online answers took ---- */

struct count_list {
	struct token_count *of;
	size_t n;
	bool failed;
};

static void list_add(struct count_list *l, const char *id, uint64_t tokens)
{
	struct token_count *grown = array_room(l->of, l->n, sizeof(*grown));

	l->failed = l->failed || grown == NULL;
	if (grown == NULL)
		return;
	l->of = grown;
	struct token_count *one = &l->of[l->n++];
	*one = (struct token_count){ .tokens = tokens };
	memcpy(one->id, id, strnlen(id, sizeof(one->id) - 1));
}

static bool online_list(struct day_tokens *d, struct count_list *ret, struct error *err)
{
	pthread_mutex_lock(&d->lock);
	for (unsigned i = 0; i < DAY_BUCKETS; i++) {
		for (struct day_org *o = d->orgs[i]; o != NULL; o = o->next) {
			o->writing = o->online;
			if (o->writing > 0)
				list_add(ret, o->org, o->writing);
		}
	}
	pthread_mutex_unlock(&d->lock);
	return !ret->failed || fail_memory(err);
}

static void online_written(struct day_tokens *d)
{
	pthread_mutex_lock(&d->lock);
	for (unsigned i = 0; i < DAY_BUCKETS; i++) {
		for (struct day_org *o = d->orgs[i]; o != NULL; o = o->next) {
			o->online -= o->writing;
			o->counted += o->writing;
			o->writing = 0;
		}
	}
	pthread_mutex_unlock(&d->lock);
}

/* Under `counting`. A crash before the commit loses what is not written, and no more. */
static bool online_flush(struct day_tokens *d, struct store *store, struct error *err)
{
	struct count_list list = { 0 };

	bool ok = online_list(d, &list, err) &&
		  (list.n == 0 || store_day_add(store, d->day, list.of, list.n, err));
	free(list.of);
	if (ok)
		online_written(d);
	return ok;
}

bool day_flush(struct day_tokens *d, struct store *store, struct error *err)
{
	(void)day_tokens_hold(d);
	bool ok = online_flush(d, store, err);
	day_tokens_release(d);
	return ok;
}

/* ---- another day ---- */

static void on_settle(void *ctx, struct coordinator *c)
{
	uint64_t counted = coordinator_tokens_settle(c);

	if (counted > 0)
		list_add(ctx, coordinator_id(c), counted);
}

static void orgs_clear(struct day_tokens *d)
{
	pthread_mutex_lock(&d->lock);
	for (unsigned i = 0; i < DAY_BUCKETS; i++)
		for (struct day_org *o = d->orgs[i]; o != NULL; o = o->next)
			o->counted = o->online = 0;
	pthread_mutex_unlock(&d->lock);
}

/* What has ended and no merge has counted is the day's before, and so in no sum any more: coordinators
 * know it at once, their rows by one transaction. A crash before that, or a failure, has these lines
 * counted for the new day once the journal is read again. */
static bool day_begin(struct day_tokens *d, struct store *store, struct batch_table *table,
		      int64_t day, bool forget, struct error *err)
{
	struct count_list settled = { 0 };

	(void)day_tokens_hold(d);
	bool ok = online_flush(d, store, err);
	batch_table_each(table, on_settle, &settled);
	orgs_clear(d);
	d->day = day;
	day_tokens_release(d);
	if (ok)
		failpoint("day.before_begin");
	ok = ok && (!settled.failed || fail_memory(err)) &&
	     store_day_begin(store, day, forget, settled.of, settled.n, err);
	free(settled.of);
	return ok;
}

/* ---- the look ---- */

static void found_add(struct day_tokens *d, const char *org, uint64_t tokens, int64_t own,
		      bool *failed)
{
	pthread_mutex_lock(&d->lock);
	struct day_org *o = day_tokens_entry(d, org);
	if (o != NULL) {
		o->found += tokens;
		if (own != LIMIT_AS_CONFIGURED)
			o->found_own = own;
	}
	pthread_mutex_unlock(&d->lock);
	*failed = *failed || o == NULL;
}

struct day_sum {
	struct day_tokens *d;
	const char *org; /* NULL: all */
	uint64_t tokens; /* of that organization */
	bool failed;
};

static void on_uncounted(void *ctx, struct coordinator *c)
{
	struct day_sum *sum = ctx;
	char org[ID_SIZE];
	uint64_t tokens = coordinator_tokens_uncounted(c, org);

	if (tokens == 0)
		return;
	if (sum->org == NULL)
		found_add(sum->d, org, tokens, LIMIT_AS_CONFIGURED, &sum->failed);
	else if (strcmp(sum->org, org) == 0)
		sum->tokens += tokens;
}

/* `keep`: as found; else it is forgotten. */
static void found_keep(struct day_tokens *d, bool keep)
{
	pthread_mutex_lock(&d->lock);
	for (unsigned i = 0; i < DAY_BUCKETS; i++) {
		for (struct day_org *o = d->orgs[i]; o != NULL; o = o->next) {
			if (keep) {
				o->counted = o->found;
				o->own = o->found_own;
			}
			o->found = 0;
			o->found_own = LIMIT_AS_CONFIGURED;
		}
	}
	pthread_mutex_unlock(&d->lock);
}

/* Under `counting`. */
static bool find_all(struct day_tokens *d, struct store *store, struct batch_table *table,
		     struct error *err)
{
	AUTO(auto_free) struct org_day *rows = NULL;
	struct day_sum sum = { .d = d };
	size_t n;

	if (!store_day_list(store, d->day, d->configured > 0, &d->limited, &rows, &n, err))
		return false;
	for (size_t i = 0; i < n; i++)
		found_add(d, rows[i].org, rows[i].tokens, rows[i].own, &sum.failed);
	if (d->limited)
		batch_table_each(table, on_uncounted, &sum);
	found_keep(d, !sum.failed);
	return !sum.failed || fail_memory(err);
}

static void on_tell(void *ctx, struct coordinator *c)
{
	coordinator_day(c, ctx);
}

bool day_look(struct day_tokens *d, struct store *store, struct batch_table *table, bool forget,
	      bool limits_changed, struct error *err)
{
	int64_t today = day_tokens_day(sys.now_s());
	uint64_t now_ms = sys.monotonic_ms();
	bool was_limited = d->limited;
	bool reads = limits_changed || d->limited || today != d->day;

	if (today != d->day && !day_begin(d, store, table, today, forget, err))
		return false;
	(void)day_tokens_hold(d);
	bool ok = now_ms < d->next_flush_ms || online_flush(d, store, err);
	if (now_ms >= d->next_flush_ms)
		d->next_flush_ms = now_ms + FLUSH_MS;
	ok = ok && (!reads || find_all(d, store, table, err));
	day_tokens_release(d);
	if (ok && (d->limited || was_limited))
		batch_table_each(table, on_tell, d);
	return ok;
}

bool day_count(struct day_tokens *d, struct store *store, struct batch_table *table,
	       const char *org, uint64_t *ret, struct error *err)
{
	struct day_sum sum = { .d = d, .org = org };

	int64_t day = day_tokens_hold(d);
	bool ok = store_day_get(store, org, day, ret, err);
	if (ok)
		batch_table_each(table, on_uncounted, &sum);
	uint64_t online = day_tokens_online(d, org);
	day_tokens_release(d);
	*ret += sum.tokens + online;
	return ok;
}
