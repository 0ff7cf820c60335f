/* outcome.h: how one request line ended: what dispatch hands over and the journal records; and the
 * line of the result file that it becomes (contract 9). */
#pragma once

#include <stdint.h>

#include "base/buf.h"
#include "batch/answer.h"
#include "batch/finding.h"

/* Why a line has no HTTP answer; the codes of contract 9. */
#define OUTCOME_FAULTS(X)                                                                         \
	X(TIMEOUT, "request_timeout")           /* no answer within the line's time */            \
	X(UPSTREAM, "upstream_error")           /* the connection broke, attempt after attempt */ \
	X(INVALID, "invalid_upstream_response") /* 2xx that is no answer, or too large */         \
	X(EXPIRED, "batch_expired")                                                               \
	X(CANCELLED, "batch_cancelled")                                                           \
	X(BATCH_FAILED, "batch_failed") /* a fault of the service itself */                       \
	X(SPENT, "token_budget_exceeded")

enum outcome_fault {
	OUTCOME_ANSWERED, /* there is an HTTP answer, whatever its status */
#define X(name, code) OUTCOME_##name,
	OUTCOME_FAULTS(X)
#undef X
};

/* "request_timeout"; of OUTCOME_ANSWERED, which has none, "upstream_error". */
const char *outcome_fault_code(enum outcome_fault fault);

/* Whether outcomes that are not durable may wait for others, to become so together. */
enum outcome_gather {
	GATHER_NOT,     /* no others come before some of them are durable */
	GATHER_BRIEFLY, /* they begin to hold up what is sent */
	GATHER_ON,      /* others come, and nothing waits for them */
};

/* malloc'ed where the line ends, freed by outcome_free() once the line is durable. */
struct outcome {
	struct outcome *next;
	void *owner;       /* the batch's run: opaque here */
	void *slot, *flow; /* dispatch's: what it takes until it is durable */
	uint64_t record;   /* number in the index, from 0 */
	uint32_t attempts; /* requests sent, from 1 */
	enum outcome_fault fault;
	int http_status;     /* if answered */
	struct buf body;     /* the answer's bytes, owned; of OUTCOME_INVALID too */
	const char *message; /* of a fault: static text; NULL: the code's own */
	bool scanned;        /* `facts` are of `body`: else outcome_line() reads them */
	struct answer_facts facts;
	char request_id[128]; /* the upstream's x-request-id, "": none */
	/* set while it is recorded */
	uint32_t number;     /* in the order of ending, from 1; 0: not yet */
	uint64_t journal_at; /* where its journal record stands, and its size */
	uint64_t journal_bytes;
	bool success; /* it is a line of the output file */
	struct usage usage;
	size_t custom_id_n;
	char custom_id[]; /* raw, without its quotes */
};

/* Copies `custom_id`; NULL when memory is out. */
struct outcome *outcome_new(void *owner, uint64_t record, struct slice custom_id);
void outcome_free(struct outcome *o);

/* Appends the result line of `o` with its LF to `to`, and sets o->success and o->usage: an answer
 * of 2xx that is JSON goes to the output file, everything else to the error file. */
void outcome_line(struct outcome *o, struct buf *to);

/* Appends the error line of a line that was ended with its batch: expired, cancelled, failed.
 * `custom_id` raw, without quotes; p NULL: null. */
void outcome_missing_line(struct slice custom_id, enum outcome_fault fault, struct buf *to);

/* Appends the error line of a bad line that was skipped (contract 9, 11.1). */
void outcome_bad_line(struct slice custom_id, const struct finding *finding, struct buf *to);

void usage_add(struct usage *sum, const struct usage *u);
