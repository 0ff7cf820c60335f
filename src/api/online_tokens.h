/* online_tokens.h: what the answer to an online request took, read off its end while it streams
 * through (contract 13.1, tokens_per_day): a copy of its last bytes, and no more. One thread at a
 * time. */
#pragma once

#include <stdint.h>

#include "base/slice.h"

#define TAIL_BYTES 1024u /* what answer_tokens_find() looks at */

struct answer_tail {
	uint64_t bytes;        /* that came so far */
	char last[TAIL_BYTES]; /* round and round */
};

/* Zeroed at first. */
void answer_tail_add(struct answer_tail *t, struct slice piece);
/* As the usage says, which stands near the end of answers and of streams that have one. Input that it
 * does not name is taken for a quarter of the request's bytes. */
uint64_t answer_tail_tokens(const struct answer_tail *t, uint64_t request_bytes);
