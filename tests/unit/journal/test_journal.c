/* test_journal.c: what is synced is found again, whatever is torn, cut, damaged or refused. */
#include "unit.h"

#include <fcntl.h>

#include "journal/journal.h"

#define LINES 100

struct found {
	unsigned n;
	bool seen[LINES];
	uint64_t last_at;
};

static void on_record(void *ctx, const struct journal_head *head, uint64_t at)
{
	struct found *f = ctx;
	assert_true(head->record < LINES);
	assert_false(f->seen[head->record]); /* none twice */
	f->seen[head->record] = true;
	f->last_at = at;
	f->n++;
}

static struct outcome *answer(uint64_t record)
{
	char body[64];
	struct outcome *o = outcome_new(NULL, record, SLICE("c"));
	assert_non_null(o);
	o->attempts = 1;
	o->http_status = record % 3 == 0 ? 400 : 200;
	o->body = BUF(1024);
	snprintf(body, sizeof(body), "{\"n\":%d,\"usage\":{\"prompt_tokens\":2}}", (int)record);
	buf_text(&o->body, body);
	return o;
}

/* Appends records [from, to) in groups of ten; *ret_synced: how many were acknowledged. */
static bool append(struct journal *j, unsigned from, unsigned to, unsigned *ret_synced)
{
	struct error err;
	bool ok = true;
	*ret_synced = from;
	for (unsigned i = from; i < to && ok; i += 10) {
		struct buf group = BUF(1 << 20);
		for (unsigned k = i; k < i + 10 && k < to; k++) {
			struct outcome *o = answer(k);
			assert_true(journal_encode(o, &group));
			assert_int_equal(o->success, k % 3 != 0);
			outcome_free(o);
		}
		ok = journal_append(j, buf_slice(&group), &err) && journal_sync(j, &err);
		buf_free(&group);
		if (ok)
			*ret_synced = i + 10 < to ? i + 10 : to;
	}
	return ok;
}

static void path_in(const char *dir, char *to, size_t size)
{
	snprintf(to, size, "%s/b.journal", dir);
}

static struct journal *reopen_from(const char *path, uint64_t from, struct found *f,
				   struct journal_found *ret)
{
	struct journal *j = NULL;
	struct error err;
	*f = (struct found){ 0 };
	if (!journal_open(path, from, LINES, on_record, f, &j, ret, &err))
		fail_msg("%s %s", err.message, err.detail);
	return j;
}

static struct journal *reopen(const char *path, struct found *f, struct journal_found *ret)
{
	return reopen_from(path, JOURNAL_START, f, ret);
}

/* Lines 0 to `lines` in the journal; places[i], of LINES + 1, is where record i begins. */
static void fill(const char *path, unsigned lines, uint64_t *places)
{
	struct journal_found found;
	struct found f;
	unsigned synced;
	struct journal *j = reopen(path, &f, &found);
	for (unsigned i = 0; i < lines; i++) {
		places[i] = journal_end(j);
		assert_true(append(j, i, i + 1, &synced));
	}
	places[lines] = journal_end(j);
	journal_close(j);
}

static void overwrite(const char *path, uint64_t at, const void *p, size_t n)
{
	int fd = open(path, O_RDWR);
	assert_true(fd >= 0 && pwrite(fd, p, n, (off_t)at) == (ssize_t)n);
	close(fd);
}

static void flip_bit(const char *path, uint64_t at)
{
	char byte;
	int fd = open(path, O_RDWR);
	assert_int_equal(pread(fd, &byte, 1, (off_t)at), 1);
	byte ^= 4;
	assert_int_equal(pwrite(fd, &byte, 1, (off_t)at), 1);
	close(fd);
}

static void finished_lines_survive_any_single_fault(void **state)
{
	(void)state;
	bool fired = true;
	for (int nth = 1; fired; nth++) {
		char *dir = scratch_dir_new(), path[PATH_MAX];
		struct found f;
		struct journal_found cut;
		unsigned synced;
		path_in(dir, path, sizeof(path));
		struct journal *j = reopen(path, &f, &cut);
		sys_fail_nth(nth, nth % 2 ? ENOSPC : EIO);
		(void)append(j, 0, LINES, &synced);
		fired = sys_restore();
		journal_close(j); /* as if killed: nothing is tidied */
		journal_close(reopen(path, &f, &cut));
		assert_true(f.n >= synced);
		for (unsigned i = 0; i < synced; i++)
			assert_true(f.seen[i]);
		scratch_dir_remove(dir);
	}
}

static void goes_on_after_a_fault(void **state)
{
	(void)state;
	char *dir = scratch_dir_new(), path[PATH_MAX];
	struct found f;
	struct journal_found cut;
	unsigned synced;
	path_in(dir, path, sizeof(path));
	struct journal *j = reopen(path, &f, &cut);
	sys_fail_nth(4, ENOSPC);
	assert_false(append(j, 0, LINES, &synced));
	assert_true(sys_restore());
	journal_rewind(j);
	assert_true(append(j, synced, LINES, &synced));
	journal_close(j);
	journal_close(reopen(path, &f, &cut));
	assert_int_equal(f.n, LINES);
	assert_int_equal(cut.torn_bytes, 0);
	scratch_dir_remove(dir);
}

/* Every length that a torn write can leave, and garbage behind a good tail. */
static void torn_tail_is_cut(void **state)
{
	(void)state;
	char *dir = scratch_dir_new(), path[PATH_MAX];
	struct found f;
	struct journal_found cut;
	unsigned synced;
	path_in(dir, path, sizeof(path));
	struct journal *j = reopen(path, &f, &cut);
	assert_true(append(j, 0, 20, &synced));
	uint64_t end = journal_end(j);
	journal_close(j);
	j = reopen(path, &f, &cut);
	uint64_t last = f.last_at;
	journal_close(j);
	for (uint64_t size = end - 1; size >= last; size -= 7) {
		assert_int_equal(truncate(path, (off_t)size), 0);
		j = reopen(path, &f, &cut);
		assert_int_equal(f.n, 19);
		assert_int_equal(cut.torn_bytes, size - last);
		assert_int_equal(cut.damaged_bytes, 0);
		assert_int_equal(journal_end(j), last);
		/* and the cut journal takes the line again */
		assert_true(append(j, 19, 20, &synced));
		assert_int_equal(journal_end(j), end);
		journal_close(j);
	}
	int fd = open(path, O_WRONLY | O_APPEND);
	char garbage[300];
	memset(garbage, 'x', sizeof(garbage));
	assert_int_equal(write(fd, garbage, sizeof(garbage)), sizeof(garbage));
	close(fd);
	journal_close(reopen(path, &f, &cut));
	assert_int_equal(f.n, 20);
	assert_int_equal(cut.torn_bytes, sizeof(garbage));
	scratch_dir_remove(dir);
}

/* D4: whichever record is hit, wherever in it, the others are kept, and the journal goes on. */
static void a_flipped_bit_costs_its_record(void **state)
{
	(void)state;
	enum { COUNT = 12 };
	uint64_t places[LINES + 1];
	for (unsigned hit = 0; hit < COUNT; hit++) {
		uint64_t at = 0, size = 1;
		for (uint64_t offset = 0; offset < size; offset += 3) {
			char *dir = scratch_dir_new(), path[PATH_MAX];
			struct found f;
			struct journal_found found;
			unsigned synced;
			path_in(dir, path, sizeof(path));
			fill(path, COUNT, places);
			at = places[hit];
			size = places[hit + 1] - at;
			flip_bit(path, at + offset);
			struct journal *j = reopen(path, &f, &found);
			assert_int_equal(f.n, COUNT - 1);
			assert_false(f.seen[hit]);
			bool last = hit == COUNT - 1;
			assert_int_equal(found.torn_bytes, last ? size : 0);
			assert_int_equal(found.damaged_bytes, last ? 0 : size);
			assert_int_equal(found.damaged_at, last ? 0 : at);
			assert_int_equal(found.missing_bytes, 0);
			assert_true(append(j, hit, hit + 1, &synced)); /* the line ran again */
			journal_close(j);
			journal_close(reopen(path, &f, &found));
			assert_int_equal(f.n, COUNT);
			scratch_dir_remove(dir);
		}
	}
}

/* Stretches of zeros and of noise, over several records. */
static void a_damaged_stretch_costs_what_it_hit(void **state)
{
	(void)state;
	static const char fillings[] = { 0, 1, 2, '{', 'x' };
	uint64_t places[LINES + 1];
	for (size_t i = 0; i < sizeof(fillings); i++) {
		char *dir = scratch_dir_new(), path[PATH_MAX];
		char stretch[4000];
		struct found f;
		struct journal_found found;
		path_in(dir, path, sizeof(path));
		fill(path, LINES, places);
		memset(stretch, fillings[i], sizeof(stretch));
		uint64_t from = places[30] + 7, end = places[60] - 1;
		for (uint64_t at = from; at < end; at += sizeof(stretch))
			overwrite(path, at, stretch,
				  end - at < sizeof(stretch) ? end - at : sizeof(stretch));
		journal_close(reopen(path, &f, &found));
		assert_int_equal(f.n, LINES - 30);
		for (unsigned k = 0; k < LINES; k++)
			assert_int_equal(f.seen[k], k < 30 || k >= 60);
		assert_int_equal(found.damaged_at, places[30]);
		assert_int_equal(found.damaged_bytes, places[60] - places[30]);
		scratch_dir_remove(dir);
	}
}

/* A record that checks, but of no line of the batch, is none. */
static void a_line_that_the_batch_has_not_is_no_record(void **state)
{
	(void)state;
	char *dir = scratch_dir_new(), path[PATH_MAX];
	struct found f = { 0 };
	struct journal_found found;
	struct journal *j = NULL;
	struct error err;
	uint64_t places[LINES + 1];
	path_in(dir, path, sizeof(path));
	fill(path, 20, places);
	assert_true(journal_open(path, JOURNAL_START, 15, on_record, &f, &j, &found, &err));
	assert_int_equal(f.n, 15);
	assert_int_equal(found.torn_bytes, places[20] - places[15]);
	journal_close(j);
	scratch_dir_remove(dir);
}

/* D2: what a power cut in journal_begin() leaves: a header that is torn in its content. */
static void a_torn_beginning_is_begun_anew(void **state)
{
	(void)state;
	static const char *const headers[] = { "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0",
					       "LTJOURNL\0\0\0\0\0\0\0\0",
					       "LTJO\0\0\0\0\1\0\0\0\0\0\0\0" };
	for (size_t i = 0; i < 3 * 17; i++) {
		char *dir = scratch_dir_new(), path[PATH_MAX];
		struct found f;
		struct journal_found found;
		unsigned synced;
		path_in(dir, path, sizeof(path));
		close(open(path, O_WRONLY | O_CREAT, 0600));
		if (i / 17 == 1 && i % 17 > 8) { /* that is a header of another version */
			scratch_dir_remove(dir);
			continue;
		}
		overwrite(path, 0, headers[i / 17], i % 17);
		struct journal *j = reopen(path, &f, &found);
		assert_int_equal(found.torn_bytes + found.damaged_bytes + found.missing_bytes, 0);
		assert_int_equal(journal_end(j), JOURNAL_START);
		assert_true(append(j, 0, 20, &synced));
		journal_close(j);
		journal_close(reopen(path, &f, &found));
		assert_int_equal(f.n, 20);
		scratch_dir_remove(dir);
	}
}

/* The header is no more than a label: without it the records are found all the same. */
static void a_damaged_header_costs_nothing(void **state)
{
	(void)state;
	char *dir = scratch_dir_new(), path[PATH_MAX];
	struct found f;
	struct journal_found found;
	uint64_t places[LINES + 1];
	path_in(dir, path, sizeof(path));
	fill(path, 20, places);
	overwrite(path, 0, "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 16);
	journal_close(reopen(path, &f, &found));
	assert_int_equal(f.n, 20);
	assert_int_equal(found.damaged_bytes, JOURNAL_START);
	journal_close(reopen(path, &f, &found));
	assert_int_equal(f.n, 20);
	assert_int_equal(found.damaged_bytes, 0); /* it has been put right */
	scratch_dir_remove(dir);
}

/* D3: gone, empty, or cut before the place from which the store wants it: new records stand where
 * the store will look for them. */
static void a_short_journal_goes_on_where_it_should(void **state)
{
	(void)state;
	uint64_t places[LINES + 1];
	for (int size = -1; size < 3000; size = size < 40 ? size + 1 : size + 331) {
		char *dir = scratch_dir_new(), path[PATH_MAX];
		struct found f;
		struct journal_found found;
		unsigned synced;
		path_in(dir, path, sizeof(path));
		fill(path, 20, places);
		uint64_t from = places[18], left = size < 0 ? 0 : (uint64_t)size;
		if (left >= from) {
			scratch_dir_remove(dir);
			break;
		}
		if (size < 0)
			assert_int_equal(unlink(path), 0);
		else
			assert_int_equal(truncate(path, size), 0);
		struct journal *j = reopen_from(path, from, &f, &found);
		assert_int_equal(f.n, 0);
		assert_int_equal(found.missing_bytes, from - left);
		assert_int_equal(journal_end(j), from);
		journal_close(j);
		j = reopen_from(path, from, &f, &found); /* killed right after */
		assert_true(append(j, 50, 70, &synced));
		journal_close(j);
		journal_close(reopen_from(path, from, &f, &found));
		assert_int_equal(f.n, 20);
		assert_true(f.seen[50] && f.seen[69]);
		assert_int_equal(found.torn_bytes + found.damaged_bytes + found.missing_bytes, 0);
		scratch_dir_remove(dir);
	}
}

static void each_fault_of_a_repair_is_healed_by_the_next(void **state)
{
	(void)state;
	uint64_t places[LINES + 1];
	bool fired = true;
	for (int nth = 1; fired; nth++) {
		char *dir = scratch_dir_new(), path[PATH_MAX];
		struct found f = { 0 };
		struct journal_found found;
		struct journal *j = NULL;
		struct error err;
		path_in(dir, path, sizeof(path));
		fill(path, 20, places);
		assert_int_equal(truncate(path, 10), 0);
		sys_fail_nth(nth, nth % 2 ? ENOSPC : EIO);
		bool ok = journal_open(path, places[9], LINES, on_record, &f, &j, &found, &err);
		fired = sys_restore();
		assert_int_equal(ok, !fired);
		journal_close(j);
		j = reopen_from(path, places[9], &f, &found);
		assert_int_equal(journal_end(j), places[9]);
		journal_close(j);
		scratch_dir_remove(dir);
	}
}

/* ---- power cuts ----
 *
 * What was written since the last sync may be on disk or not, sector by sector and in any order;
 * what was synced is. The image of the disk is kept beside the file, and cut at every call. */

#define SECTOR 512
#define IMAGE_MAX (64u << 10)

static struct {
	struct sys real;
	unsigned seed;
	int calls_left; /* the power fails in this call */
	bool is_out;
	char synced[IMAGE_MAX], now[IMAGE_MAX];
	off_t synced_size, size;
} disk;

static bool power_fails(void)
{
	disk.is_out = disk.is_out || --disk.calls_left == 0;
	errno = EIO;
	return disk.is_out;
}

static ssize_t disk_pwrite(int fd, const void *p, size_t n, off_t at)
{
	memcpy(disk.now + at, p, n);
	if (at + (off_t)n > disk.size)
		disk.size = at + (off_t)n;
	return power_fails() ? -1 : disk.real.pwrite(fd, p, n, at);
}

static int disk_ftruncate(int fd, off_t size)
{
	if (size < disk.size)
		memset(disk.now + size, 0, (size_t)(disk.size - size));
	disk.size = size;
	return power_fails() ? -1 : disk.real.ftruncate(fd, size);
}

static int disk_fdatasync(int fd)
{
	if (power_fails())
		return -1;
	memcpy(disk.synced, disk.now, IMAGE_MAX);
	disk.synced_size = disk.size;
	return disk.real.fdatasync(fd);
}

/* What stands there when the power is back. */
static void disk_restart(const char *path)
{
	off_t size = rand_r(&disk.seed) % 2 ? disk.size : disk.synced_size;
	for (size_t at = 0; at < IMAGE_MAX; at += SECTOR)
		memcpy(disk.now + at, (rand_r(&disk.seed) % 2 ? disk.now : disk.synced) + at,
		       SECTOR);
	int fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
	assert_int_equal(pwrite(fd, disk.now, (size_t)size, 0), size);
	close(fd);
	if (size < IMAGE_MAX)
		memset(disk.now + size, 0, (size_t)(IMAGE_MAX - size));
	memcpy(disk.synced, disk.now, IMAGE_MAX);
	disk.size = disk.synced_size = size;
}

/* A life: opens, appends what is not there yet, until it is done or the power fails. */
static bool live(const char *path, bool *acknowledged)
{
	struct found f = { 0 };
	struct journal_found found;
	struct journal *j = NULL;
	struct error err;
	bool ok = journal_open(path, JOURNAL_START, LINES, on_record, &f, &j, &found, &err);
	for (unsigned i = 0; ok && i < LINES; i++) {
		unsigned synced;
		assert_true(!acknowledged[i] || f.seen[i]);
		if (f.seen[i])
			continue;
		ok = append(j, i, i + 1, &synced);
		acknowledged[i] = acknowledged[i] || ok;
	}
	journal_close(j);
	return ok;
}

static void power_cuts_lose_nothing_acknowledged(void **state)
{
	(void)state;
	for (unsigned seed = 0; seed < 300; seed++) {
		char *dir = scratch_dir_new(), path[PATH_MAX];
		bool acknowledged[LINES] = { 0 }, done = false;
		path_in(dir, path, sizeof(path));
		memset(&disk, 0, sizeof(disk));
		disk.real = sys;
		disk.seed = seed;
		while (!done) {
			sys.pwrite = disk_pwrite;
			sys.ftruncate = disk_ftruncate;
			sys.fdatasync = disk_fdatasync;
			disk.is_out = false;
			disk.calls_left = 1 + rand_r(&disk.seed) % 120;
			done = live(path, acknowledged);
			sys = disk.real;
			if (!done)
				disk_restart(path);
		}
		scratch_dir_remove(dir);
	}
}

static void another_file_is_refused(void **state)
{
	(void)state;
	char *dir = scratch_dir_new(), path[PATH_MAX];
	struct journal *j = NULL;
	struct found f = { 0 };
	struct error err;
	struct journal_found cut;
	path_in(dir, path, sizeof(path));
	FILE *file = fopen(path, "w");
	assert_non_null(file);
	fputs("this is somebody's shopping list, not a journal", file);
	fclose(file);
	assert_false(journal_open(path, JOURNAL_START, LINES, on_record, &f, &j, &cut, &err));
	assert_int_equal(err.kind, ERR_INTERNAL);
	assert_int_equal(err.sys, EBADMSG);
	assert_null(j);
	overwrite(path, 0, "LTJOURNL\3\0\0\0\0\0\0\0", 16); /* of a later version */
	assert_false(journal_open(path, JOURNAL_START, LINES, on_record, &f, &j, &cut, &err));
	assert_int_equal(err.sys, ENOTSUP);
	assert_null(j);
	scratch_dir_remove(dir);
}

/* Hundreds of journals are made here, and the power is cut in memory. */
static int no_sync(int fd)
{
	(void)fd;
	return 0;
}

int main(void)
{
	sys.fsync = sys.fdatasync = no_sync;
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(finished_lines_survive_any_single_fault),
		cmocka_unit_test(goes_on_after_a_fault),
		cmocka_unit_test(torn_tail_is_cut),
		cmocka_unit_test(a_flipped_bit_costs_its_record),
		cmocka_unit_test(a_damaged_stretch_costs_what_it_hit),
		cmocka_unit_test(a_line_that_the_batch_has_not_is_no_record),
		cmocka_unit_test(a_torn_beginning_is_begun_anew),
		cmocka_unit_test(a_damaged_header_costs_nothing),
		cmocka_unit_test(a_short_journal_goes_on_where_it_should),
		cmocka_unit_test(each_fault_of_a_repair_is_healed_by_the_next),
		cmocka_unit_test(power_cuts_lose_nothing_acknowledged),
		cmocka_unit_test(another_file_is_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
