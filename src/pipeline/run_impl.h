/* run_impl.h: what the files of a run share: run.c moves it from phase to phase, run_input.c reads and
 * judges its input, run_lines.c follows its lines for dispatch and recorder, run_merge.c makes its
 * result files. */
#pragma once

#include "pipeline/run.h"
#include "pipeline/run_files.h"

#define BYTES_PER_TOKEN 4 /* for the estimate of what a batch will take */
#define INDEX_CACHE 64    /* records read at once; dispatch goes through them in order */

/* What is known of one segment of lines. */
struct segment {
	uint64_t journal_at, journal_end; /* where its records stand, among others; 0: none */
	uint8_t *done;                    /* bit a line; NULL: none has ended, or merged */
	uint32_t left;                    /* lines that have not ended, once `done` is there */
};

enum phase { RUN_NEW, RUN_RUNNING, RUN_STOPPING, RUN_STOPPED };

struct run {
	struct run *next;
	struct run_env *env;
	char id[ID_SIZE];

	/* set while NEW, then constant */
	struct batch batch; /* as it was when loaded */
	struct index *index;
	uint64_t lines, segment_count;
	struct journal *journal;
	_Atomic bool dispatched; /* dispatch knows it */

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
	bool told;               /* that it is held up */
	bool input_lost;         /* it can be given out what is done, and no more */
	bool journal_unreadable; /* it ends without what stands there, which goes to lost/ */
	unsigned opening_tries;  /* that failed since it was to end */
	bool damaged;            /* a line that had ended has no record any more: reopen */
	bool reopening;
	unsigned reopened;
	bool suspended_told; /* what dispatch was told last */

	pthread_mutex_t lock; /* for all below */
	struct segment *segments;
	uint64_t lease_at; /* next segment to lend */
	uint64_t ended_lines;
	uint64_t journal_end; /* behind the last durable record */
	struct counts counts; /* of durable lines */
	struct usage usage;
	struct causes causes; /* why lines failed, likewise */
	int64_t expires_at;
	enum outcome_fault end; /* why it ends early; OUTCOME_ANSWERED: it does not */
	char fault[256];        /* for errors.data, when end is OUTCOME_BATCH_FAILED */
	bool let_go;            /* dispatch and recorder are done with it */
	bool held_up;           /* the disk refuses */
	bool suspended;         /* its organization is, by the operator */
	bool queued, working, again;
	struct work work;
};

/* Lines of segment `segment`: SEGMENT_LINES, but for the last one. */
uint32_t segment_lines(const struct run *run, uint64_t segment);
/* Whether what is on disk is missing or wrong. Every other fault may pass: a disk that refuses today
 * has its data tomorrow, so the run waits. */
bool run_is_lost(const struct error *err);
/* A service fault: what has ended is kept, the rest become batch_failed lines (contract 8.1, 9). */
void run_fail_rest(struct run *run, const char *why);
bool segment_finished(const struct segment *s);
enum outcome_fault run_end_reason(struct run *run);
/* It waits for want of descriptors, `why`; NULL: it goes on. Any thread. */
void run_starved(struct run *run, const struct error *why);

/* ---- run_input.c ---- */

/* Opens blob and index of the input; sets lines and segment_count. An index that is gone or damaged is
 * made anew from the blob. */
MUST_USE bool run_input_open(struct run *run, struct error *err);
/* validating -> in_progress or failed. *ret_started false: it has ended, or was ended. */
MUST_USE bool run_validate(struct run *run, bool *ret_started, struct error *err);
/* The raw custom_id of a record, appended to `to`. For results (custom_id_fn). */
bool run_custom_id(void *ctx, uint64_t record, struct buf *to);

/* ---- run_lines.c ---- */

/* A journal record that was found at the start. */
void run_replay(void *ctx, const struct journal_head *head, uint64_t at);

/* Looks up the physical lines of causes that have none yet. While its index is open. */
void run_causes_lines(struct run *run, struct causes *c);
void run_causes_complete(struct run *run); /* of run->causes */

/* ---- run_merge.c ---- */

/* Appends what is ready to the result files, durably; with `missing` other than OUTCOME_ANSWERED all
 * the rest, lines that have not ended becoming that. *ret_more: there may be more at once. Up to a
 * line whose record is damaged: then run->damaged is set. */
MUST_USE bool run_merge(struct run *run, enum outcome_fault missing, bool *ret_more,
			struct error *err);
/* Makes the batch final. */
MUST_USE bool run_finish(struct run *run, struct error *err);
