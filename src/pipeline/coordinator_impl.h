/* coordinator_impl.h: what the files of a coordinator share. Each calls only those below it:
 *
 *	coordinator.c        makes it, joins it with lessor, worker and files, shows it to a client
 *	coordinator_steps.c  moves it from phase to phase
 *	coordinator_pause.c  whether it sends at the moment, and whether only its canary
 *	validate.c           judges a new batch
 *	skip.c               the bad lines of one that leaves them out
 *	coordinator_merge.c  makes the result files and ends the batch
 *	coordinator_open.c   opens what is on disk
 *	coordinator_span.c   all that is different with a span of many nodes
 *	coordinator_turn.c   when it has its turn; what other threads ask of it
 *	batch_trace.h        its span */
#pragma once

#include "batch/override.h"
#include "dispatch/spending.h"
#include "pipeline/batch_trace.h"
#include "pipeline/coordinator.h"
#include "pipeline/lessor_memory.h"
#include "pipeline/shares.h"
#include "pipeline/worker.h"
#include "results/results.h"
#include "store/spans.h"

/* In the order of its life, but for REOPENING. What it says of itself before RUNNING is what the
 * store has. */
enum phase {
	PHASE_LOADING,
	PHASE_VALIDATING,
	PHASE_OPENING,
	PHASE_RUNNING,
	PHASE_FINALIZING,
	PHASE_STOPPING,
	PHASE_REOPENING,
	PHASE_MERGING,
	PHASE_FINISHING,
	PHASE_LEAVING, /* of a span that is given back, or lost */
	PHASE_GONE,
	PHASES
};

/* Of the pipeline's workers, for this batch. */
enum turn { TURN_IDLE, TURN_QUEUED, TURN_WORKING, TURN_WORKING_AGAIN };

struct coordinator_hours {
	struct opening opening;
	struct opening_memo memo; /* of who looks at the hours */
};

/* A span of several nodes'. */
struct coordinator_span {
	struct span_lent lent;
	struct worker_span worker;
	/* its parts, once they are made; 0: not yet */
	uint64_t output_number, error_number;
	char output_part[ID_SIZE], error_part[ID_SIZE];
	enum span_fate fate; /* under the lock */
	bool row_stale;      /* likewise: the store may say something new */
};

struct coordinator {
	struct coordinator *next;
	struct coordinator_env *env;
	worker_fn work_fn; /* coordinator_work() */
	char id[ID_SIZE];
	struct lessor_memory *lessor;
	struct worker *worker;
	struct coordinator_span *span; /* NULL: it is of the whole batch */

	/* set before RUNNING, then constant */
	struct batch batch; /* as it was when loaded */
	uint64_t lines;     /* of the batch; of a span, those of the batch up to its end */
	struct open_files files;
	struct shares shares;      /* what the worker sends, where the lines name several models */
	struct spending spending;  /* of its token budget; dispatch's while the worker sends */
	struct override *override; /* of its options; NULL: none */
	char *override_model;      /* that it sets; NULL: none */

	/* the turn's */
	_Atomic int phase;          /* enum phase; other threads only read it */
	struct merge_state *merged; /* NULL: none is; see coordinator_merged() */
	struct results *results;    /* NULL but in a step that opens or merges */
	uint8_t *settled; /* output_order "completion": bit a line, in the result files; else NULL */
	char *order_path; /* of a span it is scratch; NULL: it was not needed yet */
	struct {
		uint32_t last;         /* while there is no journal to ask */
		uint32_t before;       /* the last number before this merge */
		uint32_t taken, count; /* in this merge: the last, and how many */
		/* given in merges that failed, which may have written them; `stale_last` 0: none */
		uint32_t stale_first, stale_last;
	} numbers;
	_Atomic bool held_up; /* disk or database refuse, and the log says so */
	bool at_once;         /* the step has more to do and no reason to wait */
	bool read;            /* it was taken off env->unread */
	bool put_whole;       /* its result files were put at once: `merged` is not in the store */
	bool input_lost;      /* what is done can be given out, and no more */
	bool journal_unreadable; /* it ends without what stands there, which goes to lost/ */
	unsigned opening_tries;  /* that failed since it was to end */
	bool damaged;            /* a line that had ended has no record any more: reopen */
	unsigned reopened;
	bool records_lost; /* the journal, as it was opened, did not have all that it should */
	/* enum batch_hold, as the store had it at the last look; other threads only read it */
	_Atomic int hold;
	bool paused_sent;         /* what the worker was told last */
	_Atomic bool closed;      /* it was outside its hours then */
	_Atomic bool canary;      /* only the lines of its canary are sent, and then it is held */
	uint8_t *canary_lines;    /* these, a bit a line; NULL: it has no canary, or had one */
	uint64_t canary_ended;    /* the lines before this one that are of it have ended */
	struct batch_trace trace; /* its span */

	pthread_mutex_t lock; /* for all below */
	struct {
		uint64_t output, error;
	} merged_bytes; /* as in `merged`, for readers of the stream */
	int64_t expires_at;
	enum early_end early;
	const char *fault; /* for errors.data, when that is EARLY_FAILED */
	struct coordinator_hours
		*hours;    /* when it may send, constant while the worker does; NULL: always */
	bool zone_missing; /* that of its hours is not known here: it sends nothing */
	bool suspended;    /* its organization is, by the operator */
	bool over_quota;   /* it waits for its organization's limits */
	bool over_day;     /* it waits for its organization's next day */
	uint64_t counted;  /* tokens of its lines that some day has */
	bool hold_stale;   /* the store may have another `hold` */
	enum turn turn;
	struct work work;
};

/* ---- coordinator_turn.c ---- */

/* A service fault: what has ended is kept, the rest become batch_failed lines (contract 8.1, 9). `why`
 * is a constant. */
void coordinator_fail_rest(struct coordinator *c, const char *why);
enum early_end coordinator_early(struct coordinator *c);
/* The turn begins, and ends: with another after `retry_ms`, or, where that is 0, at once if it was
 * kicked meanwhile. */
void coordinator_turn_begin(struct coordinator *c);
void coordinator_turn_end(struct coordinator *c, uint64_t retry_ms);
/* Whether its turn is under way: for assertions of what belongs to the turn. */
bool coordinator_in_turn(struct coordinator *c);

/* What is merged; and what it is from now on. */
const struct merge_state *coordinator_merged(const struct coordinator *c);
void coordinator_merged_set(struct coordinator *c, const struct merge_state *m);
/* That is in the store: readers may read so far. */
void coordinator_merged_show(struct coordinator *c);

/* Before a put of `m`: what its organization's day is to have of it; and after it. */
void coordinator_tokens_begin(struct coordinator *c, struct merge_state *m);
void coordinator_tokens_end(struct coordinator *c, const struct merge_state *m, bool is_put);

/* ---- coordinator_span.c ---- */

/* Of a batch, or of a span. */
void coordinator_journal_path(const struct coordinator *c, char *to, size_t size);
/* Sets c->order_path, on first need: a batch that waits has none. */
MUST_USE bool coordinator_order_path(struct coordinator *c, struct error *err);
MUST_USE bool coordinator_span_new(struct coordinator *c, struct span_lent *lent,
				   struct owner owner, struct error *err);
/* It is gone: before that is told. Of no effect without a span. */
void coordinator_span_end(struct coordinator *c);
void coordinator_span_free(struct coordinator *c);
/* In the log: of a batch, or of a span of it, when its lines begin to be sent. */
void coordinator_started_tell(const struct coordinator *c, uint64_t rest_lines);
/* By completion: which lines stand in the files is known from the order alone. Of none yet. */
MUST_USE bool coordinator_settled_begin(struct coordinator *c, struct error *err);
/* The input is open: the journal is made of what owners before have finished, and read. */
MUST_USE bool coordinator_span_open(struct coordinator *c, struct error *err);
/* Reads what may have changed. *ret_stays: it is neither given back nor lost. */
MUST_USE bool coordinator_span_goes_on(struct coordinator *c, bool *ret_stays, struct error *err);
/* Nothing of it is in flight: gives it back, unless it is lost. */
MUST_USE bool coordinator_span_back(struct coordinator *c, struct error *err);
/* Before its results are opened. */
void coordinator_parts_name(struct coordinator *c);
/* Its parts are durable. */
MUST_USE bool coordinator_span_finish(struct coordinator *c, struct error *err);

/* ---- coordinator_steps.c ---- */

/* The turn (worker_fn). */
void coordinator_work(void *arg);
/* A log line: what the batch was doing when disk, database or descriptors refused. Any thread. */
void coordinator_held_up_tell(struct coordinator *c, const char *doing, const struct error *err);

/* ---- coordinator_pause.c ---- */

/* Whether it is to send no lines: what it is told then is what the worker begins with. */
bool coordinator_pause_begin(struct coordinator *c);
/* Reads what may have changed, and tells the worker. */
MUST_USE bool coordinator_pause_look(struct coordinator *c, struct error *err);

/* Before RUNNING: whether its canary is to run first. */
MUST_USE bool coordinator_canary_begin(struct coordinator *c, struct error *err);
/* Holds the batch once its canary has ended; then all its other lines may be sent. */
MUST_USE bool coordinator_canary_look(struct coordinator *c, struct error *err);
/* ---- validate.c ---- */

#define BYTES_PER_TOKEN 4 /* for the estimate of what a batch will take */

/* validating -> in_progress or failed. *ret_started false: it has ended, or was ended. */
MUST_USE bool batch_validate(struct coordinator *c, bool *ret_started, struct error *err);

/* ---- skip.c ---- */

struct verdict_lines;

/* Makes the journal of a batch that is `validating`, with an error line for each bad line of the
 * input, which is open. Durable on return. */
MUST_USE bool skip_first(struct coordinator *c, const struct verdict_rules *rules,
			 struct verdict_lines *ret, struct error *err);
/* That batch does not begin: the journal goes. */
void skip_forget(const struct coordinator *c);
/* All is open. A bad line whose record was damaged or lost gets another; none is ever sent. */
MUST_USE bool skip_again(struct coordinator *c, struct error *err);
/* All is open. Sets the bits of the lines that were left out; *ret_n of them. */
MUST_USE bool skip_look(const struct coordinator *c, uint8_t *bits, uint64_t *ret_n,
			struct error *err);

/* ---- coordinator_open.c ---- */

/* Opens the input; sets c->lines. */
MUST_USE bool coordinator_open_input(struct coordinator *c, struct error *err);
/* Opens input, result files and journal and goes on where the store and the journal say. */
MUST_USE bool coordinator_open(struct coordinator *c, struct error *err);
/* Undoes both, so that they can be tried again. */
void coordinator_close(struct coordinator *c);
/* Its journal and its results go to the redo log (redo.h), with those of other batches. */
bool coordinator_is_logged(const struct coordinator *c);
/* Names in the directory of orders and journals are durable. */
MUST_USE bool coordinator_batches_sync(const struct coordinator *c, struct error *err);
/* Opens the result files as what is merged says. */
MUST_USE bool coordinator_results_open(struct coordinator *c, struct error *err);

/* ---- coordinator_merge.c ---- */

/* Appends what is ready to the result files, durably; of a batch that ends early all the rest,
 * lines that have not ended becoming what that says. *ret_more: there may be more at once. Up to
 * a line whose record is damaged: then c->damaged is set. */
MUST_USE bool coordinator_merge(struct coordinator *c, enum early_end early, bool *ret_more,
				struct error *err);
/* Makes the batch final and removes what it does not need any more. */
MUST_USE bool coordinator_finish(struct coordinator *c, struct error *err);
