/* day_tokens.c: see day_tokens.h. */
#include "pipeline/day_tokens.h"

#include <stdlib.h>
#include <string.h>

#include "base/sys.h"
#include "store/store.h"

#define DAY_S 86400

void day_tokens_init(struct day_tokens *d, uint64_t configured)
{
	*d = (struct day_tokens){ .day = sys.now_s() / DAY_S, .configured = configured };
	pthread_mutex_init(&d->counting, NULL);
	pthread_mutex_init(&d->lock, NULL);
}

void day_tokens_done(struct day_tokens *d)
{
	for (unsigned i = 0; i < DAY_BUCKETS; i++) {
		for (struct day_org *o; (o = d->orgs[i]) != NULL;) {
			d->orgs[i] = o->next;
			free(o);
		}
	}
	pthread_mutex_destroy(&d->counting);
	pthread_mutex_destroy(&d->lock);
}

int64_t day_tokens_day(int64_t now_s)
{
	return now_s / DAY_S;
}

int64_t day_tokens_end(int64_t now_s)
{
	return (now_s / DAY_S + 1) * DAY_S;
}

int64_t day_tokens_hold(struct day_tokens *d)
{
	pthread_mutex_lock(&d->counting);
	return d->day;
}

void day_tokens_release(struct day_tokens *d)
{
	pthread_mutex_unlock(&d->counting);
}

/* ---- the table, under the lock ---- */

static struct day_org **place_of(struct day_tokens *d, const char *org)
{
	uint32_t h = 2166136261u;

	for (const char *p = org; *p != '\0'; p++)
		h = (h ^ (unsigned char)*p) * 16777619u;
	struct day_org **at = &d->orgs[h % DAY_BUCKETS];
	while (*at != NULL && strcmp((*at)->org, org) != 0)
		at = &(*at)->next;
	return at;
}

struct day_org *day_tokens_entry(struct day_tokens *d, const char *org)
{
	struct day_org **at = place_of(d, org);

	if (*at == NULL) {
		*at = calloc(1, sizeof(**at));
		if (*at != NULL) {
			memcpy((*at)->org, org, strnlen(org, sizeof((*at)->org) - 1));
			(*at)->own = (*at)->found_own = LIMIT_AS_CONFIGURED;
		}
	}
	return *at;
}

static uint64_t used_of(const struct day_org *o)
{
	return o != NULL ? o->counted + o->online : 0;
}

static uint64_t limit_of(const struct day_tokens *d, const struct day_org *o)
{
	return o != NULL && o->own != LIMIT_AS_CONFIGURED ? (uint64_t)o->own : d->configured;
}

void day_tokens_add(struct day_tokens *d, const char *org, uint64_t tokens)
{
	pthread_mutex_lock(&d->lock);
	struct day_org *o = tokens > 0 ? day_tokens_entry(d, org) : NULL;
	if (o != NULL)
		o->online += tokens;
	pthread_mutex_unlock(&d->lock);
}

uint64_t day_tokens_used(struct day_tokens *d, const char *org)
{
	pthread_mutex_lock(&d->lock);
	uint64_t used = used_of(*place_of(d, org));
	pthread_mutex_unlock(&d->lock);
	return used;
}

uint64_t day_tokens_online(struct day_tokens *d, const char *org)
{
	pthread_mutex_lock(&d->lock);
	const struct day_org *o = *place_of(d, org);
	uint64_t online = o != NULL ? o->online : 0;
	pthread_mutex_unlock(&d->lock);
	return online;
}

bool day_tokens_limits(struct day_tokens *d, const char *org)
{
	pthread_mutex_lock(&d->lock);
	bool limits = limit_of(d, *place_of(d, org)) > 0;
	pthread_mutex_unlock(&d->lock);
	return limits;
}

bool day_tokens_is_over(struct day_tokens *d, const char *org)
{
	pthread_mutex_lock(&d->lock);
	const struct day_org *o = *place_of(d, org);
	uint64_t limit = limit_of(d, o);
	bool over = limit > 0 && used_of(o) >= limit;
	pthread_mutex_unlock(&d->lock);
	return over;
}
