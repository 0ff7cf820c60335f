/* coordinator_open.c: a coordinator opens what is on disk, mends what can be mended, and goes on
 * where the store and the journal say. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "base/sys.h"
#include "blob/lost.h"
#include "pipeline/coordinator_impl.h"
#include "pipeline/lost_data.h"

int64_t coordinator_lost_at(const struct coordinator_env *env)
{
	int64_t now = sys.now_s();

	return now > env->newest_s ? now : env->newest_s;
}

/* A segment at most: larger batches have syncs enough of their own, which carry more. */
bool coordinator_is_logged(const struct coordinator *c)
{
	return c->env->config->redo != NULL && c->span == NULL && c->lines <= SEGMENT_LINES;
}

bool coordinator_open_input(struct coordinator *c, struct error *err)
{
	struct input *in = &c->files.input;
	bool is_new = c->batch.status == BATCH_VALIDATING;

	/* Of a batch that has begun every line was good: its lines have no limit. */
	if (!input_open(in, is_new ? c->env->config->rules.line_bytes : 0, err))
		return false;
	c->lines = input_lines(in);
	if (is_new || c->lines == c->batch.counts.total)
		return true;
	return fail_sys(err, EBADMSG, "%s has %llu lines, the batch has %llu",
			c->batch.input_file_id, (unsigned long long)c->lines,
			(unsigned long long)c->batch.counts.total);
}

/* Of a batch that had begun and whose input is lost, what is done can still be given out. */
static bool input_resume(struct coordinator *c, struct error *err)
{
	if (c->files.input.index != NULL || coordinator_open_input(c, err))
		return true;
	if (!data_is_lost(err))
		return false;
	log_fault("batch.input_lost", err, kv_str("batch", c->id));
	c->input_lost = true;
	c->lines = c->batch.counts.total;
	return true;
}

bool coordinator_results_open(struct coordinator *c, struct error *err)
{
	if (!coordinator_order_path(c, err))
		return false;
	if (c->span != NULL)
		coordinator_parts_name(c);
	const struct results_files files = {
		.blobs = c->env->blobs,
		.output_id = c->span != NULL ? c->span->output_part : c->batch.output_file_id,
		.error_id = c->span != NULL ? c->span->error_part : c->batch.error_file_id,
		.order_path = c->order_path,
		.of_part = c->span != NULL,
		.at_once = coordinator_is_logged(c) && c->settled == NULL &&
			   coordinator_merged(c)->segments == 0 &&
			   coordinator_merged(c)->journal_from == 0,
	};

	return results_open(&files, coordinator_merged(c), &c->results, err);
}

/* A result file that is gone, or shorter than its row says, is made anew from the journal, which
 * keeps the records of all lines until the batch is final. What is left of the files goes to
 * lost/. A crash before the row is reset leaves files that are missing: as before. After it,
 * files of no length. */
static bool results_remake(struct coordinator *c, const struct error *why, struct error *err)
{
	struct merge_state none = { .counted_tokens = coordinator_merged(c)->counted_tokens };
	int64_t at = coordinator_lost_at(c->env);

	log_write_error(LOG_WARN, "results.remade", why, LOG_FIELDS(kv_str("batch", c->id)));
	if (!blob_lose(c->env->blobs, c->batch.output_file_id, at, err) ||
	    !blob_lose(c->env->blobs, c->batch.error_file_id, at, err))
		return false;
	(void)failpoint("results.after_lost");
	if (!store_merge_put(c->env->store, c->id, &none, err))
		return false;
	coordinator_merged_set(c, &none);
	return coordinator_results_open(c, err);
}

/* 0: there is none. */
static uint64_t journal_bytes(const struct coordinator *c)
{
	char path[512];
	struct stat st;

	coordinator_journal_path(c, path, sizeof(path));
	return stat(path, &st) == 0 ? (uint64_t)st.st_size : 0;
}

/* Result files may be longer than their rows: a crash in a merge, whose lines stand in the
 * journal. If nothing stands there, the rows are those of an older database (serve --adopt), and
 * what would be cut off is all that there is of some answers: it goes to lost/. */
static bool tails_keep(struct coordinator *c, struct error *err)
{
	const struct merge_state *m = coordinator_merged(c);
	int64_t at = coordinator_lost_at(c->env);

	if (journal_bytes(c) > JOURNAL_START && journal_bytes(c) > m->journal_from)
		return true;
	return blob_lose_tail(c->env->blobs, c->batch.output_file_id, m->output_bytes, at, err) &&
	       blob_lose_tail(c->env->blobs, c->batch.error_file_id, m->error_bytes, at, err);
}

static void order_lost_tell(const struct coordinator *c, const struct error *why)
{
	log_write_error(LOG_WARN, "order.lost", why, LOG_FIELDS(kv_str("batch", c->id)));
}

bool coordinator_batches_sync(const struct coordinator *c, struct error *err)
{
	char dir[512];

	snprintf(dir, sizeof(dir), "%s/batches", c->env->data_dir);
	return sys_sync_dir(dir) || fail_sys(err, errno, "syncing %s", dir);
}

/* The order of lines that are merged can be had from the journal alone. Where that is gone as well
 * the lines are not run again for it: they stand in the result files, and not in the stream. */
static bool order_replace(struct coordinator *c, struct error *err)
{
	struct error why;
	bool begins = coordinator_merged(c)->output_bytes + coordinator_merged(c)->error_bytes == 0,
	     created;
	struct order *o;

	if (begins || c->settled != NULL || journal_bytes(c) >= coordinator_merged(c)->journal_from)
		return true;
	if (!coordinator_order_path(c, err))
		return false;
	if (access(c->order_path, F_OK) == 0)
		return true;
	(void)fail_sys(&why, ENOENT, "there is no %s, and no journal", c->order_path);
	order_lost_tell(c, &why);
	if (!order_open(c->order_path, true, &o, &created, err))
		return false;
	bool ok = order_sync(o, err);
	order_close(o);
	return ok && (!created || coordinator_batches_sync(c, err));
}

static void on_settled(void *ctx, uint32_t number, const struct order_entry *e)
{
	struct coordinator *c = ctx;

	(void)number;
	if (e->record < c->lines)
		bit_set(c->settled + e->record / 8, e->record % 8);
}

static bool order_resume(struct coordinator *c, uint32_t *ret_last, struct error *err)
{
	order_fn each = c->settled != NULL ? on_settled : NULL;

	if (results_recover(c->results, coordinator_merged(c), each, c, ret_last, err))
		return true;
	if (c->settled != NULL || err->sys != EBADMSG ||
	    journal_bytes(c) >= coordinator_merged(c)->journal_from)
		return false;
	order_lost_tell(c, err);
	return results_order_mark_lost(c->results, err);
}

static bool results_resume(struct coordinator *c, uint32_t *ret_last, struct error *err)
{
	struct merge_state m;
	struct error why;

	*ret_last = 0;
	if (!store_merge_get(c->env->store, c->id, &m, err))
		return false;
	coordinator_merged_set(c, &m);
	if (!coordinator_settled_begin(c, err) || !tails_keep(c, err) || !order_replace(c, err))
		return false;
	if (m.segments == 0 && m.output_bytes + m.error_bytes == 0)
		return true; /* the first merge makes the files, and cuts what may be there */
	bool sane = m.segments <= segments_of(c->lines) ||
		    fail_sys(&why, EBADMSG, "%s: more segments merged than there are", c->id);
	if (sane && coordinator_results_open(c, &why) && order_resume(c, ret_last, &why))
		return true;
	results_close(TAKE(c->results));
	*err = why;
	*ret_last = 0;
	return data_is_lost(&why) && coordinator_settled_begin(c, err) &&
	       results_remake(c, &why, err);
}

static void journal_tell(const struct coordinator *c, const struct journal_found *found)
{
	if (found->torn_bytes > 0)
		log_warn("journal.torn_tail_cut", kv_str("batch", c->id),
			 kv_u64("bytes", found->torn_bytes));
	if (found->damaged_bytes > 0)
		log_warn("journal.damaged", kv_str("batch", c->id), kv_u64("at", found->damaged_at),
			 kv_u64("bytes", found->damaged_bytes));
	if (found->missing_bytes > 0)
		log_warn("journal.short", kv_str("batch", c->id),
			 kv_u64("bytes", found->missing_bytes));
}

/* One that is no journal any more goes to lost/, and another is begun: its lines run again. */
static bool journal_replace(struct coordinator *c, const char *path, const struct error *why,
			    struct error *err)
{
	log_write_error(LOG_WARN, "journal.replaced", why, LOG_FIELDS(kv_str("batch", c->id)));
	return lost_take(c->env->data_dir, coordinator_lost_at(c->env), "batches",
			 strrchr(path, '/') + 1, err);
}

static bool journal_resume(struct coordinator *c, struct error *err)
{
	char path[512];
	struct error why;
	struct journal_found found;
	uint64_t from = coordinator_merged(c)->journal_from;

	c->records_lost = false;
	if (c->journal_unreadable)
		return true;
	coordinator_journal_path(c, path, sizeof(path));
	const struct journal_log log = {
		.redo = coordinator_is_logged(c) ? c->env->config->redo : NULL,
		/* by redo_settle(), at the start */
		.is_synced = c->env->config->redo != NULL && c->reopened == 0,
	};
	bool ok = journal_open_logged(path, from, c->lines, lessor_memory_found, c->lessor, &log,
				      &c->files.journal, &found, &why);
	if (!ok) {
		*err = why;
		c->records_lost = true;
		if (why.sys != EBADMSG || !journal_replace(c, path, &why, err))
			return false;
		ok = journal_open_logged(path, from, c->lines, lessor_memory_found, c->lessor, &log,
					 &c->files.journal, &found, err);
	}
	if (ok)
		journal_tell(c, &found);
	if (ok && (found.damaged_bytes > 0 || found.missing_bytes > 0))
		c->records_lost = true;
	return ok;
}

/* `last` is the greatest number in the order. */
static bool numbers_resume(struct coordinator *c, uint32_t last, struct error *err)
{
	if (c->files.journal != NULL)
		journal_number_raise(c->files.journal, last);
	c->numbers.last = last;
	c->numbers.stale_first = c->numbers.stale_last = 0; /* order_recover() has seen to them */
	lessor_memory_show(c->lessor, last);
	coordinator_merged_show(c);
	return c->results == NULL || !results_order_is_new(c->results) ||
	       coordinator_batches_sync(c, err);
}

bool coordinator_open(struct coordinator *c, struct error *err)
{
	uint32_t last;

	if (!input_resume(c, err))
		return false;
	if (c->span != NULL)
		return coordinator_span_open(c, err);
	if (!results_resume(c, &last, err))
		return false;
	const struct merge_state *m = coordinator_merged(c);
	pthread_mutex_lock(&c->lock);
	c->counted = m->counted_tokens;
	pthread_mutex_unlock(&c->lock);
	const struct ended_sums sums = { .counts = m->counts,
					 .usage = m->usage,
					 .causes = m->causes };
	if (!lessor_memory_open(c->lessor, c->lines, m->segments, m->journal_from, &sums, err))
		return false;
	lessor_memory_settled(c->lessor, c->settled, m->journal_from);
	if (!journal_resume(c, err) || !numbers_resume(c, last, err))
		return false;
	lessor_memory_found_all(c->lessor);
	return true;
}

void coordinator_close(struct coordinator *c)
{
	results_close(TAKE(c->results));
	shares_done(&c->shares);
	open_files_close(&c->files);
	lessor_memory_close(c->lessor);
	c->input_lost = false;
}
