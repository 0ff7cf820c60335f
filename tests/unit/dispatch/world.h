/* world.h: a dispatch on the fake client, turned by hand in the test's own thread, and batches of
 * lines. What the upstreams answer is the script's: the test's own, or that of servers.h. */
#pragma once

#include "unit.h"

#include <pthread.h>
#include <stdatomic.h>

#include "client_fake.h"
#include "dispatch/dispatch_impl.h"
#include "dispatch/flow.h"
#include "dispatch/lane.h"
#include "dispatch/loop.h"
#include "dispatch/model.h"
#include "dispatch/target.h"
#include "dispatch/view.h"

#define WORLD_LINES_MAX 2048u
#define WORLD_BATCHES_MAX 4u

struct world;

struct world_batch {
	struct world *world;
	struct flow *flow;
	char id[16];
	const char *model;
	unsigned lines, lent;
	bool dropped;
	unsigned faults, spent;
	const char *body; /* of its lines; NULL: {"model":"m","batch":0,"line":3} */
	int unreadable;   /* errno with which reading a line fails; 0: it does not */
	/* how they ended, by record */
	unsigned ended;
	struct outcome *outcomes[WORLD_LINES_MAX];
};

struct world {
	struct dispatch *dispatch;
	struct client *client;
	unsigned batch_count;
	struct world_batch batches[WORLD_BATCHES_MAX];
	unsigned ended;             /* of all batches */
	bool disk_full;             /* outcomes become durable at world_record() alone */
	bool forgets;               /* an answer's bytes are freed once it is durable */
	struct outcome *unstored;   /* those meanwhile */
	enum outcome_gather gather; /* as dispatch said last */
	unsigned online_told, online_tells;
};

/* ---- what dispatch asks ---- */

static bool world_segment_next(void *owner, struct segment_cursor *ret)
{
	struct world_batch *b = owner;

	unsigned lines = b->lines - b->lent < SEGMENT_LINES ? b->lines - b->lent : SEGMENT_LINES;

	if (lines == 0)
		return false;
	*ret = (struct segment_cursor){ .segment = b->lent / SEGMENT_LINES,
					.first = b->lent,
					.lines = lines };
	b->lent += lines;
	return true;
}

static bool world_look(void *owner, uint64_t record, struct line_look *ret)
{
	(void)owner;
	(void)record;
	*ret = (struct line_look){ .body_bytes = 100 };
	return true;
}

static bool world_line_read(void *owner, uint64_t record, struct buf *to, struct request_line *ret,
			    struct error *err)
{
	const struct world_batch *b = owner;

	if (b->unreadable != 0) {
		(void)fail(err, ERR_INTERNAL, "it cannot be read");
		err->sys = b->unreadable;
		return false;
	}
	buf_printf(to, "%u ", (unsigned)record);
	if (b->body != NULL)
		buf_text(to, b->body);
	else
		buf_printf(to, "{\"model\":\"%s\",\"batch\":%u,\"line\":%u}", b->model,
			   (unsigned)(b - b->world->batches), (unsigned)record);
	size_t space = strcspn(to->p, " ");
	ret->custom_id = (struct slice){ to->p, space };
	ret->body = (struct slice){ to->p + space + 1, to->n - space - 1 };
	return true;
}

static void world_durable(struct world *w, struct outcome *o)
{
	if (w->forgets)
		buf_free(&o->body);
	flow_recorded(o);
}

static void world_ended(void *ctx, struct outcome *o)
{
	struct world *w = ctx;
	struct world_batch *b = o->owner;

	assert_true(o->record < b->lines);
	assert_null(b->outcomes[o->record]);
	b->outcomes[o->record] = o;
	b->ended++;
	w->ended++;
	if (!w->disk_full) {
		world_durable(w, o);
		return;
	}
	o->next = w->unstored;
	w->unstored = o;
}

/* The disk has room again. */
static inline void world_record(struct world *w)
{
	w->disk_full = false;
	while (w->unstored != NULL) {
		struct outcome *o = w->unstored;

		w->unstored = o->next;
		o->next = NULL;
		world_durable(w, o);
	}
}

static void world_dropped(void *owner)
{
	((struct world_batch *)owner)->dropped = true;
}

static void world_spent(void *owner)
{
	((struct world_batch *)owner)->spent++;
}

static void world_fault(void *owner, const struct error *err)
{
	struct world_batch *b = owner;

	if (b->unreadable == 0)
		fail_msg("a fault: %s", err->message);
	b->faults++;
}

static void world_gather(void *ctx, enum outcome_gather how)
{
	((struct world *)ctx)->gather = how;
}

static void world_online(void *ctx, const char *upstream, unsigned units)
{
	struct world *w = ctx;

	assert_non_null(upstream);
	w->online_told = units;
	w->online_tells++;
}

/* ---- opening ---- */

/* For scripts. */
static inline bool url_ends(const char *url, const char *end)
{
	size_t n = strlen(url), m = strlen(end);

	return n >= m && strcmp(url + n - m, end) == 0;
}

#define WORLD_CONFIG                                         \
	((struct dispatch_config){ .max_attempts = 2,        \
				   .patience_ms = 600000,    \
				   .line_timeout_ms = 30000, \
				   .response_bytes_max = 1u << 20 })

/* `config`: without its client. */
static inline void world_open_with(struct world *w, fake_script script, void *ctx,
				   struct dispatch_config config,
				   const struct upstream_config *list, size_t n)
{
	static const struct dispatch_ops ops = {
		.segment_next = world_segment_next,
		.look = world_look,
		.line_read = world_line_read,
		.ended = world_ended,
		.dropped = world_dropped,
		.spent = world_spent,
		.fault = world_fault,
		.gather = world_gather,
		.online = world_online,
	};
	struct error err;

	*w = (struct world){ .client = client_fake_open(script, ctx) };
	config.client = w->client;
	assert_true(dispatch_new(&config, list, n, &ops, w, &w->dispatch, &err));
}

/* With one upstream. */
static inline void world_open(struct world *w, fake_script script, void *ctx)
{
	static char name[] = "up", url[] = "http://up.test/v1", key[] = "sk-up";
	const struct upstream_config upstream = {
		.name = name,
		.base_url = url,
		.api_key = key,
		.weight = 1,
		.concurrency = 4,
		.max_concurrency = 8,
		.metrics = GAUGES_AUTO,
	};

	world_open_with(w, script, ctx, WORLD_CONFIG, &upstream, 1);
}

/* ---- batches ---- */

/* `more`: what of it is other than usual. */
static inline struct world_batch *world_batch_as(struct world *w, const char *model, unsigned lines,
						 int64_t expires_at, const struct flow_config *more)
{
	struct world_batch *b = &w->batches[w->batch_count];
	struct error err;

	assert_true(w->batch_count < WORLD_BATCHES_MAX && lines <= WORLD_LINES_MAX);
	*b = (struct world_batch){ .world = w, .model = model, .lines = lines };
	snprintf(b->id, sizeof(b->id), "batch_%u", w->batch_count++);
	const struct flow_config config = {
		.owner = b,
		.id = b->id,
		.endpoint = "/v1/chat/completions",
		.model = model,
		.org = "org_1",
		.org_weight = 1,
		.expires_at = expires_at,
		.rest_lines = lines,
		.rest_bytes = 100ull * lines,
		.max_attempts = more->max_attempts,
		.line_timeout_ms = more->line_timeout_ms,
		.spending = more->spending,
	};
	assert_true(flow_new(w->dispatch, &b->flow, &err));
	flow_open(b->flow, &config);
	return b;
}

static inline struct world_batch *world_batch_until(struct world *w, const char *model,
						    unsigned lines, int64_t expires_at)
{
	return world_batch_as(w, model, lines, expires_at, &(struct flow_config){ 0 });
}

static inline struct world_batch *world_batch_of(struct world *w, const char *model, unsigned lines)
{
	return world_batch_until(w, model, lines, sys.now_s() + 86400);
}

static inline struct world_batch *world_batch(struct world *w, unsigned lines)
{
	return world_batch_of(w, "m", lines);
}

/* ---- turns of the loop ---- */

/* For so long by the fake's clock; what is due at its end is done. */
static inline void world_run(struct world *w, uint64_t ms)
{
	uint64_t until = client_fake_now_ms() + ms;

	client_fake_until(w->client, until);
	while (client_fake_now_ms() < until)
		dispatch_turn(w->dispatch);
	dispatch_turn(w->dispatch);
	client_fake_until(w->client, FAKE_NEVER);
}

static inline void world_drop(struct world *w, struct world_batch *b)
{
	flow_drop(b->flow);
	for (int i = 0; i < 10 && !b->dropped; i++)
		dispatch_turn(w->dispatch);
	assert_true(b->dropped);
}

/* ---- calls that wait for dispatch: another thread makes them, while this one turns its loop
 * ---- */

struct world_call {
	struct world *world;
	const struct upstream_config *list; /* NULL: a view */
	size_t n;
	struct scheduling_view *view;
	struct error err;
	bool ok;
	_Atomic bool done;
};

static void *world_caller(void *arg)
{
	struct world_call *c = arg;

	if (c->list != NULL)
		c->ok = dispatch_upstreams(c->world->dispatch, c->list, c->n, &c->err);
	else
		c->ok = dispatch_view(c->world->dispatch, &(struct view_asked){ .decisions = true },
				      c->view, &c->err);
	c->done = true;
	return NULL;
}

/* The clock stands meanwhile. */
static inline bool world_call(struct world_call *c)
{
	struct client *client = c->world->client;
	pthread_t thread;

	client_fake_until(client, client_fake_now_ms());
	assert_int_equal(pthread_create(&thread, NULL, world_caller, c), 0);
	while (!c->done) {
		dispatch_turn(c->world->dispatch);
		sched_yield();
	}
	pthread_join(thread, NULL);
	client_fake_until(client, FAKE_NEVER);
	return c->ok;
}

static inline void world_upstreams(struct world *w, const struct upstream_config *list, size_t n)
{
	assert_true(world_call(&(struct world_call){ .world = w, .list = list, .n = n }));
}

/* scheduling_view_done() is the caller's. */
static inline void world_view(struct world *w, struct scheduling_view *ret)
{
	assert_true(world_call(&(struct world_call){ .world = w, .view = ret }));
}

/* ---- the end ---- */

static inline void world_close(struct world *w)
{
	world_record(w);
	for (unsigned i = 0; i < w->batch_count; i++) {
		if (!w->batches[i].dropped)
			world_drop(w, &w->batches[i]);
		flow_free(w->batches[i].flow);
	}
	dispatch_close(w->dispatch);
	for (unsigned i = 0; i < w->batch_count; i++)
		for (unsigned n = 0; n < w->batches[i].lines; n++)
			outcome_free(w->batches[i].outcomes[n]);
}
