/* dispatch_impl.h: what the files of dispatch share. Private to dispatch/; all of it belongs to the
 * dispatch thread but where it says otherwise.
 *
 *	dispatch.c    opening, closing, the loop
 *	mail.c        what other threads ask of it
 *	flow.c        the lines of one batch: opened, suspended, dropped, and how it goes
 *	lines.c       a line: sent, answered, put off, ended
 *	judge.c       whose fault the end of an attempt is
 *	trials.c      what that means for the line
 *	retry.c       where it waits to be sent again
 *	slots.c       requests in flight, counted once
 *	learn.c       and for the upstream: breakers, pauses, why batches wait
 *	fill.c        which upstream has room, and what it gets
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
#include "dispatch/slots.h"
#include "dispatch/trials.h"
#include "dispatch/view.h"
#include "limit/limit.h"
#include "upstream/breaker.h"
#include "upstream/judge.h"
#include "upstream/pace.h"
#include "upstream/throttle.h"

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

/* What an upstream said last that was not well, and since when it says no more than that. */
struct last_words {
	char text[224]; /* "HTTP 503: Loading model" */
	int64_t since;  /* Unix s */
};

/* A question that is put to an upstream regularly. */
struct watch {
	struct transfer transfer; /* opened when it is first asked */
	struct buf text;
	uint64_t due_ms;
	unsigned failures; /* in a row */
};

/* What an upstream says of a model that it serves. */
struct reported_model {
	char *id, *owned_by;
	int64_t created;
	char *more; /* its other members as they came: `,"root":"/m","max_model_len":4096`; or NULL */
};

struct upstream_counts {
	uint64_t sent, answered_2xx, answered_4xx, answered_429, answered_5xx, broken, online;
	uint64_t tokens; /* as answers say, prompt and output */
};

/* What the log knows of it. */
struct stall_told {
	enum batch_stall stall;
	uint64_t told_ms, changed_ms; /* when it was told last; when `stall` of the other changed */
};

struct upstream {
	struct upstream *next;
	struct upstream_config config; /* our own copy */
	unsigned number;               /* 0..UPSTREAMS_MAX-1, while it is here no other's */
	size_t position;               /* in the configuration */
	bool retired;           /* gone from the configuration: freed when nothing is in flight */
	struct headers headers; /* of lines and polls */
	struct client_route *route;
	char *metrics_url, *models_url, *health_url;

	struct breaker breaker;   /* whether it can be reached and lets us in */
	struct throttle throttle; /* the pauses that it asks for */
	struct last_words said;
	bool certificate;       /* `said` is of a certificate that is refused */
	enum batch_stall stall; /* of these; what its lanes say is theirs */
	struct stall_told told;
	uint64_t paced_until_ms; /* a line was found not to fit into the limits a minute before */
	struct pace pace;
	uint64_t opened_ms;
	bool asked;            /* it has said which models it has, or that it does not say */
	bool models_told;      /* the log was told that it does not */
	bool health_by_models; /* it has no /health */
	struct slots slots;    /* of all its lanes, and online requests */
	struct lane *lanes;
	struct line_transfer *free_transfers;

	struct watch metrics, models, health;
	bool has_gauges;
	struct gauges gauges;
	struct reported_model *reported; /* as it last said; none: it has not said */
	size_t reported_n;
	struct upstream_counts counts;
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
	struct breaker breaker; /* whether it answers for this model */
	struct last_words said;
	enum batch_stall stall;
	struct stall_told told;
	unsigned probe_turn; /* what the next probe is, see fill.c */
	bool gate_shut;      /* it was down or asked for a pause, and nothing was sent since */
	uint64_t sent_ms;    /* when the last line was */
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
	struct upstream *upstreams;
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
	char *models_json; /* for dispatch_models() */
	char **served;     /* NULL-ended: models that upstreams list */
	bool serves_any;   /* some upstream lists none */
	_Atomic bool draining, online_closed;
};

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

/* ---- upstreams.c ---- */

MUST_USE bool upstreams_set(struct dispatch *d, const struct upstream_config *list, size_t n,
			    struct error *err);
void upstreams_free(struct dispatch *d);
/* The model of that name, with its lanes; NULL: no memory. */
struct model *model_get(struct dispatch *d, const char *name);
/* After an upstream has reported its models, or the list has changed. */
void lanes_renew(struct dispatch *d);
/* Frees what is retired and idle. */
void upstreams_tidy(struct dispatch *d, uint64_t now_ms);
/* Whether it gets new requests for `model` ("": none is named). */
bool upstream_serves(const struct dispatch *d, const struct upstream *u, const char *model);
/* Its configuration lists the model, or, where there is no list, it says so itself. */
bool upstream_claims(const struct upstream *u, const char *model);
struct lane *lane_find(const struct model *m, const struct upstream *u);
/* NULL: dispatch has no model of that name at the moment. */
struct model *model_find(const struct dispatch *d, const char *name);
void upstream_online(struct upstream *u, int more); /* +1: sent, -1: gone */
/* What is in flight on it, with what is not durable yet. */
unsigned upstream_load(const struct upstream *u);
unsigned upstream_most(const struct upstream *u); /* that it may have in flight */
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

/* The end of an attempt: what it was sent to learns from it. */
struct lesson {
	struct upstream *upstream;
	struct lane *lane; /* NULL: an online request for a model that has none */
	const struct attempt_end *end;
	enum blame blame; /* BLAME_BUSY was settled */
	uint64_t sent_ms;
	bool line_new; /* see breaker.h */
};
void upstream_learn(struct dispatch *d, const struct lesson *l, uint64_t now_ms);
/* Whether one that is busy is throttled: BLAME_THROTTLED, or down, while nothing is well there. */
enum blame busy_settle(const struct lane *lane, uint64_t sent_ms);
/* What its health call says. */
void upstream_healthy(struct dispatch *d, struct upstream *u, bool good, uint64_t now_ms);
/* Since when it is down, or the model on it that went down last: then its health is asked for. 0: none. */
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

/* Asks what is due to be asked. */
void watches_run(struct dispatch *d, uint64_t now_ms);
int watches_timeout(const struct dispatch *d, uint64_t now_ms);
/* Before anything is asked. */
void watches_init(struct dispatch *d, struct upstream *u);
void watches_close(struct upstream *u);
/* Once a model: tells the log when its batches name a model that no upstream lists. */
void model_unlisted_tell(struct dispatch *d, struct model *m);
/* Whether `gauges` are of this moment: they are asked for only while lines are in flight. */
bool gauges_current(const struct upstream *u, uint64_t now_ms);
/* Renews what dispatch_models() answers: what all report, or list. */
void models_join(struct dispatch *d);

/* ---- tick.c ---- */

/* Once a second: rates, forecasts, decisions. */
void tick_run(struct dispatch *d, uint64_t now_ms);

/* ---- view.c ---- */

/* dispatch_view(), in the dispatch thread. */
MUST_USE bool view_make(const struct dispatch *d, bool decisions, struct scheduling_view *ret,
			struct error *err);
