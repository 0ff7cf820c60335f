/* lessor_memory.h: the lessor between a coordinator and the worker beside it. There is one span: the
 * whole batch, or on a node the one that the database has lent the coordinator (cluster.h). What has
 * ended is kept in memory: the worker's journal, read at the start, says it again after a crash. It
 * writes nothing.
 *
 * Threads: all may be called by any; one lock, held for microseconds. */
#pragma once

#include "base/error.h"
#include "batch/batch.h"
#include "batch/causes.h"
#include "journal/journal.h"
#include "pipeline/journal_marks.h"
#include "pipeline/lessor.h"
#include "pipeline/segment_set.h"

struct lessor_memory;

/* What the coordinator is told and asked. */
struct lessor_watch {
	/* All lines of some segment have ended. In the settling thread, before the lease is given
	 * back. */
	void (*finished)(void *ctx);
	/* A lease was given back. Called under the lessor's lock. */
	void (*returned)(void *ctx);
	/* The line of the file that a record stands for; 0: it cannot be read. */
	uint64_t (*line_number)(void *ctx, uint64_t record);
};

/* What has ended so far. */
struct ended_sums {
	uint64_t lines; /* merged ones too */
	bool all;       /* that is every line of the batch */
	struct counts counts;
	struct usage usage;
	struct causes causes; /* why lines failed */
};

/* `lease_ms` 0: a lease does not run out. `batch` is copied. */
MUST_USE bool lessor_memory_new(const char *batch, uint64_t lease_ms,
				const struct lessor_watch *watch, void *ctx,
				struct lessor_memory **ret, struct error *err);
void lessor_memory_free(struct lessor_memory *l); /* NULL is fine */

/* ---- the order of ending (contract 11.3); any thread ---- */

/* What may be shown of it. */
struct shown {
	uint32_t last;            /* numbers up to here are durable, for good */
	struct journal_mark from; /* where to look for `number` in the journal; at 0: not there */
	uint64_t journal_end;     /* behind the last record that may be shown */
};
/* All 0 before lessor_memory_open(). */
void lessor_memory_shown(struct lessor_memory *l, uint32_t number, struct shown *ret);
/* Numbers behind `last` are not shown until lessor_memory_show(): they are given to lines in a merge
 * that is not durable yet, which more recent ones must not overtake. */
void lessor_memory_hide(struct lessor_memory *l, uint32_t last);
/* Nothing is hidden. Numbers up to `last` are given, and those of merged lines durable (0: that says
 * nothing new): shown once those of records before them are durable, too. */
void lessor_memory_show(struct lessor_memory *l, uint32_t last);

/* As a worker sees it. */
struct lessor lessor_memory_lessor(struct lessor_memory *l);

/* ---- for the coordinator ---- */

/* Begins with what is merged: `segments` segments and their sums. The rest is found in the
 * journal. */
MUST_USE bool lessor_memory_open(struct lessor_memory *l, uint64_t lines, uint64_t segments,
				 uint64_t journal_from, const struct ended_sums *merged,
				 struct error *err);
/* Forgets all that lessor_memory_open() and what followed told. Nothing is lent. */
void lessor_memory_close(struct lessor_memory *l);
/* Lines that stand in the result files though their segments are not merged: `settled`, a bit a
 * line, NULL for none. Their sums were given at the opening. */
void lessor_memory_settled(struct lessor_memory *l, const uint8_t *settled, uint64_t journal_from);
/* A record of the journal (journal_fn; `ctx` is the lessor): its line has ended, if it is not
 * merged. */
void lessor_memory_found(void *ctx, const struct journal_head *head, uint64_t at);
/* Whether a line has, merged or found. */
bool lessor_memory_has_ended(struct lessor_memory *l, uint64_t record);
/* Looks up the lines of the causes that were found. While the input can be read. */
void lessor_memory_found_all(struct lessor_memory *l);

/* The span may be taken from now on; or no more (what is lent stays so until it is given back). */
void lessor_memory_offer(struct lessor_memory *l);
void lessor_memory_withdraw(struct lessor_memory *l);
bool lessor_memory_is_lent(struct lessor_memory *l);
/* It is offered, and not lent or lent to one whose time is over: who asks gets it. */
bool lessor_memory_is_free(struct lessor_memory *l);
/* When that is so, unless it is given back before; 0: now; UINT64_MAX: never by itself. */
uint64_t lessor_memory_free_ms(struct lessor_memory *l);

/* All 0 before lessor_memory_open(). */
void lessor_memory_sums(struct lessor_memory *l, struct ended_sums *ret);
uint64_t lessor_memory_ended(struct lessor_memory *l); /* lines */

/* Of the segment set (segment_set.h). */
bool lessor_memory_cursor(struct lessor_memory *l, uint64_t segment, struct segment_cursor *ret);
struct segment_bounds lessor_memory_bounds(struct lessor_memory *l, uint64_t segment);
uint64_t lessor_memory_journal_from(struct lessor_memory *l, uint64_t first_segment);
void lessor_memory_merged(struct lessor_memory *l, uint64_t end_segment);
