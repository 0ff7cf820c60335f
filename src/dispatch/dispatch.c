/* dispatch.c: see dispatch.h. One turn of the loop: wait for sockets, timers or mail; take
 * what has ended; fill what room there is, online requests first. */
#include "dispatch/dispatch.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/sys.h"
#include "base/worker.h"
#include "client/client.h"
#include "dispatch/dispatch_impl.h"
#include "dispatch/fill.h"
#include "dispatch/foresee.h"
#include "dispatch/gather.h"
#include "dispatch/lane.h"
#include "dispatch/loop.h"
#include "dispatch/online_impl.h"
#include "dispatch/serving.h"
#include "dispatch/stall.h"
#include "dispatch/target.h"
#include "dispatch/thread.h"
#include "dispatch/tick.h"
#include "dispatch/upstreams.h"
#include "dispatch/view_impl.h"

#define TICK_MS 1000u

/* ---- mail from other threads ---- */

/* Something that another thread wants done in this one, and waits for. */
struct dispatch_call {
	struct mail mail;
	bool (*run)(struct dispatch *d, void *arg, struct error *err);
	void *arg;
	struct error *err;
	bool ok, done;
};

static void call_mail(struct dispatch *d, struct mail *m, unsigned asked)
{
	struct dispatch_call *c = container_of(m, struct dispatch_call, mail);

	(void)asked;
	c->ok = c->run(d, c->arg, c->err);
	pthread_mutex_lock(&d->lock);
	c->done = true;
	pthread_cond_broadcast(&d->called);
	pthread_mutex_unlock(&d->lock);
}

/* Done in the dispatch thread. Once dispatch_stop() has begun it is too late to call: no answer
 * would come. */
static bool dispatch_call(struct dispatch *d,
			  bool (*run)(struct dispatch *d, void *arg, struct error *err), void *arg,
			  struct error *err)
{
	struct dispatch_call c = { .run = run, .arg = arg, .err = err };

	mail_post(&d->mailbox, &c.mail, call_mail, 1);
	pthread_mutex_lock(&d->lock);
	while (!c.done)
		pthread_cond_wait(&d->called, &d->lock);
	pthread_mutex_unlock(&d->lock);
	return c.ok;
}

/* ---- one of several nodes ---- */

static void driven_run(struct dispatch *d, struct mail *m, unsigned asked)
{
	(void)m;
	(void)asked;
	upstreams_driven(d);
	online_shared_apply(d);
	for (struct model *one = d->models; one != NULL; one = one->next)
		model_stall(one);
}

void dispatch_drives(struct dispatch *d, const char *upstream, bool drives)
{
	driven_set(&d->driven, upstream, drives);
	mail_post(&d->mailbox, &d->driven_mail, driven_run, 1);
}

static void heard_run(struct dispatch *d, struct mail *m, unsigned asked)
{
	(void)m;
	(void)asked;
	online_shared_apply(d);
}

void dispatch_online_heard(struct dispatch *d, uint64_t node, const char *upstream, unsigned units)
{
	heard_set(&d->heard, node, upstream, units);
	mail_post(&d->mailbox, &d->heard_mail, heard_run, 1);
}

void dispatch_deadline(struct dispatch *d, int64_t (*deadline_us)(void *ctx), void *ctx)
{
	driven_set_deadline(&d->driven, deadline_us, ctx);
	mail_post(&d->mailbox, &d->driven_mail, driven_run, 1);
}

struct idle_call {
	const char *upstream;
	bool idle;
};

static bool idle_call(struct dispatch *d, void *arg, struct error *err)
{
	struct idle_call *c = arg;

	(void)err;
	c->idle = true;
	for (const struct upstream *u = d->upstreams; u != NULL; u = u->next)
		if (strcmp(u->config.name, c->upstream) == 0 && slots_held(&u->slots) > 0)
			c->idle = false;
	return true;
}

bool dispatch_idle_upstream(struct dispatch *d, const char *upstream)
{
	struct idle_call c = { .upstream = upstream };

	return dispatch_call(d, idle_call, &c, &(struct error){ 0 }) && c.idle;
}

struct driven_call {
	const char *model;   /* asked for; NULL: all of them */
	enum drives_how how; /* asked for, of that */
	bool serves;
	char **list;
	size_t n;
};

static bool driven_call(struct dispatch *d, void *arg, struct error *err)
{
	struct driven_call *c = arg;

	if (c->model == NULL)
		return serving_driven(d, &c->list, &c->n) || fail_memory(err);
	c->serves = serving_drives(d, c->model, c->how);
	return true;
}

size_t dispatch_driven_models(struct dispatch *d, char ***ret)
{
	struct driven_call c = { 0 };

	*ret = dispatch_call(d, driven_call, &c, &(struct error){ 0 }) ? c.list : NULL;
	return c.n;
}

bool dispatch_drives_model(struct dispatch *d, const char *model, enum drives_how how)
{
	struct driven_call c = { .model = model, .how = how };

	return dispatch_call(d, driven_call, &c, &(struct error){ 0 }) && c.serves;
}

/* ---- draining ---- */

bool dispatch_drain(struct dispatch *d, uint64_t timeout_ms)
{
	struct timespec until = clock_after_ms(timeout_ms);

	d->draining = true;
	client_wake(d->client);
	pthread_mutex_lock(&d->lock);
	while (!d->stopping && !d->idle_now &&
	       pthread_cond_timedwait(&d->idle, &d->lock, &until) == 0)
		;
	bool idle = d->idle_now;
	pthread_mutex_unlock(&d->lock);
	return idle;
}

void dispatch_online_close(struct dispatch *d)
{
	d->online_closed = true;
	client_wake(d->client);
}

/* ---- the loop ---- */

/* True while the loop is to go on; tells who waits in dispatch_drain(). */
static bool loop_goes_on(struct dispatch *d)
{
	if (!d->draining)
		return true;
	pthread_mutex_lock(&d->lock);
	bool stopping = d->stopping;
	d->idle_now = d->slots.sent == 0 && d->online == NULL;
	if (d->idle_now)
		pthread_cond_broadcast(&d->idle);
	pthread_mutex_unlock(&d->lock);
	return !stopping;
}

static int sooner(int a, int b)
{
	return a < 0 ? b : b < 0 ? a : a < b ? a : b;
}

static int polls_timeout(const struct dispatch *d, uint64_t now_ms)
{
	uint64_t due = UINT64_MAX;

	for (const struct upstream *u = d->upstreams; u != NULL && !d->draining; u = u->next) {
		uint64_t one = watches_due_ms(&target_of(u)->watches);
		due = one < due ? one : due;
	}
	return clock_wait_ms(due, now_ms);
}

/* Milliseconds until something is due by itself. */
static int loop_timeout(struct dispatch *d)
{
	uint64_t now_ms = sys.monotonic_ms();
	int timeout = sooner(dispatch_fill_timeout(d), polls_timeout(d, now_ms));

	return sooner(timeout, d->tick_at_ms > now_ms ? (int)(d->tick_at_ms - now_ms) : 0);
}

static void loop_tick(struct dispatch *d)
{
	uint64_t now_ms = sys.monotonic_ms();

	for (struct upstream *u = d->upstreams; u != NULL && !d->draining; u = u->next)
		watches_run(&target_of(u)->watches, now_ms);
	if (now_ms < d->tick_at_ms)
		return;
	d->tick_at_ms = now_ms + TICK_MS;
	tick_run(d, now_ms);
}

void dispatch_turn(struct dispatch *d)
{
	bool woken;

	dispatch_thread_begin();
	/* What was just sent may have been answered already, while it was being sent. */
	bool at_once = d->filled || mail_waits(&d->mailbox);
	client_wait(d->client, at_once ? 0 : loop_timeout(d), &woken);
	mail_run(&d->mailbox, d); /* also what a guest has just posted, who wakes nobody */
	client_deliver(d->client);
	if (d->online_closed)
		online_end_all(d);
	load_look(&d->load, sys.monotonic_us());
	d->filled = dispatch_fill(d);
	if (d->ops.gather != NULL)
		d->ops.gather(d->ctx, gather_wanted(&d->slots, d->upstreams));
	if (d->ops.online != NULL)
		online_shared_tell(d);
	loop_tick(d);
	client_due(d->client); /* what was started begins */
}

static void *dispatch_main(void *arg)
{
	struct dispatch *d = arg;

	dispatch_thread_begin();
	while (loop_goes_on(d))
		dispatch_turn(d);
	online_end_all(d);
	mail_run(&d->mailbox, d); /* batches dropped before the end give their lines back */
	return NULL;
}

/* ---- what others ask ---- */

struct list {
	const struct upstream_config *upstreams;
	size_t n;
};

static bool upstreams_call(struct dispatch *d, void *arg, struct error *err)
{
	const struct list *list = arg;

	return upstreams_set(d, list->upstreams, list->n, err);
}

bool dispatch_upstreams(struct dispatch *d, const struct upstream_config *upstreams, size_t n,
			struct error *err)
{
	return dispatch_call(d, upstreams_call, &(struct list){ upstreams, n }, err);
}

bool dispatch_serves(struct dispatch *d, const char *model)
{
	return catalogue_serves(&d->catalogue, model);
}

void dispatch_models(struct dispatch *d, struct buf *to)
{
	catalogue_models(&d->catalogue, to);
}

static bool guest_call(struct dispatch *d, void *arg, struct error *err)
{
	return client_guest(d->client, arg) ||
	       fail(err, ERR_INTERNAL, "The event loop cannot be watched.");
}

bool dispatch_guest(struct dispatch *d, const struct client_guest *guest, struct error *err)
{
	return dispatch_call(d, guest_call, (void *)guest, err);
}

struct view_call {
	const struct view_asked *asked;
	struct scheduling_view *ret;
};

static bool view_call(struct dispatch *d, void *arg, struct error *err)
{
	const struct view_call *c = arg;

	return view_make(d, c->asked, c->ret, err);
}

bool dispatch_view(struct dispatch *d, const struct view_asked *asked, struct scheduling_view *ret,
		   struct error *err)
{
	return dispatch_call(d, view_call, &(struct view_call){ asked, ret }, err);
}

struct foresee_call {
	const char *model;
	const struct schedule_asked *asked;
	struct foreseen *ret;
};

/* By what the model's upstreams have done while lines waited, else by what they have room for. */
static double foreseen_slots(const struct model *m)
{
	double slots = schedule_slots_of(m->schedule, pace_lines_per_s(&m->pace));

	return slots > 0 ? slots : m->slots;
}

static bool foresee_call(struct dispatch *d, void *arg, struct error *err)
{
	const struct foresee_call *c = arg;
	const struct model *m = model_find(d->models, c->model);
	struct foreseen *f = c->ret;

	(void)err;
	*f = (struct foreseen){ 0 };
	if (m == NULL)
		return true;
	f->learnt = m->learnt.lines;
	if (m->learnt.input_tokens > 0)
		f->bytes_per_token = m->learnt.body_bytes / m->learnt.input_tokens;
	f->output_tokens = m->learnt.output_tokens;
	double slots = foreseen_slots(m);
	f->told = m->slots >= 0.5 &&
		  schedule_foresee(m->schedule, c->asked, slots, &f->start_s, &f->end_s);
	return true;
}

bool dispatch_foresee(struct dispatch *d, const char *model, const struct schedule_asked *asked,
		      struct foreseen *ret, struct error *err)
{
	return dispatch_call(d, foresee_call, &(struct foresee_call){ model, asked, ret }, err);
}

/* ---- opening and closing ---- */

static const struct poll_ops polls = {
	.busy = lanes_busy,
	.ailing_since_ms = lanes_ailing_since_ms,
	.gauges = lanes_gauges,
	.models = serving_reported,
	.health = lanes_healthy,
};

static void locks_init(struct dispatch *d)
{
	mailbox_open(&d->mailbox, d->client);
	pthread_mutex_init(&d->lock, NULL);
	clock_cond_init(&d->idle);
	clock_cond_init(&d->called);
}

bool dispatch_new(const struct dispatch_config *config, const struct upstream_config *upstreams,
		  size_t upstream_count, const struct dispatch_ops *ops, void *ctx,
		  struct dispatch **ret, struct error *err)
{
	struct dispatch *d = calloc(1, sizeof(*d));

	if (d == NULL) {
		client_close(config->client);
		return fail_memory(err);
	}
	d->config = *config;
	d->client = config->client;
	d->ops = *ops;
	d->ctx = ctx;
	d->started_at = sys.now_s();
	d->ticked_at_ms = sys.monotonic_ms();
	d->polls = &polls;
	memory_open(&d->memory, config->budget, config->response_bytes_max, &d->slots, d->client);
	catalogue_init(&d->catalogue);
	locks_init(d);
	driven_init(&d->driven);
	heard_init(&d->heard);
	if (!upstreams_set(d, upstreams, upstream_count, err)) {
		dispatch_close(d);
		return false;
	}
	*ret = d;
	return true;
}

bool dispatch_open(const struct dispatch_config *config, const struct upstream_config *upstreams,
		   size_t upstream_count, const struct dispatch_ops *ops, void *ctx,
		   struct dispatch **ret, struct error *err)
{
	if (!dispatch_new(config, upstreams, upstream_count, ops, ctx, ret, err))
		return false;
	(*ret)->thread_started = thread_start(&(*ret)->thread, "dispatch", dispatch_main, *ret,
					      err);
	if (!(*ret)->thread_started)
		dispatch_close(TAKE(*ret));
	return *ret != NULL;
}

void dispatch_stop(struct dispatch *d)
{
	if (d == NULL || !d->thread_started)
		return;
	d->draining = true;
	pthread_mutex_lock(&d->lock);
	d->stopping = true;
	pthread_cond_broadcast(&d->idle);
	pthread_mutex_unlock(&d->lock);
	client_wake(d->client);
	pthread_join(d->thread, NULL);
	d->thread_started = false;
}

void dispatch_close(struct dispatch *d)
{
	if (d == NULL)
		return;
	dispatch_stop(d);
	upstreams_free(d);
	catalogue_done(&d->catalogue);
	heard_done(&d->heard);
	driven_done(&d->driven);
	client_close(d->client);
	pthread_cond_destroy(&d->called);
	pthread_cond_destroy(&d->idle);
	pthread_mutex_destroy(&d->lock);
	mailbox_close(&d->mailbox);
	free(d);
}
