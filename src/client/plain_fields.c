/* plain_fields.c: a request's head as fields: nghttp2 copies them, with names in small letters. */
#include <nghttp2/nghttp2.h>
#include <stdlib.h>
#include <string.h>

#include "client/headers.h"
#include "client/plain_impl.h"
#include "http/fields.h"

#define FIELDS_MORE 8u /* no less than there are beside the headers of the setup */

bool fields_reserve(struct plain *p, size_t headers)
{
	size_t cap = headers + FIELDS_MORE;

	if (p->fields_cap >= cap)
		return true;
	nghttp2_nv *fields = reallocarray(p->fields, cap, sizeof(*fields));
	if (fields == NULL)
		return false;
	p->fields = fields;
	p->fields_cap = cap;
	return true;
}

static void put(nghttp2_nv **to, struct slice name, struct slice value, uint8_t flags)
{
	**to = (nghttp2_nv){
		.name = (uint8_t *)name.p,
		.value = (uint8_t *)value.p,
		.namelen = name.n,
		.valuelen = value.n,
		.flags = flags,
	};
	(*to)++;
}

/* "Name: value". What is of one connection has no place here (RFC 9113, 8.2.2). */
static void put_line(nghttp2_nv **to, struct slice line, uint8_t flags)
{
	const char *colon = memchr(line.p, ':', line.n);
	size_t n = colon != NULL ? (size_t)(colon - line.p) : 0;
	struct slice name = { line.p, n };

	if (n > 0 && !field_is_hop_by_hop(name))
		put(to, name, field_trimmed((struct slice){ colon + 1, line.n - n - 1 }), flags);
}

/* What differs from request to request has no place in the table of HPACK, where it would push out
 * what does not: lengths are left out by nghttp2 itself. */
size_t fields_of(const struct plain_exchange *x)
{
	nghttp2_nv *to = x->plain->fields;
	struct slice lines = { x->headers, x->headers_n }, line;

	put(&to, SLICE(":method"), slice_of(x->method), NGHTTP2_NV_FLAG_NONE);
	put(&to, SLICE(":scheme"), SLICE("https"), NGHTTP2_NV_FLAG_NONE);
	put(&to, SLICE(":authority"), x->authority, NGHTTP2_NV_FLAG_NONE);
	put(&to, SLICE(":path"), x->target, NGHTTP2_NV_FLAG_NONE);
	if (x->asks_identity)
		put(&to, SLICE("accept-encoding"), SLICE("identity"), NGHTTP2_NV_FLAG_NONE);
	if (x->own_n > 0)
		put_line(&to, (struct slice){ x->rq.header, x->own_n }, NGHTTP2_NV_FLAG_NO_INDEX);
	while (head_line_next(&lines, &line))
		put_line(&to, line, NGHTTP2_NV_FLAG_NONE);
	struct slice tail = { x->tail, x->tail_n };
	if (x->has_body && head_line_next(&tail, &line))
		put_line(&to, line, NGHTTP2_NV_FLAG_NONE);
	return (size_t)(to - (nghttp2_nv *)x->plain->fields);
}
