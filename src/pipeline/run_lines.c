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

static void sums_add(struct run *run, bool success, uint32_t attempts, const struct usage *usage)
{
	if (success)
		run->counts.completed++;
	else
		run->counts.failed++;
	run->counts.retried += attempts > 0 ? attempts - 1 : 0;
	usage_add(&run->usage, usage);
}

void run_durable(void *ctx, void *owner, const struct outcome *first)
{
	(void)ctx;
	struct run *run = owner;
	bool finished = false;
	run->recording = false;
	run_unpin(run);
	pthread_mutex_lock(&run->lock);
	for (const struct outcome *o = first; o != NULL; o = o->next) {
		bool fresh = line_mark(run, o->record, o->journal_at, o->journal_bytes);
		assert(fresh); /* a line ended twice: a mistake of ours, never of the world's */
		(void)fresh;
		sums_add(run, o->success, o->attempts, &o->usage);
		finished = finished || segment_finished(&run->segments[o->record / SEGMENT_LINES]);
	}
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
		sums_add(run, head->kind == JOURNAL_OUTPUT, head->attempts, &usage);
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
