/* pipeline.h: joins the stages: validate -> schedule -> dispatch -> journal -> results. The only
 * place that knows every one of them; the API and the CLI see a batch's run through this header.
 *
 * Threads of its own: dispatch, recorder, eight workers, and on a node those of node.h and reports.h.
 * All calls may come from any thread, and none waits for an upstream. pipeline_cancel(), pipeline_hold()
 * and what shows batches wait for the store; on a node, which shows what all do, pipeline_view(),
 * pipeline_pulses(), pipeline_scheduling() and pipeline_history() do, too, and pipeline_results() for the
 * bucket. Opening, draining and closing wait for what is under way, pipeline_upstreams() and
 * pipeline_scheduling() for a turn of dispatch. */
#pragma once

#include "base/error.h"
#include "batch/view.h"
#include "blob/blob.h"
#include "dispatch/dispatch.h"
#include "dispatch/view.h"
#include "history/history.h"
#include "ingest/verdict.h"
#include "store/store.h"

struct pipeline;
struct tracer;

/* How this node joins others that share database and bucket (ARCHITECTURE.md, "Many machines"). */
struct cluster_config {
	const char *url;     /* of the database */
	const char *address; /* where it can be reached, for people */
	const char *version;
	const char *digest; /* of the configuration: nodes that differ are seen */
	bool drives;        /* false: it sends no lines, it serves the API alone */
	/* Whether it does from now on what one node does for all; at first it does not. A pipeline
	 * worker. */
	void (*leads)(void *ctx, bool leads);
	void *ctx;
};

struct pipeline_config {
	const struct upstream_config *upstreams;
	size_t upstream_count;
	unsigned max_attempts;
	uint64_t patience_ms;
	uint64_t line_timeout_ms;
	uint64_t response_bytes_max;
	bool libcurl; /* it speaks to all upstreams (client/client.h) */
	uint64_t drain_ms;
	uint64_t memory_bytes;       /* the budget (base/budget.h); 0: none */
	unsigned online_waiting_max; /* see dispatch.h */
	struct verdict_rules rules;  /* of every batch; endpoint and model_served are its own */
	uint64_t enqueued_requests_max, enqueued_tokens_max; /* 0: batches queue without end */
	struct tracer *tracer;                /* the caller's; NULL: nothing is traced */
	const struct cluster_config *cluster; /* NULL: this is the one machine */
	struct redo *redo;          /* the caller's, of the data directory; NULL: there is none */
	struct history *history;    /* the caller's; NULL: lines are not counted there */
	struct org_queue org_queue; /* of an organization without its own; beyond it batches wait */
	uint64_t org_tokens_per_day; /* likewise, of all answers in a UTC day; 0: any number */
	/* retention */
	uint64_t result_expires_after_s; /* 0: never */
	uint64_t lost_after_s;           /* what is in lost/ goes; 0: never */
	uint64_t sweep_ms;               /* between sweeps of expired files */
};

/* Opens the pipeline on `data_dir`, moves what the store does not know there to lost/, and goes on
 * with every batch that is not final. While the wall clock is in doubt (base/wall.h) no window
 * ends, no file expires and nothing is deleted. The config, its strings, `store` and `blobs` stay
 * the caller's and must outlive it. */
MUST_USE bool pipeline_open(const char *data_dir, const struct pipeline_config *config,
			    struct store *store, struct blobs *blobs, struct pipeline **ret,
			    struct error *err);
/* Sends no new lines; waits up to drain_ms for those in flight; what was answered is durable. */
void pipeline_drain(struct pipeline *p);
/* Ends the threads. Lines in flight are dropped: they run again at the next start. */
void pipeline_close(struct pipeline *p);

/* Tells the pipeline of a batch that store_batch_insert has made. */
void pipeline_submit(struct pipeline *p, const char *batch_id);
/* Contract 6, Cancel. *ret_final: the batch is completed, failed or expired and cannot be
 * cancelled. Durable on return; the lines in flight are dropped right after. */
MUST_USE bool pipeline_cancel(struct pipeline *p, const char *org, const char *batch_id,
			      bool *ret_final, struct error *err);

/* Contract 11.3, hold and resume: as hold.h says. Durable on return. */
MUST_USE bool pipeline_hold(struct pipeline *p, const char *org, const char *batch_id, bool held,
			    bool *ret_final, bool *ret_changed, struct error *err);

/* Takes over another list of upstreams (dispatch_upstreams()). Any thread. */
MUST_USE bool pipeline_upstreams(struct pipeline *p, const struct upstream_config *list, size_t n,
				 struct error *err);
/* For online requests, models and reports: what the API passes on to dispatch. */
struct dispatch *pipeline_dispatch(struct pipeline *p);
/* dispatch_guest(), see dispatch.h. */
MUST_USE bool pipeline_guest(struct pipeline *p, const struct client_guest *guest,
			     struct error *err);
/* The one account of memory, for what the API and its server hold. */
struct budget *pipeline_budget(struct pipeline *p);

/* Lays the numbers of this moment over v->row, a batch as the store has it; all else of *v is set
 * here. Of a batch that has ended since its row was read, that is read again. */
void pipeline_view(struct pipeline *p, struct batch_view *v);
/* The same for a row of an earlier moment: its state and its times stay, whatever it is now. */
void pipeline_view_at(struct pipeline *p, struct batch_view *v);

/* A page of the lines of a batch in the order in which they ended (contract 11.3): behind the first
 * `after`, at most `limit`. `b` is the batch as the store has it, and read again if it has ended
 * since. May wait for the disk. NOT_FOUND if a result file was deleted or has expired. */
struct stream;
struct pipeline_page {
	struct stream *stream; /* results/stream.h; the caller's; NULL: there are no lines now */
	uint64_t last;         /* number of its last line: the next `after` */
	bool incomplete;       /* lines follow, or may */
};
MUST_USE bool pipeline_results(struct pipeline *p, struct batch *b, uint64_t after, unsigned limit,
			       struct pipeline_page *ret, struct error *err);

/* leftover_open() of pipeline/leftover.h, in the pipeline's directory. */
struct leftover;
MUST_USE bool pipeline_leftover(struct pipeline *p, const struct batch *parent,
				const struct batch *child, struct leftover **ret,
				struct error *err);

/* ---- an organization's tokens in the current UTC day (contract 13.1) ---- */

/* An online answer took these; they count for good within two seconds. Does not wait. */
void pipeline_tokens_add(struct pipeline *p, const char *org, uint64_t tokens);
/* Within a tenth of a second, where some organization has a limit. Does not wait. */
uint64_t pipeline_tokens_used(struct pipeline *p, const char *org);
/* As of now. Reads the store. */
MUST_USE bool pipeline_tokens_count(struct pipeline *p, const char *org, uint64_t *ret,
				    struct error *err);
/* When the day ends, Unix s. */
int64_t pipeline_tokens_reset(void);

/* What moves a batch that runs, on whichever node, in short: something has changed where any of it
 * differs. */
struct batch_pulse {
	const char *id, *org; /* borrowed for the call */
	uint64_t ended, running;
	unsigned queue_position;
	enum batch_stall stall;
	bool at_risk;
};
/* Calls `each` for every batch that runs, on whichever node; brief, and without calls of the
 * pipeline. */
typedef void (*pulse_fn)(void *ctx, const struct batch_pulse *pulse);
void pipeline_pulses(struct pipeline *p, pulse_fn each, void *ctx);

/* Calls `fn` with what dispatch does at this moment: of all nodes, where there are several (view_sum.h);
 * the view is gone after it. May wait a second for the database. */
typedef void (*view_fn)(void *ctx, const struct scheduling_view *view);
MUST_USE bool pipeline_scheduling(struct pipeline *p, const struct view_asked *asked, view_fn fn,
				  void *ctx, struct error *err);
/* history_read(), history_read_batch() of the configured history; of all nodes, where there are several and
 * the database tells. Likewise. */
void pipeline_history(struct pipeline *p, const char *org, enum rings_span span,
		      struct history_page *ret);
void pipeline_history_batch(struct pipeline *p, const char *batch, struct history_page *ret);

/* This node; NULL: it is the one machine. */
struct node;
struct node *pipeline_node(struct pipeline *p);
/* Spans of batches that it has now; on one machine 0. */
size_t pipeline_spans(struct pipeline *p);
/* Whether clients are to be sent here; else `why` says in a sentence why not. */
bool pipeline_takes_clients(struct pipeline *p, char *why, size_t size);

/* Wakes the sweep: a file was deleted, its blob may go. */
void pipeline_sweep(struct pipeline *p);
