/* estimate.h: what a batch on a file would take, without making it (contract 11.3, estimate). It
 * reads the file's index, and of the file itself a few lines at most; its memory does not depend on
 * the file. */
#pragma once

#include "base/buf.h"
#include "ingest/index.h"
#include "pipeline/pipeline.h"

struct estimate_model {
	char name[INDEX_NAME_BYTES + 1];
	uint64_t lines, body_bytes;
	double input_tokens, output_tokens; /* of all its lines */
	bool told;
	double start_s, end_s; /* from now, if they can be told */
};

struct estimate {
	uint64_t lines;                /* that would run */
	struct estimate_model *models; /* in order of appearance */
	unsigned model_count;
	struct buf errors; /* JSON text of the array, as in a batch's `errors.data`; empty: none */
	bool told;
	double start_s, end_s; /* of all */
};

/* What it needs of the pipeline. */
struct estimate_call {
	struct blobs *blobs;
	struct dispatch *dispatch;
	const struct verdict_rules *rules;
};
/* As pipeline_estimate(). */
MUST_USE bool estimate_run(const struct estimate_call *call, const struct batch *b,
			   unsigned org_weight, struct estimate *ret, struct error *err);

/* `b`: file, endpoint, organization, options and expires_at of the batch. estimate_done() in any
 * case. Waits for the disk and a turn of dispatch. */
MUST_USE bool pipeline_estimate(struct pipeline *p, const struct batch *b, unsigned org_weight,
				struct estimate *ret, struct error *err);
void estimate_done(struct estimate *e);
