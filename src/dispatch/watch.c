/* watch.c: see watch.h. */
#include "dispatch/watch.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/log.h"
#include "base/sys.h"
#include "dispatch/thread.h"
#include "upstream/upstream.h"

#define METRICS_EVERY_MS 250u
#define METRICS_EVERY_MOST_MS 500u
#define METRICS_PART 20u /* they take up to one in so many of the server's moments */
#define METRICS_TIMEOUT_MS 5000u
#define METRICS_STALE_MS 6000u /* more than an answer that comes at the last moment takes */
#define METRICS_LOST_AFTER 3u  /* failures in a row: latency alone decides until it answers again */
#define MODELS_EVERY_MS 60000u
#define MODELS_TIMEOUT_MS 10000u
#define FAILED_FIRST_MS 1000u
#define FAILED_MOST_MS 60000u
#define UNREACHED_MOST_MS 4000u /* none is there: that costs nothing, and may change at any time */
#define HEALTH_EVERY_MS 1000u
#define HEALTH_LATER_MS 5000u /* after a minute of it */
#define HEALTH_TIMEOUT_MS 5000u
#define SLOTS_TIMEOUT_MS 5000u
#define KIND_HOLDS_MS 60000u /* metrics that change their kind twice in so long … */
#define DISBELIEF_MS 600000u /* … are not believed for so long */

/* ---- asking ---- */

/* Metrics, health and slots stand beside the API, not in it: without the version at the end of the
 * base URL. NULL: no memory. */
static char *url_beside(const struct upstream *u, const char *path)
{
	struct buf url = BUF(4096);
	const char *base = u->config.base_url;
	size_t n = strlen(base);

	if (n > 3 && strcmp(base + n - 3, "/v1") == 0)
		n -= 3;
	buf_append(&url, base, n);
	buf_text(&url, path);
	buf_char(&url, '\0');
	if (url.failed)
		buf_free(&url);
	return url.p;
}

static struct watch *watch_of(struct exchange *x)
{
	return container_of(transfer_of(x), struct watch, transfer);
}

static enum exchange_taken watch_body(struct exchange *x, struct slice piece)
{
	struct watch *w = watch_of(x);

	buf_add(&w->text, piece);
	return w->text.failed ? EXCHANGE_REFUSED : EXCHANGE_TAKEN;
}

static void watch_done(struct exchange *x, const struct exchange_result *r);
static const struct exchange_ops watch_ops = { .body = watch_body, .done = watch_done };

static bool watch_open(struct watch *w, uint64_t timeout_ms)
{
	return exchange_open(&w->transfer.exchange, &(struct exchange_setup){
							    .route = w->transfer.route,
							    .ops = &watch_ops,
							    .headers = w->of->headers->list,
							    .header_count = w->of->headers->n,
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
	w->sent_us = sys.monotonic_us();
	if (!watch_send(w, url, timeout_ms))
		watch_failed(w, now_ms);
}

static bool watch_waits(const struct watch *w)
{
	return !w->of->upstream->retired && !w->transfer.exchange.under_way;
}

static bool metrics_wanted(const struct watches *w)
{
	return w->upstream->config.metrics != GAUGES_NONE && watch_waits(&w->metrics) &&
	       w->ops->busy(w->upstream);
}

static bool health_wanted(const struct watches *w)
{
	return watch_waits(&w->health) && w->ops->ailing_since_ms(w->upstream) != 0;
}

static bool slots_wanted(const struct watches *w)
{
	enum gauges_kind kind = upstream_engine(w->upstream);

	return watch_waits(&w->slots) && kind != w->slots_of &&
	       (kind == GAUGES_SGLANG || kind == GAUGES_LLAMACPP);
}

static void slots_ask(struct watches *w, uint64_t now_ms);

void watches_run(struct watches *w, uint64_t now_ms)
{
	assert(on_dispatch_thread());
	if (w->metrics.due_ms <= now_ms && metrics_wanted(w))
		watch_ask(&w->metrics, w->metrics_url, METRICS_TIMEOUT_MS, now_ms);
	if (w->models.due_ms <= now_ms && watch_waits(&w->models))
		watch_ask(&w->models, w->models_url, MODELS_TIMEOUT_MS, now_ms);
	if (w->health.due_ms <= now_ms && health_wanted(w))
		watch_ask(&w->health, w->health_by_models ? w->models_url : w->health_url,
			  HEALTH_TIMEOUT_MS, now_ms);
	if (w->slots.due_ms <= now_ms && slots_wanted(w))
		slots_ask(w, now_ms);
}

uint64_t watches_due_ms(const struct watches *w)
{
	uint64_t due = UINT64_MAX;

	if (metrics_wanted(w) && w->metrics.due_ms < due)
		due = w->metrics.due_ms;
	if (watch_waits(&w->models) && w->models.due_ms < due)
		due = w->models.due_ms;
	if (health_wanted(w) && w->health.due_ms < due)
		due = w->health.due_ms;
	if (slots_wanted(w) && w->slots.due_ms < due)
		due = w->slots.due_ms;
	return due;
}

/* ---- metrics ---- */

static void metrics_lost(struct watches *w, const char *why, uint64_t now_us)
{
	struct upstream *u = w->upstream;

	if (u->has_gauges)
		log_warn("upstream.metrics_lost", kv_str("upstream", u->config.name),
			 kv_str("said", why));
	u->has_gauges = false;
	w->ops->gauges(u, now_us);
}

static void metrics_failed(struct watches *w, const char *why, uint64_t now_us)
{
	watch_failed(&w->metrics, now_us / 1000);
	if (!w->upstream->has_gauges || w->metrics.failures >= METRICS_LOST_AFTER)
		metrics_lost(w, why, now_us);
}

/* Metrics of another kind than before: another engine, once; several that take turns behind one
 * address, where that happens again soon. */
static bool kind_believed(struct watches *w, enum gauges_kind kind, uint64_t now_ms)
{
	bool changed = w->kind != GAUGES_AUTO && w->kind != kind;
	uint64_t before_ms = w->kind_changed_ms;

	w->kind = kind;
	if (!changed)
		return true;
	w->kind_changed_ms = now_ms;
	if (before_ms == 0 || now_ms - before_ms >= KIND_HOLDS_MS)
		return true;
	w->disbelieved_ms = now_ms + DISBELIEF_MS;
	return false;
}

/* vLLM takes 9 to 33 ms for them, of the thread that takes requests and gives answers: not too
 * often. */
static uint64_t metrics_due_ms(const struct watches *w, uint64_t now_us)
{
	uint64_t every_ms = METRICS_PART * (now_us - w->metrics.sent_us) / 1000;

	if (every_ms < METRICS_EVERY_MS)
		every_ms = METRICS_EVERY_MS;
	if (every_ms > METRICS_EVERY_MOST_MS)
		every_ms = METRICS_EVERY_MOST_MS;
	return now_us / 1000 + every_ms;
}

static void metrics_take(struct watches *w, const struct gauges *g, uint64_t now_us)
{
	struct upstream *u = w->upstream;

	w->metrics.failures = 0;
	w->metrics.due_ms = metrics_due_ms(w, now_us);
	if (!u->has_gauges)
		log_info("upstream.metrics", kv_str("upstream", u->config.name),
			 kv_str("kind", gauges_kind_words[g->kind]));
	u->has_gauges = true;
	u->gauges = *g;
	u->gauges_asked_us = w->metrics.sent_us;
	if (u->engine_slots_of != g->kind)
		u->engine_slots = 0; /* those of another engine */
	if (u->engine_slots > 0)
		u->gauges.slots = u->engine_slots;
	w->ops->gauges(u, now_us);
}

static void metrics_done(struct watches *w, const struct attempt_end *e)
{
	uint64_t now_us = sys.monotonic_us();
	struct gauges g;
	const char *why;
	char said[224];

	if (e->how != EXCHANGE_WHOLE || e->status != 200) {
		attempt_words(e, w->upstream->config.api_key, said, sizeof(said));
		metrics_failed(w, said, now_us);
	} else if (!gauges_read(e->body, w->upstream->config.metrics, &g, &why)) {
		metrics_failed(w, why, now_us);
	} else if (!kind_believed(w, g.kind, now_us / 1000)) {
		w->metrics.due_ms = w->disbelieved_ms;
		metrics_lost(w, "their kind changes from poll to poll: not asked for 10 minutes",
			     now_us);
	} else {
		metrics_take(w, &g, now_us);
	}
}

bool watches_gauges_current(const struct watches *w, uint64_t now_ms)
{
	return w->upstream->has_gauges && now_ms < w->metrics.due_ms + METRICS_STALE_MS;
}

/* ---- models ---- */

/* Said once, before a line is sent: a wrong path, key or certificate shows here first. */
static void models_tell(struct watches *w, const struct attempt_end *e)
{
	const struct upstream *u = w->upstream;
	char said[224];

	if (w->models_told)
		return;
	w->models_told = true;
	attempt_words(e, u->config.api_key, said, sizeof(said));
	const char *hint = e->status == 404   ? "a base URL mostly ends in /v1"
			   : e->status == 401 ? "its key is api_key_env, or "
						"LOWTIDE_UPSTREAM_API_KEY"
					      : "";
	log_warn("upstream.models_unknown", kv_str("upstream", u->config.name),
		 kv_str("url", w->models_url), kv_str("said", said), kv_str("hint", hint));
}

static void models_failed(struct watch *w, const struct attempt_end *e, uint64_t now_ms)
{
	watch_put_off(w, e->how == EXCHANGE_WHOLE ? FAILED_MOST_MS : UNREACHED_MOST_MS, now_ms);
	models_tell(w->of, e);
}

static void models_done(struct watch *w, const struct attempt_end *e)
{
	struct upstream *u = w->of->upstream;
	uint64_t now_ms = sys.monotonic_ms();
	struct reported reported;

	u->asked = true;
	if (e->how != EXCHANGE_WHOLE || e->status != 200 ||
	    !reported_read(buf_slice(&w->text), &reported)) {
		models_failed(w, e, now_ms);
		return;
	}
	w->failures = 0;
	w->due_ms = now_ms + MODELS_EVERY_MS;
	w->of->models_told = false;
	bool same = reported_same(&u->reported, &reported);
	reported_done(&u->reported);
	u->reported = reported;
	if (!same)
		log_info("upstream.models", kv_str("upstream", u->config.name),
			 kv_u64("models", reported.n),
			 kv_str("first", reported.n > 0 ? reported.models[0].id : ""));
	w->of->ops->models(w->transfer.dispatch, !same);
}

/* ---- slots ---- */

/* Asked once, as the kind that it is known to be. */
static void slots_ask(struct watches *w, uint64_t now_ms)
{
	enum gauges_kind kind = upstream_engine(w->upstream);
	char *url = url_beside(w->upstream, kind == GAUGES_LLAMACPP ? "/props"
					    : w->slots_old_path     ? "/get_server_info"
								    : "/server_info");

	exchange_close(&w->slots.transfer.exchange); /* it may have another URL */
	if (url != NULL)
		watch_ask(&w->slots, url, SLOTS_TIMEOUT_MS, now_ms);
	else
		watch_failed(&w->slots, now_ms);
	if (w->slots.transfer.exchange.under_way)
		w->slots_of = kind;
	free(url);
}

/* The next reading has them beside its own figures: it goes to the limits whole, and none twice.
 * The log says nothing of a failure: few engines have slots to tell of. */
static void slots_done(struct watches *w, const struct attempt_end *e)
{
	struct upstream *u = w->upstream;
	bool whole = e->how == EXCHANGE_WHOLE;

	if (w->slots_of == GAUGES_AUTO)
		return;                   /* it may be another server now, and is asked anew */
	if (!whole || e->status == 503) { /* it is not up yet */
		w->slots_of = GAUGES_AUTO;
		watch_failed(&w->slots, e->ended_us / 1000);
		return;
	}
	if (e->status == 404 && w->slots_of == GAUGES_SGLANG && !w->slots_old_path) {
		w->slots_old_path = true;
		w->slots_of = GAUGES_AUTO;
		return;
	}
	w->slots.failures = 0;
	unsigned slots = e->status == 200 ? gauges_slots_read(e->body, w->slots_of) : 0;
	if (slots != u->engine_slots)
		log_info("upstream.engine_slots", kv_str("upstream", u->config.name),
			 kv_u64("slots", slots));
	u->engine_slots = slots;
	u->engine_slots_of = w->slots_of;
}

/* ---- health ---- */

/* A page says nothing: what stands before the engine says "sign in" to everything. */
static void health_done(struct watch *w, const struct attempt_end *e)
{
	struct watches *of = w->of;
	uint64_t now_ms = sys.monotonic_ms();
	struct slice type = exchange_header(&w->transfer.exchange, "content-type");
	bool page = type.n >= 9 && strncasecmp(type.p, "text/html", 9) == 0;
	bool answered = e->how == EXCHANGE_WHOLE;

	if (answered && !of->health_by_models &&
	    (page || (e->status >= 300 && e->status < 500) || e->status == 501)) {
		of->health_by_models = true;
		exchange_close(&w->transfer.exchange); /* it has the other URL */
		w->due_ms = now_ms;
		return;
	}
	bool lasts = now_ms - of->ops->ailing_since_ms(of->upstream) >= BREAKER_MINUTE_MS;
	w->due_ms = now_ms + (lasts ? HEALTH_LATER_MS : HEALTH_EVERY_MS);
	of->ops->health(of->upstream, answered && !page && e->status >= 200 && e->status < 300,
			now_ms);
}

static void watch_done(struct exchange *x, const struct exchange_result *r)
{
	struct watch *w = watch_of(x);
	struct attempt_end end;

	transfer_end(&w->transfer, r, &end);
	end.body = buf_slice(&w->text);
	if (w == &w->of->metrics)
		metrics_done(w->of, &end);
	else if (w == &w->of->models)
		models_done(w, &end);
	else if (w == &w->of->slots)
		slots_done(w->of, &end);
	else
		health_done(w, &end);
	if (w->text.cap > (256u << 10))
		buf_free(&w->text);
}

/* ---- opening and closing ---- */

static bool urls_make(struct watches *w)
{
	AUTO(buf_free) struct buf models = BUF(4096);

	if (!transfer_url(&w->models.transfer, "/v1/models", &models))
		return false;
	w->models_url = TAKE(models.p);
	w->metrics_url = url_beside(w->upstream, "/metrics");
	w->health_url = url_beside(w->upstream, "/health");
	return w->metrics_url != NULL && w->health_url != NULL;
}

static void watch_init(struct watches *of, struct watch *w, const struct transfer *as)
{
	w->of = of;
	w->transfer = *as;
	w->text = BUF(4u << 20);
}

bool watches_open(struct watches *w, const struct poll_ops *ops, const struct transfer *as,
		  const struct headers *headers)
{
	w->upstream = as->upstream;
	w->ops = ops;
	w->headers = headers;
	watch_init(w, &w->metrics, as);
	watch_init(w, &w->models, as);
	watch_init(w, &w->health, as);
	watch_init(w, &w->slots, as);
	return urls_make(w);
}

static void watch_close(struct watch *w)
{
	exchange_close(&w->transfer.exchange);
	buf_free(&w->text);
}

void watches_close(struct watches *w)
{
	watch_close(&w->metrics);
	watch_close(&w->models);
	watch_close(&w->health);
	watch_close(&w->slots);
	free(w->metrics_url);
	free(w->models_url);
	free(w->health_url);
}

void watches_renew(struct watches *w, uint64_t now_ms)
{
	assert(on_dispatch_thread());
	w->models.due_ms = now_ms;
	w->metrics.due_ms = now_ms > w->disbelieved_ms ? now_ms : w->disbelieved_ms;
	w->slots.due_ms = now_ms;
	w->slots_of = GAUGES_AUTO;
	w->slots_old_path = false;
}
