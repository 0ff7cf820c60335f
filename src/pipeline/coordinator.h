/* coordinator.h: the life of one batch that is not final, while this process answers for it:
 * validates, offers its span, merges, finishes. On a node, of a batch while it is validated, and of a
 * span while that is lent (cluster.h); RUNNING then leads to LEAVING as well. Private to pipeline/.
 *
 * 	         validated     every line has ended    nothing is lent    files whole
 * 	         or resumed    (finalizing), or early
 * 	LOADING ----> RUNNING ----------> STOPPING ------> MERGING ------> FINISHING -> GONE
 * 	 ^ | \          |                                     |
 * 	 | |  \-> GONE  | a record of a line that had ended   |
 * 	 | |            v is damaged: open all anew           |
 * 	 | \- - - -  REOPENING <------------------------------/
 * 	 \--------------/
 *
 * Between LOADING and RUNNING stand VALIDATING (of a new batch) and OPENING; the table in
 * coordinator_steps.c has each edge. A batch that ends early (EARLY_...) goes through STOPPING as
 * well.
 *
 * It sends nothing: a worker (worker.h) takes the span from the lessor (lessor.h), and what that
 * settles is merged. On one machine the coordinator has its worker beside it and wakes it up
 * itself, also when a lease was lost and the span may be taken again.
 *
 * Threads. One pipeline worker at a time moves the phase, merges and talks to the store. What
 * others change is under `lock`, held for microseconds. Order of locks: the pipeline's table,
 * the lessor's or the worker's, the coordinator's. What may wait for a lessor is done in the
 * turn. */
#pragma once

#include "base/log.h"
#include "base/worker.h"
#include "cluster/protocol.h"
#include "pipeline/open_files.h"
#include "pipeline/pipeline.h"

struct batch_state;
struct cluster;
struct coordinator;
struct day_tokens;
struct report_batch;
struct span_lent;

/* What a coordinator needs of the pipeline. */
struct coordinator_env {
	const char *data_dir;
	const struct pipeline_config *config;
	struct store *store;
	struct blobs *blobs;
	struct workers *workers;
	struct dispatch *dispatch;
	struct recorder *recorder;
	struct cluster *cluster; /* NULL: this is the one machine */
	struct open_table files;
	uint64_t lease_ms;                 /* of a span, unless it is renewed; 0: without end */
	struct log_storm held_up, resumed; /* the log's lines of batches that are, and that go on */
	_Atomic bool closing;
	struct day_tokens *day;     /* tokens of organizations since midnight */
	_Atomic bool queue_limited; /* some organization has limits of what it has enqueued */
	_Atomic size_t unread;      /* coordinators that have not read yet what is on disk */
	/* The earliest time at which coordinator_check_...() may find something to do for any: who
	 * looks after time looks at none before. */
	_Atomic int64_t look_at_s;   /* Unix s */
	_Atomic uint64_t look_at_ms; /* monotonic */
	int64_t looked_s;            /* when they were asked for last; the asker's own */
	/* The batch has ended: takes the coordinator out of the table and frees it. */
	void (*ended)(void *ctx, struct coordinator *c);
	int64_t newest_s; /* the latest time that the store had seen at the start, Unix s */
	/* Of a node that leads: blobs that no row names go to lost/. A pipeline worker. */
	void (*sweep)(void *ctx);
	/* Whether the time of day may end anything now (base/wall.h). Any thread. */
	bool (*time_is_good)(void *ctx);
	void *ctx;
};

/* When what is moved to lost/ now counts from: a clock far behind does not shorten its stay. */
int64_t coordinator_lost_at(const struct coordinator_env *env);

/* Of a whole batch; where there is a cluster it is over once that is judged, and cut in spans. */
MUST_USE bool coordinator_new(struct coordinator_env *env, const char *batch_id,
			      struct coordinator **ret, struct error *err);
/* Of a span, which `owner` was lent; takes over what *lent holds. */
MUST_USE bool coordinator_new_span(struct coordinator_env *env, struct span_lent *lent,
				   struct owner owner, struct coordinator **ret, struct error *err);
/* Starts, or has another look. Any thread. */
void coordinator_kick(struct coordinator *c);
/* Lets go of dispatch and recorder before they close; then coordinator_free(). */
void coordinator_abandon(struct coordinator *c);
void coordinator_free(struct coordinator *c);

const char *coordinator_id(const struct coordinator *c);
#define COORDINATOR_WHOLE UINT32_MAX
uint32_t coordinator_span_number(const struct coordinator *c); /* COORDINATOR_WHOLE: of no span */

/* What becomes of a span that is lent; each overrules those before it. */
enum span_fate { SPAN_STAYS, SPAN_GOES_BACK, SPAN_IS_LOST };
/* Of a span, else of no effect: it is given back, or was lost. Any thread. */
void coordinator_span_leave(struct coordinator *c, enum span_fate fate);
/* Likewise: where its batch is now; if that is new to it, it reads the row. Any thread; does not wait. */
void coordinator_span_look(struct coordinator *c, const struct batch_state *now);
/* What there is to send of a span that stays; all 0 of one that ends. */
struct span_unsent {
	uint64_t unsent, running; /* lines that wait; that are in flight */
	double rate_per_s;        /* lines that end, lately */
};
/* Any thread. */
void coordinator_span_unsent(struct coordinator *c, struct span_unsent *ret);
/* Likewise, once it sends: worker_shares(). */
void coordinator_span_models(struct coordinator *c,
			     void (*each)(void *ctx, const char *model, uint64_t left), void *ctx);
/* It has not read yet what is on disk. */
bool coordinator_is_new(struct coordinator *c);
/* Whether there may be something to do for any, by one that asks now and then: if so it calls
 * coordinator_check_...() and coordinator_look_later() of each. A clock that was put back may open or
 * close hours. */
bool coordinators_are_due(struct coordinator_env *env, int64_t now_s, uint64_t now_ms);
/* Lowers the times of the next look in its env to its own. Any thread; does not wait. */
void coordinator_look_later(struct coordinator *c);
struct coordinator **coordinator_next(struct coordinator *c); /* link of the pipeline's table */

/* Why a batch ends before its lines have: they are filled, and its last state says it. */
enum early_end { EARLY_NO, EARLY_EXPIRED, EARLY_CANCELLED, EARLY_FAILED, EARLY_SPENT };

/* Ends the batch early; the first to ask says why. Any thread. */
void coordinator_end(struct coordinator *c, enum early_end why);
/* Whether its organization is suspended (`orgs`: ids, sorted). A coordinator that has not read
 * its batch yet asks the store itself when it has. Any thread. */
void coordinator_suspend(struct coordinator *c, const char (*orgs)[ID_SIZE], size_t n);
/* Whether it waits for its organization's limits (store_queue()); one that is not among `places` has
 * come since and stays as it is. NULL: there are no limits. Any thread. */
void coordinator_queue(struct coordinator *c, const struct queue_place *places, size_t n);
/* Whether it waits for its organization's next day (day_tokens.h). Any thread. */
void coordinator_day(struct coordinator *c, struct day_tokens *d);
/* Tokens of its lines that have ended and that no day has, and whose they are; while it is held from
 * counting (day_tokens_hold()). Of a span none: a day has them as they end (store/pieces.h). Any thread. */
uint64_t coordinator_tokens_uncounted(struct coordinator *c, char ret_org[static ID_SIZE]);
/* None is uncounted from now on. Returns how many are counted since, 0: none was uncounted. */
uint64_t coordinator_tokens_settle(struct coordinator *c);
/* It was held or resumed in the store. Held, it sends nothing from now on; what is so in the end the
 * turn finds out. Any thread. */
void coordinator_hold_look(struct coordinator *c, bool held);
/* Wakes it up if the hours in which it may send begin or end. */
void coordinator_check_hours(struct coordinator *c, int64_t now_s);
/* Ends the batch if its window is over. Only while the time is good. */
void coordinator_check_window(struct coordinator *c, int64_t now_s);
/* Wakes it up if its worker's lease is to be renewed, its span can be taken again, or its canary may
 * have ended. Does not wait. */
void coordinator_check_lease(struct coordinator *c, uint64_t now_ms);
/* What a page of its stream can be read from (contract 11.3), but for the files. `last` 0: it has
 * not read yet what is on disk. */
struct coordinator_stream {
	uint32_t last;
	uint64_t output_bytes, error_bytes;
	uint64_t journal_at, journal_end;
};
/* For the lines behind number `after`. Does not wait. */
void coordinator_stream(struct coordinator *c, uint32_t after, struct coordinator_stream *ret);
/* See pipeline.h; false: it does not run yet. */
bool coordinator_pulse(struct coordinator *c, struct batch_pulse *ret);
/* Of a span: what is seen of it, but for the rate, which is 0; as it is, if it does not run. */
void coordinator_span_view(struct coordinator *c, struct report_batch *ret);
/* Lays the numbers of this moment over those of the store. */
void coordinator_view(struct coordinator *c, struct batch_view *v);
