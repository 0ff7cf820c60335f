/* run_impl.h: what the files of a run share: run.c moves it from phase to phase, run_input.c reads and
 * judges its input, run_lines.c follows its lines for dispatch and recorder, run_merge.c makes its
 * result files. */
#pragma once

#include "pipeline/run.h"
#include "pipeline/run_files.h"
#include "pipeline/segment_set.h"

#define BYTES_PER_TOKEN 4 /* for the estimate of what a batch will take */
#define INDEX_CACHE 64    /* records read at once; dispatch goes through them in order */

/* In the order of its life, but for REOPENING. What it says of itself before RUNNING is what the store
 * has. */
enum phase {
	RUN_LOADING,
	RUN_VALIDATING,
	RUN_OPENING,
	RUN_RUNNING,
	RUN_FINALIZING,
	RUN_STOPPING,
	RUN_REOPENING,
	RUN_MERGING,
	RUN_FINISHING,
	RUN_GONE,
	RUN_PHASES
};

/* Whether dispatch and recorder have the batch. */
enum sending { SENDING_NOT, SENDING, SENDING_ENDS };

/* Of the pipeline's workers, for this run. */
enum turn { TURN_IDLE, TURN_QUEUED, TURN_WORKING, TURN_WORKING_AGAIN };

struct run {
	struct run *next;
	struct run_env *env;
	char id[ID_SIZE];

	/* set while NEW, then constant */
	struct batch batch; /* as it was when loaded */
	struct index *index;
	uint64_t lines;
	struct journal *journal;

	/* its files: to be used while it is pinned (run_files.h) */
	struct run_place place;
	int blob_fd;
	_Atomic bool starved; /* there was no descriptor for them */
	bool recording;       /* the recorder has it pinned; its own */

	/* dispatch thread */
	struct dispatch_batch dispatch;
	struct index_record
		*cache; /* INDEX_CACHE records; NULL: none were read since it was opened */
	uint64_t cache_first, cache_n;

	/* the worker */
	_Atomic int phase; /* enum phase; the others only read it, to say why a batch does not move */
	struct merge_state merged;
	struct results *results; /* NULL but in a step that opens or merges */
	_Atomic bool held_up;    /* disk or database refuse, and the log says so */
	bool at_once;            /* the step has more to do and no reason to wait */
	bool input_lost;         /* it can be given out what is done, and no more */
	bool journal_unreadable; /* it ends without what stands there, which goes to lost/ */
	unsigned opening_tries;  /* that failed since it was to end */
	bool damaged;            /* a line that had ended has no record any more: reopen */
	unsigned reopened;
	bool suspended_sent; /* what dispatch was told last */

	pthread_mutex_t lock;         /* for all below */
	struct segment_set *segments; /* NULL while NEW */
	uint64_t lease_at;            /* next segment to lend */
	struct counts counts;         /* of durable lines */
	struct usage usage;
	struct causes causes; /* why lines failed, likewise */
	int64_t expires_at;
	enum early_end early;
	char fault[256]; /* for errors.data, when that is EARLY_FAILED */
	enum sending sending;
	bool suspended; /* its organization is, by the operator */
	enum turn turn;
	struct work work;
};

/* Whether what is on disk is missing or wrong. Every other fault may pass: a disk that refuses today
 * has its data tomorrow, so the run waits. */
bool run_is_lost(const struct error *err);
/* A service fault: what has ended is kept, the rest become batch_failed lines (contract 8.1, 9). */
void run_fail_rest(struct run *run, const char *why);
/* Lines that have ended. Any thread. */
uint64_t run_ended_lines(struct run *run);
enum early_end run_early(struct run *run);
/* It waits for want of descriptors, `why`; NULL: it goes on. Any thread. */
void run_starved(struct run *run, const struct error *why);

/* ---- run_input.c ---- */

/* Opens blob and index of the input; sets lines. An index that is gone or damaged is
 * made anew from the blob. */
MUST_USE bool run_input_open(struct run *run, struct error *err);
/* validating -> in_progress or failed. *ret_started false: it has ended, or was ended. */
MUST_USE bool run_validate(struct run *run, bool *ret_started, struct error *err);
/* The raw custom_id of a record, appended to `to`. For results (custom_id_fn). */
bool run_custom_id(void *ctx, uint64_t record, struct buf *to);

/* ---- run_open.c ---- */

void run_journal_path(const struct run *run, char *to, size_t size);
/* Opens input, result files and journal and goes on where the store and the journal say. */
MUST_USE bool run_open(struct run *run, struct error *err);
/* Undoes run_open() and run_input_open(), so that they can be tried again. */
void run_close(struct run *run);

/* ---- run_lines.c ---- */

/* A journal record that was found at the start. */
void run_replay(void *ctx, const struct journal_head *head, uint64_t at);

/* Looks up the physical lines of causes that have none yet. While its index is open. */
void run_causes_lines(struct run *run, struct causes *c);
void run_causes_complete(struct run *run); /* of run->causes */

/* ---- run_merge.c ---- */

/* Appends what is ready to the result files, durably; of a batch that ends early all the
 * rest, lines that have not ended becoming what that says. *ret_more: there may be more at once. Up to a
 * line whose record is damaged: then run->damaged is set. */
MUST_USE bool run_merge(struct run *run, enum early_end early, bool *ret_more, struct error *err);
/* Makes the batch final and removes what it does not need any more. */
MUST_USE bool run_finish(struct run *run, struct error *err);
