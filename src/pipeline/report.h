/* report.h: what a node tells the others of this moment, and reads of theirs: its batches, and its view of
 * dispatch. A report is a plain value of its holder's. Private to pipeline/. */
#pragma once

#include "batch/stall.h"
#include "dispatch/view.h"
#include "store/reports.h"

/* What a node, or several, see of a batch: of those of its spans that run there. */
struct report_batch {
	char id[ID_SIZE];
	int64_t queue_position; /* the least of the spans'; -1: none runs there */
	uint64_t running;       /* lines that were sent and are not durable yet */
	uint64_t retried;       /* requests beyond the first, of lines that have not ended */
	double rate_per_s;      /* lines that end, lately */
	enum batch_stall stall; /* NONE, where a span does not wait */
	bool certificate, at_risk;
	char message[STALL_TEXT_BYTES];
};
/* Of no span. */
void report_batch_init(struct report_batch *b, const char *id);
/* What either sees; the same in any order. */
void report_batch_add(struct report_batch *to, const struct report_batch *more);

#define REPORT_FORMAT 1 /* of the texts: another one where a reader of before would be misled */

struct report {
	uint64_t node;
	int64_t since;                /* Unix s by the database's clock: when the node began */
	struct report_batch *batches; /* by id */
	size_t batch_n;
	struct scheduling_view view;
	struct report_text text; /* that the view lies in */
};
void report_done(struct report *r);

/* Sorts them by id, and appends their text. */
void report_batches_write(struct buf *to, struct report_batch *batches, size_t n);
/* Takes over the texts of *text. INVALID: it is of another format, or makes no sense; they are freed
 * then, too. */
MUST_USE bool report_read(struct report_text *text, struct report *ret, struct error *err);
/* NULL: it has no span of it. */
const struct report_batch *report_find(const struct report *r, const char *id);
