/* Heads that framing.h lets through, as the application sees them: strings of what may be in them, and
 * the same body as framing.h saw. */
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"
#include "http/fields.h"
#include "http/request.h"

static void check_header(void *ctx, const char *name, const char *value)
{
	size_t *count = ctx;
	size_t n = strlen(value);

	PROMISE(field_fault(slice_of(name), slice_of(value)) == NULL);
	PROMISE(n == 0 || strchr(" \t", value[0]) == NULL);
	PROMISE(n == 0 || strchr(" \t", value[n - 1]) == NULL);
	(*count)++;
}

/* Arguments together are no longer than the query. */
static void add_length(void *ctx, const char *name, const char *value)
{
	*(size_t *)ctx += strlen(name) + strlen(value);
}

static void check_body(const struct http_request *q, const struct framing *f)
{
	uint64_t length = http_content_length(q);

	PROMISE(http_has_body(q) == !f->ended);
	if (f->chunked)
		PROMISE(http_has_body(q) && length == UINT64_MAX);
	else
		PROMISE((length == UINT64_MAX ? 0 : length) == f->left);
}

static void check_head(const struct framing *f, struct slice head)
{
	struct connection c = { 0 };
	size_t headers = 0, arguments = 0;
	struct http_request *q = request_new(&c, head);

	PROMISE(q != NULL);
	PROMISE(field_is_token(slice_of(http_method(q))));
	PROMISE(strpbrk(http_path(q), "?") == NULL || memchr(head.p, '%', head.n) != NULL);
	PROMISE(q->http_1_1 == f->http_1_1);
	PROMISE(!q->http_1_1 || http_request_header(q, "Host") != NULL);
	check_body(q, f);
	http_each_header(q, check_header, &headers);
	PROMISE(headers >= f->hosts + f->lengths + f->encodings);
	http_each_query(q, add_length, &arguments);
	PROMISE(arguments <= (http_query_text(q) != NULL ? strlen(http_query_text(q)) : 0));
	http_response_done(&q->response);
	free(q);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice rest = { (const char *)data, size }, piece;
	struct framing_fault fault;
	struct framing f;
	enum framing_event event;

	framing_init(&f);
	do {
		const char *from = rest.p;
		event = framing_next(&f, &rest, &piece, &fault);
		if (event == FRAMING_HEAD)
			check_head(&f, (struct slice){ from, (size_t)(rest.p - from) });
	} while (event != FRAMING_MORE && event != FRAMING_FAULT);
	framing_done(&f);
	return 0;
}
