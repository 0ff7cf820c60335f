/* pipeline.c: see pipeline.h. The table of runs, the clock that watches windows, the sweep of old
 * files, and the wiring of the stages. */
#include "pipeline/pipeline.h"

#include <dirent.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <unistd.h>

#include "base/log.h"
#include "base/sys.h"
#include "base/wall.h"
#include "blob/lost.h"
#include "pipeline/run.h"

#define WORKERS 2
#define BUCKETS 1024u
#define WINDOW_CHECK_MS 200
#define SWEEP_AT_ONCE 64
#define RESUME_WAIT_MS 2000
#define SUSPENDED_CHECK_MS 1000
#define CANCEL_AT_ONCE 64

struct pipeline {
	char data_dir[400];
	struct pipeline_config config;
	struct run_env env;
	struct budget budget;
	_Atomic bool draining;

	pthread_mutex_t lock; /* for the table */
	struct run *runs[BUCKETS];

	pthread_mutex_t clock_lock; /* for `wall` */
	struct wall wall;

	struct work window_work, sweep_work, sweep_asked_work, suspended_work;
	pthread_mutex_t sweep_lock;
	_Atomic bool sweep_is_asked;
	bool suspended_failed; /* the last look at them did */
};

/* ---- the table ---- */

static struct run **bucket_of(struct pipeline *p, const char *id)
{
	uint32_t h = 2166136261u; /* FNV-1a: ids are random already */
	for (; *id != '\0'; id++)
		h = (h ^ (unsigned char)*id) * 16777619u;
	return &p->runs[h % BUCKETS];
}

/* Under the lock. */
static struct run *run_find(struct pipeline *p, const char *id)
{
	for (struct run *r = *bucket_of(p, id); r != NULL; r = *run_next(r))
		if (strcmp(run_id(r), id) == 0)
			return r;
	return NULL;
}

static void on_ended(void *ctx, struct run *run)
{
	struct pipeline *p = ctx;
	pthread_mutex_lock(&p->lock);
	struct run **link = bucket_of(p, run_id(run));
	while (*link != run)
		link = run_next(*link);
	*link = *run_next(run);
	pthread_mutex_unlock(&p->lock);
	pipeline_sweep(p); /* its input may have been waiting to go */
}

void pipeline_submit(struct pipeline *p, const char *batch_id)
{
	struct run *run = run_new(&p->env, batch_id);
	if (run == NULL) {
		/* It is in the store: the next start takes it up. */
		log_error("batch.not_started", kv_str("batch", batch_id));
		return;
	}
	pthread_mutex_lock(&p->lock);
	bool known = run_find(p, batch_id) != NULL;
	if (!known) {
		*run_next(run) = *bucket_of(p, batch_id);
		*bucket_of(p, batch_id) = run;
	}
	pthread_mutex_unlock(&p->lock);
	if (known)
		run_free(run);
	else
		run_kick(run);
}

/* ---- cancel ---- */

static void run_cancel(struct pipeline *p, const char *batch_id)
{
	pthread_mutex_lock(&p->lock);
	struct run *run = run_find(p, batch_id);
	if (run != NULL)
		run_end(run, EARLY_CANCELLED);
	pthread_mutex_unlock(&p->lock);
}

bool pipeline_cancel(struct pipeline *p, const char *org, const char *batch_id, bool *ret_final,
		     struct error *err)
{
	const unsigned running = 1u << BATCH_IN_PROGRESS | 1u << BATCH_FINALIZING;
	*ret_final = false;
	for (;;) { /* the batch may move on between the look and the move: look again */
		struct batch b;
		bool moved = false;
		if (!store_batch_get(p->env.store, org, batch_id, &b, err))
			return false;
		enum batch_status status = b.status;
		batch_done(&b);
		if (status == BATCH_CANCELLING || status == BATCH_CANCELLED)
			return true;
		if (batch_is_final(status)) {
			*ret_final = true;
			return true;
		}
		bool ok = status == BATCH_VALIDATING
				  ? store_batch_cancel_early(p->env.store, batch_id, sys.now_s(),
							     &moved, err)
				  : store_batch_move(p->env.store, batch_id, running,
						     BATCH_CANCELLING, sys.now_s(), &moved, err);
		if (!ok)
			return false;
		if (moved) {
			run_cancel(p, batch_id);
			return true;
		}
	}
}

/* ---- progress ---- */

static bool progress_live(struct pipeline *p, struct batch *b, struct progress *ret)
{
	pthread_mutex_lock(&p->lock);
	struct run *run = run_find(p, b->id);
	if (run != NULL)
		run_progress(run, b, ret);
	pthread_mutex_unlock(&p->lock);
	return run != NULL;
}

void pipeline_progress(struct pipeline *p, struct batch *b, struct progress *ret)
{
	struct batch newer;
	struct error err;
	*ret = (struct progress){ 0 };
	causes_parse(b->causes, &ret->causes);
	if (!batch_is_final(b->status) && b->status != BATCH_VALIDATING) {
		if (progress_live(p, b, ret)) {
			if (p->draining && b->status == BATCH_IN_PROGRESS) {
				ret->stall_reason = STALL_PAUSED;
				snprintf(ret->stall_message, sizeof(ret->stall_message),
					 "the server is stopping");
			}
			return;
		}
		/* It has ended since it was read: its last counts are in the store. */
		if (store_batch_get(p->env.store, NULL, b->id, &newer, &err)) {
			batch_done(b);
			*b = newer;
			causes_parse(b->causes, &ret->causes);
		}
	}
	const struct counts *c = &b->counts;
	ret->counts = *c;
	ret->usage = b->usage;
	ret->pending = c->total - c->completed - c->failed - c->expired - c->cancelled;
	ret->queue_position = batch_is_final(b->status) ? -1 : 0;
}

/* ---- organizations that the operator suspends: `lowtide org`, in another process ---- */

static bool suspended_tell(struct pipeline *p, struct error *err)
{
	AUTO(auto_free) char(*orgs)[ID_SIZE] = NULL;
	size_t n;

	if (!store_orgs_suspended(p->env.store, NULL, &orgs, &n, err))
		return false;
	pthread_mutex_lock(&p->lock);
	for (unsigned i = 0; i < BUCKETS; i++)
		for (struct run *r = p->runs[i]; r != NULL; r = *run_next(r))
			run_suspend(r, (const char(*)[ID_SIZE])orgs, n);
	pthread_mutex_unlock(&p->lock);
	return true;
}

/* A crash in between leaves batches that are asked for again. */
static bool suspended_cancel(struct pipeline *p, struct error *err)
{
	AUTO(auto_free) char(*ids)[ID_SIZE] = NULL;
	size_t n;
	bool final;

	if (!store_batches_to_cancel(p->env.store, CANCEL_AT_ONCE, &ids, &n, err))
		return false;
	for (size_t i = 0; i < n; i++) {
		if (!pipeline_cancel(p, NULL, ids[i], &final, err))
			return false;
		log_info("batch.cancelled_by_operator", kv_str("batch", ids[i]));
	}
	return true;
}

static void check_suspended(void *arg)
{
	struct pipeline *p = arg;
	struct error err;

	bool ok = suspended_tell(p, &err) && suspended_cancel(p, &err);
	if (!ok && !p->suspended_failed)
		log_fault("pipeline.suspended_unknown", &err);
	p->suspended_failed = !ok;
	if (!p->env.closing)
		workers_post_after(p->env.workers, &p->suspended_work, check_suspended, p,
				   SUSPENDED_CHECK_MS);
}

/* ---- windows and old files ---- */

/* What nobody has told of since. */
static void storms_tell(struct pipeline *p)
{
	uint64_t now_ms = sys.monotonic_ms();
	uint64_t paused = log_storm_rest(&p->env.held_up, now_ms);
	uint64_t resumed = log_storm_rest(&p->env.resumed, now_ms);
	if (paused > 0)
		log_warn("batch.paused", kv_u64("more_batches", paused));
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
	return wall_is_good(look);
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

static void check_windows(void *arg)
{
	struct pipeline *p = arg;
	bool good = time_is_good(p);
	int64_t now = sys.now_s();
	pthread_mutex_lock(&p->lock);
	for (unsigned i = 0; good && i < BUCKETS; i++)
		for (struct run *r = p->runs[i]; r != NULL; r = *run_next(r))
			run_check_window(r, now);
	pthread_mutex_unlock(&p->lock);
	storms_tell(p);
	if (!p->env.closing)
		workers_post_after(p->env.workers, &p->window_work, check_windows, p,
				   WINDOW_CHECK_MS);
}

static bool blobs_spare_remove(struct pipeline *p, size_t *ret_n, struct error *err)
{
	char ids[SWEEP_AT_ONCE][ID_SIZE];
	if (!store_blobs_spare(p->env.store, ids, SWEEP_AT_ONCE, ret_n, err))
		return false;
	for (size_t i = 0; i < *ret_n; i++)
		if (!blob_remove(p->env.blobs, ids[i], err))
			return false;
	/* A crash in between leaves a blob that is asked for again, or a row whose blob is gone and is
	 * asked for again: both end the same way. The sync is for the row that is forgotten some day:
	 * a blob that came back then would be nobody's. */
	if (*ret_n > 0 && !blobs_sync(p->env.blobs, err))
		return false;
	for (size_t i = 0; i < *ret_n; i++)
		if (!store_blob_gone(p->env.store, ids[i], err))
			return false;
	return true;
}

static bool lost_expire(struct pipeline *p, int64_t now, struct error *err)
{
	uint64_t files, bytes;
	if (p->config.lost_after_s == 0)
		return true;
	if (!lost_remove(p->data_dir, now - (int64_t)p->config.lost_after_s, &files, &bytes, err))
		return false;
	if (files > 0)
		log_info("lost.removed", kv_u64("files", files), kv_u64("bytes", bytes));
	return true;
}

static void sweep_once(struct pipeline *p)
{
	struct error err;
	size_t n = SWEEP_AT_ONCE;
	int64_t next;
	if (!time_is_good(p))
		return;
	pthread_mutex_lock(&p->sweep_lock); /* one at a time */
	int64_t now = sys.now_s();
	bool ok = store_sweep(p->env.store, now, &next, &err);
	while (ok && n == SWEEP_AT_ONCE)
		ok = blobs_spare_remove(p, &n, &err);
	ok = ok && lost_expire(p, now, &err);
	pthread_mutex_unlock(&p->sweep_lock);
	if (!ok)
		log_fault("sweep.failed", &err);
}

static void sweep_regularly(void *arg)
{
	struct pipeline *p = arg;
	sweep_once(p);
	if (!p->env.closing)
		workers_post_after(p->env.workers, &p->sweep_work, sweep_regularly, p,
				   p->config.sweep_ms);
}

static void sweep_asked(void *arg)
{
	struct pipeline *p = arg;
	p->sweep_is_asked = false;
	sweep_once(p);
}

void pipeline_sweep(struct pipeline *p)
{
	if (!atomic_exchange(&p->sweep_is_asked, true))
		workers_post(p->env.workers, &p->sweep_asked_work, sweep_asked, p);
}

/* ---- opening and closing ---- */

/* When in doubt a blob is kept: the next start asks again. */
static enum blob_standing standing_of_blob(void *ctx, const char *id)
{
	struct pipeline *p = ctx;
	struct error err;
	bool known, deleted;
	if (!store_blob_known(p->env.store, id, &known, &deleted, &err)) {
		log_fault("sweep.failed", &err, kv_str("blob", id));
		return BLOB_KNOWN;
	}
	return known ? BLOB_KNOWN : deleted ? BLOB_DELETED : BLOB_UNKNOWN;
}

/* The batch whose journal has that name; false if no journal of ours has. */
static bool batch_of_journal(const char *name, char id[static ID_SIZE])
{
	const char *dot = strrchr(name, '.');
	return dot != NULL && strcmp(dot, ".journal") == 0 &&
	       slice_copy((struct slice){ name, (size_t)(dot - name) }, id, ID_SIZE);
}

/* The journal of a batch that is final was left by a crash right after the end, and goes; that of a
 * batch which nobody knows is moved to lost/. */
static bool journal_sweep(struct pipeline *p, const char *dir, const char *name, uint64_t *lost,
			  struct error *err)
{
	char path[800], id[ID_SIZE];
	struct batch b;
	struct error missing;
	if (!batch_of_journal(name, id))
		return true;
	if (!store_batch_get(p->env.store, NULL, id, &b, &missing)) {
		if (missing.kind != ERR_NOT_FOUND)
			return true; /* the next start asks again */
		++*lost;
		return lost_take(p->data_dir, run_env_lost_at(&p->env), "batches", name, err);
	}
	bool spare = batch_is_final(b.status);
	batch_done(&b);
	snprintf(path, sizeof(path), "%s/%s", dir, name);
	if (spare && unlink(path) != 0)
		log_warn("journal.unlink_failed", kv_str("batch", id), kv_int("errno", errno));
	return true;
}

static bool journals_sweep(struct pipeline *p, struct error *err)
{
	char dir[420];
	uint64_t lost = 0;
	bool ok = true;
	snprintf(dir, sizeof(dir), "%s/batches", p->data_dir);
	if (!sys_make_dir(dir))
		return fail_sys(err, errno, "making %s", dir);
	DIR *d = opendir(dir);
	if (d == NULL)
		return fail_sys(err, errno, "reading %s", dir);
	for (struct dirent *e; ok && (e = readdir(d)) != NULL;)
		ok = journal_sweep(p, dir, e->d_name, &lost, err);
	closedir(d);
	if (lost > 0)
		log_warn("journal.lost", kv_u64("journals", lost), kv_str("moved_to", "lost/"));
	return ok;
}

/* Until every run has read its journal: nobody is shown counts lower than before the restart. Not
 * for ever: a disk that refuses must not keep the server from answering. */
static void runs_wait(struct pipeline *p)
{
	uint64_t until = sys.monotonic_ms() + RESUME_WAIT_MS;
	bool waiting = true;
	while (waiting && sys.monotonic_ms() < until) {
		waiting = false;
		pthread_mutex_lock(&p->lock);
		for (unsigned i = 0; i < BUCKETS; i++)
			for (struct run *r = p->runs[i]; r != NULL; r = *run_next(r))
				waiting = waiting || run_is_new(r);
		pthread_mutex_unlock(&p->lock);
		if (waiting)
			usleep(2000);
	}
}

static void on_line_ended(void *ctx, struct outcome *o)
{
	recorder_push(((struct pipeline *)ctx)->env.recorder, o);
}

static bool stages_open(struct pipeline *p, struct error *err)
{
	const struct recorder_ops recorder_ops = {
		.journal = run_journal,
		.name = run_name,
		.durable = run_durable,
		.ends = run_ends,
		.given_up = run_given_up,
		.flushed = run_flushed,
	};
	const struct dispatch_ops dispatch_ops = {
		.lease_next = run_lease_next,
		.look = run_look,
		.line_read = run_line_read,
		.ended = on_line_ended,
		.dropped = run_dropped,
		.fault = run_fault,
	};
	const struct dispatch_config dispatch_config = {
		.max_attempts = p->config.max_attempts,
		.patience_ms = p->config.patience_ms,
		.line_timeout_ms = p->config.line_timeout_ms,
		.response_bytes_max = p->config.response_bytes_max,
		.online_waiting_max = p->config.online_waiting_max,
		.budget = &p->budget,
	};
	return recorder_open(&recorder_ops, p, &p->env.recorder, err) &&
	       dispatch_open(&dispatch_config, p->config.upstreams, p->config.upstream_count,
			     &dispatch_ops, p, &p->env.dispatch, err) &&
	       workers_open("pipeline", WORKERS, &p->env.workers, err);
}

bool pipeline_open(const char *data_dir, const struct pipeline_config *config, struct store *store,
		   struct blobs *blobs, struct pipeline **ret, struct error *err)
{
	struct pipeline *p = calloc(1, sizeof(*p));
	if (p == NULL)
		return fail_memory(err);
	p->config = *config;
	pthread_mutex_init(&p->lock, NULL);
	pthread_mutex_init(&p->sweep_lock, NULL);
	pthread_mutex_init(&p->clock_lock, NULL);
	p->env = (struct run_env){
		.data_dir = p->data_dir,
		.config = &p->config,
		.store = store,
		.blobs = blobs,
		.ended = on_ended,
		.time_is_good = time_is_good,
		.ctx = p,
	};
	run_files_init(&p->env.files);
	budget_init(&p->budget, config->memory_bytes);
	AUTO(auto_free) char(*ids)[ID_SIZE] = NULL;
	size_t n = 0;
	bool ok = slice_copy(slice_of(data_dir), p->data_dir, sizeof(p->data_dir)) ||
		  fail_sys(err, ENAMETOOLONG, "opening %s", data_dir);
	ok = ok && clock_begin(p, err) &&
	     blobs_sweep(blobs, standing_of_blob, p, run_env_lost_at(&p->env), err) &&
	     journals_sweep(p, err) && stages_open(p, err) &&
	     store_batches_open(store, &ids, &n, err);
	if (!ok) {
		pipeline_close(p);
		return false;
	}
	for (size_t i = 0; i < n; i++)
		pipeline_submit(p, ids[i]);
	runs_wait(p);
	check_windows(p);
	check_suspended(p);
	sweep_regularly(p);
	*ret = p;
	return true;
}

bool pipeline_upstreams(struct pipeline *p, const struct upstream_config *list, size_t n,
			struct error *err)
{
	return dispatch_upstreams(p->env.dispatch, list, n, err);
}

struct dispatch *pipeline_dispatch(struct pipeline *p)
{
	return p->env.dispatch;
}

struct budget *pipeline_budget(struct pipeline *p)
{
	return &p->budget;
}

void pipeline_drain(struct pipeline *p)
{
	p->draining = true;
	log_info("pipeline.draining", kv_u64("at_most_ms", p->config.drain_ms));
	bool idle = dispatch_drain(p->env.dispatch, p->config.drain_ms);
	dispatch_online_close(p->env.dispatch);
	bool durable = recorder_wait(p->env.recorder, p->config.drain_ms);
	log_info("pipeline.drained", kv_str("in_flight", idle ? "none" : "some dropped"),
		 kv_str("recorded", durable ? "all" : "not all: the disk refuses"));
}

void pipeline_close(struct pipeline *p)
{
	if (p == NULL)
		return;
	p->env.closing = true;
	workers_stop(p->env.workers); /* dispatch and recorder may still post */
	for (unsigned i = 0; i < BUCKETS; i++)
		for (struct run *r = p->runs[i]; r != NULL; r = *run_next(r))
			run_abandon(r);
	dispatch_stop(p->env.dispatch);
	recorder_close(p->env.recorder); /* it still tells dispatch what is durable */
	dispatch_close(p->env.dispatch);
	workers_close(p->env.workers);
	for (unsigned i = 0; i < BUCKETS; i++)
		for (struct run *r = p->runs[i], *next; r != NULL; r = next) {
			next = *run_next(r);
			run_free(r);
		}
	run_files_done(&p->env.files);
	pthread_mutex_destroy(&p->lock);
	pthread_mutex_destroy(&p->sweep_lock);
	pthread_mutex_destroy(&p->clock_lock);
	free(p);
}
