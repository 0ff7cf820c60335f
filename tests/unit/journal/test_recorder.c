/* test_recorder.c: groups, several owners, a disk that refuses for a while, flushes. */
#include "unit.h"

#include <stdatomic.h>

#include "base/clock.h"
#include "base/log.h"
#include "journal/recorder.h"

#define OWNERS 3
#define LINES 300

struct owner {
	struct journal *journal;
	char name[8];
	atomic_uint durable, given_up;
	uint64_t next; /* in the order pushed */
	atomic_bool flushed, ends;
	unsigned durable_at_flush;
};

/* Of the test that runs. */
static char *dir;
static struct owner owners[OWNERS];
static struct recorder *r;

static void nothing(void *ctx, const struct journal_head *head, uint64_t at)
{
	(void)head;
	(void)at;
	++*(unsigned *)ctx;
}

static struct journal *on_journal(void *owner, struct error *err)
{
	(void)err;
	return ((struct owner *)owner)->journal;
}

static const char *on_name(void *owner)
{
	return ((struct owner *)owner)->name;
}

static void on_durable(void *ctx, void *owner, const struct outcome *first)
{
	(void)ctx;
	struct owner *w = owner;
	for (const struct outcome *o = first; o != NULL; o = o->next) {
		assert_ptr_equal(o->owner, owner);
		assert_int_equal(o->record, w->next++);
		w->durable++;
	}
}

static bool on_ends(void *owner)
{
	return ((struct owner *)owner)->ends;
}

static void on_given_up(void *ctx, void *owner, const struct outcome *first)
{
	(void)ctx;
	struct owner *w = owner;
	for (const struct outcome *o = first; o != NULL; o = o->next) {
		assert_int_equal(o->record, w->next++);
		w->given_up++;
	}
}

static void on_flushed(void *ctx, void *owner)
{
	(void)ctx;
	struct owner *w = owner;
	w->durable_at_flush = w->durable;
	w->flushed = true;
}

static const struct recorder_ops ops = { on_journal, on_name,     on_durable,
					 on_ends,    on_given_up, on_flushed };

static void push(struct owner *w, uint64_t record)
{
	struct outcome *o = outcome_new(w, record, SLICE("c"));
	assert_non_null(o);
	o->attempts = 1;
	o->http_status = 200;
	o->body = BUF(64);
	buf_text(&o->body, "{}");
	recorder_push(r, o);
}

/* LINES of each owner, in turn. */
static void push_all(void)
{
	for (unsigned k = 0; k < LINES; k++)
		for (int i = 0; i < OWNERS; i++)
			push(&owners[i], k);
}

/* Returns how many lines it has. */
static unsigned journal_open_of(struct owner *w)
{
	char path[PATH_MAX];
	struct error err;
	struct journal_found cut;
	unsigned found = 0;

	snprintf(path, sizeof(path), "%s/%s.journal", dir, w->name);
	assert_true(journal_open(path, JOURNAL_START, 100000, nothing, &found, &w->journal, &cut,
				 &err));
	assert_int_equal(cut.torn_bytes, 0);
	return found;
}

static void begin(const struct recorder_ops *with)
{
	struct error err;

	dir = scratch_dir_new();
	for (int i = 0; i < OWNERS; i++) {
		struct owner *w = &owners[i];
		*w = (struct owner){ 0 };
		snprintf(w->name, sizeof(w->name), "b%d", i);
		assert_int_equal(journal_open_of(w), 0);
	}
	assert_true(recorder_open(with, NULL, &r, &err));
}

static void end(void)
{
	for (int i = 0; i < OWNERS; i++)
		journal_close(owners[i].journal);
	scratch_dir_remove(dir);
}

/* Each journal has all lines. */
static void end_with_all(void)
{
	for (int i = 0; i < OWNERS; i++) {
		journal_close(owners[i].journal);
		assert_int_equal(journal_open_of(&owners[i]), LINES);
	}
	end();
}

static void all_is_durable_in_order(void **state)
{
	(void)state;
	begin(&ops);
	push_all();
	recorder_flush(r, &owners[1]);
	assert_true(recorder_wait(r, 60000));
	recorder_close(r); /* the flush has been answered by now */
	assert_true(owners[1].flushed);
	assert_int_equal(owners[1].durable_at_flush, LINES);
	end_with_all();
}

static atomic_uint syncs;
static atomic_bool disk_stands;
static int (*real_fdatasync)(int);

static int standing_fdatasync(int fd)
{
	syncs++;
	while (disk_stands)
		usleep(1000);
	return real_fdatasync(fd);
}

/* However many they are: a slow sync costs lines nothing but time. */
static void what_comes_during_a_sync_is_one_group(void **state)
{
	(void)state;
	begin(&ops);
	syncs = 0;
	disk_stands = true;
	push(&owners[0], 0);
	while (syncs == 0)
		usleep(1000);
	for (unsigned k = 1; k < 10 * LINES; k++)
		push(&owners[0], k);
	assert_int_equal(owners[0].durable, 0);
	disk_stands = false;
	assert_true(recorder_wait(r, 60000));
	assert_int_equal(syncs, 2);
	assert_int_equal(owners[0].durable, 10 * LINES);
	recorder_close(r);
	end();
}

static atomic_bool disk_full;
static ssize_t (*real_pwrite)(int, const void *, size_t, off_t);

static ssize_t full_pwrite(int fd, const void *p, size_t n, off_t at)
{
	if (!disk_full)
		return real_pwrite(fd, p, n, at);
	(void)!real_pwrite(fd, p, n / 3, at);
	errno = ENOSPC;
	return -1;
}

static void full_disk_pauses_and_loses_nothing(void **state)
{
	(void)state;
	begin(&ops);
	disk_full = true;
	push_all();
	assert_false(recorder_wait(r, 50));
	while (!recorder_stalled(r))
		usleep(1000);
	assert_int_equal(owners[0].durable, 0);
	disk_full = false;
	assert_true(recorder_wait(r, 60000));
	assert_false(recorder_stalled(r));
	recorder_close(r);
	end_with_all();
}

/* Of a batch that is to end nothing is waited for for long; the others' lines are all recorded. */
static void an_ending_batch_does_not_hold_up_the_others(void **state)
{
	(void)state;
	begin(&ops);
	disk_full = true;
	owners[0].ends = true;
	push_all();
	recorder_flush(r, &owners[0]);
	while (owners[0].given_up == 0)
		usleep(1000);
	disk_full = false;
	assert_true(recorder_wait(r, 60000));
	recorder_close(r);
	assert_true(owners[0].flushed);
	assert_int_equal(owners[0].durable + owners[0].given_up, LINES);
	for (int i = 1; i < OWNERS; i++)
		assert_int_equal(owners[i].durable, LINES);
	end();
}

/* ---- published beyond this machine ---- */

static struct {
	atomic_bool refuses;
	atomic_uint asked, refused;
	void *lost; /* an owner, or NULL */
	bool again; /* the last call was refused: this one has to be the same */
	size_t n;
	struct recorded of[RECORDED_MAX];
} published;

static bool same_part(const struct recorded *a, const struct recorded *b)
{
	return a->owner == b->owner && a->first == b->first && a->journal == b->journal &&
	       a->at == b->at && a->end == b->end;
}

static bool on_publish(void *ctx, struct recorded *parts, size_t n, struct error *err)
{
	(void)ctx;
	assert_in_range(n, 1, RECORDED_MAX);
	for (size_t i = 0; i < n; i++) {
		struct owner *w = parts[i].owner;
		assert_ptr_equal(parts[i].journal, w->journal);
		assert_true(parts[i].at < parts[i].end);
		assert_int_equal(parts[i].first->record,
				 w->next); /* none was acknowledged before */
		if (published.again)
			assert_true(n == published.n && same_part(&parts[i], &published.of[i]));
		published.of[i] = parts[i];
		for (size_t k = 0; k < i; k++)
			assert_ptr_not_equal(parts[k].owner, parts[i].owner);
	}
	published.n = n;
	published.again = published.refuses;
	published.asked++;
	if (published.refuses) {
		published.refused++;
		return fail(err, ERR_UNAVAILABLE, "the bucket refuses");
	}
	for (size_t i = 0; i < n; i++)
		parts[i].is_lost = parts[i].owner == published.lost;
	return true;
}

static const struct recorder_ops publishing = { on_journal,  on_name,    on_durable, on_ends,
						on_given_up, on_flushed, on_publish };

static void published_begin(void)
{
	memset(&published, 0, sizeof(published));
	begin(&publishing);
}

static void nothing_is_durable_before_it_is_published(void **state)
{
	(void)state;
	published_begin();
	published.refuses = true;
	push_all();
	recorder_flush(r, &owners[2]);
	while (published.refused < 2)
		usleep(1000);
	assert_true(recorder_stalled(r));
	assert_int_equal(owners[0].durable + owners[1].durable + owners[2].durable, 0);
	assert_false(owners[2].flushed);
	published.refuses = false;
	assert_true(recorder_wait(r, 60000));
	assert_false(recorder_stalled(r));
	recorder_close(r);
	assert_true(owners[2].flushed);
	for (int i = 0; i < OWNERS; i++)
		assert_int_equal(owners[i].durable, LINES);
	assert_true(published.asked <= published.refused + 3); /* groups, not lines */
	end_with_all();
}

static void what_counts_no_longer_is_given_up(void **state)
{
	(void)state;
	published_begin();
	published.lost = &owners[1];
	push_all();
	recorder_flush(r, &owners[1]);
	assert_true(recorder_wait(r, 60000));
	recorder_close(r);
	assert_true(owners[0].durable == LINES && owners[0].given_up == 0);
	assert_true(owners[1].durable == 0 && owners[1].given_up == LINES && owners[1].flushed);
	assert_true(owners[2].durable == LINES && owners[2].given_up == 0);
	end_with_all();
}

/* A group waits for others to join it, until it is told that none come, or somebody waits for it. */
static void what_is_published_is_gathered(void **state)
{
	(void)state;
	unsigned k = 0;
	published_begin();
	for (; k < 3; k++) { /* each is a group */
		push(&owners[0], k);
		while (published.asked == k)
			usleep(1000);
	}
	recorder_gather(r, GATHER_ON);
	uint64_t began_ms = clock_ms();
	for (; k < 6; k++) {
		push(&owners[0], k);
		usleep(2000);
	}
	while (owners[0].durable < 3)
		usleep(1000);
	bool early = published.asked > 3 && clock_ms() - began_ms < GATHER_MS;
	recorder_gather(r, GATHER_NOT);
	while (owners[0].durable < 6)
		usleep(1000);
	assert_false(early);
	assert_true(published.asked <= 5);
	recorder_gather(r, GATHER_BRIEFLY); /* to publish takes no time here */
	push(&owners[0], k++);
	while (owners[0].durable < 7)
		usleep(1000);
	recorder_gather(r, GATHER_ON);
	push(&owners[0], k++);
	recorder_flush(r, &owners[0]);
	while (!owners[0].flushed)
		usleep(1000);
	for (; k < LINES; k++)
		push(&owners[0], k);
	for (int i = 1; i < OWNERS; i++)
		for (k = 0; k < LINES; k++)
			push(&owners[i], k);
	assert_true(recorder_wait(r, 60000));
	recorder_close(r);
	end_with_all();
}

/* What nobody knows the outcome of is the last that is asked for: the bucket may be back for what came
 * after it. */
static void it_closes_while_nothing_can_be_published(void **state)
{
	(void)state;
	published_begin();
	published.refuses = true;
	push(&owners[0], 0);
	while (published.refused == 0)
		usleep(1000);
	for (unsigned k = 1; k < LINES; k++)
		for (int i = 0; i < OWNERS; i++)
			push(&owners[i], i == 0 ? k : k - 1);
	recorder_flush(r, &owners[0]);
	recorder_close(r);
	assert_int_equal(published.n, 1);
	assert_false(owners[0].flushed);
	for (int i = 0; i < OWNERS; i++)
		assert_int_equal(owners[i].durable + owners[i].given_up, 0);
	end();
}

int main(void)
{
	log_set_level(LOG_OFF);
	real_fdatasync = sys.fdatasync;
	sys.fdatasync = standing_fdatasync;
	real_pwrite = sys.pwrite;
	sys.pwrite = full_pwrite;
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(all_is_durable_in_order),
		cmocka_unit_test(what_comes_during_a_sync_is_one_group),
		cmocka_unit_test(full_disk_pauses_and_loses_nothing),
		cmocka_unit_test(an_ending_batch_does_not_hold_up_the_others),
		cmocka_unit_test(nothing_is_durable_before_it_is_published),
		cmocka_unit_test(what_counts_no_longer_is_given_up),
		cmocka_unit_test(what_is_published_is_gathered),
		cmocka_unit_test(it_closes_while_nothing_can_be_published),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
