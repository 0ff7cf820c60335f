/* engine.h: the model of an LLM engine: continuous batching in steps, as vLLM does it. No sockets
 * and no clock here: who calls says what time it is, and is told of tokens by callbacks.
 *
 * At the start of a step, sequences that wait move to those that run while there is a slot and KV
 * room. The step makes one token for every running sequence whose prompt is done, and computes up to
 * `budget` tokens of the prompts of the others, in the order in which they were taken. It takes
 *
 *	step_us + seq_us * running + prefill_us * (prompt tokens computed)
 *
 * A sequence has its first token at the end of the step that finishes its prompt. KV room is set
 * aside for the whole sequence when it is taken, so nothing is ever put back into the queue. */
#pragma once

#include <stdint.h>

#include "cache.h"
#include "request.h"

#define NS_PER_S 1000000000LL
#define NEVER_NS INT64_MAX

struct engine_options {
	unsigned slots; /* sequences that run at once */
	double step_us, seq_us, prefill_us;
	uint64_t budget;
	uint64_t cache_tokens; /* 0: no prefix cache */
	uint64_t kv_tokens;    /* 0: no bound */
	bool priority;
	uint64_t slow_every; /* 0: none is slow */
	double slow_factor;
	bool slow_spread;
};

/* One request from its arrival to its last token. */
struct seq {
	void *owner;      /* NULL: it has gone away */
	uint64_t number;  /* in order of arrival, from 1 */
	int64_t priority; /* lower goes first */
	size_t queue_at;  /* its place in the heap of those that wait */
	bool runs;
	uint64_t asked; /* tokens that the client asked for, and is told of */
	uint64_t total; /* tokens that it decodes */
	uint64_t decoded;
	uint64_t prompt_tokens, cached_tokens;
	uint64_t computed;   /* prompt tokens done, those from the cache too */
	uint64_t computes;   /* prompt tokens of the step that runs; 0: it decodes */
	uint64_t *hashes;    /* of the prompt's whole blocks */
	struct block **held; /* as many of them as `n_held` */
	size_t n_hashes, n_held;
};

struct engine_stats {
	uint64_t finished;
	uint64_t prompt_tokens; /* of all sequences that ran: computed or found in the cache */
	uint64_t prefill_tokens, cached_tokens, output_tokens, steps;
	double running_s, waiting_s; /* integral of their numbers over time */
	double busy_s;               /* time in steps */
};

struct engine {
	struct engine_options options;
	/* Called for each token, then once when the sequence has ended; it is freed after that. Both
	 * may submit and cancel. */
	void (*on_token)(struct seq *s);
	void (*on_end)(struct seq *s);
	struct cache cache;
	struct seq **queue; /* a heap */
	size_t n_waiting, queue_cap;
	struct seq **running; /* in the order in which they were taken */
	unsigned n_running;
	uint64_t n_submitted;
	uint64_t kv_used;      /* tokens set aside */
	double slow_carry;     /* --slow-spread: fractions of tokens still owed */
	int64_t step_end_ns;   /* NEVER_NS: none runs */
	int64_t counted_to_ns; /* until then the integrals are up to date */
	struct engine_stats stats;
};

void engine_init(struct engine *e, int64_t now_ns);
/* Ends without a callback what still waits or runs. */
void engine_free(struct engine *e);
/* NULL: it could never have KV room. Valid until on_end has returned, or engine_cancel(). */
struct seq *engine_submit(struct engine *e, const struct request *r, void *owner, int64_t now_ns);
/* The owner has gone away: no callback any more. A running one keeps its slot to the step's end. */
void engine_cancel(struct engine *e, struct seq *s, int64_t now_ns);
/* Ends the steps that are due and starts the next. Returns when to call again, or NEVER_NS. */
int64_t engine_run(struct engine *e, int64_t now_ns);
/* Brings `e->stats` up to date. */
void engine_count(struct engine *e, int64_t now_ns);
