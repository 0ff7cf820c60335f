/* tracer.c: a queue under a lock, and one request at a time.
 *
 *	span_end() -> queue -> payload -> collector
 *	                          ^ tries      | failed: again later, or dropped */
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/id.h"
#include "base/log.h"
#include "base/sys.h"
#include "base/worker.h"
#include "trace/context.h"
#include "trace/otlp.h"
#include "trace/span_impl.h"
#include "trace/tracer_impl.h"

#define PAYLOAD_BYTES_MAX (8u << 20)
#define ANSWER_BYTES_MAX (16u << 10)
#define RETRY_FIRST_MS 1000u
#define QUIET_MS 60000u /* without a drop: it is over */
#define PATH "/v1/traces"

/* ---- the queue ---- */

static void tracer_lose(struct tracer *t, uint64_t spans)
{
	t->dropped += spans;
}

static void tracer_take(struct tracer *t, struct span *s)
{
	pthread_mutex_lock(&t->lock);
	bool full = t->n >= TRACER_SPANS_MAX, wake = false;
	if (!full) {
		s->next = NULL;
		*t->tail = s;
		t->tail = &s->next;
		t->n++;
		wake = t->n == 1 || t->n == TRACER_BATCH_SPANS;
	}
	pthread_mutex_unlock(&t->lock);
	if (full) {
		tracer_lose(t, 1);
		span_drop(s);
		wake = !t->told; /* for the log */
	}
	if (wake)
		client_wake(t->client);
}

void span_end_at(struct tracer *t, struct span *s, uint64_t end_ns)
{
	if (s == NULL)
		return;
	s->end_ns = end_ns > s->start_ns ? end_ns : s->start_ns;
	if (t != NULL)
		tracer_take(t, s);
	else
		span_drop(s);
}

void span_end(struct tracer *t, struct span *s)
{
	if (s != NULL)
		span_end_at(t, s, span_now_ns(s));
}

/* The first so many. */
static struct span *queue_take(struct tracer *t, unsigned most)
{
	pthread_mutex_lock(&t->lock);
	struct span *first = t->head, **end = &t->head;
	for (; most > 0 && *end != NULL; most--, t->n--)
		end = &(*end)->next;
	t->head = *end;
	if (t->head == NULL)
		t->tail = &t->head;
	pthread_mutex_unlock(&t->lock);
	if (end != &t->head)
		*end = NULL;
	return first;
}

static unsigned queue_count(struct tracer *t, bool *ret_closing, uint64_t *ret_close_ms)
{
	pthread_mutex_lock(&t->lock);
	unsigned n = t->n;
	*ret_closing = t->closing;
	*ret_close_ms = t->close_ms;
	pthread_mutex_unlock(&t->lock);
	return n;
}

bool tracer_samples(const struct tracer *t, uint64_t record)
{
	return t != NULL && t->sample > 0 && record % t->sample == 0;
}

struct tracer_counts tracer_counts(const struct tracer *t)
{
	if (t == NULL)
		return (struct tracer_counts){ 0 };
	return (struct tracer_counts){ t->sent, t->dropped };
}

/* ---- one request ---- */

static void payload_drop(struct tracer *t)
{
	tracer_lose(t, t->payload_spans);
	t->payload_spans = 0;
	t->tries = 0;
	buf_free(&t->payload);
}

static bool payload_make(struct tracer *t)
{
	struct span *s = queue_take(t, TRACER_BATCH_SPANS);

	buf_clear(&t->payload);
	otlp_begin(&t->payload, t->version, t->instance);
	for (struct span *next; s != NULL; s = next) {
		next = s->next;
		otlp_span(&t->payload, s);
		t->payload_spans++;
		span_drop(s);
	}
	otlp_end(&t->payload);
	return !t->payload.failed;
}

static enum exchange_taken export_body(struct exchange *x, struct slice piece)
{
	struct tracer *t = container_of(x, struct tracer, exchange);

	buf_add(&t->answer, piece); /* of a longer one the beginning is enough */
	return EXCHANGE_TAKEN;
}

/* Whether the same may be taken later (OTLP, "Failures"). */
static bool is_retryable(const struct exchange_result *r)
{
	return r->how != EXCHANGE_WHOLE || r->status == 429 || r->status == 502 ||
	       r->status == 503 || r->status == 504;
}

static void export_good(struct tracer *t)
{
	uint64_t rejected = otlp_rejected(buf_slice(&t->answer));

	if (rejected > t->payload_spans)
		rejected = t->payload_spans;
	t->sent += t->payload_spans - rejected;
	if (rejected > 0)
		snprintf(t->said, sizeof(t->said), "the collector rejects spans");
	else
		t->said[0] = '\0';
	t->payload_spans = (unsigned)rejected;
	payload_drop(t);
}

static void export_failed(struct tracer *t, const struct exchange_result *r)
{
	if (r->how == EXCHANGE_WHOLE)
		snprintf(t->said, sizeof(t->said), "HTTP %d", r->status);
	else
		snprintf(t->said, sizeof(t->said), "%s", r->said);
	if (!is_retryable(r) || t->tries >= TRACER_TRIES)
		payload_drop(t);
	t->hold_ms = sys.monotonic_ms() + (RETRY_FIRST_MS << (t->tries > 0 ? t->tries - 1 : 0));
}

static void export_done(struct exchange *x, const struct exchange_result *r)
{
	struct tracer *t = container_of(x, struct tracer, exchange);

	if (r->how == EXCHANGE_WHOLE && r->status >= 200 && r->status < 300)
		export_good(t);
	else
		export_failed(t, r);
}

static const struct exchange_ops export_ops = { .body = export_body, .done = export_done };

static void export_start(struct tracer *t)
{
	if (t->payload_spans == 0 && !payload_make(t)) {
		payload_drop(t);
		return;
	}
	t->first_ms = 0;
	const struct exchange_request rq = { .body = buf_slice(&t->payload) };
	buf_clear(&t->answer);
	t->tries++;
	if (!exchange_start(&t->exchange, &rq))
		payload_drop(t);
}

/* ---- the log ---- */

/* Once when it begins, once when it is over. */
static void drops_tell(struct tracer *t, uint64_t now_ms)
{
	uint64_t dropped = t->dropped;

	if (dropped != t->dropped_seen) {
		t->dropped_seen = dropped;
		t->dropped_ms = now_ms;
		if (!t->told)
			log_warn("tracing.dropped", kv_str("endpoint", t->url),
				 kv_str("said", t->said[0] != '\0' ? t->said : "too many wait"),
				 kv_u64("spans", dropped));
		t->told = true;
	} else if (t->told && t->said[0] == '\0' && now_ms >= t->dropped_ms + QUIET_MS) {
		log_info("tracing.resumed", kv_u64("dropped", dropped));
		t->told = false;
	}
}

/* ---- the loop ---- */

/* When a request is to start; UINT64_MAX: none is, until something happens. */
static uint64_t export_due_ms(struct tracer *t, unsigned waiting, bool closing, uint64_t now_ms)
{
	if (t->exchange.under_way)
		return UINT64_MAX;
	if (t->payload_spans > 0)
		return t->hold_ms;
	if (waiting == 0)
		return UINT64_MAX;
	if (t->first_ms == 0)
		t->first_ms = now_ms;
	if (closing || waiting >= TRACER_BATCH_SPANS)
		return t->hold_ms;
	return clock_later(t->first_ms + TRACER_EVERY_MS, t->hold_ms);
}

/* Nobody waits at the end for a collector that does not answer, and for another not long. */
static bool is_over(const struct tracer *t, unsigned waiting, uint64_t now_ms, uint64_t close_ms)
{
	bool idle = waiting == 0 && t->payload_spans == 0;

	return idle || t->said[0] != '\0' || now_ms >= close_ms;
}

bool tracer_turn(struct tracer *t)
{
	uint64_t now_ms = sys.monotonic_ms(), close_ms;
	bool closing, woken;
	unsigned waiting = queue_count(t, &closing, &close_ms);
	uint64_t due_ms = export_due_ms(t, waiting, closing, now_ms);

	drops_tell(t, now_ms);
	if (closing && is_over(t, waiting, now_ms, close_ms))
		return false;
	if (due_ms <= now_ms)
		export_start(t); /* it may be answered while it is being sent: no wait then */
	else if (closing && close_ms < due_ms)
		due_ms = close_ms;
	client_due(t->client);
	client_wait(t->client, clock_wait_ms(due_ms, now_ms), &woken);
	client_deliver(t->client);
	return true;
}

static void *tracer_main(void *arg)
{
	struct tracer *t = arg;

	while (tracer_turn(t))
		;
	return NULL;
}

/* ---- opening and closing ---- */

/* As OTLP's exporters are given it: the path may be left out. */
static bool url_make(struct tracer *t, const char *endpoint)
{
	size_t n = strlen(endpoint), path = strlen(PATH);
	bool whole = n >= path && strcmp(endpoint + n - path, PATH) == 0;

	return asprintf(&t->url, "%s%s", endpoint, whole ? "" : PATH) >= 0;
}

static bool exchange_make(struct tracer *t)
{
	static const struct tls_pem machines = { 0 };
	const struct header type = { SLICE("Content-Type"), SLICE("application/json") };

	t->route = client_route_new(t->client, t->url, &machines);
	return t->route != NULL &&
	       exchange_open(&t->exchange,
			     &(struct exchange_setup){ .route = t->route,
						       .ops = &export_ops,
						       .headers = &type,
						       .header_count = 1,
						       .timeout_ms = TRACER_TIMEOUT_MS }) &&
	       exchange_url(&t->exchange, t->url);
}

bool tracer_new(const struct tracer_config *config, struct tracer **ret, struct error *err)
{
	struct tracer *t = calloc(1, sizeof(*t));
	uint8_t instance[16];

	if (t == NULL) {
		client_close(config->client);
		return fail_memory(err);
	}
	t->version = config->version;
	t->sample = config->sample;
	t->client = config->client;
	t->tail = &t->head;
	t->payload = BUF(PAYLOAD_BYTES_MAX);
	t->answer = BUF(ANSWER_BYTES_MAX);
	pthread_mutex_init(&t->lock, NULL);
	random_bytes(instance, sizeof(instance));
	trace_hex(instance, sizeof(instance), t->instance);
	if (!url_make(t, config->endpoint)) {
		t->url = NULL;
		tracer_close(t);
		return fail_memory(err);
	}
	if (!exchange_make(t)) {
		tracer_close(t);
		return fail_memory(err);
	}
	*ret = t;
	return true;
}

bool tracer_open(const struct tracer_config *config, struct tracer **ret, struct error *err)
{
	*ret = NULL;
	if (!tracer_new(config, ret, err))
		return false;
	(*ret)->thread_started = thread_start(&(*ret)->thread, "tracer", tracer_main, *ret, err);
	if (!(*ret)->thread_started)
		tracer_close(TAKE(*ret));
	return *ret != NULL;
}

void tracer_close(struct tracer *t)
{
	if (t == NULL)
		return;
	pthread_mutex_lock(&t->lock);
	t->closing = true;
	t->close_ms = sys.monotonic_ms() + TRACER_END_MS;
	pthread_mutex_unlock(&t->lock);
	if (t->thread_started) {
		client_wake(t->client);
		pthread_join(t->thread, NULL);
	}
	for (struct span *s = queue_take(t, UINT32_MAX), *next; s != NULL; s = next) {
		next = s->next;
		span_drop(s);
	}
	exchange_close(&t->exchange);
	client_route_free(t->route);
	client_close(t->client);
	buf_free(&t->payload);
	buf_free(&t->answer);
	pthread_mutex_destroy(&t->lock);
	free(t->url);
	free(t);
}
