/* lines.c: one line on its way: sent, answered, put off, ended. */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/id.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/sys.h"
#include "dispatch/dispatch_impl.h"

#define WAITING_MAX 1024u  /* lines of a batch waiting to be sent again; then no new ones */
#define REFUSALS_MAX 1000u /* of a line, by 429 or 503 with Retry-After; then they cost attempts */
#define CONNECT_MS 10000L
#define PROBE_CONNECT_MS 1000L
#define KEEP_BUFFER_BYTES (64u << 10) /* larger ones are not kept for the next line */

static uint32_t random_u32(void)
{
	uint32_t r;
	random_bytes(&r, sizeof(r));
	return r;
}

/* ---- waiting lines: a heap by due time ---- */

static void heap_set(struct model *m, size_t i, struct line *l)
{
	m->heap[i] = l;
	l->heap_at = i;
}

static void heap_up(struct model *m, size_t i, struct line *l)
{
	while (i > 0 && m->heap[(i - 1) / 2]->due_ms > l->due_ms) {
		heap_set(m, i, m->heap[(i - 1) / 2]);
		i = (i - 1) / 2;
	}
	heap_set(m, i, l);
}

static void heap_down(struct model *m, size_t i, struct line *l)
{
	for (;;) {
		size_t child = 2 * i + 1;
		if (child >= m->heap_n)
			break;
		if (child + 1 < m->heap_n && m->heap[child + 1]->due_ms < m->heap[child]->due_ms)
			child++;
		if (m->heap[child]->due_ms >= l->due_ms)
			break;
		heap_set(m, i, m->heap[child]);
		i = child;
	}
	heap_set(m, i, l);
}

static void heap_remove(struct model *m, struct line *l)
{
	size_t i = l->heap_at;
	struct line *last = m->heap[--m->heap_n];
	l->batch->waiting--;
	if (last == l)
		return;
	if (i > 0 && m->heap[(i - 1) / 2]->due_ms > last->due_ms)
		heap_up(m, i, last);
	else
		heap_down(m, i, last);
}

/* Room in the heap is made here, so that putting a line off cannot fail. */
static void heap_reserve(struct model *m)
{
	if (m->lines < m->heap_cap)
		return;
	size_t cap = m->heap_cap == 0 ? 64 : 2 * m->heap_cap;
	struct line **heap = must_calloc(cap, sizeof(struct line *));
	if (m->heap_n > 0)
		memcpy(heap, m->heap, m->heap_n * sizeof(struct line *));
	free(m->heap);
	m->heap = heap;
	m->heap_cap = cap;
}

/* ---- lines ---- */

struct line *line_new(struct model *m, const struct schedule_line *scheduled)
{
	heap_reserve(m);
	struct line *l = must_calloc(1, sizeof(*l));
	struct dispatch_batch *b = scheduled->batch->batch;
	l->batch = b;
	l->scheduled = *scheduled;
	l->avoid = UINT_MAX;
	l->next = b->lines;
	if (b->lines != NULL)
		b->lines->prev = l;
	b->lines = l;
	m->lines++;
	return l;
}

void line_free(struct line *l)
{
	struct dispatch_batch *b = l->batch;
	if (l->prev != NULL)
		l->prev->next = l->next;
	else
		b->lines = l->next;
	if (l->next != NULL)
		l->next->prev = l->prev;
	if (l->attempts > 1)
		b->retried -= l->attempts - 1;
	b->of->lines--;
	free(l);
}

void line_wait(struct line *l, uint64_t due_ms)
{
	struct dispatch_batch *b = l->batch;
	struct model *m = b->of;
	l->due_ms = due_ms;
	heap_up(m, m->heap_n++, l);
	if (++b->waiting == WAITING_MAX)
		schedule_hold(m->schedule, &b->entry, true);
	schedule_put_off(m->schedule, &l->scheduled);
}

struct line *line_due(struct model *m, uint64_t now_ms)
{
	while (m->heap_n > 0 && m->heap[0]->due_ms <= now_ms) {
		struct line *l = m->heap[0];
		heap_remove(m, l);
		if (l->batch->faulted) {
			line_free(l);
			continue;
		}
		if (l->batch->waiting == WAITING_MAX - 1)
			schedule_hold(m->schedule, &l->batch->entry, false);
		return l;
	}
	return NULL;
}

/* ---- transfers ---- */

static size_t on_body(char *p, size_t size, size_t n, void *arg)
{
	struct line_transfer *t = arg;
	t->too_large = t->answer.n + size * n > t->answer.max;
	if (!memory_take(t, size * n))
		return CURL_WRITEFUNC_PAUSE;
	buf_append(&t->answer, p, size * n);
	return t->answer.failed ? 0 : size * n; /* out of memory: as if the connection had broken */
}

/* Called before each request. When a kept-alive connection turns out to be dead libcurl sends the
 * request again by itself; that is an attempt as well, and there may be none left. Once, no more: when
 * an upstream goes down all its kept connections are dead, and libcurl would try one after another. */
/* NOLINTNEXTLINE(readability-non-const-parameter): libcurl's signature */
static int on_request(void *arg, char *ip, char *local_ip, int port, int local_port)
{
	(void)ip;
	(void)local_ip;
	(void)port;
	(void)local_port;
	struct line_transfer *t = arg;
	if (++t->requests == 1)
		return CURL_PREREQFUNC_OK;
	if (t->requests > 2 || t->line->attempts >= t->attempts_max)
		return CURL_PREREQFUNC_ABORT;
	t->line->attempts++;
	t->line->batch->retried++;
	return CURL_PREREQFUNC_OK;
}

static bool transfer_setup(struct dispatch *d, struct upstream *u, struct line_transfer *t)
{
	CURL *easy = t->transfer.easy;
	return curl_easy_setopt(easy, CURLOPT_PRIVATE, &t->transfer) == CURLE_OK &&
	       curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body) == CURLE_OK &&
	       curl_easy_setopt(easy, CURLOPT_WRITEDATA, t) == CURLE_OK &&
	       curl_easy_setopt(easy, CURLOPT_PREREQFUNCTION, on_request) == CURLE_OK &&
	       curl_easy_setopt(easy, CURLOPT_PREREQDATA, t) == CURLE_OK &&
	       curl_easy_setopt(easy, CURLOPT_HTTPHEADER, u->headers) == CURLE_OK &&
	       curl_easy_setopt(easy, CURLOPT_POST, 1L) == CURLE_OK &&
	       curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, (long)d->config.line_timeout_ms) ==
		       CURLE_OK;
}

static struct line_transfer *transfer_take(struct dispatch *d, struct upstream *u)
{
	struct line_transfer *t = u->free_transfers;
	if (t != NULL) {
		u->free_transfers = t->next_free;
		return t;
	}
	t = calloc(1, sizeof(*t));
	if (t == NULL)
		return NULL;
	t->transfer = (struct transfer){ TRANSFER_LINE, wire_handle(d->wire), u };
	t->attempts_max = d->config.max_attempts;
	memory_transfer_new(d, t);
	if (t->transfer.easy == NULL || !transfer_setup(d, u, t)) {
		line_transfer_free(t);
		return NULL;
	}
	return t;
}

static void buffer_reuse(const struct memory *m, struct buf *b)
{
	buf_clear(b);
	if (b->cap > KEEP_BUFFER_BYTES || !memory_keeps(m))
		buf_free(b);
}

static void transfer_give(struct line_transfer *t)
{
	struct upstream *u = t->transfer.upstream;
	memory_line_over(t);
	buffer_reuse(t->memory, &t->request);
	buffer_reuse(t->memory, &t->answer);
	t->line = NULL;
	t->next_free = u->free_transfers;
	u->free_transfers = t;
}

void line_transfer_free(struct line_transfer *t)
{
	if (t->transfer.easy != NULL)
		curl_easy_cleanup(t->transfer.easy);
	memory_transfer_free(t);
	free(t);
}

bool upstream_url(const struct upstream *u, const char *endpoint, struct buf *to)
{
	buf_text(to, u->config.base_url);
	buf_text(to, strncmp(endpoint, "/v1/", 4) == 0 ? endpoint + 3 : endpoint);
	buf_char(to, '\0');
	return !to->failed;
}

static bool transfer_url(struct line_transfer *t, const char *endpoint)
{
	if (strcmp(t->endpoint, endpoint) == 0)
		return true;
	AUTO(buf_free) struct buf url = BUF(4096);
	if (!upstream_url(t->transfer.upstream, endpoint, &url) ||
	    curl_easy_setopt(t->transfer.easy, CURLOPT_URL, url.p) != CURLE_OK)
		return false;
	return slice_copy(slice_of(endpoint), t->endpoint, sizeof(t->endpoint));
}

/* ---- sending ---- */

/* The batch's input cannot be read: it gets no more turns, and its owner is told. */
static void line_fault(struct dispatch *d, struct line *l, const struct error *err)
{
	struct dispatch_batch *b = l->batch;
	schedule_hold(b->of->schedule, &b->entry, true);
	schedule_ended(b->of->schedule, &l->scheduled, 0, 0);
	b->faulted = true;
	line_free(l);
	d->ops.fault(b->owner, err);
}

/* Contract 8.2: the one exception from "as they stand". It is put first: a `priority` that the line
 * has itself comes later, and so counts. The line's own bytes stay where they are. */
static bool priority_add(const struct upstream *u, struct line_transfer *t)
{
	size_t id_at = (size_t)(t->text.custom_id.p - t->request.p);
	size_t body_at = (size_t)(t->text.body.p - t->request.p), n = t->text.body.n;
	char member[48];
	int length = snprintf(member, sizeof(member), "{\"priority\":%d", u->config.priority);
	if (!buf_reserve(&t->request, n + (size_t)length + 1))
		return false;
	const char *body = t->request.p + body_at;
	size_t next = 1 + strspn(body + 1, " \t\r\n"); /* a body is an object: it ends in a brace */
	size_t at = t->request.n;
	buf_append(&t->request, member, (size_t)length);
	if (body[next] != '}')
		buf_char(&t->request, ',');
	buf_append(&t->request, body + 1, n - 1);
	t->text.custom_id.p = t->request.p + id_at;
	t->text.body = (struct slice){ t->request.p + at, t->request.n - at };
	return true;
}

/* A probe that is not answered at all must not keep the next one back for long. */
static bool haste_set(struct line_transfer *t, bool hasty)
{
	if (t->hasty == hasty)
		return true;
	t->hasty = hasty;
	return curl_easy_setopt(t->transfer.easy, CURLOPT_CONNECTTIMEOUT_MS,
				hasty ? PROBE_CONNECT_MS : CONNECT_MS) == CURLE_OK;
}

static bool line_prepare(struct line_transfer *t, const char *endpoint)
{
	CURL *easy = t->transfer.easy;
	const struct upstream *u = t->transfer.upstream;
	return (!u->config.has_priority || priority_add(u, t)) && transfer_url(t, endpoint) &&
	       curl_easy_setopt(easy, CURLOPT_POSTFIELDS, t->text.body.p) == CURLE_OK &&
	       curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)t->text.body.n) ==
		       CURLE_OK;
}

bool line_send(struct dispatch *d, struct lane *lane, struct line *l)
{
	struct upstream *u = lane->upstream;
	struct error err;
	struct line_transfer *t = transfer_take(d, u);
	if (t == NULL)
		return false;
	buf_clear(&t->request);
	if (!d->ops.line_read(l->batch->owner, l->scheduled.record, &t->request, &t->text, &err)) {
		transfer_give(t);
		if (err.sys == ENOMEM || err.sys == EMFILE || err.sys == ENFILE)
			return false; /* it may pass */
		line_fault(d, l, &err);
		return true;
	}
	t->too_large = false;
	t->requests = 0;
	t->line = l;
	l->probe = u->health.down;
	if (!line_prepare(t, l->batch->endpoint) || !haste_set(t, l->probe) ||
	    !wire_start(d->wire, t->transfer.easy)) {
		transfer_give(t);
		return false;
	}
	memory_promise(t, lane->model);
	l->transfer = t;
	l->lane = lane;
	l->mark = width_batch_sent(lane->width, sys.monotonic_us());
	l->attempts++;
	if (l->attempts > 1)
		l->batch->retried++;
	l->batch->running++;
	lane->in_flight++;
	u->batch_in_flight++;
	u->counts.sent++;
	d->in_flight++;
	pace_take(&u->pace, l->scheduled.tokens, l->mark.sent_us / 1000);
	if (l->probe) {
		u->probes_out++;
		u->probed_at_ms = l->mark.sent_us / 1000;
	}
	return true;
}

/* ---- the end of an attempt ---- */

/* Takes the transfer off the line; libcurl is done with it, or lets go of it here. */
static void line_detach(struct dispatch *d, struct line *l)
{
	struct line_transfer *t = l->transfer;
	wire_stop(d->wire, t->transfer.easy);
	l->transfer = NULL;
	l->lane->in_flight--;
	l->lane->upstream->batch_in_flight--;
	if (l->probe)
		l->lane->upstream->probes_out--;
	d->in_flight--;
}

static void request_id_copy(CURL *easy, char *to, size_t size)
{
	struct curl_header *header;
	if (curl_easy_header(easy, "x-request-id", 0, CURLH_HEADER, -1, &header) == CURLHE_OK)
		/* an empty header's value is its line end: that is none */
		(void)slice_copy((struct slice){ header->value, strcspn(header->value, "\r\n") },
				 to, size);
}

static void line_end(struct dispatch *d, struct line *l, struct line_transfer *t,
		     const struct answer_decision *decision, long status,
		     const struct answer_tokens *tokens, uint64_t now_us)
{
	struct outcome *o = outcome_new(l->batch->owner, l->scheduled.record, t->text.custom_id);
	if (o == NULL) {
		/* no memory to say how it ended: it is sent again */
		l->batch->running--;
		line_wait(l, now_us / 1000 + 1000);
		return;
	}
	o->attempts = l->attempts;
	o->fault = decision->fault;
	o->message = decision->message;
	o->slot = l->lane;
	if (o->fault == OUTCOME_ANSWERED) {
		o->http_status = (int)status;
		request_id_copy(t->transfer.easy, o->request_id, sizeof(o->request_id));
		memory_learn(l->batch->of, t->answer.n);
		o->body = t->answer;
		t->answer = BUF_OF(d->config.response_bytes_max, d->memory.answers);
	}
	l->lane->unrecorded++;
	l->lane->upstream->unrecorded++;
	l->batch->ended++;
	schedule_ended(l->batch->of->schedule, &l->scheduled,
		       (double)(now_us - l->mark.sent_us) / 1000, tokens->prompt + tokens->output);
	line_free(l);
	d->ops.ended(d->ctx, o);
}

static enum health_sign sign_of(const struct answer_decision *decision)
{
	return decision->verdict == ANSWER_NOT_SENT ? HEALTH_UNREACHABLE
	       : decision->refused                  ? HEALTH_REFUSED
	       : decision->upstream_suspect         ? HEALTH_SUSPECT
	       : decision->broken                   ? HEALTH_BROKEN
						    : HEALTH_ANSWERED;
}

static void count_answer(struct upstream_counts *c, CURLcode code, long status,
			 const struct answer_tokens *tokens)
{
	if (code != CURLE_OK)
		c->broken++;
	else if (status == 429)
		c->answered_429++;
	else if (status >= 500)
		c->answered_5xx++;
	else if (status >= 300)
		c->answered_4xx++;
	else
		c->answered_2xx++;
	c->tokens += tokens->prompt + tokens->output;
}

/* What the controller of the width is told of the end of an attempt. */
static void width_learn(struct line *l, const struct line_transfer *t, enum health_sign sign,
			bool good, const struct answer_tokens *tokens, uint64_t now_us)
{
	struct width *w = l->lane->width;
	if (good)
		width_batch_answered(w, &l->mark,
				     &(struct width_answer){ .prompt_tokens = tokens->prompt,
							     .output_tokens = tokens->output,
							     .body_bytes = t->text.body.n },
				     now_us);
	else if (sign == HEALTH_REFUSED)
		width_batch_refused(w, &l->mark, now_us);
	else
		width_batch_gone(w, now_us);
}

/* A refusal that says when to come back costs the line no attempt: the upstream is to blame. */
static bool refusal_spared(struct line *l, enum health_sign sign, int64_t retry_after_s)
{
	return sign == HEALTH_REFUSED && retry_after_s > 0 && ++l->refusals <= REFUSALS_MAX;
}

static void line_again(struct line *l, bool spared, int64_t retry_after_s, uint64_t now_ms)
{
	uint64_t due_ms = now_ms; /* spared: first in line once an upstream is ready for it */
	if (spared) {
		l->attempts--;
		if (l->attempts >= 1)
			l->batch->retried--;
	} else {
		due_ms += answer_backoff_ms(l->attempts, retry_after_s, random_u32());
	}
	l->avoid = l->lane->upstream->number;
	l->batch->running--;
	line_wait(l, due_ms);
}

/* Its answer was late because we had no memory for it: nobody else is to blame. */
static void line_put_back(struct dispatch *d, struct line *l, uint64_t now_us)
{
	struct line_transfer *t = l->transfer;
	line_detach(d, l);
	width_batch_gone(l->lane->width, now_us);
	line_again(l, true, 0, now_us / 1000);
	transfer_give(t);
}

void line_done(struct dispatch *d, struct line_transfer *t, CURLcode code)
{
	struct line *l = t->line;
	struct upstream *u = t->transfer.upstream;
	uint64_t now_us = sys.monotonic_us(), now_ms = now_us / 1000;
	struct answer_tokens tokens = { 0 };
	long status = 0;
	curl_off_t retry_after_s = 0;
	if (t->paused && code == CURLE_OPERATION_TIMEDOUT) {
		line_put_back(d, l, now_us);
		return;
	}
	curl_easy_getinfo(t->transfer.easy, CURLINFO_RESPONSE_CODE, &status);
	if (status == 429 || status == 503)
		curl_easy_getinfo(t->transfer.easy, CURLINFO_RETRY_AFTER, &retry_after_s);

	bool connected = code == CURLE_OK || t->requests > 0;
	bool good = code == CURLE_OK && status >= 200 && status < 300;
	struct answer_decision decision = answer_decide(code, status, connected, t->too_large,
							retry_after_s);
	enum health_sign sign = sign_of(&decision);
	if (good) {
		answer_tokens_find(buf_slice(&t->answer), &tokens);
		pace_settle(&u->pace,
			    (int64_t)(tokens.prompt + tokens.output) - (int64_t)l->scheduled.tokens,
			    l->mark.sent_us / 1000, now_ms);
	}
	count_answer(&u->counts, code, status, &tokens);
	line_detach(d, l);
	width_learn(l, t, sign, good, &tokens, now_us);
	bool spared = upstream_learn(u, sign, l->attempts == 1, l->mark.sent_us / 1000,
				     retry_after_s, now_ms);
	spared = refusal_spared(l, sign, retry_after_s) || spared;

	if (decision.verdict != ANSWER_FINAL && (spared || l->attempts < d->config.max_attempts)) {
		log_debug("line.retried", kv_str("batch", l->batch->id),
			  kv_u64("record", l->scheduled.record), kv_int("status", status),
			  kv_str("upstream", u->config.name),
			  kv_str("cause", code == CURLE_OK ? "status" : curl_easy_strerror(code)));
		line_again(l, spared, retry_after_s, now_ms);
	} else {
		line_end(d, l, t, &decision, status, &tokens, now_us);
	}
	transfer_give(t);
}

void lines_drop(struct dispatch *d, struct dispatch_batch *b)
{
	while (b->lines != NULL) {
		struct line *l = b->lines;
		struct line_transfer *t = l->transfer;
		if (t != NULL) {
			line_detach(d, l); /* closes the connection: the upstream sees it */
			width_batch_gone(l->lane->width, sys.monotonic_us());
			transfer_give(t);
			b->running--;
		} else {
			heap_remove(b->of, l);
		}
		line_free(l);
	}
}
