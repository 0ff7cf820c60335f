/* run_lines.c: the lines of a run as they are lent, end and become durable. Called by dispatch and
 * recorder; what is shared stands under run->lock. */
#include <assert.h>
#include <stdio.h>

#include "base/log.h"
#include "pipeline/run_impl.h"

uint64_t run_ended_lines(struct run *run)
{
	pthread_mutex_lock(&run->lock);
	uint64_t ended = segment_set_ended(run->segments);
	pthread_mutex_unlock(&run->lock);
	return ended;
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
		bool fresh = segment_set_end_line(run->segments, o->record, o->journal_at,
						  o->journal_bytes);
		assert(fresh); /* a line ended twice: a mistake of ours, never of the world's */
		(void)fresh;
		const struct journal_head head = {
			.record = (uint32_t)o->record,
			.http_status = cause_code(o->fault, o->http_status),
			.kind = o->success ? JOURNAL_OUTPUT : JOURNAL_ERROR,
			.attempts = o->attempts,
		};
		cause = sums_add(run, &head, &o->usage) || cause;
		finished = finished ||
			   segment_set_bounds(run->segments, o->record / SEGMENT_LINES).finished;
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
	return run_early(owner) != EARLY_NO;
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
	pthread_mutex_lock(&run->lock);
	if (segment_set_has(run->segments, head->record) &&
	    segment_set_end_line(run->segments, head->record, at, sizeof(*head) + head->length))
		(void)sums_add(run, head, &usage);
	pthread_mutex_unlock(&run->lock);
}

/* ---- for dispatch ---- */

bool run_lease_next(void *owner, struct lease *ret)
{
	struct run *run = owner;
	bool found = false;
	pthread_mutex_lock(&run->lock);
	while (!found && run->lease_at < segment_set_count(run->segments))
		found = segment_set_cursor(run->segments, run->lease_at++, ret);
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
