/* pipeline.c: see pipeline.h. The clock that watches windows and leases, and the wiring of the
 * stages. */
#include "pipeline/pipeline.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <unistd.h>

#include "base/log.h"
#include "base/sys.h"
#include "base/wall.h"
#include "client/client.h"
#include "pipeline/batch_stream.h"
#include "pipeline/batch_table.h"
#include "pipeline/cancel.h"
#include "pipeline/cluster_node.h"
#include "pipeline/coordinator.h"
#include "pipeline/day_look.h"
#include "pipeline/estimate.h"
#include "pipeline/hold.h"
#include "pipeline/leftover.h"
#include "pipeline/org_look.h"
#include "pipeline/sweep.h"
#include "pipeline/worker.h"
#include "redo/redo.h"

#define WORKERS 8 /* most wait for a commit, which is then one for all */
#define WINDOW_CHECK_MS 200
#define RESUME_WAIT_MS 2000
#define SWEEP_ENDED_MS 100 /* one for all batches that end meanwhile */

struct pipeline {
	char data_dir[400];
	struct pipeline_config config;
	struct coordinator_env env;
	struct budget budget;
	_Atomic bool draining;

	struct batch_table batches;
	struct day_tokens day;
	struct org_look orgs;

	pthread_mutex_t clock_lock; /* for `wall` */
	struct wall wall;

	struct work window_work, sweep_work, sweep_asked_work;
	struct sweep sweep;
	_Atomic bool sweep_is_asked;
};

static void sweep_ask(struct pipeline *p, uint64_t delay_ms);

/* ---- batches come and go ---- */

static void on_ended(void *ctx, struct coordinator *c)
{
	struct pipeline *p = ctx;

	batch_table_remove(&p->batches, c);
	coordinator_free(c);
	sweep_ask(p, SWEEP_ENDED_MS); /* its input may have been waiting to go */
}

void pipeline_submit(struct pipeline *p, const char *batch_id)
{
	struct coordinator *c;
	struct error err;

	if (!coordinator_new(&p->env, batch_id, &c, &err)) {
		/* It is in the store: the next start takes it up. */
		log_fault("batch.not_started", &err, kv_str("batch", batch_id));
		return;
	}
	if (batch_table_add(&p->batches, c))
		coordinator_kick(c);
	else
		coordinator_free(c);
}

bool pipeline_cancel(struct pipeline *p, const char *org, const char *batch_id, bool *ret_final,
		     struct error *err)
{
	const struct batch_call call = { p->env.store, &p->batches, org, batch_id };

	return batch_cancel(&call, ret_final, err);
}

bool pipeline_hold(struct pipeline *p, const char *org, const char *batch_id, bool held,
		   bool *ret_final, bool *ret_changed, struct error *err)
{
	const struct batch_call call = { p->env.store, &p->batches, org, batch_id };

	return batch_hold(&call, held, ret_final, ret_changed, err);
}

/* ---- what a client is shown ---- */

static void on_view(void *ctx, struct coordinator *c)
{
	coordinator_view(c, ctx);
}

static bool view_live(struct pipeline *p, struct batch_view *v)
{
	if (p->env.cluster != NULL)
		return cluster_view(p->env.cluster, v);
	if (!batch_table_with(&p->batches, v->row.id, on_view, v))
		return false;
	if (p->draining && v->row.status == BATCH_IN_PROGRESS) {
		v->stall = STALL_PAUSED;
		snprintf(v->stall_message, sizeof(v->stall_message), "the server is stopping");
	}
	return true;
}

/* What the store has says all. */
static void view_stored(struct batch_view *v)
{
	const struct counts *c = &v->row.counts;

	causes_parse(v->row.causes, &v->causes);
	v->pending = c->total - c->completed - c->failed - c->expired - c->cancelled;
	v->queue_position = batch_is_final(v->row.status) ? -1 : 0;
}

void pipeline_view(struct pipeline *p, struct batch_view *v)
{
	struct batch newer;
	struct error err;

	*v = (struct batch_view){ .row = v->row };
	view_stored(v);
	if (batch_is_final(v->row.status) || v->row.status == BATCH_VALIDATING || view_live(p, v))
		return;
	/* It has ended since it was read: its last counts are in the store. */
	if (!store_batch_get(p->env.store, NULL, v->row.id, &newer, &err))
		return;
	batch_done(&v->row);
	v->row = newer;
	view_stored(v);
}

bool pipeline_results(struct pipeline *p, struct batch *b, uint64_t after, unsigned limit,
		      struct pipeline_page *ret, struct error *err)
{
	const struct batch_stream_call call = {
		.data_dir = p->data_dir,
		.store = p->env.store,
		.blobs = p->env.blobs,
		.table = &p->batches,
		.cluster = p->env.cluster,
		.memory = budget_use(&p->budget, BUDGET_STREAMS),
		.after = after,
		.limit = limit,
	};

	return batch_stream(&call, b, ret, err);
}

bool pipeline_leftover(struct pipeline *p, const struct batch *parent, const struct batch *child,
		       struct leftover **ret, struct error *err)
{
	return leftover_open(p->data_dir, p->env.blobs, parent, child, ret, err);
}

/* Lines that end after the row's moment count; what a final state alone has does not. */
void pipeline_view_at(struct pipeline *p, struct batch_view *v)
{
	struct batch newer;
	struct error err;

	*v = (struct batch_view){ .row = v->row };
	view_stored(v);
	if (batch_is_final(v->row.status) || v->row.status == BATCH_VALIDATING || view_live(p, v))
		return;
	if (!store_batch_get(p->env.store, NULL, v->row.id, &newer, &err))
		return;
	v->row.counts.completed = newer.counts.completed;
	v->row.counts.failed = newer.counts.failed;
	v->row.counts.expired = v->row.counts.cancelled = 0; /* not before the state is final */
	v->row.counts.retried = newer.counts.retried;
	v->row.usage = newer.usage;
	causes_parse(newer.causes, &v->causes);
	v->pending = v->row.counts.total - newer.counts.completed - newer.counts.failed;
	batch_done(&newer);
}

bool pipeline_estimate(struct pipeline *p, const struct batch *b, unsigned org_weight,
		       struct estimate *ret, struct error *err)
{
	const struct estimate_call call = { p->env.blobs, p->env.dispatch, &p->config.rules };

	return estimate_run(&call, b, org_weight, ret, err);
}

/* ---- what goes on ---- */

bool pipeline_scheduling(struct pipeline *p, const struct view_asked *asked, view_fn fn, void *ctx,
			 struct error *err)
{
	AUTO(scheduling_view_done) struct scheduling_view view = { 0 };

	if (p->env.cluster != NULL)
		return cluster_scheduling(p->env.cluster, asked, fn, ctx, err);
	if (!dispatch_view(p->env.dispatch, asked, &view, err))
		return false;
	fn(ctx, &view);
	return true;
}

void pipeline_history(struct pipeline *p, const char *org, enum rings_span span,
		      struct history_page *ret)
{
	if (p->env.cluster == NULL || !cluster_history(p->env.cluster, org, span, ret))
		history_read(p->config.history, org, span, ret);
}

void pipeline_history_batch(struct pipeline *p, const char *batch, struct history_page *ret)
{
	if (p->env.cluster == NULL || !cluster_history_batch(p->env.cluster, batch, ret))
		history_read_batch(p->config.history, batch, ret);
}

struct pulses_call {
	pulse_fn each;
	void *ctx;
};

static void on_pulse(void *ctx, struct coordinator *c)
{
	const struct pulses_call *call = ctx;
	struct batch_pulse pulse;

	if (coordinator_pulse(c, &pulse))
		call->each(call->ctx, &pulse);
}

void pipeline_pulses(struct pipeline *p, pulse_fn each, void *ctx)
{
	struct pulses_call call = { each, ctx };

	if (p->env.cluster != NULL)
		cluster_pulses(p->env.cluster, each, ctx);
	else
		batch_table_each(&p->batches, on_pulse, &call);
}

/* ---- tokens of the day ---- */

void pipeline_tokens_add(struct pipeline *p, const char *org, uint64_t tokens)
{
	day_tokens_add(&p->day, org, tokens);
}

uint64_t pipeline_tokens_used(struct pipeline *p, const char *org)
{
	return day_tokens_used(&p->day, org);
}

bool pipeline_tokens_count(struct pipeline *p, const char *org, uint64_t *ret, struct error *err)
{
	return day_count(&p->day, p->env.store, &p->batches, org, ret, err);
}

int64_t pipeline_tokens_reset(void)
{
	return day_tokens_end(sys.now_s());
}

/* ---- windows and leases ---- */

/* Tells of what was counted since. */
static void storms_tell(struct pipeline *p)
{
	uint64_t now_ms = sys.monotonic_ms();
	uint64_t paused = log_storm_rest(&p->env.held_up, now_ms);
	uint64_t resumed = log_storm_rest(&p->env.resumed, now_ms);

	if (paused > 0)
		log_warn(stall_words(STALL_PAUSED)->log, kv_u64("more_batches", paused));
	if (resumed > 0)
		log_info("batch.resumed", kv_u64("more_batches", resumed));
}

static void clock_tell(enum wall_look look, int64_t off_s)
{
	if (look == WALL_DOUBTED)
		log_warn("clock.doubted", kv_int("off_s", off_s),
			 kv_u64("nothing_expires_for_s", WALL_HOLD_MS / 1000));
	else if (look == WALL_GOOD_AGAIN)
		log_info("clock.good");
}

/* Asked before anything ends, expires or is deleted. */
static bool time_is_good(void *ctx)
{
	struct pipeline *p = ctx;

	pthread_mutex_lock(&p->clock_lock);
	enum wall_look look = wall_look(&p->wall, sys.now_s(), sys.monotonic_ms());
	int64_t off_s = p->wall.off_s;
	pthread_mutex_unlock(&p->clock_lock);
	clock_tell(look, off_s);
	return wall_is_good(look) &&
	       (p->env.cluster == NULL || cluster_clock_is_good(p->env.cluster));
}

static bool clock_begin(struct pipeline *p, struct error *err)
{
	if (!store_newest(p->env.store, &p->env.newest_s, err))
		return false;
	enum wall_look look = wall_begin(&p->wall, p->env.newest_s, sys.now_s(),
					 sys.monotonic_ms());
	clock_tell(look, p->wall.off_s);
	return true;
}

struct times_call {
	bool good;
	int64_t now_s;
	uint64_t now_ms;
};

static void on_times(void *ctx, struct coordinator *c)
{
	const struct times_call *call = ctx;

	coordinator_check_lease(c, call->now_ms);
	coordinator_check_hours(c, call->now_s);
	if (call->good)
		coordinator_check_window(c, call->now_s);
	coordinator_look_later(c);
}

static void check_times(void *arg)
{
	struct pipeline *p = arg;
	struct times_call call = { .good = time_is_good(p),
				   .now_s = sys.now_s(),
				   .now_ms = sys.monotonic_ms() };

	if (coordinators_are_due(&p->env, call.now_s, call.now_ms))
		batch_table_each(&p->batches, on_times, &call);
	if (p->env.cluster != NULL)
		cluster_check(p->env.cluster);
	storms_tell(p);
	if (!p->env.closing)
		workers_post_after(p->env.workers, &p->window_work, check_times, p,
				   WINDOW_CHECK_MS);
}

/* ---- old files ---- */

static void sweep_in_time(struct pipeline *p)
{
	if (time_is_good(p))
		sweep_once(&p->sweep);
}

static void sweep_regularly(void *arg)
{
	struct pipeline *p = arg;

	sweep_in_time(p);
	if (!p->env.closing)
		workers_post_after(p->env.workers, &p->sweep_work, sweep_regularly, p,
				   p->config.sweep_ms);
}

static void sweep_asked(void *arg)
{
	struct pipeline *p = arg;

	p->sweep_is_asked = false;
	sweep_in_time(p);
}

static void on_sweep(void *ctx)
{
	struct pipeline *p = ctx;

	if (time_is_good(p))
		sweep_unknown(&p->sweep, coordinator_lost_at(&p->env));
}

static void sweep_ask(struct pipeline *p, uint64_t delay_ms)
{
	if (!atomic_exchange(&p->sweep_is_asked, true))
		workers_post_after(p->env.workers, &p->sweep_asked_work, sweep_asked, p, delay_ms);
}

void pipeline_sweep(struct pipeline *p)
{
	sweep_ask(p, 0);
}

/* ---- opening and closing ---- */

/* Until every batch has read its journal, so that no client sees counts lower than before the
 * restart. Not for ever: a disk that refuses must not keep the server from answering. */
static void batches_wait(struct pipeline *p)
{
	uint64_t until = sys.monotonic_ms() + RESUME_WAIT_MS;

	while (p->env.unread > 0 && sys.monotonic_ms() < until)
		usleep(2000);
}

static bool on_publish(void *ctx, struct recorded *parts, size_t n, struct error *err)
{
	struct pipeline *p = ctx;

	return cluster_publish(p->env.cluster, parts, n, err);
}

static void on_gather(void *ctx, enum outcome_gather how)
{
	struct pipeline *p = ctx;

	recorder_gather(p->env.recorder, how);
}

static void on_online(void *ctx, const char *upstream, unsigned units)
{
	struct pipeline *p = ctx;

	cluster_online(p->env.cluster, upstream, units);
}

static bool stages_open(struct pipeline *p, struct error *err)
{
	struct client *client;
	struct recorder_ops recorder = worker_recorder_ops;
	struct dispatch_ops dispatch = worker_dispatch_ops;

	if (p->config.cluster != NULL) {
		recorder.publish = on_publish;
		dispatch.gather = on_gather;
		dispatch.online = on_online;
	}
	if (!recorder_open(&recorder, p, &p->env.recorder, err) ||
	    !(p->config.libcurl ? client_open_libcurl(&client, err) : client_open(&client, err)))
		return false;
	const struct dispatch_config dispatch_config = {
		.max_attempts = p->config.max_attempts,
		.patience_ms = p->config.patience_ms,
		.line_timeout_ms = p->config.line_timeout_ms,
		.response_bytes_max = p->config.response_bytes_max,
		.online_waiting_max = p->config.online_waiting_max,
		.tracer = p->config.tracer,
		.budget = &p->budget,
		.client = client,
	};

	return dispatch_open(&dispatch_config, p->config.upstreams, p->config.upstream_count,
			     &dispatch, p, &p->env.dispatch, err) &&
	       workers_open("pipeline", WORKERS, &p->env.workers, err) &&
	       (p->config.cluster == NULL ||
		cluster_open(p->config.cluster, &p->env, &p->batches, &p->env.cluster, err));
}

static void pipeline_init(struct pipeline *p, const struct pipeline_config *config,
			  struct store *store, struct blobs *blobs)
{
	p->config = *config;
	batch_table_init(&p->batches);
	day_tokens_init(&p->day, config->org_tokens_per_day);
	pthread_mutex_init(&p->clock_lock, NULL);
	p->env = (struct coordinator_env){
		.data_dir = p->data_dir,
		.config = &p->config,
		.store = store,
		.blobs = blobs,
		.ended = on_ended,
		.sweep = on_sweep,
		.time_is_good = time_is_good,
		.day = &p->day,
		.ctx = p,
	};
	p->sweep = (struct sweep){
		.data_dir = p->data_dir,
		.store = store,
		.blobs = blobs,
		.lost_after_s = config->lost_after_s,
		.closing = &p->env.closing,
	};
	sweep_init(&p->sweep);
	org_look_init(&p->orgs, &p->env, &p->batches);
	open_table_init(&p->env.files);
	budget_init(&p->budget, config->memory_bytes);
}

/* Of one machine, whose directory has all: what is to go on. */
static bool batches_resume(struct pipeline *p, struct error *err)
{
	AUTO(auto_free) char(*ids)[ID_SIZE] = NULL;
	size_t n;

	if (!store_batches_open(p->env.store, &ids, &n, err))
		return false;
	/* What the process before wrote and did not sync is about to be read, and to count. */
	if (n > 0 && p->config.redo != NULL && !redo_settle(p->config.redo, err))
		return false;
	for (size_t i = 0; i < n; i++)
		pipeline_submit(p, ids[i]);
	batches_wait(p);
	return true;
}

/* Of a node: its directory is scratch, and it goes on with what it is lent. */
static bool node_begin(struct pipeline *p, struct error *err)
{
	(void)err;
	cluster_start(p->env.cluster);
	return true;
}

bool pipeline_open(const char *data_dir, const struct pipeline_config *config, struct store *store,
		   struct blobs *blobs, struct pipeline **ret, struct error *err)
{
	struct pipeline *p = calloc(1, sizeof(*p));

	if (p == NULL)
		return fail_memory(err);
	pipeline_init(p, config, store, blobs);
	bool ok = slice_copy(slice_of(data_dir), p->data_dir, sizeof(p->data_dir)) ||
		  fail_sys(err, ENAMETOOLONG, "opening %s", data_dir);
	ok = ok && clock_begin(p, err) &&
	     (config->cluster != NULL
		      ? sweep_scratch(&p->sweep, err)
		      : sweep_at_start(&p->sweep, coordinator_lost_at(&p->env), err)) &&
	     stages_open(p, err) && org_look_begin(&p->orgs, err) &&
	     (config->cluster != NULL ? node_begin(p, err) : batches_resume(p, err));
	if (!ok) {
		pipeline_close(p);
		return false;
	}
	check_times(p);
	org_look_start(&p->orgs);
	sweep_regularly(p);
	*ret = p;
	return true;
}

bool pipeline_upstreams(struct pipeline *p, const struct upstream_config *list, size_t n,
			struct error *err)
{
	if (!dispatch_upstreams(p->env.dispatch, list, n, err))
		return false;
	if (p->env.cluster != NULL)
		cluster_upstreams(p->env.cluster, list, n);
	return true;
}

struct dispatch *pipeline_dispatch(struct pipeline *p)
{
	return p->env.dispatch;
}

bool pipeline_guest(struct pipeline *p, const struct client_guest *guest, struct error *err)
{
	return dispatch_guest(p->env.dispatch, guest, err);
}

bool pipeline_takes_clients(struct pipeline *p, char *why, size_t size)
{
	if (p->env.cluster == NULL)
		return true;
	if (!cluster_takes_clients(p->env.cluster, why, size))
		return false;
	if (!recorder_has_no_room(p->env.recorder))
		return true;
	snprintf(why, size,
		 "The disk of this node is full: what it has waits until there is room.");
	return false;
}

struct node *pipeline_node(struct pipeline *p)
{
	return p->env.cluster != NULL ? cluster_node(p->env.cluster) : NULL;
}

size_t pipeline_spans(struct pipeline *p)
{
	return p->env.cluster != NULL ? cluster_spans(p->env.cluster) : 0;
}

struct budget *pipeline_budget(struct pipeline *p)
{
	return &p->budget;
}

void pipeline_drain(struct pipeline *p)
{
	p->draining = true;
	log_info("pipeline.draining", kv_u64("at_most_ms", p->config.drain_ms));
	if (p->env.cluster != NULL)
		cluster_drain(p->env.cluster, p->config.drain_ms);
	bool idle = dispatch_drain(p->env.dispatch, p->config.drain_ms);
	dispatch_online_close(p->env.dispatch);
	bool durable = recorder_wait(p->env.recorder, p->config.drain_ms);
	log_info("pipeline.drained", kv_str("in_flight", idle ? "none" : "some dropped"),
		 kv_str("recorded", durable ? "all" : "not all: the disk refuses"));
}

static void on_closing(void *ctx, struct coordinator *c)
{
	(void)ctx;
	coordinator_abandon(c);
}

void pipeline_close(struct pipeline *p)
{
	struct error err;

	if (p == NULL)
		return;
	p->env.closing = true;
	workers_stop(p->env.workers);  /* dispatch and recorder may still post */
	cluster_quiet(p->env.cluster); /* it asks dispatch */
	batch_table_each(&p->batches, on_closing, NULL);
	dispatch_stop(p->env.dispatch);
	recorder_close(p->env.recorder); /* it still tells dispatch what is durable */
	cluster_leave(p->env.cluster);   /* it tells dispatch what to drive */
	dispatch_close(p->env.dispatch);
	workers_close(p->env.workers);
	for (struct coordinator *c; (c = batch_table_pop(&p->batches)) != NULL;)
		coordinator_free(c);
	cluster_close(p->env.cluster);
	if (!day_flush(&p->day, p->env.store, &err))
		log_fault("pipeline.tokens_not_counted", &err);
	day_tokens_done(&p->day);
	batch_table_done(&p->batches);
	open_table_done(&p->env.files);
	sweep_done(&p->sweep);
	org_look_done(&p->orgs);
	pthread_mutex_destroy(&p->clock_lock);
	free(p);
}
