/* watch.c: what is asked of an upstream beside its work: its metrics, several times a second while lines
 * are in flight, and now and then which models it has.
 *
 * Whatever comes back (rubbish, 404, nothing at all) costs nobody more than a small request now and
 * then: an answer that is of no use is asked for less and less often. */
#include <stdlib.h>

#include "base/json.h"
#include "base/log.h"
#include "base/sys.h"
#include "dispatch/dispatch_impl.h"

#define METRICS_EVERY_MS 250u
#define METRICS_TIMEOUT_MS 5000L
#define METRICS_LOST_AFTER 3u /* failures in a row: latency alone decides until it answers again */
#define MODELS_EVERY_MS 60000u
#define MODELS_TIMEOUT_MS 10000L
#define FAILED_FIRST_MS 1000u
#define FAILED_MOST_MS 60000u
#define REPORTED_MAX 1024u

/* ---- asking ---- */

static size_t on_text(char *p, size_t size, size_t n, void *arg)
{
	struct watch *w = arg;
	buf_append(&w->text, p, size * n);
	return w->text.failed ? 0 : size * n;
}

static bool watch_make(struct dispatch *d, struct watch *w, const char *url, long timeout_ms)
{
	CURL *easy = wire_handle(d->wire, w->transfer.upstream->route);
	w->transfer.easy = easy;
	return easy != NULL && curl_easy_setopt(easy, CURLOPT_PRIVATE, &w->transfer) == CURLE_OK &&
	       curl_easy_setopt(easy, CURLOPT_URL, url) == CURLE_OK &&
	       curl_easy_setopt(easy, CURLOPT_HTTPHEADER, w->transfer.upstream->headers) ==
		       CURLE_OK &&
	       curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_text) == CURLE_OK &&
	       curl_easy_setopt(easy, CURLOPT_WRITEDATA, w) == CURLE_OK &&
	       curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, timeout_ms) == CURLE_OK;
}

static void watch_failed(struct watch *w, uint64_t now_ms)
{
	uint64_t wait = FAILED_FIRST_MS;
	for (unsigned i = 0; i < w->failures && wait < FAILED_MOST_MS; i++)
		wait *= 2;
	w->failures++;
	w->due_ms = now_ms + (wait < FAILED_MOST_MS ? wait : FAILED_MOST_MS);
}

static void watch_ask(struct dispatch *d, struct watch *w, const char *url, long timeout_ms,
		      uint64_t now_ms)
{
	buf_clear(&w->text);
	if (w->transfer.easy == NULL && !watch_make(d, w, url, timeout_ms)) {
		if (w->transfer.easy != NULL)
			curl_easy_cleanup(TAKE(w->transfer.easy));
		watch_failed(w, now_ms);
		return;
	}
	w->under_way = wire_start(d->wire, w->transfer.easy);
	if (!w->under_way)
		watch_failed(w, now_ms);
}

/* Whether its load matters at the moment. */
static bool upstream_busy(const struct upstream *u)
{
	if (u->batch_in_flight > 0)
		return true;
	for (const struct lane *lane = u->lanes; lane != NULL; lane = lane->next_of_upstream)
		if (!lane->closed &&
		    (lane->model->heap_n > 0 || schedule_has_line(lane->model->schedule)))
			return true;
	return false;
}

static bool metrics_wanted(const struct upstream *u)
{
	return u->config.metrics != GAUGES_NONE && !u->retired && !u->metrics.under_way &&
	       upstream_busy(u);
}

void watches_run(struct dispatch *d, uint64_t now_ms)
{
	for (struct upstream *u = d->upstreams; u != NULL && !d->draining; u = u->next) {
		if (u->metrics.due_ms <= now_ms && metrics_wanted(u))
			watch_ask(d, &u->metrics, u->metrics_url, METRICS_TIMEOUT_MS, now_ms);
		if (u->models.due_ms <= now_ms && !u->models.under_way && !u->retired)
			watch_ask(d, &u->models, u->models_url, MODELS_TIMEOUT_MS, now_ms);
	}
}

int watches_timeout(const struct dispatch *d, uint64_t now_ms)
{
	uint64_t due = UINT64_MAX;
	for (const struct upstream *u = d->upstreams; u != NULL && !d->draining; u = u->next) {
		if (metrics_wanted(u) && u->metrics.due_ms < due)
			due = u->metrics.due_ms;
		if (!u->models.under_way && !u->retired && u->models.due_ms < due)
			due = u->models.due_ms;
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
		width_gauges_lost(lane->width, now_us);
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
		width_gauges(lane->width, &g, u->batch_in_flight + u->online_in_flight, now_us);
}

/* ---- models ---- */

static void reported_free(struct reported_model *models, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		free(models[i].id);
		free(models[i].owned_by);
	}
	free(models);
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

/* One object of the list; false: it is not JSON. Without a usable id it is passed over. */
static bool reported_read(struct json *j, struct reported_model *ret)
{
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
	}
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

static void models_done(struct dispatch *d, struct upstream *u, bool good)
{
	struct watch *w = &u->models;
	uint64_t now_ms = sys.monotonic_ms();
	size_t n = 0;
	struct reported_model *models = calloc(REPORTED_MAX, sizeof(*models));
	if (models == NULL || !good || !models_read(buf_slice(&w->text), models, &n)) {
		reported_free(models, n);
		watch_failed(w, now_ms);
		return;
	}
	w->failures = 0;
	w->due_ms = now_ms + MODELS_EVERY_MS;
	bool same = reported_same(u, models, n);
	reported_free(u->reported, u->reported_n);
	u->reported = models;
	u->reported_n = n;
	if (same)
		return;
	log_info("upstream.models", kv_str("upstream", u->config.name), kv_u64("models", n),
		 kv_str("first", n > 0 ? models[0].id : ""));
	lanes_renew(d);
}

void watch_done(struct dispatch *d, struct transfer *t, CURLcode code)
{
	struct upstream *u = t->upstream;
	struct watch *w = t == &u->metrics.transfer ? &u->metrics : &u->models;
	long status = 0;
	curl_easy_getinfo(t->easy, CURLINFO_RESPONSE_CODE, &status);
	wire_stop(d->wire, t->easy);
	w->under_way = false;
	bool good = code == CURLE_OK && status == 200;
	if (w == &u->metrics)
		metrics_done(u, good);
	else
		models_done(d, u, good);
	if (w->text.cap > (256u << 10))
		buf_free(&w->text);
}

static void watch_close(struct dispatch *d, struct watch *w)
{
	if (w->under_way)
		wire_stop(d->wire, w->transfer.easy);
	if (w->transfer.easy != NULL)
		curl_easy_cleanup(w->transfer.easy);
	buf_free(&w->text);
}

void watches_close(struct dispatch *d, struct upstream *u)
{
	watch_close(d, &u->metrics);
	watch_close(d, &u->models);
	reported_free(u->reported, u->reported_n);
}

/* ---- all upstreams' models ---- */

static int by_id(const void *a, const void *b)
{
	const struct reported_model *const *x = a, *const *y = b;
	return strcmp((*x)->id, (*y)->id);
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
	buf_char(to, '}');
}

/* Every model once: pointers into what upstreams report, or into `listed` for those that only the
 * configuration knows. */
static size_t models_collect(const struct dispatch *d, const struct reported_model **to,
			     struct reported_model *listed)
{
	size_t n = 0, own = 0;
	for (const struct upstream *u = d->upstreams; u != NULL; u = u->next) {
		for (char **m = u->config.models; !u->retired && m != NULL && *m != NULL; m++) {
			const struct reported_model *found = reported_find(u, *m);
			listed[own].id = *m;
			to[n++] = found != NULL ? found : &listed[own++];
		}
		for (size_t i = 0; !u->retired && u->config.models == NULL && i < u->reported_n;
		     i++)
			to[n++] = &u->reported[i];
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
	AUTO(auto_free) const struct reported_model **all = calloc(most, sizeof(const void *));
	AUTO(auto_free) struct reported_model *listed = calloc(most, sizeof(*listed));
	struct buf json = BUF(16u << 20);
	if (all == NULL || listed == NULL)
		return; /* what was known before stays */
	size_t n = models_collect(d, all, listed);
	qsort(all, n, sizeof(*all), by_id); // NOLINT(bugprone-sizeof-expression): pointers it is
	buf_char(&json, '[');
	for (size_t i = 0; i < n; i++)
		if (i == 0 || strcmp(all[i]->id, all[i - 1]->id) != 0)
			model_write(&json, all[i], d->started_at);
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
