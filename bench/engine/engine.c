#include "engine.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"

#define DEFAULT_TOKENS 16u
#define QUEUE_CAP_MIN 256u
/* A step begins when the one before it ended by the model's time, so that lateness does not add up;
 * but after a longer one (the process was stopped) time goes on from now. */
#define LATE_MAX_NS 100000000LL

static struct sim_gauges core_gauges(const struct sim *m, const struct core *c)
{
	uint64_t room = m->options.kv_tokens;

	return (struct sim_gauges){
		.running = c->n_running,
		.waiting = c->n_waiting,
		.deferred = c->n_deferred,
		.cache = room > 0 ? (double)c->kv_used / (double)room : 0,
	};
}

static void running_reserve(struct core *c, unsigned slots)
{
	if (slots <= c->running_cap)
		return;
	struct seq **bigger = must_calloc(slots, sizeof(struct seq *));
	struct slot *more = must_calloc(slots, sizeof(*more));
	if (c->running_cap > 0) {
		memcpy((void *)bigger, (void *)c->running, c->n_running * sizeof(struct seq *));
		memcpy(more, c->slots, c->running_cap * sizeof(*more));
	}
	free((void *)c->running);
	free(c->slots);
	c->running = bigger;
	c->slots = more;
	c->running_cap = slots;
}

static void core_init(const struct sim *m, struct core *c, int64_t now_ns)
{
	const struct sim_options *o = &m->options;

	*c = (struct core){ .queue_cap = QUEUE_CAP_MIN,
			    .step_end_ns = NEVER_NS,
			    .counted_to_ns = now_ns };
	cache_init(&c->cache, o->slot_cache ? 0 : o->cache_tokens);
	c->queue = must_calloc(c->queue_cap, sizeof(struct seq *));
	c->skipped = must_calloc(c->queue_cap, sizeof(struct seq *));
	c->lora_runs = must_calloc((size_t)o->loras + 1, sizeof(*c->lora_runs));
	running_reserve(c, o->slots);
}

void sim_init(struct sim *m, int64_t now_ns)
{
	m->n_cores = m->options.engines > 0 ? m->options.engines : 1;
	m->cores = must_calloc(m->n_cores, sizeof(*m->cores));
	for (unsigned i = 0; i < m->n_cores; i++)
		core_init(m, &m->cores[i], now_ns);
}

/* ---- jobs and sequences ---- */

static void blocks_release(struct core *c, struct seq *s)
{
	while (s->n_held > 0)
		cache_release(&c->cache, s->held[--s->n_held]);
	free((void *)s->held);
	s->held = NULL;
}

static void seq_free(struct seq *s)
{
	blocks_release(s->core, s);
	free(s->hashes);
	free(s);
}

static void job_unlink(struct sim *m, struct sim_job *j)
{
	*(j->prev != NULL ? &j->prev->next : &m->jobs) = j->next;
	if (j->next != NULL)
		j->next->prev = j->prev;
}

static void job_free(struct sim_job *j)
{
	free((void *)j->seqs);
	free(j);
}

static void core_drop_seqs(struct core *c)
{
	for (size_t i = 0; i < c->n_waiting; i++)
		seq_free(c->queue[i]);
	for (unsigned i = 0; i < c->n_running; i++)
		seq_free(c->running[i]);
	c->n_waiting = c->n_new = c->n_deferred = c->left_waiting = 0;
	c->n_running = c->loras_running = 0;
}

static void core_free(struct core *c)
{
	core_drop_seqs(c);
	for (unsigned i = 0; i < c->running_cap; i++)
		free(c->slots[i].hashes);
	free((void *)c->queue);
	free((void *)c->skipped);
	free((void *)c->running);
	free(c->lora_runs);
	free(c->slots);
	cache_free(&c->cache);
}

void sim_free(struct sim *m)
{
	for (unsigned i = 0; i < m->n_cores; i++)
		core_free(&m->cores[i]);
	while (m->jobs != NULL) {
		struct sim_job *j = m->jobs;

		job_unlink(m, j);
		job_free(j);
	}
	free(m->cores);
}

/* ---- counts ---- */

static void core_count(const struct sim *m, struct core *c, int64_t now_ns)
{
	double passed_s = (double)(now_ns - c->counted_to_ns) / (double)NS_PER_S;

	if (passed_s <= 0)
		return;
	c->stats.running_s += passed_s * c->n_running;
	c->stats.waiting_s += passed_s * (double)c->n_waiting;
	c->stats.slot_s += passed_s * m->options.slots;
	if (c->step_end_ns != NEVER_NS)
		c->stats.busy_s += passed_s;
	c->counted_to_ns = now_ns;
}

struct sim_stats sim_stats(struct sim *m, int64_t now_ns)
{
	struct sim_stats sum = { 0 };

	for (unsigned i = 0; i < m->n_cores; i++) {
		const struct sim_stats *s = &m->cores[i].stats;

		core_count(m, &m->cores[i], now_ns);
		sum.finished += s->finished;
		sum.sequences += s->sequences;
		sum.prompt_tokens += s->prompt_tokens;
		sum.prefill_tokens += s->prefill_tokens;
		sum.cached_tokens += s->cached_tokens;
		sum.output_tokens += s->output_tokens;
		sum.steps += s->steps;
		sum.preemptions += s->preemptions;
		sum.running_s += s->running_s;
		sum.waiting_s += s->waiting_s;
		sum.slot_s += s->slot_s;
		sum.busy_s += s->busy_s;
	}
	return sum;
}

unsigned sim_running(const struct sim *m)
{
	unsigned n = 0;

	for (unsigned i = 0; i < m->n_cores; i++)
		n += m->cores[i].n_running;
	return n;
}

size_t sim_waiting(const struct sim *m)
{
	size_t n = 0;

	for (unsigned i = 0; i < m->n_cores; i++)
		n += m->cores[i].n_waiting;
	return n;
}

struct sim_gauges sim_gauges(const struct sim *m, unsigned core)
{
	const struct core *c = &m->cores[core];
	bool shown = m->dead || m->options.gauges_at_step_end || m->options.pooling;

	return shown ? c->shown : core_gauges(m, c);
}

/* ---- those that wait ---- */

static bool goes_before(const struct seq *a, const struct seq *b)
{
	return a->priority != b->priority ? a->priority < b->priority : a->number < b->number;
}

static void queue_put(struct core *c, size_t at, struct seq *s)
{
	c->queue[at] = s;
	s->queue_at = at;
}

/* Puts `s` where it belongs, given that only the place `at` is free. */
static void queue_settle(struct core *c, size_t at, struct seq *s)
{
	while (at > 0 && goes_before(s, c->queue[(at - 1) / 2])) {
		queue_put(c, at, c->queue[(at - 1) / 2]);
		at = (at - 1) / 2;
	}
	for (size_t child; (child = 2 * at + 1) < c->n_waiting; at = child) {
		if (child + 1 < c->n_waiting && goes_before(c->queue[child + 1], c->queue[child]))
			child++;
		if (goes_before(s, c->queue[child]))
			break;
		queue_put(c, at, c->queue[child]);
	}
	queue_put(c, at, s);
}

static void queue_grow(struct core *c)
{
	struct seq **bigger = must_calloc(c->queue_cap * 2, sizeof(struct seq *));

	memcpy((void *)bigger, (void *)c->queue, c->n_waiting * sizeof(struct seq *));
	free((void *)c->queue);
	c->queue = bigger;
	c->queue_cap *= 2;
	bigger = must_calloc(c->queue_cap, sizeof(struct seq *));
	free((void *)c->skipped); /* empty between steps */
	c->skipped = bigger;
}

static void queue_add(struct core *c, struct seq *s)
{
	if (c->n_waiting == c->queue_cap)
		queue_grow(c);
	c->n_waiting++;
	queue_settle(c, c->n_waiting - 1, s);
}

static void queue_remove(struct core *c, struct seq *s)
{
	struct seq *last = c->queue[--c->n_waiting];

	if (last != s)
		queue_settle(c, s->queue_at, last);
}

static void deferred_set(struct core *c, struct seq *s, bool deferred)
{
	c->n_deferred += (size_t)deferred - (size_t)s->deferred;
	s->deferred = deferred;
}

/* How many tokens sequence `number` decodes, which nobody can tell from outside. */
static uint64_t tokens_decoded(struct sim *m, uint64_t number, uint64_t asked)
{
	const struct sim_options *o = &m->options;

	if (o->slow_every == 0)
		return asked;
	if (!o->slow_spread)
		return number % o->slow_every == 0 ? (uint64_t)((double)asked * o->slow_factor)
						   : asked;
	/* The same sum over many requests, without what one of them rounds off. */
	double more = (double)asked * (o->slow_factor - 1) / (double)o->slow_every;
	double due = more + m->slow_carry;
	uint64_t whole = (uint64_t)due;
	m->slow_carry = due - (double)whole;
	return asked + whole;
}

static struct core *core_least_loaded(struct sim *m)
{
	struct core *least = &m->cores[0];

	for (unsigned i = 1; i < m->n_cores; i++) {
		struct core *c = &m->cores[i];

		if (c->n_running + c->n_waiting < least->n_running + least->n_waiting)
			least = c;
	}
	return least;
}

static uint64_t tokens_of(struct slice text)
{
	return text.n / TOKEN_BYTES > 0 ? text.n / TOKEN_BYTES : 1;
}

static void seq_hash(const struct sim *m, struct seq *s, struct slice prompt)
{
	if ((m->options.cache_tokens == 0 && !m->options.slot_cache) || prompt.n < BLOCK_BYTES)
		return;
	s->n_hashes = prompt.n / BLOCK_BYTES;
	s->hashes = must_calloc(s->n_hashes, sizeof(*s->hashes));
	cache_hash(prompt, s->hashes, s->n_hashes);
}

static void seq_submit(struct sim *m, struct sim_job *j, unsigned index, struct slice prompt,
		       const struct sim_ask *a, int64_t now_ns)
{
	struct core *c = core_least_loaded(m);
	struct seq *s = must_calloc(1, sizeof(*s));

	*s = (struct seq){ .job = j,
			   .index = index,
			   .core = c,
			   .number = ++m->n_seqs,
			   .priority = m->options.priority ? a->priority : 0,
			   .lora = a->lora,
			   .arrived_step = c->stats.steps,
			   .first = a->n == 0 || index % a->n == 0,
			   .prompt_tokens = tokens_of(prompt) };
	s->to_compute = s->prompt_tokens;
	if (!m->options.pooling)
		s->total = a->embeddings ? 1 : tokens_decoded(m, s->number, j->asked);
	seq_hash(m, s, prompt);
	j->seqs[index] = s;
	j->prompt_tokens += s->first ? s->prompt_tokens : 0;
	core_count(m, c, now_ns);
	c->n_new += c->step_end_ns != NEVER_NS;
	queue_add(c, s);
}

/* Those that decode more than was asked run alone where they have to. */
static bool ask_fits(const struct sim *m, const struct sim_ask *a, uint64_t asked)
{
	for (unsigned i = 0; i < a->n_inputs && m->options.kv_tokens > 0; i++) {
		if (tokens_of(a->inputs[i]) + asked > m->options.kv_tokens)
			return false;
	}
	return true;
}

enum sim_answer sim_submit(struct sim *m, const struct sim_ask *a, void *owner, int64_t now_ns,
			   struct sim_job **ret)
{
	double factor = m->answer_factor > 0 ? m->answer_factor : 1;
	uint64_t said = a->max_tokens > 0 ? a->max_tokens : DEFAULT_TOKENS;
	uint64_t asked = (uint64_t)((double)said * factor);
	unsigned n = a->n > 0 ? a->n : 1;
	size_t n_seqs = (size_t)a->n_inputs * n;
	size_t in_engine = sim_running(m) + sim_waiting(m);

	asked = a->embeddings ? 0 : asked > 0 ? asked : 1;
	if (m->dead)
		return SIM_DEAD;
	if (m->options.max_queued > 0 && in_engine + n_seqs > m->options.max_queued) {
		m->n_rejected++;
		return SIM_FULL;
	}
	if (!ask_fits(m, a, asked))
		return SIM_TOO_LONG;
	struct sim_job *j = must_calloc(1, sizeof(*j));
	*j = (struct sim_job){ .owner = owner,
			       .number = ++m->n_jobs,
			       .n_seqs = (unsigned)n_seqs,
			       .n_left = (unsigned)n_seqs,
			       .lora = a->lora,
			       .asked = asked,
			       .next = m->jobs };
	j->seqs = must_calloc(n_seqs, sizeof(struct seq *));
	if (m->jobs != NULL)
		m->jobs->prev = j;
	m->jobs = j;
	for (unsigned i = 0; i < n_seqs; i++)
		seq_submit(m, j, i, a->inputs[i / n], a, now_ns);
	*ret = j;
	return SIM_TAKEN;
}

static void waiting_drop(struct sim *m, struct seq *s, int64_t now_ns)
{
	struct core *c = s->core;

	core_count(m, c, now_ns);
	c->n_new -= s->arrived_step == c->stats.steps && c->n_new > 0;
	deferred_set(c, s, false);
	queue_remove(c, s);
	seq_free(s);
}

void sim_cancel(struct sim *m, struct sim_job *j, int64_t now_ns)
{
	for (unsigned i = 0; i < j->n_seqs; i++) {
		struct seq *s = j->seqs[i];

		if (s == NULL)
			continue;
		s->job = NULL;
		if (!s->runs)
			waiting_drop(m, s, now_ns);
	}
	job_unlink(m, j);
	job_free(j);
}

/* ---- a cache in each slot ---- */

static size_t prefix_common(const struct slot *t, const struct seq *s)
{
	size_t n = 0;

	while (n < t->n_hashes && n < s->n_hashes && t->hashes[n] == s->hashes[n])
		n++;
	return n;
}

/* The free slot that has most of the prompt; among equals the one that was taken longest ago. The
 * sequence takes it. Returns the blocks that it has. */
static size_t slot_take(struct sim *m, struct core *c, struct seq *s)
{
	struct slot *best = NULL;
	size_t best_n = 0;

	for (unsigned i = 0; i < m->options.slots; i++) {
		struct slot *t = &c->slots[i];
		size_t n = t->taken ? 0 : prefix_common(t, s);

		if (t->taken ||
		    (best != NULL && (n < best_n || (n == best_n && t->used >= best->used))))
			continue;
		best = t;
		best_n = n;
	}
	assert(best != NULL); /* fewer run than there are slots */
	best->taken = true;
	best->used = ++c->slots_used;
	s->slot = (unsigned)(best - c->slots);
	free(best->hashes);
	best->hashes = NULL;
	best->n_hashes = s->n_hashes;
	if (s->n_hashes > 0) {
		best->hashes = must_calloc(s->n_hashes, sizeof(*s->hashes));
		memcpy(best->hashes, s->hashes, s->n_hashes * sizeof(*s->hashes));
	}
	return best_n;
}

/* ---- a step ---- */

/* Blocks of its prompt that the cache has. */
static size_t blocks_find(struct sim *m, struct core *c, struct seq *s)
{
	/* At least one prompt token is computed: the first output token comes of it. */
	size_t n_usable = (size_t)((s->prompt_tokens - 1) / BLOCK_TOKENS);

	if (m->options.slot_cache) {
		size_t n = slot_take(m, c, s);

		return n < n_usable ? n : n_usable;
	}
	if (s->n_hashes > 0)
		s->held = must_calloc(s->n_hashes, sizeof(struct block *));
	while (s->n_held < s->n_hashes && s->n_held < n_usable) {
		struct block *b = cache_hold(&c->cache, s->hashes[s->n_held]);

		if (b == NULL)
			break;
		s->held[s->n_held++] = b;
	}
	return s->n_held;
}

static uint64_t kv_wanted(const struct sim *m, const struct seq *s)
{
	return m->options.preempt ? s->to_compute : s->prompt_tokens + s->total;
}

static void seq_take(struct sim *m, struct core *c, struct seq *s)
{
	s->runs = true;
	s->computed = (uint64_t)blocks_find(m, c, s) * BLOCK_TOKENS;
	if (!s->preempted) {
		s->cached_tokens = s->computed;
		s->job->cached_tokens += s->first ? s->cached_tokens : 0;
		c->stats.sequences++;
		c->stats.prompt_tokens += s->prompt_tokens;
		c->stats.cached_tokens += s->cached_tokens;
	}
	s->kv_tokens = kv_wanted(m, s);
	c->kv_used += s->kv_tokens;
	if (s->lora > 0 && c->lora_runs[s->lora]++ == 0)
		c->loras_running++;
	c->running[c->n_running++] = s;
}

/* What the sequence has of the engine is free again. */
static void seq_leave(struct sim *m, struct core *c, struct seq *s)
{
	c->kv_used -= s->kv_tokens;
	s->kv_tokens = 0;
	if (s->lora > 0 && --c->lora_runs[s->lora] == 0)
		c->loras_running--;
	if (m->options.slot_cache)
		c->slots[s->slot].taken = false;
}

static bool lora_fits(const struct sim *m, const struct core *c, const struct seq *s)
{
	return s->lora == 0 || m->options.max_loras == 0 || c->lora_runs[s->lora] > 0 ||
	       c->loras_running < m->options.max_loras;
}

static void seqs_take(struct sim *m, struct core *c)
{
	const struct sim_options *o = &m->options;
	uint64_t prompts = 0;
	size_t n_skipped = 0;

	while (c->n_waiting > 0 && c->n_running < o->slots) {
		struct seq *s = c->queue[0];

		if (!lora_fits(m, c, s)) { /* those behind it go first */
			queue_remove(c, s);
			c->skipped[n_skipped++] = s;
			deferred_set(c, s, true);
			continue;
		}
		if (o->kv_tokens > 0 && c->kv_used + kv_wanted(m, s) > o->kv_tokens &&
		    c->n_running > 0)
			break; /* in order: a smaller one behind it waits too */
		prompts += s->prompt_tokens;
		if (o->pooling && c->n_running > 0 && prompts > o->budget)
			break;
		deferred_set(c, s, false);
		queue_remove(c, s);
		seq_take(m, c, s);
	}
	while (n_skipped > 0)
		queue_add(c, c->skipped[--n_skipped]);
}

/* Puts back the sequence that was taken last. */
static void seq_preempt(struct sim *m, struct core *c)
{
	struct seq *s = c->running[--c->n_running];

	seq_leave(m, c, s);
	blocks_release(c, s);
	c->stats.preemptions++;
	if (s->job == NULL) {
		seq_free(s);
		return;
	}
	s->runs = false;
	s->preempted = true;
	s->to_compute = s->prompt_tokens + s->decoded;
	s->computed = s->computes = 0;
	s->arrived_step = 0;
	queue_add(c, s); /* its number is less than those of all that never ran */
}

/* Room for one token of each sequence that decodes. False: some had to go. */
static bool kv_make_room(struct sim *m, struct core *c)
{
	uint64_t before = c->stats.preemptions;

	for (unsigned i = 0; i < c->n_running; i++) {
		struct seq *s = c->running[i];

		if (s->computed < s->to_compute)
			continue;
		while (c->kv_used + 1 > m->options.kv_tokens && c->n_running > i)
			seq_preempt(m, c);
		if (c->n_running <= i)
			break; /* it went itself */
		s->kv_tokens++;
		c->kv_used++;
	}
	return c->stats.preemptions == before;
}

static void waiting_note(struct sim *m, struct core *c)
{
	size_t waiting = 0;

	c->left_waiting = c->n_waiting;
	for (unsigned i = 0; i < m->n_cores; i++)
		waiting += m->cores[i].left_waiting;
	m->waiting_most = waiting > m->waiting_most ? waiting : m->waiting_most;
}

static void step_start(struct sim *m, struct core *c, int64_t start_ns)
{
	const struct sim_options *o = &m->options;
	uint64_t budget = o->budget, prefill = 0;

	if (!o->preempt || o->kv_tokens == 0 || kv_make_room(m, c))
		seqs_take(m, c);
	waiting_note(m, c);
	if (c->n_running == 0)
		return;
	for (unsigned i = 0; i < c->n_running; i++) {
		struct seq *s = c->running[i];
		uint64_t left = s->to_compute - s->computed;

		s->computes = left < budget || o->pooling ? left : budget;
		budget -= s->computes < budget ? s->computes : budget;
		prefill += s->computes;
	}
	double step_us = o->step_us + o->seq_us * c->n_running + o->prefill_us * (double)prefill;
	c->stats.prefill_tokens += prefill;
	c->stats.steps++;
	c->step_end_ns = start_ns + (int64_t)(step_us * 1000);
}

static void job_seq_ended(struct sim *m, struct seq *s)
{
	struct sim_job *j = s->job;

	s->job = NULL;
	j->seqs[s->index] = NULL;
	if (--j->n_left > 0)
		return;
	s->core->stats.finished++;
	job_unlink(m, j);
	m->on_end(j);
	job_free(j);
}

/* The step's work on one sequence is done. */
static void seq_step_end(struct sim *m, struct core *c, struct seq *s)
{
	bool decodes = s->computed == s->to_compute;

	s->computed += s->computes;
	while (s->held != NULL && s->n_held < s->n_hashes &&
	       (s->n_held + 1) * BLOCK_TOKENS <= s->computed) {
		struct block *b = cache_add(&c->cache, s->hashes[s->n_held]);

		s->held[s->n_held++] = b;
	}
	if (s->job == NULL || (!decodes && s->computed < s->to_compute))
		return;
	if (!m->options.pooling) {
		s->decoded++;
		c->stats.output_tokens++;
		m->on_token(s);
	}
	if (s->job != NULL && s->decoded >= s->total)
		job_seq_ended(m, s);
}

static void step_end(struct sim *m, struct core *c)
{
	unsigned kept = 0;

	c->step_end_ns = NEVER_NS;
	for (unsigned i = 0; i < c->n_running; i++) {
		struct seq *s = c->running[i];

		seq_step_end(m, c, s);
		if (s->job != NULL) {
			c->running[kept++] = s;
			continue;
		}
		seq_leave(m, c, s);
		seq_free(s);
	}
	c->n_running = kept;
}

static int64_t core_run(struct sim *m, struct core *c, int64_t now_ns)
{
	while (c->step_end_ns <= now_ns) {
		int64_t ended_ns = c->step_end_ns;

		core_count(m, c, ended_ns);
		step_end(m, c);
		c->shown = core_gauges(m, c);
		c->shown.waiting -= c->n_new < c->shown.waiting ? c->n_new : c->shown.waiting;
		c->n_new = 0;
		step_start(m, c, now_ns - ended_ns < LATE_MAX_NS ? ended_ns : now_ns);
	}
	if (c->step_end_ns == NEVER_NS) {
		core_count(m, c, now_ns);
		c->shown = core_gauges(m, c); /* for pooling: before they are taken */
		step_start(m, c, now_ns);
		if (!m->options.pooling)
			c->shown = core_gauges(m, c);
	}
	return c->step_end_ns;
}

int64_t sim_run(struct sim *m, int64_t now_ns)
{
	int64_t due_ns = NEVER_NS;

	for (unsigned i = 0; i < m->n_cores && !m->dead; i++) {
		int64_t due = core_run(m, &m->cores[i], now_ns);

		due_ns = due < due_ns ? due : due_ns;
	}
	return due_ns;
}

/* ---- troubles ---- */

void sim_kill(struct sim *m, int64_t now_ns)
{
	for (unsigned i = 0; i < m->n_cores && !m->dead; i++) {
		struct core *c = &m->cores[i];

		core_count(m, c, now_ns);
		c->shown = sim_gauges(m, i);
		core_drop_seqs(c);
		for (unsigned k = 0; k < c->running_cap; k++)
			c->slots[k].taken = false;
		memset(c->lora_runs, 0, ((size_t)m->options.loras + 1) * sizeof(*c->lora_runs));
		c->kv_used = 0;
		c->step_end_ns = NEVER_NS;
	}
	m->dead = true;
	while (m->jobs != NULL) {
		struct sim_job *j = m->jobs;

		job_unlink(m, j);
		m->on_lost(j);
		job_free(j);
	}
}

void sim_revive(struct sim *m, int64_t now_ns)
{
	for (unsigned i = 0; i < m->n_cores && m->dead; i++) {
		core_count(m, &m->cores[i], now_ns);
		m->cores[i].shown = core_gauges(m, &m->cores[i]);
	}
	m->dead = false;
}

void sim_slots(struct sim *m, unsigned slots, int64_t now_ns)
{
	for (unsigned i = 0; i < m->n_cores; i++) {
		core_count(m, &m->cores[i], now_ns);
		running_reserve(&m->cores[i], slots);
	}
	m->options.slots = slots;
}
