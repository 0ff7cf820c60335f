#include "api.h"

#include <inttypes.h>
#include <stdio.h>
#include <time.h>

#include "base/json.h"
#include "base/memory.h"
#include "request.h"

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

/* From 0 to 1: the 53 bits that a double holds. */
static double random_part(struct api *a)
{
	return (double)(random_next(a) >> 11) * 0x1p-53;
}

static struct api *api_of(const struct conn *c)
{
	return c->http->owner;
}

static void answer_json(struct conn *c, const char *status, struct slice body)
{
	http_answer(c, status, "application/json", "", body);
}

static void answer_fault(struct conn *c, const char *status, const char *type, const char *extra,
			 const char *message)
{
	AUTO(buf_free) struct buf b = BUF(ANSWER_MAX);

	buf_text(&b, "{\"error\":{\"message\":");
	buf_json_string(&b, slice_of(message));
	buf_printf(&b, ",\"type\":\"%s\",\"param\":null,\"code\":%.3s}}", type, status);
	http_answer(c, status, "application/json", extra, buf_slice(&b));
}

static void answer_error(struct conn *c, const char *status, const char *extra, const char *message)
{
	answer_fault(c, status, status[0] == '4' ? "invalid_request_error" : "server_error", extra,
		     message);
}

static void answer_no_path(struct conn *c)
{
	answer_json(c, "404 Not Found", SLICE("{\"detail\":\"Not Found\"}"));
}

static void health_answer(struct conn *c)
{
	http_answer(c, api_of(c)->sim.dead ? "503 Service Unavailable" : "200 OK", "text/plain", "",
		    SLICE(""));
}

/* ---- completions ---- */

static void usage_add(struct buf *b, const struct conn *c, const struct sim_job *j)
{
	uint64_t output = j->asked * j->n_seqs;

	buf_printf(b, "\"usage\":{\"prompt_tokens\":%" PRIu64, j->prompt_tokens);
	if (!c->embeddings)
		buf_printf(b, ",\"completion_tokens\":%" PRIu64, output);
	buf_printf(b,
		   ",\"total_tokens\":%" PRIu64
		   ",\"prompt_tokens_details\":{\"cached_tokens\":%" PRIu64 "}}",
		   j->prompt_tokens + output, j->cached_tokens);
}

static void object_start(struct buf *b, const struct conn *c, const struct sim_job *j)
{
	buf_printf(b, "{\"id\":\"%s-%" PRIu64 "\",\"object\":\"%s%s\",\"created\":%d,\"model\":",
		   c->chat ? "chatcmpl" : "cmpl", j->number,
		   c->chat ? "chat.completion" : "text_completion",
		   c->chat && c->stream ? ".chunk" : "", CREATED);
	buf_json_string(b, slice_of(api_of(c)->metrics.models[j->lora]));
}

static void choice_add(struct buf *b, const struct conn *c, const struct sim_job *j, unsigned index)
{
	buf_printf(b, "%s{\"index\":%u,%s\"", index > 0 ? "," : "", index,
		   c->chat ? "\"message\":{\"role\":\"assistant\",\"content\":" : "\"text\":");
	for (uint64_t i = 0; i < j->asked; i++)
		buf_text(b, words[i % ARRAY_LEN(words)]);
	buf_printf(b, "\"%s,\"logprobs\":null,\"finish_reason\":\"length\"}", c->chat ? "}" : "");
}

static void completion_write(struct buf *b, const struct conn *c, const struct sim_job *j)
{
	object_start(b, c, j);
	buf_text(b, ",\"choices\":[");
	for (unsigned i = 0; i < j->n_seqs; i++)
		choice_add(b, c, j, i);
	buf_text(b, "],");
}

static void embeddings_write(struct buf *b, const struct conn *c, const struct sim_job *j)
{
	buf_printf(b, "{\"id\":\"embd-%" PRIu64 "\",\"object\":\"list\",\"created\":%d,\"model\":",
		   j->number, CREATED);
	buf_json_string(b, slice_of(api_of(c)->metrics.models[j->lora]));
	buf_text(b, ",\"data\":[");
	for (unsigned i = 0; i < j->n_seqs; i++)
		buf_printf(b, "%s{\"index\":%u,\"object\":\"embedding\",\"embedding\":[0.5,%u.25]}",
			   i > 0 ? "," : "", i, i);
	buf_text(b, "],");
}

static void whole_answer(struct conn *c, const struct sim_job *j)
{
	AUTO(buf_free) struct buf b = BUF(ANSWER_MAX);

	if (c->embeddings)
		embeddings_write(&b, c, j);
	else
		completion_write(&b, c, j);
	usage_add(&b, c, j);
	buf_char(&b, '}');
	if (b.failed)
		answer_error(c, "500 Internal Server Error", "", "the answer is too long");
	else
		answer_json(c, "200 OK", buf_slice(&b));
}

static void chunk_add(struct conn *c, struct seq *s)
{
	AUTO(buf_free) struct buf b = BUF(ANSWER_MAX);
	const char *word = words[s->told % ARRAY_LEN(words)];
	bool last = s->told + 1 == s->job->asked;

	buf_text(&b, "data: ");
	object_start(&b, c, s->job);
	buf_printf(&b, ",\"choices\":[{\"index\":%u,", s->index);
	if (c->chat)
		buf_printf(&b, "\"delta\":{%s\"content\":\"%s\"}",
			   s->told == 0 ? "\"role\":\"assistant\"," : "", word);
	else
		buf_printf(&b, "\"text\":\"%s\"", word);
	buf_printf(&b, ",\"logprobs\":null,\"finish_reason\":%s}]}\n\n",
		   last ? "\"length\"" : "null");
	http_stream_add(c, buf_slice(&b));
	s->told++;
}

static void stream_finish(struct conn *c, const struct sim_job *j)
{
	AUTO(buf_free) struct buf b = BUF(ANSWER_MAX);

	if (c->include_usage) {
		buf_text(&b, "data: ");
		object_start(&b, c, j);
		buf_text(&b, ",\"choices\":[],");
		usage_add(&b, c, j);
		buf_text(&b, "}\n\n");
		http_stream_add(c, buf_slice(&b));
	}
	http_stream_add(c, SLICE("data: [DONE]\n\n"));
	http_stream_end(c);
}

/* A slow sequence's tokens come to the client thinned out, as many as it asked for. */
static void on_token(struct seq *s)
{
	struct conn *c = s->job->owner;

	if (!c->stream || (s->decoded - 1) * s->job->asked / s->total < s->told)
		return;
	chunk_add(c, s);
	if (s->decoded < s->total)
		http_flush(c);
}

static void on_end(struct sim_job *j)
{
	struct conn *c = j->owner;

	c->job = NULL;
	if (c->stream)
		stream_finish(c, j);
	else
		whole_answer(c, j);
	http_flush(c);
}

static void answer_dead(struct conn *c)
{
	answer_fault(c, "500 Internal Server Error", "InternalServerError", "",
		     "EngineCore encountered an issue. See stack trace (above) for the root "
		     "cause.");
}

static void on_lost(struct sim_job *j)
{
	struct conn *c = j->owner;

	c->job = NULL;
	if (c->stream) {
		http_stream_add(c,
				SLICE("data: {\"error\":{\"message\":\"EngineCore encountered an "
				      "issue.\",\"type\":\"InternalServerError\",\"param\":null,"
				      "\"code\":500}}\n\n"));
		http_stream_end(c);
	} else {
		answer_dead(c);
	}
	http_flush(c);
}

static void on_gone(struct conn *c)
{
	struct api *a = api_of(c);

	sim_cancel(&a->sim, c->job, now_ns());
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
	return random_part(a) < a->refuse;
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

/* 0: the first name, or none was named; -1: there is no such model. */
static int lora_find(const struct metrics *m, struct slice name)
{
	if (name.n == 0)
		return 0;
	for (unsigned i = 0; i < m->n_models; i++) {
		if (json_key_is(name, m->models[i]))
			return (int)i;
	}
	return -1;
}

static enum sim_answer request_submit(struct conn *c, const struct request *r, unsigned lora,
				      int64_t now)
{
	struct api *a = api_of(c);
	struct slice *inputs = must_calloc(r->n_inputs, sizeof(*inputs));
	struct sim_ask ask = { .inputs = inputs,
			       .n_inputs = r->n_inputs,
			       .n = c->embeddings ? 1 : r->n,
			       .max_tokens = r->max_tokens,
			       .priority = r->priority,
			       .lora = lora,
			       .embeddings = c->embeddings };

	request_inputs(r, inputs);
	enum sim_answer answer = sim_submit(&a->sim, &ask, c, now, &c->job);
	free(inputs);
	return answer;
}

static void answer_not_taken(struct conn *c, enum sim_answer why)
{
	if (why == SIM_DEAD)
		answer_dead(c);
	else if (why == SIM_FULL)
		answer_fault(c, "503 Service Unavailable", "Service Unavailable", "",
			     "The engine is currently busy and cannot accept new requests. Please "
			     "try again later or on a different instance.");
	else
		answer_error(c, "400 Bad Request", "", "more tokens than the engine has room for");
}

static void completion_request(struct conn *c, struct slice body)
{
	struct api *a = api_of(c);
	struct request r;
	int64_t now = now_ns();

	if (!request_scan(body, &r) || r.prompt.n == 0) {
		answer_error(c, "400 Bad Request", "", "the body is no request with a prompt");
		return;
	}
	int lora = lora_find(&a->metrics, r.model);
	if (lora < 0) {
		answer_fault(c, "404 Not Found", "NotFoundError", "", "The model does not exist.");
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
	enum sim_answer answer = request_submit(c, &r, (unsigned)lora, now);
	if (answer != SIM_TAKEN) {
		a->n_requests -= answer == SIM_TOO_LONG ? 1 : 0;
		answer_not_taken(c, answer);
		return;
	}
	c->stream = r.stream && !c->embeddings;
	c->include_usage = r.include_usage;
	if (c->stream)
		http_stream_start(c, "text/event-stream; charset=utf-8");
}

/* ---- the other routes ---- */

static void models_answer(struct conn *c)
{
	AUTO(buf_free) struct buf b = BUF(ANSWER_MAX);
	const struct metrics *m = &api_of(c)->metrics;

	buf_text(&b, "{\"object\":\"list\",\"data\":[");
	for (unsigned i = 0; i < m->n_models; i++) {
		buf_text(&b, i > 0 ? ",{\"id\":" : "{\"id\":");
		buf_json_string(&b, slice_of(m->models[i]));
		buf_printf(&b, ",\"object\":\"model\",\"created\":%d,\"owned_by\":\"%s\",\"root\":",
			   CREATED, metrics_names_words[m->names]);
		buf_json_string(&b, slice_of(m->models[i]));
		buf_text(&b, ",\"parent\":");
		if (i > 0)
			buf_json_string(&b, slice_of(m->models[0]));
		else
			buf_text(&b, "null");
		buf_char(&b, '}');
	}
	buf_text(&b, "]}");
	answer_json(c, "200 OK", buf_slice(&b));
}

static void metrics_answer(struct conn *c)
{
	AUTO(buf_free) struct buf b = BUF(ANSWER_MAX);
	struct api *a = api_of(c);
	double low = a->metrics_ms_low, high = a->metrics_ms_high;

	metrics_write(&a->metrics, &a->sim, &b);
	http_answer(c, "200 OK", "text/plain; version=1.0.0; charset=utf-8", "", buf_slice(&b));
	if (high > 0)
		http_delay(c, now_ns() + (int64_t)((low + (high - low) * random_part(a)) * 1e6));
}

/* What SGLang and llama.cpp say of themselves. */
static void props_answer(struct conn *c)
{
	AUTO(buf_free) struct buf b = BUF(ANSWER_MAX);

	buf_printf(&b, "{\"total_slots\":%u}", api_of(c)->sim.options.slots);
	answer_json(c, "200 OK", buf_slice(&b));
}

static void slots_answer(struct conn *c)
{
	AUTO(buf_free) struct buf b = BUF(ANSWER_MAX);
	const struct sim *m = &api_of(c)->sim;

	buf_char(&b, '[');
	for (unsigned i = 0; i < m->options.slots; i++) {
		bool taken = m->options.slot_cache ? m->cores[0].slots[i].taken
						   : i < m->cores[0].n_running;

		buf_printf(&b, "%s{\"id\":%u,\"is_processing\":%s}", i > 0 ? "," : "", i,
			   taken ? "true" : "false");
	}
	buf_char(&b, ']');
	answer_json(c, "200 OK", buf_slice(&b));
}

static void server_info_answer(struct conn *c)
{
	AUTO(buf_free) struct buf b = BUF(ANSWER_MAX);

	buf_printf(&b, "{\"max_running_requests\":%u}", api_of(c)->sim.options.slots);
	answer_json(c, "200 OK", buf_slice(&b));
}

static double seconds(int64_t ns)
{
	return (double)ns / (double)NS_PER_S;
}

static void mark(struct api *a)
{
	a->marked_ns = now_ns();
	a->marked = sim_stats(&a->sim, a->marked_ns);
	a->marked_rejected = a->sim.n_rejected;
	a->sim.waiting_most = 0;
}

/* What has been since the mark. */
static void since_mark_add(struct buf *b, const struct api *a, const struct sim_stats *s,
			   int64_t now)
{
	const struct sim_stats *m = &a->marked;
	uint64_t output = s->output_tokens - m->output_tokens;
	uint64_t prefill = s->prefill_tokens - m->prefill_tokens;

	buf_printf(b,
		   ",\"since_mark\":{\"seconds\":%.6f,\"waiting_most\":%zu,\"tokens\":%" PRIu64
		   ",\"output_tokens\":%" PRIu64 ",\"steps\":%" PRIu64 ",\"rejected\":%" PRIu64
		   ",\"preemptions\":%" PRIu64,
		   seconds(now - a->marked_ns), a->sim.waiting_most, output + prefill, output,
		   s->steps - m->steps, a->sim.n_rejected - a->marked_rejected,
		   s->preemptions - m->preemptions);
	buf_printf(b, ",\"running_seconds\":%.6f,\"waiting_seconds\":%.6f,\"slot_seconds\":%.6f}",
		   s->running_s - m->running_s, s->waiting_s - m->waiting_s, s->slot_s - m->slot_s);
}

static void stats_answer(struct conn *c)
{
	AUTO(buf_free) struct buf b = BUF(ANSWER_MAX);
	struct api *a = api_of(c);
	int64_t now = now_ns();
	struct sim_stats s = sim_stats(&a->sim, now);

	buf_printf(&b,
		   "{\"now_s\":%.6f,\"requests\":%" PRIu64 ",\"finished\":%" PRIu64
		   ",\"refused\":%" PRIu64 ",\"cancelled\":%" PRIu64
		   ",\"running\":%u,\"waiting\":%zu",
		   seconds(now - a->started_ns), a->n_requests, s.finished, a->n_refused,
		   a->n_cancelled, sim_running(&a->sim), sim_waiting(&a->sim));
	buf_printf(&b,
		   ",\"running_seconds\":%.6f,\"waiting_seconds\":%.6f,\"busy_seconds\":%.6f"
		   ",\"slot_seconds\":%.6f",
		   s.running_s, s.waiting_s, s.busy_s, s.slot_s);
	buf_printf(&b,
		   ",\"prefill_tokens\":%" PRIu64 ",\"cached_tokens\":%" PRIu64
		   ",\"output_tokens\":%" PRIu64 ",\"steps\":%" PRIu64,
		   s.prefill_tokens, s.cached_tokens, s.output_tokens, s.steps);
	buf_printf(&b,
		   ",\"tokens\":%" PRIu64 ",\"rejected\":%" PRIu64 ",\"preemptions\":%" PRIu64
		   ",\"waiting_most\":%zu",
		   s.prefill_tokens + s.output_tokens, a->sim.n_rejected, s.preemptions,
		   a->sim.waiting_most);
	buf_printf(&b,
		   ",\"paused_requests\":%" PRIu64 ",\"down_requests\":%" PRIu64
		   ",\"first_after_down_s\":",
		   a->n_paused, a->n_down);
	if (a->first_after_ns > 0)
		buf_printf(&b, "%.6f", seconds(a->first_after_ns - a->was_up_ns));
	else
		buf_text(&b, "null");
	since_mark_add(&b, a, &s, now);
	buf_char(&b, '}');
	answer_json(c, "200 OK", buf_slice(&b));
}

static void down_start(struct api *a, struct conn *c, double down_s)
{
	a->up_at_ns = now_ns() + (int64_t)(down_s * (double)NS_PER_S);
	a->was_up_ns = a->first_after_ns = 0;
	a->going_down = true;
	http_down(&a->http, c);
	a->going_down = false;
	c->keep_alive = false;
}

static void lie_set(struct api *a, struct slice name)
{
	for (unsigned i = 0; metrics_lie_words[i] != NULL; i++) {
		if (json_key_is(name, metrics_lie_words[i])) {
			a->metrics.lie = (enum metrics_lie)i;
			a->metrics.polls = 0;
			a->metrics.has_frozen = false;
		}
	}
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
	if (wanted.slots >= 1 && wanted.slots <= SLOTS_MAX)
		sim_slots(&a->sim, (unsigned)wanted.slots, now_ns());
	if (wanted.answer_factor > 0)
		a->sim.answer_factor = wanted.answer_factor;
	if (wanted.lie.n > 0)
		lie_set(a, wanted.lie);
	if (wanted.mark == 1)
		mark(a);
	if (wanted.dead == 1)
		sim_kill(&a->sim, now_ns());
	else if (wanted.dead == 0)
		sim_revive(&a->sim, now_ns());
	if (wanted.down_s >= 0 && a->up_at_ns == NEVER_NS)
		down_start(a, c, wanted.down_s);
	answer_json(c, "200 OK", SLICE("{}"));
}

static void generate_request(struct conn *c, const struct http_request *r)
{
	bool pooling = api_of(c)->sim.options.pooling;

	c->chat = slice_is(r->path, "/v1/chat/completions");
	c->embeddings = slice_is(r->path, "/v1/embeddings");
	if (pooling && !c->embeddings)
		answer_no_path(c);
	else
		completion_request(c, r->body);
}

static const struct {
	const char *method, *path;
	int names; /* enum metrics_names that has the route; -1: all */
	void (*answer)(struct conn *c);
} routes[] = {
	{ "GET", "/v1/models", -1, models_answer },
	{ "GET", "/health", -1, health_answer },
	{ "GET", "/stats", -1, stats_answer },
	{ "GET", "/props", METRICS_LLAMACPP, props_answer },
	{ "GET", "/slots", METRICS_LLAMACPP, slots_answer },
	{ "GET", "/server_info", METRICS_SGLANG, server_info_answer },
	{ "GET", "/get_server_info", METRICS_SGLANG, server_info_answer }, /* older */
};

static void on_request(struct conn *c, const struct http_request *r)
{
	const struct api *a = api_of(c);

	if (slice_is(r->method, "POST") &&
	    (slice_is(r->path, "/v1/chat/completions") || slice_is(r->path, "/v1/completions") ||
	     slice_is(r->path, "/v1/embeddings"))) {
		generate_request(c, r);
		return;
	}
	if (slice_is(r->method, "POST") && slice_is(r->path, "/control")) {
		control_request(c, r->body);
		return;
	}
	if (slice_is(r->method, "GET") && slice_is(r->path, "/metrics") && !a->no_metrics) {
		metrics_answer(c);
		return;
	}
	for (size_t i = 0; i < ARRAY_LEN(routes); i++) {
		if (slice_is(r->method, routes[i].method) && slice_is(r->path, routes[i].path) &&
		    (routes[i].names < 0 || routes[i].names == (int)a->metrics.names)) {
			routes[i].answer(c);
			return;
		}
	}
	answer_no_path(c);
}

void api_open(struct api *a)
{
	a->started_ns = a->marked_ns = now_ns();
	a->up_at_ns = NEVER_NS;
	a->metrics.random = a->random;
	a->sim.on_token = on_token;
	a->sim.on_end = on_end;
	a->sim.on_lost = on_lost;
	sim_init(&a->sim, a->started_ns);
	a->http.owner = a;
	a->http.on_request = on_request;
	a->http.on_gone = on_gone;
	http_open(&a->http);
}

void api_close(struct api *a)
{
	http_close(&a->http);
	sim_free(&a->sim);
}

int64_t api_turn(struct api *a)
{
	int64_t now = now_ns();

	if (now >= a->up_at_ns) {
		http_up(&a->http);
		a->up_at_ns = NEVER_NS;
		a->was_up_ns = now;
	}
	int64_t late_ns = http_late(&a->http, now);
	int64_t due_ns = sim_run(&a->sim, now_ns());
	due_ns = late_ns < due_ns ? late_ns : due_ns;
	return a->up_at_ns < due_ns ? a->up_at_ns : due_ns;
}
