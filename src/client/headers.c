/* headers.c: one allocation a header, for both its texts. */
#include "client/headers.h"

#include <curl/curl.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "http/fields.h"

#define KEY_MAX 16384u

/* ---- lists ---- */

static bool headers_reserve(struct headers *h)
{
	if (h->n < h->cap)
		return true;
	size_t cap = h->cap == 0 ? 8 : 2 * h->cap;
	struct header *list = reallocarray(h->list, cap, sizeof(*list));
	if (list == NULL)
		return false;
	h->list = list;
	h->cap = cap;
	return true;
}

bool headers_add(struct headers *h, struct slice name, struct slice value)
{
	char *text = malloc(name.n + value.n + 1); /* of the name; behind it the value */

	if (text == NULL || !headers_reserve(h)) {
		free(text);
		return false;
	}
	memcpy(text, name.p, name.n);
	if (value.n > 0)
		memcpy(text + name.n, value.p, value.n);
	h->list[h->n++] = (struct header){ { text, name.n }, { text + name.n, value.n } };
	return true;
}

bool headers_add_bearer(struct headers *h, const char *key)
{
	struct buf value = BUF(KEY_MAX);

	buf_text(&value, "Bearer ");
	buf_text(&value, key);
	bool ok = !value.failed && headers_add(h, SLICE("Authorization"), buf_slice(&value));
	if (value.p != NULL)
		explicit_bzero(value.p, value.cap);
	buf_free(&value);
	return ok;
}

void headers_free(struct headers *h)
{
	for (size_t i = 0; i < h->n; i++) {
		char *text = (char *)h->list[i].name.p;
		explicit_bzero(text, h->list[i].name.n + h->list[i].value.n);
		free(text);
	}
	free(h->list);
	*h = (struct headers){ 0 };
}

/* ---- what they say ---- */

const struct header *header_find(const struct header *list, size_t n, const char *name)
{
	for (size_t i = 0; i < n; i++)
		if (field_is(list[i].name, name))
			return &list[i];
	return NULL;
}

bool header_is_end_to_end(const struct header *list, size_t n, struct slice name)
{
	if (field_is_hop_by_hop(name))
		return false;
	for (size_t i = 0; i < n; i++) /* Connection may be given more than once */
		if (field_is(list[i].name, "Connection") && field_list_has(list[i].value, name))
			return false;
	return true;
}

/* ---- an answer's head ---- */

uint64_t length_read(struct slice value)
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

bool head_line_next(struct slice *rest, struct slice *ret)
{
	const char *end = rest->n > 0 ? memchr(rest->p, '\n', rest->n) : NULL;

	if (end == NULL)
		return false;
	size_t n = (size_t)(end - rest->p), whole = n + 1;
	n -= n > 0 && rest->p[n - 1] == '\r';
	*ret = (struct slice){ rest->p, n };
	*rest = (struct slice){ rest->p + whole, rest->n - whole };
	return true;
}

const char *head_read(struct slice lines, struct header headers[static HEAD_HEADERS_MAX],
		      struct exchange_head *h)
{
	struct slice line;
	struct header one;

	h->headers = headers;
	h->header_count = 0;
	h->length = UINT64_MAX;
	if (!head_line_next(&lines, &line))
		return NULL;
	while (head_line_next(&lines, &line)) {
		const char *why = line.n > 0 ? field_read(line, &one.name, &one.value) : NULL;
		if (why != NULL)
			return why;
		if (line.n == 0)
			continue;
		if (field_is(one.name, "Content-Length"))
			h->length = length_read(one.value);
		else if (h->header_count < HEAD_HEADERS_MAX)
			headers[h->header_count++] = one;
	}
	if (header_find(headers, h->header_count, "Transfer-Encoding") != NULL)
		h->length = UINT64_MAX;
	return NULL;
}

int64_t header_date(const char *text)
{
	return (int64_t)curl_getdate(text, NULL);
}
