/* bucket_cache.c: windows of objects that were read, the same few for all readers: so memory does not
 * grow with readers. Who reads a window that comes waits for it, unless in a hurry. A window that is read ahead comes in
 * a thread of the cache's. */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/sys.h"
#include "base/worker.h"
#include "blob/bucket_impl.h"

#define WINDOWS 64u
#define AHEAD_MOST 8u /* windows that are read ahead at once */
#define AHEAD_THREADS 4u

enum window_state {
	WINDOW_EMPTY,
	WINDOW_COMES,
	WINDOW_READY,
	WINDOW_FAULT, /* it was read ahead, and could not be: `fault` says why */
};

struct window {
	enum window_state state;
	unsigned readers; /* who copy out of it: it stays */
	uint64_t used;    /* turn of its last use */
	char key[BUCKET_KEY_SIZE], etag[S3_ETAG_SIZE];
	uint64_t at;
	size_t n;
	struct error fault;
	char *bytes;      /* BUCKET_WINDOW_BYTES; NULL: not needed yet */
	struct work work; /* that reads it ahead */
	struct bucket_cache *cache;
};

struct bucket_cache {
	struct s3 *s3;
	struct workers *ahead;
	pthread_mutex_t lock; /* for all below */
	pthread_cond_t changed;
	uint64_t turn;
	unsigned ahead_n;
	struct log_storm storm; /* has its own */
	struct work probe;
	bool probes; /* it is posted */
	struct window windows[WINDOWS];
};

bool bucket_cache_open(struct s3 *s3, struct bucket_cache **ret, struct error *err)
{
	struct bucket_cache *c = calloc(1, sizeof(*c));

	if (c == NULL)
		return fail_memory(err);
	if (!workers_open("blob-ahead", AHEAD_THREADS, &c->ahead, err)) {
		free(c);
		return false;
	}
	c->s3 = s3;
	pthread_mutex_init(&c->lock, NULL);
	pthread_cond_init(&c->changed, NULL);
	for (unsigned i = 0; i < WINDOWS; i++)
		c->windows[i].cache = c;
	*ret = c;
	return true;
}

void bucket_cache_close(struct bucket_cache *c)
{
	if (c == NULL)
		return;
	workers_close(c->ahead);
	for (unsigned i = 0; i < WINDOWS; i++)
		free(c->windows[i].bytes);
	pthread_cond_destroy(&c->changed);
	pthread_mutex_destroy(&c->lock);
	free(c);
}

/* ---- under the lock ---- */

static struct window *window_find(struct bucket_cache *c, const struct bucket_source *o,
				  uint64_t at)
{
	for (unsigned i = 0; i < WINDOWS; i++) {
		struct window *w = &c->windows[i];
		if (w->state != WINDOW_EMPTY && w->at == at && strcmp(w->key, o->key) == 0 &&
		    strcmp(w->etag, o->etag) == 0)
			return w;
	}
	return NULL;
}

/* The one that nobody needs and that was used longest ago; NULL: all are needed. */
static struct window *window_free(struct bucket_cache *c)
{
	struct window *oldest = NULL;

	for (unsigned i = 0; i < WINDOWS; i++) {
		struct window *w = &c->windows[i];
		if (w->state == WINDOW_EMPTY)
			return w;
		if (w->state != WINDOW_COMES && w->readers == 0 &&
		    (oldest == NULL || w->used < oldest->used))
			oldest = w;
	}
	return oldest;
}

static void window_begin(struct bucket_cache *c, struct window *w, const struct bucket_source *o,
			 uint64_t at)
{
	uint64_t left = o->bytes - at;

	w->state = WINDOW_COMES;
	w->used = ++c->turn;
	w->at = at;
	w->n = left < BUCKET_WINDOW_BYTES ? (size_t)left : BUCKET_WINDOW_BYTES;
	snprintf(w->key, sizeof(w->key), "%s", o->key);
	snprintf(w->etag, sizeof(w->etag), "%s", o->etag);
}

/* ---- without it ---- */

static bool window_read(struct bucket_cache *c, struct window *w, struct error *err)
{
	if (w->bytes == NULL && (w->bytes = malloc(BUCKET_WINDOW_BYTES)) == NULL)
		return fail_memory(err);
	return s3_read(c->s3, w->key, w->etag, w->at, w->bytes, w->n, err);
}

static void window_end(struct bucket_cache *c, struct window *w, enum window_state state)
{
	pthread_mutex_lock(&c->lock);
	w->state = state;
	pthread_cond_broadcast(&c->changed);
	pthread_mutex_unlock(&c->lock);
}

static bool window_load(struct bucket_cache *c, struct window *w, struct error *err)
{
	bool ok = window_read(c, w, err);

	window_end(c, w, ok ? WINDOW_READY : WINDOW_EMPTY);
	return ok;
}

/* Lines that wait for those bytes say nothing. */
static void ahead_failed(struct bucket_cache *c, const struct error *why)
{
	uint64_t held;

	if (log_storm_pass(&c->storm, sys.monotonic_ms(), &held))
		log_write_error(LOG_WARN, "blob.unreadable", why, LOG_FIELDS(kv_u64("more", held)));
}

static void ahead_run(void *arg)
{
	struct window *w = arg;
	struct bucket_cache *c = w->cache;

	if (window_read(c, w, &w->fault)) {
		window_end(c, w, WINDOW_READY);
	} else {
		ahead_failed(c, &w->fault);
		/* what may pass is tried again by who needs it */
		window_end(c, w, error_may_pass(&w->fault) ? WINDOW_EMPTY : WINDOW_FAULT);
	}
	pthread_mutex_lock(&c->lock);
	c->ahead_n--;
	pthread_mutex_unlock(&c->lock);
}

void bucket_cache_ahead(struct bucket_cache *c, const struct bucket_source *o, uint64_t at)
{
	at -= at % BUCKET_WINDOW_BYTES;
	pthread_mutex_lock(&c->lock);
	struct window *w = c->ahead_n < AHEAD_MOST && window_find(c, o, at) == NULL ? window_free(c)
										    : NULL;
	if (w != NULL) {
		window_begin(c, w, o, at);
		c->ahead_n++;
	}
	pthread_mutex_unlock(&c->lock);
	if (w != NULL)
		workers_post(c->ahead, &w->work, ahead_run, w);
}

static bool fault_take(struct window *w, struct error *err)
{
	*err = w->fault;
	w->state = WINDOW_EMPTY;
	return false;
}

/* Holds the window if it is there. False with EAGAIN: it comes. */
static bool window_hold_now(struct bucket_cache *c, const struct bucket_source *o, uint64_t at,
			    struct window **ret, struct error *err)
{
	bool ok = true;

	pthread_mutex_lock(&c->lock);
	struct window *w = *ret = window_find(c, o, at);
	if (w != NULL && w->state == WINDOW_READY) {
		w->readers++;
		w->used = ++c->turn;
	} else if (w != NULL && w->state == WINDOW_FAULT) {
		ok = fault_take(w, err);
	} else {
		ok = fail_sys(err, EAGAIN, "reading %s, which is not here yet", o->key);
	}
	pthread_mutex_unlock(&c->lock);
	if (w == NULL)
		bucket_cache_ahead(c, o, at);
	return ok;
}

static void probe_run(void *arg)
{
	struct bucket_cache *c = arg;
	struct error err;

	(void)!s3_check(c->s3, &err); /* s3_standing() has the result */
	pthread_mutex_lock(&c->lock);
	c->probes = false;
	pthread_mutex_unlock(&c->lock);
}

static void probe(struct bucket_cache *c)
{
	pthread_mutex_lock(&c->lock);
	bool begins = !c->probes;
	c->probes = true;
	pthread_mutex_unlock(&c->lock);
	if (begins)
		workers_post(c->ahead, &c->probe, probe_run, c);
}

const char *bucket_cache_trouble(struct bucket_cache *c)
{
	static const char *const troubles[] = {
		[S3_ANSWERS] = NULL,
		[S3_DOUBTED] = NULL,
		[S3_AWAY] = "The server cannot reach its object storage now. Try again later.",
		[S3_REFUSES] = "The object storage refuses the credentials of this server.",
		[S3_NO_BUCKET] = "The bucket of this server is not in its object storage.",
	};
	enum s3_standing standing = s3_standing(c->s3);

	if (standing != S3_ANSWERS)
		probe(c);
	return troubles[standing];
}

/* The window at `at`, held for the caller; one that comes is waited for. */
static bool window_hold(struct bucket_cache *c, const struct bucket_source *o, uint64_t at,
			struct window **ret, struct error *err)
{
	bool ok = true;

	pthread_mutex_lock(&c->lock);
	for (*ret = NULL; ok && *ret == NULL;) {
		struct window *w = window_find(c, o, at);
		if (w != NULL && w->state == WINDOW_READY) {
			w->readers++;
			w->used = ++c->turn;
			*ret = w;
		} else if (w != NULL && w->state == WINDOW_FAULT) {
			ok = fault_take(w, err);
		} else if (w != NULL || (w = window_free(c)) == NULL) {
			pthread_cond_wait(&c->changed, &c->lock);
		} else {
			window_begin(c, w, o, at);
			pthread_mutex_unlock(&c->lock);
			ok = window_load(c, w, err);
			pthread_mutex_lock(&c->lock);
		}
	}
	pthread_mutex_unlock(&c->lock);
	return ok;
}

bool bucket_cache_read(struct bucket_cache *c, const struct bucket_source *o, uint64_t at, void *to,
		       size_t n, size_t *ret_n, struct error *err)
{
	uint64_t begin = at - at % BUCKET_WINDOW_BYTES;
	struct window *w;

	*ret_n = 0;
	bool held = blob_in_hurry() ? window_hold_now(c, o, begin, &w, err)
				    : window_hold(c, o, begin, &w, err);
	if (!held)
		return false;
	size_t skip = (size_t)(at - begin);
	*ret_n = n < w->n - skip ? n : w->n - skip;
	memcpy(to, w->bytes + skip, *ret_n);
	pthread_mutex_lock(&c->lock);
	if (--w->readers == 0)
		pthread_cond_broadcast(&c->changed);
	pthread_mutex_unlock(&c->lock);
	return true;
}
