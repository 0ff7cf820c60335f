/* coordinator_turn.c: when a coordinator has its turn, and what other threads ask of it, for its
 * turn to do: to end early, to be suspended, to be held; what readers of its stream may read. All
 * under the lock. */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pipeline/coordinator_impl.h"
#include "pipeline/day_tokens.h"

/* ---- the turn ---- */

/* Under the lock, and the last that the caller does with `c` before it gives the lock back: the
 * turn may free it right after. */
static void kick_locked(struct coordinator *c)
{
	if (c->turn == TURN_WORKING)
		c->turn = TURN_WORKING_AGAIN;
	if (c->turn != TURN_IDLE)
		return;
	c->turn = TURN_QUEUED;
	workers_post(c->env->workers, &c->work, c->work_fn, c);
}

void coordinator_kick(struct coordinator *c)
{
	pthread_mutex_lock(&c->lock);
	kick_locked(c);
	pthread_mutex_unlock(&c->lock);
}

void coordinator_turn_begin(struct coordinator *c)
{
	pthread_mutex_lock(&c->lock);
	assert(c->turn == TURN_QUEUED);
	c->turn = TURN_WORKING;
	pthread_mutex_unlock(&c->lock);
}

void coordinator_turn_end(struct coordinator *c, uint64_t retry_ms)
{
	pthread_mutex_lock(&c->lock);
	bool post = c->turn == TURN_WORKING_AGAIN || retry_ms > 0;
	c->turn = post ? TURN_QUEUED : TURN_IDLE;
	pthread_mutex_unlock(&c->lock);
	if (post)
		workers_post_after(c->env->workers, &c->work, c->work_fn, c, retry_ms);
}

bool coordinator_in_turn(struct coordinator *c)
{
	pthread_mutex_lock(&c->lock);
	bool in_turn = c->turn == TURN_WORKING || c->turn == TURN_WORKING_AGAIN;
	pthread_mutex_unlock(&c->lock);
	return in_turn;
}

/* ---- what a reader of its stream may read ---- */

void coordinator_merged_show(struct coordinator *c)
{
	pthread_mutex_lock(&c->lock);
	c->merged_bytes.output = c->merged.output_bytes;
	c->merged_bytes.error = c->merged.error_bytes;
	pthread_mutex_unlock(&c->lock);
}

/* ---- to end early ---- */

void coordinator_end(struct coordinator *c, enum early_end why)
{
	assert(why != EARLY_NO);
	pthread_mutex_lock(&c->lock);
	bool first = c->early == EARLY_NO;
	if (first)
		c->early = why;
	pthread_mutex_unlock(&c->lock);
	if (first)
		coordinator_kick(c);
}

void coordinator_fail_rest(struct coordinator *c, const char *why)
{
	pthread_mutex_lock(&c->lock);
	if (c->early == EARLY_NO)
		snprintf(c->fault, sizeof(c->fault), "%s", why);
	pthread_mutex_unlock(&c->lock);
	coordinator_end(c, EARLY_FAILED);
}

void coordinator_check_window(struct coordinator *c, int64_t now_s)
{
	pthread_mutex_lock(&c->lock);
	bool over = c->expires_at != 0 && now_s >= c->expires_at;
	pthread_mutex_unlock(&c->lock);
	if (over)
		coordinator_end(c, EARLY_EXPIRED);
}

enum early_end coordinator_early(struct coordinator *c)
{
	pthread_mutex_lock(&c->lock);
	enum early_end early = c->early;
	pthread_mutex_unlock(&c->lock);
	return early;
}

/* ---- suspended by the operator ---- */

static int org_compare(const void *a, const void *b)
{
	return strcmp(a, b);
}

void coordinator_suspend(struct coordinator *c, const char (*orgs)[ID_SIZE], size_t n)
{
	if (c->phase != PHASE_RUNNING)
		return;
	bool suspended = n > 0 && bsearch(c->batch.org, orgs, n, ID_SIZE, org_compare) != NULL;
	pthread_mutex_lock(&c->lock);
	bool changed = c->suspended != suspended;
	c->suspended = suspended;
	if (changed)
		kick_locked(c);
	pthread_mutex_unlock(&c->lock);
}

/* ---- over its organization's limits ---- */

static int place_compare(const void *id, const void *place)
{
	return strcmp(id, ((const struct queue_place *)place)->id);
}

void coordinator_queue(struct coordinator *c, const struct queue_place *places, size_t n)
{
	const struct queue_place *place = NULL;

	if (n > 0)
		place = bsearch(c->id, places, n, sizeof(*places), place_compare);
	if (places != NULL && place == NULL)
		return;
	pthread_mutex_lock(&c->lock);
	bool waits = place != NULL && place->waits, changed = c->over_quota != waits;
	c->over_quota = waits;
	if (changed && c->phase == PHASE_RUNNING)
		kick_locked(c);
	pthread_mutex_unlock(&c->lock);
}

/* ---- tokens of its organization's day ---- */

void coordinator_day(struct coordinator *c, struct day_tokens *d)
{
	if (c->phase != PHASE_RUNNING)
		return;
	bool over = day_tokens_is_over(d, c->batch.org);
	pthread_mutex_lock(&c->lock);
	bool changed = c->over_day != over;
	c->over_day = over;
	if (changed)
		kick_locked(c);
	pthread_mutex_unlock(&c->lock);
}

/* Of all lines that have ended, also before a restart. */
static uint64_t tokens_ended(struct coordinator *c)
{
	struct ended_sums sums;

	lessor_memory_sums(c->lessor, &sums);
	return sums.usage.input + sums.usage.output;
}

uint64_t coordinator_tokens_uncounted(struct coordinator *c, char ret_org[static ID_SIZE])
{
	if (c->phase < PHASE_RUNNING)
		return 0;
	uint64_t ended = tokens_ended(c);
	memcpy(ret_org, c->batch.org, ID_SIZE);
	pthread_mutex_lock(&c->lock);
	uint64_t counted = c->counted;
	pthread_mutex_unlock(&c->lock);
	return ended > counted ? ended - counted : 0;
}

uint64_t coordinator_tokens_settle(struct coordinator *c)
{
	if (c->phase < PHASE_RUNNING)
		return 0;
	uint64_t ended = tokens_ended(c);
	pthread_mutex_lock(&c->lock);
	bool settles = ended > c->counted;
	if (settles)
		c->counted = ended;
	pthread_mutex_unlock(&c->lock);
	return settles ? ended : 0;
}

/* A record that is lost lowers what has ended until its line has run again: nothing is counted for
 * that twice. */
void coordinator_tokens_begin(struct coordinator *c, struct merge_state *m)
{
	m->day = day_tokens_hold(c->env->day);
	uint64_t ended = tokens_ended(c), merged = m->usage.input + m->usage.output;
	ended = ended > merged ? ended : merged;
	pthread_mutex_lock(&c->lock);
	m->counted_tokens = ended > c->counted ? ended : c->counted;
	m->day_tokens = m->counted_tokens - c->counted;
	pthread_mutex_unlock(&c->lock);
}

void coordinator_tokens_end(struct coordinator *c, const struct merge_state *m, bool is_put)
{
	pthread_mutex_lock(&c->lock);
	if (is_put)
		c->counted = m->counted_tokens;
	pthread_mutex_unlock(&c->lock);
	day_tokens_release(c->env->day);
}

/* ---- held by a client ---- */

void coordinator_hold_look(struct coordinator *c, bool held)
{
	if (held)
		worker_suspend(c->worker, true);
	pthread_mutex_lock(&c->lock);
	c->hold_stale = true;
	kick_locked(c);
	pthread_mutex_unlock(&c->lock);
}

/* ---- its hours ---- */

void coordinator_check_hours(struct coordinator *c, int64_t now_s)
{
	pthread_mutex_lock(&c->lock);
	if (c->phase == PHASE_RUNNING && !c->zone_missing && opening_closes(&c->opening) &&
	    opening_memo_is_open(&c->opening_memo, &c->opening, now_s) == c->closed)
		kick_locked(c);
	pthread_mutex_unlock(&c->lock);
}
