/* filename.h: the name that a file came with: taken in, judged, and given back with a download. */
#pragma once

#include "base/attr.h"
#include "base/buf.h"
#include "base/error.h"

/* The last component of `given`, whatever kind of slash stands before it; bytes that are not UTF-8
 * become U+FFFD. INVALID, `param`: nothing is left (as if no name was given), or it is longer
 * than `size` - 1 bytes. */
MUST_USE bool filename_read(const char *param, const char *given, char *to, size_t size,
			    struct error *err);
/* INVALID unless it ends in .jsonl, in any case, or has no extension at all (contract 3.2). */
MUST_USE bool filename_check(const char *name, struct error *err);
/* The value of Content-Disposition (RFC 6266): a plain name in quotes, and where that cannot say it
 * also filename*=UTF-8''… (RFC 5987). */
void filename_disposition(const char *name, struct buf *to);
