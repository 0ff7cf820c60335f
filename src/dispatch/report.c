/* report.c: what is going on: told to batches and to the log once a second, and to whoever asks. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>

#include "base/log.h"
#include "base/sys.h"
#include "dispatch/dispatch_impl.h"

#define RATE_OVER_S 20.0    /* lines a second and slots in use: averages over about that long */
#define RATE_LEAST_S 0.5    /* over less than that nothing can be told of a rate */
#define SETTLES_MS 15000u   /* that a width takes to be found, at most */
#define DECISION_CHANGE 0.2 /* a width that has changed by so much is worth a line in the log */

/* ---- once a second ---- */

static void batch_forecast(void *ctx, struct schedule_batch *entry)
{
	struct dispatch_batch *b = entry->batch;
	const struct schedule_forecast *f = &entry->forecast;
	(void)ctx;
	b->eta_at = f->eta_s < 0 ? 0 : sys.now_s() + f->eta_s;
	b->at_risk = f->at_risk;
	b->queue_position = f->queue_position;
}

static void batch_rate(void *ctx, struct schedule_batch *entry)
{
	struct dispatch_batch *b = entry->batch;
	double seconds = *(const double *)ctx;
	double rate = (double)(b->ended - b->ended_before) / seconds;
	double share = fmax(seconds / (RATE_OVER_S + seconds),
			    1.0 / ++b->rated); /* a mean at first */
	b->ended_before = b->ended;
	b->rate += (rate - b->rate) * share;
	b->rate_per_ks = (unsigned)(b->rate * 1000 + 0.5);
}

/* While a lane is looking for its width nothing can be told from the one it has. Not for ever: where a
 * lane is never full it does not find one. */
static bool model_settles(const struct model *m, uint64_t now_ms)
{
	if (now_ms - m->busy_since_ms >= SETTLES_MS)
		return false;
	for (const struct lane *lane = m->lanes; lane != NULL; lane = lane->next_of_model) {
		enum width_reason reason = width_state(lane->width, sys.monotonic_us()).reason;
		if (!lane->closed && (reason == WIDTH_STARTING || reason == WIDTH_GROWING))
			return true;
	}
	return false;
}

static void stall_each(void *ctx, struct schedule_batch *entry)
{
	batch_stall(ctx, entry->batch);
}

static void model_tick(struct dispatch *d, struct model *m, double seconds, uint64_t now_ms)
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
	schedule_each(m->schedule, batch_forecast, NULL);
	if (m->stall != STALL_NONE)
		model_stall(d, m); /* a probe may have been answered otherwise than the last one */
	else
		schedule_each(m->schedule, stall_each, d);
}

static void lane_tick(struct lane *lane, uint64_t now_us)
{
	struct width_state s = width_state(lane->width, now_us);
	const struct decision *last = &lane->decisions[(lane->decision_count - 1) % DECISIONS_MAX];
	if (lane->decision_count > 0 && last->state.reason == s.reason &&
	    fabs(s.width - last->state.width) < DECISION_CHANGE * last->state.width)
		return;
	lane->decisions[lane->decision_count++ % DECISIONS_MAX] =
		(struct decision){ .at = sys.now_s(), .state = s };
	if (lane->decision_count == 1)
		return; /* where it starts is no decision */
	log_info("upstream.width", kv_str("upstream", lane->upstream->config.name),
		 kv_str("model", lane->model->name), kv_u64("width", (uint64_t)(s.width + 0.5)),
		 kv_str("reason", width_reason_name(s.reason)), kv_u64("lines", s.batch),
		 kv_u64("online", s.online), kv_u64("others", (uint64_t)(s.others + 0.5)),
		 kv_u64("reserve", s.reserve));
}

void report_tick(struct dispatch *d, uint64_t now_ms)
{
	double seconds = (double)(now_ms - d->ticked_at_ms) / 1000;
	bool rated = seconds >= RATE_LEAST_S;
	for (struct model *m = d->models; m != NULL; m = m->next) {
		model_tick(d, m, seconds, now_ms);
		if (rated)
			schedule_each(m->schedule, batch_rate, &seconds);
	}
	if (rated)
		d->ticked_at_ms = now_ms;
	for (struct upstream *u = d->upstreams; u != NULL; u = u->next) {
		stall_tick(d, u, now_ms);
		for (struct lane *lane = u->lanes; lane != NULL; lane = lane->next_of_upstream)
			lane_tick(lane, sys.monotonic_us());
	}
	upstreams_tidy(d, now_ms);
}

/* ---- Prometheus text ---- */

static void label(struct buf *to, const char *name, const char *value)
{
	buf_text(to, name);
	buf_text(to, "=\"");
	for (const char *p = value; *p != '\0'; p++) {
		if (*p == '\n') {
			buf_text(to, "\\n");
			continue;
		}
		if (*p == '"' || *p == '\\')
			buf_char(to, '\\');
		buf_char(to, *p);
	}
	buf_char(to, '"');
}

static void family(struct buf *to, const char *name, const char *type, const char *help)
{
	buf_printf(to, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void of_upstream(struct buf *to, const char *name, const struct upstream *u,
			const char *extra, double value)
{
	buf_text(to, name);
	buf_char(to, '{');
	label(to, "upstream", u->config.name);
	buf_printf(to, "%s} %.17g\n", extra, value);
}

/* Those that are going are left out: one of the same name may have taken their place. */
#define FOR_UPSTREAMS(d, u)                                                     \
	for (const struct upstream *u = (d)->upstreams; u != NULL; u = u->next) \
		if (!u->retired)

#define FOR_LANES(d, lane)                                                                     \
	FOR_UPSTREAMS(d, u_)                                                                   \
	for (const struct lane *lane = u_->lanes; lane != NULL; lane = lane->next_of_upstream) \
		if (model_is_told(lane->model))

/* As its own breaker says, or its lanes', where all of them wait. */
static enum batch_stall upstream_state(const struct upstream *u)
{
	enum batch_stall least = STALL_REFUSED;
	bool any = false;
	for (const struct lane *lane = u->lanes; lane != NULL; lane = lane->next_of_upstream) {
		if (lane->closed)
			continue;
		least = lane->stall < least ? lane->stall : least;
		any = true;
	}
	return any && least > u->stall ? least : u->stall;
}

static uint64_t upstream_trips(const struct upstream *u)
{
	uint64_t trips = u->breaker.trips;
	for (const struct lane *lane = u->lanes; lane != NULL; lane = lane->next_of_upstream)
		trips += lane->breaker.trips;
	return trips;
}

static void upstreams_write(const struct dispatch *d, struct buf *to)
{
	static const char up[] = "lowtide_upstream_up", flight[] = "lowtide_upstream_in_flight";
	static const char requests[] = "lowtide_upstream_requests_total";
	static const char answers[] = "lowtide_upstream_answers_total";
	static const char tokens[] = "lowtide_upstream_tokens_total";
	static const char trips[] = "lowtide_upstream_down_total";

	family(to, up, "gauge", "1 while the upstream takes requests, 0 while it is down.");
	FOR_UPSTREAMS(d, u)
	of_upstream(to, up, u, "",
		    upstream_state(u) == STALL_NONE || upstream_state(u) == STALL_THROTTLED);
	family(to, trips, "counter", "How often the upstream went down.");
	FOR_UPSTREAMS(d, u)
	of_upstream(to, trips, u, "", (double)upstream_trips(u));
	family(to, flight, "gauge", "Requests in flight to the upstream.");
	FOR_UPSTREAMS(d, u)
	{
		of_upstream(to, flight, u, ",kind=\"batch\"", u->slots.sent);
		of_upstream(to, flight, u, ",kind=\"online\"", u->slots.online);
	}
	family(to, requests, "counter", "Requests sent to the upstream.");
	FOR_UPSTREAMS(d, u)
	{
		of_upstream(to, requests, u, ",kind=\"batch\"", (double)u->counts.sent);
		of_upstream(to, requests, u, ",kind=\"online\"", (double)u->counts.online);
	}
	family(to, answers, "counter", "How requests of batch lines ended.");
	FOR_UPSTREAMS(d, u)
	{
		const struct upstream_counts *c = &u->counts;
		of_upstream(to, answers, u, ",result=\"2xx\"", (double)c->answered_2xx);
		of_upstream(to, answers, u, ",result=\"4xx\"", (double)c->answered_4xx);
		of_upstream(to, answers, u, ",result=\"429\"", (double)c->answered_429);
		of_upstream(to, answers, u, ",result=\"5xx\"", (double)c->answered_5xx);
		of_upstream(to, answers, u, ",result=\"broken\"", (double)c->broken);
	}
	family(to, tokens, "counter", "Tokens that batch lines took, prompt and answer.");
	FOR_UPSTREAMS(d, u)
	of_upstream(to, tokens, u, "", (double)u->counts.tokens);
}

static void engines_write(const struct dispatch *d, struct buf *to, uint64_t now_ms)
{
	static const char requests[] = "lowtide_engine_requests",
			  cache[] = "lowtide_engine_cache_use";
	family(to, requests, "gauge", "What the engine's own metrics say of its load.");
	FOR_UPSTREAMS(d, u)
	{
		if (!gauges_current(u, now_ms))
			continue;
		of_upstream(to, requests, u, ",state=\"running\"", u->gauges.running);
		of_upstream(to, requests, u, ",state=\"waiting\"", u->gauges.waiting);
	}
	family(to, cache, "gauge", "The share of the engine's KV cache in use, as it says.");
	FOR_UPSTREAMS(d, u)
	if (gauges_current(u, now_ms) && u->gauges.cache >= 0)
		of_upstream(to, cache, u, "", u->gauges.cache);
}

static void of_lane(struct buf *to, const char *name, const struct lane *lane, const char *extra,
		    double value)
{
	buf_text(to, name);
	buf_char(to, '{');
	label(to, "upstream", lane->upstream->config.name);
	buf_char(to, ',');
	label(to, "model", lane->model->name);
	buf_printf(to, "%s} %.17g\n", extra, value);
}

static void lanes_write(const struct dispatch *d, struct buf *to, uint64_t now_us)
{
	static const char width[] = "lowtide_width", why[] = "lowtide_width_reason";
	static const char others[] = "lowtide_width_others", work[] = "lowtide_work_seconds";
	static const char reserve[] = "lowtide_width_reserve";
	family(to, width, "gauge", "Requests in flight that are right for a model on an upstream.");
	FOR_LANES(d, lane)
	of_lane(to, width, lane, "", width_state(lane->width, now_us).width);
	family(to, why, "gauge", "1 for the reason why the width is what it is.");
	FOR_LANES(d, lane)
	{
		char extra[48];
		snprintf(extra, sizeof(extra), ",reason=\"%s\"",
			 width_reason_name(width_state(lane->width, now_us).reason));
		of_lane(to, why, lane, extra, 1);
	}
	family(to, others, "gauge", "Requests on the engine that did not come through here.");
	FOR_LANES(d, lane)
	of_lane(to, others, lane, "", width_state(lane->width, now_us).others);
	family(to, reserve, "gauge", "Requests in flight kept free for online traffic.");
	FOR_LANES(d, lane)
	of_lane(to, reserve, lane, "", width_state(lane->width, now_us).reserve);
	family(to, work, "gauge", "Time for a unit of work (about a token) at that width.");
	FOR_LANES(d, lane)
	of_lane(to, work, lane, "", width_state(lane->width, now_us).work_ms / 1000);
}

static uint64_t batches_of(const struct model *m)
{
	return m->batches;
}

static uint64_t waiting_of(const struct model *m)
{
	return m->retry.waiting;
}

static void of_models(const struct dispatch *d, struct buf *to, const char *name,
		      uint64_t (*value)(const struct model *m))
{
	uint64_t others = 0;
	for (const struct model *m = d->models; m != NULL; m = m->next) {
		if (!model_is_told(m)) {
			others += value(m);
			continue;
		}
		buf_printf(to, "%s{", name);
		label(to, "model", m->name);
		buf_printf(to, "} %" PRIu64 "\n", value(m));
	}
	buf_printf(to, "%s{model=\"" OTHER_MODELS "\"} %" PRIu64 "\n", name, others);
}

static void models_write(const struct dispatch *d, struct buf *to)
{
	static const char batches[] = "lowtide_batches", waiting[] = "lowtide_lines_waiting_again";
	family(to, batches, "gauge", "Batches in progress, by model.");
	of_models(d, to, batches, batches_of);
	family(to, waiting, "gauge", "Lines that failed and wait to be sent again, by model.");
	of_models(d, to, waiting, waiting_of);
}

static void memory_write(const struct budget *b, struct buf *to)
{
	static const char bytes[] = "lowtide_memory_bytes", limit[] = "lowtide_memory_limit_bytes";
	if (b == NULL)
		return;
	family(to, bytes, "gauge", "Memory for what is on its way, of limits.memory.");
	for (unsigned kind = 0; kind < BUDGET_KINDS; kind++)
		buf_printf(to, "%s{use=\"%s\"} %" PRIu64 "\n", bytes, budget_label(kind),
			   (uint64_t)b->uses[kind].bytes);
	family(to, limit, "gauge", "limits.memory; 0: no limit.");
	buf_printf(to, "%s %" PRIu64 "\n", limit, b->limit);
}

void report_metrics(struct dispatch *d, struct buf *to)
{
	upstreams_write(d, to);
	engines_write(d, to, sys.monotonic_ms());
	lanes_write(d, to, sys.monotonic_us());
	models_write(d, to);
	memory_write(d->config.budget, to);
	family(to, "lowtide_online_requests", "gauge", "Online requests that have not ended.");
	buf_printf(to, "lowtide_online_requests %u\n", d->online_count);
	family(to, "lowtide_online_waiting", "gauge", "Of these, those that wait for an upstream.");
	buf_printf(to, "lowtide_online_waiting %u\n", d->online_waiting);
}

/* ---- the console's data ---- */

static void state_write(struct buf *to, const struct width_state *s)
{
	buf_printf(to,
		   "\"width\":%.1f,\"reason\":\"%s\",\"batch\":%u,\"online\":%u,\"others\":%.1f,"
		   "\"reserve\":%u,\"best_per_s\":%.3f,\"work_ms\":%.4f",
		   s->width, width_reason_name(s->reason), s->batch, s->online, s->others,
		   s->reserve, s->best_per_s, s->work_ms);
}

static void lane_write(struct buf *to, const struct lane *lane, uint64_t now_us)
{
	struct width_state s = width_state(lane->width, now_us);
	buf_text(to, "{\"model\":");
	buf_json_string(to, slice_of(lane->model->name));
	buf_printf(to, ",\"in_flight\":%u,\"not_durable\":%u,", lane->slots.sent,
		   slots_unrecorded(&lane->slots));
	state_write(to, &s);
	buf_text(to, ",\"decisions\":[");
	unsigned n = lane->decision_count < DECISIONS_MAX ? lane->decision_count : DECISIONS_MAX;
	for (unsigned i = lane->decision_count - n; i != lane->decision_count; i++) {
		const struct decision *one = &lane->decisions[i % DECISIONS_MAX];
		buf_printf(to, "%s{\"at\":%lld,", i == lane->decision_count - n ? "" : ",",
			   (long long)one->at);
		state_write(to, &one->state);
		buf_char(to, '}');
	}
	buf_text(to, "]}");
}

static const char *stall_name(const struct upstream *u)
{
	return u->retired || u->config.drain ? "draining"
					     : stall_words(upstream_state(u))->upstream;
}

/* What it said last that was not well. */
static const char *upstream_said(const struct upstream *u)
{
	for (const struct lane *lane = u->lanes; u->stall == STALL_NONE && lane != NULL;
	     lane = lane->next_of_upstream)
		if (!lane->closed && lane->stall != STALL_NONE)
			return lane->said.text;
	return u->said.text;
}

static void upstream_write(struct buf *to, const struct upstream *u, uint64_t now_us)
{
	buf_text(to, "{\"name\":");
	buf_json_string(to, slice_of(u->config.name));
	buf_printf(to,
		   ",\"state\":\"%s\",\"weight\":%u,\"max_concurrency\":%u,\"batch\":%u,"
		   "\"online\":%u,\"said\":",
		   stall_name(u), u->config.weight, upstream_most(u), u->slots.sent,
		   u->slots.online);
	if (upstream_state(u) == STALL_NONE)
		buf_text(to, "null");
	else
		buf_json_string(to, slice_of(upstream_said(u)));
	buf_text(to, ",\"engine\":");
	if (gauges_current(u, now_us / 1000))
		buf_printf(to, "{\"kind\":\"%s\",\"running\":%.0f,\"waiting\":%.0f}",
			   gauges_kind_words[u->gauges.kind], u->gauges.running, u->gauges.waiting);
	else
		buf_text(to, "null");
	buf_text(to, ",\"lanes\":[");
	const char *comma = "";
	for (const struct lane *lane = u->lanes; lane != NULL; lane = lane->next_of_upstream) {
		if (!model_is_told(lane->model))
			continue;
		buf_text(to, comma);
		lane_write(to, lane, now_us);
		comma = ",";
	}
	buf_text(to, "]}");
}

static void console_model_write(struct buf *to, const char *name, unsigned batches, double slots,
				size_t waiting)
{
	buf_text(to, "{\"name\":");
	buf_json_string(to, slice_of(name));
	buf_printf(to, ",\"batches\":%u,\"slots\":%.1f,\"waiting_again\":%zu}", batches, slots,
		   waiting);
}

static void console_models_write(const struct dispatch *d, struct buf *to)
{
	const char *comma = "";
	struct model others = { 0 };
	bool any = false;
	for (const struct model *m = d->models; m != NULL; m = m->next) {
		if (!model_is_told(m)) {
			others.batches += m->batches;
			others.slots += m->slots;
			others.retry.waiting += m->retry.waiting;
			any = true;
			continue;
		}
		buf_text(to, comma);
		console_model_write(to, m->name, m->batches, m->slots, m->retry.waiting);
		comma = ",";
	}
	if (!any)
		return;
	buf_text(to, comma);
	console_model_write(to, OTHER_MODELS, others.batches, others.slots, others.retry.waiting);
}

void report_scheduling(struct dispatch *d, struct buf *to)
{
	uint64_t now_us = sys.monotonic_us();
	buf_printf(to, "{\"object\":\"lowtide.scheduling\",\"at\":%lld,\"upstreams\":[",
		   (long long)sys.now_s());
	for (const struct upstream *u = d->upstreams; u != NULL; u = u->next) {
		if (u != d->upstreams)
			buf_char(to, ',');
		upstream_write(to, u, now_us);
	}
	buf_text(to, "],\"models\":[");
	console_models_write(d, to);
	buf_text(to, "]}");
}
