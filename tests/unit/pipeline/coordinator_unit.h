/* coordinator_unit.h: one batch and its coordinator, turn by turn, on what pipeline_unit.h has. */
#pragma once

#include "pipeline_unit.h"

#include "pipeline/coordinator_impl.h" /* its lessor: another worker asks it too */
#include "pipeline/day_tokens.h"

#define LINES 3u

static struct {
	struct pipeline_config config;
	struct coordinator_env env;
	struct day_tokens day;
	struct coordinator *c; /* NULL: it has ended */
	char batch_id[ID_SIZE];
	unsigned ended;
	bool time_is_bad;
} w;

static inline void on_ended(void *ctx, struct coordinator *c)
{
	(void)ctx;
	assert_ptr_equal(c, w.c);
	coordinator_free(TAKE(w.c));
	w.ended++;
}

static inline bool on_time_is_good(void *ctx)
{
	(void)ctx;
	return !w.time_is_bad;
}

static inline void env_open(void)
{
	w.config = (struct pipeline_config){ .rules = { .profile = PROFILE_OPENAI } };
	w.env = (struct coordinator_env){
		.data_dir = world.dir,
		.config = &w.config,
		.store = world.store,
		.blobs = world.blobs,
		.recorder = world.recorder,
		.ended = on_ended,
		.time_is_good = on_time_is_good,
		.day = &w.day,
	};
	day_tokens_init(&w.day, 0);
	open_table_init(&w.env.files);
}

static inline int setup(void **state)
{
	(void)state;
	memset(&w, 0, sizeof(w));
	turns_forget();
	fake_reset();
	world_open();
	env_open();
	return 0;
}

/* As when the process ends. */
static inline void coordinator_end_process(void)
{
	w.env.closing = true;
	if (w.c != NULL)
		coordinator_abandon(w.c);
	recorder_close(world.recorder);
	if (w.c != NULL)
		coordinator_free(w.c);
	w.c = NULL;
	turns_forget();
	open_table_done(&w.env.files);
	day_tokens_done(&w.day);
}

static inline int teardown(void **state)
{
	(void)state;
	coordinator_end_process();
	world_close();
	return 0;
}

/* What the pipeline does five times a second. Returns whether it has looked at the batch at all. */
static inline bool times_look(void)
{
	if (!coordinators_are_due(&w.env, sys.now_s(), sys.monotonic_ms()))
		return false;
	coordinator_check_lease(w.c, sys.monotonic_ms());
	coordinator_check_hours(w.c, sys.now_s());
	coordinator_check_window(w.c, sys.now_s());
	coordinator_look_later(w.c);
	return true;
}

/* ---- what the tests say ---- */

static inline void batch_take_up(void)
{
	MUST(coordinator_new(&w.env, w.batch_id, &w.c, &err));
	coordinator_kick(w.c);
	turns_take();
}

/* Makes a batch of the uploaded file and takes it up. */
static inline void batch_begin_as(const struct batch_options *options)
{
	batch_insert_as(options, w.batch_id);
	batch_take_up();
}

static inline void batch_begin(void)
{
	const struct batch_options none = { 0 };

	batch_begin_as(&none);
}

static inline void batch_of_lines(unsigned n)
{
	upload_lines(n);
	batch_begin();
	assert_int_equal(fake.added, 1);
}

/* The process ends and another begins, on the same directory. */
static inline void restart(void)
{
	coordinator_end_process();
	fake_reset();
	MUST(recorder_open(&worker_recorder_ops, NULL, &world.recorder, &err));
	env_open();
	batch_take_up();
}

static inline struct batch row(void)
{
	return batch_row(w.batch_id);
}

static inline enum batch_status status(void)
{
	struct batch b = row();

	batch_done(&b);
	return b.status;
}

/* Without the texts of its row. */
static inline struct batch_view view(void)
{
	struct batch_view v = { .row = row() };

	coordinator_view(w.c, &v);
	batch_view_done(&v);
	return v;
}

static inline void answer(uint64_t record)
{
	fake_answer(record, 200);
	all_recorded();
}

/* Turns until the batch has ended; the recorder's thread gives the lease back in between. */
static inline void to_the_end(void)
{
	TURNS_UNTIL(w.ended == 1);
	assert_null(w.c);
}

static inline void assert_counts(unsigned completed, unsigned failed, unsigned expired,
				 unsigned cancelled)
{
	struct batch b = row();

	assert_int_equal(b.counts.completed, completed);
	assert_int_equal(b.counts.failed, failed);
	assert_int_equal(b.counts.expired, expired);
	assert_int_equal(b.counts.cancelled, cancelled);
	batch_done(&b);
}

/* The text of a result file. */
static inline char *result(bool is_error)
{
	static char text[1 << 16];
	char path[PATH_MAX];
	struct batch b = row();

	snprintf(path, sizeof(path), "%s/files/%s.jsonl", world.dir,
		 is_error ? b.error_file_id : b.output_file_id);
	batch_done(&b);
	FILE *f = fopen(path, "r");
	if (f == NULL)
		return NULL;
	size_t n = fread(text, 1, sizeof(text) - 1, f);
	text[n] = '\0';
	assert_int_equal(fclose(f), 0);
	return text;
}

static inline void assert_in_order(const char *text, const char *first, const char *second)
{
	const char *at = strstr(text, first);

	assert_non_null(at);
	assert_non_null(strstr(at, second));
}

static inline const char *journal_name(void)
{
	static char name[128];

	snprintf(name, sizeof(name), "batches/%s.journal", w.batch_id);
	return name;
}
