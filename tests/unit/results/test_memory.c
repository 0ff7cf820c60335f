/* Memory runs out while segments are merged: nothing is counted, and doing it again gives all
 * lines, those that are missing with the custom_id that they had. */
#include "memory_fault.h"

#include "results/results.h"

#define LINES 100
#define MISSING 42
#define OUTPUT_ID "file-out"
#define ERROR_ID "file-err"

static char *dir;
static struct blobs *blobs;
static struct journal *journal;

static int no_sync(int fd)
{
	(void)fd;
	return 0;
}

static void nothing(void *ctx, const struct journal_head *head, uint64_t at)
{
	(void)ctx;
	(void)head;
	(void)at;
}

static void journal_fill(void)
{
	char path[PATH_MAX];
	struct error err;
	struct journal_found found;

	snprintf(path, sizeof(path), "%s/b.journal", dir);
	assert_true(
		journal_open(path, JOURNAL_START, LINES, nothing, NULL, &journal, &found, &err));
	for (unsigned record = 0; record < LINES; record++) {
		struct buf line = BUF(4096);
		char id[32];
		snprintf(id, sizeof(id), "id-%u", record);
		struct outcome *o = outcome_new(NULL, record, slice_of(id));
		o->attempts = 1;
		o->http_status = record % 5 == 0 ? 404 : 200;
		o->body = BUF(4096);
		buf_printf(&o->body, "{\"text\":\"%0*u\"}", 700, record);
		assert_true(journal_encode(o, &line));
		if (record != MISSING)
			assert_true(journal_append(journal, buf_slice(&line), &err));
		buf_free(&line);
		outcome_free(o);
	}
	assert_true(journal_sync(journal, &err));
}

static uint32_t number(void *ctx)
{
	(void)ctx;
	return LINES + 1;
}

static bool open_files(const struct merge_state *m, struct results **ret, struct error *err)
{
	static char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/b.order", dir);
	const struct results_files files = { blobs, OUTPUT_ID, ERROR_ID, path };
	return results_open(&files, m, ret, err);
}

static bool custom_id(void *ctx, uint64_t record, struct buf *to)
{
	(void)ctx;
	buf_printf(to, "id-%u", (unsigned)record);
	return true;
}

static bool merge(struct results *r, struct merge_state *m, struct error *err)
{
	struct results_segment segment = {
		.lines = LINES,
		.journal_at = JOURNAL_START,
		.journal_end = journal_end(journal),
		.missing = OUTCOME_EXPIRED,
		.number = number,
	};
	bool damaged = false;
	bool ok = results_append(r, journal, &segment, custom_id, NULL, m, &damaged, err) &&
		  results_sync(r, err);

	assert_false(damaged);
	return ok;
}

/* How many lines of a result file have a custom_id. */
static unsigned lines_of(const char *id)
{
	char path[PATH_MAX], *line = NULL;
	size_t cap = 0;
	unsigned n = 0;

	snprintf(path, sizeof(path), "%s/files/%s.jsonl", dir, id);
	FILE *f = fopen(path, "r");
	assert_non_null(f);
	while (getline(&line, &cap, f) > 0)
		n += strstr(line, "\"custom_id\":\"id-") != NULL;
	free(line);
	fclose(f);
	return n;
}

static void check(const struct merge_state *m)
{
	struct error err;

	assert_int_equal(m->counts.expired, 1);
	assert_int_equal(m->counts.completed, LINES - LINES / 5 - 1);
	assert_int_equal(lines_of(OUTPUT_ID), m->counts.completed);
	assert_int_equal(lines_of(ERROR_ID), LINES / 5 + 1);
	assert_true(blob_remove(blobs, OUTPUT_ID, &err) && blob_remove(blobs, ERROR_ID, &err));
}

static void merging(void **state)
{
	struct error err;

	(void)state;
	sys.fsync = sys.fdatasync = no_sync;
	dir = scratch_dir_new();
	assert_true(blobs_open(dir, NULL, &blobs, &err));
	journal_fill();
	for (struct memory_sweep s = MEMORY_SWEEP; memory_sweep_next(&s);) {
		struct merge_state m = { 0 }, none = { 0 };
		struct results *r = NULL;
		memory_fail(&s);
		bool ok = open_files(&m, &r, &err) && merge(r, &m, &err);
		memory_restore(&s);
		assert_true(ok == !s.fired);
		if (!ok) {
			assert_no_memory(&err);
			assert_memory_equal(&m, &none, sizeof(m));
			if (r != NULL)
				results_rewind(r, &m);
			else
				assert_true(open_files(&m, &r, &err));
			assert_true(merge(r, &m, &err));
		}
		results_close(r);
		check(&m);
	}
	journal_close(journal);
	blobs_close(blobs);
	scratch_dir_remove(dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(merging),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
