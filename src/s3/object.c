/* object.c: whole objects, pieces of them, and lists. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "s3/s3_impl.h"

#define HEADER_SIZE 160

void s3_escape(struct buf *to, const char *text)
{
	for (const char *p = text; *p != '\0'; p++) {
		unsigned char c = (unsigned char)*p;
		if (strspn(p,
			   "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~") >
		    0)
			buf_char(to, *p);
		else
			buf_printf(to, "%%%02X", c);
	}
}

/* ---- bodies ---- */

static bool slice_read(void *ctx, uint64_t at, void *to, size_t n, struct error *err)
{
	const struct slice *s = ctx;

	(void)err;
	memcpy(to, s->p + at, n);
	return true;
}

struct s3_body s3_body_of(const struct slice *s)
{
	return (struct s3_body){ slice_read, (void *)s, s->n };
}

/* ---- one object ---- */

/* `condition`, a header, NULL: none. */
static bool put(struct s3 *s, const char *key, const struct s3_body *body, const char *condition,
		struct s3_answer *answer, struct error *err)
{
	char encryption[HEADER_SIZE];
	struct s3_call c = {
		.method = "PUT", .key = key, .body = body, .keeps_checksum = true, .what = "putting"
	};

	snprintf(encryption, sizeof(encryption), "x-amz-server-side-encryption: %s",
		 s->encryption != NULL ? s->encryption : "");
	if (s->encryption != NULL)
		c.headers[c.header_n++] = encryption;
	if (condition != NULL)
		c.headers[c.header_n++] = condition;
	return s3_call(s, &c, NULL, answer, err);
}

bool s3_put(struct s3 *s, const char *key, const struct s3_body *body, struct s3_object *ret,
	    struct error *err)
{
	struct s3_answer answer;

	if (!put(s, key, body, NULL, &answer, err))
		return false;
	if (ret != NULL) {
		*ret = (struct s3_object){ .bytes = body->bytes };
		memcpy(ret->etag, answer.etag, sizeof(ret->etag));
	}
	return true;
}

/* 409: another puts it now. 501: the store knows no such condition. */
bool s3_put_new(struct s3 *s, const char *key, const struct s3_body *body, struct error *err)
{
	struct s3_answer answer = { 0 };

	if (put(s, key, body, "If-None-Match: *", &answer, err))
		return true;
	if (answer.status == 412 || answer.status == 409)
		return fail_sys(err, EEXIST, "putting %s, which is there", key);
	if (answer.status != 501)
		return false;
	return s3_put(s, key, body, NULL, err);
}

bool s3_read(struct s3 *s, const char *key, const char *etag, uint64_t at, void *to, size_t n,
	     struct error *err)
{
	char range[HEADER_SIZE], match[HEADER_SIZE];
	struct s3_sink sink = { .to = to, .size = n, .text = BUF(S3_ANSWER_BYTES) };
	struct s3_answer answer;
	struct s3_call c = {
		.method = "GET", .key = key, .range = true, .from = at, .what = "reading"
	};

	snprintf(range, sizeof(range), "Range: bytes=%llu-%llu", (unsigned long long)at,
		 (unsigned long long)(at + n - 1));
	c.headers[c.header_n++] = range;
	snprintf(match, sizeof(match), "If-Match: %s", etag != NULL ? etag : "");
	if (etag != NULL && etag[0] != '\0')
		c.headers[c.header_n++] = match;
	c.headers[c.header_n++] = "x-amz-checksum-mode: ENABLED";
	bool ok = s3_call(s, &c, &sink, &answer, err);
	buf_free(&sink.text);
	return ok && (sink.n == n || fail_sys(err, ENODATA, "reading %s, which ends at byte %llu",
					      key, (unsigned long long)(at + sink.n)));
}

bool s3_read_whole(struct s3 *s, const char *key, void *to, size_t size, size_t *ret_n,
		   struct error *err)
{
	struct s3_sink sink = {
		.to = to, .size = size, .whole = true, .text = BUF(S3_ANSWER_BYTES)
	};
	struct s3_answer answer;
	const struct s3_call c = { .method = "GET",
				   .key = key,
				   .headers = { "x-amz-checksum-mode: ENABLED" },
				   .header_n = 1,
				   .what = "reading" };

	bool ok = s3_call(s, &c, &sink, &answer, err);
	buf_free(&sink.text);
	*ret_n = sink.n;
	return ok;
}

/* An answer to HEAD has no body, so it does not say whether there is a bucket. */
static bool head_gone(struct s3 *s, struct error *err)
{
	struct error why;

	if (err->sys == ENOENT && !s3_check(s, &why))
		*err = why;
	return false;
}

bool s3_head(struct s3 *s, const char *key, struct s3_object *ret, struct error *err)
{
	const struct s3_call c = { .method = "HEAD", .key = key, .what = "looking at" };
	struct s3_answer answer;

	if (!s3_call(s, &c, NULL, &answer, err))
		return head_gone(s, err);
	if (answer.length == UINT64_MAX)
		return fail_sys(err, EIO, "looking at %s: the store does not say its length", key);
	*ret = (struct s3_object){ .bytes = answer.length };
	memcpy(ret->etag, answer.etag, sizeof(ret->etag));
	return true;
}

bool s3_delete(struct s3 *s, const char *key, struct error *err)
{
	const struct s3_call c = { .method = "DELETE", .key = key, .what = "removing" };
	struct s3_answer answer;

	return s3_call(s, &c, NULL, &answer, err) || err->sys == ENOENT;
}

/* ---- lists ---- */

struct object_list {
	struct s3 *s;
	s3_each_fn each;
	void *ctx;
	char key[S3_KEY_SIZE]; /* of the object that is being read; "": it has none */
	struct s3_object object;
	bool truncated;
	struct buf token; /* of the next page, with a NUL */
};

static void contents_take(struct object_list *l, const char *name, struct slice text)
{
	char number[24];

	if (strcmp(name, "Key") == 0)
		(void)slice_copy(text, l->key, sizeof(l->key));
	else if (strcmp(name, "ETag") == 0)
		(void)slice_copy(text, l->object.etag, sizeof(l->object.etag));
	else if (strcmp(name, "LastModified") == 0)
		l->object.modified_s = s3_time(text);
	else if (strcmp(name, "Size") == 0 && slice_copy(text, number, sizeof(number)))
		l->object.bytes = strtoull(number, NULL, 10);
}

/* One whose key is not below our prefix is none that was asked for. */
static bool contents_end(struct object_list *l, struct error *err)
{
	size_t n = strlen(l->s->prefix);
	bool ok = true;

	if (strncmp(l->key, l->s->prefix, n) == 0 && l->key[n] != '\0')
		ok = l->each(l->ctx, l->key + n, &l->object, err);
	l->key[0] = '\0';
	l->object = (struct s3_object){ 0 };
	return ok;
}

static bool list_element(void *ctx, const char *around, const char *name, struct slice text,
			 struct error *err)
{
	struct object_list *l = ctx;

	if (strcmp(around, "Contents") == 0)
		contents_take(l, name, text);
	else if (strcmp(name, "Contents") == 0)
		return contents_end(l, err);
	else if (strcmp(name, "IsTruncated") == 0)
		l->truncated = slice_is(text, "true");
	else if (strcmp(name, "NextContinuationToken") == 0) {
		buf_clear(&l->token);
		buf_add(&l->token, text);
		buf_char(&l->token, '\0');
		if (l->token.failed)
			return fail_memory(err);
	}
	return true;
}

static bool list_page(struct object_list *l, const char *begin, struct error *err)
{
	AUTO(buf_free) struct buf query = BUF(S3_URL_SIZE);
	struct s3_sink sink = { .text = BUF(S3_ANSWER_BYTES) };
	struct s3_call c = { .method = "GET", .what = "listing" };
	struct s3_answer answer;

	if (l->token.n > 0) {
		buf_text(&query, "continuation-token=");
		s3_escape(&query, l->token.p);
		buf_char(&query, '&');
	}
	buf_text(&query, "list-type=2&prefix=");
	s3_escape(&query, l->s->prefix);
	s3_escape(&query, begin);
	buf_char(&query, '\0');
	if (query.failed)
		return fail_memory(err);
	c.query = query.p;
	l->truncated = false;
	buf_clear(&l->token);
	bool ok = s3_call(l->s, &c, &sink, &answer, err) &&
		  s3_xml_read(buf_slice(&sink.text), list_element, l, err);
	buf_free(&sink.text);
	return ok;
}

bool s3_list(struct s3 *s, const char *begin, s3_each_fn each, void *ctx, struct error *err)
{
	struct object_list l = { .s = s, .each = each, .ctx = ctx, .token = BUF(2048) };
	bool ok;

	do
		ok = list_page(&l, begin, err);
	while (ok && l.truncated && l.token.n > 0);
	if (ok && l.truncated)
		ok = fail_sys(err, EIO, "listing %s: the store does not say how it goes on",
			      s->bucket);
	buf_free(&l.token);
	return ok;
}

static bool bucket_ask(struct s3 *s, struct s3_answer *answer, struct error *err)
{
	AUTO(buf_free) struct buf query = BUF(S3_URL_SIZE);
	struct s3_call c = { .method = "GET", .what = "asking for the bucket" };

	buf_text(&query, "list-type=2&max-keys=1&prefix=");
	s3_escape(&query, s->prefix);
	buf_char(&query, '\0');
	if (query.failed)
		return fail_memory(err);
	c.query = query.p;
	return s3_call(s, &c, NULL, answer, err);
}

bool s3_check(struct s3 *s, struct error *err)
{
	struct s3_answer answer;

	return bucket_ask(s, &answer, err);
}

bool s3_now(struct s3 *s, int64_t *ret, struct error *err)
{
	struct s3_answer answer;

	if (!bucket_ask(s, &answer, err))
		return false;
	*ret = answer.date_s;
	return true;
}
