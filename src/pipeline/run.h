/* run.h: one batch that is not final, while this process works on it. Private to pipeline/.
 *
 *	         validated     every line has ended    dispatch and recorder    files whole
 *	         or resumed    (finalizing), or early  have let go
 *	LOADING ----> RUNNING ----------> STOPPING ----------> MERGING ----------> FINISHING -> GONE
 *	 ^ | \          |                                        |
 *	 | |  \-> GONE  | a record of a line that had ended      |
 *	 | |           v is damaged: open all anew               |
 *	 | \- - -   REOPENING <----------------------------------/
 *	 \---------------/
 *
 * Between LOADING and RUNNING stand VALIDATING (of a new batch) and OPENING; the table in run.c has each
 * edge. One that ended early (EARLY_...) goes through STOPPING as well.
 *
 * Threads. `work` (a pipeline worker, one at a time for a run) moves the phase, merges and talks to
 * the store. Dispatch calls lease_next, line_read, dropped, fault; the recorder calls durable,
 * flushed. What they share is under `lock`, held for microseconds. */
#pragma once

#include "base/log.h"
#include "base/worker.h"
#include "blob/blob.h"
#include "dispatch/dispatch.h"
#include "ingest/index.h"
#include "journal/recorder.h"
#include "pipeline/pipeline.h"
#include "pipeline/run_files.h"
#include "results/results.h"
#include "store/store.h"

struct run;

/* What a run needs of the pipeline. */
struct run_env {
	const char *data_dir;
	const struct pipeline_config *config;
	struct store *store;
	struct blobs *blobs;
	struct workers *workers;
	struct dispatch *dispatch;
	struct recorder *recorder;
	struct run_files files;
	struct log_storm held_up, resumed; /* the log's lines of batches that are, and that go on */
	_Atomic bool closing;
	/* The run has ended and is out of the table when this returns; it is freed right after. */
	void (*ended)(void *ctx, struct run *run);
	int64_t newest_s; /* the latest time that the store had seen at the start, Unix s */
	/* Whether the time of day may end anything now (base/wall.h). Any thread. */
	bool (*time_is_good)(void *ctx);
	void *ctx;
};

/* When what is moved to lost/ now counts from: a clock far behind does not shorten its stay. */
int64_t run_env_lost_at(const struct run_env *env);

struct run *run_new(struct run_env *env, const char *batch_id); /* NULL: no memory */
/* Starts, or has another look. Any thread. */
void run_kick(struct run *run);
/* Lets go of dispatch and recorder's hold before they close; then run_free(). */
void run_abandon(struct run *run);
void run_free(struct run *run);

const char *run_id(const struct run *run);
/* It has not read yet what is on disk. */
bool run_is_new(struct run *run);
struct run **run_next(struct run *run); /* link of the pipeline's table */

/* Why a batch ends before its lines have: they are filled, and its last state says it. */
enum early_end { EARLY_NO, EARLY_EXPIRED, EARLY_CANCELLED, EARLY_FAILED };

/* Ends it early; the first to ask says why. Any thread. */
void run_end(struct run *run, enum early_end why);
/* Whether its organization is suspended (`orgs`: ids, sorted). A run that has not read its batch yet
 * asks the store itself when it has. Any thread. */
void run_suspend(struct run *run, const char (*orgs)[ID_SIZE], size_t n);
/* Ends it if its window is over. Only while the time is good. */
void run_check_window(struct run *run, int64_t now);
/* Live numbers over what the store has. */
void run_progress(struct run *run, struct batch *b, struct progress *ret);

/* For dispatch_ops and recorder_ops. */
bool run_lease_next(void *owner, struct lease *ret);
bool run_look(void *owner, uint64_t record, struct schedule_look *ret);
bool run_line_read(void *owner, uint64_t record, struct buf *to, struct request_line *ret,
		   struct error *err);
void run_dropped(void *owner);
void run_fault(void *owner, const struct error *err);
struct journal *run_journal(void *owner, struct error *err);
const char *run_name(void *owner);
void run_durable(void *ctx, void *owner, const struct outcome *first);
bool run_ends(void *owner);
void run_given_up(void *ctx, void *owner, const struct outcome *first);
void run_flushed(void *ctx, void *owner);
