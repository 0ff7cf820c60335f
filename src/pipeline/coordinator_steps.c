/* coordinator_steps.c: a batch from phase to phase; coordinator.h has the picture, `steps` each
 * edge. All of it runs in the coordinator's turn. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/sys.h"
#include "batch/endpoint.h"
#include "batch/finding.h"
#include "pipeline/coordinator_impl.h"
#include "pipeline/lost_data.h"

#define RETRY_MS 1000            /* when disk or database refuse */
#define OPENING_TRIES 10         /* before a batch that is to end does so without its journal */
#define REOPEN_MAX 3             /* openings anew because of damage */
#define AT_ONCE_BYTES (1u << 20) /* of a journal whose results are made in a moment */
#define LOST_TEXT "The stored data of this batch is lost or corrupt."

static void coordinator_move(struct coordinator *c, enum phase to);

/* ---- held up: the disk or the database refuses, or there are no descriptors ---- */

/* Whatever holds up one batch mostly holds up all: then one line tells of many. */
void coordinator_held_up_tell(struct coordinator *c, const char *doing, const struct error *err)
{
	uint64_t others;

	if (log_storm_pass(&c->env->held_up, sys.monotonic_ms(), &others))
		log_fault(stall_words(STALL_PAUSED)->log, err, kv_str("batch", c->id),
			  kv_str("doing", doing), kv_u64("others_before", others));
}

static void held_up(struct coordinator *c, const char *doing, const struct error *err)
{
	open_table_spare(&c->env->files, err);
	if (!c->held_up)
		coordinator_held_up_tell(c, doing, err);
	c->held_up = true;
}

static void goes_on(struct coordinator *c)
{
	uint64_t others;

	if (!c->held_up)
		return;
	if (log_storm_pass(&c->env->resumed, sys.monotonic_ms(), &others))
		log_info("batch.resumed", kv_str("batch", c->id), kv_u64("others_before", others));
	c->held_up = false;
}

/* ---- sending ---- */

/* A weight that cannot be read is an ordinary one. */
static unsigned org_weight(struct coordinator *c)
{
	unsigned weight = 1;
	struct error err;

	if (!store_org_weight(c->env->store, c->batch.org, &weight, &err))
		log_fault("batch.weight_unknown", &err, kv_str("batch", c->id));
	return weight;
}

/* A batch of several models is sent as a flow of each (contract 11.1, mixed_models). */
static bool shares_renew(struct coordinator *c, struct error *err)
{
	if (!c->batch.options.mixed_models || c->batch.model != NULL)
		return true;
	if (!open_files_pin(&c->files, err))
		return false;
	bool ok = shares_make(c->files.input.index, c->lessor, coordinator_merged(c)->segments,
			      segments_of(c->lines), &c->shares, err);
	open_files_unpin(&c->files);
	return ok && worker_room(c->worker, c->shares.n, err);
}

/* An option of the batch, which the configuration bounds. */
static uint64_t at_most(uint64_t asked, uint64_t most)
{
	return asked < most ? asked : most;
}

/* Wakes the worker beside it up. */
static bool span_send(struct coordinator *c, struct error *err)
{
	const struct index_summary *s = index_summary(c->files.input.index);
	const char *path = endpoint_path(slice_of(c->batch.endpoint));
	uint64_t rest_lines = c->lines - lessor_memory_ended(c->lessor);
	struct ended_sums sums;

	if (!shares_renew(c, err))
		return false;
	if (!c->canary)
		free(TAKE(c->canary_lines));
	worker_canary(c->worker, c->canary_lines);
	struct flow_config task = {
		.endpoint = path != NULL ? path : c->batch.endpoint, /* a later version's */
		.model = c->batch.model,
		.org_weight = org_weight(c),
		.expires_at = c->batch.expires_at,
		.rest_lines = rest_lines,
		.rest_bytes = s->body_bytes / input_lines(&c->files.input) * rest_lines,
		.prefixes = s->prefixes,
		.suspended = coordinator_pause_begin(c),
		.opening = c->hours != NULL ? &c->hours->opening : NULL,
		.max_attempts = (unsigned)at_most(c->batch.options.max_attempts,
						  c->env->config->max_attempts),
		.line_timeout_ms = at_most(c->batch.options.line_timeout_s * 1000,
					   c->env->config->line_timeout_ms),
		.trace = c->trace.own,
	};
	if (c->batch.options.token_budget > 0) {
		lessor_memory_sums(c->lessor, &sums);
		spending_begin(&c->spending, c->batch.options.token_budget,
			       sums.usage.input + sums.usage.output);
		task.spending = &c->spending;
	}
	if (c->canary && c->batch.options.canary < rest_lines) {
		task.rest_bytes = task.rest_bytes / rest_lines * c->batch.options.canary;
		task.rest_lines = c->batch.options.canary;
	}
	if (c->override != NULL)
		task.rest_bytes += override_bytes(c->override) * task.rest_lines;
	memcpy(task.org, c->batch.org, sizeof(task.org));
	if (worker_start(c->worker, &task, c->shares.of, c->shares.n))
		coordinator_started_tell(c, rest_lines);
	return true;
}

/* Offers the span: at first, and again when its lease was given back or lost. */
static bool span_offer(struct coordinator *c, struct error *err)
{
	lessor_memory_offer(c->lessor);
	return !worker_is_idle(c->worker) || !lessor_memory_is_free(c->lessor) || span_send(c, err);
}

/* Asks for the span; true once it is not lent, and the worker beside it has let go of it. */
static bool span_is_back(struct coordinator *c)
{
	lessor_memory_withdraw(c->lessor);
	if (!lessor_memory_is_lent(c->lessor) && worker_is_idle(c->worker))
		return true;
	worker_recall(c->worker);
	return false;
}

/* ---- the steps ---- */

/* While nothing of it is sent. */
static bool override_read(struct coordinator *c, struct error *err)
{
	struct slice model;
	unsigned n;

	c->files.input.override = NULL;
	free(TAKE(c->override_model));
	override_free(TAKE(c->override));
	if (c->batch.options.override == NULL)
		return true;
	c->override = override_new(c->batch.options.override, &n);
	if (c->override == NULL)
		return fail_memory(err);
	c->files.input.override = c->override;
	if (override_member(c->override, "model", &model) == JSON_BAD)
		return true;
	c->override_model = override_text(c->override, "model");
	return c->override_model != NULL || fail_memory(err);
}

/* A zone that is gone since, or that cannot be read while the batch ends, keeps none from ending. */
static bool hours_read(struct coordinator *c, bool ends, struct error *err)
{
	struct opening opening = { 0 };
	bool known = true;

	if (!ends && !opening_read(&c->batch.options, &opening, &known, err))
		return false;
	if (!known) {
		opening = (struct opening){ .not_before = c->batch.options.not_before };
		log_warn("batch.zone_missing", kv_str("batch", c->id),
			 kv_str("hours", c->batch.options.hours));
	}
	struct coordinator_hours *hours = NULL;
	if (opening_closes(&opening)) {
		hours = calloc(1, sizeof(*hours));
		if (hours == NULL)
			return fail_memory(err);
		hours->opening = opening;
	}
	pthread_mutex_lock(&c->lock);
	free(c->hours);
	c->hours = hours;
	c->zone_missing = !known;
	pthread_mutex_unlock(&c->lock);
	return true;
}

static bool step_load(struct coordinator *c, struct error *err)
{
	batch_done(&c->batch);
	if (!store_batch_get(c->env->store, NULL, c->id, &c->batch, err))
		return false;
	enum batch_status status = c->batch.status;
	pthread_mutex_lock(&c->lock);
	bool expires = status != BATCH_CANCELLING && status != BATCH_FINALIZING;
	c->expires_at = expires && !batch_is_final(status) ? c->batch.expires_at : 0;
	bool ends = c->expires_at == 0 || c->early != EARLY_NO;
	pthread_mutex_unlock(&c->lock);
	if (!override_read(c, err) || !hours_read(c, ends, err))
		return false;
	c->hold = c->batch.hold;
	batch_trace_begin(c->env, c->id, &c->trace);
	if (batch_is_final(status)) {
		coordinator_move(c, PHASE_GONE);
		return true;
	}
	if (c->env->cluster != NULL && (status == BATCH_VALIDATING) != (c->span == NULL)) {
		coordinator_move(c, PHASE_GONE); /* another node has judged it */
		return true;
	}
	coordinator_move(c, status == BATCH_VALIDATING ? PHASE_VALIDATING : PHASE_OPENING);
	return true;
}

static bool step_validate(struct coordinator *c, struct error *err)
{
	bool started;

	if (!batch_validate(c, &started, err))
		return false;
	coordinator_move(c, started && c->env->cluster == NULL ? PHASE_OPENING : PHASE_GONE);
	return true;
}

/* Its budget was used up before a crash. Lines that had ended, and whose records are lost, run again
 * instead: within the budget. */
static bool was_spent(const struct coordinator *c, bool all_ended)
{
	return c->batch.status == BATCH_FINALIZING && !all_ended &&
	       c->batch.options.token_budget > 0 && c->reopened == 0 && !c->records_lost;
}

static bool step_open(struct coordinator *c, struct error *err)
{
	if (!coordinator_open(c, err) || !skip_again(c, err) || !coordinator_canary_begin(c, err))
		return false;
	goes_on(c);
	open_files_add(&c->files);
	coordinator_move(c, PHASE_RUNNING);
	bool all_ended = lessor_memory_ended(c->lessor) == c->lines;
	if (c->batch.status == BATCH_CANCELLING)
		coordinator_end(c, EARLY_CANCELLED);
	else if (c->span != NULL && c->span->lent.has_ended) /* by the database's clock */
		coordinator_end(c, EARLY_EXPIRED);
	if (was_spent(c, all_ended))
		coordinator_end(c, EARLY_SPENT);
	if (c->input_lost && !all_ended)
		coordinator_fail_rest(c, LOST_TEXT);
	if (c->env->time_is_good(c->env->ctx))
		coordinator_check_window(c,
					 sys.now_s()); /* it may have passed while no server ran */
	return true;
}

/* A line that had ended has no record that checks any more. Opening anew finds the others, and lets
 * the line run again. */
static void damage_found(struct coordinator *c)
{
	c->damaged = false;
	if (++c->reopened > REOPEN_MAX) {
		coordinator_fail_rest(c, "Results of this batch were damaged on disk.");
		c->at_once = true;
		return;
	}
	log_warn("batch.reopened", kv_str("batch", c->id),
		 kv_str("why", "a result is damaged on disk"));
	coordinator_move(c, PHASE_REOPENING);
}

/* Nobody would see that it is finalizing: the final state says that it was. */
static bool ends_at_once(const struct coordinator *c)
{
	return coordinator_is_logged(c) && c->files.journal != NULL &&
	       journal_end(c->files.journal) <= AT_ONCE_BYTES;
}

static bool step_run(struct coordinator *c, struct error *err)
{
	bool all_ended = lessor_memory_ended(c->lessor) == c->lines, stays;

	if (!coordinator_span_goes_on(c, &stays, err))
		return false;
	if (!stays) {
		coordinator_move(c, PHASE_LEAVING);
		return true;
	}
	pthread_mutex_lock(&c->lock);
	if (all_ended)
		c->expires_at = 0; /* what is finished does not expire */
	enum early_end early = c->early;
	pthread_mutex_unlock(&c->lock);
	if (all_ended || early != EARLY_NO) {
		bool finalizes = ((early == EARLY_NO && !ends_at_once(c)) ||
				  early == EARLY_SPENT) &&
				 c->batch.status == BATCH_IN_PROGRESS && c->span == NULL;
		coordinator_move(c, finalizes ? PHASE_FINALIZING : PHASE_STOPPING);
		return true;
	}
	worker_renew(c->worker, sys.monotonic_ms());
	if (!coordinator_canary_look(c, err) || !coordinator_pause_look(c, err) ||
	    !span_offer(c, err) || !coordinator_merge(c, EARLY_NO, &c->at_once, err))
		return false;
	goes_on(c);
	if (c->damaged)
		damage_found(c);
	return true;
}

static bool step_finalize(struct coordinator *c, struct error *err)
{
	bool moved;

	if (!store_batch_move(c->env->store, c->id, 1u << BATCH_IN_PROGRESS, BATCH_FINALIZING,
			      sys.now_s(), &moved, err))
		return false;
	c->batch.status = BATCH_FINALIZING;
	coordinator_move(c, PHASE_STOPPING);
	return true;
}

static bool step_stop(struct coordinator *c, struct error *err)
{
	(void)err;
	if (span_is_back(c))
		coordinator_move(c, PHASE_MERGING);
	return true;
}

static bool step_leave(struct coordinator *c, struct error *err)
{
	if (!span_is_back(c))
		return true;
	if (!coordinator_span_back(c, err))
		return false;
	coordinator_move(c, PHASE_GONE);
	return true;
}

/* All that is open is closed, and it begins as after a restart; unless it is to end meanwhile. */
static bool step_reopen(struct coordinator *c, struct error *err)
{
	(void)err;
	if (!span_is_back(c))
		return true;
	if (coordinator_early(c) != EARLY_NO) {
		coordinator_move(c, PHASE_MERGING);
		return true;
	}
	coordinator_close(c);
	coordinator_move(c, PHASE_LOADING);
	return true;
}

static bool step_merge(struct coordinator *c, struct error *err)
{
	bool more = true;

	while (more)
		if (!coordinator_merge(c, coordinator_early(c), &more, err))
			return false;
	if (c->damaged)
		damage_found(c);
	else
		coordinator_move(c, PHASE_FINISHING);
	return true;
}

static bool step_finish(struct coordinator *c, struct error *err)
{
	if (!coordinator_finish(c, err))
		return false;
	coordinator_move(c, PHASE_GONE);
	return true;
}

/* ---- the table of steps, and its one door ---- */

#define TO(phase) 1u << PHASE_##phase

static const struct step {
	const char *name; /* for the log */
	bool (*fn)(struct coordinator *c, struct error *err);
	unsigned may; /* go to: bit a phase */
} steps[PHASES] = {
	[PHASE_LOADING] = { "loading", step_load, TO(VALIDATING) | TO(OPENING) | TO(GONE) },
	[PHASE_VALIDATING] = { "validating", step_validate, TO(OPENING) | TO(LOADING) | TO(GONE) },
	[PHASE_OPENING] = { "opening", step_open, TO(RUNNING) | TO(LOADING) },
	[PHASE_RUNNING] = { "merging", step_run,
			    TO(FINALIZING) | TO(STOPPING) | TO(REOPENING) | TO(LEAVING) },
	[PHASE_FINALIZING] = { "finalizing", step_finalize, TO(STOPPING) | TO(RUNNING) },
	[PHASE_STOPPING] = { "stopping", step_stop, TO(MERGING) },
	[PHASE_REOPENING] = { "reopening", step_reopen, TO(LOADING) | TO(MERGING) },
	[PHASE_MERGING] = { "merging", step_merge, TO(FINISHING) | TO(REOPENING) },
	[PHASE_FINISHING] = { "finishing", step_finish, TO(GONE) },
	[PHASE_LEAVING] = { "giving back", step_leave, TO(GONE) },
	[PHASE_GONE] = { "gone", NULL, 0 },
};

static void coordinator_move(struct coordinator *c, enum phase to)
{
	enum phase from = (enum phase)c->phase;

	assert(coordinator_in_turn(c) && to < PHASES);
	assert(steps[from].may & 1u << to);
	log_debug("batch.step", kv_str("batch", c->id), kv_str("from", steps[from].name),
		  kv_str("to", steps[to].name));
	c->phase = to;
	if (c->read || (to != PHASE_RUNNING && to != PHASE_GONE))
		return;
	c->read = true;
	c->env->unread--;
}

/* ---- a step that fails ---- */

/* The input of a batch that was never checked is lost or corrupt (contract 6). */
static bool beyond_repair(struct coordinator *c, const struct error *why, struct error *err)
{
	bool moved;
	AUTO(buf_free) struct buf errors = BUF(4096);

	finding_json_one(&errors,
			 &(struct finding){ .code = "server_error", .message = LOST_TEXT });
	buf_char(&errors, '\0');
	if (errors.failed)
		return fail_memory(err);
	skip_forget(c);
	if (!store_batch_fail(c->env->store, c->id, errors.p, sys.now_s(), &moved, err))
		return false;
	log_fault("batch.failed", why, kv_str("batch", c->id));
	return true;
}

/* A batch that is to end (cancelled, or its window is over) does not wait for its journal for
 * ever: what was merged is given out, and the journal goes to lost/. */
static void opening_failed(struct coordinator *c)
{
	bool ends = c->batch.status == BATCH_CANCELLING || coordinator_early(c) != EARLY_NO;

	if (ends && ++c->opening_tries >= OPENING_TRIES)
		c->journal_unreadable = true;
}

enum next { NEXT_WAIT, NEXT_AT_ONCE, NEXT_LATER };

/* Decides what becomes of a batch whose step failed: it is gone, beyond repair, or tries again
 * later. */
static enum next coordinator_failed(struct coordinator *c, const struct error *why)
{
	const char *doing = steps[c->phase].name;
	struct error err;

	if (c->phase == PHASE_LOADING && why->kind == ERR_NOT_FOUND) {
		coordinator_move(c, PHASE_GONE);
		return NEXT_WAIT;
	}
	if (c->phase == PHASE_VALIDATING && data_is_lost(why)) {
		if (beyond_repair(c, why, &err)) {
			coordinator_move(c, PHASE_GONE);
			return NEXT_WAIT;
		}
		doing = "failing";
	}
	if (c->phase == PHASE_OPENING)
		opening_failed(c);
	if (c->phase == PHASE_VALIDATING || c->phase == PHASE_OPENING) {
		coordinator_close(c);
		coordinator_move(c, PHASE_LOADING);
	} else if (c->phase == PHASE_FINALIZING) {
		coordinator_move(c, PHASE_RUNNING); /* it may be cancelled meanwhile */
	}
	held_up(c, doing, why);
	return NEXT_LATER;
}

/* ---- the worker's turn ---- */

static enum next coordinator_step(struct coordinator *c)
{
	int before = c->phase;
	struct error err;

	c->at_once = false;
	if (!steps[before].fn(c, &err))
		return coordinator_failed(c, &err);
	if (c->phase == PHASE_GONE)
		return NEXT_WAIT;
	return c->phase != before || c->at_once ? NEXT_AT_ONCE : NEXT_WAIT;
}

void coordinator_work(void *arg)
{
	struct coordinator *c = arg;
	enum next next = NEXT_AT_ONCE;

	coordinator_turn_begin(c);
	while (next == NEXT_AT_ONCE)
		next = c->env->closing ? NEXT_WAIT : coordinator_step(c);
	results_close(TAKE(c->results));
	if (c->phase != PHASE_GONE) {
		coordinator_turn_end(c, next == NEXT_LATER ? RETRY_MS : 0);
		return;
	}
	if (c->span == NULL)
		batch_trace_end(c->env, c->id, &c->trace);
	coordinator_span_end(c);
	c->env->ended(c->env->ctx, c);
}
