/* verdict.h: the findings of a file, judged for one batch: contract 7.2, codes, order and texts.
 * Parses nothing again: decides from the index; only the text of a finding that quotes the line
 * (a duplicate's custom_id, a model) reads that one line from the blob. */
#pragma once

#include "base/buf.h"
#include "base/error.h"
#include "batch/batch.h"
#include "batch/finding.h"
#include "blob/blob.h"
#include "ingest/index.h"

struct override;

struct verdict_rules {
	enum profile profile;
	const char *endpoint; /* of the batch; NULL: the first line's url (lowtide check) */
	bool judges_endpoint; /* a finding if the profile lacks it; a create has asked before */
	bool strict_lines;    /* method and url required in every line */
	bool refuse_sampling; /* Kimi's rule on temperature, top_p, n and the penalties */
	uint64_t lines_max;   /* 0: none */
	uint64_t inputs_max;  /* /v1/embeddings; 0: none */
	uint64_t line_bytes;  /* for the message of LINE_TOO_LONG */
	/* Says whether an upstream serves the model; NULL: unknown. */
	bool (*model_served)(void *ctx, const char *model);
	void *ctx;
	const char *model;   /* that all lines must name; NULL: that of the first good line */
	bool mixed_models;   /* lines may name several, which are listed in the index ... */
	unsigned models_max; /* ... and no more than so many; 0: any number */
	const struct override *override; /* what is set in each body; NULL: nothing is */
};

/* What makes a line bad whatever the settings are, in a batch that has begun: those in force may be
 * others by now, and a line that was good stays so. `override`: that of the batch. */
static inline struct verdict_rules verdict_rules_lasting(const struct batch *b,
							 const struct override *override)
{
	return (struct verdict_rules){ .profile = PROFILE_KIMI,
				       .endpoint = b->endpoint,
				       .model = b->model,
				       .mixed_models = b->options.mixed_models,
				       .override = override };
}

/* Texts of the finding are valid during the call; its fault is not told where the findings become
 * JSON. */
typedef void (*finding_fn)(void *ctx, const struct finding *finding);

/* Calls `each` for every bad line, in line order, one finding each (the first in the table's
 * order), and for the faults of the whole file; *ret_count is how many. False only if reading
 * failed. `each` may be NULL: then at the first finding it returns with *ret_count = 1. */
MUST_USE bool verdict_judge(const struct index *ix, const struct blob_reader *blob,
			    const struct verdict_rules *rules, finding_fn each, void *ctx,
			    uint64_t *ret_count, struct error *err);

/* The same as JSON text of the array `errors.data`: at most 1,000 entries, then one
 * `too_many_errors` with the full count. What an entry quotes of the file is cut to 128 bytes of
 * JSON, so the array has no more than some 450 KB. *ret_count 0: the file is good, `to` is
 * empty. */
MUST_USE bool verdict_errors(const struct index *ix, const struct blob_reader *blob,
			     const struct verdict_rules *rules, struct buf *to, uint64_t *ret_count,
			     struct error *err);

/* A line that is bad: its number in the index, its record, and its finding. False, with an error,
 * ends the judging. */
typedef bool (*bad_line_fn)(void *ctx, uint64_t number, const struct index_record *r,
			    const struct finding *finding, struct error *err);

/* What is left of a file without its bad lines. */
struct verdict_lines {
	uint64_t bad;
	/* of the good ones, in the index; NULL: they name several, or none that is listed */
	const char *model;
};

/* For a batch that leaves out bad lines (contract 11.1): calls `each` for every bad one of the numbers
 * from `first` up to `end` (at most the lines of the file), as verdict_judge() does. No others are read.
 * What is wrong with the whole file is not looked at. */
MUST_USE bool verdict_bad_lines(const struct index *ix, const struct blob_reader *blob,
				const struct verdict_rules *rules, uint64_t first, uint64_t end,
				bad_line_fn each, void *ctx, struct verdict_lines *ret,
				struct error *err);
