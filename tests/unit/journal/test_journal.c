/* test_journal.c: what is synced is found again, whatever is torn, cut or refused. */
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

static struct journal *reopen(const char *path, struct found *f, uint64_t *ret_cut)
{
	struct journal *j = NULL;
	struct error err;
	*f = (struct found){ 0 };
	if (!journal_open(path, JOURNAL_START, on_record, f, &j, ret_cut, &err))
		fail_msg("%s %s", err.message, err.detail);
	return j;
}

static void path_in(const char *dir, char *to, size_t size)
{
	snprintf(to, size, "%s/b.journal", dir);
}

static void finished_lines_survive_any_single_fault(void **state)
{
	(void)state;
	bool fired = true;
	for (int nth = 1; fired; nth++) {
		char *dir = scratch_dir_new(), path[PATH_MAX];
		struct found f;
		uint64_t cut;
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
	uint64_t cut;
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
	assert_int_equal(cut, 0);
	scratch_dir_remove(dir);
}

/* Every length that a torn write can leave, and garbage behind a good tail. */
static void torn_tail_is_cut(void **state)
{
	(void)state;
	char *dir = scratch_dir_new(), path[PATH_MAX];
	struct found f;
	uint64_t cut;
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
		assert_int_equal(cut, size - last);
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
	assert_int_equal(cut, sizeof(garbage));
	scratch_dir_remove(dir);
}

static void flipped_bit_ends_the_replay(void **state)
{
	(void)state;
	char *dir = scratch_dir_new(), path[PATH_MAX], byte;
	struct found f;
	uint64_t cut;
	unsigned synced;
	path_in(dir, path, sizeof(path));
	struct journal *j = reopen(path, &f, &cut);
	assert_true(append(j, 0, 20, &synced));
	journal_close(j);
	journal_close(reopen(path, &f, &cut));
	int fd = open(path, O_RDWR);
	off_t at = (off_t)(f.last_at + sizeof(struct journal_head) + 5);
	assert_int_equal(pread(fd, &byte, 1, at), 1);
	byte ^= 4;
	assert_int_equal(pwrite(fd, &byte, 1, at), 1);
	close(fd);
	journal_close(reopen(path, &f, &cut));
	assert_int_equal(f.n, 19);
	scratch_dir_remove(dir);
}

static void another_file_is_refused(void **state)
{
	(void)state;
	char *dir = scratch_dir_new(), path[PATH_MAX];
	struct journal *j = NULL;
	struct found f = { 0 };
	struct error err;
	uint64_t cut;
	path_in(dir, path, sizeof(path));
	FILE *file = fopen(path, "w");
	assert_non_null(file);
	fputs("this is somebody's shopping list, not a journal", file);
	fclose(file);
	assert_false(journal_open(path, JOURNAL_START, on_record, &f, &j, &cut, &err));
	assert_int_equal(err.kind, ERR_INTERNAL);
	assert_null(j);
	scratch_dir_remove(dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(finished_lines_survive_any_single_fault),
		cmocka_unit_test(goes_on_after_a_fault),
		cmocka_unit_test(torn_tail_is_cut),
		cmocka_unit_test(flipped_bit_ends_the_replay),
		cmocka_unit_test(another_file_is_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
