/* Memory runs out in the journal and its recorder: no finished line is lost, none stands twice. */
#include "memory_fault.h"

#include <stdatomic.h>

#include "base/log.h"
#include "journal/recorder.h"

#define LINES 40

static char *dir, path[PATH_MAX];

/* Hundreds of journals are made here and no power is cut. */
static int no_sync(int fd)
{
	(void)fd;
	return 0;
}

static int setup(void **state)
{
	(void)state;
	log_set_level(LOG_OFF);
	sys.fsync = no_sync;
	sys.fdatasync = no_sync;
	dir = scratch_dir_new();
	snprintf(path, sizeof(path), "%s/b.journal", dir);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	scratch_dir_remove(dir);
	return 0;
}

static struct outcome *answer(void *owner, uint64_t record, unsigned bytes)
{
	struct outcome *o = outcome_new(owner, record, SLICE("c"));

	if (o == NULL)
		return NULL;
	o->attempts = 1;
	o->http_status = 200;
	o->body = BUF(1 << 20);
	buf_text(&o->body, "{\"text\":\"");
	for (unsigned i = 0; i < bytes; i++)
		buf_char(&o->body, 'x');
	buf_text(&o->body, "\",\"usage\":{\"prompt_tokens\":2}}");
	return o;
}

struct found {
	unsigned n, times[LINES];
};

static void on_record(void *ctx, const struct journal_head *head, uint64_t at)
{
	struct found *f = ctx;

	(void)at;
	assert_true(head->record < LINES);
	f->times[head->record]++;
	f->n++;
}

static bool opened(struct found *f, struct journal **ret, struct error *err)
{
	struct journal_found found = { 0 };

	*f = (struct found){ 0 };
	*ret = NULL;
	bool ok = journal_open(path, JOURNAL_START, LINES, on_record, f, ret, &found, err);
	assert_int_equal(found.torn_bytes + found.damaged_bytes + found.missing_bytes, 0);
	return ok;
}

static struct journal *reopen(struct found *f)
{
	struct journal *j;
	struct error err;

	if (!opened(f, &j, &err))
		fail_msg("%s %s", err.message, err.detail);
	return j;
}

static void each_is_there_once(void)
{
	struct found f;

	journal_close(reopen(&f));
	assert_int_equal(f.n, LINES);
	for (unsigned i = 0; i < LINES; i++)
		assert_int_equal(f.times[i], 1);
}

static void opening(void **state)
{
	(void)state;
	for (struct memory_sweep s = MEMORY_SWEEP; memory_sweep_next(&s);) {
		struct found f;
		struct journal *j;
		struct error err;
		memory_fail(&s);
		bool ok = opened(&f, &j, &err);
		memory_restore(&s);
		if (!ok)
			assert_no_memory(&err);
		journal_close(j);
		journal_close(reopen(&f));
		assert_int_equal(f.n, 0);
		assert_int_equal(unlink(path), 0);
	}
}

/* Appends all lines one by one, each synced; the next one after a fault is the same again. */
static unsigned append(struct journal *j, unsigned from)
{
	struct buf records = BUF(1 << 20);
	struct error err;
	unsigned i = from;

	for (bool ok = true; ok && i < LINES; i += ok) {
		struct outcome *o = answer(NULL, i, 100 * i);
		buf_clear(&records);
		ok = o != NULL && !o->body.failed && journal_encode(o, &records);
		if (!ok)
			assert_int_equal(records.n, 0);
		outcome_free(o);
		if (ok && !(journal_append(j, buf_slice(&records), &err) && journal_sync(j, &err)))
			fail_msg("%s %s", err.message, err.detail);
	}
	buf_free(&records);
	return i;
}

static void appending(void **state)
{
	(void)state;
	for (struct memory_sweep s = MEMORY_SWEEP; memory_sweep_next(&s);) {
		struct found f;
		struct journal *j = reopen(&f);
		memory_fail(&s);
		unsigned appended = append(j, 0);
		memory_restore(&s);
		assert_true(s.fired == (appended < LINES));
		assert_int_equal(append(j, appended), LINES);
		journal_close(j);
		each_is_there_once();
		assert_int_equal(unlink(path), 0);
	}
}

static void replaying(void **state)
{
	struct found f;
	struct journal *j = reopen(&f);
	uint64_t end;

	(void)state;
	assert_int_equal(append(j, 0), LINES);
	end = journal_end(j);
	journal_close(j);
	for (struct memory_sweep s = MEMORY_SWEEP; memory_sweep_next(&s);) {
		struct error err;
		struct stat st;
		memory_fail(&s);
		bool ok = opened(&f, &j, &err);
		memory_restore(&s);
		assert_true(ok == !s.fired);
		if (!ok)
			assert_no_memory(&err);
		journal_close(j);
		assert_int_equal(stat(path, &st), 0);
		assert_int_equal(st.st_size, end); /* nothing is cut for want of memory */
		each_is_there_once();
	}
	for (struct memory_sweep s = MEMORY_SWEEP; memory_sweep_next(&s);) {
		memory_fail(&s);
		struct journal_check *c = journal_check_new();
		memory_restore(&s);
		assert_true((c != NULL) == !s.fired);
		journal_check_free(c);
	}
}

/* ---- the recorder: what was handed to it becomes durable, late if it must ---- */

static struct journal *shared;
static atomic_uint durable;
static atomic_bool flushed;

static struct journal *on_journal(void *owner, struct error *err)
{
	(void)err;
	(void)owner;
	return shared;
}

static const char *on_name(void *owner)
{
	(void)owner;
	return "b";
}

static void on_durable(void *ctx, void *owner, const struct outcome *first)
{
	(void)ctx;
	(void)owner;
	for (const struct outcome *o = first; o != NULL; o = o->next)
		durable++;
}

static bool on_ends(void *owner)
{
	(void)owner;
	return false;
}

static void on_flushed(void *ctx, void *owner)
{
	(void)ctx;
	(void)owner;
	flushed = true;
}

static void recording(void **state)
{
	static const struct recorder_ops ops = { .journal = on_journal,
						 .name = on_name,
						 .durable = on_durable,
						 .ends = on_ends,
						 .given_up = on_durable,
						 .flushed = on_flushed };

	(void)state;
	for (struct memory_sweep s = MEMORY_SWEEP; memory_sweep_next(&s);) {
		struct recorder *r = NULL;
		struct outcome *lines[LINES];
		struct found f;
		struct error err;
		shared = reopen(&f);
		durable = 0;
		flushed = false;
		for (unsigned i = 0; i < LINES; i++)
			lines[i] = answer(&shared, i, 200);
		memory_fail(&s);
		bool ok = recorder_open(&ops, NULL, &r, &err);
		for (unsigned i = 0; ok && i < LINES; i++)
			recorder_push(r, lines[i]);
		if (ok)
			(void)recorder_wait(r, 50); /* long enough to meet the fault */
		memory_restore(&s);
		if (!ok) {
			assert_no_memory(&err);
			for (unsigned i = 0; i < LINES; i++)
				outcome_free(lines[i]);
		} else {
			recorder_flush(r, &shared);
			assert_true(recorder_wait(r, 60000));
			assert_int_equal(durable, LINES);
			recorder_close(r);
			assert_true(flushed);
		}
		journal_close(shared);
		if (ok)
			each_is_there_once();
		assert_int_equal(unlink(path), 0);
	}
}

#define WITH_DIRECTORY(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_DIRECTORY(opening),
		WITH_DIRECTORY(appending),
		WITH_DIRECTORY(replaying),
		WITH_DIRECTORY(recording),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
