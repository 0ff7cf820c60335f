/* dispatch.c: see dispatch.h. One turn of the loop: wait for sockets, timers or a command; let
 * libcurl work; take what has ended; fill the free slots.
 *
 * epoll is told little: libcurl says "not interested" whenever a request ends and "interested" when
 * the next one starts on the same connection. The first is only noted (socket_watch), so that a
 * kept-alive connection costs no epoll_ctl per request. */
#include "dispatch/dispatch.h"

#include <curl/curl.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/id.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/sys.h"
#include "base/worker.h"
#include "dispatch/answer.h"

#define EVENTS_MAX 128
#define CONNECT_TIMEOUT_MS 10000L
#define WAITING_MAX 1024u /* lines of a batch waiting to be sent again; then no new ones */
#define SUSPECTS_MAX \
	20u /* lines in a row whose first attempt got 502, 503 or 504: the upstream is down */
#define PROBE_FIRST_MS 100u
#define PROBE_MAX_MS 1000u
#define KEEP_BUFFER_BYTES (256u << 10) /* larger ones are not kept for the next line */

enum command { COMMAND_NONE, COMMAND_ADD, COMMAND_DROP };

struct upstream;

/* A line that dispatch holds: in flight (transfer set) or waiting until `due_ms`. */
struct line {
	struct dispatch_batch *batch;
	struct line *next, *prev; /* of the batch's lines */
	uint64_t record;
	uint32_t attempts; /* requests spent */
	uint64_t due_ms;
	size_t heap_at; /* place in the upstream's heap while waiting */
	struct transfer *transfer;
};

/* A slot: an easy handle and its buffers, used again and again. */
struct transfer {
	struct transfer *next_free;
	CURL *easy;
	struct upstream *upstream;
	struct line *line;
	struct buf request; /* the whole input line */
	struct request_line text;
	struct buf answer;
	bool too_large;
	unsigned requests; /* sent for this attempt; libcurl may send it again, see on_request */
	unsigned attempts_max;
	char endpoint[64]; /* that the URL is set to */
};

struct upstream {
	const struct dispatch_upstream *config;
	struct curl_slist *headers;
	struct schedule schedule;
	struct line **heap; /* waiting lines, the one due first on top */
	size_t heap_n, heap_cap;
	struct transfer *free_transfers;
	unsigned in_flight;
	_Atomic unsigned unrecorded; /* answered, and not durable yet: they hold their slots */

	uint64_t closed_until_ms; /* 429 or 503 with Retry-After: nothing is sent before */
	unsigned suspects;        /* see SUSPECTS_MAX */
	bool down;
	uint64_t probe_at_ms, probe_delay_ms;
	unsigned probes;
	_Atomic int stall; /* enum dispatch_stall */
};

struct socket_watch {
	uint32_t wanted;     /* what libcurl wants to hear */
	uint32_t registered; /* what epoll has; may be more than wanted */
	bool connection;     /* to an upstream; else one of libcurl's own, such as its resolver's */
};

struct dispatch {
	struct dispatch_config config;
	struct dispatch_ops ops;
	void *ctx;
	struct upstream *upstreams;
	CURLM *multi;
	char *no_proxy;
	unsigned in_flight; /* of all upstreams */
	int epoll_fd, wake_fd;
	struct socket_watch *sockets; /* by descriptor */
	size_t socket_cap;
	uint64_t curl_due_ms; /* UINT64_MAX: none */
	pthread_t thread;
	bool thread_started;

	pthread_mutex_t lock;
	pthread_cond_t idle;
	struct dispatch_batch *commands, **commands_tail;
	bool idle_now; /* it drains, and nothing is in flight */
	bool stopping;
	_Atomic bool draining;
};

static uint32_t random_u32(void)
{
	uint32_t r;
	random_bytes(&r, sizeof(r));
	return r;
}

/* ---- waiting lines: a heap by due time ---- */

static void heap_set(struct upstream *u, size_t i, struct line *l)
{
	u->heap[i] = l;
	l->heap_at = i;
}

static void heap_up(struct upstream *u, size_t i, struct line *l)
{
	while (i > 0 && u->heap[(i - 1) / 2]->due_ms > l->due_ms) {
		heap_set(u, i, u->heap[(i - 1) / 2]);
		i = (i - 1) / 2;
	}
	heap_set(u, i, l);
}

static void heap_down(struct upstream *u, size_t i, struct line *l)
{
	for (;;) {
		size_t child = 2 * i + 1;
		if (child >= u->heap_n)
			break;
		if (child + 1 < u->heap_n && u->heap[child + 1]->due_ms < u->heap[child]->due_ms)
			child++;
		if (u->heap[child]->due_ms >= l->due_ms)
			break;
		heap_set(u, i, u->heap[child]);
		i = child;
	}
	heap_set(u, i, l);
}

/* Room for one more is made when the line is created, so that this cannot fail. */
static void heap_push(struct upstream *u, struct line *l)
{
	heap_up(u, u->heap_n++, l);
	l->batch->waiting++;
}

static void heap_remove(struct upstream *u, struct line *l)
{
	size_t i = l->heap_at;
	struct line *last = u->heap[--u->heap_n];
	l->batch->waiting--;
	if (last == l)
		return;
	if (i > 0 && u->heap[(i - 1) / 2]->due_ms > last->due_ms)
		heap_up(u, i, last);
	else
		heap_down(u, i, last);
}

/* ---- lines ---- */

static struct upstream *upstream_of(struct dispatch *d, const struct dispatch_batch *b)
{
	return &d->upstreams[b->upstream];
}

static struct line *line_new(struct upstream *u, struct dispatch_batch *b, uint64_t record)
{
	if (u->heap_n + u->in_flight + 1 > u->heap_cap) {
		size_t cap = u->heap_cap == 0 ? 64 : 2 * u->heap_cap;
		struct line **heap = must_calloc(cap, sizeof(struct line *));
		if (u->heap_n > 0)
			memcpy(heap, u->heap, u->heap_n * sizeof(struct line *));
		free(u->heap);
		u->heap = heap;
		u->heap_cap = cap;
	}
	struct line *l = must_calloc(1, sizeof(*l));
	l->batch = b;
	l->record = record;
	l->next = b->lines;
	if (b->lines != NULL)
		b->lines->prev = l;
	b->lines = l;
	return l;
}

static void line_free(struct line *l)
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
	free(l);
}

/* ---- transfers ---- */

static size_t on_body(char *p, size_t size, size_t n, void *arg)
{
	struct transfer *t = arg;
	t->too_large = t->answer.n + size * n > t->answer.max;
	buf_append(&t->answer, p, size * n);
	return t->answer.failed ? 0 : size * n; /* out of memory: as if the connection had broken */
}

/* Called before each request. When a kept-alive connection turns out to be dead libcurl sends the
 * request again by itself; that is an attempt as well, and there may be none left. */
/* NOLINTNEXTLINE(readability-non-const-parameter): libcurl's signature */
static int on_request(void *arg, char *ip, char *local_ip, int port, int local_port)
{
	(void)ip;
	(void)local_ip;
	(void)port;
	(void)local_port;
	struct transfer *t = arg;
	if (++t->requests == 1)
		return CURL_PREREQFUNC_OK;
	if (t->line->attempts >= t->attempts_max)
		return CURL_PREREQFUNC_ABORT;
	t->line->attempts++;
	t->line->batch->retried++;
	return CURL_PREREQFUNC_OK;
}

static bool sockets_reserve(struct dispatch *d, int fd)
{
	if ((size_t)fd < d->socket_cap)
		return true;
	size_t cap = ((size_t)fd + 1) * 2;
	struct socket_watch *sockets = realloc(d->sockets, cap * sizeof(*sockets));
	if (sockets == NULL)
		return false;
	memset(sockets + d->socket_cap, 0, (cap - d->socket_cap) * sizeof(*sockets));
	d->sockets = sockets;
	d->socket_cap = cap;
	return true;
}

/* What was noted of a descriptor ends when a new socket gets it: libcurl closes those that never came
 * to be connected without calling on_socket_close(). */
static curl_socket_t on_socket_open(void *arg, curlsocktype purpose, struct curl_sockaddr *address)
{
	(void)purpose;
	struct dispatch *d = arg;
	int fd = socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
	if (fd >= 0 && sockets_reserve(d, fd))
		d->sockets[fd] = (struct socket_watch){ .connection = true };
	return fd;
}

static int on_socket_close(void *arg, curl_socket_t fd)
{
	struct dispatch *d = arg;
	if (fd >= 0 && (size_t)fd < d->socket_cap)
		d->sockets[fd] = (struct socket_watch){ 0 }; /* closing takes it out of epoll */
	return close(fd);
}

static bool transfer_setup(struct dispatch *d, struct upstream *u, CURL *easy, struct transfer *t)
{
	return curl_easy_setopt(easy, CURLOPT_PRIVATE, t) == CURLE_OK &&
	       curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body) == CURLE_OK &&
	       curl_easy_setopt(easy, CURLOPT_WRITEDATA, t) == CURLE_OK &&
	       curl_easy_setopt(easy, CURLOPT_PREREQFUNCTION, on_request) == CURLE_OK &&
	       curl_easy_setopt(easy, CURLOPT_PREREQDATA, t) == CURLE_OK &&
	       curl_easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, on_socket_open) == CURLE_OK &&
	       curl_easy_setopt(easy, CURLOPT_OPENSOCKETDATA, d) == CURLE_OK &&
	       curl_easy_setopt(easy, CURLOPT_CLOSESOCKETFUNCTION, on_socket_close) == CURLE_OK &&
	       curl_easy_setopt(easy, CURLOPT_CLOSESOCKETDATA, d) == CURLE_OK &&
	       curl_easy_setopt(easy, CURLOPT_HTTPHEADER, u->headers) == CURLE_OK &&
	       curl_easy_setopt(easy, CURLOPT_POST, 1L) == CURLE_OK &&
	       curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L) == CURLE_OK &&
	       curl_easy_setopt(easy, CURLOPT_TCP_KEEPALIVE, 1L) == CURLE_OK &&
	       curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https") == CURLE_OK &&
	       curl_easy_setopt(easy, CURLOPT_NOPROXY, d->no_proxy) == CURLE_OK &&
	       curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, CONNECT_TIMEOUT_MS) == CURLE_OK &&
	       curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, (long)d->config.line_timeout_ms) ==
		       CURLE_OK;
}

static struct transfer *transfer_take(struct dispatch *d, struct upstream *u)
{
	struct transfer *t = u->free_transfers;
	if (t != NULL) {
		u->free_transfers = t->next_free;
		return t;
	}
	t = calloc(1, sizeof(*t));
	if (t == NULL)
		return NULL;
	t->upstream = u;
	t->attempts_max = d->config.max_attempts;
	t->request = BUF(INT32_MAX);
	t->answer = BUF(d->config.response_bytes_max);
	t->easy = curl_easy_init();
	if (t->easy == NULL || !transfer_setup(d, u, t->easy, t)) {
		curl_easy_cleanup(t->easy);
		free(t);
		return NULL;
	}
	return t;
}

static void buffer_reuse(struct buf *b)
{
	buf_clear(b);
	if (b->cap > KEEP_BUFFER_BYTES)
		buf_free(b);
}

static void transfer_give(struct transfer *t)
{
	struct upstream *u = t->upstream;
	buffer_reuse(&t->request);
	buffer_reuse(&t->answer);
	t->line = NULL;
	t->next_free = u->free_transfers;
	u->free_transfers = t;
}

static void transfer_free(struct transfer *t)
{
	curl_easy_cleanup(t->easy);
	buf_free(&t->request);
	buf_free(&t->answer);
	free(t);
}

/* Upstreams' base URLs end in the version ("…/v1") that endpoints begin with. */
static bool transfer_url(struct transfer *t, const char *endpoint)
{
	if (strcmp(t->endpoint, endpoint) == 0)
		return true;
	AUTO(buf_free) struct buf url = BUF(4096);
	buf_text(&url, t->upstream->config->base_url);
	buf_text(&url, strncmp(endpoint, "/v1/", 4) == 0 ? endpoint + 3 : endpoint);
	buf_char(&url, '\0');
	if (url.failed || curl_easy_setopt(t->easy, CURLOPT_URL, url.p) != CURLE_OK)
		return false;
	return slice_copy(slice_of(endpoint), t->endpoint, sizeof(t->endpoint));
}

/* The batch's input cannot be read: it gets no more turns, and its owner is told. */
static void line_fault(struct dispatch *d, struct line *l, const struct error *err)
{
	struct dispatch_batch *b = l->batch;
	schedule_remove(&upstream_of(d, b)->schedule, &b->entry);
	b->faulted = true;
	line_free(l);
	d->ops.fault(b->owner, err);
}

/* Sends the line; false when memory is out (then it waits for a while). */
static bool line_send(struct dispatch *d, struct upstream *u, struct line *l)
{
	struct error err;
	struct transfer *t = transfer_take(d, u);
	if (t == NULL)
		return false;
	buf_clear(&t->request);
	if (!d->ops.line_read(l->batch->owner, l->record, &t->request, &t->text, &err)) {
		transfer_give(t);
		if (err.sys == ENOMEM)
			return false;
		line_fault(d, l, &err);
		return true;
	}
	t->too_large = false;
	t->requests = 0;
	bool ok = transfer_url(t, l->batch->endpoint) &&
		  curl_easy_setopt(t->easy, CURLOPT_POSTFIELDS, t->text.body.p) == CURLE_OK &&
		  curl_easy_setopt(t->easy, CURLOPT_POSTFIELDSIZE_LARGE,
				   (curl_off_t)t->text.body.n) == CURLE_OK &&
		  curl_multi_add_handle(d->multi, t->easy) == CURLM_OK;
	if (!ok) {
		transfer_give(t);
		return false;
	}
	t->line = l;
	l->transfer = t;
	l->attempts++;
	if (l->attempts > 1)
		l->batch->retried++;
	l->batch->running++;
	u->in_flight++;
	d->in_flight++;
	return true;
}

/* Takes the transfer off the line; libcurl is done with it, or lets go of it here. */
static void line_detach(struct dispatch *d, struct line *l)
{
	struct transfer *t = l->transfer;
	curl_multi_remove_handle(d->multi, t->easy);
	l->transfer = NULL;
	t->upstream->in_flight--;
	d->in_flight--;
}

static void line_wait(struct dispatch *d, struct line *l, uint64_t due_ms)
{
	struct dispatch_batch *b = l->batch;
	struct upstream *u = upstream_of(d, b);
	l->due_ms = due_ms;
	heap_push(u, l);
	b->running--;
	if (b->waiting >= WAITING_MAX)
		schedule_remove(&u->schedule, &b->entry);
}

static void line_end(struct dispatch *d, struct line *l, struct transfer *t,
		     const struct answer_decision *decision, long status)
{
	struct outcome *o = outcome_new(l->batch->owner, l->record, t->text.custom_id);
	if (o == NULL) {
		/* no memory to say how it ended: it is sent again */
		line_wait(d, l, sys.monotonic_ms() + 1000);
		return;
	}
	o->attempts = l->attempts;
	o->fault = decision->fault;
	o->message = decision->message;
	if (o->fault == OUTCOME_ANSWERED) {
		struct curl_header *header;
		o->http_status = (int)status;
		if (curl_easy_header(t->easy, "x-request-id", 0, CURLH_HEADER, -1, &header) ==
		    CURLHE_OK)
			/* an empty header's value is its line end: that is none */
			(void)slice_copy((struct slice){ header->value,
							 strcspn(header->value, "\r\n") },
					 o->request_id, sizeof(o->request_id));
		o->body = t->answer;
		t->answer = BUF(d->config.response_bytes_max);
	}
	upstream_of(d, l->batch)->unrecorded++;
	line_free(l);
	d->ops.ended(d->ctx, o);
}

/* ---- the state of an upstream ---- */

static void upstream_stall(struct upstream *u, enum dispatch_stall stall)
{
	if (u->stall == (int)stall)
		return;
	u->stall = (int)stall;
	static const char *const events[] = { "upstream.flows", "upstream.slows_down",
					      "upstream.down" };
	if (stall == DISPATCH_FLOWS)
		log_info(events[stall], kv_str("upstream", u->config->name));
	else
		log_warn(events[stall], kv_str("upstream", u->config->name));
}

static void upstream_down(struct upstream *u, uint64_t now)
{
	if (!u->down) {
		u->down = true;
		u->probe_delay_ms = PROBE_FIRST_MS;
	} else if (u->probe_delay_ms < PROBE_MAX_MS) {
		u->probe_delay_ms *= 2;
		if (u->probe_delay_ms > PROBE_MAX_MS)
			u->probe_delay_ms = PROBE_MAX_MS;
	}
	u->probe_at_ms = now + u->probe_delay_ms;
	upstream_stall(u, DISPATCH_STALL_DOWN);
}

/* What this answer says of the upstream; returns whether the line is to be spared the attempt. */
static bool upstream_learn(struct upstream *u, const struct line *l,
			   const struct answer_decision *decision, long status,
			   int64_t retry_after_s, uint64_t now)
{
	if (decision->verdict == ANSWER_NOT_SENT) {
		upstream_down(u, now);
		return true;
	}
	if (decision->upstream_suspect) {
		/* Only first attempts count: one bad line, tried again and again, is no sign. */
		if (l->attempts == 1)
			u->suspects++;
		if (u->down || u->suspects >= SUSPECTS_MAX) {
			upstream_down(u, now);
			return true;
		}
	} else if (decision->fault == OUTCOME_ANSWERED) {
		u->suspects = 0;
		u->down = false;
	}
	if (decision->slow_down && retry_after_s > 0) {
		if (retry_after_s > RETRY_AFTER_MAX_S)
			retry_after_s = RETRY_AFTER_MAX_S;
		uint64_t until = now + (uint64_t)retry_after_s * 1000;
		if (until > u->closed_until_ms)
			u->closed_until_ms = until;
	}
	if (status == 429 || (decision->slow_down && retry_after_s > 0))
		upstream_stall(u, DISPATCH_STALL_429);
	else if (decision->fault == OUTCOME_ANSWERED && !decision->upstream_suspect)
		upstream_stall(u, DISPATCH_FLOWS);
	return false;
}

/* How many lines may be in flight now. The one place that decides it: control that follows the
 * upstream's latency, metrics and answers takes the place of the constant. */
static unsigned upstream_width(const struct upstream *u, uint64_t now)
{
	if (now < u->closed_until_ms)
		return 0;
	if (u->down)
		return now >= u->probe_at_ms ? 1 : 0;
	return u->config->concurrency;
}

static struct line *upstream_new_line(struct upstream *u)
{
	void *batch;
	uint64_t record;
	return schedule_next(&u->schedule, &batch, &record) ? line_new(u, batch, record) : NULL;
}

static struct line *upstream_line(struct upstream *u, uint64_t now)
{
	struct line *l = NULL;
	/* Every other probe is a new line: the waiting ones may be what the upstream cannot take. */
	if (u->down && u->probes++ % 2 == 1)
		l = upstream_new_line(u);
	while (l == NULL && u->heap_n > 0 && u->heap[0]->due_ms <= now) {
		l = u->heap[0];
		heap_remove(u, l);
		if (l->batch->faulted) {
			line_free(l);
			l = NULL;
		} else if (l->batch->waiting == WAITING_MAX - 1) {
			schedule_add(&u->schedule, &l->batch->entry);
		}
	}
	return l != NULL ? l : upstream_new_line(u);
}

/* A slot is taken until its line is durable. So a kill at any instant makes at most `concurrency`
 * lines run again, and while the disk is slow or refuses nothing more is sent. */
static bool upstream_has_slot(const struct upstream *u, uint64_t now)
{
	return u->in_flight + u->unrecorded < upstream_width(u, now);
}

static bool upstream_fill(struct dispatch *d, struct upstream *u)
{
	bool sent = false;
	uint64_t now = sys.monotonic_ms();
	while (upstream_has_slot(u, now) && !d->draining) {
		struct line *l = upstream_line(u, now);
		if (l == NULL)
			break;
		if (!line_send(d, u, l)) {
			l->batch->running++; /* line_wait() takes it off again */
			line_wait(d, l, now + 1000);
			break;
		}
		sent = true;
	}
	return sent;
}

static void transfer_done(struct dispatch *d, struct transfer *t, CURLcode code)
{
	struct line *l = t->line;
	struct upstream *u = t->upstream;
	uint64_t now = sys.monotonic_ms();
	long status = 0;
	curl_off_t retry_after_s = 0, pretransfer_us = 0;
	curl_easy_getinfo(t->easy, CURLINFO_RESPONSE_CODE, &status);
	curl_easy_getinfo(t->easy, CURLINFO_PRETRANSFER_TIME_T, &pretransfer_us);
	if (status == 429 || status == 503)
		curl_easy_getinfo(t->easy, CURLINFO_RETRY_AFTER, &retry_after_s);

	bool connected = code == CURLE_OK || pretransfer_us > 0;
	struct answer_decision decision = answer_decide(code, status, connected, t->too_large);
	bool spared = upstream_learn(u, l, &decision, status, retry_after_s, now);
	line_detach(d, l);
	if (decision.verdict != ANSWER_FINAL && spared) {
		l->attempts--;
		if (l->attempts >= 1)
			l->batch->retried--;
		line_wait(d, l, now); /* first in line once the upstream is back */
	} else if (decision.verdict == ANSWER_RETRY && l->attempts < d->config.max_attempts) {
		log_debug("line.retried", kv_str("batch", l->batch->id),
			  kv_u64("record", l->record), kv_int("status", status),
			  kv_str("cause", code == CURLE_OK ? "status" : curl_easy_strerror(code)));
		line_wait(d, l, now + answer_backoff_ms(l->attempts, retry_after_s, random_u32()));
	} else {
		line_end(d, l, t, &decision, status);
	}
	transfer_give(t);
}

static void transfers_take(struct dispatch *d)
{
	CURLMsg *m;
	int left;
	while ((m = curl_multi_info_read(d->multi, &left)) != NULL) {
		struct transfer *t;
		if (m->msg != CURLMSG_DONE)
			continue;
		CURLcode code = m->data.result;
		if (curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, &t) == CURLE_OK)
			transfer_done(d, t, code);
	}
}

/* ---- commands ---- */

static void batch_drop(struct dispatch *d, struct dispatch_batch *b)
{
	struct upstream *u = upstream_of(d, b);
	schedule_remove(&u->schedule, &b->entry);
	while (b->lines != NULL) {
		struct line *l = b->lines;
		struct transfer *t = l->transfer;
		if (t != NULL) {
			line_detach(d, l); /* closes the connection: the upstream sees it */
			transfer_give(t);
			b->running--;
		} else {
			heap_remove(u, l);
		}
		line_free(l);
	}
	d->ops.dropped(b->owner);
}

static void batch_add(struct dispatch *d, struct dispatch_batch *b)
{
	b->entry.batch = b;
	schedule_add(&upstream_of(d, b)->schedule, &b->entry);
}

static void commands_run(struct dispatch *d)
{
	uint64_t count;
	if (read(d->wake_fd, &count, sizeof(count)) < 0 && errno != EAGAIN)
		log_warn("dispatch.wake_failed", kv_int("errno", errno));
	for (;;) {
		pthread_mutex_lock(&d->lock);
		struct dispatch_batch *b = d->commands;
		int command = COMMAND_NONE;
		if (b != NULL) {
			d->commands = b->next_command;
			if (d->commands == NULL)
				d->commands_tail = &d->commands;
			command = b->command;
			b->command = COMMAND_NONE;
		}
		pthread_mutex_unlock(&d->lock);
		if (b == NULL)
			return;
		if (command == COMMAND_ADD)
			batch_add(d, b);
		else
			batch_drop(d, b); /* may free b */
	}
}

static void dispatch_wake(struct dispatch *d)
{
	uint64_t one = 1;
	if (write(d->wake_fd, &one, sizeof(one)) < 0 && errno != EAGAIN)
		log_warn("dispatch.wake_failed", kv_int("errno", errno));
}

static void command_post(struct dispatch *d, struct dispatch_batch *b, enum command command)
{
	pthread_mutex_lock(&d->lock);
	if (b->command == COMMAND_NONE) {
		b->next_command = NULL;
		*d->commands_tail = b;
		d->commands_tail = &b->next_command;
	}
	b->command = command; /* a drop overtakes an add that has not been seen yet */
	pthread_mutex_unlock(&d->lock);
	dispatch_wake(d);
}

void dispatch_add(struct dispatch *d, struct dispatch_batch *b)
{
	command_post(d, b, COMMAND_ADD);
}

void dispatch_drop(struct dispatch *d, struct dispatch_batch *b)
{
	command_post(d, b, COMMAND_DROP);
}

void dispatch_recorded(struct dispatch *d, struct dispatch_batch *b, unsigned lines)
{
	b->running -= lines;
	upstream_of(d, b)->unrecorded -= lines;
	dispatch_wake(d);
}

enum dispatch_stall dispatch_stalled(const struct dispatch *d, unsigned upstream)
{
	return (enum dispatch_stall)d->upstreams[upstream].stall;
}

bool dispatch_drain(struct dispatch *d, uint64_t timeout_ms)
{
	struct timespec until;
	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += (time_t)(timeout_ms / 1000);
	until.tv_nsec += (long)(timeout_ms % 1000) * 1000000L;
	if (until.tv_nsec >= 1000000000L) {
		until.tv_nsec -= 1000000000L;
		until.tv_sec++;
	}
	d->draining = true;
	dispatch_wake(d);
	pthread_mutex_lock(&d->lock);
	while (!d->stopping && !d->idle_now &&
	       pthread_cond_timedwait(&d->idle, &d->lock, &until) == 0)
		;
	bool idle = d->idle_now;
	pthread_mutex_unlock(&d->lock);
	return idle;
}

/* ---- the loop ---- */

/* `registered` is what we believe; where the kernel knows better it is right. */
static void socket_register(struct dispatch *d, int fd, uint32_t events)
{
	struct socket_watch *w = &d->sockets[fd];
	struct epoll_event e = { .events = events, .data.fd = fd };
	int op = w->registered == 0 ? EPOLL_CTL_ADD : EPOLL_CTL_MOD;
	if (events == 0)
		op = EPOLL_CTL_DEL;
	int failed = epoll_ctl(d->epoll_fd, op, fd, &e);
	if (failed != 0 && op == EPOLL_CTL_MOD && errno == ENOENT)
		failed = epoll_ctl(d->epoll_fd, EPOLL_CTL_ADD, fd, &e);
	else if (failed != 0 && op == EPOLL_CTL_ADD && errno == EEXIST)
		failed = epoll_ctl(d->epoll_fd, EPOLL_CTL_MOD, fd, &e);
	if (failed != 0 && errno != EBADF && errno != ENOENT) /* those two: it is closed already */
		log_warn("dispatch.epoll_failed", kv_int("errno", errno));
	w->registered = failed != 0 ? 0 : events;
}

static int on_socket(CURL *easy, curl_socket_t fd, int what, void *arg, void *socket_arg)
{
	(void)easy;
	(void)socket_arg;
	struct dispatch *d = arg;
	if (!sockets_reserve(d, fd))
		return -1;
	uint32_t wanted = 0;
	if (what == CURL_POLL_IN || what == CURL_POLL_INOUT)
		wanted |= EPOLLIN;
	if (what == CURL_POLL_OUT || what == CURL_POLL_INOUT)
		wanted |= EPOLLOUT;
	struct socket_watch *w = &d->sockets[fd];
	w->wanted = wanted;
	bool keep = wanted == 0 && (w->connection || w->registered == 0);
	if (!keep && wanted != w->registered)
		socket_register(d, fd, wanted);
	return 0;
}

static int on_timer(CURLM *multi, long timeout_ms, void *arg)
{
	(void)multi;
	struct dispatch *d = arg;
	/* One more, because our clock cuts off fractions: libcurl takes a timer that fires early for
	 * none at all and does not set it again. */
	uint64_t wait = timeout_ms > 0 ? (uint64_t)timeout_ms + 1 : 0;
	d->curl_due_ms = timeout_ms < 0 ? UINT64_MAX : sys.monotonic_ms() + wait;
	return 0;
}

static void socket_ready(struct dispatch *d, const struct epoll_event *e)
{
	int fd = e->data.fd, running;
	if (fd == d->wake_fd) {
		commands_run(d);
		return;
	}
	if (d->sockets[fd].wanted == 0) {
		/* an idle connection: the upstream has closed it; libcurl will find out by itself */
		if (d->sockets[fd].registered != 0)
			socket_register(d, fd, 0);
		return;
	}
	int mask = 0;
	if (e->events & EPOLLIN)
		mask |= CURL_CSELECT_IN;
	if (e->events & EPOLLOUT)
		mask |= CURL_CSELECT_OUT;
	if (e->events & (EPOLLERR | EPOLLHUP))
		mask |= CURL_CSELECT_ERR;
	curl_multi_socket_action(d->multi, fd, mask, &running);
}

/* Milliseconds until something is due by itself; -1: nothing. */
static int loop_timeout(struct dispatch *d)
{
	uint64_t due = d->curl_due_ms, now = sys.monotonic_ms();
	for (size_t i = 0; i < d->config.upstream_count && !d->draining; i++) {
		const struct upstream *u = &d->upstreams[i];
		if (u->schedule.turn == NULL && u->heap_n == 0)
			continue;
		uint64_t at = u->schedule.turn != NULL ? 0 : u->heap[0]->due_ms;
		if (u->closed_until_ms > at)
			at = u->closed_until_ms;
		if (u->down && u->probe_at_ms > at)
			at = u->probe_at_ms;
		if (!upstream_has_slot(u, at > now ? at : now))
			continue; /* full: an answer comes first */
		if (at < due)
			due = at;
	}
	if (due == UINT64_MAX)
		return -1;
	if (due <= now)
		return 0;
	return due - now > 60000 ? 60000 : (int)(due - now);
}

static void curl_due(struct dispatch *d)
{
	int running;
	if (d->curl_due_ms != UINT64_MAX && sys.monotonic_ms() >= d->curl_due_ms) {
		d->curl_due_ms = UINT64_MAX;
		curl_multi_socket_action(d->multi, CURL_SOCKET_TIMEOUT, 0, &running);
	}
}

/* True while the loop is to go on; tells who waits in dispatch_drain(). */
static bool loop_goes_on(struct dispatch *d)
{
	if (!d->draining)
		return true;
	pthread_mutex_lock(&d->lock);
	bool stopping = d->stopping;
	d->idle_now = d->in_flight == 0;
	if (d->idle_now)
		pthread_cond_broadcast(&d->idle);
	pthread_mutex_unlock(&d->lock);
	return !stopping;
}

static void *dispatch_main(void *arg)
{
	struct dispatch *d = arg;
	struct epoll_event events[EVENTS_MAX];
	bool sent = false;
	while (loop_goes_on(d)) {
		/* What was just sent may have been answered already, while it was being sent. */
		int n = epoll_wait(d->epoll_fd, events, EVENTS_MAX, sent ? 0 : loop_timeout(d));
		for (int i = 0; i < n; i++)
			socket_ready(d, &events[i]);
		curl_due(d);
		transfers_take(d);
		sent = false;
		for (size_t i = 0; i < d->config.upstream_count; i++)
			sent = upstream_fill(d, &d->upstreams[i]) || sent;
		if (sent)
			curl_due(d); /* libcurl starts new requests from its timer, due at once */
	}
	commands_run(d); /* batches dropped before the end give their lines back */
	return NULL;
}

/* ---- opening and closing ---- */

static bool header_add(struct upstream *u, const char *header)
{
	struct curl_slist *more = curl_slist_append(u->headers, header);
	if (more == NULL)
		return false;
	u->headers = more;
	return true;
}

static bool upstream_open(struct upstream *u, const struct dispatch_upstream *config)
{
	u->config = config;
	AUTO(buf_free) struct buf auth = BUF(16384);
	if (config->api_key != NULL) {
		buf_text(&auth, "Authorization: Bearer ");
		buf_text(&auth, config->api_key);
		buf_char(&auth, '\0');
		if (auth.failed || !header_add(u, auth.p))
			return false;
	}
	return header_add(u, "Content-Type: application/json") &&
	       header_add(u, "Accept: application/json") && header_add(u, "User-Agent: lowtide") &&
	       header_add(u, "Expect:"); /* no 100-continue round trip for large bodies */
}

/* Loopback is never reached through a proxy, whatever the environment says. */
static char *no_proxy_list(void)
{
	const char *own = getenv("no_proxy");
	struct buf b = BUF(65536);
	if (own == NULL)
		own = getenv("NO_PROXY");
	buf_text(&b, "localhost,127.0.0.1,::1");
	if (own != NULL && *own != '\0') {
		buf_char(&b, ',');
		buf_text(&b, own);
	}
	buf_char(&b, '\0');
	if (b.failed)
		buf_free(&b);
	return b.p;
}

bool dispatch_open(const struct dispatch_config *config, const struct dispatch_ops *ops, void *ctx,
		   struct dispatch **ret, struct error *err)
{
	struct dispatch *d = calloc(1, sizeof(*d));
	if (d == NULL)
		return fail_memory(err);
	d->config = *config;
	d->ops = *ops;
	d->ctx = ctx;
	d->curl_due_ms = UINT64_MAX;
	d->commands_tail = &d->commands;
	pthread_mutex_init(&d->lock, NULL);
	pthread_condattr_t monotonic;
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(&d->idle, &monotonic);
	pthread_condattr_destroy(&monotonic);
	d->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	d->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	struct epoll_event wake = { .events = EPOLLIN, .data.fd = d->wake_fd };
	if (d->epoll_fd < 0 || d->wake_fd < 0 ||
	    epoll_ctl(d->epoll_fd, EPOLL_CTL_ADD, d->wake_fd, &wake) != 0) {
		int saved = errno;
		dispatch_close(d);
		return fail_sys(err, saved, "opening the event loop");
	}
	d->upstreams = calloc(config->upstream_count, sizeof(*d->upstreams));
	d->multi = curl_multi_init();
	d->no_proxy = no_proxy_list();
	bool ok = d->upstreams != NULL && d->multi != NULL && d->no_proxy != NULL;
	long connections = 0;
	for (size_t i = 0; ok && i < config->upstream_count; i++) {
		ok = upstream_open(&d->upstreams[i], &config->upstreams[i]);
		connections += config->upstreams[i].concurrency;
	}
	ok = ok && curl_multi_setopt(d->multi, CURLMOPT_SOCKETFUNCTION, on_socket) == CURLM_OK &&
	     curl_multi_setopt(d->multi, CURLMOPT_SOCKETDATA, d) == CURLM_OK &&
	     curl_multi_setopt(d->multi, CURLMOPT_TIMERFUNCTION, on_timer) == CURLM_OK &&
	     curl_multi_setopt(d->multi, CURLMOPT_TIMERDATA, d) == CURLM_OK &&
	     curl_multi_setopt(d->multi, CURLMOPT_MAXCONNECTS, connections + 8) == CURLM_OK;
	if (!ok)
		fail_memory(err);
	ok = ok && thread_start(&d->thread, "dispatch", dispatch_main, d, err);
	d->thread_started = ok;
	if (!ok) {
		dispatch_close(d);
		return false;
	}
	*ret = d;
	return true;
}

static void upstream_close(struct upstream *u)
{
	for (struct transfer *t = u->free_transfers, *next; t != NULL; t = next) {
		next = t->next_free;
		transfer_free(t);
	}
	free(u->heap);
	curl_slist_free_all(u->headers);
}

void dispatch_stop(struct dispatch *d)
{
	if (d == NULL || !d->thread_started)
		return;
	d->draining = true;
	pthread_mutex_lock(&d->lock);
	d->stopping = true;
	pthread_cond_broadcast(&d->idle);
	pthread_mutex_unlock(&d->lock);
	dispatch_wake(d);
	pthread_join(d->thread, NULL);
	d->thread_started = false;
}

void dispatch_close(struct dispatch *d)
{
	if (d == NULL)
		return;
	dispatch_stop(d);
	for (size_t i = 0; d->upstreams != NULL && i < d->config.upstream_count; i++)
		upstream_close(&d->upstreams[i]);
	curl_multi_cleanup(d->multi);
	free(d->upstreams);
	free(d->sockets);
	free(d->no_proxy);
	if (d->epoll_fd >= 0)
		close(d->epoll_fd);
	if (d->wake_fd >= 0)
		close(d->wake_fd);
	pthread_cond_destroy(&d->idle);
	pthread_mutex_destroy(&d->lock);
	free(d);
}
