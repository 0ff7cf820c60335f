/* world.h: nodes that share a database and a bucket, in virtual time, with everything that may go
 * wrong between them. What they decide by is cluster/protocol.h; a run is told by its seed alone.
 *
 *	database.c   PostgreSQL: rows, and one transaction after another
 *	bucket.c     S3: objects by name
 *	op.c         the way to either: what gets lost, late, or done without an answer
 *	node.c       a node's lease, upstreams, drain and sweeps
 *	work.c       its spans: lines, chunks, parts
 *	faults.c     what befalls them; the scenario of a seed
 *	truth.c      what must hold, judged by what really happened, which no node knows
 *	world.c      events, and a run from its beginning to its end
 *
 * An event of a node that is paused waits for its end, in order; one of a dead node is nothing. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "cluster/protocol.h"
#include "mutants.h"

#define MS PROTOCOL_MS
#define S PROTOCOL_S

#define NODES_MAX 24u /* starts of the program, in a run */
#define UPSTREAMS_MAX 4u
#define MODELS_MAX 2u
#define BATCHES_MAX 4u
#define SPANS_MAX 16u
#define SPAN_LINES_MAX 10u
#define LINES_MAX (SPANS_MAX * SPAN_LINES_MAX)
#define ATTEMPTS_MAX 4096u
#define OBJECTS_MAX 2048u
#define ENTRIES_MAX 64u /* of a chunk or a part */
#define PIECES_MAX 48u  /* of a span */
#define OPS_MAX 512u    /* at a time */
#define EVENTS_MAX 2048u
#define NAMES_WORDS (OBJECTS_MAX / 64)

#define NONE UINT16_MAX
#define NEVER INT64_MAX

/* An hour, to the scale of a run: longer than a lease, shorter than the longest pause. */
#define SIM_GARBAGE_US (45 * S)
#define SIM_SWEEP_US (11 * S)
#define OP_TIMEOUT_US (3 * S)
#define DRAIN_LINES_US (8 * S) /* lines in flight have so long, when a node drains */
#define DRAIN_ALL_US (60 * S)
#define DROP_AGAIN_US (300 * MS) /* before a line is sent again, or a request is made again */

/* ---- objects ---- */

enum object_kind { OBJECT_CHUNK, OBJECT_OUTPUT, OBJECT_ERRORS };

/* One line in an object: the attempt that ended it, or ENTRY_FILLED. */
struct entry {
	uint16_t line, attempt;
};
#define ENTRY_FILLED NONE

struct piece {
	uint16_t span, first, n; /* entries */
	uint64_t epoch;          /* of the span */
};

/* What some node has made; whether it is in the bucket, the bucket says. */
struct object {
	enum object_kind kind;
	struct object_name name;
	uint16_t key; /* as the bucket knows it */
	int64_t put_us;
	uint16_t n, n_pieces;
	struct entry entries[ENTRIES_MAX];
	struct piece pieces[SPANS_MAX];
};

/* ---- the database ---- */

enum batch_state { BATCH_ABSENT, BATCH_RUNS, BATCH_ENDS, BATCH_IS_OVER };

struct counts {
	unsigned completed, failed;
};

struct batch {
	enum batch_state state;
	bool is_deleted;
	unsigned model, first_span, n_spans;
	int64_t until_us; /* its window's end */
};

struct span {
	struct span_row row;
	unsigned batch, first_line, lines;
	struct counts counts; /* filled lines are failed ones */
	uint16_t pieces[PIECES_MAX], n_pieces;
	uint16_t output, errors; /* keys; NONE */
};

struct database {
	bool is_down, is_read_only;
	int64_t step_us, drift_ppm;
	struct node_row nodes[NODES_MAX + 1]; /* by number, from 1 */
	struct upstream_row upstreams[UPSTREAMS_MAX];
	struct batch batches[BATCHES_MAX];
	struct span spans[SPANS_MAX];
	unsigned n_spans;
	int64_t seen_us[OBJECTS_MAX]; /* rows of `garbage`, by key */
	bool was_named[OBJECTS_MAX];  /* for a mutant */
};

struct bucket {
	bool is_down;
	uint16_t objects[OBJECTS_MAX]; /* by key; NONE: there is none */
};

/* ---- operations: one request to the database or the bucket ---- */

enum op_kind {
	OP_ENTER,
	OP_RENEW,
	OP_LOOK,
	OP_TAKE,
	OP_RELEASE,
	OP_CLAIM,
	OP_SETTLE,
	OP_GIVE_BACK,
	OP_FINISH,
	OP_LEAVE,
	OP_MARK,
	OP_BUCKET, /* from here on to the bucket */
	OP_PUT = OP_BUCKET,
	OP_READ, /* the pieces of a span */
	OP_LIST,
	OP_DELETE,
};

enum outcome { DONE, REFUSED, READ_ONLY, UNKNOWN };

/* What a look shows. */
struct look {
	bool is_live[NODES_MAX + 1]; /* has a lease, does not drain */
	struct owner upstreams[UPSTREAMS_MAX];
	bool is_gone[UPSTREAMS_MAX]; /* the owner is */
	enum batch_state batches[BATCHES_MAX];
	uint32_t mine;       /* spans in the asker's name */
	bool has_free_ended; /* spans of batches that have ended, for anybody */
	bool has_free[MODELS_MAX];
};

struct op {
	enum op_kind kind;
	unsigned node; /* index */
	uint64_t node_epoch;
	uint8_t refs; /* events that know it */
	bool is_done; /* answered, or given up */
	enum outcome outcome, applied;
	bool fails_fast; /* the connection breaks: unknown at once */
	int64_t asked_mono_us, asked_us, back_us;
	/* asked */
	unsigned upstream, slot; /* slot: of a chunk in the node */
	uint16_t span, object, object2;
	uint64_t epoch;       /* of the span, of the upstream */
	uint64_t number;      /* ticket, floor */
	uint32_t held;        /* spans */
	bool flag;            /* draining; all other spans finished (a mutant's) */
	unsigned predecessor; /* node number */
	/* answered */
	uint64_t node_epoch_now; /* of the node's row; 0: the bucket does not know */
	uint64_t epoch_now;      /* of the span, of the upstream */
	uint32_t lost;           /* pieces of a chunk */
	uint16_t pieces[PIECES_MAX], n_pieces;
	uint8_t n_before[SPANS_MAX]; /* pieces, when it was asked: for a mutant */
	enum batch_state batch_state;
	union {
		struct look look;
		uint64_t names[NAMES_WORDS];
	};
	struct op *next_free;
};

/* ---- a node ---- */

struct drive {
	bool is_held, is_draining, is_asked; /* is_asked: a take or a release is under way */
	uint64_t epoch;
	struct upstream_account account;
};

enum hold_state { HOLD_NONE, HOLD_LOADS, HOLD_RUNS, HOLD_PUTS, HOLD_FINISHES, HOLD_GIVES_BACK };

struct hold {
	enum hold_state state;
	uint64_t epoch;
	bool has_ended, is_unwanted;
	uint32_t done, out, failed; /* lines; out: sent, or answered and not acknowledged */
	unsigned in_flight, answered;
	uint16_t got[SPAN_LINES_MAX];          /* attempts that ended them, where done */
	uint16_t pieces[PIECES_MAX], n_pieces; /* to be loaded */
	uint16_t parts[2];
	bool is_put[2];
};

enum chunk_state { CHUNK_NONE, CHUNK_PUTS, CHUNK_SETTLES };

struct node {
	/* the machine */
	bool is_alive;
	int64_t paused_until_us;
	int64_t drift_ppm, offset_us, wall_us;
	uint32_t reach; /* upstreams in its configuration */
	unsigned predecessor;

	/* lease */
	bool is_entered;
	uint64_t epoch;
	int64_t deadline_us; /* by its monotonic clock */
	bool is_renewing, is_looking, looks_again;

	/* drain */
	bool is_draining, is_leaving;
	int64_t drain_since_us;

	/* work */
	struct drive drives[UPSTREAMS_MAX];
	struct hold holds[SPANS_MAX];
	uint16_t buffer[ENTRIES_MAX], n_buffer; /* attempts answered */
	struct {
		enum chunk_state state;
		uint16_t object;
	} chunks[CHUNKS_MAX];
	bool is_claiming;
	uint32_t seen_mine; /* what the last look showed: spans in its name */
	bool seen_ended, seen_free[MODELS_MAX];
	int64_t free_since_us[UPSTREAMS_MAX]; /* by its clock; NEVER */
	uint64_t ticket, number;
	bool is_sweeping;

	/* for the judge */
	int64_t trouble_us; /* the last fault of its own */
	bool is_cut_db, is_cut_bucket;
	bool is_sending_late; /* was paused between a check and its send */
};

/* ---- upstreams ---- */

struct attempt {
	uint16_t line;
	uint8_t node, upstream;
	enum { ATTEMPT_FLIES, ATTEMPT_ANSWERED, ATTEMPT_FAILED, ATTEMPT_DROPPED } state;
	uint64_t node_epoch, span_epoch, upstream_epoch;
	int64_t checked_us, sent_us;
};

struct upstream {
	unsigned model, limit;
	int64_t low_us, high_us; /* that a line takes */
	unsigned failing;        /* of 1000 */
};

/* ---- what really happened ---- */

struct line {
	uint16_t committed; /* attempt; NONE */
	uint16_t last;      /* attempt; NONE */
	uint16_t sends;
	bool is_filled;
};

/* Who owns it, whatever the rows say. node: NOBODY where none. */
struct tenure {
	unsigned node; /* number */
	uint64_t node_epoch, epoch;
};

struct death {
	unsigned node; /* index */
	int64_t at_us;
	uint64_t node_epoch;
	uint32_t drove, owned;
	unsigned disturbances;
};

struct figures {
	uint64_t events, transactions, lines, sends, sent_again, stale_sends, late_arrivals;
	uint64_t refused, burials, deaths, pauses, drains, outages, unknown;
	uint64_t recoveries, objects_deleted;
};

struct truth {
	struct line lines[LINES_MAX];
	struct tenure upstreams[UPSTREAMS_MAX], spans[SPANS_MAX];
	uint64_t buried[NODES_MAX + 1]; /* epochs before this one are */
	int64_t renewed_us[NODES_MAX + 1];
	int64_t taken_us[UPSTREAMS_MAX];
	int64_t outage_us, outage_before_us; /* the last two of the database */
	uint16_t parts[SPANS_MAX][2];        /* objects that the finish named */
	unsigned disturbances;               /* that have begun; of messages too */
	int64_t calm_from_us;
	const char *broken; /* the first rule that did not hold; NULL */
	int64_t broken_us;
	char detail[160];
};

/* ---- events ---- */

enum event_kind {
	EV_APPLY,   /* an op reaches its store */
	EV_ANSWER,  /* its answer reaches the node */
	EV_TIMEOUT, /* the node gives it up */
	EV_SEND,    /* a line, whose check was before a pause */
	EV_ARRIVE,  /* at the upstream */
	EV_ANSWERED,
	EV_RENEW,
	EV_LOOK,
	EV_NOTIFY,
	EV_WAKE, /* whatever waits */
	EV_SWEEP,
	EV_RETRY_OP,
	EV_NODE_KINDS = EV_RETRY_OP, /* those up to here are a node's, but for APPLY and ARRIVE */
	EV_FAULT,
	EV_START, /* a node */
	EV_HEAL_DB,
	EV_HEAL_BUCKET,
	EV_HEAL_CUT,
	EV_DEATH_CHECK,
	EV_CANCEL,
	EV_CREATE,
	EV_DELETE,
	EV_READER,
	EV_CALM, /* no fault begins from here on */
};

struct event {
	int64_t at_us;
	uint32_t order;
	uint8_t kind;
	uint8_t node;
	uint16_t x;
	struct op *op;
};

/* What a seed is like: chances of 10,000 where nothing else is said. */
struct scenario {
	unsigned lost, answer_lost, broken, late; /* of a message */
	unsigned pause_at_step, death_at_step;
	unsigned missed_notify;
	int64_t late_us;                  /* at most */
	int64_t faults_every_us, calm_us; /* mean; when they end */
	bool is_one_death;                /* and nothing else */
	bool all_reach_all;
	unsigned kinds; /* of faults, bits of enum fault_kind */
	int64_t pause_low_us, pause_high_us;
};

struct world {
	uint64_t seed;
	enum mutant mutant;
	bool is_traced;
	int64_t now_us, heal_us;
	bool is_calm;
	struct scenario scenario;
	struct database db;
	struct bucket bucket;
	struct node nodes[NODES_MAX];
	unsigned n_nodes;
	struct upstream upstreams[UPSTREAMS_MAX];
	unsigned n_upstreams, n_models, n_lines;
	struct attempt attempts[ATTEMPTS_MAX];
	unsigned n_attempts;
	struct object objects[OBJECTS_MAX];
	unsigned n_objects;
	struct death deaths[NODES_MAX];
	unsigned n_deaths;
	struct {
		uint64_t names[NAMES_WORDS];
	} readers[8];
	unsigned n_readers;
	struct op ops[OPS_MAX];
	struct op *free_ops;
	unsigned n_ops;
	struct event events[EVENTS_MAX];
	unsigned n_events;
	uint32_t order;
	struct truth truth;
	struct figures figures;
};

/* ---- world.c ---- */

/* Runs the seed to its end. False: world->truth says which rule did not hold. */
bool world_run(struct world *w, uint64_t seed, enum mutant mutant);
void figures_add(struct figures *sum, const struct figures *f);

uint32_t chance(uint32_t below);
static inline bool happens(unsigned of_10000)
{
	return of_10000 > 0 && chance(10000) < of_10000;
}
int64_t between(int64_t low, int64_t high);

void event_add(struct world *w, int64_t after_us, enum event_kind kind, unsigned node, unsigned x,
	       struct op *op);
PRINTF_LIKE(2, 3) void trace(const struct world *w, const char *text, ...);

static inline bool breaks(const struct world *w, enum mutant m)
{
	return w->mutant == m;
}

static inline int64_t db_now(const struct world *w)
{
	return w->now_us + w->now_us / 1000000 * w->db.drift_ppm + w->db.step_us;
}

static inline int64_t mono_now(const struct world *w, const struct node *n)
{
	return w->now_us + w->now_us / 1000 * n->drift_ppm / 1000 + n->offset_us;
}

static inline int64_t wall_now(const struct world *w, const struct node *n)
{
	return w->now_us + n->wall_us;
}

static inline unsigned node_number(const struct world *w, const struct node *n)
{
	return (unsigned)(n - w->nodes) + 1;
}

static inline struct owner node_owner(const struct world *w, const struct node *n)
{
	return (struct owner){ node_number(w, n), n->epoch };
}

static inline unsigned span_of(unsigned line)
{
	return line / SPAN_LINES_MAX;
}

/* The upstream answers this line with a 400: it ends in the error file. */
static inline bool line_errs(unsigned line)
{
	return line % 7 == 3;
}

/* ---- op.c ---- */

struct op *op_new(struct world *w, struct node *n, enum op_kind kind);
void op_send(struct world *w, struct op *op);
void op_arrive(struct world *w, struct op *op);
void op_end(struct world *w, struct op *op, enum outcome outcome);
void op_again(struct world *w, const struct op *op); /* in a while */
void op_forget(struct world *w, struct op *op);

/* ---- stores ---- */

void database_apply(struct world *w, struct op *op);
bool database_names(const struct world *w, unsigned key);
void database_keys_of(const struct world *w, unsigned batch, uint64_t *names);
void notify_all(struct world *w);
void bucket_apply(struct world *w, struct op *op);

/* ---- nodes ---- */

void node_start(struct world *w, struct node *n);
void node_answer(struct world *w, struct node *n, struct op *op); /* op->outcome */
void node_renew_now(struct world *w, struct node *n);
void node_look_now(struct world *w, struct node *n);
void node_sweep(struct world *w, struct node *n);
void node_drain(struct world *w, struct node *n);
void node_turn(struct world *w, struct node *n); /* does whatever can be done now */
bool node_may_send(const struct world *w, const struct node *n);

void work_turn(struct world *w, struct node *n);
void work_answer(struct world *w, struct node *n, struct op *op);
void work_answered(struct world *w, struct node *n, unsigned attempt, bool is_ok);
void work_send_late(struct world *w, struct node *n, unsigned attempt);
bool work_is_none(const struct node *n);
void work_has_ended(struct world *w, struct node *n, unsigned batch);
void work_drop_lines(struct world *w, struct node *n, unsigned span);
void work_drop_all(struct node *n);
uint64_t work_floor(const struct world *w, const struct node *n);

/* ---- faults.c ---- */

void scenario_make(struct world *w);
void fault_beside(struct world *w, struct node *n); /* what makes one message late */
void fault_event(struct world *w, const struct event *e);
void node_pause(struct world *w, struct node *n, int64_t for_us);
void node_kill(struct world *w, struct node *n);
void step_taken(struct world *w, struct node *n); /* it may be the moment of a fault */
unsigned node_add(struct world *w, uint32_t reach, unsigned predecessor, int64_t after_us);

/* ---- truth.c ---- */

PRINTF_LIKE(3, 4)
void truth_broken(struct world *w, const char *rule, const char *detail, ...);
void truth_disturbed(struct world *w, struct node *n, int64_t for_us);
void truth_taken(struct world *w, unsigned upstream, struct owner by, uint64_t epoch);
void truth_released(struct world *w, unsigned upstream, const struct op *op);
void truth_buried(struct world *w, unsigned node, bool is_by_lease);
void truth_claimed(struct world *w, unsigned span, struct owner by, uint64_t epoch);
void truth_given_back(struct world *w, const struct op *op);
void truth_settled(struct world *w, const struct op *op, const struct piece *p, bool is_new);
void truth_finished(struct world *w, const struct op *op);
void truth_refused(struct world *w, const struct node *n, unsigned span, uint64_t epoch);
void truth_sent(struct world *w, unsigned attempt);
void truth_account(struct world *w, const struct node *n, unsigned upstream);
void truth_died(struct world *w, struct node *n);
void truth_death_check(struct world *w, const struct death *d);
void truth_drained(struct world *w, const struct node *n);
void truth_at_end(struct world *w);
