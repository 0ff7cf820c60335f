/* run_lines.c: the lines of a run as they are lent, end and become durable. Called by dispatch and
 * recorder; what is shared stands under run->lock. */
#include <assert.h>
#include <stdio.h>

#include "base/log.h"
#include "base/memory.h"
#include "pipeline/run_impl.h"

uint32_t segment_lines(const struct run *run, uint64_t segment)
{
	uint64_t rest = run->lines - segment * SEGMENT_LINES;
	return rest < SEGMENT_LINES ? (uint32_t)rest : SEGMENT_LINES;
}

/* ---- lines that have ended: under the lock ---- */

static bool line_mark(struct run *run, uint64_t record, uint64_t at, uint64_t bytes)
{
	struct segment *s = &run->segments[record / SEGMENT_LINES];
	uint32_t i = (uint32_t)(record % SEGMENT_LINES);
	if (s->done == NULL) {
		s->done = must_calloc(1, SEGMENT_LINES / 8);
		s->left = segment_lines(run, record / SEGMENT_LINES);
		s->journal_at = at;
	}
	if (bit_get(s->done, i))
		return false;
	bit_set(s->done, i);
	s->left--;
	s->journal_end = at + bytes;
	run->journal_end = at + bytes;
	run->ended_lines++;
	return true;
}

bool segment_finished(const struct segment *s)
{
	return s->done != NULL && s->left == 0;
}

void run_causes_lines(struct run *run, struct causes *c)
{
	struct index_record r;
	struct error err;
	for (unsigned i = 0; run->index != NULL && i < c->n; i++) /* NULL: the input is lost */
		if (c->of[i].line == 0 && index_read(run->index, c->of[i].record, &r, 1, &err))
			c->of[i].line = r.line;
}

/* The example of a code that was just met: before the index is let go. */
void run_causes_complete(struct run *run)
{
	pthread_mutex_lock(&run->lock);
	struct causes c = run->causes;
	pthread_mutex_unlock(&run->lock);
	run_causes_lines(run, &c);
	pthread_mutex_lock(&run->lock);
	for (unsigned i = 0; i < c.n; i++)
		run->causes.of[i].line = c.of[i].line;
	pthread_mutex_unlock(&run->lock);
}

/* A line has ended. True: it is the first that failed so. */
static bool sums_add(struct run *run, const struct journal_head *head, const struct usage *usage)
{
	bool success = head->kind == JOURNAL_OUTPUT;
	if (success)
		run->counts.completed++;
	else
		run->counts.failed++;
	run->counts.retried += head->attempts > 0 ? head->attempts - 1 : 0;
	usage_add(&run->usage, usage);
	return !success && causes_add(&run->causes, head->http_status, head->record);
}

void run_durable(void *ctx, void *owner, const struct outcome *first)
{
	(void)ctx;
	struct run *run = owner;
	bool finished = false, cause = false;
	pthread_mutex_lock(&run->lock);
	for (const struct outcome *o = first; o != NULL; o = o->next) {
		bool fresh = line_mark(run, o->record, o->journal_at, o->journal_bytes);
		assert(fresh); /* a line ended twice: a mistake of ours, never of the world's */
		(void)fresh;
		const struct journal_head head = {
			.record = (uint32_t)o->record,
			.http_status = cause_code(o->fault, o->http_status),
			.kind = o->success ? JOURNAL_OUTPUT : JOURNAL_ERROR,
			.attempts = o->attempts,
		};
		cause = sums_add(run, &head, &o->usage) || cause;
		finished = finished || segment_finished(&run->segments[o->record / SEGMENT_LINES]);
	}
	pthread_mutex_unlock(&run->lock);
	if (cause)
		run_causes_complete(run);
	run->recording = false;
	run_unpin(run);
	pthread_mutex_lock(&run->lock);
	dispatch_recorded(run->env->dispatch, &run->dispatch, first);
	pthread_mutex_unlock(&run->lock);
	if (finished)
		run_kick(run);
}

/* The disk would not take them: their lines end with the batch. */
void run_given_up(void *ctx, void *owner, const struct outcome *first)
{
	(void)ctx;
	struct run *run = owner;
	if (run->recording)
		run_unpin(run);
	run->recording = false;
	pthread_mutex_lock(&run->lock);
	dispatch_recorded(run->env->dispatch, &run->dispatch, first);
	pthread_mutex_unlock(&run->lock);
}

bool run_ends(void *owner)
{
	return run_end_reason(owner) != OUTCOME_ANSWERED;
}

/* It stays pinned until its lines are durable: a group that failed is written again. */
struct journal *run_journal(void *owner, struct error *err)
{
	struct run *run = owner;
	if (!run->recording)
		run->recording = run_pin(run, err);
	return run->recording ? run->journal : NULL;
}

const char *run_name(void *owner)
{
	return ((struct run *)owner)->id;
}

void run_replay(void *ctx, const struct journal_head *head, uint64_t at)
{
	struct run *run = ctx;
	const struct usage usage = { head->input, head->cached, head->output, head->reasoning,
				     head->total };
	if (head->record >= run->lines || head->record / SEGMENT_LINES < run->merged.segments)
		return;
	pthread_mutex_lock(&run->lock);
	if (line_mark(run, head->record, at, sizeof(*head) + head->length))
		(void)sums_add(run, head, &usage);
	pthread_mutex_unlock(&run->lock);
}

/* ---- for dispatch ---- */

bool run_lease_next(void *owner, struct lease *ret)
{
	struct run *run = owner;
	bool found = false;
	pthread_mutex_lock(&run->lock);
	while (!found && run->lease_at < run->segment_count) {
		uint64_t number = run->lease_at++;
		const struct segment *s = &run->segments[number];
		if (number < run->merged.segments || segment_finished(s))
			continue;
		*ret = (struct lease){ .segment = number,
				       .first = number * SEGMENT_LINES,
				       .lines = segment_lines(run, number) };
		if (s->done != NULL)
			memcpy(ret->done, s->done, sizeof(ret->done));
		found = true;
	}
	pthread_mutex_unlock(&run->lock);
	return found;
}

void run_fault(void *owner, const struct error *err)
{
	struct run *run = owner;
	log_fault("batch.input_unreadable", err, kv_str("batch", run->id));
	run_fail_rest(run, "The stored input of this batch could not be read.");
}

void run_dropped(void *owner)
{
	struct run *run = owner;
	if (!run->env->closing)
		recorder_flush(run->env->recorder, run);
}
