/* options.h: what of a batch is other than usual: the request member `lowtide` of a create
 * (contract 11.1), as a value. All zero: nothing is. api/options.h reads it from a request, the
 * store keeps it with the batch. */
#pragma once

#include <stdint.h>

#include "base/attr.h"
#include "base/slice.h"

#define OVERRIDE_BYTES_MAX 16384u
#define HOURS_BYTES 96u

#define BATCH_MODELS_MAX 64u /* that the lines of a batch may name (mixed_models) */

/* Minutes after midnight; to <= from: over midnight. */
struct batch_hours {
	unsigned from_min, to_min;
	char zone[64]; /* as "Europe/Berlin"; "": the server's */
};

/* False if `text` is not of the form "22:00-06:00" or "22:00-06:00 Europe/Berlin", or the two times
 * are the same. Whether there is such a zone is not looked at. */
MUST_USE bool batch_hours_read(struct slice text, struct batch_hours *ret);

struct batch_options {
	bool skip_invalid;       /* on_invalid_line: "skip" */
	bool mixed_models;       /* lines may name several models */
	bool by_completion;      /* output_order: "completion" */
	uint64_t max_attempts;   /* at a line; 0: as configured */
	uint64_t line_timeout_s; /* 0: as configured */
	uint64_t canary;         /* lines that run before the batch is held; 0: none */
	int64_t not_before;      /* Unix s before which no line is sent; 0: none */
	char hours[HOURS_BYTES]; /* a text that batch_hours_read() takes; "": at any hour */
	uint64_t token_budget;   /* 0: none */
	char *override;          /* JSON text of an object, malloc'ed; NULL: none */
};

void batch_options_done(struct batch_options *o);
