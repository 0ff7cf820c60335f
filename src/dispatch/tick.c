/* tick.c: once a second: forecasts and rates, for the batches; what lanes decided, for the log and
 * the console. */
#include "dispatch/tick.h"

#include <assert.h>
#include <math.h>
#include <stdio.h>

#include "base/log.h"
#include "base/sys.h"
#include "dispatch/dispatch_impl.h"
#include "dispatch/lane.h"
#include "dispatch/learn.h"
#include "dispatch/model.h"
#include "dispatch/online_shared.h"
#include "dispatch/progress.h"
#include "dispatch/spending.h"
#include "dispatch/stall.h"
#include "dispatch/target.h"
#include "dispatch/thread.h"
#include "dispatch/upstreams.h"

#define RATE_LEAST_S 0.5    /* over less than that nothing can be told of a rate */
#define SETTLES_MS 15000u   /* that a limit takes to be found, at most */
#define DECISION_CHANGE 0.2 /* a limit that has changed by so much is worth a line in the log */

static void forecast_each(void *ctx, struct schedule_batch *entry)
{
	(void)ctx;
	flow_show_forecast(entry->batch);
}

static void lines_each(void *ctx, struct schedule_batch *entry)
{
	(void)ctx;
	entry->lines_most = spending_lines(entry->batch);
}

static void rate_each(void *ctx, struct schedule_batch *entry)
{
	flow_rate(entry->batch, *(const double *)ctx);
}

/* While a lane is looking for its limit nothing can be told from the one it has. Not for ever:
 * where a lane is never full it does not find one. */
static bool model_settles(const struct model *m, uint64_t now_ms)
{
	if (now_ms - m->busy_since_ms >= SETTLES_MS)
		return false;
	for (const struct lane *lane = m->lanes; lane != NULL; lane = lane->next_of_model) {
		enum limit_reason reason = limit_state(lane->limit, sys.monotonic_us()).reason;
		if (!lane->closed && (reason == LIMIT_STARTING || reason == LIMIT_GROWING))
			return true;
	}
	return false;
}

static void stall_each(void *ctx, struct schedule_batch *entry)
{
	(void)ctx;
	flow_stall(entry->batch);
}

static void model_tick(struct model *m, double seconds, uint64_t now_ms)
{
	double now = 0;

	if (m->batches == 0)
		return;
	for (struct lane *lane = m->lanes; lane != NULL; lane = lane->next_of_model)
		now += lane_slots(lane);
	double share = m->slots < 1 ? 1 : seconds / (RATE_OVER_S / 2 + seconds);
	m->slots += (now - m->slots) * share;
	bool full = m->stall == STALL_NONE && model_has_line(m);
	pace_look(&m->pace, seconds, schedule_lines_ended(m->schedule), full);
	bool told = m->slots >= 0.5 && !model_settles(m, now_ms);
	schedule_look_again(m->schedule);
	schedule_each(m->schedule, lines_each, NULL);
	schedule_forecast(m->schedule, told ? m->slots : 0, sys.now_s());
	schedule_each(m->schedule, forecast_each, NULL);
	if (m->stall != STALL_NONE)
		model_stall(m); /* a probe may have been answered otherwise than the last one */
	else
		schedule_each(m->schedule, stall_each, NULL);
}

static void doubt_log(const struct upstream *u, enum limit_doubt doubt)
{
	if (doubt != LIMIT_DOUBT_NONE)
		log_warn("upstream.metrics_ignored", kv_str("upstream", u->config.name),
			 kv_str("why", limit_doubt_text(doubt)));
	else
		log_info("upstream.metrics_followed", kv_str("upstream", u->config.name));
}

static bool limit_differs(const struct limit_state *s, const struct limit_state *before)
{
	return s->reason != before->reason ||
	       fabs(s->limit - before->limit) >= DECISION_CHANGE * before->limit;
}

#define LIMIT_FIELDS(s)                                                                        \
	kv_u64("limit", (uint64_t)((s)->limit + 0.5)),                                         \
		kv_str("reason", limit_reason_name((s)->reason)), kv_u64("lines", (s)->batch), \
		kv_u64("online", (s)->online),                                                 \
		kv_u64("cross_traffic", (uint64_t)((s)->others + 0.5)),                        \
		kv_u64("reserve", (s)->reserve)

static void lane_tick(struct lane *lane, uint64_t now_us)
{
	const struct upstream *u = lane->upstream;
	const struct limit_state s = limit_state(lane->limit, now_us), *last = lane_decided(lane);
	bool first = last == NULL, shared = lane->limit == target_of(u)->limit;

	if (!first && !limit_differs(&s, last))
		return;
	lane->decisions[lane->decision_count++ % DECISIONS_MAX] =
		(struct decision){ .at = sys.now_s(), .state = s };
	if (!first && !shared) /* where it starts is no decision */
		log_info("upstream.concurrency_limit", kv_str("upstream", u->config.name),
			 kv_str("model", lane->model->name), LIMIT_FIELDS(&s));
}

/* The limit that all lanes share is logged once, of no model. */
static void shared_limit_tick(struct target *t, uint64_t now_us)
{
	struct limit_state *told = &t->limit_told;

	if (t->limit == NULL)
		return;
	const struct limit_state s = limit_state(t->limit, now_us);
	if (s.doubt != told->doubt)
		doubt_log(&t->upstream, s.doubt);
	told->doubt = s.doubt;
	bool first = told->limit <= 0;
	if (!first && !limit_differs(&s, told))
		return;
	*told = s;
	if (!first)
		log_info("upstream.concurrency_limit", kv_str("upstream", t->upstream.config.name),
			 LIMIT_FIELDS(&s));
}

/* Batches say so too, see flow_stall(). */
static void disk_tick(struct dispatch *d, uint64_t now_ms)
{
	bool behind = slots_unsynced_full(&d->slots), begins = behind && !d->disk_behind;
	uint64_t others;

	d->disk_behind = behind;
	if (begins && log_storm_pass(&d->disk_told, now_ms, &others))
		log_warn("dispatch.waits_for_disk",
			 kv_u64("not_durable", slots_unrecorded(&d->slots)));
}

static unsigned percent(double share)
{
	return (unsigned)(100 * share + 0.5);
}

/* Said once: after all ways of sending were tried. */
static void prompt_cache_look(struct upstream *u, uint64_t now_ms)
{
	struct prompt_cache *c = &target_of(u)->prompt_cache;
	const struct prompt_cache_view view = {
		.engine = upstream_engine(u),
		.queries = u->has_gauges ? u->gauges.prefix_queries : -1,
		.hits = u->has_gauges ? u->gauges.prefix_hits : -1,
		.online = u->counts.online,
		.in_flight = u->slots.sent,
		.now_ms = now_ms,
	};
	struct prompt_cache_news news;

	if (!prompt_cache_tick(c, &view, &news))
		return;
	char prefixes[16] = "any";
	if (news.prefixes != SCHEDULE_PREFIXES_ANY)
		snprintf(prefixes, sizeof(prefixes), "%u", news.prefixes);
	log_info("upstream.prefix_cache", kv_str("upstream", u->config.name),
		 kv_u64("expected_percent", percent(news.expected)),
		 kv_u64("found_percent", percent(news.found_before)),
		 kv_str("taken_for", news.cache == SCHEDULE_CACHE_SHARED ? "shared" : "of_slots"),
		 kv_str("open_at_most", prefixes),
		 kv_u64("then_found_percent", percent(news.found)));
}

void tick_run(struct dispatch *d, uint64_t now_ms)
{
	assert(on_dispatch_thread());
	disk_tick(d, now_ms);
	double seconds = (double)(now_ms - d->ticked_at_ms) / 1000;
	bool rated = seconds >= RATE_LEAST_S;
	for (struct model *m = d->models; m != NULL; m = m->next) {
		model_tick(m, seconds, now_ms);
		if (rated)
			schedule_each(m->schedule, rate_each, &seconds);
	}
	if (rated)
		d->ticked_at_ms = now_ms;
	for (struct upstream *u = d->upstreams; u != NULL; u = u->next) {
		learn_tick(u, now_ms);
		prompt_cache_look(u, now_ms);
		shared_limit_tick(target_of(u), sys.monotonic_us());
		for (struct lane *lane = lanes_of(u); lane != NULL; lane = lane->next_of_upstream)
			lane_tick(lane, sys.monotonic_us());
	}
	online_shared_apply(d);
	upstreams_tidy(d, now_ms);
}
