/* reports.h: nodes tell one another what they do at the moment, so that any of them shows clients what all
 * do: each writes a report (report.h) into the database, once a second at most and only if it is another than
 * the last, and reads those of the others when it is asked and what it has is half a second old. What a node
 * tells is over with its lease. One machine has none of it.
 *
 *	thread `reports` --- dispatch's view, coordinators --> report --> database
 *	                 \-- history_take(), history_paces() --> node_history.h
 *	who is asked <-- its own figures now, and the reports of the others
 *
 * While the database is away a node shows its own: who asks waits a second for it once, and not again
 * before the thread has had an answer. Nothing that lines need waits for any of this.
 *
 * Private to pipeline/. Threads: any, but for opening and closing. */
#pragma once

#include "dispatch/view.h"
#include "history/history.h"
#include "pipeline/pipeline.h"
#include "pipeline/report.h"

struct cluster;
struct reports;

/* Connects, and begins to tell. On failure *ret is NULL. */
MUST_USE bool reports_open(struct cluster *cl, const char *url, struct reports **ret,
			   struct error *err);
/* Tells nothing more, but what was counted last. Before dispatch stops. NULL is fine, as below. */
void reports_stop(struct reports *r);
void reports_close(struct reports *r);

/* Reads the others', if what it has is older than half a second. */
void reports_look(struct reports *r);
/* Adds what the others saw of a batch, as of the last look. */
void reports_batch_add(struct reports *r, struct report_batch *to);
/* What this node sees of its batches: a malloc'ed array; *ret_n 0 without memory. */
struct report_batch *reports_own(struct reports *r, size_t *ret_n);

/* Calls `fn` with the view of all nodes; what it gets is gone after it. */
MUST_USE bool reports_scheduling(struct reports *r, const struct view_asked *asked, view_fn fn,
				 void *ctx, struct error *err);
/* The history of all nodes, as history_read() and history_read_batch(). False: the database does not tell. */
bool reports_history(struct reports *r, const char *org, enum rings_span span,
		     struct history_page *ret);
bool reports_history_batch(struct reports *r, const char *batch, struct history_page *ret);
