/* answers.c: what is asked for by path, and answers in JSON, one or a list of them. */
#include <ctype.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "remote/remote_impl.h"

#define JSON_BYTES_MAX (256u << 20) /* a page of 100 batches with 1,001 findings each */
#define PATH_BYTES_MAX (32u << 10)

/* ---- paths ---- */

static void add_escaped(struct buf *b, const char *text)
{
	for (const unsigned char *p = (const unsigned char *)text; *p != '\0'; p++) {
		if (isalnum(*p) || strchr("-._~", *p) != NULL)
			buf_char(b, (char)*p);
		else
			buf_printf(b, "%%%02X", *p);
	}
}

/* What stands behind a '%'; returns what is behind that. */
static const char *add_one(struct buf *b, const char *format, va_list *args)
{
	if (strncmp(format, "llu", 3) == 0)
		return buf_u64(b, va_arg(*args, unsigned long long)), format + 3;
	if (strncmp(format, "lu", 2) == 0)
		return buf_u64(b, va_arg(*args, unsigned long)), format + 2;
	switch (*format) {
	case 's':
		add_escaped(b, va_arg(*args, const char *));
		break;
	case 'u':
		buf_u64(b, va_arg(*args, unsigned));
		break;
	case 'c':
		buf_char(b, (char)va_arg(*args, int));
		break;
	case 'd':
		buf_printf(b, "%d", va_arg(*args, int));
		break;
	default:
		buf_char(b, *format);
	}
	return format + 1;
}

char *remote_path(const char *format, ...)
{
	struct buf b = BUF(PATH_BYTES_MAX);
	va_list args;

	va_start(args, format);
	while (*format != '\0') {
		if (*format == '%' && format[1] != '\0')
			format = add_one(&b, format + 1, &args);
		else
			buf_char(&b, *format++);
	}
	va_end(args);
	buf_char(&b, '\0');
	if (!b.failed)
		return b.p;
	buf_free(&b);
	return NULL;
}

/* ---- JSON ---- */

bool remote_json(struct remote *r, const struct remote_request *q, json_t **ret, struct error *err)
{
	AUTO(buf_free) struct buf body = BUF(JSON_BYTES_MAX);
	json_t *answer;

	if (!remote_call(r, q, NULL, &body, err))
		return false;
	answer = json_loadb(body.n > 0 ? body.p : "", body.n, JSON_ALLOW_NUL, NULL);
	if (!json_is_object(answer)) {
		json_decref(answer);
		return fail(err, ERR_UPSTREAM,
			    "what answers at %s is no lowtide server (status %d, without JSON): "
			    "LOWTIDE_URL, --url or `lowtide login URL` names the server",
			    r->url, r->status);
	}
	if (ret != NULL)
		*ret = answer;
	else
		json_decref(answer);
	return true;
}

/* ---- lists ---- */

struct paging {
	uint64_t left;
	char *after; /* the last id; NULL: none */
	enum remote_taken (*each)(void *ctx, json_t *object, struct error *err);
	void *ctx;
};

static bool page_get(struct remote *r, const char *path, const char *after, json_t **ret,
		     struct error *err)
{
	AUTO(auto_free) char *more = NULL;
	AUTO(buf_free) struct buf whole = BUF(2 * PATH_BYTES_MAX);

	buf_text(&whole, path);
	if (after != NULL) {
		more = remote_path("%cafter=%s", strchr(path, '?') != NULL ? '&' : '?', after);
		buf_text(&whole, more != NULL ? more : "");
	}
	buf_char(&whole, '\0');
	if (whole.failed || (after != NULL && more == NULL))
		return fail_memory(err);
	struct remote_request q = { .method = "GET", .path = whole.p };
	return remote_json(r, &q, ret, err);
}

/* *ret_more: another page follows. */
static bool page_hand_on(struct paging *p, const json_t *page, bool *ret_more, struct error *err)
{
	const json_t *data = json_object_get(page, "data");
	const char *last = NULL;

	*ret_more = false;
	for (size_t i = 0; i < json_array_size(data); i++) {
		json_t *object = json_array_get(data, i);
		enum remote_taken taken = p->each(p->ctx, object, err);
		if (taken != REMOTE_MORE || --p->left == 0)
			return taken != REMOTE_FAULT;
		last = json_string_value(json_object_get(object, "id"));
	}
	if (!json_is_true(json_object_get(page, "has_more")) || last == NULL)
		return true;
	free(p->after);
	p->after = strdup(last);
	*ret_more = true;
	return p->after != NULL || fail_memory(err);
}

bool remote_list(struct remote *r, const char *path, uint64_t most,
		 enum remote_taken (*each)(void *ctx, json_t *object, struct error *err), void *ctx,
		 struct error *err)
{
	struct paging p = { most > 0 ? most : UINT64_MAX, NULL, each, ctx };
	bool good = true, more = true;

	while (good && more) {
		json_t *page = NULL;
		good = page_get(r, path, p.after, &page, err) && page_hand_on(&p, page, &more, err);
		json_decref(page);
	}
	free(p.after);
	return good;
}
