/* coordinator_pause.c: whether a batch that has lines to send sends them: not while its organization
 * is suspended, nor while it is held or outside its hours, nor while it waits for its organization's
 * limits; and of its canary first, which then holds it. Lines in flight end. All of it runs in the
 * coordinator's turn. */
#include <assert.h>

#include "base/log.h"
#include "base/sys.h"
#include "batch/canary.h"
#include "pipeline/coordinator_impl.h"
#include "pipeline/day_tokens.h"

/* Why it sends nothing, for the log; NULL: it sends. */
static const char *why_paused(struct coordinator *c)
{
	c->closed = c->zone_missing ||
		    (c->hours != NULL && !opening_is_open(&c->hours->opening, sys.now_s()));
	pthread_mutex_lock(&c->lock);
	bool suspended = c->suspended, over_quota = c->over_quota, over_day = c->over_day;
	pthread_mutex_unlock(&c->lock);
	return suspended                  ? "its organization is suspended"
	       : c->hold == BATCH_CANARY  ? "its canary has ended"
	       : c->hold != BATCH_GOES_ON ? "a client asked for it"
	       : c->closed                ? "it is outside its hours"
	       : over_quota               ? "its organization's limits are used up"
	       : over_day                 ? "its organization's tokens of the day are used up"
					  : NULL;
}

static void suspended_read(struct coordinator *c)
{
	AUTO(auto_free) char(*orgs)[ID_SIZE] = NULL;
	struct error err;
	size_t n = 0;

	if (!store_orgs_suspended(c->env->store, c->batch.org, &orgs, &n, &err))
		log_fault("batch.suspended_unknown", &err, kv_str("batch", c->id));
	bool limits_day = day_tokens_limits(c->env->day, c->batch.org);
	pthread_mutex_lock(&c->lock);
	c->suspended = n > 0;
	/* Where there are limits it waits for the next look at them, a moment from now. */
	c->over_quota = c->env->queue_limited;
	c->over_day = limits_day;
	pthread_mutex_unlock(&c->lock);
}

bool coordinator_pause_begin(struct coordinator *c)
{
	assert(coordinator_in_turn(c));
	suspended_read(c);
	c->paused_sent = why_paused(c) != NULL;
	return c->paused_sent;
}

/* A call that holds or resumes says so once its change is durable: the store is asked what it is
 * now, for two calls may overtake each other on their way here. */
static bool hold_read(struct coordinator *c, bool *ret_read, struct error *err)
{
	struct batch now;

	pthread_mutex_lock(&c->lock);
	*ret_read = c->hold_stale;
	c->hold_stale = false;
	pthread_mutex_unlock(&c->lock);
	if (!*ret_read)
		return true;
	if (!store_batch_get(c->env->store, NULL, c->id, &now, err)) {
		coordinator_hold_look(c, false); /* it tries again */
		return false;
	}
	c->hold = now.hold;
	batch_done(&now);
	return true;
}

/* ---- its canary ---- */

/* The canary's lines among those that can run: `skipped` are not looked at by anybody. */
static void canary_choose(struct coordinator *c, const uint8_t *skipped, uint64_t good)
{
	const uint64_t n = c->batch.options.canary;
	uint64_t chosen = 0, rank = 0;

	for (uint64_t i = 0; i < c->lines && chosen < n; i++) {
		if (bit_get(skipped, (uint32_t)i))
			continue;
		if (rank++ != canary_record(chosen, n, good))
			continue;
		bit_set(c->canary_lines, (uint32_t)i);
		chosen++;
	}
}

bool coordinator_canary_begin(struct coordinator *c, struct error *err)
{
	const uint64_t n = c->batch.options.canary;
	AUTO(auto_free) uint8_t *skipped = NULL;
	uint64_t skipped_n;

	assert(coordinator_in_turn(c));
	free(TAKE(c->canary_lines));
	c->canary_ended = 0;
	c->canary = false;
	if (c->batch.canary_over || !canary_holds(n, c->lines))
		return true;
	skipped = calloc(1, c->lines / 8 + 1);
	c->canary_lines = calloc(1, c->lines / 8 + 1);
	if (skipped == NULL || c->canary_lines == NULL)
		return fail_memory(err);
	if (!skip_look(c, skipped, &skipped_n, err))
		return false;
	c->canary = canary_holds(n, c->lines - skipped_n);
	if (c->canary)
		canary_choose(c, skipped, c->lines - skipped_n);
	return true;
}

static bool canary_has_ended(struct coordinator *c)
{
	while (c->canary_ended < c->lines &&
	       (!bit_get(c->canary_lines, (uint32_t)c->canary_ended) ||
		lessor_memory_has_ended(c->lessor, c->canary_ended)))
		c->canary_ended++;
	return c->canary_ended == c->lines;
}

/* A crash before the row says it leaves a canary all of whose lines have ended: it is found so again,
 * and nothing is sent in between. */
bool coordinator_canary_look(struct coordinator *c, struct error *err)
{
	bool changed;

	assert(coordinator_in_turn(c));
	if (!c->canary || !canary_has_ended(c))
		return true;
	if (!store_batch_hold(c->env->store, c->id, BATCH_CANARY, sys.now_s(), &changed, err))
		return false;
	log_info("batch.canary_ended", kv_str("batch", c->id), kv_str("org", c->batch.org),
		 kv_u64("lines", c->batch.options.canary));
	c->batch.canary_over = true;
	c->canary = false;
	c->hold = BATCH_CANARY;
	coordinator_hold_look(c, true); /* it may be resumed already */
	worker_recall(c->worker);       /* nothing is in flight: it begins again, with all lines */
	return true;
}

/* ---- what it is told ---- */

bool coordinator_pause_look(struct coordinator *c, struct error *err)
{
	bool told; /* by the call: the worker may think otherwise */

	if (!hold_read(c, &told, err))
		return false;
	const char *why = why_paused(c);
	bool paused = why != NULL;
	if ((paused == c->paused_sent && !told) || worker_is_idle(c->worker))
		return true;
	c->paused_sent = paused;
	log_info(paused ? stall_words(STALL_HELD)->log : "batch.goes_on", kv_str("batch", c->id),
		 kv_str("org", c->batch.org), kv_str("why", paused ? why : ""));
	worker_suspend(c->worker, paused);
	return true;
}
