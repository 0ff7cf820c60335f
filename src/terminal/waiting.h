/* waiting.h: until batches have ended, and what came of them as an exit code. Behind `lowtide wait`
 * and `lowtide submit --wait`. */
#pragma once

#include "remote/remote.h"

/* Exit codes beside EXIT_FAULT and EXIT_USAGE (report.h). Scripts depend on them. */
enum waiting_code {
	WAITING_DONE = 0,         /* every line completed */
	WAITING_REFUSED = 1,      /* of several batches one is not there, which has been told */
	WAITING_LINES_FAILED = 3, /* completed, and some line has no answer */
	WAITING_ENDED = 4,        /* failed, expired or cancelled */
	WAITING_TIMEOUT = 124,    /* as timeout(1) */
};

/* How long a command that waits puts up with a server that does not answer: it may be started anew
 * meanwhile. For struct remote_setup. */
#define WAITING_PATIENCE_S 900u

struct waiting {
	struct remote *remote;
	const char *org;    /* with an operator's key; NULL: the key's own */
	uint64_t timeout_s; /* for all batches together; 0: none */
	bool shows;         /* progress, where standard error is a terminal */
	/* A batch has ended. NULL: the code is enough. */
	bool (*ended)(void *ctx, const json_t *batch, struct error *err);
	void *ctx;
};

/* *ret: of several batches the greatest code, or WAITING_REFUSED. */
MUST_USE bool waiting_run(const struct waiting *w, const char *const *ids, size_t count,
			  enum waiting_code *ret, struct error *err);

/* Lines of one that has ended that have no answer. */
uint64_t waiting_unanswered(const json_t *batch);
enum waiting_code waiting_code(const json_t *batch); /* of one that has ended */
/* What came of a batch that has ended, on standard error: counts, and the first errors. */
void waiting_tell(const json_t *batch);
