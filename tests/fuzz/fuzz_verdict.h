/* fuzz_verdict.h: what the targets that judge a file share. */
#pragma once

#include <string.h>

#include "base/json.h"
#include "fuzz.h"
#include "ingest/verdict.h"

static inline bool serves_short_names(void *ctx, const char *model)
{
	(void)ctx;
	return strlen(model) < 10;
}

/* What verdict_errors() has written is JSON with as many entries as it says. */
static inline void is_list_of(const struct buf *errors, uint64_t count)
{
	struct json j;
	struct slice value;

	PROMISE((errors->n == 0) == (count == 0));
	if (count == 0)
		return;
	json_init(&j, buf_slice(errors));
	PROMISE(json_skip(&j, &value) && json_end(&j));
	PROMISE(json_array_count(value) == (count > 1000 ? 1001 : count));
}
