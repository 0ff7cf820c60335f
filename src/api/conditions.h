/* conditions.h: what a download's request headers ask for: Range, If-Range, If-None-Match,
 * Accept-Encoding (RFC 9110). Header values in, decisions out. */
#pragma once

#include <stdint.h>

#include "base/attr.h"
#include "base/slice.h"

enum range_verdict {
	RANGE_NONE, /* no Range, or one to be ignored: the whole */
	RANGE_PART,
	RANGE_UNSATISFIABLE,
};

/* One range of bytes out of `size`: "bytes=0-9", "bytes=100-", "bytes=-5". Several ranges, other
 * units and anything malformed count as none, which RFC 9110 14.2 allows or asks for. */
enum range_verdict range_read(const char *header, uint64_t size, uint64_t *ret_offset,
			      uint64_t *ret_length);

/* Whether `header` (If-None-Match) names `etag`, which has its quotes: "*", or in a list, weak or
 * not. The etag of the compressed form counts too. */
bool etag_listed(const char *header, const char *etag);

/* Whether the client asks for gzip rather than merely taking it: it names gzip, with no other
 * coding as welcome. "gzip" asks. "gzip, deflate, br", which HTTP libraries send on everything
 * unasked, does not: those get the bytes as they are, by sendfile and with a length. */
bool gzip_asked(const char *accept_encoding);
/* Whether the client takes gzip, asked or not: for what is packed already. */
bool gzip_taken(const char *accept_encoding);
/* Whether `accept` (Accept) names text/html, as browsers do for a page. */
bool html_taken(const char *accept);
