/* events.c: the routes, the thread, and what other threads hand it. */
#include "api/events.h"

#include <stdlib.h>

#include "api/events_impl.h"
#include "api/health.h"
#include "api/number.h"
#include "base/clock.h"
#include "base/worker.h"

#define WAIT_S_MOST 60
#define CHANGES_MAX 4096u /* that wait for the thread; beyond it reads the store */
#define NUMBERED_MAX ((int64_t)1 << 53)

/* ---- what the thread is handed ---- */

static bool on_wanted(void *ctx)
{
	const struct events *e = ctx;

	return e->listeners > 0;
}

/* With the store's turn. */
static void on_moved(void *ctx, struct batch *row)
{
	struct events *e = ctx;
	struct change *c = row != NULL ? calloc(1, sizeof(*c)) : NULL;

	pthread_mutex_lock(&e->lock);
	if (c != NULL && e->change_count < CHANGES_MAX) {
		c->row = *row;
		*e->changes_end = c;
		e->changes_end = &c->next;
		e->change_count++;
		row = NULL;
		c = NULL;
	} else {
		e->missed = true;
	}
	pthread_cond_signal(&e->asked);
	pthread_mutex_unlock(&e->lock);
	free(c);
	if (row != NULL)
		batch_done(row);
}

void events_tell(struct events *e, struct event_listener *l, bool closed)
{
	pthread_mutex_lock(&e->lock);
	l->has_room = true;
	l->closed = l->closed || closed;
	if (!l->told) {
		l->told = true;
		l->next_told = e->told;
		e->told = l;
		pthread_cond_signal(&e->asked);
	}
	pthread_mutex_unlock(&e->lock);
}

/* Counted first: from here on changes are told, so what the thread then reads in the store misses
 * none. */
static void events_add(struct events *e, struct event_listener *l)
{
	e->listeners++;
	pthread_mutex_lock(&e->lock);
	l->next = e->added;
	e->added = l;
	pthread_cond_signal(&e->asked);
	pthread_mutex_unlock(&e->lock);
}

void events_drain(struct events *e)
{
	pthread_mutex_lock(&e->lock);
	e->draining = true;
	pthread_cond_signal(&e->asked);
	pthread_mutex_unlock(&e->lock);
}

/* ---- the thread ---- */

static bool has_news(const struct events *e)
{
	return e->stopping || e->missed || e->changes != NULL || e->added != NULL ||
	       e->told != NULL || (e->draining && !e->drained);
}

/* With the lock. */
static void news_await(struct events *e, uint64_t due_ms)
{
	struct timespec due = clock_at_ms(due_ms);

	while (!has_news(e)) {
		if (due_ms == UINT64_MAX)
			pthread_cond_wait(&e->asked, &e->lock);
		else if (pthread_cond_timedwait(&e->asked, &e->lock, &due) != 0)
			return;
	}
}

/* With the lock. */
static struct events_news news_take(struct events *e)
{
	struct events_news news = { .missed = e->missed, .draining = e->draining };

	news.changes = TAKE(e->changes);
	news.added = TAKE(e->added);
	news.told = TAKE(e->told);
	e->changes_end = &e->changes;
	e->change_count = 0;
	e->missed = false;
	return news;
}

static void *events_main(void *arg)
{
	struct events *e = arg;
	bool stopping = false;

	while (!stopping) {
		pthread_mutex_lock(&e->lock);
		news_await(e, events_due_ms(e));
		stopping = e->stopping;
		struct events_news news = news_take(e);
		pthread_mutex_unlock(&e->lock);
		events_turn(e, &news);
	}
	return NULL;
}

/* ---- open, close ---- */

bool events_open(struct api *api, struct events **ret, struct error *err)
{
	struct events *e = calloc(1, sizeof(*e));

	if (e == NULL)
		return fail_memory(err);
	e->api = api;
	e->changes_end = &e->changes;
	pthread_mutex_init(&e->lock, NULL);
	clock_cond_init(&e->asked);
	e->started = thread_start(&e->thread, "events", events_main, e, err);
	if (!e->started) {
		events_close(e);
		return false;
	}
	const struct batch_watch watch = { on_wanted, on_moved, e };
	store_watch(api->store, &watch);
	*ret = e;
	return true;
}

void events_close(struct events *e)
{
	if (e == NULL)
		return;
	if (e->started) {
		store_watch(e->api->store, NULL);
		pthread_mutex_lock(&e->lock);
		e->stopping = true;
		pthread_cond_signal(&e->asked);
		pthread_mutex_unlock(&e->lock);
		pthread_join(e->thread, NULL);
	}
	pthread_cond_destroy(&e->asked);
	pthread_mutex_destroy(&e->lock);
	free(e);
}

/* ---- the routes ---- */

static bool is_head(const struct request *rq)
{
	return strcmp(http_method(rq->http), "HEAD") == 0;
}

static bool listen_for(struct request *rq, struct event_listener *l, struct error *err)
{
	l->tell = events_tell;
	if (!listener_begin(l, rq, err)) {
		listener_free(l);
		return false;
	}
	events_add(rq->api->events, l);
	return true;
}

/* A HEAD tells what a GET would be. */
static bool head_answer(struct http_response *r)
{
	r->content_type = "text/event-stream; charset=utf-8";
	return true;
}

bool events_batch(struct request *rq, struct http_response *r, struct error *err)
{
	AUTO(batch_done) struct batch b = { 0 };
	struct event_listener *l;

	if (!store_batch_get(rq->api->store, rq->key.org, rq->object_id, &b, err))
		return false;
	if (is_head(rq))
		return head_answer(r);
	if (!health_takes_work(rq, err) ||
	    !listener_new(rq, rq->api->events, LISTENER_BATCH, r, &l, err))
		return false;
	memcpy(l->batch, b.id, sizeof(l->batch));
	return listen_for(rq, l, err);
}

/* Browsers send what they were given; what was never given is refused. */
static bool read_last_id(struct request *rq, int64_t *ret, struct error *err)
{
	const char *given = http_request_header(rq->http, "Last-Event-ID");

	*ret = -1;
	return given == NULL || given[0] == '\0' ||
	       number_read("Last-Event-ID", slice_of(given), 0, NUMBERED_MAX, ret, err);
}

bool events_org(struct request *rq, struct http_response *r, struct error *err)
{
	struct event_listener *l;
	int64_t after;

	if (!read_last_id(rq, &after, err))
		return false;
	if (is_head(rq))
		return head_answer(r);
	if (!health_takes_work(rq, err) ||
	    !listener_new(rq, rq->api->events, LISTENER_ORG, r, &l, err))
		return false;
	l->after = after;
	return listen_for(rq, l, err);
}

bool events_wait(struct request *rq, const struct batch *b, bool *ret_waits,
		 struct http_response *r, struct error *err)
{
	const char *given = http_query(rq->http, "wait");
	struct event_listener *l;
	int64_t wait_s;

	*ret_waits = false;
	if (given == NULL)
		return true;
	if (!number_read("wait", slice_of(given), 0, WAIT_S_MOST, &wait_s, err))
		return false;
	if (wait_s == 0 || batch_is_final(b->status) || is_head(rq) ||
	    atomic_load(&rq->api->draining))
		return true;
	if (!listener_new(rq, rq->api->events, LISTENER_WAIT, r, &l, err))
		return false;
	memcpy(l->batch, b->id, sizeof(l->batch));
	l->since = b->status;
	l->due_ms = clock_ms() + (uint64_t)wait_s * 1000;
	*ret_waits = true;
	return listen_for(rq, l, err);
}
