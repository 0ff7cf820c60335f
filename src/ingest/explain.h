/* explain.h: what a finding says of a line: contract 7.2 as a table. Private to verdict.c, which
 * finds what is wrong. */
#pragma once

#include "base/buf.h"
#include "ingest/index.h"
#include "ingest/verdict.h"

#define CHAT "/v1/chat/completions"

/* A custom_id, a model, a method inside a message: so many bytes of JSON, then it is cut off. */
#define EXPLAIN_QUOTE_MAX 128

/* A model's name that an upstream is asked about; a longer one is cut off. */
#define MODEL_BYTES 513

/* Faults that a line has only in a batch, beside the flags that it brings along. */
enum {
	FAULT_URL_WRONG = 1 << LINE_FLAG_BITS,
	FAULT_MODEL_UNSERVED = FAULT_URL_WRONG << 1,
	FAULT_MODEL_MIXED = FAULT_URL_WRONG << 2,
	FAULT_MODEL_TOO_MANY = FAULT_URL_WRONG << 3,
};

struct explainer {
	const struct blob_reader *blob;
	const struct verdict_rules *rules;
	const struct index_summary *summary;
	const char *endpoint; /* its path, if there is such an endpoint */
	bool quotes;          /* texts that depend on the line are wanted */
	bool reasons;         /* so is what is wrong with lines that are no JSON */

	struct buf line; /* the line last read */
	char message[EXPLAIN_QUOTE_MAX + 640];
	char param[64];
	struct json_fault fault;
};

/* The first of the faults in the contract's order. *ret points into `e`, until the next. */
MUST_USE bool explain(struct explainer *e, const struct index_record *r, uint32_t faults,
		      struct finding *ret, struct error *err);

/* Reads the line from the blob and scans it again. *ret points into e->line. */
MUST_USE bool explain_line_read(struct explainer *e, const struct index_record *r,
				struct line_facts *ret, struct error *err);
/* NULL: not listed in the summary. */
const char *explain_model_listed(const struct explainer *e, uint16_t number);
/* The line's model: from the summary, or from the line. */
MUST_USE bool explain_model_read(struct explainer *e, const struct index_record *r,
				 char to[static MODEL_BYTES], struct error *err);
