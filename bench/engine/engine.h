/* engine.h: the model of an LLM server: one or more engines, each with continuous batching in steps,
 * as vLLM does it. No sockets and no clock here: who calls says what time it is, and is told of
 * tokens by callbacks.
 *
 * A request is a job of one sequence for each of its inputs, times `n`. Each sequence goes to the
 * engine that has the fewest. At the start of a step, sequences that wait move to those that run
 * while there is a slot and KV room. The step makes one token for every running sequence whose
 * prompt is done, and computes up to `budget` tokens of the prompts of the others, in the order in
 * which they were taken. It takes
 *
 *	step_us + seq_us * running + prefill_us * (prompt tokens computed)
 *
 * A sequence has its first token at the end of the step that finishes its prompt. KV room is set
 * aside for the whole sequence when it is taken, so nothing is ever put back into the queue, unless
 * `preempt` says so. What else engines do differently are switches: struct sim_options. */
#pragma once

#include <stdint.h>

#include "cache.h"

#define NS_PER_S 1000000000LL
#define NEVER_NS INT64_MAX

struct sim_options {
	unsigned slots; /* sequences that run at once, of each engine */
	double step_us, seq_us, prefill_us;
	uint64_t budget;
	uint64_t cache_tokens; /* 0: no prefix cache */
	uint64_t kv_tokens;    /* of each engine; 0: no bound */
	bool priority;
	uint64_t slow_every; /* 0: none is slow */
	double slow_factor;
	bool slow_spread;
	/* Gauges are those of the last step's end: its finished sequences are gone, their places
	 * not yet filled, and what arrived during the step is not counted. An idle engine shows
	 * what it gets at once. */
	bool gauges_at_step_end;
	/* A step takes up to `slots` whole inputs within `budget`, and all of them end with it. The
	 * gauges are those of a step's end, where none runs. */
	bool pooling;
	unsigned loras;     /* adapters that requests may name, from 1 */
	unsigned max_loras; /* different ones that run at once, at most; 0: no bound */
	unsigned engines;   /* data-parallel; 0 is 1 */
	size_t max_queued;  /* sequences that run and wait, at most; 0: no bound */
	/* KV room is taken token by token. When there is none, the sequence that was taken last goes
	 * back into the queue, and its prompt and tokens are computed anew. */
	bool preempt;
	/* Each slot keeps the prompt that it had last, and a sequence goes to the free slot that has
	 * most of its prefix, as llama.cpp does it; in place of `cache_tokens`. */
	bool slot_cache;
};

/* What a request asks for. */
struct sim_ask {
	const struct slice *inputs; /* raw text of each; not kept */
	unsigned n_inputs, n;       /* answers to each; 0 is 1 */
	uint64_t max_tokens;        /* of each answer; 0: not said */
	int64_t priority;
	unsigned lora;   /* 0: none */
	bool embeddings; /* no tokens are asked for */
};

/* One request from its arrival to its last token. */
struct sim_job {
	void *owner;
	uint64_t number;             /* in order of arrival, from 1 */
	unsigned n_seqs, n_left;     /* of all; that have not ended */
	unsigned lora;               /* as asked */
	uint64_t asked;              /* tokens of each sequence, as the client is told */
	uint64_t prompt_tokens;      /* of all inputs, each counted once */
	uint64_t cached_tokens;      /* of them, found in the cache */
	struct seq **seqs;           /* NULL: it has ended */
	struct sim_job *prev, *next; /* all that are in flight */
};

struct seq {
	struct sim_job *job; /* NULL: it has gone away */
	unsigned index;      /* in the job */
	struct core *core;
	uint64_t number;  /* in order of arrival, from 1 */
	int64_t priority; /* lower goes first */
	unsigned lora;
	size_t queue_at;       /* its place in the heap of those that wait */
	uint64_t arrived_step; /* steps of its engine until then */
	bool runs, deferred, preempted;
	bool first;     /* of its input's sequences: its prompt counts in the job */
	uint64_t total; /* tokens that it decodes */
	uint64_t decoded;
	uint64_t told; /* for the owner: chunks sent to the client */
	uint64_t prompt_tokens, cached_tokens;
	uint64_t to_compute; /* before it decodes: the prompt, and what a preemption threw away */
	uint64_t computed;   /* of that, done; what comes from the cache too */
	uint64_t computes;   /* in the step that runs; 0: it decodes */
	uint64_t kv_tokens;  /* room that it holds */
	unsigned slot;       /* with a cache of slots */
	uint64_t *hashes;    /* of the prompt's whole blocks */
	struct block **held; /* as many of them as `n_held` */
	size_t n_hashes, n_held;
};

struct sim_stats {
	uint64_t finished;      /* requests */
	uint64_t sequences;     /* taken */
	uint64_t prompt_tokens; /* of all sequences that ran: computed or found in the cache */
	uint64_t prefill_tokens, cached_tokens, output_tokens, steps;
	uint64_t preemptions;
	double running_s, waiting_s; /* integral of their numbers over time */
	double slot_s;               /* ... of the slots */
	double busy_s;               /* time in steps */
};

/* What metrics show of one engine. */
struct sim_gauges {
	unsigned running;
	size_t waiting, deferred; /* for whatever reason; of these, for another adapter to end */
	double cache;             /* KV room in use, 0..1 */
};

/* What a slot's cache holds. */
struct slot {
	bool taken;
	uint64_t used; /* when it was last taken, as a count */
	uint64_t *hashes;
	size_t n_hashes;
};

/* One engine. */
struct core {
	struct cache cache;
	struct seq **queue; /* a heap */
	size_t n_waiting, queue_cap;
	struct seq **skipped; /* room for as many */
	size_t n_new;         /* of those that wait: came during the step that runs */
	size_t n_deferred;
	size_t left_waiting;  /* when the last step began */
	struct seq **running; /* in the order in which they were taken */
	unsigned n_running, running_cap;
	unsigned *lora_runs; /* sequences of each adapter */
	unsigned loras_running;
	struct slot *slots;
	uint64_t slots_used;
	uint64_t kv_used;      /* tokens set aside */
	int64_t step_end_ns;   /* NEVER_NS: none runs */
	int64_t counted_to_ns; /* until then the integrals are up to date */
	struct sim_gauges shown;
	struct sim_stats stats;
};

struct sim {
	struct sim_options options;
	double answer_factor; /* answers are so many times as long as asked; 0 is 1 */
	/* Called for each token, then once when the last sequence of a job has ended; the job is
	 * freed after that. All may submit and cancel. */
	void (*on_token)(struct seq *s);
	void (*on_end)(struct sim_job *j);
	void (*on_lost)(struct sim_job *j); /* the engine has died; as on_end */
	struct core *cores;
	unsigned n_cores;
	struct sim_job *jobs;
	uint64_t n_jobs, n_seqs; /* ever */
	uint64_t n_rejected;     /* SIM_FULL */
	bool dead;
	double slow_carry;   /* --slow-spread: fractions of tokens still owed */
	size_t waiting_most; /* that a step left in the queue; whoever reads may set it to 0 */
};

enum sim_answer {
	SIM_TAKEN,
	SIM_TOO_LONG, /* it could never have KV room */
	SIM_FULL,     /* max_queued */
	SIM_DEAD
};

void sim_init(struct sim *m, int64_t now_ns);
/* Ends without a callback what still waits or runs. */
void sim_free(struct sim *m);
/* `*ret` is valid until on_end has returned, or sim_cancel(). */
enum sim_answer sim_submit(struct sim *m, const struct sim_ask *a, void *owner, int64_t now_ns,
			   struct sim_job **ret);
/* The owner has gone away: no callback any more. What runs keeps its slot to the step's end. */
void sim_cancel(struct sim *m, struct sim_job *j, int64_t now_ns);
/* Ends the steps that are due and starts the next. Returns when to call again, or NEVER_NS. */
int64_t sim_run(struct sim *m, int64_t now_ns);
/* Brings the integrals of all engines' stats up to date, and adds the stats up. */
struct sim_stats sim_stats(struct sim *m, int64_t now_ns);
/* All engines die: on_lost for each job, nothing is taken, gauges stay as they are. */
void sim_kill(struct sim *m, int64_t now_ns);
/* They are back, empty. */
void sim_revive(struct sim *m, int64_t now_ns);
/* Other slots from now on; those above it end as they would have. */
void sim_slots(struct sim *m, unsigned slots, int64_t now_ns);
struct sim_gauges sim_gauges(const struct sim *m, unsigned core);
unsigned sim_running(const struct sim *m);
size_t sim_waiting(const struct sim *m);
