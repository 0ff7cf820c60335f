/* batch_trace.h: the span of a batch (trace/span.h). It is made when the batch has ended, of what the
 * row says: so it costs nothing meanwhile, and a restart in the middle loses nothing. Its id is the
 * batch's, so that lines sent before and after a restart, or by other nodes, are below the same span.
 *
 * Private to pipeline/. Threads: any; waits for the store. */
#pragma once

#include "trace/context.h"

struct coordinator_env;

/* Zeroed: it is not traced. */
struct batch_trace {
	struct trace_context own, parent;
};

/* Whether the batch is traced, and as what. */
void batch_trace_begin(const struct coordinator_env *env, const char *batch_id,
		       struct batch_trace *ret);
/* If the batch is final, its span and those of its phases are sent: by whoever has ended it. */
void batch_trace_end(const struct coordinator_env *env, const char *batch_id,
		     const struct batch_trace *t);
