/* multipart.h: multipart/form-data (RFC 7578) as it streams in, split anywhere, fields in any
 * order.
 *
 * Nothing of a part's content is held back but a piece that may be the beginning of a boundary; a
 * part's head may be up to 16 KiB. Knows nothing of HTTP. Belongs to one thread at a time. */
#pragma once

#include "base/attr.h"
#include "base/slice.h"

struct multipart;

struct multipart_part {
	const char *name;     /* of the field; "" if none */
	const char *filename; /* as given, also with directories; NULL: none given */
	bool first;           /* the part's beginning; the piece is empty */
};
/* A piece of a field, in the order of the body: for each part once with `first`, then its content
 * in any number of pieces. False ends the parsing (multipart_write returns false). */
typedef bool (*multipart_fn)(void *ctx, const struct multipart_part *part, struct slice piece);

/* `content_type` is the request's header or NULL. NULL, and errno, if it is no multipart/form-data
 * with a boundary (EINVAL), or there is no memory (ENOMEM). */
struct multipart *multipart_open(const char *content_type, multipart_fn each, void *ctx);
/* False when the form is malformed or `each` returned false; from then on always. */
bool multipart_write(struct multipart *m, struct slice piece);
/* After multipart_write() has returned false: there was no memory, whatever the form is like. */
bool multipart_no_memory(const struct multipart *m);
/* True if all was well and the closing boundary was seen. Frees `m`. NULL is fine (false). */
bool multipart_close(struct multipart *m);
