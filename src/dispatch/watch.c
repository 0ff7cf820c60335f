/* watch.c: what is asked of an upstream beside its work: its metrics, several times a second while lines
 * are in flight; now and then which models it has; and, while it is down, whether it is well.
 *
 * Whatever comes back (rubbish, 404, nothing at all) costs nobody more than a small request now and
 * then: an answer that is of no use is asked for less and less often. */
#include <stdlib.h>
#include <strings.h>

#include "base/log.h"
#include "base/sys.h"
#include "dispatch/dispatch_impl.h"

#define METRICS_EVERY_MS 250u
#define METRICS_TIMEOUT_MS 5000u
#define METRICS_STALE_MS 6000u /* more than an answer that comes at the last moment takes */
#define METRICS_LOST_AFTER 3u  /* failures in a row: latency alone decides until it answers again */
#define MODELS_EVERY_MS 60000u
#define MODELS_TIMEOUT_MS 10000u
#define FAILED_FIRST_MS 1000u
#define FAILED_MOST_MS 60000u
#define UNREACHED_MOST_MS \
	4000u /* nobody is there: that costs nothing, and may change at any time */
#define HEALTH_EVERY_MS 1000u
#define HEALTH_LATER_MS 5000u /* after a minute of it */
#define HEALTH_TIMEOUT_MS 5000u

/* ---- asking ---- */

static enum exchange_taken watch_body(struct exchange *x, struct slice piece)
{
	struct watch *w = container_of(transfer_of(x), struct watch, transfer);

	buf_add(&w->text, piece);
	return w->text.failed ? EXCHANGE_REFUSED : EXCHANGE_TAKEN;
}

static void watch_done(struct exchange *x, const struct exchange_result *r);
static const struct exchange_ops watch_ops = { .body = watch_body, .done = watch_done };

static bool watch_open(struct watch *w, uint64_t timeout_ms)
{
	const struct upstream *u = w->transfer.upstream;

	return exchange_open(&w->transfer.exchange, &(struct exchange_setup){
							    .route = target_of(u)->route,
							    .ops = &watch_ops,
							    .headers = target_of(u)->headers.list,
							    .header_count = target_of(u)->headers.n,
							    .get = true,
							    .timeout_ms = timeout_ms,
						    });
}

/* Opened once; the next request asks the same. */
static bool watch_send(struct watch *w, const char *url, uint64_t timeout_ms)
{
	struct exchange *x = &w->transfer.exchange;

	if (!exchange_is_open(x) && (!watch_open(w, timeout_ms) || !exchange_url(x, url))) {
		exchange_close(x);
		return false;
	}
	return exchange_start(x, &(struct exchange_request){ 0 });
}

static void watch_put_off(struct watch *w, uint64_t most_ms, uint64_t now_ms)
{
	uint64_t wait = FAILED_FIRST_MS;
	for (unsigned i = 0; i < w->failures && wait < most_ms; i++)
		wait *= 2;
	w->failures++;
	w->due_ms = now_ms + (wait < most_ms ? wait : most_ms);
}

static void watch_failed(struct watch *w, uint64_t now_ms)
{
	watch_put_off(w, FAILED_MOST_MS, now_ms);
}

static void watch_ask(struct watch *w, const char *url, uint64_t timeout_ms, uint64_t now_ms)
{
	buf_clear(&w->text);
	if (!watch_send(w, url, timeout_ms))
		watch_failed(w, now_ms);
}

static bool metrics_wanted(const struct dispatch *d, const struct upstream *u)
{
	return u->config.metrics != GAUGES_NONE && !u->retired &&
	       !target_of(u)->metrics.transfer.exchange.under_way && d->polls->busy(u);
}

static bool health_wanted(const struct dispatch *d, const struct upstream *u)
{
	return !u->retired && !target_of(u)->health.transfer.exchange.under_way &&
	       d->polls->ailing_since_ms(u) != 0;
}

void watches_run(struct dispatch *d, uint64_t now_ms)
{
	for (struct upstream *u = d->upstreams; u != NULL && !d->draining; u = u->next) {
		if (target_of(u)->metrics.due_ms <= now_ms && metrics_wanted(d, u))
			watch_ask(&target_of(u)->metrics, target_of(u)->metrics_url,
				  METRICS_TIMEOUT_MS, now_ms);
		if (target_of(u)->models.due_ms <= now_ms &&
		    !target_of(u)->models.transfer.exchange.under_way && !u->retired)
			watch_ask(&target_of(u)->models, target_of(u)->models_url,
				  MODELS_TIMEOUT_MS, now_ms);
		if (target_of(u)->health.due_ms <= now_ms && health_wanted(d, u))
			watch_ask(&target_of(u)->health,
				  target_of(u)->health_by_models ? target_of(u)->models_url
								 : target_of(u)->health_url,
				  HEALTH_TIMEOUT_MS, now_ms);
	}
}

int watches_timeout(const struct dispatch *d, uint64_t now_ms)
{
	uint64_t due = UINT64_MAX;
	for (const struct upstream *u = d->upstreams; u != NULL && !d->draining; u = u->next) {
		if (metrics_wanted(d, u) && target_of(u)->metrics.due_ms < due)
			due = target_of(u)->metrics.due_ms;
		if (!target_of(u)->models.transfer.exchange.under_way && !u->retired &&
		    target_of(u)->models.due_ms < due)
			due = target_of(u)->models.due_ms;
		if (health_wanted(d, u) && target_of(u)->health.due_ms < due)
			due = target_of(u)->health.due_ms;
	}
	if (due == UINT64_MAX)
		return -1;
	return due <= now_ms ? 0 : due - now_ms > 60000 ? 60000 : (int)(due - now_ms);
}

/* ---- metrics ---- */

static void metrics_lost(struct dispatch *d, struct upstream *u, uint64_t now_us)
{
	if (u->has_gauges)
		log_warn("upstream.metrics_lost", kv_str("upstream", u->config.name));
	u->has_gauges = false;
	d->polls->gauges(u, now_us);
}

static void metrics_done(struct dispatch *d, struct upstream *u, bool good)
{
	struct watch *w = &target_of(u)->metrics;
	uint64_t now_us = sys.monotonic_us();
	struct gauges g;
	if (!good || !gauges_read(buf_slice(&w->text), u->config.metrics, &g)) {
		watch_failed(w, now_us / 1000);
		if (!u->has_gauges || w->failures >= METRICS_LOST_AFTER)
			metrics_lost(d, u, now_us);
		return;
	}
	w->failures = 0;
	w->due_ms = now_us / 1000 + METRICS_EVERY_MS;
	if (!u->has_gauges)
		log_info("upstream.metrics", kv_str("upstream", u->config.name),
			 kv_str("kind", gauges_kind_words[g.kind]));
	u->has_gauges = true;
	u->gauges = g;
	d->polls->gauges(u, now_us);
}

bool gauges_current(const struct upstream *u, uint64_t now_ms)
{
	return u->has_gauges && now_ms < target_of(u)->metrics.due_ms + METRICS_STALE_MS;
}

/* ---- models ---- */

/* Said once, before a line is sent: a wrong path, key or certificate shows here first. */
static void models_tell(struct upstream *u, const struct attempt_end *e)
{
	char said[224];
	if (target_of(u)->models_told)
		return;
	target_of(u)->models_told = true;
	attempt_words(e, u->config.api_key, said, sizeof(said));
	const char *hint = e->status == 404   ? "a base URL mostly ends in /v1"
			   : e->status == 401 ? "its key is api_key_env, or "
						"LOWTIDE_UPSTREAM_API_KEY"
					      : "";
	log_warn("upstream.models_unknown", kv_str("upstream", u->config.name),
		 kv_str("url", target_of(u)->models_url), kv_str("said", said),
		 kv_str("hint", hint));
}

static void models_failed(struct upstream *u, const struct attempt_end *e, uint64_t now_ms)
{
	watch_put_off(&target_of(u)->models,
		      e->how == EXCHANGE_WHOLE ? FAILED_MOST_MS : UNREACHED_MOST_MS, now_ms);
	models_tell(u, e);
}

static void models_done(struct dispatch *d, struct upstream *u, const struct attempt_end *e)
{
	uint64_t now_ms = sys.monotonic_ms();
	struct reported reported;

	u->asked = true;
	if (e->how != EXCHANGE_WHOLE || e->status != 200 ||
	    !reported_read(buf_slice(&target_of(u)->models.text), &reported)) {
		models_failed(u, e, now_ms);
		return;
	}
	target_of(u)->models.failures = 0;
	target_of(u)->models.due_ms = now_ms + MODELS_EVERY_MS;
	target_of(u)->models_told = false;
	bool same = reported_same(&u->reported, &reported);
	reported_done(&u->reported);
	u->reported = reported;
	if (!same)
		log_info("upstream.models", kv_str("upstream", u->config.name),
			 kv_u64("models", reported.n),
			 kv_str("first", reported.n > 0 ? reported.models[0].id : ""));
	d->polls->models(d, !same);
}

/* ---- health ---- */

/* A page says nothing: whoever stands before the engine says "sign in" to everything. */
static void health_done(struct dispatch *d, struct upstream *u, const struct attempt_end *e)
{
	struct watch *w = &target_of(u)->health;
	uint64_t now_ms = sys.monotonic_ms();
	struct slice type = exchange_header(&w->transfer.exchange, "content-type");
	bool page = type.n >= 9 && strncasecmp(type.p, "text/html", 9) == 0;
	bool answered = e->how == EXCHANGE_WHOLE;
	if (answered && !target_of(u)->health_by_models &&
	    (page || (e->status >= 300 && e->status < 500) || e->status == 501)) {
		target_of(u)->health_by_models = true;
		exchange_close(&w->transfer.exchange); /* it has the other URL */
		w->due_ms = now_ms;
		return;
	}
	bool lasts = now_ms - d->polls->ailing_since_ms(u) >= BREAKER_MINUTE_MS;
	w->due_ms = now_ms + (lasts ? HEALTH_LATER_MS : HEALTH_EVERY_MS);
	d->polls->health(u, answered && !page && e->status >= 200 && e->status < 300, now_ms);
}

static void watch_done(struct exchange *x, const struct exchange_result *r)
{
	struct transfer *t = transfer_of(x);
	struct watch *w = container_of(t, struct watch, transfer);
	struct upstream *u = t->upstream;
	struct attempt_end end;

	transfer_end(t, r, &end);
	end.body = buf_slice(&w->text);
	if (w == &target_of(u)->metrics)
		metrics_done(t->dispatch, u, end.how == EXCHANGE_WHOLE && end.status == 200);
	else if (w == &target_of(u)->models)
		models_done(t->dispatch, u, &end);
	else
		health_done(t->dispatch, u, &end);
	if (w->text.cap > (256u << 10))
		buf_free(&w->text);
}

static void watch_init(struct dispatch *d, struct upstream *u, struct watch *w)
{
	w->transfer = (struct transfer){ .dispatch = d, .upstream = u };
	w->text = BUF(4u << 20);
}

void watches_init(struct dispatch *d, struct upstream *u)
{
	watch_init(d, u, &target_of(u)->metrics);
	watch_init(d, u, &target_of(u)->models);
	watch_init(d, u, &target_of(u)->health);
}

static void watch_close(struct watch *w)
{
	exchange_close(&w->transfer.exchange);
	buf_free(&w->text);
}

void watches_close(struct upstream *u)
{
	watch_close(&target_of(u)->metrics);
	watch_close(&target_of(u)->models);
	watch_close(&target_of(u)->health);
}

void watches_due(struct upstream *u, uint64_t now_ms)
{
	target_of(u)->models.due_ms = target_of(u)->metrics.due_ms = now_ms;
}
