/* coordinator_span.c: what is different with a coordinator of a span that another node may have had
 * before and will have after (cluster.h): it opens from chunks, and ends with parts. All of it runs in
 * the coordinator's turn, but for what other threads ask of it. */
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "pipeline/cluster.h"
#include "pipeline/coordinator_impl.h"
#include "pipeline/span_fill.h"
#include "pipeline/span_order.h"

/* ---- making ---- */

static void path_make(const struct coordinator *c, const char *what, char *to, size_t size)
{
	if (c->span == NULL)
		snprintf(to, size, "%s/batches/%s.%s", c->env->data_dir, c->id, what);
	else
		snprintf(to, size, "%s/batches/%s.%u.%s", c->env->data_dir, c->id,
			 c->span->lent.id.n, what);
}

void coordinator_journal_path(const struct coordinator *c, char *to, size_t size)
{
	path_make(c, "journal", to, size);
}

bool coordinator_order_path(struct coordinator *c, struct error *err)
{
	char path[512];

	if (c->order_path != NULL)
		return true;
	path_make(c, "order", path, sizeof(path));
	c->order_path = strdup(path);
	return c->order_path != NULL || fail_memory(err);
}

bool coordinator_span_new(struct coordinator *c, struct span_lent *lent, struct owner owner,
			  struct error *err)
{
	struct coordinator_span *s = calloc(1, sizeof(*s));

	if (s == NULL)
		return fail_memory(err);
	s->lent = *lent;
	s->worker = (struct worker_span){ .id = lent->id, .epoch = lent->epoch, .owner = owner };
	*lent = (struct span_lent){ 0 };
	c->span = s;
	return true;
}

static void part_forget(const struct coordinator *c, uint64_t number)
{
	struct node *node = cluster_node(c->env->cluster);

	if (number != 0 && node != NULL)
		node_object_decided(node, number);
}

static void scratch_remove(const struct coordinator *c, const char *path)
{
	if (unlink(path) != 0 && errno != ENOENT)
		log_warn("journal.unlink_failed", kv_str("batch", c->id), kv_int("errno", errno));
}

/* Before another coordinator may be made of the span, whose files have the same names. */
void coordinator_span_end(struct coordinator *c)
{
	char path[512];

	if (c->span == NULL)
		return;
	coordinator_journal_path(c, path, sizeof(path));
	scratch_remove(c, path);
	if (c->order_path != NULL)
		scratch_remove(c, c->order_path);
}

void coordinator_span_free(struct coordinator *c)
{
	if (c->span == NULL)
		return;
	part_forget(c, c->span->output_number);
	part_forget(c, c->span->error_number);
	span_lent_done(&c->span->lent);
	free(c->span);
}

uint32_t coordinator_span_number(const struct coordinator *c)
{
	return c->span != NULL ? c->span->lent.id.n : COORDINATOR_WHOLE;
}

/* ---- opening ---- */

/* Not given back, nor lost, and the process goes on. Any thread. */
static bool is_wanted(void *ctx)
{
	struct coordinator *c = ctx;

	pthread_mutex_lock(&c->lock);
	bool stays = c->span->fate == SPAN_STAYS;
	pthread_mutex_unlock(&c->lock);
	return stays && !c->env->closing;
}

static void each_none(void *ctx, const struct journal_head *head, uint64_t at)
{
	(void)ctx;
	(void)head;
	(void)at;
}

static const struct journal_log scratch = { .is_synced = true, .is_scratch = true };

/* When it is opened anew, others were finished meanwhile. */
static bool pieces_renew(struct coordinator *c, struct error *err)
{
	struct span_lent *lent = &c->span->lent;

	if (c->reopened == 0)
		return true;
	free(TAKE(lent->pieces));
	lent->n_pieces = 0;
	return cluster_pieces(c->env->cluster, &lent->id, &lent->pieces, &lent->n_pieces, err);
}

/* One that is not wanted any more is not read to its end: it has no other step but to leave.
 * crash, in here: a file in this node's directory, which the next start empties. */
static bool journal_fill(struct coordinator *c, const char *path, struct error *err)
{
	const struct span_lent *lent = &c->span->lent;
	struct journal_found found;
	struct journal *j;

	if (unlink(path) != 0 && errno != ENOENT)
		return fail_sys(err, errno, "removing %s", path);
	if (!pieces_renew(c, err))
		return false;
	if (lent->n_pieces == 0)
		return true;
	if (!journal_open_logged(path, JOURNAL_START, c->lines, each_none, NULL, &scratch, &j,
				 &found, err))
		return false;
	const struct span_filling filling = {
		.blobs = c->env->blobs,
		.batch_id = c->id,
		.pieces = lent->pieces,
		.n = lent->n_pieces,
		.stays = is_wanted,
		.ctx = c,
	};
	bool ok = span_fill(&filling, j, err) && journal_sync(j, err);
	journal_close(j);
	return ok;
}

bool coordinator_settled_begin(struct coordinator *c, struct error *err)
{
	free(TAKE(c->settled));
	if (!c->batch.options.by_completion)
		return true;
	c->settled = calloc(1, c->lines / 8 + SEGMENT_LINES / 8);
	return c->settled != NULL || fail_memory(err);
}

bool coordinator_span_open(struct coordinator *c, struct error *err)
{
	const struct span_lent *lent = &c->span->lent;
	const struct ended_sums none = { 0 };
	uint64_t end = (lent->first_segment + lent->segments) * SEGMENT_LINES;
	struct journal_found found;
	char path[512];

	if (end < c->lines)
		c->lines = end;
	const struct merge_state m = { .segments = lent->first_segment };
	coordinator_merged_set(c, &m);
	if (!coordinator_settled_begin(c, err) ||
	    !lessor_memory_open(c->lessor, c->lines, m.segments, JOURNAL_START, &none, err))
		return false;
	coordinator_journal_path(c, path, sizeof(path));
	if (!journal_fill(c, path, err) ||
	    !journal_open_logged(path, JOURNAL_START, c->lines, lessor_memory_found, c->lessor,
				 &scratch, &c->files.journal, &found, err))
		return false;
	if (found.damaged_bytes > 0)
		log_warn("journal.damaged", kv_str("batch", c->id), kv_u64("at", found.damaged_at),
			 kv_u64("bytes", found.damaged_bytes));
	lessor_memory_found_all(c->lessor);
	return true;
}

void coordinator_started_tell(const struct coordinator *c, uint64_t rest_lines)
{
	if (c->span == NULL) {
		log_info("batch.started", kv_str("batch", c->id), kv_u64("lines", c->lines),
			 kv_u64("ended_before", c->lines - rest_lines));
		return;
	}
	const struct span_lent *lent = &c->span->lent;
	log_info("span.started", kv_str("batch", c->id), kv_u64("span", lent->id.n),
		 kv_u64("lines", lent->lines), kv_u64("ended_before", lent->lines - rest_lines));
}

/* ---- whether it stays ---- */

void coordinator_span_leave(struct coordinator *c, enum span_fate fate)
{
	if (c->span == NULL)
		return;
	pthread_mutex_lock(&c->lock);
	bool changed = c->span->fate < fate;
	if (changed)
		c->span->fate = fate;
	pthread_mutex_unlock(&c->lock);
	if (changed)
		coordinator_kick(c);
}

static void row_is_stale(struct coordinator *c)
{
	pthread_mutex_lock(&c->lock);
	c->span->row_stale = true;
	pthread_mutex_unlock(&c->lock);
	coordinator_kick(c);
}

/* What is not open yet may have read an older one. */
static bool is_known(const struct coordinator *c, const struct batch_state *now)
{
	return c->phase == PHASE_RUNNING && now->is_there && (int)now->hold == c->hold &&
	       now->status == BATCH_IN_PROGRESS;
}

void coordinator_span_look(struct coordinator *c, const struct batch_state *now)
{
	if (c->span != NULL && !is_known(c, now))
		row_is_stale(c);
}

static bool row_read(struct coordinator *c, struct error *err)
{
	struct batch now;

	if (!store_batch_get(c->env->store, NULL, c->id, &now, err)) {
		if (err->kind == ERR_NOT_FOUND)
			coordinator_span_leave(c, SPAN_IS_LOST);
		else
			row_is_stale(c);
		return err->kind == ERR_NOT_FOUND;
	}
	c->hold = now.hold;
	enum batch_status status = now.status;
	batch_done(&now);
	if (batch_is_final(status))
		coordinator_span_leave(c, SPAN_IS_LOST);
	else if (status == BATCH_CANCELLING)
		coordinator_end(c, EARLY_CANCELLED);
	return true;
}

bool coordinator_span_goes_on(struct coordinator *c, bool *ret_stays, struct error *err)
{
	*ret_stays = true;
	if (c->span == NULL)
		return true;
	pthread_mutex_lock(&c->lock);
	bool stale = c->span->row_stale;
	c->span->row_stale = false;
	pthread_mutex_unlock(&c->lock);
	if (stale && !row_read(c, err))
		return false;
	pthread_mutex_lock(&c->lock);
	*ret_stays = c->span->fate == SPAN_STAYS;
	pthread_mutex_unlock(&c->lock);
	return true;
}

bool coordinator_span_back(struct coordinator *c, struct error *err)
{
	pthread_mutex_lock(&c->lock);
	enum span_fate fate = c->span->fate;
	pthread_mutex_unlock(&c->lock);
	if (fate == SPAN_IS_LOST) {
		log_warn("span.lost", kv_str("batch", c->id), kv_u64("span", c->span->lent.id.n));
		return true;
	}
	return cluster_give_back(c->env->cluster, c->span->worker.owner, &c->span->lent, err);
}

void coordinator_span_unsent(struct coordinator *c, struct span_unsent *ret)
{
	struct flow_view sending;

	*ret = (struct span_unsent){ 0 };
	if (c->phase > PHASE_RUNNING || coordinator_early(c) != EARLY_NO)
		return;
	ret->unsent = c->span->lent.lines;
	if (c->phase < PHASE_RUNNING)
		return;
	worker_look(c->worker, &sending);
	uint64_t ended = lessor_memory_ended(c->lessor) + sending.running;
	ret->unsent = ended < c->lines ? c->lines - ended : 0;
	ret->running = sending.running;
	ret->rate_per_s = sending.rate_per_s;
}

void coordinator_span_models(struct coordinator *c, share_fn each, void *ctx)
{
	if (c->phase == PHASE_RUNNING && coordinator_early(c) == EARLY_NO)
		worker_shares(c->worker, each, ctx);
}

/* ---- the end ---- */

void coordinator_parts_name(struct coordinator *c)
{
	struct coordinator_span *s = c->span;
	struct node *node = cluster_node(c->env->cluster);

	if (s->output_number != 0)
		return;
	s->output_number = node_object_take(node);
	s->error_number = node_object_take(node);
	cluster_part_id(s->worker.owner, s->output_number, s->output_part);
	cluster_part_id(s->worker.owner, s->error_number, s->error_part);
}

static void part_describe(const char *id, uint64_t bytes, uint64_t lines, struct span_part *ret)
{
	*ret = (struct span_part){ .bytes = bytes, .lines = lines };
	if (bytes > 0)
		(void)slice_copy(slice_of(id), ret->name, sizeof(ret->name));
}

/* Of a part without lines there may be an object all the same. crash, before: the garbage sweep's. */
static void part_spare(const struct coordinator *c, const char *id, uint64_t bytes)
{
	struct error err;

	if (id[0] != '\0' && bytes == 0 && !blob_remove(c->env->blobs, id, &err))
		log_fault("results.part_not_removed", &err, kv_str("batch", c->id));
}

/* crash, before it: parts that no row names, which the garbage sweep removes; the span is lent again. */
bool coordinator_span_finish(struct coordinator *c, struct error *err)
{
	const struct merge_state *m = coordinator_merged(c);
	struct span_end end = { .counts = m->counts, .usage = m->usage, .causes = m->causes };
	bool finished;

	part_describe(c->span->output_part, m->output_bytes, m->output_lines, &end.output);
	part_describe(c->span->error_part, m->error_bytes, m->error_lines, &end.error);
	if (!span_order_put(c->env->blobs, &end, c->order_path, err) ||
	    !cluster_finish(c->env->cluster, c->span->worker.owner, &c->span->lent, &end, &finished,
			    err))
		return false;
	if (!finished)
		log_warn("span.lost", kv_str("batch", c->id), kv_u64("span", c->span->lent.id.n));
	part_spare(c, c->span->output_part, m->output_bytes);
	part_spare(c, c->span->error_part, m->error_bytes);
	return true;
}
