/* test_results.c: segments become sorted files; missing and damaged lines; any single fault. */
#include "unit.h"

#include <fcntl.h>

#include "blob_fake.h"
#include "results/results.h"

#define OUTPUT_ID "file-out"
#define ERROR_ID "file-err"

struct world {
	char *dir;
	char order_path[PATH_MAX];
	struct blobs *blobs;
	struct journal *journal;
};

static void nothing(void *ctx, const struct journal_head *head, uint64_t at)
{
	(void)ctx;
	(void)head;
	(void)at;
}

static uint32_t numbers_given;

/* Of lines without a record: behind those that have one. */
static uint32_t number(void *ctx)
{
	(void)ctx;
	return 1000000 + ++numbers_given;
}

static bool open_files(struct world *w, const struct merge_state *m, struct results **ret,
		       struct error *err)
{
	const struct results_files files = { w->blobs, OUTPUT_ID, ERROR_ID, w->order_path };

	numbers_given = 0;
	return results_open(&files, m, ret, err);
}

static bool custom_id(void *ctx, uint64_t record, struct buf *to)
{
	(void)ctx;
	buf_printf(to, "id-%d", (int)record);
	return true;
}

/* Records of `lines` lines in a scrambled order, `skip` left out; every fifth failed. */
static void journal_fill(struct world *w, unsigned lines, unsigned skip, size_t padding)
{
	struct error err;
	for (unsigned k = 0; k < lines; k++) {
		unsigned record = (k * 7u + 3u) % lines;
		char id[32];
		if (record == skip)
			continue;
		snprintf(id, sizeof(id), "id-%u", record);
		struct outcome *o = outcome_new(NULL, record, slice_of(id));
		struct buf group = BUF(8 << 20);
		o->attempts = 2;
		o->number = journal_number_take(w->journal);
		o->http_status = record % 5 == 0 ? 404 : 200;
		o->body = BUF(4 << 20);
		buf_text(&o->body,
			 "{\"usage\":{\"prompt_tokens\":1,\"completion_tokens\":2},\"p\":\"");
		for (size_t i = 0; i < padding; i++)
			buf_char(&o->body, 'p');
		buf_text(&o->body, "\"}");
		assert_true(journal_encode(o, &group));
		assert_true(journal_append(w->journal, buf_slice(&group), &err));
		buf_free(&group);
		outcome_free(o);
	}
	assert_true(journal_sync(w->journal, &err));
}

static void world_open(struct world *w)
{
	char path[PATH_MAX];
	struct error err;
	struct journal_found found;
	w->dir = scratch_dir_new();
	assert_true(blobs_open(w->dir, NULL, &w->blobs, &err));
	snprintf(path, sizeof(path), "%s/b.journal", w->dir);
	snprintf(w->order_path, sizeof(w->order_path), "%.4000s/b.order", w->dir);
	assert_true(
		journal_open(path, JOURNAL_START, 10000, nothing, NULL, &w->journal, &found, &err));
}

static void world_close(struct world *w)
{
	journal_close(w->journal);
	blobs_close(w->blobs);
	scratch_dir_remove(w->dir);
}

/* Reads a result file: that its custom_ids ascend, and how many lines it has. */
static unsigned lines_ascending(const struct world *w, const char *id)
{
	char path[PATH_MAX];
	size_t cap = 0;
	char *line = NULL;
	long last = -1;
	unsigned n = 0;
	snprintf(path, sizeof(path), "%s/files/%s.jsonl", w->dir, id);
	FILE *f = fopen(path, "r");
	assert_non_null(f);
	while (getline(&line, &cap, f) > 0) {
		const char *at = strstr(line, "\"custom_id\":\"id-");
		assert_non_null(at);
		long number = strtol(at + 16, NULL, 10);
		assert_true(number > last);
		last = number;
		n++;
	}
	free(line);
	fclose(f);
	return n;
}

static struct blob_reader *reader_of(const char *path)
{
	struct blob_reader *reader;
	struct error err;
	int fd = open(path, O_RDONLY);
	assert_true(fd >= 0);
	assert_true(blob_reader_of_file(fd, path, &reader, &err));
	return reader;
}

/* The number that the `k`-th record of journal_fill() has, from 0, is that of its line in the order:
 * its bytes in the result files begin as that line does. */
static void order_is_that_of_the_journal(struct world *w, unsigned lines,
					 const struct merge_state *m)
{
	struct blob_reader *order = reader_of(w->order_path), *files[2];
	struct error err;
	assert_true(blob_open(w->blobs, OUTPUT_ID, BLOB_DATA, &files[0], &err));
	assert_true(blob_open(w->blobs, ERROR_ID, BLOB_DATA, &files[1], &err));
	for (unsigned k = 0; k < lines; k++) {
		struct order_entry e;
		char line[100] = "", want[40];
		size_t n;
		assert_true(order_read(order, k + 1, &e, 1, &n, &err));
		assert_int_equal(n, 1);
		assert_true(order_counts(&e, m->output_bytes, m->error_bytes));
		assert_int_equal(e.record, (k * 7u + 3u) % lines);
		bool error = (e.place & ORDER_ERROR) != 0;
		assert_int_equal(error, e.record % 5 == 0);
		assert_true(blob_read_at(files[error], e.place & ~ORDER_ERROR, line, 90, &err));
		snprintf(want, sizeof(want), "\"custom_id\":\"id-%u\"", e.record);
		assert_non_null(strstr(line, want));
		uint64_t last = (e.place & ~ORDER_ERROR) + e.length - 1;
		assert_true(blob_read_at(files[error], last, line, 1, &err));
		assert_int_equal(line[0], '\n');
	}
	blob_reader_close(order);
	blob_reader_close(files[0]);
	blob_reader_close(files[1]);
}

static bool merge(struct world *w, struct results *r, unsigned lines, enum outcome_fault missing,
		  struct merge_state *m, struct error *err)
{
	for (unsigned first = (unsigned)m->segments * SEGMENT_LINES; first < lines;
	     first += SEGMENT_LINES) {
		struct results_segment s = {
			.first = first,
			.lines = lines - first < SEGMENT_LINES ? lines - first : SEGMENT_LINES,
			.journal_at = JOURNAL_START,
			.journal_end = journal_end(w->journal),
			.missing = missing,
			.number = number,
		};
		bool damaged;
		if (!results_append(r, w->journal, &s, custom_id, NULL, m, &damaged, err))
			return false;
		assert_false(damaged);
		m->segments++;
	}
	return results_sync(r, err);
}

static void sorted_and_counted(void **state)
{
	(void)state;
	struct world w;
	struct results *r;
	struct error err;
	struct merge_state m = { 0 };
	world_open(&w);
	journal_fill(&w, 2501, UINT32_MAX, 10);
	assert_true(open_files(&w, &m, &r, &err));
	assert_true(merge(&w, r, 2501, OUTCOME_ANSWERED, &m, &err));
	results_close(r);
	assert_int_equal(lines_ascending(&w, OUTPUT_ID), 2000);
	assert_int_equal(lines_ascending(&w, ERROR_ID), 501);
	assert_int_equal(m.counts.completed, 2000);
	assert_int_equal(m.counts.failed, 501);
	assert_int_equal(m.counts.retried, 2501);
	assert_int_equal(m.usage.total, 6000);
	order_is_that_of_the_journal(&w, 2501, &m);
	world_close(&w);
}

static void missing_lines_are_written(void **state)
{
	(void)state;
	struct world w;
	struct results *r;
	struct error err;
	struct merge_state m = { 0 };
	world_open(&w);
	journal_fill(&w, 100, 42, 10);
	assert_true(open_files(&w, &m, &r, &err));
	assert_true(merge(&w, r, 100, OUTCOME_EXPIRED, &m, &err));
	results_close(r);
	assert_int_equal(m.counts.expired, 1);
	assert_int_equal(m.counts.completed + m.counts.failed, 99);
	assert_int_equal(lines_ascending(&w, OUTPUT_ID) + lines_ascending(&w, ERROR_ID), 100);
	world_close(&w);
}

static void byte_set(const struct world *w, uint64_t at, char byte)
{
	char path[PATH_MAX];
	snprintf(path, sizeof(path), "%s/b.journal", w->dir);
	int fd = open(path, O_RDWR);
	assert_int_equal(pwrite(fd, &byte, 1, (off_t)at), 1);
	close(fd);
}

/* Damage since the lines ended costs the line that it hit: one more that did not end. While all are
 * expected it is told, and nothing counts. Lines longer than the copy buffer, and short ones; in a
 * head's length, so that the next head is nowhere, and in a line. */
static void damage_costs_the_line_that_it_hit(void **state)
{
	(void)state;
	const struct {
		size_t padding;
		uint64_t at;
	} hits[] = { { 700000, 500000 },
		     { 700000, JOURNAL_START + 8 },
		     { 10, JOURNAL_START + 9 },
		     { 10, JOURNAL_START + 60 },
		     { 10, JOURNAL_START + 12 } /* record */ };
	for (size_t i = 0; i < ARRAY_LEN(hits); i++) {
		struct world w;
		struct results *r;
		struct error err;
		struct merge_state m = { 0 }, none = { 0 };
		bool damaged;
		world_open(&w);
		journal_fill(&w, 4, UINT32_MAX, hits[i].padding);
		byte_set(&w, hits[i].at, hits[i].at == JOURNAL_START + 12 ? 1 : 'Q');
		assert_true(open_files(&w, &m, &r, &err));
		struct results_segment s = { .lines = 4,
					     .journal_at = JOURNAL_START,
					     .journal_end = journal_end(w.journal) };
		assert_true(results_append(r, w.journal, &s, custom_id, NULL, &m, &damaged, &err));
		assert_true(damaged);
		assert_memory_equal(&m, &none, sizeof(m));
		results_rewind(r, &m);
		assert_true(merge(&w, r, 4, OUTCOME_CANCELLED, &m, &err));
		results_close(r);
		assert_int_equal(m.counts.cancelled, 1);
		assert_int_equal(m.counts.completed + m.counts.failed, 3);
		assert_int_equal(lines_ascending(&w, OUTPUT_ID) + lines_ascending(&w, ERROR_ID), 4);
		world_close(&w);
	}
}

/* A journal that cannot be read at all: what was merged before is whole, the rest is missing. */
static void without_a_journal_all_lines_are_missing(void **state)
{
	(void)state;
	struct world w;
	struct results *r;
	struct error err;
	struct merge_state m = { 0 };
	struct results_segment s = { .lines = 10,
				     .missing = OUTCOME_BATCH_FAILED,
				     .number = number };
	bool damaged;
	world_open(&w);
	assert_true(open_files(&w, &m, &r, &err));
	assert_true(results_append(r, NULL, &s, custom_id, NULL, &m, &damaged, &err));
	results_close(r);
	assert_false(damaged);
	assert_int_equal(m.counts.failed, 10);
	assert_int_equal(lines_ascending(&w, ERROR_ID), 10);
	world_close(&w);
}

static void any_single_fault_is_healed_by_doing_it_again(void **state)
{
	(void)state;
	bool fired = true;
	for (int nth = 1; fired; nth++) {
		struct world w;
		struct results *r = NULL;
		struct error err;
		struct merge_state m = { 0 }, none = { 0 };
		world_open(&w);
		journal_fill(&w, 1500, UINT32_MAX, 200);
		sys_fail_nth(nth, ENOSPC);
		bool ok = open_files(&w, &m, &r, &err) &&
			  merge(&w, r, 1500, OUTCOME_ANSWERED, &m, &err);
		fired = sys_restore();
		assert_int_equal(ok, !fired);
		if (!ok) {
			/* nothing was recorded in the store: as after a crash */
			results_close(r);
			m = none;
			assert_true(open_files(&w, &m, &r, &err));
			assert_true(merge(&w, r, 1500, OUTCOME_ANSWERED, &m, &err));
		}
		results_close(r);
		assert_int_equal(lines_ascending(&w, OUTPUT_ID), 1200);
		assert_int_equal(lines_ascending(&w, ERROR_ID), 300);
		order_is_that_of_the_journal(&w, 1500, &m);
		world_close(&w);
	}
}

/* Output order "completion": all records of the journal in turn, in one merge. */
static bool run_all(struct world *w, struct results *r, struct results_run *run,
		    struct merge_state *m, struct error *err)
{
	run->from = JOURNAL_START;
	run->end = journal_end(w->journal);
	return results_append_run(r, w->journal, run, m, err) && results_sync(r, err);
}

static void a_run_is_in_the_order_of_the_journal(void **state)
{
	(void)state;
	bool fired = true;
	for (int nth = 1; fired; nth++) {
		struct results_run *run = calloc(1, sizeof(*run));
		uint8_t settled[1500 / 8 + 1] = { 0 }, none[sizeof(settled)] = { 0 };
		struct merge_state m = { 0 }, nothing_merged = { 0 };
		struct results *r = NULL;
		struct world w;
		struct error err;
		assert_non_null(run);
		run->records = 1500;
		run->settled = settled;
		run->number = number;
		world_open(&w);
		journal_fill(&w, 1500, UINT32_MAX, 200);
		assert_true(open_files(&w, &m, &r, &err));
		sys_fail_nth(nth, ENOSPC);
		bool ok = run_all(&w, r, run, &m, &err);
		fired = sys_restore();
		assert_int_equal(ok, !fired);
		if (!ok) {
			m = nothing_merged;
			results_rewind(r, &m);
			results_run_undo(run);
			assert_memory_equal(settled, none, sizeof(none));
			assert_true(run_all(&w, r, run, &m, &err));
		}
		assert_int_equal(run->from, run->end);
		assert_int_equal(m.output_lines, 1200);
		assert_int_equal(m.error_lines, 300);
		assert_int_equal(m.counts.completed, 1200);
		order_is_that_of_the_journal(&w, 1500, &m);
		/* what is settled is left as it is; the next line stands behind the one before */
		struct merge_state before = m;
		assert_true(run_all(&w, r, run, &m, &err));
		assert_memory_equal(&m, &before, sizeof(m));
		struct results_segment s = { .lines = 1024, .settled = settled };
		bool damaged;
		assert_true(results_append(r, w.journal, &s, custom_id, NULL, &m, &damaged, &err));
		assert_false(damaged);
		assert_memory_equal(&m, &before, sizeof(m));
		settled[7] &= 0xFE; /* one that had ended and has no record */
		assert_true(results_append(r, w.journal, &s, custom_id, NULL, &m, &damaged, &err));
		assert_true(damaged);
		results_close(r);
		free(run);
		world_close(&w);
	}
}

/* What a power cut would leave of a result file. */
static struct buf durable(const struct world *w, const char *id)
{
	struct slice bytes = blob_fake_durable(w->blobs, id, BLOB_DATA);
	struct buf copy = BUF(16 << 20);

	buf_add(&copy, bytes);
	return copy;
}

static bool all_merged(struct world *w, struct results *r, struct merge_state *m, struct error *err)
{
	if (!merge(w, r, 1500, OUTCOME_ANSWERED, m, err))
		return false;
	results_keep(r, m);
	return true;
}

/* Result files of a store in memory: any fault is healed by a rewind, and what is in the books is
 * durable. */
/* Whatever numbers its journal has, which is made of several nodes'; also where a merge has failed. */
static void a_part_is_numbered_as_its_lines_are_appended(void **state)
{
	(void)state;
	struct world w;
	struct results *r;
	struct error err;
	struct merge_state m = { 0 };
	const unsigned lines = SEGMENT_LINES + 500;
	world_open(&w);
	journal_fill(&w, lines, 77, 10);
	const struct results_files files = { w.blobs, OUTPUT_ID, ERROR_ID, w.order_path,
					     .of_part = true };
	assert_true(results_open(&files, &m, &r, &err));
	assert_true(merge(&w, r, SEGMENT_LINES, OUTCOME_CANCELLED, &m, &err));
	struct merge_state tried = m;
	assert_true(merge(&w, r, lines, OUTCOME_CANCELLED, &tried, &err));
	results_rewind(r, &m);
	results_close(r);
	assert_true(results_open(&files, &m, &r, &err));
	assert_true(merge(&w, r, lines, OUTCOME_CANCELLED, &m, &err));
	results_close(r);
	assert_int_equal(m.counts.cancelled, 1);
	struct blob_reader *order = reader_of(w.order_path);
	assert_int_equal(blob_bytes(order), (uint64_t)(lines + 1) * ORDER_ENTRY_BYTES);
	for (unsigned i = 0; i < lines; i++) {
		struct order_entry e;
		size_t n;
		assert_true(order_read(order, i + 1, &e, 1, &n, &err));
		assert_int_equal(e.record, i);
		assert_true(order_counts(&e, m.output_bytes, m.error_bytes));
	}
	blob_reader_close(order);
	world_close(&w);
}

static void results_need_no_files(void **state)
{
	struct buf want_output = BUF(0), want_error = BUF(0);
	struct world w;
	bool fired = true;

	(void)state;
	world_open(&w);
	journal_fill(&w, 1500, UINT32_MAX, 200);
	blobs_close(w.blobs);
	w.blobs = blob_fake_new();
	for (unsigned nth = 0; nth == 0 || fired; nth++) {
		struct merge_state m = { 0 }, none = { 0 };
		struct results *r = NULL;
		struct error err;
		blob_fake_fail_nth(w.blobs, nth, ENOSPC);
		bool ok = open_files(&w, &m, &r, &err) && all_merged(&w, r, &m, &err);
		fired = blob_fake_restore(w.blobs);
		assert_int_equal(ok, !fired);
		if (r != NULL && !ok) {
			results_rewind(r, &none);
			m = none;
			assert_true(all_merged(&w, r, &m, &err));
		} else if (!ok) {
			assert_true(open_files(&w, &m, &r, &err));
			assert_true(all_merged(&w, r, &m, &err));
		}
		results_close(r);
		struct buf output = durable(&w, OUTPUT_ID), error = durable(&w, ERROR_ID);
		assert_true(output.n == m.output_bytes && error.n == m.error_bytes);
		if (nth == 0) {
			want_output = output;
			want_error = error;
		} else {
			assert_true(slice_eq(buf_slice(&output), buf_slice(&want_output)));
			assert_true(slice_eq(buf_slice(&error), buf_slice(&want_error)));
			buf_free(&output);
			buf_free(&error);
		}
		assert_true(blob_remove(w.blobs, OUTPUT_ID, &err));
		assert_true(blob_remove(w.blobs, ERROR_ID, &err));
	}
	buf_free(&want_output);
	buf_free(&want_error);
	world_close(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sorted_and_counted),
		cmocka_unit_test(missing_lines_are_written),
		cmocka_unit_test(damage_costs_the_line_that_it_hit),
		cmocka_unit_test(without_a_journal_all_lines_are_missing),
		cmocka_unit_test(any_single_fault_is_healed_by_doing_it_again),
		cmocka_unit_test(a_run_is_in_the_order_of_the_journal),
		cmocka_unit_test(a_part_is_numbered_as_its_lines_are_appended),
		cmocka_unit_test(results_need_no_files),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
