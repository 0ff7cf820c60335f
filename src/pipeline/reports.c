#include "pipeline/reports.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/sys.h"
#include "base/worker.h"
#include "dispatch/view_sum.h"
#include "dispatch/view_text.h"
#include "pipeline/cluster_impl.h"
#include "pipeline/kept_history.h"

#define TELL_MS 1000
#define LOOK_MS 500  /* what is younger is not read again */
#define KEPT_MS 5000 /* what cannot be read again is shown for so long */
#define WAIT_MS 1000 /* for the connection, where another asks */
#define TEXT_BYTES_MAX (32u << 20)
#define VIEWS_MOST 64u

struct reports {
	struct cluster *cl;
	struct db *db; /* of whoever has taken it */
	pthread_t thread;
	bool started;

	pthread_mutex_t lock; /* for all below, up to the thread's */
	pthread_cond_t changed;
	bool stopping;
	bool taken;          /* the connection */
	bool broken;         /* it failed, and has not answered since */
	struct report *seen; /* the others', by number */
	size_t seen_n;
	uint64_t seen_ms; /* when they were asked for */
	int64_t since;    /* Unix s: when this start began, by the database's clock */

	/* the thread's */
	struct buf scheduling, batches; /* as they were told last */
	uint64_t told_epoch;            /* 0: nothing was told */
	bool has_forgotten;
	struct kept_history history;
	struct log_storm failed;
};

/* ---- the connection ---- */

/* False: another has it for so long. */
static bool db_take(struct reports *r, uint64_t wait_ms)
{
	struct timespec until = clock_after_ms(wait_ms);
	int timed_out = 0;

	pthread_mutex_lock(&r->lock);
	while (r->taken && timed_out == 0)
		timed_out = pthread_cond_timedwait(&r->changed, &r->lock, &until);
	bool got = !r->taken;
	if (got)
		r->taken = true;
	pthread_mutex_unlock(&r->lock);
	return got;
}

static void db_give(struct reports *r, bool ok)
{
	pthread_mutex_lock(&r->lock);
	r->taken = false;
	r->broken = !ok;
	pthread_cond_broadcast(&r->changed);
	pthread_mutex_unlock(&r->lock);
}

static bool is_broken(struct reports *r)
{
	pthread_mutex_lock(&r->lock);
	bool broken = r->broken || r->stopping;
	pthread_mutex_unlock(&r->lock);
	return broken;
}

/* For who is asked: not where it would wait for a connection to be made. */
static bool db_take_to_show(struct reports *r)
{
	if (is_broken(r) || !db_take(r, WAIT_MS))
		return false;
	if (!is_broken(r))
		return true;
	db_give(r, false);
	return false;
}

/* ---- what the others tell ---- */

static void seen_free(struct report *seen, size_t n)
{
	for (size_t i = 0; i < n; i++)
		report_done(&seen[i]);
	free(seen);
}

/* One that makes no sense is as none. */
static size_t texts_parse(struct report_text *texts, size_t n, struct report *to)
{
	struct error err;
	size_t known = 0;

	for (size_t i = 0; i < n; i++) {
		if (report_read(&texts[i], &to[known], &err))
			known++;
		else
			log_debug("report.not_read", kv_u64("node", texts[i].node),
				  kv_str("why", err.message));
	}
	return known;
}

static bool seen_read(struct reports *r, struct error *err)
{
	uint64_t now_ms = sys.monotonic_ms();
	struct report_text *texts;
	size_t n;

	if (!store_report_list(r->db, node_owner(r->cl->node).node, &texts, &n, err))
		return false;
	struct report *seen = calloc(n + 1, sizeof(*seen));
	size_t known = seen != NULL ? texts_parse(texts, n, seen) : 0;
	report_texts_free(texts, n);
	if (seen == NULL)
		return fail_memory(err);
	pthread_mutex_lock(&r->lock);
	struct report *before = r->seen;
	size_t before_n = r->seen_n;
	r->seen = seen;
	r->seen_n = known;
	r->seen_ms = now_ms;
	pthread_mutex_unlock(&r->lock);
	seen_free(before, before_n);
	return true;
}

static bool seen_is_older(struct reports *r, uint64_t ms)
{
	pthread_mutex_lock(&r->lock);
	bool older = r->seen_ms == 0 || sys.monotonic_ms() - r->seen_ms >= ms;
	pthread_mutex_unlock(&r->lock);
	return older;
}

void reports_look(struct reports *r)
{
	struct error err;

	if (!seen_is_older(r, LOOK_MS) || !db_take_to_show(r))
		return;
	bool ok = !seen_is_older(r, LOOK_MS) || seen_read(r, &err);
	db_give(r, ok);
}

/* With the lock: how many of `seen` are to be shown. */
static size_t seen_count(const struct reports *r)
{
	return sys.monotonic_ms() - r->seen_ms < KEPT_MS ? r->seen_n : 0;
}

void reports_batch_add(struct reports *r, struct report_batch *to)
{
	pthread_mutex_lock(&r->lock);
	size_t n = seen_count(r);
	for (size_t i = 0; i < n; i++) {
		const struct report_batch *b = report_find(&r->seen[i], to->id);
		if (b != NULL)
			report_batch_add(to, b);
	}
	pthread_mutex_unlock(&r->lock);
}

/* ---- what this one sees ---- */

struct own_batches {
	struct report_batch *of;
	size_t n;
};

static struct report_batch *own_get(struct own_batches *own, const char *id)
{
	size_t i = 0;

	while (i < own->n && strcmp(own->of[i].id, id) != 0)
		i++;
	if (i < own->n)
		return &own->of[i];
	struct report_batch *of = array_room(own->of, own->n, sizeof(*of));
	if (of == NULL)
		return NULL;
	own->of = of;
	report_batch_init(&own->of[own->n], id);
	return &own->of[own->n++];
}

static void on_own(void *ctx, struct coordinator *c)
{
	struct report_batch one, *b;

	if (coordinator_span_number(c) == COORDINATOR_WHOLE)
		return;
	report_batch_init(&one, coordinator_id(c));
	coordinator_span_view(c, &one);
	if (one.queue_position >= 0 && (b = own_get(ctx, one.id)) != NULL)
		report_batch_add(b, &one);
}

struct report_batch *reports_own(struct reports *r, size_t *ret_n)
{
	struct own_batches own = { 0 };

	batch_table_each(r->cl->table, on_own, &own);
	for (size_t i = 0; i < own.n; i++)
		own.of[i].rate_per_s = history_batch_rate(r->cl->env->config->history,
							  own.of[i].id);
	*ret_n = own.n;
	return own.of;
}

static const struct view_asked all_of_it = { .whose = VIEW_ALL, .decisions = true, .flows = true };

/* ---- the sum ---- */

bool reports_scheduling(struct reports *r, const struct view_asked *asked, view_fn fn, void *ctx,
			struct error *err)
{
	AUTO(scheduling_view_done) struct scheduling_view own = { 0 }, sum = { 0 };
	const struct scheduling_view *views[VIEWS_MOST] = { &own };

	if (!dispatch_view(r->cl->env->dispatch, &all_of_it, &own, err))
		return false;
	reports_look(r);
	pthread_mutex_lock(&r->lock);
	size_t n = seen_count(r);
	if (n > VIEWS_MOST - 1)
		n = VIEWS_MOST - 1;
	for (size_t i = 0; i < n; i++)
		views[i + 1] = &r->seen[i].view;
	bool ok = view_sum(views, n + 1, asked, &sum, err);
	if (ok)
		fn(ctx, &sum);
	pthread_mutex_unlock(&r->lock);
	return ok;
}

/* ---- the history ---- */

/* The first of those that are up. */
static int64_t earliest_since(struct reports *r)
{
	pthread_mutex_lock(&r->lock);
	int64_t since = r->since;
	for (size_t i = 0; i < r->seen_n; i++)
		since = r->seen[i].since < since ? r->seen[i].since : since;
	pthread_mutex_unlock(&r->lock);
	return since;
}

bool reports_history(struct reports *r, const char *org, enum rings_span span,
		     struct history_page *ret)
{
	struct error err;

	reports_look(r);
	if (!db_take_to_show(r))
		return false;
	bool ok = kept_history_page(r->db, org, span, cluster_now_s(r->cl), earliest_since(r), ret,
				    &err);
	db_give(r, ok);
	return ok;
}

bool reports_history_batch(struct reports *r, const char *batch, struct history_page *ret)
{
	struct error err;

	if (!db_take_to_show(r))
		return false;
	bool ok = kept_history_batch(r->db, batch, cluster_now_s(r->cl), ret, &err);
	db_give(r, ok);
	return ok;
}

/* ---- telling ---- */

static bool texts_make(struct reports *r, struct buf *scheduling, struct buf *batches,
		       struct error *err)
{
	AUTO(scheduling_view_done) struct scheduling_view view = { 0 };
	size_t n;

	if (!dispatch_view(r->cl->env->dispatch, &all_of_it, &view, err))
		return false;
	view_write(scheduling, &view);
	AUTO(auto_free) struct report_batch *own = reports_own(r, &n);
	report_batches_write(batches, own, n);
	buf_char(scheduling, '\0');
	buf_char(batches, '\0');
	return (!scheduling->failed && !batches->failed) || fail_memory(err);
}

static void told_keep(struct reports *r, struct buf *scheduling, struct buf *batches,
		      uint64_t epoch)
{
	struct buf before[] = { r->scheduling, r->batches };

	r->scheduling = *scheduling;
	r->batches = *batches;
	*scheduling = before[0];
	*batches = before[1];
	r->told_epoch = epoch;
	r->has_forgotten = true;
}

/* crash, before or after it: its report is over with its lease. */
static bool report_tell(struct reports *r, struct error *err)
{
	AUTO(buf_free) struct buf scheduling = BUF(TEXT_BYTES_MAX);
	AUTO(buf_free) struct buf batches = BUF(TEXT_BYTES_MAX);
	struct owner me = node_owner(r->cl->node);

	if (!texts_make(r, &scheduling, &batches, err))
		return false;
	if (r->told_epoch == me.epoch &&
	    slice_eq(buf_slice(&scheduling), buf_slice(&r->scheduling)) &&
	    slice_eq(buf_slice(&batches), buf_slice(&r->batches)))
		return true;
	const struct report_text text = { me.node, r->since, REPORT_FORMAT, scheduling.p,
					  batches.p };
	if (!store_report_put(r->db, &text, me.epoch, !r->has_forgotten, err))
		return false;
	told_keep(r, &scheduling, &batches, me.epoch);
	return true;
}

static bool tell(struct reports *r, bool end, struct error *err)
{
	struct history *h = r->cl->env->config->history;

	if (h != NULL && !kept_history_turn(&r->history, h, r->db, node_owner(r->cl->node).node,
					    cluster_now_s(r->cl), end, err))
		return false;
	return end || report_tell(r, err);
}

static void turn(struct reports *r, bool end)
{
	uint64_t others;
	struct error err;

	if (!db_take(r, end ? WAIT_MS : 10 * WAIT_MS))
		return;
	pthread_mutex_lock(&r->lock);
	bool broken = r->broken;
	pthread_mutex_unlock(&r->lock);
	if (broken)
		r->told_epoch = 0; /* a crash of the database's loses what was told */
	bool ok = tell(r, end, &err);
	db_give(r, ok);
	if (!ok && err.kind != ERR_UNAVAILABLE && /* that the node says (node.away) */
	    log_storm_pass(&r->failed, sys.monotonic_ms(), &others))
		log_fault("reports.not_told", &err, kv_u64("others_before", others));
}

static void *reports_main(void *arg)
{
	struct reports *r = arg;

	pthread_mutex_lock(&r->lock);
	while (!r->stopping) {
		pthread_mutex_unlock(&r->lock);
		turn(r, false);
		pthread_mutex_lock(&r->lock);
		struct timespec until = clock_after_ms(TELL_MS);
		int timed_out = 0;
		while (!r->stopping && timed_out == 0)
			timed_out = pthread_cond_timedwait(&r->changed, &r->lock, &until);
	}
	pthread_mutex_unlock(&r->lock);
	return NULL;
}

/* ---- opening and closing ---- */

bool reports_open(struct cluster *cl, const char *url, struct reports **ret, struct error *err)
{
	struct reports *r = calloc(1, sizeof(*r));

	*ret = NULL;
	if (r == NULL)
		return fail_memory(err);
	r->cl = cl;
	r->since = cluster_now_s(cl);
	pthread_mutex_init(&r->lock, NULL);
	clock_cond_init(&r->changed);
	if (cl->env->config->history != NULL)
		history_share(cl->env->config->history);
	r->started = node_db_open(url, &r->db, err) &&
		     thread_start(&r->thread, "reports", reports_main, r, err);
	if (!r->started) {
		reports_close(r);
		return false;
	}
	*ret = r;
	return true;
}

void reports_stop(struct reports *r)
{
	if (r == NULL || !r->started)
		return;
	pthread_mutex_lock(&r->lock);
	r->stopping = true;
	pthread_cond_broadcast(&r->changed);
	pthread_mutex_unlock(&r->lock);
	pthread_join(r->thread, NULL);
	r->started = false;
	pthread_mutex_lock(&r->lock);
	bool broken = r->broken;
	pthread_mutex_unlock(&r->lock);
	if (!broken)
		turn(r, true);
}

void reports_close(struct reports *r)
{
	if (r == NULL)
		return;
	reports_stop(r);
	seen_free(r->seen, r->seen_n);
	buf_free(&r->scheduling);
	buf_free(&r->batches);
	kept_history_done(&r->history);
	node_db_close(r->db);
	pthread_cond_destroy(&r->changed);
	pthread_mutex_destroy(&r->lock);
	free(r);
}
