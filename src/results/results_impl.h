/* results_impl.h: what results.c and results_run.c share. Private to them. */
#pragma once

#include "results/results.h"

#define COPY_BYTES (256u << 10)

/* One of the two files. */
struct sink {
	struct results *of;
	struct blob_appender *file; /* `pending` comes behind what was appended; NULL: at once */
	uint64_t lines;
	struct buf pending;
};

struct results {
	struct results_files files; /* the ids are the owner's */
	bool at_once;
	struct buf order_bytes; /* at once: the order, whole */
	struct sink output, error;
	struct order *order; /* NULL: none is kept, or at once */
	bool order_is_new;
	struct journal_check *check;
	char *scratch; /* COPY_BYTES */
};

/* Where a line of the segment stands in the journal; at 0: nowhere. */
struct place {
	uint64_t at;
	struct journal_head head;
};

/* What appending one segment needs. */
struct append {
	struct results *r;
	const struct journal *j;
	const struct results_segment *segment;
	custom_id_fn custom_id;
	uint32_t (*number)(void *ctx);
	void *ctx;
	struct place *places;
	struct order_note *notes; /* where each line went, one after the other */
	size_t noted;
	bool searched; /* the places are all that there are; else a bad one asks for the search */
	struct merge_state sums;
};

/* Where the file's next line will stand. */
uint64_t results_sink_end(const struct sink *s);
/* Appends the line at `place`; *ret_good false, and nothing appended, if it does not check. */
MUST_USE bool results_line_append(struct results *r, const struct journal *j,
				  const struct place *place, bool *ret_good, struct error *err);
void results_sums_add(struct merge_state *m, const struct journal_head *head);
/* A line was appended to `to`, at `at`, and counted there. */
void results_line_note(struct append *a, const struct sink *to, uint64_t at, uint64_t record,
		       uint32_t number);
/* All of it is written; `m` says so. */
MUST_USE bool results_append_end(struct append *a, struct merge_state *m, struct error *err);
