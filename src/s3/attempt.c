/* attempt.c: one request by libcurl's easy interface, signed by it, and the answer's head and
 * bytes.
 *
 * libcurl 7.88 signs the query as it stands and every header in the order of whole lines. So queries
 * are given in the order of names and with '=' behind each, no header's name begins with another's,
 * and "Expect:" is not among them, which libcurl would sign and not send. */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "s3/s3_impl.h"

#define CONTINUE_MS 500L /* that a body waits for a server that says nothing to "Expect" */

/* ---- the answer ---- */

static bool is_good(const struct s3_attempt *a)
{
	return a->call->range ? a->answer.status == 206
			      : a->answer.status >= 200 && a->answer.status < 300;
}

/* Only digits: a date, the other form of Retry-After, is no use to us; the usual wait is. */
static uint64_t number_of(struct slice s)
{
	char text[21];

	return s.n > 0 && isdigit((unsigned char)s.p[0]) && slice_copy(s, text, sizeof(text))
		       ? strtoull(text, NULL, 10)
		       : UINT64_MAX;
}

static bool is_named(struct slice line, const char *name, struct slice *ret)
{
	size_t n = strlen(name);

	if (line.n <= n || line.p[n] != ':' || strncasecmp(line.p, name, n) != 0)
		return false;
	*ret = (struct slice){ line.p + n + 1, line.n - n - 1 };
	while (ret->n > 0 && isspace((unsigned char)ret->p[0]))
		*ret = (struct slice){ ret->p + 1, ret->n - 1 };
	while (ret->n > 0 && isspace((unsigned char)ret->p[ret->n - 1]))
		ret->n--;
	return true;
}

static void status_line(struct s3_attempt *a, struct slice line)
{
	const char *space = memchr(line.p, ' ', line.n);

	a->answer.status = space != NULL && line.p + line.n - space > 3
				   ? (space[1] - '0') * 100 + (space[2] - '0') * 10 + space[3] - '0'
				   : 0;
	a->answer.etag[0] = a->answer.checksum[0] = a->answer.region[0] = '\0';
	a->answer.length = a->answer.from = a->answer.total = UINT64_MAX;
	a->answer.date_s = 0;
	a->answer.retry_after_ms = 0;
}

/* "bytes 0-9/10", "bytes 0-9/" and a star. */
static void range_take(struct s3_answer *to, struct slice value)
{
	unsigned long long from, last, total;
	char text[72];

	if (!slice_copy(value, text, sizeof(text)))
		return;
	/* NOLINTNEXTLINE(cert-err34-c): what does not fit says nothing */
	int n = sscanf(text, "bytes %llu-%llu/%llu", &from, &last, &total);
	if (n >= 2)
		to->from = from;
	if (n == 3)
		to->total = total;
}

static void date_take(struct s3_answer *to, struct slice value)
{
	char text[40];
	time_t at = slice_copy(value, text, sizeof(text)) ? curl_getdate(text, NULL) : -1;

	to->date_s = at > 0 ? (int64_t)at : 0;
}

/* NOLINTNEXTLINE(readability-non-const-parameter): libcurl's signature */
static size_t on_header(char *p, size_t size, size_t n, void *ctx)
{
	struct s3_attempt *a = ctx;
	struct s3_answer *to = &a->answer;
	struct slice line = { p, size * n }, value;

	if (line.n > 5 && memcmp(line.p, "HTTP/", 5) == 0)
		status_line(a, line);
	else if (is_named(line, "ETag", &value))
		(void)slice_copy(value, to->etag, sizeof(to->etag));
	else if (is_named(line, "x-amz-checksum-sha256", &value))
		(void)slice_copy(value, to->checksum, sizeof(to->checksum));
	else if (is_named(line, "x-amz-bucket-region", &value))
		(void)slice_copy(value, to->region, sizeof(to->region));
	else if (is_named(line, "Content-Length", &value))
		to->length = number_of(value);
	else if (is_named(line, "Content-Range", &value))
		range_take(to, value);
	else if (is_named(line, "Date", &value))
		date_take(to, value);
	else if (is_named(line, "Retry-After", &value) && number_of(value) < 86400)
		to->retry_after_ms = number_of(value) * 1000;
	return size * n;
}

/* NOLINTNEXTLINE(readability-non-const-parameter): libcurl's signature */
static size_t on_bytes(char *p, size_t size, size_t n, void *ctx)
{
	struct s3_attempt *a = ctx;
	struct s3_sink *sink = a->sink;

	n *= size;
	if (sink->to == NULL || !is_good(a)) {
		buf_append(&sink->text, p, n);
		return sink->text.failed ? 0 : n;
	}
	if (n > sink->size - sink->n) {
		a->full = true;
		return 0;
	}
	memcpy(sink->to + sink->n, p, n);
	sink->n += n;
	return n;
}

/* ---- what is sent ---- */

static size_t on_read(char *to, size_t size, size_t n, void *ctx)
{
	struct s3_attempt *a = ctx;
	const struct s3_body *body = a->call->body;
	uint64_t left = body != NULL ? body->bytes - a->sent : 0;

	n *= size;
	if (n > left)
		n = (size_t)left;
	if (n > 0 && !body->read(body->ctx, a->sent, to, n, a->err)) {
		a->body_fault = true;
		return CURL_READFUNC_ABORT;
	}
	a->sent += n;
	return n;
}

static int on_seek(void *ctx, curl_off_t at, int origin)
{
	struct s3_attempt *a = ctx;

	if (origin != SEEK_SET)
		return CURL_SEEKFUNC_CANTSEEK;
	a->sent = (uint64_t)at;
	return CURL_SEEKFUNC_OK;
}

static void list_free(struct curl_slist **list)
{
	curl_slist_free_all(*list);
}

static bool list_add(struct curl_slist **list, const char *name, const char *value)
{
	AUTO(auto_free) char *line = NULL;

	if (value == NULL)
		return true;
	if (asprintf(&line, "%s%s", name, value) < 0) {
		line = NULL;
		return false;
	}
	struct curl_slist *longer = curl_slist_append(*list, line);
	if (longer != NULL)
		*list = longer;
	return longer != NULL;
}

static bool headers_make(const struct s3_attempt *a, const struct s3_credentials *keys,
			 struct curl_slist **list)
{
	const struct s3_call *c = a->call;
	const char *token = keys->session_token[0] != '\0' ? keys->session_token : NULL;
	bool keeps = c->keeps_checksum;

	if (!list_add(list, "x-amz-content-sha256: ", a->hash) ||
	    !list_add(list, "x-amz-security-token: ", token) ||
	    !list_add(list, "x-amz-checksum-sha256: ", keeps ? a->answer.body_checksum : NULL) ||
	    !list_add(list, "x-amz-sdk-checksum-algorithm: ", keeps ? "SHA256" : NULL))
		return false;
	for (unsigned i = 0; i < c->header_n; i++)
		if (!list_add(list, "", c->headers[i]))
			return false;
	return true;
}

static bool url_make(const struct s3_attempt *a, struct buf *url)
{
	const struct s3_call *c = a->call;

	buf_text(url, a->s->base);
	buf_char(url, '/');
	if (c->key != NULL) {
		buf_text(url, a->s->prefix);
		buf_text(url, c->key);
	}
	if (c->query != NULL) {
		buf_char(url, '?');
		buf_text(url, c->query);
	}
	buf_char(url, '\0');
	return !url->failed;
}

#define SET(option, value) (curl_easy_setopt(easy, option, value) == CURLE_OK)

static bool method_set(struct s3_attempt *a, CURL *easy)
{
	const struct s3_call *c = a->call;
	curl_off_t bytes = c->body != NULL ? (curl_off_t)c->body->bytes : 0;

	if (strcmp(c->method, "GET") == 0)
		return true;
	if (strcmp(c->method, "HEAD") == 0)
		return SET(CURLOPT_NOBODY, 1L);
	if (strcmp(c->method, "DELETE") == 0)
		return SET(CURLOPT_CUSTOMREQUEST, "DELETE");
	return SET(CURLOPT_UPLOAD, 1L) && SET(CURLOPT_INFILESIZE_LARGE, bytes) &&
	       SET(CURLOPT_CUSTOMREQUEST, c->method) && SET(CURLOPT_READFUNCTION, on_read) &&
	       SET(CURLOPT_READDATA, a) && SET(CURLOPT_SEEKFUNCTION, on_seek) &&
	       SET(CURLOPT_SEEKDATA, a) && SET(CURLOPT_EXPECT_100_TIMEOUT_MS, CONTINUE_MS);
}

static bool way_set(const struct s3 *s, CURL *easy)
{
	return SET(CURLOPT_PROXY, s->proxy) && SET(CURLOPT_NOPROXY, "") &&
	       SET(CURLOPT_PROTOCOLS_STR, "http,https") && SET(CURLOPT_NOSIGNAL, 1L) &&
	       SET(CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1) &&
	       SET(CURLOPT_CONNECTTIMEOUT_MS, (long)s->connect_timeout_ms) &&
	       SET(CURLOPT_TIMEOUT_MS, (long)s->timeout_ms) &&
	       (s->ca_file == NULL || SET(CURLOPT_CAINFO, s->ca_file));
}

static bool attempt_set(struct s3_attempt *a, CURL *easy, const char *url,
			struct curl_slist *headers, const struct s3_credentials *keys)
{
	const struct s3 *s = a->s;

	return SET(CURLOPT_URL, url) && SET(CURLOPT_HTTPHEADER, headers) &&
	       SET(CURLOPT_AWS_SIGV4, s->sign) && SET(CURLOPT_USERNAME, keys->access_key) &&
	       SET(CURLOPT_PASSWORD, keys->secret_key) && SET(CURLOPT_USERAGENT, "lowtide") &&
	       SET(CURLOPT_ERRORBUFFER, a->said) && SET(CURLOPT_HEADERFUNCTION, on_header) &&
	       SET(CURLOPT_HEADERDATA, a) && SET(CURLOPT_WRITEFUNCTION, on_bytes) &&
	       SET(CURLOPT_WRITEDATA, a) && way_set(s, easy) && method_set(a, easy);
}

bool s3_attempt_make(struct s3_attempt *a)
{
	AUTO(buf_free) struct buf url = BUF(S3_URL_SIZE);
	AUTO(list_free) struct curl_slist *headers = NULL;
	AUTO(s3_credentials_wipe) struct s3_credentials keys;

	a->keys_epoch = s3_keys_take(a->s, &keys);
	buf_clear(&a->sink->text);
	a->sink->n = 0;
	a->answer.status = 0;
	if (!url_make(a, &url) || !headers_make(a, &keys, &headers))
		return false;
	CURL *easy = s3_handle_take(a->s);
	if (easy == NULL)
		return false;
	bool ok = attempt_set(a, easy, url.p, headers, &keys);
	if (ok)
		a->code = curl_easy_perform(easy);
	s3_handle_give(a->s, easy);
	return ok && a->code != CURLE_OUT_OF_MEMORY && !a->sink->text.no_memory;
}
