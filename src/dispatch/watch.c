/* watch.c: what is asked of an upstream beside its work: its metrics, several times a second while lines
 * are in flight; now and then which models it has; and, while it is down, whether it is well.
 *
 * Whatever comes back (rubbish, 404, nothing at all) costs nobody more than a small request now and
 * then: an answer that is of no use is asked for less and less often. */
#include <stdlib.h>
#include <strings.h>

#include "base/json.h"
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
#define REPORTED_MAX 1024u
#define MORE_BYTES_MAX (32u << 10) /* of one model */

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
							    .route = u->route,
							    .ops = &watch_ops,
							    .headers = u->headers.list,
							    .header_count = u->headers.n,
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

/* Whether its load matters at the moment. */
static bool upstream_busy(const struct upstream *u)
{
	if (u->slots.sent > 0)
		return true;
	for (const struct lane *lane = u->lanes; lane != NULL; lane = lane->next_of_upstream)
		if (!lane->closed &&
		    (lane->model->retry.waiting > 0 || schedule_has_line(lane->model->schedule)))
			return true;
	return false;
}

static bool metrics_wanted(const struct upstream *u)
{
	return u->config.metrics != GAUGES_NONE && !u->retired &&
	       !u->metrics.transfer.exchange.under_way && upstream_busy(u);
}

static bool health_wanted(const struct upstream *u)
{
	return !u->retired && !u->health.transfer.exchange.under_way &&
	       upstream_ailing_since_ms(u) != 0;
}

void watches_run(struct dispatch *d, uint64_t now_ms)
{
	for (struct upstream *u = d->upstreams; u != NULL && !d->draining; u = u->next) {
		if (u->metrics.due_ms <= now_ms && metrics_wanted(u))
			watch_ask(&u->metrics, u->metrics_url, METRICS_TIMEOUT_MS, now_ms);
		if (u->models.due_ms <= now_ms && !u->models.transfer.exchange.under_way &&
		    !u->retired)
			watch_ask(&u->models, u->models_url, MODELS_TIMEOUT_MS, now_ms);
		if (u->health.due_ms <= now_ms && health_wanted(u))
			watch_ask(&u->health, u->health_by_models ? u->models_url : u->health_url,
				  HEALTH_TIMEOUT_MS, now_ms);
	}
}

int watches_timeout(const struct dispatch *d, uint64_t now_ms)
{
	uint64_t due = UINT64_MAX;
	for (const struct upstream *u = d->upstreams; u != NULL && !d->draining; u = u->next) {
		if (metrics_wanted(u) && u->metrics.due_ms < due)
			due = u->metrics.due_ms;
		if (!u->models.transfer.exchange.under_way && !u->retired && u->models.due_ms < due)
			due = u->models.due_ms;
		if (health_wanted(u) && u->health.due_ms < due)
			due = u->health.due_ms;
	}
	if (due == UINT64_MAX)
		return -1;
	return due <= now_ms ? 0 : due - now_ms > 60000 ? 60000 : (int)(due - now_ms);
}

/* ---- metrics ---- */

static void metrics_lost(struct upstream *u, uint64_t now_us)
{
	if (u->has_gauges)
		log_warn("upstream.metrics_lost", kv_str("upstream", u->config.name));
	u->has_gauges = false;
	for (struct lane *lane = u->lanes; lane != NULL; lane = lane->next_of_upstream)
		limit_gauges_lost(lane->limit, now_us);
}

static void metrics_done(struct upstream *u, bool good)
{
	struct watch *w = &u->metrics;
	uint64_t now_us = sys.monotonic_us();
	struct gauges g;
	if (!good || !gauges_read(buf_slice(&w->text), u->config.metrics, &g)) {
		watch_failed(w, now_us / 1000);
		if (!u->has_gauges || w->failures >= METRICS_LOST_AFTER)
			metrics_lost(u, now_us);
		return;
	}
	w->failures = 0;
	w->due_ms = now_us / 1000 + METRICS_EVERY_MS;
	if (!u->has_gauges)
		log_info("upstream.metrics", kv_str("upstream", u->config.name),
			 kv_str("kind", gauges_kind_words[g.kind]));
	u->has_gauges = true;
	u->gauges = g;
	for (struct lane *lane = u->lanes; lane != NULL; lane = lane->next_of_upstream)
		limit_gauges(lane->limit, &g, slots_in_flight(&u->slots), now_us);
}

bool gauges_current(const struct upstream *u, uint64_t now_ms)
{
	return u->has_gauges && now_ms < u->metrics.due_ms + METRICS_STALE_MS;
}

/* ---- models ---- */

static void reported_free(struct reported_model *models, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		free(models[i].id);
		free(models[i].owned_by);
		free(models[i].more);
	}
	free(models);
}

/* Of OpenAI's four members, which are written anew. */
static bool is_known(struct slice key)
{
	return json_key_is(key, "id") || json_key_is(key, "object") ||
	       json_key_is(key, "created") || json_key_is(key, "owned_by");
}

static char *text_decode(struct slice value)
{
	struct slice raw = { value.p + 1, value.n - 2 };
	size_t n = json_decode(raw, NULL, 0);
	char *text = n <= 256 ? malloc(n + 1) : NULL;
	if (text == NULL)
		return NULL;
	json_decode(raw, text, n);
	text[n] = '\0';
	return text;
}

/* What an upstream says of a model beside the four members that OpenAI has goes to clients byte for
 * byte: max_model_len, meta, permission. Also `root`, which is a path on the engine's disk where it
 * was started with one: clients of engines read it there, too, and it opens nothing. */
static void member_keep(struct slice key, struct slice value, struct buf *more)
{
	buf_text(more, ",\"");
	buf_add(more, key);
	buf_text(more, "\":");
	buf_add(more, value);
}

/* One object of the list; false: it is not JSON. Without a usable id it is passed over. */
static bool reported_read(struct json *j, struct reported_model *ret)
{
	AUTO(buf_free) struct buf more = BUF(MORE_BYTES_MAX);
	struct slice key, skipped;
	*ret = (struct reported_model){ 0 };
	if (json_peek(j) != JSON_OBJECT)
		return json_skip(j, &skipped);
	json_next(j);
	while (json_member(j, &key)) {
		enum json_type type = json_peek(j);
		bool text = type == JSON_STRING, id = json_key_is(key, "id");
		if (!json_skip(j, &skipped))
			return false;
		if (text && id && ret->id == NULL)
			ret->id = text_decode(skipped);
		else if (text && json_key_is(key, "owned_by") && ret->owned_by == NULL)
			ret->owned_by = text_decode(skipped);
		else if (type == JSON_NUMBER && json_key_is(key, "created"))
			(void)json_u64(skipped, (uint64_t *)&ret->created);
		else if (!is_known(key))
			member_keep(key, skipped, &more);
	}
	buf_char(&more, '\0');
	if (more.n > 1 && !more.failed) /* else too much: the model without it */
		ret->more = TAKE(more.p);
	return !j->bad;
}

static bool reported_list(struct json *j, struct reported_model *models, size_t *ret_n)
{
	if (json_next(j) != JSON_ARRAY)
		return false;
	while (json_element(j)) {
		struct reported_model one;
		bool read = reported_read(j, &one);
		if (read && one.id != NULL && one.id[0] != '\0' && *ret_n < REPORTED_MAX) {
			models[(*ret_n)++] = one;
			continue;
		}
		free(one.id);
		free(one.owned_by);
		free(one.more);
		if (!read)
			return false;
	}
	return !j->bad;
}

/* {"object":"list","data":[…]}: false for anything else. */
static bool models_read(struct slice text, struct reported_model *models, size_t *ret_n)
{
	struct json j;
	struct slice key, skipped;
	bool listed = false;
	json_init(&j, text);
	if (json_next(&j) != JSON_OBJECT)
		return false;
	while (json_member(&j, &key)) {
		if (!listed && json_key_is(key, "data"))
			listed = reported_list(&j, models, ret_n);
		else
			json_skip(&j, &skipped);
	}
	return listed && json_end(&j);
}

static bool reported_same(const struct upstream *u, const struct reported_model *models, size_t n)
{
	bool same = n == u->reported_n;
	for (size_t i = 0; same && i < n; i++)
		same = strcmp(u->reported[i].id, models[i].id) == 0;
	return same;
}

/* Said once, before a line is sent: a wrong path, key or certificate shows here first. */
static void models_tell(struct upstream *u, const struct attempt_end *e)
{
	char said[224];
	if (u->models_told)
		return;
	u->models_told = true;
	attempt_words(e, u->config.api_key, said, sizeof(said));
	const char *hint = e->status == 404   ? "a base URL mostly ends in /v1"
			   : e->status == 401 ? "its key is api_key_env, or "
						"LOWTIDE_UPSTREAM_API_KEY"
					      : "";
	log_warn("upstream.models_unknown", kv_str("upstream", u->config.name),
		 kv_str("url", u->models_url), kv_str("said", said), kv_str("hint", hint));
}

static void models_done(struct dispatch *d, struct upstream *u, const struct attempt_end *e)
{
	struct watch *w = &u->models;
	uint64_t now_ms = sys.monotonic_ms();
	size_t n = 0;
	struct reported_model *models = calloc(REPORTED_MAX, sizeof(*models));
	bool good = e->how == EXCHANGE_WHOLE && e->status == 200;
	u->asked = true;
	if (models == NULL || !good || !models_read(buf_slice(&w->text), models, &n)) {
		reported_free(models, n);
		watch_put_off(w, e->how == EXCHANGE_WHOLE ? FAILED_MOST_MS : UNREACHED_MOST_MS,
			      now_ms);
		models_tell(u, e);
		return;
	}
	w->failures = 0;
	w->due_ms = now_ms + MODELS_EVERY_MS;
	u->models_told = false;
	bool same = reported_same(u, models, n);
	reported_free(u->reported, u->reported_n);
	u->reported = models;
	u->reported_n = n;
	if (same) {
		models_join(d); /* what it says of them may be new */
		return;
	}
	log_info("upstream.models", kv_str("upstream", u->config.name), kv_u64("models", n),
		 kv_str("first", n > 0 ? models[0].id : ""));
	lanes_renew(d);
	for (struct model *m = d->models; m != NULL; m = m->next)
		model_unlisted_tell(d, m);
}

/* Some engines take any name, some know names that they do not list: so the line is sent, and the
 * engine judges. But whoever has mistyped it reads it here. */
void model_unlisted_tell(struct dispatch *d, struct model *m)
{
	const struct upstream *lists = NULL;
	if (m->unlisted_told || m->batches == 0 || m->name[0] == '\0')
		return;
	for (const struct upstream *u = d->upstreams; u != NULL; u = u->next) {
		if (u->retired || u->config.drain)
			continue;
		if (upstream_claims(u, m->name) || (u->config.models == NULL && u->reported_n == 0))
			return;
		if (lists == NULL && u->config.models == NULL)
			lists = u;
	}
	if (lists == NULL)
		return;
	m->unlisted_told = true;
	log_warn("model.not_listed", kv_str("model", m->name),
		 kv_str("upstream", lists->config.name), kv_u64("models", lists->reported_n),
		 kv_str("first", lists->reported[0].id));
}

/* ---- health ---- */

/* A page says nothing: whoever stands before the engine says "sign in" to everything. */
static void health_done(struct dispatch *d, struct upstream *u, const struct attempt_end *e)
{
	struct watch *w = &u->health;
	uint64_t now_ms = sys.monotonic_ms();
	struct slice type = exchange_header(&w->transfer.exchange, "content-type");
	bool page = type.n >= 9 && strncasecmp(type.p, "text/html", 9) == 0;
	bool answered = e->how == EXCHANGE_WHOLE;
	if (answered && !u->health_by_models &&
	    (page || (e->status >= 300 && e->status < 500) || e->status == 501)) {
		u->health_by_models = true;
		exchange_close(&w->transfer.exchange); /* it has the other URL */
		w->due_ms = now_ms;
		return;
	}
	bool lasts = now_ms - upstream_ailing_since_ms(u) >= BREAKER_MINUTE_MS;
	w->due_ms = now_ms + (lasts ? HEALTH_LATER_MS : HEALTH_EVERY_MS);
	upstream_healthy(d, u, answered && !page && e->status >= 200 && e->status < 300, now_ms);
}

static void watch_done(struct exchange *x, const struct exchange_result *r)
{
	struct transfer *t = transfer_of(x);
	struct watch *w = container_of(t, struct watch, transfer);
	struct upstream *u = t->upstream;
	struct attempt_end end;

	transfer_end(t, r, &end);
	end.body = buf_slice(&w->text);
	if (w == &u->metrics)
		metrics_done(u, end.how == EXCHANGE_WHOLE && end.status == 200);
	else if (w == &u->models)
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
	watch_init(d, u, &u->metrics);
	watch_init(d, u, &u->models);
	watch_init(d, u, &u->health);
}

static void watch_close(struct watch *w)
{
	exchange_close(&w->transfer.exchange);
	buf_free(&w->text);
}

void watches_close(struct upstream *u)
{
	watch_close(&u->metrics);
	watch_close(&u->models);
	watch_close(&u->health);
	reported_free(u->reported, u->reported_n);
}

/* ---- all upstreams' models ---- */

/* A model as one upstream has it. */
struct joined {
	const struct reported_model *model;
	size_t order; /* the upstream's in the configuration; SIZE_MAX: it has not said anything */
};

static int by_id(const void *a, const void *b)
{
	const struct joined *x = a, *y = b;
	int order = strcmp(x->model->id, y->model->id);
	return order != 0 ? order : (x->order > y->order) - (x->order < y->order);
}

static const struct reported_model *reported_find(const struct upstream *u, const char *id)
{
	for (size_t i = 0; i < u->reported_n; i++)
		if (strcmp(u->reported[i].id, id) == 0)
			return &u->reported[i];
	return NULL;
}

static void model_write(struct buf *to, const struct reported_model *m, int64_t created)
{
	buf_text(to, to->n > 1 ? ",{\"id\":" : "{\"id\":");
	buf_json_string(to, slice_of(m->id));
	buf_printf(to, ",\"object\":\"model\",\"created\":%lld,\"owned_by\":",
		   (long long)(m->created > 0 ? m->created : created));
	buf_json_string(to, slice_of(m->owned_by != NULL ? m->owned_by : "lowtide"));
	if (m->more != NULL)
		buf_text(to, m->more);
	buf_char(to, '}');
}

/* Every model of every upstream: pointers into what upstreams report, or into `listed` for those that
 * only the configuration knows. */
static size_t models_collect(const struct dispatch *d, struct joined *to,
			     struct reported_model *listed)
{
	size_t n = 0, own = 0;
	for (const struct upstream *u = d->upstreams; u != NULL; u = u->next) {
		for (char **m = u->config.models; !u->retired && m != NULL && *m != NULL; m++) {
			const struct reported_model *found = reported_find(u, *m);
			listed[own].id = *m;
			to[n] = found != NULL ? (struct joined){ found, u->position }
					      : (struct joined){ &listed[own++], SIZE_MAX };
			n++;
		}
		for (size_t i = 0; !u->retired && u->config.models == NULL && i < u->reported_n;
		     i++, n++)
			to[n] = (struct joined){ &u->reported[i], u->position };
	}
	return n;
}

void models_join(struct dispatch *d)
{
	size_t most = 1;
	for (const struct upstream *u = d->upstreams; u != NULL; u = u->next) {
		most += u->reported_n;
		for (char **m = u->config.models; m != NULL && *m != NULL; m++)
			most++;
	}
	AUTO(auto_free) struct joined *all = calloc(most, sizeof(*all));
	AUTO(auto_free) struct reported_model *listed = calloc(most, sizeof(*listed));
	struct buf json = BUF(16u << 20);
	if (all == NULL || listed == NULL)
		return; /* what was known before stays */
	size_t n = models_collect(d, all, listed);
	qsort(all, n, sizeof(*all), by_id);
	buf_char(&json, '[');
	for (size_t i = 0; i < n; i++) /* of those that have a model the first told it */
		if (i == 0 || strcmp(all[i].model->id, all[i - 1].model->id) != 0)
			model_write(&json, all[i].model, d->started_at);
	buf_char(&json, ']');
	buf_char(&json, '\0');
	if (json.failed) {
		buf_free(&json);
		return;
	}
	pthread_mutex_lock(&d->lock);
	char *old = d->models_json;
	d->models_json = json.p;
	pthread_mutex_unlock(&d->lock);
	free(old);
}
