/* limits.c: a small table of organizations; one that has nothing under way, and whose calls are not
 * counted, has no entry. */
#include "api/limits.h"

#include <assert.h>
#include <string.h>

#include "api/request.h"
#include "base/duration.h"
#include "base/sys.h"
#include "pipeline/pipeline.h"

#define UPLOADS_RETRY_S 2
#define ONLINE_RETRY_S 1
#define LISTENERS_RETRY_S 5
#define MINUTE_NS UINT64_C(60000000000)
#define RETRY_S_MAX 60

struct org_under_way {
	struct org_under_way *next;
	char org[ID_SIZE];
	uint64_t uploads, parts, online, listeners;
	struct file_use reserved;
	uint64_t calls_ns; /* when none of its calls counts any more, by the monotonic clock */
};

void limits_open(struct limits *l)
{
	pthread_mutex_init(&l->lock, NULL);
}

void limits_close(struct limits *l)
{
	for (unsigned i = 0; i < LIMITS_BUCKETS; i++) {
		for (struct org_under_way *entry; (entry = l->orgs[i]) != NULL;) {
			l->orgs[i] = entry->next;
			free(entry);
		}
	}
	pthread_mutex_destroy(&l->lock);
}

uint64_t limit_or_configured(const struct api *api, int64_t own, enum org_limit limit)
{
	return own == LIMIT_AS_CONFIGURED ? api->config.org_limits[limit] : (uint64_t)own;
}

uint64_t limit_of(const struct request *rq, enum org_limit limit)
{
	return limit_or_configured(rq->api, rq->key.limits[limit], limit);
}

/* Where the entry of `org` is linked, or would be. Under the lock. */
static struct org_under_way **place_of(struct limits *l, const char *org)
{
	uint32_t h = 2166136261u;

	for (const char *p = org; *p != '\0'; p++)
		h = (h ^ (unsigned char)*p) * 16777619u;
	struct org_under_way **at = &l->orgs[h % LIMITS_BUCKETS];
	while (*at != NULL && strcmp((*at)->org, org) != 0)
		at = &(*at)->next;
	return at;
}

/* NULL: no memory. */
static struct org_under_way *entry_of(struct limits *l, const char *org)
{
	struct org_under_way **at = place_of(l, org);

	if (*at == NULL) {
		*at = calloc(1, sizeof(**at));
		if (*at != NULL)
			memcpy((*at)->org, org, strnlen(org, sizeof((*at)->org) - 1));
	}
	return *at;
}

/* The entry of an organization that has something under way. */
static struct org_under_way *entry_known(struct limits *l, const char *org)
{
	struct org_under_way *entry = *place_of(l, org);

	assert(entry != NULL);
	return entry;
}

static void entry_drop(struct limits *l, const char *org)
{
	struct org_under_way **at = place_of(l, org), *entry = *at;

	if (entry->uploads > 0 || entry->parts > 0 || entry->online > 0 || entry->listeners > 0 ||
	    entry->calls_ns > 0)
		return;
	*at = entry->next;
	free(entry);
}

/* A kind that is counted: the member to count in, its limit, and its name. */
struct kind {
	size_t at;
	enum org_limit limit;
	const char *what;
	int retry_s;
	uint64_t elsewhere; /* so many are counted in the store */
};

static uint64_t *counter(struct org_under_way *entry, const struct kind *kind)
{
	return (uint64_t *)((char *)entry + kind->at);
}

static bool begin(struct request *rq, const struct kind *kind, struct http_response *r,
		  struct error *err)
{
	struct limits *l = &rq->api->limits;
	uint64_t max = limit_of(rq, kind->limit);

	pthread_mutex_lock(&l->lock);
	struct org_under_way *entry = entry_of(l, rq->key.org);
	bool no_memory = entry == NULL;
	bool room = !no_memory && (max == 0 || *counter(entry, kind) + kind->elsewhere < max);
	if (room)
		(*counter(entry, kind))++;
	else if (!no_memory)
		entry_drop(l, rq->key.org); /* it may be new */
	pthread_mutex_unlock(&l->lock);
	if (no_memory)
		return fail_memory(err);
	if (room)
		return true;
	http_header(r, "Retry-After", "%d", kind->retry_s);
	return fail(err, ERR_RATE_LIMIT,
		    "An organization may have %llu %s at once (limits.org.%s). Please try again "
		    "when some have ended.",
		    (unsigned long long)max, kind->what, org_limit_names[kind->limit]);
}

bool limits_upload_begin(struct request *rq, struct http_response *r, struct error *err)
{
	struct kind kind = { offsetof(struct org_under_way, uploads), LIMIT_UPLOADS, "uploads",
			     UPLOADS_RETRY_S, 0 };

	return store_uploads_pending(rq->api->store, rq->key.org, &kind.elsewhere, err) &&
	       begin(rq, &kind, r, err);
}

bool limits_part_begin(struct request *rq, struct http_response *r, struct error *err)
{
	const struct kind kind = { offsetof(struct org_under_way, parts), LIMIT_UPLOADS,
				   "parts of uploads", UPLOADS_RETRY_S, 0 };

	return begin(rq, &kind, r, err);
}

bool limits_online_begin(struct request *rq, struct http_response *r, struct error *err)
{
	const struct kind kind = { offsetof(struct org_under_way, online), LIMIT_ONLINE,
				   "online requests", ONLINE_RETRY_S, 0 };

	return begin(rq, &kind, r, err);
}

bool limits_listener_begin(struct request *rq, struct http_response *r, struct error *err)
{
	const struct kind kind = { offsetof(struct org_under_way, listeners), LIMIT_LISTENERS,
				   "calls that wait for events", LISTENERS_RETRY_S, 0 };

	return begin(rq, &kind, r, err);
}

void limits_upload_end(struct limits *l, const char *org, const struct file_use *reserved)
{
	pthread_mutex_lock(&l->lock);
	struct org_under_way *entry = entry_known(l, org);
	entry->uploads--;
	entry->reserved.files -= reserved->files;
	entry->reserved.bytes -= reserved->bytes;
	entry_drop(l, org);
	pthread_mutex_unlock(&l->lock);
}

void limits_part_end(struct limits *l, const char *org)
{
	pthread_mutex_lock(&l->lock);
	entry_known(l, org)->parts--;
	entry_drop(l, org);
	pthread_mutex_unlock(&l->lock);
}

void limits_online_end(struct limits *l, const char *org)
{
	pthread_mutex_lock(&l->lock);
	entry_known(l, org)->online--;
	entry_drop(l, org);
	pthread_mutex_unlock(&l->lock);
}

void limits_listener_end(struct limits *l, const char *org)
{
	pthread_mutex_lock(&l->lock);
	entry_known(l, org)->listeners--;
	entry_drop(l, org);
	pthread_mutex_unlock(&l->lock);
}

bool limits_reserve(struct limits *l, struct store *store, const struct file_quota *quota,
		    const char *org, const struct file_use *more, struct error *err)
{
	struct file_use use;

	if (quota->files_max == 0 && quota->bytes_max == 0)
		use = (struct file_use){ 0 };
	/* An upload that ends between the two reads is missed, or counted twice: the insert asks
	 * again. */
	else if (!store_file_use(store, org, sys.now_s(), &use, err))
		return false;
	pthread_mutex_lock(&l->lock);
	struct file_use *reserved = &entry_known(l, org)->reserved;
	use.files += reserved->files;
	use.bytes += reserved->bytes;
	bool room = file_quota_allows(quota, &use, more, err);
	if (room) {
		reserved->files += more->files;
		reserved->bytes += more->bytes;
	}
	pthread_mutex_unlock(&l->lock);
	return room;
}

/* ---- calls a minute ---- */

static uint64_t now_ns(void)
{
	return sys.monotonic_ms() * UINT64_C(1000000);
}

/* What is left at `now`, when the calls so far stop to count at `until`. */
static struct call_rate rate_at(uint64_t limit, uint64_t until, uint64_t now)
{
	uint64_t behind = until > now ? until - now : 0, each = MINUTE_NS / limit;

	if (each == 0)
		each = 1;
	return (struct call_rate){
		.limit = limit,
		.left = behind < MINUTE_NS ? (MINUTE_NS - behind) / each : 0,
		.full_ms = behind / 1000000,
	};
}

static bool fail_calls(const struct call_rate *rate, struct http_response *r, struct error *err)
{
	uint64_t each_ms = 60000 / rate->limit;
	uint64_t wait_ms = rate->full_ms + each_ms > 60000 ? rate->full_ms + each_ms - 60000 : 0;
	unsigned wait_s = (unsigned)(wait_ms / 1000) + 1;

	http_header(r, "Retry-After", "%u", wait_s < RETRY_S_MAX ? wait_s : RETRY_S_MAX);
	return fail(err, ERR_RATE_LIMIT,
		    "An organization may make %llu calls a minute (limits.org.calls_per_minute). "
		    "Please try again in %u s.",
		    (unsigned long long)rate->limit, wait_s);
}

bool limits_call(struct request *rq, struct http_response *r, struct error *err)
{
	struct limits *l = &rq->api->limits;
	uint64_t limit = limit_of(rq, LIMIT_CALLS_PER_MINUTE), now = now_ns();

	rq->rate = (struct call_rate){ 0 };
	if (limit == 0 || rq->key.is_operator)
		return true;
	pthread_mutex_lock(&l->lock);
	struct org_under_way *entry = entry_of(l, rq->key.org);
	bool room = false;
	if (entry != NULL) {
		rq->rate = rate_at(limit, entry->calls_ns, now);
		room = rq->rate.left > 0;
	}
	if (room) {
		uint64_t from = entry->calls_ns > now ? entry->calls_ns : now;
		entry->calls_ns = from + MINUTE_NS / limit;
		rq->rate = rate_at(limit, entry->calls_ns, now);
	}
	pthread_mutex_unlock(&l->lock);
	if (entry == NULL)
		return fail_memory(err);
	return room || fail_calls(&rq->rate, r, err);
}

bool limits_tokens(struct request *rq, struct http_response *r, struct error *err)
{
	uint64_t limit = limit_of(rq, LIMIT_TOKENS_PER_DAY);
	char until[TIME_TEXT_BYTES];

	if (limit == 0)
		return true;
	uint64_t used = pipeline_tokens_used(rq->api->pipeline, rq->key.org);
	int64_t reset = pipeline_tokens_reset(), wait_s = reset - sys.now_s();
	rq->rate.tokens_limit = limit;
	rq->rate.tokens_left = limit > used ? limit - used : 0;
	rq->rate.tokens_full_s = wait_s > 0 ? (uint64_t)wait_s : 1;
	if (rq->rate.tokens_left > 0)
		return true;
	http_header(r, "Retry-After", "%u",
		    rq->rate.tokens_full_s < RETRY_S_MAX ? (unsigned)rq->rate.tokens_full_s
							 : RETRY_S_MAX);
	time_format(reset, until);
	return fail(
		err, ERR_TOKEN_LIMIT,
		"An organization may take %llu tokens a day (limits.org.tokens_per_day). Please "
		"try again from %s on.",
		(unsigned long long)limit, until);
}

static void token_headers(const struct call_rate *rate, struct http_response *r)
{
	if (rate->tokens_limit == 0)
		return;
	http_header(r, "x-ratelimit-limit-tokens", "%llu", (unsigned long long)rate->tokens_limit);
	http_header(r, "x-ratelimit-remaining-tokens", "%llu",
		    (unsigned long long)rate->tokens_left);
	http_header(r, "x-ratelimit-reset-tokens", "%llus",
		    (unsigned long long)rate->tokens_full_s);
}

void rate_headers(const struct call_rate *rate, struct http_response *r)
{
	token_headers(rate, r);
	if (rate->limit == 0)
		return;
	http_header(r, "x-ratelimit-limit-requests", "%llu", (unsigned long long)rate->limit);
	http_header(r, "x-ratelimit-remaining-requests", "%llu", (unsigned long long)rate->left);
	http_header(r, "x-ratelimit-reset-requests", "%llu.%03llus",
		    (unsigned long long)rate->full_ms / 1000,
		    (unsigned long long)rate->full_ms % 1000);
}

void limits_look(struct limits *l, const char *org, uint64_t calls_max, struct limits_use *ret)
{
	*ret = (struct limits_use){ 0 };
	pthread_mutex_lock(&l->lock);
	const struct org_under_way *entry = *place_of(l, org);
	if (entry != NULL) {
		ret->uploads = entry->uploads;
		ret->online = entry->online;
		ret->listeners = entry->listeners;
		ret->reserved = entry->reserved;
	}
	if (calls_max > 0)
		ret->calls = rate_at(calls_max, entry != NULL ? entry->calls_ns : 0, now_ns());
	pthread_mutex_unlock(&l->lock);
}
