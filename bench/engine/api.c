#include "api.h"

#include <inttypes.h>
#include <stdio.h>
#include <time.h>

#include "base/json.h"

#define CREATED 1700000000
#define ANSWER_MAX (64u << 20)
/* A 429 is known to its client, and to what shares a limit with it, after so long. */
#define NOTICE_KNOWN_NS 50000000LL
#define RETRY_AFTER_MAX_S 5u

static const char *const words[] = { "low ", "tide ", "far ",  "out, ", "the ",
				     "mud ", "lies ", "bare ", "and ",  "shines " };

int64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * NS_PER_S + t.tv_nsec;
}

/* splitmix64 */
static uint64_t random_next(struct api *a)
{
	uint64_t z = a->random += 0x9e3779b97f4a7c15u;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
	return z ^ (z >> 31);
}

static struct api *api_of(const struct conn *c)
{
	return c->http->owner;
}

static void answer_json(struct conn *c, const char *status, struct slice body)
{
	http_answer(c, status, "application/json", "", body);
}

static void answer_error(struct conn *c, const char *status, const char *extra, const char *message)
{
	AUTO(buf_free) struct buf b = BUF(ANSWER_MAX);

	buf_text(&b, "{\"error\":{\"message\":");
	buf_json_string(&b, slice_of(message));
	buf_printf(&b, ",\"type\":\"%s\",\"param\":null,\"code\":%.3s}}",
		   status[0] == '4' ? "invalid_request_error" : "server_error", status);
	http_answer(c, status, "application/json", extra, buf_slice(&b));
}

/* ---- completions ---- */

static void usage_add(struct buf *b, const struct seq *s)
{
	buf_printf(b,
		   "\"usage\":{\"prompt_tokens\":%" PRIu64 ",\"completion_tokens\":%" PRIu64
		   ",\"total_tokens\":%" PRIu64
		   ",\"prompt_tokens_details\":{\"cached_tokens\":%" PRIu64 "}}",
		   s->prompt_tokens, s->asked, s->prompt_tokens + s->asked, s->cached_tokens);
}

static void object_start(struct buf *b, const struct conn *c, const struct seq *s)
{
	buf_printf(b, "{\"id\":\"%s-%" PRIu64 "\",\"object\":\"%s%s\",\"created\":%d,\"model\":",
		   c->chat ? "chatcmpl" : "cmpl", s->number,
		   c->chat ? "chat.completion" : "text_completion",
		   c->chat && c->stream ? ".chunk" : "", CREATED);
	buf_json_string(b, slice_of(api_of(c)->model));
}

static void completion_answer(struct conn *c, const struct seq *s)
{
	AUTO(buf_free) struct buf b = BUF(ANSWER_MAX);

	object_start(&b, c, s);
	buf_printf(&b, ",\"choices\":[{\"index\":0,%s\"",
		   c->chat ? "\"message\":{\"role\":\"assistant\",\"content\":" : "\"text\":");
	for (uint64_t i = 0; i < s->asked; i++)
		buf_text(&b, words[i % ARRAY_LEN(words)]);
	buf_printf(&b, "\"%s,\"logprobs\":null,\"finish_reason\":\"length\"}],",
		   c->chat ? "}" : "");
	usage_add(&b, s);
	buf_char(&b, '}');
	if (b.failed)
		answer_error(c, "500 Internal Server Error", "", "the answer is too long");
	else
		answer_json(c, "200 OK", buf_slice(&b));
}

static void chunk_add(struct conn *c, const struct seq *s)
{
	AUTO(buf_free) struct buf b = BUF(ANSWER_MAX);
	const char *word = words[c->n_chunks % ARRAY_LEN(words)];
	bool last = c->n_chunks + 1 == s->asked;

	buf_text(&b, "data: ");
	object_start(&b, c, s);
	if (c->chat)
		buf_printf(&b, ",\"choices\":[{\"index\":0,\"delta\":{%s\"content\":\"%s\"}",
			   c->n_chunks == 0 ? "\"role\":\"assistant\"," : "", word);
	else
		buf_printf(&b, ",\"choices\":[{\"index\":0,\"text\":\"%s\"", word);
	buf_printf(&b, ",\"logprobs\":null,\"finish_reason\":%s}]}\n\n",
		   last ? "\"length\"" : "null");
	http_stream_add(c, buf_slice(&b));
	c->n_chunks++;
}

static void stream_finish(struct conn *c, const struct seq *s)
{
	AUTO(buf_free) struct buf b = BUF(ANSWER_MAX);

	if (c->include_usage) {
		buf_text(&b, "data: ");
		object_start(&b, c, s);
		buf_text(&b, ",\"choices\":[],");
		usage_add(&b, s);
		buf_text(&b, "}\n\n");
		http_stream_add(c, buf_slice(&b));
	}
	http_stream_add(c, SLICE("data: [DONE]\n\n"));
	http_stream_end(c);
}

/* A slow sequence's tokens come to the client thinned out, as many as it asked for. */
static void on_token(struct seq *s)
{
	struct conn *c = s->owner;

	if (!c->stream || (s->decoded - 1) * s->asked / s->total < c->n_chunks)
		return;
	chunk_add(c, s);
	if (s->decoded < s->total)
		http_flush(c);
}

static void on_end(struct seq *s)
{
	struct conn *c = s->owner;

	c->seq = NULL;
	if (c->stream)
		stream_finish(c, s);
	else
		completion_answer(c, s);
	http_flush(c);
}

static void on_gone(struct conn *c)
{
	struct api *a = api_of(c);

	engine_cancel(&a->engine, c->seq, now_ns());
	*(a->going_down ? &a->n_down : &a->n_cancelled) += 1;
}

/* ---- requests that are refused ---- */

static void notice_give(struct api *a, int64_t now, uint64_t pause_s)
{
	a->notices[a->n_notices++ % NOTICES_MAX] = (struct notice){ now, now + (int64_t)pause_s *
											 NS_PER_S };
	if (a->n_notices - a->n_notices_known > NOTICES_MAX)
		a->n_notices_known++;
}

/* Is a pause in force that the sender of a request could know of? */
static bool paused(struct api *a, int64_t now)
{
	while (a->n_notices_known < a->n_notices) {
		const struct notice *n = &a->notices[a->n_notices_known % NOTICES_MAX];

		if (now - n->at_ns < NOTICE_KNOWN_NS)
			break;
		if (n->until_ns > a->pause_until_ns)
			a->pause_until_ns = n->until_ns;
		a->n_notices_known++;
	}
	return now < a->pause_until_ns;
}

static bool refuses(struct api *a)
{
	/* The 53 bits that a double holds. */
	return (double)(random_next(a) >> 11) * 0x1p-53 < a->refuse;
}

static void answer_refused(struct conn *c, int64_t now)
{
	struct api *a = api_of(c);
	unsigned pause_s = 1 + (unsigned)(random_next(a) % RETRY_AFTER_MAX_S);
	char extra[64];

	a->n_refused++;
	notice_give(a, now, pause_s);
	snprintf(extra, sizeof(extra), "Retry-After: %u\r\n", pause_s);
	answer_error(c, "429 Too Many Requests", extra, "too many requests");
}

static void completion_request(struct conn *c, struct slice body, bool chat)
{
	struct api *a = api_of(c);
	struct request r;
	int64_t now = now_ns();

	if (!request_scan(body, &r) || r.prompt.n == 0) {
		answer_error(c, "400 Bad Request", "", "the body is no request with a prompt");
		return;
	}
	if (r.model.n > 0 && !json_key_is(r.model, a->model)) {
		answer_error(c, "404 Not Found", "", "the model does not exist");
		return;
	}
	a->n_requests++;
	a->n_paused += paused(a, now) ? 1 : 0;
	if (a->was_up_ns > 0 && a->first_after_ns == 0)
		a->first_after_ns = now;
	if (refuses(a)) {
		answer_refused(c, now);
		return;
	}
	c->seq = engine_submit(&a->engine, &r, c, now);
	if (c->seq == NULL) {
		a->n_requests--;
		answer_error(c, "400 Bad Request", "", "more tokens than the engine has room for");
		return;
	}
	c->chat = chat;
	c->stream = r.stream;
	c->include_usage = r.include_usage;
	c->n_chunks = 0;
	if (c->stream)
		http_stream_start(c, "text/event-stream; charset=utf-8");
}

/* ---- the other routes ---- */

static void models_answer(struct conn *c)
{
	AUTO(buf_free) struct buf b = BUF(ANSWER_MAX);

	buf_text(&b, "{\"object\":\"list\",\"data\":[{\"id\":");
	buf_json_string(&b, slice_of(api_of(c)->model));
	buf_printf(&b, ",\"object\":\"model\",\"created\":%d,\"owned_by\":\"bench\"}]}", CREATED);
	answer_json(c, "200 OK", buf_slice(&b));
}

static void metric_add(struct buf *b, const struct api *a, const char *name, const char *type,
		       double value)
{
	buf_printf(b, "# HELP vllm:%s Of the simulated engine.\n# TYPE vllm:%s %s\n", name, name,
		   type);
	buf_printf(b, "vllm:%s{engine=\"0\",model_name=\"%s\"} %.17g\n", name, a->model, value);
}

static void metrics_answer(struct conn *c)
{
	AUTO(buf_free) struct buf b = BUF(ANSWER_MAX);
	const struct api *a = api_of(c);
	const struct engine *e = &a->engine;
	uint64_t room = e->options.kv_tokens;

	metric_add(&b, a, "num_requests_running", "gauge", e->n_running);
	metric_add(&b, a, "num_requests_waiting", "gauge", (double)e->n_waiting);
	metric_add(&b, a, "kv_cache_usage_perc", "gauge",
		   room > 0 ? (double)e->kv_used / (double)room : 0);
	metric_add(&b, a, "prompt_tokens_total", "counter", (double)e->stats.prompt_tokens);
	metric_add(&b, a, "generation_tokens_total", "counter", (double)e->stats.output_tokens);
	metric_add(&b, a, "prefix_cache_queries_total", "counter", (double)e->stats.prompt_tokens);
	metric_add(&b, a, "prefix_cache_hits_total", "counter", (double)e->stats.cached_tokens);
	http_answer(c, "200 OK", "text/plain; version=0.0.4; charset=utf-8", "", buf_slice(&b));
}

static double seconds(int64_t ns)
{
	return (double)ns / (double)NS_PER_S;
}

static void stats_answer(struct conn *c)
{
	AUTO(buf_free) struct buf b = BUF(ANSWER_MAX);
	struct api *a = api_of(c);
	struct engine *e = &a->engine;
	int64_t now = now_ns();

	engine_count(e, now);
	buf_printf(&b,
		   "{\"now_s\":%.6f,\"requests\":%" PRIu64 ",\"finished\":%" PRIu64
		   ",\"refused\":%" PRIu64 ",\"cancelled\":%" PRIu64
		   ",\"running\":%u,\"waiting\":%zu",
		   seconds(now - a->started_ns), a->n_requests, e->stats.finished, a->n_refused,
		   a->n_cancelled, e->n_running, e->n_waiting);
	buf_printf(&b, ",\"running_seconds\":%.6f,\"waiting_seconds\":%.6f,\"busy_seconds\":%.6f",
		   e->stats.running_s, e->stats.waiting_s, e->stats.busy_s);
	buf_printf(&b,
		   ",\"prefill_tokens\":%" PRIu64 ",\"cached_tokens\":%" PRIu64
		   ",\"output_tokens\":%" PRIu64 ",\"steps\":%" PRIu64,
		   e->stats.prefill_tokens, e->stats.cached_tokens, e->stats.output_tokens,
		   e->stats.steps);
	buf_printf(&b,
		   ",\"paused_requests\":%" PRIu64 ",\"down_requests\":%" PRIu64
		   ",\"first_after_down_s\":",
		   a->n_paused, a->n_down);
	if (a->first_after_ns > 0)
		buf_printf(&b, "%.6f}", seconds(a->first_after_ns - a->was_up_ns));
	else
		buf_text(&b, "null}");
	answer_json(c, "200 OK", buf_slice(&b));
}

static void control_request(struct conn *c, struct slice body)
{
	struct api *a = api_of(c);
	struct control wanted;

	if (!control_scan(body, &wanted)) {
		answer_error(c, "400 Bad Request", "", "not a JSON object");
		return;
	}
	if (wanted.refuse >= 0)
		a->refuse = wanted.refuse;
	if (wanted.down_s >= 0 && a->up_at_ns == NEVER_NS) {
		a->up_at_ns = now_ns() + (int64_t)(wanted.down_s * (double)NS_PER_S);
		a->was_up_ns = a->first_after_ns = 0;
		a->going_down = true;
		http_down(&a->http, c);
		a->going_down = false;
		c->keep_alive = false;
	}
	answer_json(c, "200 OK", SLICE("{}"));
}

static void on_request(struct conn *c, const struct http_request *r)
{
	bool post = slice_is(r->method, "POST");
	bool get = slice_is(r->method, "GET");

	if (post && slice_is(r->path, "/v1/chat/completions"))
		completion_request(c, r->body, true);
	else if (post && slice_is(r->path, "/v1/completions"))
		completion_request(c, r->body, false);
	else if (get && slice_is(r->path, "/v1/models"))
		models_answer(c);
	else if (get && slice_is(r->path, "/health"))
		http_answer(c, "200 OK", "text/plain", "", SLICE(""));
	else if (get && slice_is(r->path, "/metrics") && !api_of(c)->no_metrics)
		metrics_answer(c);
	else if (get && slice_is(r->path, "/stats"))
		stats_answer(c);
	else if (post && slice_is(r->path, "/control"))
		control_request(c, r->body);
	else
		answer_error(c, "404 Not Found", "", "no such path");
}

void api_open(struct api *a)
{
	a->started_ns = now_ns();
	a->up_at_ns = NEVER_NS;
	a->engine.on_token = on_token;
	a->engine.on_end = on_end;
	engine_init(&a->engine, a->started_ns);
	a->http.owner = a;
	a->http.on_request = on_request;
	a->http.on_gone = on_gone;
	http_open(&a->http);
}

void api_close(struct api *a)
{
	http_close(&a->http);
	engine_free(&a->engine);
}

void api_turn(struct api *a)
{
	int64_t now = now_ns();

	if (now < a->up_at_ns)
		return;
	http_up(&a->http);
	a->up_at_ns = NEVER_NS;
	a->was_up_ns = now;
}
