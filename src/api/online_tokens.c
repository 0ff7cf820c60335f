/* online_tokens.c: see online_tokens.h. */
#include "api/online_tokens.h"

#include <string.h>

#include "batch/answer.h"

#define BYTES_PER_TOKEN 4

void answer_tail_add(struct answer_tail *t, struct slice piece)
{
	size_t n = piece.n < TAIL_BYTES ? piece.n : TAIL_BYTES;
	const char *from = piece.p + (piece.n - n);
	size_t at = (size_t)((t->bytes + piece.n - n) % TAIL_BYTES);
	size_t first = TAIL_BYTES - at < n ? TAIL_BYTES - at : n;

	memcpy(t->last + at, from, first);
	memcpy(t->last, from + first, n - first);
	t->bytes += piece.n;
}

uint64_t answer_tail_tokens(const struct answer_tail *t, uint64_t request_bytes)
{
	char text[TAIL_BYTES];
	size_t n = t->bytes < TAIL_BYTES ? (size_t)t->bytes : TAIL_BYTES;
	size_t at = n == TAIL_BYTES ? (size_t)(t->bytes % TAIL_BYTES) : 0;
	struct usage usage;

	memcpy(text, t->last + at, n - at);
	memcpy(text + (n - at), t->last, at);
	answer_tokens_find((struct slice){ text, n }, &usage);
	return (usage.input > 0 ? usage.input : request_bytes / BYTES_PER_TOKEN) + usage.output;
}
