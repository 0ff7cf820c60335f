/* batch_calls.h: `lowtide list`, `show`, `cancel`, `hold`, `resume` and `retry`: a call, and what it
 * answered. Each returns the exit code: 0 done, 1 it could not be done. */
#pragma once

#include "terminal/asked.h"

struct list_options {
	struct asked asked;
	const char *status;  /* "in_progress,finalizing"; NULL: any */
	int64_t since;       /* Unix s; 0: any time */
	char *const *labels; /* of the metadata, "KEY=VALUE": each must be so */
	size_t label_count;
	uint64_t most; /* batches; 0: all */
};

int ask_list(const struct list_options *o);
int ask_show(const struct asked *a, const char *id);
/* `action`: "cancel", "hold", "resume". */
int ask_act(const struct asked *a, const char *id, const char *action);
/* Shows the child. */
int ask_retry(const struct asked *a, const char *id);
