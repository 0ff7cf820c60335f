/* coordinator_turn.c: when a coordinator has its turn, and what other threads ask of it, for its
 * turn to do: to end early, to be suspended, to be held; what readers of its stream may read. All
 * under the lock. */
#include <assert.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "base/sys.h"
#include "pipeline/coordinator_impl.h"
#include "pipeline/day_tokens.h"

/* ---- when time has something to do for it ---- */

static void lower_s(_Atomic int64_t *at, int64_t to)
{
	int64_t before = *at;

	while (to < before && !atomic_compare_exchange_weak(at, &before, to))
		;
}

static void lower_ms(_Atomic uint64_t *at, uint64_t to)
{
	uint64_t before = *at;

	while (to < before && !atomic_compare_exchange_weak(at, &before, to))
		;
}

/* The end of its window, and of its hours or of the time outside them. */
static int64_t look_s(struct coordinator *c)
{
	int64_t at = INT64_MAX, now_s = sys.now_s();

	pthread_mutex_lock(&c->lock);
	if (c->expires_at != 0 && c->early == EARLY_NO)
		at = c->expires_at;
	if (c->phase == PHASE_RUNNING && !c->zone_missing && c->hours != NULL) {
		bool open = opening_memo_is_open(&c->hours->memo, &c->hours->opening, now_s);
		int64_t change = open == c->closed ? now_s : c->hours->memo.change;
		at = change < at ? change : at;
	}
	pthread_mutex_unlock(&c->lock);
	return at;
}

/* The times of the next look are found by this one, and by the turns of batches meanwhile. */
bool coordinators_are_due(struct coordinator_env *env, int64_t now_s, uint64_t now_ms)
{
	bool back = now_s < env->looked_s;

	env->looked_s = now_s;
	if (!back && now_s < env->look_at_s && now_ms < env->look_at_ms)
		return false;
	env->look_at_s = INT64_MAX;
	env->look_at_ms = UINT64_MAX;
	return true;
}

void coordinator_look_later(struct coordinator *c)
{
	lower_s(&c->env->look_at_s, look_s(c));
	if (c->phase != PHASE_RUNNING)
		return;
	lower_ms(&c->env->look_at_ms, worker_renew_ms(c->worker));
	if (worker_is_idle(c->worker))
		lower_ms(&c->env->look_at_ms, lessor_memory_free_ms(c->lessor));
	if (c->canary)
		lower_ms(&c->env->look_at_ms, 0); /* its end is told by nobody */
}

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
	coordinator_look_later(c);
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

/* ---- what is merged, and what a reader of its stream may read of that ---- */

const struct merge_state *coordinator_merged(const struct coordinator *c)
{
	static const struct merge_state none;

	return c->merged != NULL ? c->merged : &none;
}

/* All else of it is of merged segments, too. */
static bool merge_is_none(const struct merge_state *m)
{
	return m->segments == 0 && m->output_lines == 0 && m->error_lines == 0 &&
	       m->journal_from == 0 && m->counted_tokens == 0 && m->day_tokens == 0;
}

/* A kilobyte, which a batch that waits for its first merge does not have. */
void coordinator_merged_set(struct coordinator *c, const struct merge_state *m)
{
	if (c->merged == NULL && !merge_is_none(m))
		c->merged = must_calloc(1, sizeof(*c->merged));
	if (c->merged != NULL)
		*c->merged = *m;
}

void coordinator_merged_show(struct coordinator *c)
{
	pthread_mutex_lock(&c->lock);
	c->merged_bytes.output = coordinator_merged(c)->output_bytes;
	c->merged_bytes.error = coordinator_merged(c)->error_bytes;
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
		c->fault = why;
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
	if (c->phase < PHASE_RUNNING || c->span != NULL)
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
	if (c->phase < PHASE_RUNNING || c->span != NULL)
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
	if (c->phase == PHASE_RUNNING && !c->zone_missing && c->hours != NULL &&
	    opening_memo_is_open(&c->hours->memo, &c->hours->opening, now_s) == c->closed)
		kick_locked(c);
	pthread_mutex_unlock(&c->lock);
}
