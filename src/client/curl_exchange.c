/* curl_exchange.c: one request by a handle of libcurl's, which is kept from one request to the next
 * with all its options: a request sets those alone that differ from the one before. */
#include <stdlib.h>
#include <string.h>

#include "client/curl_impl.h"
#include "http/fields.h"

#define HEAD_MAX (256u << 10)
#define CONNECT_TIMEOUT_MS 10000L
#define HASTY_TIMEOUT_MS 1000L
#define HASTY_TLS_TIMEOUT_MS 3000L /* likewise, where that takes more round trips */
#define DNS_CACHE_S 60L
#define SILENT_BYTES_PER_S 1L

static struct curl_exchange *curl_of(const struct exchange *x)
{
	return x->state;
}

/* ---- what libcurl calls ---- */

/* Before each request. When a kept-alive connection turns out to be dead libcurl sends the request
 * again by itself, on the next kept one: when a server goes down all of them are dead, and libcurl
 * would try one after another. */
/* NOLINTNEXTLINE(readability-non-const-parameter): libcurl's signature */
static int on_request(void *arg, char *ip, char *local_ip, int port, int local_port)
{
	struct curl_exchange *c = arg;

	(void)ip;
	(void)local_ip;
	(void)port;
	(void)local_port;
	curl_streams_stands(c);
	return exchange_goes_out(c->of) ? CURL_PREREQFUNC_OK : CURL_PREREQFUNC_ABORT;
}

static bool is_empty_line(const char *p, size_t n)
{
	return (n == 1 && p[0] == '\n') || (n == 2 && p[0] == '\r' && p[1] == '\n');
}

/* False: it is none. */
static bool head_tell(struct curl_exchange *c, int status)
{
	struct header headers[HEAD_HEADERS_MAX];
	struct exchange_head h = { .status = status };

	c->malformed = head_read(buf_slice(&c->head), headers, &h);
	if (c->malformed != NULL)
		return false;
	c->has_head = true;
	c->of->ops->head(c->of, &h);
	return true;
}

/* A line of an answer's head, of an interim answer's too, or of the trailers. */
/* NOLINTNEXTLINE(readability-non-const-parameter): libcurl's signature */
static size_t on_header(char *p, size_t size, size_t n, void *arg)
{
	struct curl_exchange *c = arg;
	size_t bytes = size * n;
	long status = 0;

	if (bytes >= 5 && memcmp(p, "HTTP/", 5) == 0)
		buf_clear(&c->head); /* of an interim answer before */
	buf_append(&c->head, p, bytes);
	if (c->head.failed)
		return 0;
	if (!is_empty_line(p, bytes) || c->has_head)
		return bytes;
	curl_easy_getinfo(c->easy, CURLINFO_RESPONSE_CODE, &status);
	return status < 200 || head_tell(c, (int)status) ? bytes : 0;
}

/* NOLINTNEXTLINE(readability-non-const-parameter): likewise */
static size_t on_body(char *p, size_t size, size_t n, void *arg)
{
	struct curl_exchange *c = arg;

	switch (c->of->ops->body(c->of, (struct slice){ p, size * n })) {
	case EXCHANGE_TAKEN:
		return size * n;
	case EXCHANGE_PAUSED:
		return CURL_WRITEFUNC_PAUSE;
	case EXCHANGE_REFUSED:
		break;
	}
	c->refused = true;
	return CURL_WRITEFUNC_ERROR;
}

/* ---- headers that are sent ---- */

/* Headers that libcurl would add; with a colon and no value it does not. Expect would cost large
 * bodies a round trip. */
static const char *const added[] = { "Accept", "Content-Type", "Expect" };

static size_t headers_bytes(const struct exchange_setup *s)
{
	size_t bytes = (s->header_count + ARRAY_LEN(added)) * sizeof(struct curl_slist);

	for (size_t i = 0; i < s->header_count; i++)
		bytes += s->headers[i].name.n + s->headers[i].value.n + sizeof(": ");
	for (size_t i = 0; i < ARRAY_LEN(added); i++)
		bytes += strlen(added[i]) + sizeof(":");
	return bytes;
}

/* Writes "<name><between><value>" behind the list's last; returns what is behind that. */
static char *header_write(struct curl_slist *to, char *text, const struct header *h,
			  const char *between)
{
	to->data = text;
	text = mempcpy(text, h->name.p, h->name.n);
	text = stpcpy(text, between);
	if (h->value.n > 0)
		text = mempcpy(text, h->value.p, h->value.n);
	*text = '\0';
	return text + 1;
}

/* A header without a value is sent only if it is written with a semicolon. */
static void headers_write(struct curl_exchange *c, const struct exchange_setup *s)
{
	struct curl_slist *to = c->headers;
	char *text = (char *)(to + s->header_count + ARRAY_LEN(added));

	for (size_t i = 0; i < s->header_count; i++) {
		const struct header *h = &s->headers[i];
		text = header_write(to++, text, h, h->value.n > 0 ? ": " : ";");
	}
	for (size_t i = 0; i < ARRAY_LEN(added); i++) {
		struct header h = { .name = slice_of(added[i]) };
		if (header_find(s->headers, s->header_count, added[i]) == NULL)
			text = header_write(to++, text, &h, ":");
	}
	for (struct curl_slist *one = c->headers; one + 1 < to; one++)
		one->next = one + 1;
}

/* ---- opening ---- */

static bool callbacks_set(struct curl_exchange *c, const struct exchange_setup *s)
{
	CURL *easy = c->easy;

	return curl_easy_setopt(easy, CURLOPT_PRIVATE, c) == CURLE_OK &&
	       curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, c->said) == CURLE_OK &&
	       curl_easy_setopt(easy, CURLOPT_PREREQFUNCTION, on_request) == CURLE_OK &&
	       curl_easy_setopt(easy, CURLOPT_PREREQDATA, c) == CURLE_OK &&
	       curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body) == CURLE_OK &&
	       curl_easy_setopt(easy, CURLOPT_WRITEDATA, c) == CURLE_OK &&
	       (s->ops->head == NULL ||
		(curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_header) == CURLE_OK &&
		 curl_easy_setopt(easy, CURLOPT_HEADERDATA, c) == CURLE_OK));
}

static bool timeout_set(struct curl_exchange *c, uint64_t timeout_ms)
{
	c->timeout_ms = timeout_ms;
	return curl_easy_setopt(c->easy, CURLOPT_TIMEOUT_MS, (long)timeout_ms) == CURLE_OK;
}

static bool setup_set(struct curl_exchange *c, const struct exchange_setup *s)
{
	CURL *easy = c->easy;
	long silence_s = (long)((s->silence_ms + 999) / 1000);

	/* "identity" is what is asked for; libcurl decodes what comes coded all the same */
	return curl_easy_setopt(easy, CURLOPT_HTTPHEADER, &c->headers[0]) == CURLE_OK &&
	       timeout_set(c, s->timeout_ms) &&
	       curl_easy_setopt(easy, CURLOPT_LOW_SPEED_LIMIT, SILENT_BYTES_PER_S) == CURLE_OK &&
	       curl_easy_setopt(easy, CURLOPT_LOW_SPEED_TIME, silence_s) == CURLE_OK &&
	       (s->get || curl_easy_setopt(easy, CURLOPT_POST, 1L) == CURLE_OK) &&
	       (s->verb == NULL ||
		curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, s->verb) == CURLE_OK) &&
	       (!s->decode ||
		curl_easy_setopt(easy, CURLOPT_ACCEPT_ENCODING, "identity") == CURLE_OK);
}

static bool haste_set(struct curl_exchange *c, bool hasty)
{
	bool round_trips = c->route->https || c->route->proxy != NULL;
	long timeout_ms = !hasty        ? CONNECT_TIMEOUT_MS
			  : round_trips ? HASTY_TLS_TIMEOUT_MS
					: HASTY_TIMEOUT_MS;

	c->hasty = hasty;
	return curl_easy_setopt(c->easy, CURLOPT_CONNECTTIMEOUT_MS, timeout_ms) == CURLE_OK;
}

static bool look_up_set(struct curl_exchange *c, bool look_up)
{
	c->look_up = look_up;
	return curl_easy_setopt(c->easy, CURLOPT_DNS_CACHE_TIMEOUT, look_up ? 0L : DNS_CACHE_S) ==
	       CURLE_OK;
}

static bool fresh_set(struct curl_exchange *c, bool fresh)
{
	c->fresh = fresh;
	return curl_easy_setopt(c->easy, CURLOPT_FRESH_CONNECT, fresh ? 1L : 0L) == CURLE_OK;
}

/* `header`, which may be NULL, and then those of the exchange. */
static bool header_set(struct curl_exchange *c, const char *header)
{
	struct curl_slist *first = header != NULL ? &c->more : &c->headers[0];

	c->more = (struct curl_slist){ (char *)header, &c->headers[0] };
	return curl_easy_setopt(c->easy, CURLOPT_HTTPHEADER, first) == CURLE_OK;
}

bool curl_exchange_open(struct exchange *x, const struct exchange_setup *s)
{
	struct curl_exchange *c = calloc(1, sizeof(*c) + headers_bytes(s));

	if (c == NULL)
		return false;
	x->state = c;
	c->of = x;
	c->route = (struct curl_route *)s->route;
	c->get = s->get;
	c->setup_timeout_ms = s->timeout_ms;
	c->head = BUF(HEAD_MAX);
	headers_write(c, s);
	c->easy = curl_loop_handle((struct curl_client *)x->client, c);
	if (c->easy != NULL && curl_route_set(c->easy, c->route) && callbacks_set(c, s) &&
	    setup_set(c, s) && haste_set(c, false) && look_up_set(c, false))
		return true;
	curl_exchange_free(x);
	return false;
}

void curl_exchange_free(struct exchange *x)
{
	struct curl_exchange *c = curl_of(x);

	curl_easy_cleanup(c->easy);
	buf_free(&c->head);
	free(c);
}

bool curl_exchange_url(struct exchange *x, const char *url)
{
	return curl_easy_setopt(curl_of(x)->easy, CURLOPT_URL, url) == CURLE_OK;
}

/* ---- a request ---- */

static bool request_set(struct curl_exchange *c, const struct exchange_request *rq)
{
	const char *body = rq->body.n > 0 ? rq->body.p : "";
	uint64_t timeout_ms = rq->timeout_ms > 0 ? rq->timeout_ms : c->setup_timeout_ms;

	if ((c->fresh != rq->fresh && !fresh_set(c, rq->fresh)) ||
	    (c->look_up != rq->look_up && !look_up_set(c, rq->look_up)) ||
	    (c->hasty != rq->hasty && !haste_set(c, rq->hasty)) ||
	    (c->timeout_ms != timeout_ms && !timeout_set(c, timeout_ms)) ||
	    (c->more.data != rq->header && !header_set(c, rq->header)))
		return false;
	return c->get || (curl_easy_setopt(c->easy, CURLOPT_POSTFIELDS, body) == CURLE_OK &&
			  curl_easy_setopt(c->easy, CURLOPT_POSTFIELDSIZE_LARGE,
					   (curl_off_t)rq->body.n) == CURLE_OK);
}

bool curl_exchange_start(struct exchange *x, const struct exchange_request *rq)
{
	struct curl_exchange *c = curl_of(x);

	c->said[0] = '\0';
	c->has_head = false;
	c->refused = false;
	c->malformed = NULL;
	c->kept_off = NULL;
	buf_clear(&c->head);
	return request_set(c, rq) && curl_loop_start((struct curl_client *)x->client, c->easy);
}

void curl_exchange_stop(struct exchange *x)
{
	struct curl_client *w = (struct curl_client *)x->client;
	struct curl_exchange *c = curl_of(x);

	curl_streams_left(c);
	if (!c->held || !curl_streams_forget(w, c))
		curl_loop_stop(w, c->easy);
	c->held = false;
}

/* It waits for the connection of another, and libcurl knows it no more until then. */
static void held(struct curl_exchange *c)
{
	struct curl_client *w = (struct curl_client *)c->of->client;

	curl_loop_stop(w, c->easy);
	curl_streams_hold(w, c);
}

void curl_exchange_resume(struct exchange *x)
{
	curl_easy_pause(curl_of(x)->easy, CURLPAUSE_CONT);
}

struct slice curl_exchange_header(const struct exchange *x, const char *name)
{
	struct curl_header *header;

	if (curl_easy_header(curl_of(x)->easy, name, 0, CURLH_HEADER, -1, &header) != CURLHE_OK)
		return (struct slice){ NULL, 0 };
	/* an empty header's value is its line end: that is none */
	return (struct slice){ header->value, strcspn(header->value, "\r\n") };
}

uint64_t curl_exchange_length(const struct exchange *x)
{
	curl_off_t length = -1;

	if (curl_easy_getinfo(curl_of(x)->easy, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &length) !=
		    CURLE_OK ||
	    length < 0)
		return UINT64_MAX;
	return (uint64_t)length;
}

void curl_exchange_over(struct curl_exchange *c, CURLcode code)
{
	long status = 0;
	struct exchange_result r = { .said = "" };

	if (c->held) {
		held(c);
		return;
	}
	curl_easy_getinfo(c->easy, CURLINFO_RESPONSE_CODE, &status);
	r.status = (int)status;
	r.how = curl_fault_end(c, code, r.status);
	if (c->malformed != NULL)
		r.said = c->malformed;
	else if (r.how == EXCHANGE_UNREACHABLE && c->kept_off != NULL)
		r.said = c->kept_off;
	else if (code != CURLE_OK)
		r.said = curl_fault_sentence(code, c->said, c->of->sent > 0);
	curl_exchange_stop(c->of);
	exchange_over(c->of, &r);
}
