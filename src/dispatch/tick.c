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
#include "dispatch/progress.h"
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
	bool told = m->slots >= 0.5 && !model_settles(m, now_ms);
	schedule_forecast(m->schedule, told ? m->slots : 0, sys.now_s());
	schedule_each(m->schedule, forecast_each, NULL);
	if (m->stall != STALL_NONE)
		model_stall(m); /* a probe may have been answered otherwise than the last one */
	else
		schedule_each(m->schedule, stall_each, NULL);
}

/* Of the lanes of one engine, which have one limit, the first tells. */
static bool lane_tells(const struct lane *lane)
{
	return lane->limit != target_of(lane->upstream)->limit || lane == lanes_of(lane->upstream);
}

static void doubt_log(struct lane *lane, enum limit_doubt doubt)
{
	const char *name = lane->upstream->config.name;

	if (doubt == lane->doubt)
		return;
	lane->doubt = doubt;
	if (!lane_tells(lane))
		return;
	if (doubt != LIMIT_DOUBT_NONE)
		log_warn("upstream.metrics_ignored", kv_str("upstream", name),
			 kv_str("why", limit_doubt_text(doubt)));
	else
		log_info("upstream.metrics_followed", kv_str("upstream", name));
}

static void lane_tick(struct lane *lane, uint64_t now_us)
{
	struct limit_state s = limit_state(lane->limit, now_us);

	doubt_log(lane, s.doubt);
	const struct decision *last = &lane->decisions[(lane->decision_count - 1) % DECISIONS_MAX];

	if (lane->decision_count > 0 && last->state.reason == s.reason &&
	    fabs(s.limit - last->state.limit) < DECISION_CHANGE * last->state.limit)
		return;
	lane->decisions[lane->decision_count++ % DECISIONS_MAX] =
		(struct decision){ .at = sys.now_s(), .state = s };
	if (lane->decision_count == 1 || !lane_tells(lane))
		return; /* where it starts is no decision */
	log_info("upstream.concurrency_limit", kv_str("upstream", lane->upstream->config.name),
		 kv_str("model", lane->model->name), kv_u64("limit", (uint64_t)(s.limit + 0.5)),
		 kv_str("reason", limit_reason_name(s.reason)), kv_u64("lines", s.batch),
		 kv_u64("online", s.online), kv_u64("cross_traffic", (uint64_t)(s.others + 0.5)),
		 kv_u64("reserve", s.reserve));
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
		for (struct lane *lane = lanes_of(u); lane != NULL; lane = lane->next_of_upstream)
			lane_tick(lane, sys.monotonic_us());
	}
	upstreams_tidy(d, now_ms);
}
