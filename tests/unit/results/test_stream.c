/* test_stream.c: the order of lines, and pages of them from result files and journal (11.3). */
#include "unit.h"

#include <dirent.h>
#include <fcntl.h>

#include "results/order.h"
#include "results/stream.h"

#define LINES 200u
#define OUTPUT_ID "file-out"

static char *dir, path[2][PATH_MAX]; /* journal, order */
static struct blobs *blobs;
static uint64_t places[LINES + 1]; /* of the records, by number */
static uint64_t end;

static void nothing(void *ctx, const struct journal_head *head, uint64_t at)
{
	(void)ctx;
	(void)head;
	(void)at;
}

/* The line of number `n`: longer ones too. */
static size_t line_make(uint32_t n, char to[static 3000])
{
	int length = snprintf(to, 3000, "{\"n\":%u,\"pad\":\"%*s\"}\n", n, (int)(n * 37 % 2500),
			      "");
	return (size_t)length;
}

static int world_open(void **state)
{
	struct journal_found found;
	struct journal *j;
	struct error err;

	(void)state;
	dir = scratch_dir_new();
	snprintf(path[0], PATH_MAX, "%s/b.journal", dir);
	snprintf(path[1], PATH_MAX, "%s/b.order", dir);
	assert_true(blobs_open(dir, NULL, &blobs, &err));
	assert_true(journal_open(path[0], JOURNAL_START, LINES, nothing, NULL, &j, &found, &err));
	for (uint32_t n = 1; n <= LINES; n++) {
		struct buf record = BUF(1 << 20);
		char line[3000];
		struct journal_head about = { .record = LINES - n,
					      .kind = JOURNAL_OUTPUT,
					      .number = journal_number_take(j) };
		size_t length = line_make(n, line);
		places[n] = journal_end(j);
		assert_true(journal_encode_line(&about, (struct slice){ line, length }, &record));
		assert_true(journal_append(j, buf_slice(&record), &err));
		buf_free(&record);
	}
	assert_true(journal_sync(j, &err));
	end = journal_end(j);
	journal_close(j);
	return 0;
}

static int world_close(void **state)
{
	(void)state;
	blobs_close(blobs);
	scratch_dir_remove(dir);
	return 0;
}

/* "Merges" the numbers up to `last`, the other way round; those divisible by `hole` not (0: none). */
static void merge(uint32_t last, uint32_t hole, struct merge_state *m)
{
	struct blob_appender *output;
	struct order *order;
	struct error err;
	bool created;

	*m = (struct merge_state){ 0 };
	assert_true(blob_append_open(blobs, OUTPUT_ID, 0, &output, &err));
	assert_true(order_open(path[1], true, &order, &created, &err));
	assert_true(created);
	for (uint32_t n = last; n > 0; n--) {
		char line[3000];
		size_t length = line_make(n, line);
		if (hole > 0 && n % hole == 0)
			continue;
		struct order_note note = {
			n, { blob_appended_bytes(output), (uint32_t)length, LINES - n }
		};
		assert_true(blob_append(output, (struct slice){ line, length }, &err));
		assert_true(order_put(order, &note, 1, &err));
		m->output_lines++;
	}
	assert_true(blob_append_sync(output, &err) && order_sync(order, &err));
	m->output_bytes = blob_appended_bytes(output);
	blob_append_close(output);
	order_close(order);
}

static struct blob_reader *file_reader(const char *name)
{
	struct blob_reader *reader;
	struct error err;
	int fd = open(name, O_RDONLY | O_CLOEXEC);

	assert_true(fd >= 0);
	assert_true(blob_reader_of_file(fd, name, &reader, &err));
	return reader;
}

/* All that can be read, of which `merged` says what is merged; the journal unless `journal` is
 * false. */
static struct stream *page(const struct merge_state *merged, bool journal, uint32_t after,
			   uint32_t limit)
{
	struct stream_sources s = { .output_bytes = merged->output_bytes,
				    .journal_at = JOURNAL_START,
				    .journal_end = end,
				    .records = LINES,
				    .last = LINES };
	struct stream *stream;
	struct error err;

	if (merged->output_bytes > 0) {
		s.order = file_reader(path[1]);
		assert_true(blob_open(blobs, OUTPUT_ID, BLOB_DATA, &s.output, &err));
	}
	if (journal)
		assert_true(journal_open_to_read(path[0], end, &s.journal, &err));
	assert_true(stream_open(&s, after, limit, NULL, &stream, &err));
	return stream;
}

struct seen {
	uint32_t number;
	uint64_t at;
};

/* Lines come in their order, each where it stands, and as whose. */
static void on_line(void *ctx, const struct stream_line *line)
{
	struct seen *seen = ctx;
	char text[3000];

	assert_true(line->number > seen->number);
	assert_int_equal(line->at, seen->at);
	assert_int_equal(line->record, LINES - line->number);
	assert_int_equal(line->length, line_make(line->number, text));
	*seen = (struct seen){ line->number, line->at + line->length };
}

/* Reads the page in pieces of `piece` bytes: lines first .. last but those divisible by `hole`. */
static void check(struct stream *s, uint32_t first, uint32_t last, uint32_t hole, size_t piece)
{
	static char want[LINES * 3000], got[LINES * 3000];
	size_t n = 0, some;
	struct error err;

	struct seen seen = { .number = first - 1 };
	stream_each(s, on_line, &seen);
	assert_int_equal(seen.at, stream_bytes(s));
	assert_int_equal(stream_last(s), last);
	for (uint32_t i = first; i <= last; i++)
		if (hole == 0 || i % hole != 0)
			n += line_make(i, want + n);
	assert_int_equal(stream_bytes(s), n);
	for (uint64_t at = 0; at < n; at += some) {
		assert_true(stream_read(s, at, got + at, piece, &some, &err));
		assert_true(some > 0 && some <= piece);
	}
	assert_true(stream_read(s, n, got, piece, &some, &err) && some == 0);
	assert_memory_equal(want, got, n);
	stream_close(s);
}

/* Its own numbers begin at 1; the page's, at those of who stands before it. */
static void an_order_behind_others(void **state)
{
	const uint32_t before = 1000;
	struct merge_state m;
	struct stream *s;
	struct error err;
	char want[3000], got[3000];
	size_t some;

	(void)state;
	merge(LINES, 0, &m);
	struct stream_sources from = { .output_bytes = m.output_bytes,
				       .before = before,
				       .last = before + LINES };
	from.order = file_reader(path[1]);
	assert_true(blob_open(blobs, OUTPUT_ID, BLOB_DATA, &from.output, &err));
	assert_true(stream_open(&from, before + 10, LINES, NULL, &s, &err));
	assert_int_equal(stream_last(s), before + LINES);
	size_t n = line_make(11, want);
	assert_true(stream_read(s, 0, got, n, &some, &err));
	assert_int_equal(some, n);
	assert_memory_equal(want, got, n);
	stream_close(s);
}

static void pages_come_from_both(void **state)
{
	(void)state;
	const uint32_t merged[] = { 0, 1, 100, LINES };
	struct merge_state m = { 0 };

	for (size_t i = 0; i < ARRAY_LEN(merged); i++) {
		(void)unlink(path[1]);
		if (merged[i] > 0)
			merge(merged[i], 0, &m);
		check(page(&m, true, 0, 10000), 1, LINES, 0, 65536);
		check(page(&m, true, 90, 20), 91, 110, 0, 7);
		check(page(&m, true, 0, 1), 1, 1, 0, 1);
		check(page(&m, true, LINES - 1, 5), LINES, LINES, 0, 100);
		check(page(&m, true, LINES, 5), LINES + 1, LINES, 0, 100);
		check(page(&m, merged[i] < LINES, 0, 10000), 1, LINES, 0, 4096);
	}
}

static void numbers_without_a_line_are_passed_over(void **state)
{
	(void)state;
	struct merge_state m;

	merge(LINES, 7, &m);
	check(page(&m, false, 0, 10000), 1, LINES, 7, 65536);
	check(page(&m, false, 13, 1), 14, 14, 7, 100); /* a page of a hole alone */
	check(page(&m, true, 0, 10000), 1, LINES, 0, 65536);
}

/* What a merge has written that is not in the store is not read from there. */
static void what_is_not_merged_for_good_is_read_from_the_journal(void **state)
{
	(void)state;
	struct merge_state m;

	merge(LINES, 0, &m);
	m.output_bytes /= 2;
	struct blob_appender *a;
	struct error err;
	assert_true(blob_append_open(blobs, OUTPUT_ID, m.output_bytes, &a, &err)); /* cut */
	blob_append_close(a);
	check(page(&m, true, 0, 10000), 1, LINES, 0, 65536);
}

static void a_damaged_record_is_passed_over(void **state)
{
	(void)state;
	const struct merge_state none = { 0 };
	int fd = open(path[0], O_RDWR | O_CLOEXEC);

	for (uint32_t n = 50; n <= LINES; n += 50)
		assert_int_equal(pwrite(fd, "?", 1, (off_t)places[n] + (n == 100 ? 9 : 60)), 1);
	close(fd);
	check(page(&none, true, 0, 10000), 1, LINES, 50, 65536);
}

static unsigned descriptors(void)
{
	DIR *d = opendir("/proc/self/fd");
	unsigned n = 0;

	assert_non_null(d);
	while (readdir(d) != NULL)
		n++;
	closedir(d);
	return n;
}

/* A client may take long to read it. */
static void a_page_keeps_what_it_reads_of_alone(void **state)
{
	(void)state;
	struct merge_state m;

	merge(100, 0, &m);
	unsigned before = descriptors();
	struct stream *s = page(&m, true, 0, 10000);
	assert_int_equal(descriptors(), before + 2); /* output and journal, not the order */
	stream_close(s);
	s = page(&m, true, 0, 50);
	assert_int_equal(descriptors(), before + 1);
	check(s, 1, 50, 0, 1000);
	s = page(&m, true, 150, 20);
	assert_int_equal(descriptors(), before + 1);
	check(s, 151, 170, 0, 1000);
	assert_int_equal(descriptors(), before);
}

static void an_open_page_outlives_its_files(void **state)
{
	(void)state;
	struct merge_state m;

	merge(100, 0, &m);
	struct stream *s = page(&m, true, 0, 10000);
	struct error err;
	assert_int_equal(unlink(path[0]), 0);
	assert_int_equal(unlink(path[1]), 0);
	assert_true(blob_remove(blobs, OUTPUT_ID, &err));
	check(s, 1, LINES, 0, 1000);
	struct journal *j;
	assert_false(journal_open_to_read(path[0], end, &j, &err));
	assert_int_equal(err.sys, ENOENT);
}

/* ---- after a restart ---- */

static unsigned noted;

static void note(void *ctx, uint32_t number, const struct order_entry *e)
{
	(void)ctx;
	assert_int_equal(e->record, LINES - number);
	noted++;
}

static bool recover(const struct merge_state *m, uint32_t *ret_last, struct error *err)
{
	struct order *o;
	bool created;

	noted = 0;
	if (!order_open(path[1], false, &o, &created, err))
		return false;
	bool ok = order_recover(o, m, note, NULL, ret_last, err);
	order_close(o);
	return ok;
}

static void what_a_crash_has_undone_is_cleared(void **state)
{
	(void)state;
	struct merge_state m;
	struct error err;
	uint32_t last = 0;

	merge(LINES, 0, &m); /* number 200 stands first in the file, 1 last */
	char line[3000];
	for (uint32_t n = 1; n <= 60; n++) {
		m.output_bytes -= line_make(n, line);
		m.output_lines--;
	}
	assert_true(recover(&m, &last, &err));
	assert_int_equal(last, LINES);
	assert_int_equal(noted, LINES - 60);
	m.output_bytes = 1u << 30; /* grown again: what was cleared does not come back */
	assert_true(recover(&m, &last, &err));
	m.output_lines++;
	assert_false(recover(&m, &last, &err));
	assert_int_equal(err.sys, EBADMSG);
}

static void a_torn_or_lost_order_is_told(void **state)
{
	(void)state;
	struct merge_state m;
	struct error err;
	uint32_t last = 0;

	assert_false(recover(&(struct merge_state){ 0 }, &last, &err));
	assert_int_equal(err.sys, ENOENT);
	merge(LINES, 0, &m);
	assert_int_equal(truncate(path[1], 16 * 100 + 5), 0);
	assert_false(recover(&m, &last, &err));
	assert_int_equal(err.sys, EBADMSG);
	assert_int_equal(last, 99);
	assert_int_equal(truncate(path[1], 3), 0);
	assert_false(recover(&m, &last, &err));
	assert_int_equal(err.sys, EBADMSG);
}

#define TEST(test) cmocka_unit_test_setup_teardown(test, world_open, world_close)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(pages_come_from_both),
		TEST(an_order_behind_others),
		TEST(numbers_without_a_line_are_passed_over),
		TEST(what_is_not_merged_for_good_is_read_from_the_journal),
		TEST(a_damaged_record_is_passed_over),
		TEST(a_page_keeps_what_it_reads_of_alone),
		TEST(an_open_page_outlives_its_files),
		TEST(what_a_crash_has_undone_is_cleared),
		TEST(a_torn_or_lost_order_is_told),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
