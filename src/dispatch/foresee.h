/* foresee.h: what would become of lines of a model that are not there yet: by what its lines took
 * lately, and by what waits for it now (contract 11.3, estimate). */
#pragma once

#include "base/error.h"
#include "schedule/schedule.h"

struct dispatch;

struct foreseen {
	uint64_t learnt; /* lines that the following was learnt from, since the start; 0: none */
	double bytes_per_token;
	double output_tokens;  /* of an answer */
	bool told;             /* the times: false, they cannot be told */
	double start_s, end_s; /* from now */
};

/* Any thread; waits for a turn of the dispatch thread's loop. */
MUST_USE bool dispatch_foresee(struct dispatch *d, const char *model,
			       const struct schedule_asked *asked, struct foreseen *ret,
			       struct error *err);
