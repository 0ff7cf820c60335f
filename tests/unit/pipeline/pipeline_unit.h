/* pipeline_unit.h: a data directory with a store and an uploaded file, on a clock that the test
 * sets; the real journal, recorder and blobs; and in the place of dispatch one that does what the
 * test says.
 *
 * flow_open() and its kin are defined here: the linker takes them before the library's. A job for
 * the pipeline's workers (--wrap=workers_post...) waits until the test takes a turn. */
#pragma once

#include "unit.h"

#include <pthread.h>
#include <stdatomic.h>

#include "base/log.h"
#include "base/worker.h"
#include "batch/causes.h"
#include "dispatch/foresee.h"
#include "ingest/ingest.h"
#include "pipeline/coordinator.h"
#include "pipeline/lessor_memory.h"
#include "pipeline/lost_data.h"
#include "pipeline/sweep.h"
#include "pipeline/worker.h"
#include "store/store.h"

#define NOW INT64_C(1750000000)
#define DAY 86400
#define WAIT_MS 10000 /* for the recorder's thread */
#define LINES_MAX 16u

#define MUST(call)                                                                               \
	do {                                                                                     \
		if (!(call))                                                                     \
			fail_msg("%s: %s (%s, %d, %d)", #call, err.message, err.detail, err.sys, \
				 err.sqlite);                                                    \
	} while (0)

static struct error err;

/* ---- the clock, and a disk that is full ---- */

/* Moved by the test, read by any thread. */
static struct {
	_Atomic int64_t s;
	_Atomic uint64_t ms;
	atomic_bool disk_full;
} world_sys;

static inline int64_t world_now_s(void)
{
	return world_sys.s;
}

static inline uint64_t world_monotonic_ms(void)
{
	return world_sys.ms;
}

static inline int world_fdatasync(int fd)
{
	(void)fd;
	errno = ENOSPC;
	return world_sys.disk_full ? -1 : 0;
}

static inline void time_passes(uint64_t seconds)
{
	world_sys.s += (int64_t)seconds;
	world_sys.ms += seconds * 1000;
}

/* ---- the data directory ---- */

static struct {
	char *dir;
	struct store *store;
	struct blobs *blobs;
	struct recorder *recorder;
	struct org org;
	char file_id[ID_SIZE];
} world;

/* Another process on the same directory opens it, or this one again. */
static inline void world_take_up(void)
{
	MUST(store_open(world.dir, &world.store, &err));
	MUST(store_org_ensure(world.store, "ours", NOW, &world.org, &err));
	MUST(blobs_open(world.dir, NULL, &world.blobs, &err));
}

static inline void world_let_go(void)
{
	blobs_close(TAKE(world.blobs));
	store_close(TAKE(world.store));
}

static inline void world_open(void)
{
	char path[PATH_MAX];

	log_set_level(LOG_OFF);
	world_sys.s = NOW;
	world_sys.ms = 1000000;
	world_sys.disk_full = false;
	sys.now_s = world_now_s;
	sys.monotonic_ms = world_monotonic_ms;
	sys.fdatasync = world_fdatasync;
	world.dir = scratch_dir_new();
	snprintf(path, sizeof(path), "%s/batches", world.dir);
	assert_int_equal(mkdir(path, 0700), 0);
	world_take_up();
	MUST(recorder_open(&worker_recorder_ops, NULL, &world.recorder, &err));
}

/* The recorder first: what it has is of the batches. */
static inline void world_close(void)
{
	world_let_go();
	scratch_dir_remove(world.dir);
}

/* An uploaded file: its row, bytes and index. */
static inline void upload(const char *text)
{
	struct file f = { .purpose = PURPOSE_BATCH, .bytes = strlen(text), .created_at = NOW };
	const struct ingest_limits limits = { 0 };
	struct ingest *in;
	char id[ID_SIZE];

	id_file(f.id);
	memcpy(f.org, world.org.id, sizeof(f.org));
	snprintf(f.filename, sizeof(f.filename), "in.jsonl");
	MUST(ingest_open(world.blobs, &limits, &in, &err));
	MUST(ingest_write(in, slice_of(text), &err) && ingest_finish(in, &err));
	snprintf(f.sha256, sizeof(f.sha256), "%s", ingest_sha256(in));
	MUST(ingest_commit(in, f.id, &err));
	MUST(store_file_insert(world.store, &f, NULL, NULL, id, &err));
	memcpy(world.file_id, f.id, sizeof(world.file_id));
}

/* A file of `n` good lines, custom_id "c-0" and so on. */
static inline void upload_lines(unsigned n)
{
	AUTO(buf_free) struct buf text = BUF(1 << 20);

	for (unsigned i = 0; i < n; i++)
		buf_printf(&text,
			   "{\"custom_id\":\"c-%u\",\"method\":\"POST\","
			   "\"url\":\"/v1/chat/completions\",\"body\":{\"model\":\"m\","
			   "\"messages\":[{\"role\":\"user\",\"content\":\"%u\"}]}}\n",
			   i, i);
	buf_char(&text, '\0');
	assert_false(text.failed);
	upload(text.p);
}

/* A batch of the uploaded file: its row. */
static inline void batch_insert_as(const struct batch_options *options, char to[static ID_SIZE])
{
	struct batch b = { .created_at = world_sys.s,
			   .expires_at = world_sys.s + DAY,
			   .options = *options };
	char id[ID_SIZE];

	id_batch(b.id);
	memcpy(b.org, world.org.id, sizeof(b.org));
	snprintf(b.endpoint, sizeof(b.endpoint), "/v1/chat/completions");
	snprintf(b.input_file_id, sizeof(b.input_file_id), "%s", world.file_id);
	snprintf(b.completion_window, sizeof(b.completion_window), "24h");
	MUST(store_batch_insert(world.store, &b, NULL, false, 0, id, &err));
	memcpy(to, b.id, ID_SIZE);
}

static inline void batch_insert(char to[static ID_SIZE])
{
	const struct batch_options none = { 0 };

	batch_insert_as(&none, to);
}

static inline struct batch batch_row(const char *id)
{
	struct batch b;

	MUST(store_batch_get(world.store, NULL, id, &b, &err));
	return b;
}

/* Damages a file at `at`, or cuts it off. */
static inline void overwrite(const char *name, off_t at, const char *with)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/%s", world.dir, name);
	FILE *f = fopen(path, "r+");
	assert_non_null(f);
	assert_int_equal(fseek(f, at, SEEK_SET), 0);
	assert_int_equal(fwrite(with, 1, strlen(with), f), strlen(with));
	assert_int_equal(fclose(f), 0);
}

/* ---- dispatch ---- */

#define FLOWS_MAX 4u

struct flow {
	struct flow_config config; /* that it was opened with */
	struct flow_view view;     /* what it shows, where the test says so */
	bool has_view;
};

static struct {
	struct flow *flow;            /* the first that is open; NULL: none is */
	struct flow *open[FLOWS_MAX]; /* all of them, in the order of opening */
	unsigned open_n;
	struct flow_view view; /* what it shows */
	unsigned added, dropped;
	bool suspended;
	bool serves;          /* an upstream has the model */
	atomic_uint recorded; /* outcomes whose slots are free again */
} fake;

static inline void fake_reset(void)
{
	memset(&fake, 0, sizeof(fake));
	fake.serves = true;
}

bool flow_new(struct dispatch *d, struct flow **ret, struct error *e)
{
	(void)d;
	*ret = calloc(1, sizeof(**ret));
	return *ret != NULL || fail_memory(e);
}

void flow_free(struct flow *f)
{
	free(f);
}

void flow_open(struct flow *f, const struct flow_config *config)
{
	assert_true(fake.open_n < FLOWS_MAX);
	*f = (struct flow){ .config = *config };
	fake.open[fake.open_n++] = f;
	fake.flow = fake.open[0];
	fake.suspended = config->suspended;
	fake.added++;
}

/* Nothing is in flight but what a test has in its hand. */
void flow_drop(struct flow *f)
{
	unsigned i = 0;

	while (i < fake.open_n && fake.open[i] != f)
		i++;
	assert_true(i < fake.open_n);
	memmove(&fake.open[i], &fake.open[i + 1], (fake.open_n - i - 1) * sizeof(struct flow *));
	fake.open_n--;
	fake.flow = fake.open_n > 0 ? fake.open[0] : NULL;
	fake.dropped++;
	worker_dispatch_ops.dropped(f->config.owner);
}

void flow_suspend(struct flow *f, bool suspended)
{
	assert_non_null(f->config.owner);
	fake.suspended = suspended;
}

void flow_recorded(const struct outcome *first)
{
	for (const struct outcome *o = first; o != NULL; o = o->next)
		fake.recorded++;
}

bool flow_is_busy(const struct flow *f)
{
	(void)f;
	return fake.view.running > 0;
}

void flow_progress(struct flow *f, struct flow_view *ret)
{
	*ret = f->has_view ? f->view : fake.view;
}

void dispatch_online_heard(struct dispatch *d, uint64_t node, const char *upstream, unsigned units)
{
	(void)d;
	(void)node;
	(void)upstream;
	(void)units;
}

bool dispatch_serves(struct dispatch *d, const char *model)
{
	(void)d;
	(void)model;
	return fake.serves;
}

bool dispatch_foresee(struct dispatch *d, const char *model, const struct schedule_asked *asked,
		      struct foreseen *ret, struct error *why)
{
	(void)d;
	(void)model;
	(void)asked;
	(void)why;
	*ret = (struct foreseen){ 0 };
	return true;
}

/* The records that the flow hands out, all segments of it. */
static inline unsigned fake_records_of(const struct flow *f, uint64_t to[static LINES_MAX])
{
	struct segment_cursor cursor;
	unsigned n = 0;

	assert_non_null(f);
	while (worker_dispatch_ops.segment_next(f->config.owner, &cursor))
		for (uint32_t i = 0; i < cursor.lines; i++)
			if (!bit_get(cursor.done, i)) {
				assert_true(n < LINES_MAX);
				to[n++] = cursor.first + i;
			}
	return n;
}

static inline unsigned fake_records(uint64_t to[static LINES_MAX])
{
	return fake_records_of(fake.flow, to);
}

/* Reads the line and ends it with that status. */
static inline void fake_answer_of(const struct flow *f, uint64_t record, int status)
{
	AUTO(buf_free) struct buf bytes = BUF(1 << 16);
	struct request_line line;

	assert_non_null(f);
	MUST(worker_dispatch_ops.line_read(f->config.owner, record, &bytes, &line, &err));
	struct outcome *o = outcome_new(f->config.owner, record, line.custom_id);
	assert_non_null(o);
	o->attempts = 1;
	o->http_status = status;
	o->body = BUF(256);
	buf_text(&o->body,
		 "{\"id\":\"x\",\"usage\":{\"prompt_tokens\":1,\"completion_tokens\":2}}");
	worker_dispatch_ops.ended(NULL, o);
}

static inline void fake_answer(uint64_t record, int status)
{
	fake_answer_of(fake.flow, record, status);
}

static inline void all_recorded(void)
{
	assert_true(recorder_wait(world.recorder, WAIT_MS));
}

/* Waits for what the recorder's thread brings about. */
#define WAIT_UNTIL(condition)                                     \
	do {                                                      \
		unsigned waited_ms = 0;                           \
		while (!(condition) && waited_ms++ < WAIT_MS)     \
			usleep(1000);                             \
		if (!(condition))                                 \
			fail_msg("never came true: " #condition); \
	} while (0)

/* ---- turns ---- */

#define JOBS_MAX 16u

struct job {
	const struct work *work; /* NULL: none */
	worker_fn fn;
	void *arg;
	uint64_t due_ms;
};

static struct {
	pthread_mutex_t lock;
	struct job jobs[JOBS_MAX];
} turn = { .lock = PTHREAD_MUTEX_INITIALIZER };

void __wrap_workers_post_after(struct workers *w, struct work *work, worker_fn fn, void *arg,
			       uint64_t delay_ms);
void __wrap_workers_post(struct workers *w, struct work *work, worker_fn fn, void *arg);

/* A job is not posted again before it has begun. */
void __wrap_workers_post_after(struct workers *w, struct work *work, worker_fn fn, void *arg,
			       uint64_t delay_ms)
{
	struct job *free_job = NULL;

	(void)w;
	pthread_mutex_lock(&turn.lock);
	for (unsigned i = 0; i < JOBS_MAX; i++) {
		assert_ptr_not_equal(turn.jobs[i].work, work);
		if (turn.jobs[i].work == NULL)
			free_job = &turn.jobs[i];
	}
	assert_non_null(free_job);
	*free_job = (struct job){ work, fn, arg, world_sys.ms + delay_ms };
	pthread_mutex_unlock(&turn.lock);
}

void __wrap_workers_post(struct workers *w, struct work *work, worker_fn fn, void *arg)
{
	__wrap_workers_post_after(w, work, fn, arg, 0);
}

/* The process ends: what was posted is never run. */
static inline void turns_forget(void)
{
	pthread_mutex_lock(&turn.lock);
	memset(turn.jobs, 0, sizeof(turn.jobs));
	pthread_mutex_unlock(&turn.lock);
}

/* Under the lock. NULL: none is due. */
static inline struct job *turn_due(void)
{
	for (unsigned i = 0; i < JOBS_MAX; i++)
		if (turn.jobs[i].work != NULL && turn.jobs[i].due_ms <= world_sys.ms)
			return &turn.jobs[i];
	return NULL;
}

/* Whether a job is due. */
static inline bool turn_is_due(void)
{
	pthread_mutex_lock(&turn.lock);
	bool due = turn_due() != NULL;
	pthread_mutex_unlock(&turn.lock);
	return due;
}

/* Runs what is due; false: nothing is. */
static inline bool turn_take(void)
{
	struct job job = { 0 };

	pthread_mutex_lock(&turn.lock);
	struct job *due = turn_due();
	if (due != NULL) {
		job = *due;
		due->work = NULL;
	}
	pthread_mutex_unlock(&turn.lock);
	if (job.work != NULL)
		job.fn(job.arg);
	return job.work != NULL;
}

static inline void turns_take(void)
{
	while (turn_take())
		;
}

/* A job is there, for later. */
static inline bool turn_waits(void)
{
	bool waits = false;

	pthread_mutex_lock(&turn.lock);
	for (unsigned i = 0; i < JOBS_MAX; i++)
		waits = waits || (turn.jobs[i].work != NULL && turn.jobs[i].due_ms > world_sys.ms);
	pthread_mutex_unlock(&turn.lock);
	return waits;
}

/* Turn after turn, while the recorder's thread does its part. */
#define TURNS_UNTIL(condition) WAIT_UNTIL((turns_take(), (condition)))
