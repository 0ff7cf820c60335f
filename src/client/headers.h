/* headers.h: lists of HTTP headers, what of them goes from one connection to the next, and the head
 * of an answer. What one header may be is http/fields.h. No locks: a list is used by one thread at
 * a time. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/slice.h"

/* Borrowed texts. The value may be empty. */
struct header {
	struct slice name, value;
};

/* A list that owns its texts, which stay where they are as it grows. Zeroed it is empty. */
struct headers {
	struct header *list;
	size_t n, cap;
};

/* Adds a copy. False: no memory, and the list is as before. */
MUST_USE bool headers_add(struct headers *h, struct slice name, struct slice value);
/* Likewise `Authorization: Bearer`, with the key. */
MUST_USE bool headers_add_bearer(struct headers *h, const char *key);
/* The list is empty and usable again. The texts are wiped: keys are among them. */
void headers_free(struct headers *h);

/* The first of that name, in either case; NULL: there is none. */
const struct header *header_find(const struct header *list, size_t n, const char *name);
/* Whether the header of that name in the list is for the far end, and not for this one connection:
 * it is no hop-by-hop header, and no `Connection` in the list names it (RFC 9110, 7.6.1). */
bool header_is_end_to_end(const struct header *list, size_t n, struct slice name);

/* An answer's head. */
struct exchange_head {
	int status;                   /* no 1xx */
	const struct header *headers; /* all but Content-Length, in the server's order */
	size_t header_count;
	uint64_t length; /* of the body; UINT64_MAX: it is not said */
};

#define HEAD_HEADERS_MAX 200u
/* Takes the lines of an answer's head apart, the status line first; the texts stay in `lines`. What
 * is more than HEAD_HEADERS_MAX is left out, and so is Content-Length, which becomes `length`, unless
 * there is a Transfer-Encoding, which counts before it (RFC 9112, 6.3).
 * NULL, or why it is no head (static text). `h` is zeroed but for its status. */
MUST_USE const char *head_read(struct slice lines, struct header headers[static HEAD_HEADERS_MAX],
			       struct exchange_head *h);

/* The next line of a head, without its CRLF or LF, which goes on behind it; false: there is none that
 * is whole. */
MUST_USE bool head_line_next(struct slice *rest, struct slice *ret);
/* The value of a Content-Length; UINT64_MAX if it is not plain digits in range. */
uint64_t length_read(struct slice value);

/* A date as headers have it (RFC 9110, 5.6.7), in Unix s; < 0: it is none. */
int64_t header_date(const char *text);
