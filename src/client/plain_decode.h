/* plain_decode.h: a body whose content coding is gzip or deflate, as it was before. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/attr.h"
#include "base/slice.h"

struct body_decoder {
	struct decoding *of; /* NULL: the body is not coded */
	const char *why;     /* it cannot be decoded: static text; NULL: it can */
};

/* By the value of Content-Encoding ("": none). False: `why`. */
MUST_USE bool decoder_begin(struct body_decoder *d, struct slice coding);
void decoder_done(struct body_decoder *d);
/* Takes of `*in` what makes one piece, which is there until the next call, or all of it for none.
 * False: `why`. */
MUST_USE bool decoder_next(struct body_decoder *d, struct slice *in, struct slice *ret_piece);
/* Whether the body was whole. */
bool decoder_is_over(const struct body_decoder *d);
