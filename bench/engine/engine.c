#include "engine.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"

#define DEFAULT_TOKENS 16u
#define QUEUE_CAP_MIN 256u
/* A step begins when the one before it ended by the model's time, so that lateness does not add up;
 * but after a longer one (the process was stopped) time goes on from now. */
#define LATE_MAX_NS 100000000LL

void engine_init(struct engine *e, int64_t now_ns)
{
	cache_init(&e->cache, e->options.cache_tokens);
	e->queue_cap = QUEUE_CAP_MIN;
	e->queue = must_calloc(e->queue_cap, sizeof(struct seq *));
	e->running = must_calloc(e->options.slots, sizeof(struct seq *));
	e->step_end_ns = NEVER_NS;
	e->counted_to_ns = now_ns;
}

static void seq_free(struct engine *e, struct seq *s)
{
	while (s->n_held > 0)
		cache_release(&e->cache, s->held[--s->n_held]);
	free((void *)s->held);
	free(s->hashes);
	free(s);
}

void engine_free(struct engine *e)
{
	for (size_t i = 0; i < e->n_waiting; i++)
		seq_free(e, e->queue[i]);
	for (unsigned i = 0; i < e->n_running; i++)
		seq_free(e, e->running[i]);
	free((void *)e->queue);
	free((void *)e->running);
	cache_free(&e->cache);
}

void engine_count(struct engine *e, int64_t now_ns)
{
	double passed_s = (double)(now_ns - e->counted_to_ns) / (double)NS_PER_S;

	if (passed_s <= 0)
		return;
	e->stats.running_s += passed_s * e->n_running;
	e->stats.waiting_s += passed_s * (double)e->n_waiting;
	if (e->step_end_ns != NEVER_NS)
		e->stats.busy_s += passed_s;
	e->counted_to_ns = now_ns;
}

/* ---- those that wait ---- */

static bool goes_before(const struct seq *a, const struct seq *b)
{
	return a->priority != b->priority ? a->priority < b->priority : a->number < b->number;
}

static void queue_put(struct engine *e, size_t at, struct seq *s)
{
	e->queue[at] = s;
	s->queue_at = at;
}

/* Puts `s` where it belongs, given that only the place `at` is free. */
static void queue_settle(struct engine *e, size_t at, struct seq *s)
{
	while (at > 0 && goes_before(s, e->queue[(at - 1) / 2])) {
		queue_put(e, at, e->queue[(at - 1) / 2]);
		at = (at - 1) / 2;
	}
	for (size_t child; (child = 2 * at + 1) < e->n_waiting; at = child) {
		if (child + 1 < e->n_waiting && goes_before(e->queue[child + 1], e->queue[child]))
			child++;
		if (goes_before(s, e->queue[child]))
			break;
		queue_put(e, at, e->queue[child]);
	}
	queue_put(e, at, s);
}

static void queue_add(struct engine *e, struct seq *s)
{
	if (e->n_waiting == e->queue_cap) {
		struct seq **bigger = must_calloc(e->queue_cap * 2, sizeof(struct seq *));

		memcpy((void *)bigger, (void *)e->queue, e->n_waiting * sizeof(struct seq *));
		free((void *)e->queue);
		e->queue = bigger;
		e->queue_cap *= 2;
	}
	e->n_waiting++;
	queue_settle(e, e->n_waiting - 1, s);
}

static void queue_remove(struct engine *e, struct seq *s)
{
	struct seq *last = e->queue[--e->n_waiting];

	if (last != s)
		queue_settle(e, s->queue_at, last);
}

/* How many tokens request `number` decodes, which nobody can tell from outside. */
static uint64_t tokens_decoded(struct engine *e, uint64_t number, uint64_t asked)
{
	const struct engine_options *o = &e->options;

	if (o->slow_every == 0)
		return asked;
	if (!o->slow_spread)
		return number % o->slow_every == 0 ? (uint64_t)((double)asked * o->slow_factor)
						   : asked;
	/* The same sum over many requests, without what one of them rounds off. */
	double more = (double)asked * (o->slow_factor - 1) / (double)o->slow_every;
	double due = more + e->slow_carry;
	uint64_t whole = (uint64_t)due;
	e->slow_carry = due - (double)whole;
	return asked + whole;
}

struct seq *engine_submit(struct engine *e, const struct request *r, void *owner, int64_t now_ns)
{
	uint64_t asked = r->max_tokens > 0 ? r->max_tokens : DEFAULT_TOKENS;
	uint64_t prompt_tokens = r->prompt.n / TOKEN_BYTES > 0 ? r->prompt.n / TOKEN_BYTES : 1;
	uint64_t number = e->n_submitted + 1;
	uint64_t total = tokens_decoded(e, number, asked);

	if (e->options.kv_tokens > 0 && prompt_tokens + total > e->options.kv_tokens)
		return NULL;
	struct seq *s = must_calloc(1, sizeof(*s));
	*s = (struct seq){ .owner = owner,
			   .number = number,
			   .priority = e->options.priority ? r->priority : 0,
			   .asked = asked,
			   .total = total,
			   .prompt_tokens = prompt_tokens };
	if (e->options.cache_tokens > 0 && r->prompt.n >= BLOCK_BYTES) {
		s->n_hashes = r->prompt.n / BLOCK_BYTES;
		s->hashes = must_calloc(s->n_hashes, sizeof(*s->hashes));
		cache_hash(r->prompt, s->hashes, s->n_hashes);
	}
	e->n_submitted = number;
	engine_count(e, now_ns);
	queue_add(e, s);
	return s;
}

void engine_cancel(struct engine *e, struct seq *s, int64_t now_ns)
{
	s->owner = NULL;
	if (s->runs)
		return;
	engine_count(e, now_ns);
	queue_remove(e, s);
	seq_free(e, s);
}

/* ---- a step ---- */

static void seq_take(struct engine *e, struct seq *s)
{
	/* At least one prompt token is computed: the first output token comes of it. */
	size_t n_usable = (size_t)((s->prompt_tokens - 1) / BLOCK_TOKENS);

	if (s->n_hashes > 0)
		s->held = must_calloc(s->n_hashes, sizeof(struct block *));
	while (s->n_held < s->n_hashes && s->n_held < n_usable) {
		struct block *b = cache_hold(&e->cache, s->hashes[s->n_held]);

		if (b == NULL)
			break;
		s->held[s->n_held++] = b;
	}
	s->runs = true;
	s->cached_tokens = (uint64_t)s->n_held * BLOCK_TOKENS;
	s->computed = s->cached_tokens;
	e->stats.prompt_tokens += s->prompt_tokens;
	e->stats.cached_tokens += s->cached_tokens;
	e->kv_used += s->prompt_tokens + s->total;
	e->running[e->n_running++] = s;
}

static void step_start(struct engine *e, int64_t start_ns)
{
	const struct engine_options *o = &e->options;
	uint64_t budget = o->budget;

	while (e->n_waiting > 0 && e->n_running < o->slots) {
		struct seq *s = e->queue[0];

		if (o->kv_tokens > 0 && e->kv_used + s->prompt_tokens + s->total > o->kv_tokens)
			break; /* in order: a smaller one behind it waits too */
		queue_remove(e, s);
		seq_take(e, s);
	}
	if (e->n_running == 0)
		return;
	for (unsigned i = 0; i < e->n_running; i++) {
		struct seq *s = e->running[i];
		uint64_t left = s->prompt_tokens - s->computed;

		s->computes = left < budget ? left : budget;
		budget -= s->computes;
	}
	uint64_t prefill = o->budget - budget;
	double step_us = o->step_us + o->seq_us * e->n_running + o->prefill_us * (double)prefill;
	e->stats.prefill_tokens += prefill;
	e->stats.steps++;
	e->step_end_ns = start_ns + (int64_t)(step_us * 1000);
}

/* The step's work on one sequence is done. */
static void seq_step_end(struct engine *e, struct seq *s)
{
	bool decodes = s->computed == s->prompt_tokens;

	s->computed += s->computes;
	while (s->n_held < s->n_hashes && (s->n_held + 1) * BLOCK_TOKENS <= s->computed) {
		struct block *b = cache_add(&e->cache, s->hashes[s->n_held]);

		s->held[s->n_held++] = b;
	}
	if (s->owner == NULL || (!decodes && s->computed < s->prompt_tokens))
		return;
	s->decoded++;
	e->stats.output_tokens++;
	e->on_token(s);
	if (s->owner == NULL || s->decoded < s->total)
		return;
	e->stats.finished++;
	e->on_end(s);
	s->owner = NULL;
}

static void step_end(struct engine *e)
{
	unsigned kept = 0;

	e->step_end_ns = NEVER_NS;
	for (unsigned i = 0; i < e->n_running; i++) {
		struct seq *s = e->running[i];

		seq_step_end(e, s);
		if (s->owner != NULL) {
			e->running[kept++] = s;
			continue;
		}
		e->kv_used -= s->prompt_tokens + s->total;
		seq_free(e, s);
	}
	e->n_running = kept;
}

int64_t engine_run(struct engine *e, int64_t now_ns)
{
	while (e->step_end_ns <= now_ns) {
		int64_t ended_ns = e->step_end_ns;

		engine_count(e, ended_ns);
		step_end(e);
		step_start(e, now_ns - ended_ns < LATE_MAX_NS ? ended_ns : now_ns);
	}
	if (e->step_end_ns == NEVER_NS) {
		engine_count(e, now_ns);
		step_start(e, now_ns);
	}
	return e->step_end_ns;
}
