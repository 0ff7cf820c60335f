/* online.c: clients' own requests on their way to an upstream and back, as they are (contract 13).
 *
 * They wait for nothing but `max_concurrency`; batch lines see them in upstream/width.h and make room.
 * A request that could not be sent at all is tried on every other upstream that serves its model; one
 * that was sent is the client's to repeat. (But for what every HTTP client does: where a connection that
 * was kept alive turns out to have been closed, libcurl sends again on a new one.) */
#include <stdlib.h>
#include <strings.h>

#include "base/log.h"
#include "base/sys.h"
#include "dispatch/dispatch_impl.h"
#include "http/fields.h"

#define HEAD_MAX (256u << 10)
#define HEADERS_MAX 200u
#define ERROR_BODY_MAX 4096u
#define STALLED_BYTES_PER_S 1L /* less than that for as long as a line may take: it is dead */

enum { ONLINE_ASK_START = 1, ONLINE_ASK_MORE = 2, ONLINE_ASK_RELEASE = 4 };

/* One attempt on one upstream. */
struct online_call {
	struct transfer transfer;
	struct online *online;
	uint64_t sent_ms;
	bool sent;      /* the connection was there */
	bool is_error;  /* its status is no 2xx */
	bool malformed; /* the answer's head is no head */
	struct curl_slist *headers;
	struct buf head;       /* lines of the answer's head, as they came */
	struct buf error_body; /* the beginning of an answer that is an error */
};

/* ---- the list of those that have not ended ---- */

static void online_link(struct dispatch *d, struct online *o)
{
	o->prev = NULL;
	o->next = d->online;
	if (o->next != NULL)
		o->next->prev = o;
	d->online = o;
	d->online_count++;
}

static void online_wait(struct dispatch *d, struct online *o, bool waits)
{
	d->online_waiting += (unsigned)waits - (unsigned)o->waits;
	o->waits = waits;
}

static void online_unlink(struct dispatch *d, struct online *o)
{
	online_wait(d, o, false);
	if (o->prev != NULL)
		o->prev->next = o->next;
	else
		d->online = o->next;
	if (o->next != NULL)
		o->next->prev = o->prev;
	d->online_count--;
}

static void online_end(struct dispatch *d, struct online *o, enum online_end how)
{
	online_unlink(d, o);
	o->ended = true;
	o->ops->end(o->ctx, how);
}

/* ---- the answer's head ---- */

/* Without its CRLF or LF. */
static struct slice line_of(const char *p, size_t n)
{
	n -= n > 0 && p[n - 1] == '\n';
	n -= n > 0 && p[n - 1] == '\r';
	return (struct slice){ p, n };
}

/* Of a Content-Length: UINT64_MAX if it is not plain digits in range. */
static uint64_t length_read(struct slice value)
{
	uint64_t length = 0;
	for (size_t i = 0; i < value.n; i++) {
		uint64_t digit = (uint64_t)(value.p[i] - '0');
		if (value.p[i] < '0' || value.p[i] > '9' || length > (UINT64_MAX - digit) / 10)
			return UINT64_MAX;
		length = length * 10 + digit;
	}
	return value.n > 0 ? length : UINT64_MAX;
}

/* Splits the lines collected; the first is the status line, the last is empty. NULL, or why it is no
 * head. */
static const char *head_read(struct slice head, struct online_head *h,
			     struct online_header headers[static HEADERS_MAX])
{
	const char *p = memchr(head.p, '\n', head.n), *end = head.p + head.n, *line_end;
	for (p = p != NULL ? p + 1 : end; p < end; p = line_end + 1) {
		line_end = memchr(p, '\n', (size_t)(end - p));
		if (line_end == NULL)
			break;
		struct slice line = line_of(p, (size_t)(line_end + 1 - p));
		struct online_header header;
		const char *why = line.n > 0 ? field_read(line, &header.name, &header.value) : NULL;
		if (why != NULL)
			return why;
		if (line.n == 0)
			continue;
		if (field_is(header.name, "Content-Length"))
			h->length = length_read(header.value);
		else if (h->header_count < HEADERS_MAX)
			headers[h->header_count++] = header;
	}
	return NULL;
}

/* False: it cannot be passed on. */
static bool head_tell(struct online_call *call, long status)
{
	struct online_header headers[HEADERS_MAX];
	struct online_head h = { .status = (int)status, .headers = headers, .length = UINT64_MAX };
	const char *why = head_read(buf_slice(&call->head), &h, headers);
	if (why != NULL) {
		log_warn("online.malformed_answer",
			 kv_str("upstream", call->transfer.upstream->config.name),
			 kv_str("why", why));
		call->malformed = true;
		return false;
	}
	call->is_error = status >= 300;
	call->online->has_head = true;
	call->online->ops->head(call->online->ctx, &h);
	return true;
}

/* NOLINTNEXTLINE(readability-non-const-parameter): libcurl's signature */
static size_t on_header(char *p, size_t size, size_t n, void *arg)
{
	struct online_call *call = arg;
	size_t bytes = size * n;
	long status = 0;
	if (bytes >= 5 && memcmp(p, "HTTP/", 5) == 0)
		buf_clear(&call->head); /* of an interim answer before */
	buf_append(&call->head, p, bytes);
	if (call->head.failed)
		return 0;
	bool last = line_of(p, bytes).n == 0;
	curl_easy_getinfo(call->transfer.easy, CURLINFO_RESPONSE_CODE, &status);
	if (last && status >= 200 && !call->online->has_head && !head_tell(call, status))
		return 0;
	return bytes;
}

/* NOLINTNEXTLINE(readability-non-const-parameter): likewise */
static size_t on_piece(char *p, size_t size, size_t n, void *arg)
{
	struct online_call *call = arg;
	struct online *o = call->online;
	if (!o->ops->body(o->ctx, (struct slice){ p, size * n }))
		return CURL_WRITEFUNC_PAUSE;
	size_t room = ERROR_BODY_MAX - call->error_body.n;
	if (call->is_error && room > 0)
		buf_append(&call->error_body, p, size * n < room ? size * n : room);
	return size * n;
}
/* ---- sending ---- */

/* NOLINTNEXTLINE(readability-non-const-parameter): libcurl's signature */
static int on_connected(void *arg, char *ip, char *local_ip, int port, int local_port)
{
	(void)ip;
	(void)local_ip;
	(void)port;
	(void)local_port;
	((struct online_call *)arg)->sent = true;
	return CURL_PREREQFUNC_OK;
}

static bool has_header(const struct curl_slist *headers, const char *name)
{
	for (; headers != NULL; headers = headers->next)
		if (strncasecmp(headers->data, name, strlen(name)) == 0)
			return true;
	return false;
}

static bool header_append(struct curl_slist **list, const char *header)
{
	struct curl_slist *more = curl_slist_append(*list, header);
	if (more != NULL)
		*list = more;
	return more != NULL;
}

/* The client's headers, with the upstream's key. What libcurl would add by itself and the client has
 * not sent is left out. */
static bool call_headers(struct online_call *call)
{
	static const char *const own[] = { "Accept:", "Content-Type:", "Expect:" };
	const struct upstream *u = call->transfer.upstream;
	bool ok = true;
	for (const struct curl_slist *h = call->online->headers; ok && h != NULL; h = h->next)
		ok = header_append(&call->headers, h->data);
	for (size_t i = 0; ok && i < ARRAY_LEN(own); i++)
		if (!has_header(call->online->headers, own[i]))
			ok = header_append(&call->headers, own[i]);
	if (ok && u->config.api_key != NULL) {
		AUTO(buf_free) struct buf auth = BUF(16384);
		buf_text(&auth, "Authorization: Bearer ");
		buf_text(&auth, u->config.api_key);
		buf_char(&auth, '\0');
		ok = !auth.failed && header_append(&call->headers, auth.p);
	}
	return ok;
}

static bool call_setup(struct dispatch *d, struct online_call *call)
{
	AUTO(buf_free) struct buf url = BUF(16384);
	const struct online *o = call->online;
	const struct upstream *u = call->transfer.upstream;
	if (!transfer_open(d, &call->transfer))
		return false;
	CURL *easy = call->transfer.easy;
	return call_headers(call) && upstream_url(u, o->endpoint, &url) &&
	       wire_name_anew(easy, u->breaker.state == BREAKER_DOWN) &&
	       curl_easy_setopt(easy, CURLOPT_URL, url.p) == CURLE_OK &&
	       curl_easy_setopt(easy, CURLOPT_HTTPHEADER, call->headers) == CURLE_OK &&
	       curl_easy_setopt(easy, CURLOPT_PREREQFUNCTION, on_connected) == CURLE_OK &&
	       curl_easy_setopt(easy, CURLOPT_PREREQDATA, call) == CURLE_OK &&
	       curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_header) == CURLE_OK &&
	       curl_easy_setopt(easy, CURLOPT_HEADERDATA, call) == CURLE_OK &&
	       curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_piece) == CURLE_OK &&
	       curl_easy_setopt(easy, CURLOPT_WRITEDATA, call) == CURLE_OK &&
	       curl_easy_setopt(easy, CURLOPT_LOW_SPEED_LIMIT, STALLED_BYTES_PER_S) == CURLE_OK &&
	       curl_easy_setopt(easy, CURLOPT_LOW_SPEED_TIME,
				(long)(d->config.line_timeout_ms + 999) / 1000) == CURLE_OK &&
	       (o->get || (curl_easy_setopt(easy, CURLOPT_POST, 1L) == CURLE_OK &&
			   curl_easy_setopt(easy, CURLOPT_POSTFIELDS,
					    o->body.n > 0 ? o->body.p : "") == CURLE_OK &&
			   curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE,
					    (curl_off_t)o->body.n) == CURLE_OK));
}

static void call_free(struct online_call *call)
{
	if (call->transfer.easy != NULL)
		curl_easy_cleanup(call->transfer.easy);
	curl_slist_free_all(call->headers);
	buf_free(&call->head);
	buf_free(&call->error_body);
	free(call);
}

static void online_done(struct dispatch *d, struct transfer *t, CURLcode code);

static struct online_call *call_start(struct dispatch *d, struct online *o, struct upstream *u)
{
	struct online_call *call = calloc(1, sizeof(*call));
	if (call == NULL)
		return NULL;
	call->transfer = (struct transfer){ .done = online_done, .upstream = u };
	call->online = o;
	call->head = BUF(HEAD_MAX);
	call->error_body = BUF(ERROR_BODY_MAX);
	if (!call_setup(d, call) || !wire_start(d->wire, call->transfer.easy)) {
		call_free(call);
		return NULL;
	}
	u->counts.online++;
	call->sent_ms = sys.monotonic_ms();
	pace_take(&u->pace, o->body.n / 4, call->sent_ms);
	throttle_sent(&u->throttle, call->sent_ms);
	upstream_online(u, +1);
	return call;
}

/* Takes the call off the request: libcurl is done with it, or lets go of it here. */
static void call_drop(struct dispatch *d, struct online *o)
{
	struct online_call *call = o->call;
	o->call = NULL;
	wire_stop(d->wire, call->transfer.easy);
	call_free(call);
}

/* Lets go of one that has not ended: its connection is closed. */
static void call_stop(struct dispatch *d, struct online *o)
{
	struct upstream *u = o->call->transfer.upstream;
	throttle_gone(&u->throttle, o->call->sent_ms);
	upstream_online(u, -1);
	call_drop(d, o);
}

static bool answers(const struct model *m, const struct upstream *u)
{
	const struct lane *lane = m != NULL ? lane_find(m, u) : NULL;
	return u->breaker.state == BREAKER_CLOSED &&
	       (lane == NULL || lane->breaker.state == BREAKER_CLOSED);
}

/* Where it goes: what is up before what is down, then the least load for the weight. *ret_any: some
 * upstream serves it, whether it has room or not. */
static struct upstream *online_upstream(const struct dispatch *d, const struct online *o,
					const char *model, bool *ret_any)
{
	struct upstream *best = NULL;
	double best_share = 0;
	const struct model *m = model_find(d, model);
	*ret_any = false;
	for (struct upstream *u = d->upstreams; u != NULL; u = u->next) {
		if (u->config.drain || (o->tried >> u->number & 1) != 0 ||
		    !upstream_serves(d, u, model))
			continue;
		*ret_any = true;
		if (slots_in_flight(&u->slots) >= u->config.max_concurrency)
			continue;
		double share = (u->slots.online + 1.0) / u->config.weight +
			       (answers(m, u) ? 0 : 1e6);
		if (best == NULL || share < best_share) {
			best = u;
			best_share = share;
		}
	}
	return best;
}

/* Sends it if there is room for it; false: it waits. */
static bool online_send(struct dispatch *d, struct online *o)
{
	char model[256];
	bool any;
	(void)slice_copy(o->model, model, sizeof(model)); /* too long for a model: none is named */
	struct upstream *u = online_upstream(d, o, model, &any);
	if (!any) {
		online_end(d, o, o->tried != 0 ? ONLINE_UNREACHABLE : ONLINE_NO_UPSTREAM);
		return true;
	}
	if (u == NULL)
		return false;
	o->call = call_start(d, o, u);
	if (o->call == NULL)
		online_end(d, o, ONLINE_BROKEN);
	return true;
}

static void online_try(struct dispatch *d, struct online *o)
{
	unsigned most = d->config.online_waiting_max;
	if (online_send(d, o))
		return;
	if (most > 0 && d->online_waiting >= most)
		online_end(d, o, ONLINE_BUSY);
	else
		online_wait(d, o, true);
}

bool online_fill(struct dispatch *d)
{
	bool sent = false;
	if (d->online_waiting == 0)
		return false;
	/* The list has the newest first; those that wait are few, and the oldest goes first. */
	struct online *last = d->online;
	while (last != NULL && last->next != NULL)
		last = last->next;
	for (struct online *o = last, *before; o != NULL; o = before) {
		before = o->prev;
		if (!o->waits || !online_send(d, o))
			continue;
		if (!o->ended)
			online_wait(d, o, false);
		sent = true;
	}
	return sent;
}

/* ---- the end ---- */

/* The same table as for lines; the body of a 2xx, which streams through, is not read. */
static void online_learn(struct dispatch *d, struct online_call *call,
			 const struct attempt_end *end)
{
	struct upstream *u = call->transfer.upstream;
	char name[256];
	(void)slice_copy(call->online->model, name, sizeof(name));
	struct model *m = model_find(d, name);
	struct lane *lane = m != NULL ? lane_find(m, u) : NULL;
	enum blame blame = attempt_judge(end, lane == NULL || lane->breaker.been_well).blame;
	if (blame == BLAME_BUSY)
		blame = lane != NULL ? busy_settle(lane, call->sent_ms) : BLAME_THROTTLED;
	/* A path that clients take and the upstream has not says nothing of the lines' own. */
	upstream_learn(d,
		       &(struct lesson){ .upstream = u,
					 .lane = blame == BLAME_PATH ? NULL : lane,
					 .end = end,
					 .blame = blame,
					 .sent_ms = call->sent_ms },
		       sys.monotonic_ms());
}

static void online_done(struct dispatch *d, struct transfer *t, CURLcode code)
{
	struct online_call *call = container_of(t, struct online_call, transfer);
	struct online *o = call->online;
	struct upstream *u = call->transfer.upstream;
	struct attempt_end end;
	bool connected = code == CURLE_OK || call->sent;
	transfer_end(t, code, connected, &end);
	end.body = buf_slice(&call->error_body);
	upstream_online(u, -1);
	online_learn(d, call, &end);
	unsigned number = u->number;
	bool malformed = call->malformed;
	if (code != CURLE_OK)
		log_debug("online.broken", kv_str("upstream", u->config.name),
			  kv_str("cause", end.detail));
	call_drop(d, o);
	if (!connected && !o->has_head) {
		o->tried |= UINT64_C(1) << number;
		online_try(d, o);
		return;
	}
	online_end(d, o,
		   malformed                          ? ONLINE_MALFORMED
		   : code == CURLE_OK && o->has_head  ? ONLINE_WHOLE
		   : code == CURLE_OPERATION_TIMEDOUT ? ONLINE_TIMEOUT
						      : ONLINE_BROKEN);
}

void online_end_all(struct dispatch *d)
{
	while (d->online != NULL) {
		struct online *o = d->online;
		if (o->call != NULL)
			call_stop(d, o);
		online_end(d, o, ONLINE_CLOSING);
	}
}

/* ---- what the API asks ---- */

static void online_mail(struct dispatch *d, struct mail *m, unsigned asked)
{
	struct online *o = container_of(m, struct online, mail);

	if ((asked & ONLINE_ASK_START) != 0 && (asked & ONLINE_ASK_RELEASE) == 0) {
		online_link(d, o);
		if (d->online_closed)
			online_end(d, o, ONLINE_CLOSING);
		else
			online_try(d, o);
		o->known = true;
	}
	if ((asked & ONLINE_ASK_MORE) != 0 && o->call != NULL)
		curl_easy_pause(o->call->transfer.easy, CURLPAUSE_CONT);
	if ((asked & ONLINE_ASK_RELEASE) == 0)
		return;
	if (o->call != NULL)
		call_stop(d, o); /* closes the connection: the upstream sees that nobody waits */
	if (o->known && !o->ended)
		online_unlink(d, o);
	o->ops->released(o->ctx);
}

void dispatch_online(struct dispatch *d, struct online *o)
{
	dispatch_post(d, &o->mail, online_mail, ONLINE_ASK_START);
}

void dispatch_online_more(struct dispatch *d, struct online *o)
{
	dispatch_post(d, &o->mail, online_mail, ONLINE_ASK_MORE);
}

void dispatch_online_release(struct dispatch *d, struct online *o)
{
	dispatch_post(d, &o->mail, online_mail, ONLINE_ASK_RELEASE);
}
