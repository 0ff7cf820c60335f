/* dispatch_impl.h: what the files of dispatch share. Private to dispatch/; all of it belongs to the
 * dispatch thread but where it says otherwise.
 *
 *	dispatch.c    opening, closing, the loop
 *	mail.c        what other threads ask of it
 *	flow.c        the lines of one batch: opened, suspended, dropped, and how it goes
 *	lines.c       a line: sent, answered, put off, ended
 *	trials.c      what that means for the line
 *	retry.c       where it waits to be sent again
 *	learn.c       and for the upstream: breakers, pauses, why batches wait
 *	fill.c        which upstream has room, and what it gets
 *	target.c      an upstream as it is sent to
 *	upstreams.c   the list of upstreams, models, and lanes between them
 *	online.c      online requests
 *	memory.c      what lines may take of the memory budget
 *	watch.c       an engine's metrics, list of models and health, asked for regularly
 *	transfer.c    what is in flight, and how it ended
 *	tick.c        once a second: rates, forecasts, what the log is told of limits
 *	view.c        what is going on, in numbers, for /metrics and the console
 *
 *	upstream A --- lane --- model m1 --- schedule --- batches
 *	           \-- lane --- model m2 ---    ...
 *	upstream B --- lane ---/
 */
#pragma once

#include <pthread.h>
#include <stddef.h>

#include "client/client.h"
#include "dispatch/dispatch.h"
#include "dispatch/flow_impl.h"
#include "dispatch/retry.h"
#include "dispatch/trials.h"
#include "dispatch/view.h"
#include "limit/limit.h"
#include "upstream/catalogue.h"
#include "upstream/slots.h"
#include "upstream/upstream.h"

#define UPSTREAMS_MAX LANES_MAX
/* Clients invent names of models. A label in the figures has each that an upstream lists or reports, and
 * the first so many others since the start; the rest are told of as one. */
#define OTHER_MODELS_MAX 32u
#define OTHER_MODELS "(others)"
#define MODEL_LABEL_MAX 128u /* bytes; a longer name is one of the others */
#define DECISIONS_MAX 16u    /* about a lane's limit, kept for the console */

/* ---- transfers: what lines, online requests and polls have alike ---- */

struct transfer {
	struct exchange exchange;
	struct dispatch *dispatch;
	struct upstream *upstream;
};

/* ---- upstreams, models, lanes ---- */

/* A question that is put to an upstream regularly. */
struct watch {
	struct transfer transfer; /* opened when it is first asked */
	struct buf text;
	uint64_t due_ms;
	unsigned failures; /* in a row */
};

/* An upstream as dispatch sends to it. It embeds the upstream, which knows nothing of the rest; most of
 * dispatch holds a `struct upstream *` and comes back from there by target_of(). */
struct target {
	struct upstream upstream;
	struct headers headers; /* of lines and polls */
	struct client_route *route;
	char *metrics_url, *models_url, *health_url;
	struct lane *lanes;
	struct line_transfer *free_transfers;

	struct watch metrics, models, health;
	bool models_told;      /* the log was told that it does not say which models it has */
	bool health_by_models; /* it has no /health */
};

struct decision {
	int64_t at; /* Unix s */
	struct limit_state state;
};

/* What a lane takes in this turn of the loop, see fill.c. */
struct lane_offer {
	unsigned lines;  /* that may be sent now */
	uint64_t due_ms; /* 0 lines: when to look again; UINT64_MAX: something has to happen first */
	bool probe;      /* the line finds out whether there is an answer again */
	uint64_t made_ms; /* when the offer was worked out */
};

/* One model on one upstream. */
struct lane {
	struct lane *next_of_upstream, *next_of_model;
	struct upstream *upstream;
	struct model *model;
	bool closed; /* the upstream no longer serves it */
	struct limit *limit;
	struct circuit circuit; /* whether it answers for this model */
	unsigned probe_turn;    /* what the next probe is, see fill.c */
	bool gate_shut;         /* it was down or asked for a pause, and nothing was sent since */
	uint64_t sent_ms;       /* when the last line was */
	struct lane_offer offer;
	struct slots slots;
	struct decision decisions[DECISIONS_MAX];
	unsigned decision_count; /* since the start */
};

struct model {
	struct model *next;
	char *name; /* "": lines that name none */
	struct schedule *schedule;
	struct lane *lanes;
	struct retry retry; /* lines that wait to be sent again; room for all that it has */
	unsigned batches;
	enum batch_stall stall; /* of its batches, as far as upstreams are the reason */
	char stall_text[STALL_TEXT_BYTES];
	bool certificate;    /* a refused certificate is the reason */
	bool batches_held;   /* some batch has failed its probe, and others take their turn first */
	bool unlisted_told;  /* the log was told that no upstream lists it */
	double answer_bytes; /* of its lines, lately; 0: none has come */
	bool no_memory;      /* at the last look there was none for one more */
	bool known;          /* some upstream lists or reports it */
	bool labelled;       /* it has a label all the same */
	double slots;        /* for its lines, in use or free, lately */
	uint64_t idle_since_ms, busy_since_ms;
};

/* ---- lines ---- */

/* A line that dispatch holds: in flight (transfer set) or waiting (retry.h). */
struct line {
	struct flow *flow;
	struct line *next, *prev; /* of the batch's lines */
	struct schedule_line scheduled;
	struct trials trials;
	uint32_t retried; /* what of its attempts is in its batch's `retried` */
	struct retry_entry retry;
	struct slot slot;
	bool up; /* the server was, when the line was sent: see trials.h */
	struct line_transfer *transfer;
	struct lane *lane; /* while in flight */
	struct limit_mark mark;
};

/* A slot: an exchange and its buffers, used again and again. */
struct line_transfer {
	struct transfer transfer;
	struct line_transfer *next_free;
	struct line *line;
	struct buf
		request; /* the whole input line, behind it the body with `priority` where there is */
	struct request_line text;
	struct buf answer;
	struct memory *memory;
	uint64_t promised; /* bytes, until its answer begins */
	bool paused;       /* its answer is not read on: it waits for memory */
	struct line_transfer *next_paused;
	char endpoint[64]; /* that the URL is set to */
};

/* What lines take of the memory budget. */
struct memory {
	struct budget_use *requests, *answers; /* NULL: nothing is counted */
	uint64_t promised;                     /* to lines in flight whose answers have not begun */
	struct line_transfer *paused, **paused_end;
	struct line_transfer *alone; /* it may go over the budget */
};

struct dispatch {
	struct dispatch_config config;
	struct dispatch_ops ops;
	void *ctx;
	struct client *client; /* ours from dispatch_open() */
	struct memory memory;
	struct upstream
		*upstreams; /* of targets, in the order of the configuration, retired ones last */
	struct catalogue catalogue; /* which of them serves what */
	const struct poll_ops *polls;
	struct model *models;
	char *labels[OTHER_MODELS_MAX]; /* see OTHER_MODELS_MAX */
	unsigned label_count;
	struct slots slots;    /* of all upstreams */
	struct online *online; /* that have not ended, the newest first */
	unsigned online_count;
	unsigned online_waiting; /* those that were not sent yet: there was no room */
	uint64_t tick_at_ms, ticked_at_ms;
	bool filled;        /* something was sent in the last turn */
	int64_t started_at; /* Unix s */

	pthread_t thread;
	bool thread_started;
	struct mailbox mailbox;

	pthread_mutex_t lock; /* for what follows */
	pthread_cond_t idle;
	pthread_cond_t called; /* a call was carried out */
	bool idle_now;         /* it drains, and nothing is in flight */
	bool stopping;
	_Atomic bool draining, online_closed;
};

static inline struct target *target_of(const struct upstream *u)
{
	return container_of(u, struct target, upstream);
}

/* The first of its lanes. */
static inline struct lane *lanes_of(const struct upstream *u)
{
	return target_of(u)->lanes;
}

/* ---- dispatch.c ---- */

/* dispatch_open() without the thread: the caller's is the dispatch thread, and calls dispatch_turn(). */
MUST_USE bool dispatch_new(const struct dispatch_config *config,
			   const struct upstream_config *upstreams, size_t upstream_count,
			   const struct dispatch_ops *ops, void *ctx, struct dispatch **ret,
			   struct error *err);
/* One turn of the loop. The calling thread is dispatch's from now on. */
void dispatch_turn(struct dispatch *d);

/* Asks the dispatch thread for something. Any thread. */
void dispatch_post(struct dispatch *d, struct mail *m, mail_fn run, unsigned asked);

/* ---- flow.c ---- */

struct line *line_new(struct model *m, const struct schedule_line *scheduled);
void line_free(struct line *l);
/* Puts it off until `due_ms`, or, if it has to go alone, until nothing else is left. */
void line_wait(struct line *l, uint64_t due_ms);
/* A line is taken from where it waits. */
void line_unwait(struct line *l);
/* A waiting line that is due, taken off; NULL: none. Not one that failed on the upstream `avoid` last
 * (RETRY_AVOIDS_NONE: any). */
struct line *line_due(struct model *m, uint64_t now_ms, unsigned avoid);
/* Those of a batch that is suspended wait for its return. */
void lines_suspend(struct flow *f, bool suspended);
/* One of those that have to go alone and are due; NULL: none. */
struct line *line_last(struct model *m, uint64_t now_ms);

/* ---- lines.c ---- */

/* Sends it on the lane, from which it was given; false when memory is out (then it waits for a while). */
bool line_send(struct dispatch *d, struct lane *lane, struct line *l);
/* Ends everything that dispatch has of the batch. */
void lines_drop(struct flow *f);
void line_transfer_free(struct line_transfer *t);
/* "http://…/v1" and "/v1/models" make "http://…/v1/models": base URLs end in the version that endpoints
 * begin with. False: no memory. */
bool upstream_url(const struct upstream *u, const char *endpoint, struct buf *to);

/* ---- memory.c ---- */

void memory_open(struct dispatch *d);
/* Buffers, and their places in the account. */
void memory_transfer_new(struct dispatch *d, struct line_transfer *t);
void memory_transfer_free(struct line_transfer *t);
/* Whether there is so much that idle buffers may stay. */
bool memory_keeps(const struct memory *m);
/* Whether there is room for one more line of the model, and its answer. False: the loop is woken when
 * there may be. */
bool memory_for_line(struct dispatch *d, struct model *m);
/* It was sent. */
void memory_promise(struct line_transfer *t, const struct model *m);
/* Makes room for a piece of the answer. False: it is paused, see memory_resume(). */
bool memory_take(struct line_transfer *t, size_t piece);
/* Goes on with paused answers, as far as there is room. */
void memory_resume(struct dispatch *d);
/* The attempt has ended. */
void memory_line_over(struct line_transfer *t);
/* How large an answer was. */
void memory_learn(struct model *m, size_t answer_bytes);

/* ---- fill.c ---- */

/* Fills what room there is; true if anything was sent. */
bool dispatch_fill(struct dispatch *d);
/* Milliseconds until there may be room by itself; -1: something has to happen first. */
int dispatch_fill_timeout(struct dispatch *d);
/* Slots that lines have on the lane, in use or free. */
unsigned lane_slots(const struct lane *lane);

/* ---- target.c ---- */

/* NULL: no memory. */
struct target *target_new(struct dispatch *d, const struct upstream_config *config);
/* Nothing is in flight, and it has no lane. */
void target_free(struct target *t);

/* ---- upstreams.c ---- */

MUST_USE bool upstreams_set(struct dispatch *d, const struct upstream_config *list, size_t n,
			    struct error *err);
void upstreams_free(struct dispatch *d);
/* The model of that name, with its lanes; NULL: no memory. */
struct model *model_get(struct dispatch *d, const char *name);
/* What the polls find out, for the lanes: see poll_ops. */
bool upstream_busy(const struct upstream *u);
void upstream_gauges(struct upstream *u, uint64_t now_us);
void upstream_models(struct dispatch *d, bool others);
/* Once a model: tells the log when its batches name a model that no upstream lists. */
void model_unlisted_tell(struct dispatch *d, struct model *m);
/* Frees what is retired and idle. */
void upstreams_tidy(struct dispatch *d, uint64_t now_ms);
struct lane *lane_find(const struct model *m, const struct upstream *u);
/* NULL: dispatch has no model of that name at the moment. */
struct model *model_find(const struct dispatch *d, const char *name);
void upstream_online(struct upstream *u, int more); /* +1: sent, -1: gone */
/* Whether it has a label of its own in the figures. */
bool model_is_told(const struct model *m);

/* ---- transfer.c ---- */

/* The transfer of an exchange. */
struct transfer *transfer_of(struct exchange *x);
/* How it ended, by what the client says and the head of the answer; the body, what was read of it, its
 * facts, and the type of a 2xx are the caller's to add. */
void transfer_end(const struct transfer *t, const struct exchange_result *r,
		  struct attempt_end *ret);

/* ---- learn.c ---- */

/* The upstream, and the lane (NULL: an online request for a model that has none), learn from the end of
 * an attempt; the log, and the batches that wait for them, are told of what has changed. */
void attempt_learn(struct dispatch *d, struct upstream *u, struct lane *lane,
		   const struct lesson *l);
/* What its health call says: see poll_ops. */
void upstream_healthy(struct upstream *u, bool good, uint64_t now_ms);
/* Since when it is down, or the model on it that went down last. 0: none. */
uint64_t upstream_ailing_since_ms(const struct upstream *u);
/* A lane or its upstream is open: nothing but probes. */
bool lane_open_circuit(const struct lane *lane);
/* Says why the model's batches wait, if they do. */
void model_stall(struct dispatch *d, struct model *m);
/* Once a second, and when something has changed: of one batch. */
void flow_stall(struct flow *f);
/* Once a second: tells the log what has changed and lasts. */
void stall_tick(struct dispatch *d, struct upstream *u, uint64_t now_ms);

/* ---- online.c ---- */

/* Sends those that waited for room; true if any was. */
bool online_fill(struct dispatch *d);
void online_end_all(struct dispatch *d);

/* ---- watch.c ---- */

/* Who is told what the polls find out, and asked what they are for. */
struct poll_ops {
	/* The load of its engine matters at the moment. */
	bool (*busy)(const struct upstream *u);
	/* Since when it or a model on it is down: then its health is asked for. 0: it is not. */
	uint64_t (*ailing_since_ms)(const struct upstream *u);
	/* u->gauges are new; or, !u->has_gauges, there are none. */
	void (*gauges)(struct upstream *u, uint64_t now_us);
	/* What an upstream reports is new. `others`: other models than before. */
	void (*models)(struct dispatch *d, bool others);
	void (*health)(struct upstream *u, bool good, uint64_t now_ms);
};

/* Asks what is due to be asked. */
void watches_run(struct dispatch *d, uint64_t now_ms);
int watches_timeout(const struct dispatch *d, uint64_t now_ms);
/* Before anything is asked. */
void watches_init(struct dispatch *d, struct upstream *u);
void watches_close(struct upstream *u);
/* It may be another server now: its models and metrics are asked for at once. */
void watches_due(struct upstream *u, uint64_t now_ms);
/* Whether `gauges` are of this moment: they are asked for only while lines are in flight. */
bool gauges_current(const struct upstream *u, uint64_t now_ms);

/* ---- tick.c ---- */

/* Once a second: rates, forecasts, decisions. */
void tick_run(struct dispatch *d, uint64_t now_ms);

/* ---- view.c ---- */

/* dispatch_view(), in the dispatch thread. */
MUST_USE bool view_make(const struct dispatch *d, bool decisions, struct scheduling_view *ret,
			struct error *err);
