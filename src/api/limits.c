/* limits.c: a small table of organizations; one that has nothing under way has no entry. */
#include "api/limits.h"

#include <assert.h>
#include <string.h>

#include "api/request.h"
#include "base/sys.h"

#define UPLOADS_RETRY_S 2
#define ONLINE_RETRY_S 1
#define LISTENERS_RETRY_S 5

struct org_under_way {
	struct org_under_way *next;
	char org[ID_SIZE];
	uint64_t uploads, parts, online, listeners;
	struct file_use reserved;
};

void limits_open(struct limits *l)
{
	pthread_mutex_init(&l->lock, NULL);
}

void limits_close(struct limits *l)
{
	pthread_mutex_destroy(&l->lock);
}

uint64_t limit_of(const struct request *rq, enum org_limit limit)
{
	int64_t own = rq->key.limits[limit];

	return own == LIMIT_AS_CONFIGURED ? rq->api->config.org_limits[limit] : (uint64_t)own;
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

	if (entry->uploads > 0 || entry->parts > 0 || entry->online > 0 || entry->listeners > 0)
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
	const struct kind kind = { offsetof(struct org_under_way, uploads), LIMIT_UPLOADS,
				   "uploads", UPLOADS_RETRY_S, rq->key.uploads };

	return begin(rq, &kind, r, err);
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
