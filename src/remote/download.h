/* download.h: bytes of the server that go on where they stopped (contract 3.2, 11.3). */
#pragma once

#include "remote/remote.h"

struct download {
	const char *path; /* "/files/file-x/content" */
	uint64_t size;    /* that the bytes must have; UINT64_MAX: not known */
	uint64_t at;      /* so many are there: it begins, and goes on, behind them */
	/* Takes what comes. */
	bool (*write)(void *ctx, struct slice piece, struct error *err);
	/* d->at has grown. NULL: nobody looks. */
	void (*progress)(void *ctx, uint64_t at);
	void *ctx;
};

/* True: all is there, d->at bytes. After a failure what is there is good, and d->at says how
 * much. */
MUST_USE bool download_run(struct remote *r, struct download *d, struct error *err);
