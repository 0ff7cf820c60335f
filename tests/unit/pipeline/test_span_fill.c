/* test_span_fill.c: a span's journal is made of the chunks of owners before, of which some are gone. */
#include "unit.h"

#include <pthread.h>

#include "base/log.h"
#include "base/several.h"
#include "blob/objects.h"
#include "pipeline/span_fill.h"

#define PIECES 300u
#define LONG 150u /* this piece has so much that it is read in several */
#define LONG_BYTES (5u << 20)

static struct {
	char *dir;
	struct buf bytes; /* of one chunk, in which all pieces are */
	struct span_piece pieces[PIECES];

	pthread_mutex_t lock;
	pthread_cond_t met;
	bool meets; /* reads wait until SEVERAL are under way */
	unsigned reading, most, reads, left_after;
	unsigned bad, bad_sys; /* piece, and how it is; PIECES: none */
} w = { .lock = PTHREAD_MUTEX_INITIALIZER, .met = PTHREAD_COND_INITIALIZER };

bool objects_read(struct blobs *blobs, const char *name, uint64_t at, void *to, size_t n,
		  struct error *err)
{
	(void)blobs;
	pthread_mutex_lock(&w.lock);
	w.reads++;
	w.reading++;
	if (w.reading > w.most)
		w.most = w.reading;
	pthread_cond_broadcast(&w.met);
	while (w.meets && w.most < SEVERAL)
		pthread_cond_wait(&w.met, &w.lock);
	w.reading--;
	pthread_mutex_unlock(&w.lock);
	if (strtoul(name, NULL, 10) == w.bad)
		return fail_sys(err, (int)w.bad_sys, "reading %s", name);
	assert_true(at + n <= w.bytes.n);
	memcpy(to, w.bytes.p + at, n);
	return true;
}

static bool stays(void *ctx)
{
	(void)ctx;
	pthread_mutex_lock(&w.lock);
	bool ret = w.reads < w.left_after;
	pthread_mutex_unlock(&w.lock);
	return ret;
}

static void record_encode(uint32_t i)
{
	AUTO(buf_free) struct buf line = BUF(LONG_BYTES + 100);
	const struct journal_head about = { .record = i,
					    .http_status = 200,
					    .kind = JOURNAL_OUTPUT };

	buf_text(&line, "{\"p\":\"");
	for (size_t k = 0; k < (i == LONG ? LONG_BYTES : i); k++)
		buf_char(&line, 'p');
	buf_text(&line, "\"}\n");
	assert_true(journal_encode_line(&about, buf_slice(&line), &w.bytes));
}

static int setup(void **state)
{
	(void)state;
	log_set_level(LOG_OFF);
	w.dir = scratch_dir_new();
	w.bytes = BUF(LONG_BYTES * 2);
	w.reads = w.reading = w.most = 0;
	w.meets = false;
	w.left_after = UINT32_MAX;
	w.bad = PIECES;
	for (uint32_t i = 0; i < PIECES; i++) {
		uint64_t at = w.bytes.n;
		record_encode(i);
		w.pieces[i] = (struct span_piece){ .at = at, .length = w.bytes.n - at, .lines = 1 };
		snprintf(w.pieces[i].chunk, sizeof(w.pieces[i].chunk), "%u", (unsigned)i);
	}
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	buf_free(&w.bytes);
	scratch_dir_remove(w.dir);
	return 0;
}

struct found {
	uint32_t records[PIECES];
	size_t n;
};

static void note(void *ctx, const struct journal_head *head, uint64_t at)
{
	struct found *f = ctx;

	(void)at;
	assert_true(f->n < PIECES);
	f->records[f->n++] = head->record;
}

/* What the journal has then. */
static bool fill(struct found *ret, struct error *err)
{
	const struct span_filling filling = {
		.batch_id = "batch-a", .pieces = w.pieces, .n = PIECES, .stays = stays
	};
	char path[PATH_MAX];
	struct journal *j;
	struct journal_found found;

	*ret = (struct found){ .n = 0 };
	snprintf(path, sizeof(path), "%s/s.journal", w.dir);
	assert_true(journal_open(path, JOURNAL_START, PIECES, note, ret, &j, &found, err));
	assert_int_equal(ret->n, 0);
	bool ok = span_fill(&filling, j, err);
	journal_close(j);
	if (!ok)
		return false;
	assert_true(journal_open(path, JOURNAL_START, PIECES, note, ret, &j, &found, err));
	journal_close(j);
	return true;
}

static void pieces_come_in_their_order_and_several_are_read_at_a_time(void **state)
{
	(void)state;
	struct found found;
	struct error err;

	w.meets = true;
	assert_true(fill(&found, &err));
	assert_int_equal(w.most, SEVERAL);
	assert_int_equal(found.n, PIECES);
	for (uint32_t i = 0; i < PIECES; i++)
		assert_int_equal(found.records[i], i);
}

static void what_is_gone_or_damaged_is_left_out(void **state)
{
	(void)state;
	const unsigned faults[] = { ENOENT, EBADMSG, ENODATA };
	const unsigned of[] = { 0, LONG, PIECES - 1 };
	char path[PATH_MAX];
	struct found found;
	struct error err;

	snprintf(path, sizeof(path), "%s/s.journal", w.dir);
	for (size_t k = 0; k < 3; k++) {
		w.bad = of[k];
		w.bad_sys = faults[k];
		assert_true(fill(&found, &err));
		assert_int_equal(found.n, PIECES - 1);
		for (uint32_t i = 0; i < PIECES - 1; i++)
			assert_int_equal(found.records[i], i + (i >= w.bad));
		assert_int_equal(unlink(path), 0);
	}
}

static void where_the_bucket_does_not_answer_it_fails(void **state)
{
	(void)state;
	struct found found;
	struct error err;

	w.bad = 100;
	w.bad_sys = EAGAIN;
	assert_false(fill(&found, &err));
	assert_int_equal(err.sys, EAGAIN);
}

/* Given back, or lost: nothing more is read, and it may leave at once. */
static void one_that_leaves_reads_no_further(void **state)
{
	(void)state;
	struct found found;
	struct error err;

	w.left_after = 70;
	assert_true(fill(&found, &err));
	assert_true(w.reads < 70 + SEVERAL);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(pieces_come_in_their_order_and_several_are_read_at_a_time),
		TEST(what_is_gone_or_damaged_is_left_out),
		TEST(where_the_bucket_does_not_answer_it_fails),
		TEST(one_that_leaves_reads_no_further),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
