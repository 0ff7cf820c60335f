/* run_open.c: a run opens what is on disk, mends what can be mended, and goes on where the store and the
 * journal say. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "base/sys.h"
#include "blob/lost.h"
#include "pipeline/run_impl.h"

bool run_is_lost(const struct error *err)
{
	return err->kind == ERR_NOT_FOUND || err->sys == EBADMSG || err->sys == ENOENT ||
	       err->sys == ENODATA;
}

void run_journal_path(const struct run *run, char *to, size_t size)
{
	snprintf(to, size, "%s/batches/%s.journal", run->env->data_dir, run->id);
}

/* Of a batch that had begun and whose input is lost, what is done can still be given out. */
static bool input_resume(struct run *run, struct error *err)
{
	if (run->index != NULL || run_input_open(run, err))
		return true;
	if (!run_is_lost(err))
		return false;
	log_fault("batch.input_lost", err, kv_str("batch", run->id));
	run->input_lost = true;
	run->lines = run->batch.counts.total;
	return true;
}

/* A result file that is gone, or shorter than its row says, is made anew from the journal, which keeps
 * the records of all lines until the batch is final. What is left of the files goes to lost/. A crash
 * before the row is reset leaves files that are missing: as before. After it, files of no length. */
static bool results_remake(struct run *run, const struct error *why, struct error *err)
{
	struct merge_state none = { 0 };
	int64_t at = run_env_lost_at(run->env);
	log_write_error(LOG_WARN, "results.remade", why, LOG_FIELDS(kv_str("batch", run->id)));
	if (!blob_lose(run->env->blobs, run->batch.output_file_id, at, err) ||
	    !blob_lose(run->env->blobs, run->batch.error_file_id, at, err))
		return false;
	(void)failpoint("results.after_lost");
	if (!store_merge_put(run->env->store, run->id, &none, err))
		return false;
	run->merged = none;
	return results_open(run->env->blobs, run->batch.output_file_id, run->batch.error_file_id,
			    &run->merged, &run->results, err);
}

/* Result files may be longer than their rows: a crash in a merge, whose lines stand in the journal. If
 * nothing stands there, the rows are those of an older database (serve --adopt), and what would be cut
 * off is all that there is of some answers: it goes to lost/. */
static bool tails_keep(struct run *run, struct error *err)
{
	const struct merge_state *m = &run->merged;
	int64_t at = run_env_lost_at(run->env);
	char path[512];
	struct stat st;
	run_journal_path(run, path, sizeof(path));
	if (stat(path, &st) == 0 && st.st_size > JOURNAL_START &&
	    (uint64_t)st.st_size > m->journal_from)
		return true;
	return blob_lose_tail(run->env->blobs, run->batch.output_file_id, m->output_bytes, at,
			      err) &&
	       blob_lose_tail(run->env->blobs, run->batch.error_file_id, m->error_bytes, at, err);
}

static bool results_resume(struct run *run, struct error *err)
{
	struct error why;
	if (!store_merge_get(run->env->store, run->id, &run->merged, err) || !tails_keep(run, err))
		return false;
	bool sane = run->merged.segments <= segments_of(run->lines) ||
		    fail_sys(&why, EBADMSG, "%s: more segments merged than there are", run->id);
	if (sane && results_open(run->env->blobs, run->batch.output_file_id,
				 run->batch.error_file_id, &run->merged, &run->results, &why))
		return true;
	*err = why;
	return run_is_lost(&why) && results_remake(run, &why, err);
}

static void journal_tell(const struct run *run, const struct journal_found *found)
{
	if (found->torn_bytes > 0)
		log_warn("journal.torn_tail_cut", kv_str("batch", run->id),
			 kv_u64("bytes", found->torn_bytes));
	if (found->damaged_bytes > 0)
		log_warn("journal.damaged", kv_str("batch", run->id),
			 kv_u64("at", found->damaged_at), kv_u64("bytes", found->damaged_bytes));
	if (found->missing_bytes > 0)
		log_warn("journal.short", kv_str("batch", run->id),
			 kv_u64("bytes", found->missing_bytes));
}

/* One that is no journal any more goes to lost/, and another is begun: its lines run again. */
static bool journal_replace(struct run *run, const char *path, const struct error *why,
			    struct error *err)
{
	log_write_error(LOG_WARN, "journal.replaced", why, LOG_FIELDS(kv_str("batch", run->id)));
	return lost_take(run->env->data_dir, run_env_lost_at(run->env), "batches",
			 strrchr(path, '/') + 1, err);
}

static bool journal_resume(struct run *run, struct error *err)
{
	char path[512];
	struct error why;
	struct journal_found found;
	uint64_t from = run->merged.journal_from;
	if (run->journal_unreadable)
		return true;
	run_journal_path(run, path, sizeof(path));
	bool ok = journal_open(path, from, run->lines, run_replay, run, &run->journal, &found,
			       &why);
	if (!ok) {
		*err = why;
		if (why.sys != EBADMSG || !journal_replace(run, path, &why, err))
			return false;
		ok = journal_open(path, from, run->lines, run_replay, run, &run->journal, &found,
				  err);
	}
	if (ok)
		journal_tell(run, &found);
	return ok;
}

bool run_open(struct run *run, struct error *err)
{
	if (!input_resume(run, err) || !results_resume(run, err))
		return false;
	uint64_t from = run->merged.journal_from;
	struct segment_set *segments;
	if (!segment_set_new(run->lines, run->merged.segments,
			     from < JOURNAL_START ? JOURNAL_START : from, &segments, err))
		return false;
	pthread_mutex_lock(&run->lock);
	run->segments = segments;
	run->counts = run->merged.counts;
	run->usage = run->merged.usage;
	run->causes = run->merged.causes;
	run->lease_at = run->merged.segments;
	pthread_mutex_unlock(&run->lock);
	if (!journal_resume(run, err))
		return false;
	run_causes_complete(run);
	return true;
}

void run_close(struct run *run)
{
	run_files_remove(run);
	results_close(TAKE(run->results));
	journal_close(TAKE(run->journal));
	index_close(TAKE(run->index));
	free(TAKE(run->cache));
	run->cache_n = 0;
	if (run->blob_fd >= 0)
		close(run->blob_fd);
	run->blob_fd = -1;
	pthread_mutex_lock(&run->lock);
	segment_set_free(TAKE(run->segments));
	pthread_mutex_unlock(&run->lock);
	run->input_lost = false;
}
