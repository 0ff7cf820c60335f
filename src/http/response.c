/* response.c: what a handler fills in. */
#include "http/server.h"

#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#include "http/fields.h"

#define BODY_MAX (64u << 20) /* of an answer built in memory */
#define FIELDS_BYTES 512u

void http_response_init(struct http_response *r)
{
	*r = (struct http_response){ .status = 200,
				     .body = BUF(BODY_MAX),
				     .fields = BUF(HTTP_FIELDS_BYTES_MAX) };
}

static void field_begin(struct buf *fields, struct slice name)
{
	if (fields->cap == 0) /* room for the few that most answers have, at once */
		(void)buf_reserve(fields, FIELDS_BYTES);
	buf_add(fields, name);
	buf_text(fields, ": ");
}

void http_header(struct http_response *r, const char *name, const char *format, ...)
{
	va_list args;

	field_begin(&r->fields, slice_of(name));
	va_start(args, format);
	buf_vprintf(&r->fields, format, args);
	va_end(args);
	buf_text(&r->fields, "\r\n");
}

void http_pass_header(struct http_response *r, struct slice name, struct slice value)
{
	size_t bytes = name.n + value.n + 4;

	if (field_fault(name, value) != NULL || value.n == 0 ||
	    bytes > HTTP_PASSED_BYTES_MAX - r->passed_n)
		return;
	field_begin(&r->fields, name);
	buf_add(&r->fields, value);
	buf_text(&r->fields, "\r\n");
	r->passed_n += bytes;
}

void http_response_done(struct http_response *r)
{
	buf_free(&r->body);
	buf_free(&r->fields);
	http_file_close(&r->file);
}
