/* stall.c: the words, from the table. */
#include "batch/stall.h"

#include <stddef.h>

static const struct stall_words words[] = {
#define X(name, api, log, upstream, terminal) [STALL_##name] = { api, log, upstream, terminal },
	BATCH_STALLS(X)
#undef X
};

const struct stall_words *stall_words(enum batch_stall stall)
{
	return &words[stall];
}
